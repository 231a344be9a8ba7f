"""`run_system.py calibrate`: where the cameras stand and what their lenses do, and whether that is true."""

import argparse

from nodes.commands import (
    calibrate_board,
    calibrate_check,
    calibrate_convert,
    calibrate_intrinsics,
    calibrate_people,
    calibrate_rig,
    calibrate_world,
)

DESCRIPTION = """\
Find out where the cameras stand and what their lenses do, and whether that is true.

With a board: print one (board), carry it through the room in front of all cameras while they record, and solve (rig).
Without: record somebody walking, and solve from that (people). `check` holds any calibration against any recording."""

EXAMPLES = """\
examples:
  python run_system.py calibrate board --out board.pdf                  print it at 100 %, measure a square
  python run_system.py calibrate rig --videos take/ --board board.toml --out rig.toml --report report/
  python run_system.py calibrate people --session walk.mcap --intrinsics lenses.toml --stature 1.75 --out rig.toml
  python run_system.py calibrate check --calibration rig.toml --session walk.mcap

docs/calibration.md is the way from an empty room to a calibration that is good."""

WORDS = (
    calibrate_board,
    calibrate_rig,
    calibrate_people,
    calibrate_intrinsics,
    calibrate_world,
    calibrate_check,
    calibrate_convert,
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its words, each in a module of its own: calibrate_WORD.py."""
    parser = commands.add_parser(
        "calibrate",
        help="cameras and lenses: from a board or a person; check, convert, print a board",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="what")
    for module in WORDS:
        module.add(words)
