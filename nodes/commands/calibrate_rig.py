"""`run_system.py calibrate rig`: the cameras of a room from a recording of a board."""

import argparse
import sys
from pathlib import Path

DESCRIPTION = """\
Where all cameras stand, and their lenses, from one recording of a ChArUco board that was carried through the room.

--videos is a folder with one video per camera (named as the cameras), perhaps with timestamps.csv beside them (columns
sync_index, cam_id, frame_index, frame_time); --session a recording of this system with --video; --config takes the
pictures from your cameras now. Nothing else has to be known: lenses are found from the same pictures, and clocks that
are off are corrected where that pays. Every figure of the report is of frames that were left out of the fit."""

EXAMPLES = """\
examples:
  python run_system.py calibrate rig --videos take/ --board board.toml --out rig.toml --report report/
  python run_system.py calibrate rig --config my.yaml --board board.toml --out rig.toml
  python run_system.py calibrate rig --session board.mcap --board board.toml --intrinsics lenses.toml --out rig.toml
  python run_system.py calibrate rig --videos take/ --board take/charuco.toml --compare take/camera_array.toml \\
                                     --out rig.toml --report report/

exit code: 0 good or usable, 1 to be done again (OUT is not written, unless --keep), 2 something must be mended first
docs/calibrate-rig.md: how to carry the board, what is solved, what the report says."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The word and its arguments."""
    parser = words.add_parser(
        "rig",
        help="where all cameras stand, from a recording of a board",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--videos", type=Path, metavar="DIR", help="a video for each camera")
    source.add_argument("--session", type=Path, metavar="S.mcap", help="a recording with --video")
    source.add_argument("--config", type=Path, metavar="F.yaml", help="look through its cameras now")
    source.add_argument("--corners", type=Path, metavar="F.npz", help="corners that an earlier run found")
    parser.add_argument(
        "--board", type=Path, required=True, metavar="B.toml", help="of `calibrate board`, or charuco.toml"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.toml", help="the calibration to write")
    parser.add_argument("--report", type=Path, metavar="DIR", help="report.html and report.json go there")
    parser.add_argument("--intrinsics", type=Path, metavar="C.toml", help="known lenses; a calibration will do")
    parser.add_argument("--refine-intrinsics", action="store_true", help="let known lenses move with the rest")
    parser.add_argument("--fisheye", nargs="+", default=[], metavar="CAM", help="cameras with such a lens")
    parser.add_argument("--trust-clocks", action="store_true", help="take the times of frames as they are")
    parser.add_argument(
        "--compare", type=Path, nargs="+", default=[], metavar="C", help="hold other calibrations beside"
    )
    parser.add_argument("--keep", action="store_true", help="write OUT also when it should be done again")
    parser.add_argument("--force", action="store_true", help="write over OUT")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.commands.calibrate_errors import told

    return told(lambda: _calibrate(options), options.out, needs_pictures=options.corners is None)


def _calibrate(options: argparse.Namespace) -> int:
    from calibration.board import load_board
    from calibration.intrinsics_file import load_intrinsics
    from calibration.rig_file import save_rig
    from nodes.calibrating.progress import steps
    from nodes.calibrating.report import write_report
    from nodes.calibrating.report_text import text_of
    from nodes.calibrating.rig import RigTask, calibrated
    from nodes.calibrating.rig_input import Source, doubting, kept_beside, sightings_of
    from nodes.sessions.target import check_target

    source = Source(options.videos, options.session, options.config, options.corners)
    check_target(options.out, source.files, options.force)
    board = load_board(options.board)
    task = RigTask(
        lens=dict.fromkeys(options.fisheye, "fisheye"),
        intrinsics=load_intrinsics(options.intrinsics) if options.intrinsics else {},
        refine=options.refine_intrinsics,
        clocks=not options.trust_clocks,
        compare=tuple(options.compare),
    )
    with steps() as progress:
        sightings = sightings_of(source, board, options.out, progress)
        try:
            with doubting(board, source):
                found = calibrated(board, sightings, task, source.what, progress)
        except KeyboardInterrupt:
            print(
                f"\ncorners found are kept: go on with --corners {options.corners or kept_beside(options.out)}",
                file=sys.stderr,
            )
            raise
    print(text_of(found.report))
    redo = found.report.judgement.verdict == "redo" and not options.keep
    if redo:
        print(f"{options.out} was not written; --keep writes it all the same", file=sys.stderr)
    else:
        save_rig(found.rig, options.out, notes=(text_of(found.report).splitlines()[0], *found.report.notes))
        print(f"wrote {options.out}: name it under `calibration:` of your configuration")
    if options.report:
        print(f"report: {write_report(options.report, found.report)[1]}")
    return 1 if redo else 0
