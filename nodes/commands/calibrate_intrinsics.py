"""`run_system.py calibrate intrinsics`: what each camera's lens does, by itself."""

import argparse
import sys
from pathlib import Path

DESCRIPTION = """\
Focal length, principal point and distortion of each camera from pictures of a ChArUco board, starting from nothing.

--videos is a folder with a video for each camera, or one video; --images a folder of pictures of one camera, or of
folders, one for each; --config looks through your cameras now. Pictures are chosen for where in the picture the board
was and how it was tilted. `calibrate rig` finds lenses by itself; this is for lenses that are known once and for all,
for the lens of a single camera, and for `calibrate people`."""

EXAMPLES = """\
examples:
  python run_system.py calibrate intrinsics --images photos/ --board board.toml --out lenses.toml
  python run_system.py calibrate intrinsics --videos left.mp4 --board board.toml --out left.toml --report report/
  python run_system.py calibrate intrinsics --config my.yaml --board board.toml --out lenses.toml --fisheye roof

exit code: 0 good or usable, 1 to be done again (OUT is not written, unless --keep), 2 something must be mended first
docs/calibrate-rig.md: how to hold the board, and what the figures mean."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The word and its arguments."""
    parser = words.add_parser(
        "intrinsics",
        help="what each camera's lens does, from pictures of a board",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--videos", "--images", dest="videos", type=Path, metavar="PATH", help="file or folder")
    source.add_argument("--session", type=Path, metavar="S.mcap", help="a recording with --video")
    source.add_argument("--config", type=Path, metavar="F.yaml", help="look through its cameras now")
    source.add_argument("--corners", type=Path, metavar="F.npz", help="corners that an earlier run found")
    parser.add_argument("--board", type=Path, required=True, metavar="B.toml", help="as `calibrate board` writes it")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.toml", help="the lenses to write")
    parser.add_argument("--report", type=Path, metavar="DIR", help="report.html and report.json go there")
    parser.add_argument("--fisheye", nargs="+", default=[], metavar="CAM", help="cameras with such a lens")
    parser.add_argument("--keep", action="store_true", help="write OUT also when it should be done again")
    parser.add_argument("--force", action="store_true", help="write over OUT")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.commands.calibrate_errors import told

    return told(lambda: _calibrate(options), options.out, needs_pictures=options.corners is None)


def _calibrate(options: argparse.Namespace) -> int:
    from calibration.board import load_board
    from calibration.intrinsics_file import save_intrinsics
    from nodes.calibrating.lenses import lenses_of
    from nodes.calibrating.progress import steps
    from nodes.calibrating.report import write_report
    from nodes.calibrating.report_text import text_of
    from nodes.calibrating.rig_input import Source, doubting, each_camera
    from nodes.sessions.target import check_target

    source = Source(options.videos, options.session, options.config, options.corners)
    check_target(options.out, source.files, options.force)
    board = load_board(options.board)
    with steps() as progress:
        seen = each_camera(source, board, options.out, progress)
        with doubting(board, source):
            found = lenses_of(board, seen, dict.fromkeys(options.fisheye, "fisheye"), source.what, progress)
    print(text_of(found.report))
    redo = found.report.judgement.verdict == "redo" and not options.keep
    if redo:
        print(f"{options.out} was not written; --keep writes it all the same", file=sys.stderr)
    else:
        save_intrinsics(found.lenses, options.out)
        print(f"wrote {options.out}: give it as --intrinsics to `calibrate rig` and `calibrate people`")
    if options.report:
        print(f"report: {write_report(options.report, found.report)[1]}")
    return 1 if redo else 0
