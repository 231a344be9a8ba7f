"""Real sessions of a board through `run_system.py calibrate rig`, beside the calibration that was stored with them.

    python -m benchmarks.calibrate_rig --videos ../shared/data/caliscope/session_a ../shared/data/caliscope/session_c

Each DIR has a video per camera, charuco.toml (or board.toml), timestamps.csv and camera_array.toml, if it has one.
Lenses, places and clocks are found from the videos alone; figures of ours are of frames left out of the fit, the stored
calibration's are not. "simultaneous" takes the frames of an instant as taken together, the other line brings corners to
one moment by the frames' times.

Clocks are told once more in a way that knows nothing of where the cameras are: the turn from one camera to another is
the same at all moments, so the difference of their clocks is the one with which their pictures of the board agree best
that it is.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import report
from calibration.board import CharucoBoard, load_board
from calibration.planar import board_poses
from calibration.rig import Camera, CameraRig
from calibration.rig_file import load_rig
from calibration.sightings import CameraSightings
from calibration.twist import exp_twist, log_twist
from nodes.calibrating.corners_file import load_corners

F64 = npt.NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[1]
SPACING_MM = 0.1
CLEAR = 0.6  # of the other pose's error: below, one picture tells the board's tilt
WIDEST_S = 0.35  # between frames of which a turn in between is told
STEP_S, REACH_S = 0.005, 0.25
LEAST_MOMENTS = 10


def main(argv: list[str] | None = None) -> int:
    """Parse the options and run the command on every session."""
    parser = report.parser(__doc__)
    parser.add_argument("--videos", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep calibrations, corners and reports there")
    options = parser.parse_args(argv)
    told = report.Report("real sessions: corners on frames left out")
    with tempfile.TemporaryDirectory() as temporary:
        keep = options.keep or Path(temporary)
        keep.mkdir(parents=True, exist_ok=True)
        for folder in options.videos:
            board = next((folder / name for name in ("board.toml", "charuco.toml") if (folder / name).exists()), None)
            if board is None:
                return report.refuse(
                    f"{folder} has no board.toml and no charuco.toml: write the board's measures there"
                )
            _session(told, folder, board, keep / folder.name)
    return told.finish(options)


def _session(told: report.Report, folder: Path, board_file: Path, keep: Path) -> None:
    stored = folder / "camera_array.toml"
    out = keep.with_suffix(".toml")
    compare = ["--compare", str(stored)] if stored.exists() else []
    command = ["calibrate", "rig", "--videos", str(folder), "--board", str(board_file), "--out", str(out)]
    command += ["--report", str(keep), "--keep", "--force", *compare]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_system.py"), *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1) or not out.exists():
        told.row(what=folder.name, verdict=f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
        return
    document = json.loads((keep / "report.json").read_text(encoding="utf-8"))
    _figures(told, folder.name, document, seconds)
    board, rig = load_board(board_file), load_rig(out)
    corners = load_corners(out.with_suffix(".corners.npz"))
    _clocks(told, folder.name, document, lags(board, rig, corners))


def _figures(told: report.Report, name: str, document: dict[str, Any], seconds: float) -> None:
    held_out, board = document["held_out"], document["board"]
    told.row(
        what=f"{name}, ours",
        px_p50=held_out["px_p50"],
        px_p95=held_out["px_p95"],
        spacing_mm=board["spacing_mm"],
        verdict=document["verdict"],
        seconds=seconds,
    )
    for other, figures in document["compared"].items():
        told.row(
            what=f"{name}, {other}",
            px_p50=figures["held_out"]["px_p50"],
            px_p95=figures["held_out"]["px_p95"],
            spacing_mm=figures["board"]["spacing_mm"],
        )
        if other == "camera_array.toml":
            told.aim(f"{name}: px against the stored", held_out["px_p50"] / figures["held_out"]["px_p50"], 1.0)
    told.aim(f"{name}: spacing off by, mm", abs(board["spacing_mm"] - board["square_mm"]), SPACING_MM)


def _clocks(told: report.Report, name: str, document: dict[str, Any], found: dict[str, tuple[float, float]]) -> None:
    """One line a camera: late against the first, by the bundle and by the board's turning alone."""
    for camera, (late_ms, apart_deg) in found.items():
        offset_ms = document["cameras"][camera]["offset_ms"]
        told.row(
            what=f"{name}, clock of {camera}",
            late_ms_bundle=np.nan if offset_ms is None else -offset_ms,
            late_ms_turning=late_ms,
            disagreement_deg=apart_deg,
        )


def lags(board: CharucoBoard, rig: CameraRig, corners: tuple[CameraSightings, ...]) -> dict[str, tuple[float, float]]:
    """camera → by how many ms its times are late against the first, and what disagreement is left there, degrees.

    By how the board is turned: needs each camera's lens, but not where it stands.
    """
    turned = [_turned(board, rig[seen.camera], seen) for seen in corners]
    late_s = np.arange(-REACH_S, REACH_S + STEP_S / 2, STEP_S)
    found = {}
    for seen, own in zip(corners[1:], turned[1:], strict=True):
        apart = np.array([_disagreement(turned[0], own, late) for late in late_s])
        if np.isfinite(apart).any():
            best = int(np.nanargmin(apart))
            found[seen.camera] = (1000 * float(late_s[best]), float(np.degrees(apart[best])))
    return found


def _turned(board: CharucoBoard, camera: Camera, seen: CameraSightings) -> tuple[F64, F64]:
    """Moments (N,) and the board's rotations (N, 3, 3) in the camera, of frames whose tilt is clear."""
    poses, error = board_poses(board.corners_m(), camera.undistort(seen.corners_px))
    clear = np.isfinite(error[0]) & (error[0] < CLEAR * error[1]) & np.isfinite(seen.captured_s)
    return seen.captured_s[clear], poses[0, clear, :3, :3]


def _disagreement(first: tuple[F64, F64], other: tuple[F64, F64], late_s: float) -> float:
    """Median angle by which the turn from one camera to the other is not the same at all moments, radians."""
    at_s, R_first = first
    wanted_s, R_other = other[0] - late_s, other[1]
    after = np.clip(np.searchsorted(at_s, wanted_s), 1, len(at_s) - 1)
    gap_s = at_s[after] - at_s[after - 1]
    told = (gap_s < WIDEST_S) & (wanted_s >= at_s[after - 1]) & (wanted_s <= at_s[after])
    if told.sum() < LEAST_MOMENTS:
        return np.nan
    share = ((wanted_s - at_s[after - 1]) / np.maximum(gap_s, 1e-9))[told, None]
    R_before, R_after = R_first[after - 1][told], R_first[after][told]
    R_at = R_before @ _exp(share * _log(R_before.swapaxes(1, 2) @ R_after))
    between = R_other[told] @ R_at.swapaxes(1, 2)
    middle = min(between, key=lambda R: float(np.median(np.linalg.norm(_log(R.T @ between), axis=1))))
    for _ in range(3):
        middle = middle @ _exp(np.median(_log(middle.T @ between), axis=0))
    return float(np.median(np.linalg.norm(_log(middle.T @ between), axis=1)))


def _log(R: F64) -> F64:
    """Turns (..., 3) of rotations."""
    T = np.zeros((*R.shape[:-2], 4, 4))
    T[..., :3, :3], T[..., 3, 3] = R, 1.0
    return log_twist(T)[..., :3]


def _exp(turn: F64) -> F64:
    """Rotations (..., 3, 3) of turns."""
    return exp_twist(np.concatenate([turn, np.zeros_like(turn)], axis=-1))[..., :3, :3]


if __name__ == "__main__":
    sys.exit(main())
