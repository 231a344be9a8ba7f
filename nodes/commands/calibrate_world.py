"""`run_system.py calibrate world`: z up, origin on the floor, x along a chosen direction."""

import argparse
from pathlib import Path

DESCRIPTION = """\
Write a calibration again with its world set to the room: metres, z up, z = 0 on the floor, x along a chosen direction.
The cameras stay as they are to each other; recordings made with the old calibration keep theirs.

One of
  --board-on-floor TAKE   the board lies still on the floor (either side up); origin below its middle, x along its
                          longer side; one camera that sees it is enough
  --points "…"            three points on the floor, picked in the pictures of two or more cameras each: the origin,
                          one on the x axis, and any third
  --level CAM=METRES      nothing to see: the cameras are taken to stand level, and CAM that high above the floor"""

EXAMPLES = """\
examples:
  python run_system.py calibrate world --calibration rig.toml --board-on-floor take/ --board board.toml --out room.toml
  python run_system.py calibrate world --calibration rig.toml --board-on-floor take/ --board board.toml --at 12.5 \\
                                       --thickness-mm 5 --x-towards front --out room.toml
  python run_system.py calibrate world --calibration rig.toml --out room.toml \\
         --points "origin=front:512,600;left:80,655 x=front:700,590;left:301,640 floor=front:500,500;left:90,540"
  python run_system.py calibrate world --calibration rig.toml --level front=1.62 --out room.toml

docs/world-frame.md tells how each works, and how to see that it is right."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The word and its arguments."""
    parser = words.add_parser(
        "world",
        help="z up, origin on the floor: from a board, picked points, or level cameras",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calibration", type=Path, required=True, metavar="FILE", help="of any kind")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.toml", help="the calibration to write")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--board-on-floor", type=Path, metavar="TAKE", help="folder of videos, or a session with --video")
    way.add_argument("--points", metavar="TEXT", help="pixels, or metres of the old world: origin=x,y,z x=… floor=…")
    way.add_argument("--level", type=_level, metavar="CAM=METRES", help="a camera and its height above the floor")
    parser.add_argument("--board", type=Path, metavar="B.toml", help="of `calibrate board`, or charuco.toml")
    parser.add_argument("--at", type=float, metavar="SECOND", help="when the board lies on the floor")
    parser.add_argument("--thickness-mm", type=float, default=0.0, metavar="MM", help="of the board, print to floor")
    parser.add_argument("--corner", action="store_true", help="origin at the board's first corner")
    parser.add_argument("--x-towards", metavar="CAM", help="turn the x axis towards this camera")
    parser.add_argument("--force", action="store_true", help="write over OUT")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.commands.calibrate_errors import told

    return told(lambda: _set(options), options.out, needs_pictures=options.board_on_floor is not None)


def _set(options: argparse.Namespace) -> int:
    from calibration.rig_file import save_rig
    from nodes.calibrating.progress import steps
    from nodes.calibrating.world import WorldTask, in_world, told
    from nodes.sessions.target import check_target

    read = [path for path in (options.calibration, options.board_on_floor, options.board) if path is not None]
    check_target(options.out, read, options.force)
    task = WorldTask(
        calibration=options.calibration,
        board_on_floor=options.board_on_floor,
        board=options.board,
        points=options.points,
        level=options.level,
        at_s=options.at,
        thickness_m=options.thickness_mm / 1000,
        at_corner=options.corner,
        x_towards=options.x_towards,
    )
    with steps() as progress:
        rig = in_world(task, progress)
    print(told(rig))
    save_rig(rig, options.out)
    print(f"wrote {options.out}")
    return 0


def _level(text: str) -> tuple[str, float]:
    camera, _, height = text.rpartition("=")
    try:
        value = float(height)
    except ValueError:
        value = float("nan")
    if not camera or not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not CAMERA=METRES, such as front=1.62")
    return camera, value
