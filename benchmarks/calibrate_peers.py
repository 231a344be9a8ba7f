"""Our solver beside aniposelib's bundle adjustment, on the same corners in one run: error, seconds, memory.

    python -m benchmarks.calibrate_peers [--frames 2000] [--caliscope DIR] [--json FILE] [--check]

Synthetic: four cameras (benchmarks/calibrate_scenes.py), corners with 0.3 px of noise, nothing else given; errors after
the best rigid alignment, the worst camera; px and spacing on another recording of the same rig. Real: the corners of
charuco_session_a and _c (--caliscope), every fifth part left out in turn and held against the rest; frames of an
instant are taken as simultaneous, as aniposelib does, and once more as ours are by default, with frame times.

aniposelib 0.7.2 as its users run it, `CameraGroup.calibrate_rows`: lenses by OpenCV, chained poses, then
`bundle_adjust_iter`, which fits up to 1000 points drawn at random ("default"), or many ("all points"). Memory: the
peak of what ours allocates, at 500 to 4000 frames.
"""

import contextlib
import io
import itertools
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import report
from benchmarks.calibrate_scenes import BOARD, Film, error_of, projected, rig_of
from calibration import rigid
from calibration.board import CharucoBoard, load_board
from calibration.cross_validation import cross_validated
from calibration.errors import CalibrationError
from calibration.measure import Measures, measured, told_of
from calibration.rig import Camera, CameraRig
from calibration.rig_solution import RigOptions, solve_rig
from calibration.sightings import BoardSightings

F64 = npt.NDArray[np.float64]
Solver = Callable[[CharucoBoard, BoardSightings], CameraRig]

NOISE_PX = 0.3
FPS = 10.0
FOLDS, BLOCK = 5, 4  # instants of a block stay together
SECONDS = 60.0  # aim of the issue, for four cameras x 2000 frames
MEMORY_FRAMES = (500, 1000, 2000, 4000)
LINEAR = 2.5  # doubling the frames must not cost more than this in memory
MANY = 20_000
CALISCOPE = Path(__file__).resolve().parents[2] / "shared" / "data" / "caliscope"


def main(argv: list[str] | None = None) -> int:
    """Parse the options and measure all."""
    parser = report.parser(__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--caliscope", type=Path, default=CALISCOPE, metavar="DIR")
    parser.add_argument("--all-points", action="store_true", help="aniposelib with all points, too: minutes")
    options = parser.parse_args(argv)
    try:
        import aniposelib  # noqa: F401
    except ImportError:
        return report.refuse("aniposelib is missing: pip install 'aniposelib==0.7.2'")
    told = report.Report("ours beside aniposelib, the same corners")
    solvers = _solvers(options.all_points)
    _synthetic(told, solvers, options.frames)
    for session in ("a", "c"):
        if (options.caliscope / f"charuco_session_{session}.npz").exists():
            _real(told, solvers, options.caliscope, session)
    _memory(told)
    return told.finish(options)


def _solvers(all_points: bool) -> dict[str, Solver]:
    solvers: dict[str, Solver] = {"ours": _ours, "aniposelib, default": _aniposelib}
    if all_points:
        solvers["aniposelib, all points"] = _aniposelib_all
    return solvers


def _ours(board: CharucoBoard, seen: BoardSightings) -> CameraRig:
    return solve_rig(board, _timeless(seen)).rig


def _timeless(seen: BoardSightings) -> BoardSightings:
    captured_s = np.full(seen.captured_s.shape, np.nan)
    return BoardSightings(seen.cameras, seen.sizes_wh, captured_s, seen.frame, seen.corners_px, seen.mirrored)


def _aniposelib(board: CharucoBoard, seen: BoardSightings) -> CameraRig:
    return _aniposelib_with(board, seen)


def _aniposelib_all(board: CharucoBoard, seen: BoardSightings) -> CameraRig:
    return _aniposelib_with(board, seen, n_samp_iter=MANY, n_samp_full=MANY)


def _aniposelib_with(board: CharucoBoard, seen: BoardSightings, **how_many: int) -> CameraRig:
    """Silent; random draws with a fixed seed. Raises what it raises."""
    from aniposelib.boards import CharucoBoard as TheirBoard
    from aniposelib.cameras import Camera as TheirCamera
    from aniposelib.cameras import CameraGroup

    np.random.seed(0)
    theirs = TheirBoard(board.columns, board.rows, board.square_m, board.marker_m, 4, 1000)
    group = CameraGroup([TheirCamera(name=n, size=s) for n, s in zip(seen.cameras, seen.sizes_wh, strict=True)])
    with contextlib.redirect_stdout(io.StringIO()):
        group.calibrate_rows(_rows(seen), theirs, verbose=False, **how_many)
    cameras = []
    for name, size_wh, each in zip(seen.cameras, seen.sizes_wh, group.cameras, strict=True):
        T = rigid.from_rotation(rigid.rotation_from_rotvec(each.get_rotation()), each.get_translation())
        cameras.append(Camera(name, size_wh, each.get_camera_matrix(), each.get_distortions(), T))
    return CameraRig(tuple(cameras))


def _rows(seen: BoardSightings) -> list[list[dict[str, Any]]]:
    """As its detector would have found them."""
    there = seen.seen
    return [
        [
            {
                "framenum": (0, int(t)),
                "corners": seen.corners_px[c, t, there[c, t]].astype(np.float32)[:, None],
                "ids": np.flatnonzero(there[c, t]).astype(np.int32)[:, None],
            }
            for t in np.flatnonzero(there[c].sum(1) >= 6)
        ]
        for c in range(len(seen.cameras))
    ]


def _synthetic(told: report.Report, solvers: dict[str, Solver], frames: int) -> None:
    rig = rig_of(4)
    seen = projected(rig, Film(frames / FPS, FPS), NOISE_PX)
    other = projected(rig, Film(60.0, 4.0, phase_s=(1000.0,) * 4), NOISE_PX, seed=1)
    for name, solver in solvers.items():
        began, cpu = time.perf_counter(), time.process_time()
        found = solver(BOARD, seen)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        error, fit = error_of(rig, found), measured(found, BOARD, other)
        told.row(
            what=f"4 cameras x {frames}, {name}",
            place_mm=error.place_mm,
            turn_deg=error.turn_deg,
            focal_percent=error.focal_percent,
            px_p50=fit.whole.px_p50,
            px_p95=fit.whole.px_p95,
            spacing_mm=fit.spacing.mm,
            seconds=seconds,
            cpu_s=cpu_s,
        )
        print(told.rows[-1], file=sys.stderr, flush=True)  # it takes minutes
        if name == "ours":
            told.aim(f"4 cameras x {frames} frames, seconds", seconds, SECONDS)


def _real(told: report.Report, solvers: dict[str, Solver], folder: Path, session: str) -> None:
    board = load_board(folder / f"session_{session}" / "charuco.toml")
    stored, seen = _corners(folder / f"charuco_session_{session}.npz")
    ours = np.nan
    for name, solver in solvers.items():
        began = time.perf_counter()
        fit, failed = _held_out(board, seen, solver)
        _row(told, f"session {session}, {name}, simultaneous", fit, time.perf_counter() - began, failed)
        ours = fit.whole.px_p50 if name == "ours" else ours
    began = time.perf_counter()
    timed = cross_validated(board, seen, RigOptions())
    if timed is not None:
        _row(told, f"session {session}, ours, with times", timed.measures, time.perf_counter() - began, 0)
    fit = measured(stored, board, seen)
    _row(told, f"session {session}, its own calibration (not held out)", fit, np.nan, 0)
    told.aim(f"session {session}: px against its own calibration, simultaneous", ours / fit.whole.px_p50, 1.0)


def _row(told: report.Report, what: str, fit: Measures, seconds: float, failed: int) -> None:
    told.row(
        what=what,
        px_p50=fit.whole.px_p50,
        px_p95=fit.whole.px_p95,
        spacing_mm=fit.spacing.mm,
        seconds=seconds,
        folds_failed=failed,
    )


def _held_out(board: CharucoBoard, seen: BoardSightings, solver: Solver) -> tuple[Measures, int]:
    """Every instant measured with a rig that it took no part in; how many of the folds had no solution."""
    fold = (np.arange(seen.frame.shape[1]) // BLOCK) % FOLDS
    points_m = np.full((*seen.corners_px.shape[1:3], 3), np.nan)
    residual_px, failed, rig = np.full(seen.corners_px.shape, np.nan), 0, None
    for f in range(FOLDS):
        try:
            rig = solver(board, seen.at(fold != f))
        except (CalibrationError, ValueError, AssertionError, np.linalg.LinAlgError, KeyError, IndexError):
            failed += 1
            continue
        found = measured(rig, board, seen.at(fold == f))
        points_m[fold == f], residual_px[:, fold == f] = found.points_m, found.residual_px
    if rig is None:
        raise CalibrationError("no fold has a solution")
    return told_of(rig, board, points_m, residual_px), failed


def _corners(path: Path) -> tuple[CameraRig, BoardSightings]:
    """The neutral file's own calibration and corners."""
    with np.load(path) as arrays:
        names = [str(name) for name in arrays["cameras"]]
        sizes_wh = tuple((int(w), int(h)) for w, h in arrays["image_size"])
        Ts = [rigid.from_rotation(R, t) for R, t in zip(arrays["R"], arrays["t"], strict=True)]
        lenses = zip(names, sizes_wh, arrays["K"], arrays["dist"], Ts, strict=True)
        rig = CameraRig(tuple(Camera(*each) for each in lenses))
        corners_px = arrays["keypoints2d"][:, :, 0, :, :2].astype(np.float64).swapaxes(0, 1)
        captured_s, mirrored = arrays["frame_time"].T, arrays["mirrored"].T
    frame = np.tile(np.arange(corners_px.shape[1]), (len(names), 1))
    return rig, BoardSightings(rig.names, sizes_wh, captured_s, frame, corners_px, mirrored)


def _memory(told: report.Report) -> None:
    """Peak of what is allocated while ours solves."""
    peaks = []
    for frames in MEMORY_FRAMES:
        seen = projected(rig_of(4), Film(frames / FPS, FPS), NOISE_PX)
        tracemalloc.start()
        solve_rig(BOARD, seen)
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
        told.row(what=f"ours, 4 cameras x {frames}", memory_mib=peaks[-1])
        print(told.rows[-1], file=sys.stderr, flush=True)
    told.aim("memory at twice the frames", max(b / a for a, b in itertools.pairwise(peaks)), LINEAR)


if __name__ == "__main__":
    sys.exit(main())
