"""`render`: a recording as a video, without a screen."""

import argparse
import sys
from pathlib import Path

from nodes.commands.picture_options import add_picture_options, all_installed
from nodes.sessions.play_options import seconds

DESCRIPTION = """\
A video of a recording: all cameras with what was detected in them, and beside them the room with the people, from any
place. The cameras' pictures are those of the recording's videos (`live --record S.mcap --video`); without videos the
keypoints stand on dark ground. OUT ends in .mp4 (H.264) or .gif."""

EXAMPLES = """\
examples:
  python run_system.py render walk.mcap walk.mp4
  python run_system.py render walk.mcap walk.gif --from 10 --to 14 --fps 12 --size 780x452
  python run_system.py render walk.mcap slow.mp4 --speed 0.25 --fps 60 --only room --turn 20
  python run_system.py render walk.mcap both.mp4 --beside smooth.mcap      two results, the second in white

docs/pictures.md shows and explains it."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    parser = commands.add_parser(
        "render",
        help="a recording as a video: cameras and room side by side",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("session", type=Path, metavar="S.mcap", help="the recording")
    parser.add_argument("out", type=Path, metavar="OUT", help="the video: .mp4 or .gif")
    parser.add_argument("--from", dest="from_s", type=seconds, default=0.0, metavar="S", help="begin S seconds into it")
    parser.add_argument("--to", dest="to_s", type=seconds, metavar="S", help="end there")
    parser.add_argument("--fps", type=float, metavar="N", help="pictures per second (default 30; of a .gif 12.5)")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="times the recording's pace (default 1)")
    parser.add_argument(
        "--turn", type=float, default=0.0, metavar="DEG", help="the eye circles, so many degrees per second of video"
    )
    parser.add_argument(
        "--beside", type=Path, metavar="T.mcap", help="a second result of the same take, drawn in white"
    )
    parser.add_argument("--video-folder", type=Path, metavar="DIR", help="where the videos lie, if not beside S.mcap")
    add_picture_options(parser, "1600x900")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if not all_installed():
        return 2
    from nodes.commands.ending import INTERRUPTED
    from nodes.sessions.errors import SessionError
    from nodes.sessions.progress import bars
    from nodes.sessions.target import check_target
    from nodes.stills.render import Wish, render
    from nodes.stills.sheet import Style
    from nodes.watching.verdict import counted

    out: Path = options.out
    fps = options.fps if options.fps is not None else 12.5 if out.suffix.lower() == ".gif" else 30.0
    wish = Wish(
        out=out,
        style=Style(options.size, options.eye, options.only, options.title),
        from_s=options.from_s,
        to_s=options.to_s,
        fps=fps,
        speed=options.speed,
        turn_deg_s=options.turn,
        beside=options.beside,
        video_folder=options.video_folder,
    )
    try:
        check_target(out, [options.session, *([options.beside] if options.beside else [])], options.force, option="")
        with bars([options.session.name]) as bar:
            made = render(options.session, wish, lambda done: bar(options.session.name, done))
    except SessionError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    print("\n".join(made.notes), file=sys.stderr, end="\n" if made.notes else "")
    size = f"{made.size_wh[0]}x{made.size_wh[1]}, {out.stat().st_size / 1e6:.2f} MB"
    pace = f"{made.pictures / max(made.took_s, 1e-3):.0f} pictures drawn a second"
    print(f"{out}: {counted(made.pictures, 'picture')}, {made.pictures / fps:.1f} s, {size}; {pace}")
    if not made.whole:
        print("interrupted: it holds what was drawn until then", file=sys.stderr)
        return INTERRUPTED
    return 0
