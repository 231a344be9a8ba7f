"""Rigs whose truth is known, from rendered pictures of a board: where the cameras come out, and their focal lengths.

    python -m benchmarks.calibrate_virtual [--cameras 2 4 8] [--seconds 75] [--fps 5] [--json FILE] [--check]

Pictures of 1280x720 with lens distortion, blur and noise; corners found in them by `nodes.calibrating.board_finder`;
lenses and places solved from nothing; compared with the truth after the best rigid alignment of both rigs, the worst
camera of each. Then the same corners with a tenth of them wrong (moved by up to 40 px, or pictures of another time in
their place) or missing; and cameras that run free: frames at any phase, one clock 80 ms late.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.calibrate_scenes import (
    BOARD,
    Film,
    RigError,
    error_of,
    filmed,
    rig_of,
    with_gaps,
    with_wrong_corners,
    with_wrong_frames,
)
from calibration.errors import CalibrationError
from calibration.instants import together
from calibration.rig import CameraRig
from calibration.rig_solution import RigOptions, solve_rig
from calibration.sightings import BoardSightings, CameraSightings
from nodes.calibrating.corners_file import load_corners, save_corners

PLACE_MM, TURN_DEG, FOCAL_PERCENT = 3.0, 0.05, 0.2  # aims of the issue
WORSE = 1.5  # times, that wrong and missing corners may make it
SHARE = 0.1
LATE_S = 0.08
NEVER = RigError(np.inf, float("inf"), float("inf"))


def main(argv: list[str] | None = None) -> int:
    """Parse the options and measure all."""
    parser = report.parser(__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--seconds", type=float, default=75.0, help="length of the recording")
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--jobs", type=int, default=2, help="cameras rendered side by side")
    parser.add_argument("--seeds", type=int, default=3, help="of wrong and missing corners")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep found corners there, and use them again")
    options = parser.parse_args(argv)
    told = report.Report(f"rendered board, {options.seconds:g} s at {options.fps:g} Hz, the worst camera")
    for n_cameras in options.cameras:
        _synchronised(told, n_cameras, options)
    _free_running(told, 4, options)
    return told.finish(options)


def _synchronised(told: report.Report, n_cameras: int, options: argparse.Namespace) -> None:
    rig = rig_of(n_cameras)
    seen = together(_corners(rig, Film(options.seconds, options.fps), f"{n_cameras}", options))
    clean = _solved(told, f"{n_cameras} cameras", rig, seen, RigOptions())
    for name, value, limit in (
        ("places, mm", clean.place_mm, PLACE_MM),
        ("turns, degrees", clean.turn_deg, TURN_DEG),
        ("focal lengths, %", clean.focal_percent, FOCAL_PERCENT),
    ):
        told.aim(f"{n_cameras} cameras: {name}", value, limit)
    faults = {
        "10 % wrong corners": with_wrong_corners,
        "10 % wrong frames": with_wrong_frames,
        "10 % missing": with_gaps,
    }
    for name, spoilt in faults.items():
        runs = [
            _solved(told, f"{n_cameras} cameras, {name} ({seed})", rig, spoilt(seen, SHARE, seed), RigOptions())
            for seed in range(options.seeds)
        ]
        for figure in ("place_mm", "turn_deg", "focal_percent"):
            median = float(np.median([getattr(run, figure) for run in runs]))
            told.aim(f"{n_cameras} cameras, {name}: {figure} against clean", median / getattr(clean, figure), WORSE)


def _free_running(told: report.Report, n_cameras: int, options: argparse.Namespace) -> None:
    rig = rig_of(n_cameras)
    phase_s = tuple(np.random.default_rng(1).uniform(0, 1 / options.fps, n_cameras).tolist())
    late_s = (0.0, LATE_S, *([0.0] * (n_cameras - 2)))
    film = Film(options.seconds, options.fps, phase_s, late_s)
    seen = together(_corners(rig, film, f"{n_cameras}_free", options))
    _solved(told, f"{n_cameras} free, one 80 ms late, clocks trusted", rig, seen, RigOptions())
    found = _solved(
        told, f"{n_cameras} free, one 80 ms late, clocks found", rig, seen, RigOptions(offsets=True), late_s
    )
    told.aim(f"{n_cameras} free-running cameras: places, mm", found.place_mm, PLACE_MM)
    told.aim(f"{n_cameras} free-running cameras: turns, degrees", found.turn_deg, TURN_DEG)


def _corners(rig: CameraRig, film: Film, name: str, options: argparse.Namespace) -> tuple[CameraSightings, ...]:
    kept = options.keep / f"{name}.npz" if options.keep else None
    if kept is not None and kept.exists():
        return load_corners(kept)
    seen = filmed(rig, film, options.jobs)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_corners(seen, kept)
    return seen


def _solved(
    told: report.Report,
    name: str,
    rig: CameraRig,
    seen: BoardSightings,
    options: RigOptions,
    late_s: tuple[float, ...] = (),
) -> RigError:
    began = time.perf_counter()
    try:
        solution = solve_rig(BOARD, seen, options)
    except CalibrationError as why:
        told.row(what=name, corners=int(seen.seen.sum()), error=str(why))
        return NEVER
    seconds = time.perf_counter() - began
    error = error_of(rig, solution.rig)
    figures: Mapping[str, float] = {}
    if late_s:
        figures = {"clocks_ms": 1000 * float(np.abs(solution.offset_s + np.array(late_s)).max())}
    told.row(
        what=name,
        corners=int(seen.seen.sum()),
        dropped=solution.dropped,
        place_mm=error.place_mm,
        turn_deg=error.turn_deg,
        focal_percent=error.focal_percent,
        px_sigma=solution.sigma_px,
        seconds=seconds,
        **figures,
    )
    print(told.rows[-1], file=sys.stderr, flush=True)  # it takes minutes
    return error


if __name__ == "__main__":
    sys.exit(main())
