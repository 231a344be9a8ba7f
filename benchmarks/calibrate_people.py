"""Calibration from a person who walks, no board: rendered cameras with known truth, and real recordings.

    python -m benchmarks.calibrate_people [--cache FOLDER] [--data ../shared/data] [--splits N] [--json FILE] [--check]

Rendered: four cameras at 30 Hz, whose clocks differ by up to half a second, see the virtual actor walk; the pictures
are made and the real detector runs on them (minutes; kept in the cache). Position errors are shares of the rig's size
(the cameras' distance from their middle, root mean square), after turning and shifting the rig onto the truth without
scaling. Real: held-out reprojection with the supplied calibration, with the one refined from the person, and with the
one made from nothing but the lenses; same instants, same measure (least squares over all views), several splits.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.calibrate_people_scenes import OFFSETS_S, detected, frame_times, virtual_rig
from benchmarks.report import Report, parser
from calibration import rigid
from calibration.board import load_board
from calibration.measure import measured
from calibration.people import world
from calibration.people.held_out import Fit
from calibration.people.solve import Options, PeopleSolution, solve_from_people
from calibration.people.track import PersonTrack
from calibration.rig import CameraRig
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic_body import REFERENCE_STATURE_M
from nodes.calibrating.check import corners_of
from nodes.calibrating.people_tracks import walk_of

F64 = npt.NDArray[np.float64]

RECORDINGS = ("pose2sim/pose2sim_single.npz", "caliscope/caliscope_4cam_mediapipe.npz")
BOARD = ("caliscope/session_c/charuco.toml", "caliscope/charuco_session_c.npz")  # the second recording's cameras
POSITION_SHARE, ROTATION_DEG, OFFSET_MS = 0.02, 0.5, 3.0
BETTER = 0.9  # held-out pixels over those of the supplied calibration


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--cache", type=Path, help="keep rendered detections there (default: made anew)")
    made.add_argument("--data", type=Path, default=Path("../shared/data"), help="the recordings, where they are")
    made.add_argument("--splits", type=int, default=3, help="how many ways of holding out")
    options = made.parse_args()
    report = Report("calibrated from a person who walks")
    with tempfile.TemporaryDirectory() as folder:
        rendered(report, options.cache or Path(folder), options.splits)
    for name in RECORDINGS:
        if (options.data / name).is_file():
            recorded(report, options.data / name, options.splits)
        else:
            print(f"{options.data / name} is not there: passed over", file=sys.stderr)
    if all((options.data / name).is_file() for name in (*BOARD, RECORDINGS[1])):
        on_the_board(report, options.data)
    return report.finish(options)


def rendered(report: Report, cache: Path, splits: int) -> None:
    """The virtual rig, from nothing, with the scale by a measured distance and by the stature."""
    truth = virtual_rig()
    keypoints_px, confidence = detected(cache)
    tracks = [
        PersonTrack(name, frame_times(), px, sure, MEDIAPIPE33.joints)
        for name, px, sure in zip(truth.names, keypoints_px, confidence, strict=True)
    ]
    blank = [replace(camera, T_cam_world=np.eye(4)) for camera in truth.cameras]
    apart_m = float(np.linalg.norm(np.subtract(*world.centres(poses(truth))[:2])))
    scales = {
        "distance": Options(distance=(truth.names[0], truth.names[1], apart_m)),
        "stature": Options(stature_m=REFERENCE_STATURE_M),
    }
    worst: dict[str, list[tuple[float, ...]]] = {}
    for scale, options in scales.items():
        for seed in range(splits):
            found = solve_from_people(tracks, blank, replace(options, seed=seed))
            shares, degrees, late_ms = errors(found, truth)
            worst.setdefault(scale, []).append((shares.max(), degrees.max(), late_ms.max()))
            report.row(
                recording="rendered walker",
                calibration=f"from nothing, {scale}",
                split=seed,
                **pixels(found.held_out),
                **{"position %": 100 * shares.max(), "rotation °": degrees.max(), "clock ms": late_ms.max()},
            )
    for scale, figures in worst.items():
        share, degree, ms = np.max(figures, axis=0)
        report.aim(f"rendered, {scale}: position, share of the rig's size", float(share), POSITION_SHARE)
        report.aim(f"rendered, {scale}: rotation, degrees", float(degree), ROTATION_DEG)
        report.aim(f"rendered, {scale}: clocks, ms", float(ms), OFFSET_MS)


def recorded(report: Report, path: Path, splits: int) -> None:
    """A real recording: supplied calibration, refined, from nothing."""
    walk = walk_of(path)
    assert walk.rig is not None
    ratios = []
    for seed in range(splits):
        refined = solve_from_people(walk.tracks, walk.rig.cameras, Options(start="given", seed=seed))
        anew = solve_from_people(walk.tracks, walk.rig.cameras, Options(seed=seed))
        assert refined.before is not None
        for calibration, fit in fits(refined, anew):
            report.row(recording=path.stem, calibration=calibration, split=seed, **pixels(fit))
        ratios.append(
            (refined.held_out.whole.p50 / refined.before.whole.p50, anew.held_out.whole.p50 / refined.before.whole.p50)
        )
    refined_worst, anew_worst = np.max(ratios, axis=0)
    report.aim(f"{path.stem}: refined over supplied, p50", float(refined_worst), BETTER)
    report.aim(f"{path.stem}: from nothing over supplied, p50", float(anew_worst), BETTER)


def fits(refined: PeopleSolution, anew: PeopleSolution) -> Iterator[tuple[str, Fit]]:
    """What is told of one split."""
    assert refined.before is not None
    yield "supplied", refined.before
    yield "refined", refined.held_out
    yield "from nothing", anew.held_out


def on_the_board(report: Report, data: Path) -> None:
    """The same cameras saw a board on another day: what was gained on the person, and what was lost on the board."""
    walk = walk_of(data / RECORDINGS[1])
    assert walk.rig is not None
    board = load_board(data / BOARD[0])
    seen = corners_of(data / BOARD[1], board)
    refined = solve_from_people(walk.tracks, walk.rig.cameras, Options(start="given")).rig
    for calibration, rig in (("supplied", walk.rig), ("refined on the person", refined)):
        measures = measured(rig, board, seen)
        report.row(
            recording="the board, same cameras",
            calibration=calibration,
            p50=measures.whole.px_p50,
            p95=measures.whole.px_p95,
            **{"board mm of 54": measures.spacing.mm},
        )


def pixels(fit: Fit) -> dict[str, float]:
    """Held-out figures of a row."""
    return {"instants": fit.instants, "p50": fit.whole.p50, "p95": fit.whole.p95}


def poses(rig: CameraRig) -> F64:
    """(C, 4, 4)."""
    return np.stack([camera.T_cam_world for camera in rig.cameras])


def errors(found: PeopleSolution, truth: CameraRig) -> tuple[F64, F64, F64]:
    """Shares of the rig's size, degrees, and milliseconds of each camera; the rig is turned and shifted, not scaled."""
    T, T_true = poses(found.rig), poses(truth)
    laid = world.aligned(T, T_true, scale=1.0).poses(T)
    shares = np.linalg.norm(world.centres(laid) - world.centres(T_true), axis=1) / world.size_of(T_true)
    turned = [rigid.rotvec_from_rotation(R) for R in laid[:, :3, :3] @ T_true[:, :3, :3].swapaxes(1, 2)]
    late_ms = np.asarray(1000.0 * np.abs(found.offsets_s - np.array(OFFSETS_S)), dtype=np.float64)
    return shares, np.degrees(np.linalg.norm(turned, axis=1)), late_ms


if __name__ == "__main__":
    sys.exit(main())
