"""How surely a solved rig measures where the board was: what of its uncertainty shows there, and what cancels.

A camera's direction and its principal point are known each by itself to a degree only, as one makes good for the other;
together they are known far better. And a turn of the whole rig does no harm. So rigs are drawn from the solution's
covariance, each measures the same points, is laid over the solution as well as a rigid motion can, and what is left is
the uncertainty that users would see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.arrow import covariance
from calibration.board_bundle import BoardProblem, BoardState
from calibration.measure import triangulated
from calibration.rig import CameraRig
from calibration.twist import log_twist
from calibration.world_frame import moved

Array = npt.NDArray[np.float64]

DRAWS, PLACES = 32, 40
FEWEST_POINTS = 3


@dataclass(frozen=True, eq=False)
class Certainty:
    """One standard deviation, the whole rig laid over the truth.

    aim_m: (C,) how far a camera's line of sight passes beside points, NaN where it sees none. shape_m: how far measured
    points are off. Of both, the median over points. position_m, rotation_rad: (C,) of the cameras themselves.
    """

    aim_m: Array
    shape_m: float
    position_m: Array
    rotation_rad: Array

    def or_worse(self, other: "Certainty") -> "Certainty":
        """The larger of both, figure by figure."""
        return Certainty(
            np.fmax(self.aim_m, other.aim_m),
            float(np.fmax(self.shape_m, other.shape_m)),
            np.fmax(self.position_m, other.position_m),
            np.fmax(self.rotation_rad, other.rotation_rad),
        )


def certainty(
    problem: BoardProblem, state: BoardState, rig_of: Callable[[BoardState], CameraRig], seed: int = 0
) -> Certainty:
    """Of a solution, by rigs drawn from its covariance: of errors that are random from corner to corner.

    rig_of makes a rig of a state.
    """
    values, vectors = np.linalg.eigh(covariance(problem.linearised(state)))
    spread = vectors * np.sqrt(np.maximum(values, 0.0))
    random = np.random.default_rng(seed)
    still = np.zeros((len(state.Ts_world_board), 6))
    drawn = [rig_of(problem.moved(state, spread @ random.standard_normal(len(spread)), still)) for _ in range(DRAWS)]
    return _apart(rig_of(state), drawn, places(problem, state), 1.0)


def jackknife(rig: CameraRig, others: Sequence[CameraRig], places_m: Array) -> Certainty:
    """Of a rig, by others that each did without one of so many parts of the recording (Tukey 1958).

    It knows of what is wrong alike in all corners of a picture, or for a while: motion, clocks, a board that bends.
    places_m: (N, 3) where the board was, world.
    """
    return _apart(rig, others, places_m, float(np.sqrt(max(len(others) - 1, 0))))


def _apart(rig: CameraRig, others: Sequence[CameraRig], points_m: Array, factor: float) -> Certainty:
    """How far the others, each laid over the rig, are from it: root mean square, times a factor."""
    points_px = _in_picture(rig, points_m)
    known = np.isfinite(points_px).all(-1).sum(0) >= 2
    points_m, points_px = points_m[known], points_px[:, known]
    aims, shapes, shifts, turns = [], [], [], []
    for other in others:
        measured_m = triangulated(other, points_px)
        there = np.isfinite(measured_m).all(1)
        if there.sum() < FEWEST_POINTS:
            continue
        T = rigid_fit(measured_m[there], points_m[there])
        laid = moved(other, T)
        off = np.stack([a.T_cam_world @ b.T_world_cam for a, b in zip(rig.cameras, laid.cameras, strict=True)])
        shapes.append(np.nanmedian(np.linalg.norm(rigid.transform(T, measured_m) - points_m, axis=1)))
        aims.append(_misses(laid, points_m, points_px))
        shifts.append(np.linalg.norm(off[:, :3, 3], axis=1))
        turns.append(np.linalg.norm(log_twist(off)[:, :3], axis=1))
    if not shapes:
        nothing = np.full(len(rig.cameras), np.nan)
        return Certainty(nothing, np.nan, nothing, nothing)
    return Certainty(factor * _rms(aims), factor * float(_rms(shapes)), factor * _rms(shifts), factor * _rms(turns))


def _rms(values: Sequence[Array]) -> Array:
    return np.asarray(np.sqrt(np.mean(np.square(values), axis=0)))


def rigid_fit(points_m: Array, target_m: Array) -> Array:
    """T (4, 4) that carries points (N, 3) onto the target (N, 3) best (Kabsch 1976)."""
    middle, target_middle = points_m.mean(0), target_m.mean(0)
    U, _, Vt = np.linalg.svd((target_m - target_middle).T @ (points_m - middle))
    R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    return rigid.from_rotation(R, target_middle - R @ middle)


def places(problem: BoardProblem, state: BoardState) -> Array:
    """(N, 3) two opposite corners of the board at places along its way."""
    boards = state.Ts_world_board
    few = boards[np.linspace(0, len(boards) - 1, min(PLACES, len(boards))).astype(int)]
    ends = problem.board_m[[0, -1]]
    return np.concatenate([few[:, :3, :3] @ end + few[:, :3, 3] for end in ends])


def _in_picture(rig: CameraRig, points_m: Array) -> Array:
    """(C, N, 2) pixels, NaN outside the pictures."""
    points_px = rig.project(points_m)
    size = np.array([camera.size_wh for camera in rig.cameras])[:, None]
    with np.errstate(invalid="ignore"):
        inside = ((points_px > 0) & (points_px < size)).all(-1)
    return np.where(inside[..., None], points_px, np.nan)


def _misses(rig: CameraRig, points_m: Array, points_px: Array) -> Array:
    """(C,) median distance of lines of sight from the points."""
    misses = np.full(len(rig.cameras), np.nan)
    for c, camera in enumerate(rig.cameras):
        off_px = np.linalg.norm(camera.project(points_m) - points_px[c], axis=1)
        depth_m = rigid.transform(camera.T_cam_world, points_m)[:, 2]
        across_m = off_px * depth_m / camera.K[0, 0]
        if np.isfinite(across_m).any():
            misses[c] = np.nanmedian(across_m)
    return misses
