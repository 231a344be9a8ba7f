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
    """One standard deviation (root mean square over draws), the whole rig laid over the truth; random errors alone.

    aim_m: (C,) how far a camera's line of sight passes beside points, NaN where it sees none. shape_m: how far measured
    points are off. Of both, the median over points. position_m, rotation_rad: (C,) of the cameras themselves.
    """

    aim_m: Array
    shape_m: float
    position_m: Array
    rotation_rad: Array


def certainty(
    problem: BoardProblem, state: BoardState, rig_of: Callable[[BoardState], CameraRig], seed: int = 0
) -> Certainty:
    """Of a solution; rig_of makes a rig of a state."""
    rig = rig_of(state)
    points_m = _points(problem, state)
    points_px = _in_picture(rig, points_m)
    known = np.isfinite(points_px).all(-1).sum(0) >= 2
    points_m, points_px = points_m[known], points_px[:, known]
    values, vectors = np.linalg.eigh(covariance(problem.linearised(state)))
    spread = vectors * np.sqrt(np.maximum(values, 0.0))
    random = np.random.default_rng(seed)
    aims, shapes, shifts, turns = [], [], [], []
    for _ in range(DRAWS):
        step = spread @ random.standard_normal(len(spread))
        drawn = rig_of(problem.moved(state, step, np.zeros((len(state.Ts_world_board), 6))))
        measured_m = triangulated(drawn, points_px)
        there = np.isfinite(measured_m).all(1)
        if there.sum() < FEWEST_POINTS:
            return Certainty(np.full(len(rig.cameras), np.nan), np.nan, *(np.full(len(rig.cameras), np.nan),) * 2)
        T = rigid_fit(measured_m[there], points_m[there])
        shapes.append(np.nanmedian(np.linalg.norm(rigid.transform(T, measured_m) - points_m, axis=1)))
        laid = moved(drawn, T)
        aims.append(_misses(laid, points_m, points_px))
        off = np.stack([a.T_cam_world @ b.T_world_cam for a, b in zip(rig.cameras, laid.cameras, strict=True)])
        shifts.append(np.linalg.norm(off[:, :3, 3], axis=1))
        turns.append(np.linalg.norm(log_twist(off)[:, :3], axis=1))
    return Certainty(_rms(aims), float(_rms(shapes)), _rms(shifts), _rms(turns))


def _rms(values: Sequence[Array]) -> Array:
    return np.asarray(np.sqrt(np.mean(np.square(values), axis=0)))


def rigid_fit(points_m: Array, target_m: Array) -> Array:
    """T (4, 4) that carries points (N, 3) onto the target (N, 3) best (Kabsch 1976)."""
    middle, target_middle = points_m.mean(0), target_m.mean(0)
    U, _, Vt = np.linalg.svd((target_m - target_middle).T @ (points_m - middle))
    R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    return rigid.from_rotation(R, target_middle - R @ middle)


def _points(problem: BoardProblem, state: BoardState) -> Array:
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
