"""`run_system.py calibrate check`: does a calibration fit a recording, and if not, what is wrong."""

import argparse
from pathlib import Path

DESCRIPTION = """\
Hold a calibration of any kind (anipose, Pose2Sim, Caliscope, Qualisys, …) against a recording it was not made from:
pixels and millimetres per camera, a verdict, and where it does not fit, what is wrong: a camera that was moved, two
that are exchanged, a mirrored or turned picture, a wrong unit, another board.

With --board the recording shows that ChArUco board; without, somebody who walks about alone."""

EXAMPLES = """\
examples:
  python run_system.py calibrate check --calibration rig.toml --videos take/ --board board.toml --report report/
  python run_system.py calibrate check --calibration Calib.qca.txt --session walk.mcap
  python run_system.py calibrate check --session walk.mcap                     the calibration it was recorded with
  python run_system.py calibrate check --calibration camera_array.toml --keypoints walk.npz

exit code: 0 good or usable, 1 to be done again, 2 it cannot be judged, or something must be mended first
docs/calibrate-check.md tells what each figure means, and what is good."""

EXIT = {"good": 0, "usable": 0, "redo": 1, "unknown": 2}


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The word and its arguments."""
    parser = words.add_parser(
        "check",
        help="hold any calibration against any recording",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="default: the recording's own")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--videos", type=Path, metavar="DIR", help="a video for each camera, of a board")
    source.add_argument("--session", type=Path, metavar="S.mcap", help="a recording of a person; with --video, a board")
    source.add_argument("--keypoints", type=Path, metavar="SEQ.npz", help="a neutral multi-view file")
    source.add_argument("--corners", type=Path, metavar="F.npz", help="corners that an earlier run found")
    parser.add_argument("--board", type=Path, metavar="B.toml", help="of `calibrate board`, or charuco.toml")
    parser.add_argument("--report", type=Path, metavar="DIR", help="report.html and report.json go there")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.commands.calibrate_errors import told

    looks = options.board is not None and (options.videos or options.session)
    return told(lambda: _check(options), options.report, needs_pictures=bool(looks))


def _check(options: argparse.Namespace) -> int:
    from nodes.calibrating.check import CheckTask, checked
    from nodes.calibrating.progress import steps
    from nodes.calibrating.report import write_report
    from nodes.calibrating.report_text import text_of

    task = CheckTask(
        options.calibration, options.board, options.videos, options.session, options.keypoints, options.corners
    )
    with steps() as progress:
        report = checked(task, progress)
    print(text_of(report))
    if options.report:
        print(f"report: {write_report(options.report, report)[1]}")
    return EXIT[report.judgement.verdict]
