"""`snapshot`: one picture of a system, without a screen."""

import argparse
import sys
from pathlib import Path

from nodes.commands.picture_options import add_picture_options, all_installed
from nodes.sessions.play_options import seconds

DESCRIPTION = """\
One picture of the system that runs, for bug reports and papers: what each camera sees with its keypoints and its light,
the room with the cameras and the people, and the figures. Cameras' pictures are in it where the configuration says
`preview: {enabled: true}`. With S.mcap: of a moment of a recording."""

EXAMPLES = """\
examples:
  python run_system.py snapshot --out now.png
  python run_system.py snapshot --out now.png --hub-outer tcp://10.0.0.5:5556 --eye top --size 1280x720
  python run_system.py snapshot walk.mcap --at 12.5 --out moment.png

docs/pictures.md shows and explains it."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    parser = commands.add_parser(
        "snapshot",
        help="a picture of the running system, or of a moment of a recording",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("session", type=Path, nargs="?", metavar="S.mcap", help="a recording, in place of what runs")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.png", help="where it goes: .png or .jpg")
    parser.add_argument("--at", type=seconds, metavar="S", help="of a recording: seconds since its start (default 0)")
    parser.add_argument(
        "--video-folder", type=Path, metavar="DIR", help="where the recording's videos lie, if not beside"
    )
    parser.add_argument(
        "--wait", type=seconds, default=5.0, metavar="S", help="for a system to be heard (default %(default)s)"
    )
    parser.add_argument("--hub", help="the hub's inner address; not needed, since a picture asks for nothing")
    parser.add_argument("--hub-outer", default="tcp://127.0.0.1:5556", help="its outer address (default %(default)s)")
    add_picture_options(parser, "1600x900")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if not all_installed():
        return 2
    from nodes.sessions.errors import SessionError
    from nodes.sessions.target import check_target
    from nodes.stills.sheet import Style
    from nodes.stills.snapshot import check_ending, picture_of_recorded, picture_of_running, save_picture
    from nodes.wire.errors import WireError

    style = Style(options.size, options.eye, options.only, options.title)
    missing: list[str] = []
    try:
        check_ending(options.out)
        check_target(options.out, [options.session] if options.session else [], options.force)
        if options.session is None:
            if options.at is not None:
                raise SessionError("--at is of a recording: snapshot S.mcap --at SECONDS --out OUT.png")
            picture = picture_of_running(options.hub_outer, options.wait, style)
        else:
            picture, missing = picture_of_recorded(options.session, options.at or 0.0, style, options.video_folder)
        save_picture(picture, options.out)
    except (SessionError, WireError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    print("\n".join(missing), file=sys.stderr, end="\n" if missing else "")
    print(f"{options.out}: {picture.shape[1]}x{picture.shape[0]}, {options.out.stat().st_size / 1e3:.0f} kB")
    return 0
