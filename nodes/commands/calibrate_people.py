"""`run_system.py calibrate people`: where the cameras stand, from somebody who walks, without a board."""

import argparse
import sys
from pathlib import Path

DESCRIPTION = """\
Where all cameras stand, from a recording of one person who walks through the room: no board. The lenses must be known
(--intrinsics: any calibration file that has them; its poses are not looked at). With --refine the poses of a
calibration are the beginning, and its world and scale are kept.

Clocks that differ are found on the way, to a few milliseconds. Lengths come from the person's stature, from a distance
between two cameras that you measured, or from the calibration that is refined; up and the floor from the person's
body and feet; x points from the middle of the walked area to the first camera (--towards)."""

EXAMPLES = """\
examples:
  python run_system.py live --config my.yaml --keypoints-only --record walk.mcap       record; no calibration needed
  python run_system.py calibrate people --session walk.mcap --intrinsics lenses.toml --stature 1.75 --out rig.toml
  python run_system.py calibrate people --session walk.mcap --intrinsics lenses.toml --distance left,right,2.31 \\
                                        --out rig.toml --report report/
  python run_system.py calibrate people --keypoints walk.npz --refine old.toml --out new.toml

exit code: 0 good or usable, 1 to be done again (OUT is not written, unless --keep), 2 something must be mended first
docs/calibrate-people.md: how to walk, what is solved, how good it gets."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The word and its arguments."""
    parser = words.add_parser(
        "people",
        help="where all cameras stand, from somebody who walks",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--session", type=Path, metavar="S.mcap", help="a recording of this system")
    source.add_argument("--keypoints", type=Path, metavar="SEQ.npz", help="a neutral multi-view file")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--intrinsics", type=Path, metavar="CALIB", help="has the lenses; poses are found from nothing")
    start.add_argument("--refine", type=Path, metavar="CALIB", help="poses to begin with, too")
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--stature", type=float, metavar="M", help="of the person, metres, with shoes")
    scale.add_argument("--distance", type=_distance, metavar="A,B,M", help="between two cameras' lenses, metres")
    parser.add_argument("--focal", action="store_true", help="let focal lengths move by a few percent, too")
    parser.add_argument("--towards", metavar="CAM", help="x points to this camera (default: the first)")
    parser.add_argument("--max-offset", type=_seconds, default=0.5, metavar="S", help="clocks may differ by so much")
    parser.add_argument("--trust-clocks", action="store_true", help="take the times of frames as they are")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which stretches are held out to measure")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.toml", help="the calibration to write")
    parser.add_argument("--report", type=Path, metavar="DIR", help="report.html and report.json go there")
    parser.add_argument("--keep", action="store_true", help="write OUT also when it should be done again")
    parser.add_argument("--force", action="store_true", help="write over OUT")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.commands.calibrate_errors import told

    return told(lambda: _calibrate(options), options.out, needs_pictures=False)


def _calibrate(options: argparse.Namespace) -> int:
    from calibration.people.solve import Options
    from calibration.rig_file import save_rig
    from nodes.calibrating.people import PeopleTask, calibrated
    from nodes.calibrating.progress import steps
    from nodes.calibrating.report import write_report
    from nodes.calibrating.report_text import text_of
    from nodes.sessions.target import check_target

    recording, calibration = options.session or options.keypoints, options.refine or options.intrinsics
    check_target(options.out, [recording], options.force)
    task = PeopleTask(
        recording,
        calibration,
        Options(
            start="given" if options.refine else "nothing",
            stature_m=options.stature,
            distance=options.distance,
            towards=options.towards,
            free_focal=options.focal,
            free_time=not options.trust_clocks,
            most_offset_s=options.max_offset,
            seed=options.seed,
        ),
    )
    with steps() as progress:
        found = calibrated(task, progress)
    print(text_of(found.report))
    if options.report:
        print(f"report: {write_report(options.report, found.report)[1]}")
    if found.report.judgement.verdict == "redo" and not options.keep:
        print(f"{options.out} was not written; --keep writes it all the same", file=sys.stderr)
        return 1
    save_rig(found.rig, options.out)
    print(f"wrote {options.out}: name it under `calibration:` of your configuration")
    return 0


def _distance(text: str) -> tuple[str, str, float]:
    parts = [part.strip() for part in text.split(",")]
    try:
        one, other, metres = parts[0], parts[1], float(parts[2])
    except (IndexError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form left,right,2.31 (metres)") from None
    return one, other, metres


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 10:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 10 seconds")
    return value
