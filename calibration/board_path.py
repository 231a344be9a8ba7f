"""The way of a board through the room, as a given rig sees it: its pose at every instant, and how fast it moved.

With it, corners that cameras saw at slightly different moments are brought to one: what is then left of reprojection is
the calibration's own error, not the board's motion between two shutters.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration import arrow, rigid
from calibration.board import CharucoBoard
from calibration.board_bundle import N_UNKNOWNS, OFFSET, BoardProblem, BoardState
from calibration.extrinsics import board_start, board_views
from calibration.lens_jacobian import N_INTRINSICS
from calibration.rig import Camera, CameraRig
from calibration.sightings import BoardSightings
from calibration.twist import log_twist

Array = npt.NDArray[np.float64]

WIDEST_S = 0.7  # between neighbours from which a velocity is told
ROUNDS, STEPS = 4, 20
SIGMA_PX = 0.5


@dataclass(frozen=True, eq=False)
class BoardPath:
    """Ts_world_board: (T, 4, 4). velocity: (T, 6) in the board's axes, rad/s and m/s. known: (T,) where it was seen.

    offset_s: (C,) of each camera's clock. shift_px: (C, T, K, 2) how far each corner had moved in the picture since
    the instant's common time; 0 where nothing is known. sigma_offset_s: (C,).
    """

    Ts_world_board: Array
    velocity: Array
    known: npt.NDArray[np.bool_]
    offset_s: Array
    shift_px: Array
    sigma_offset_s: Array


def instant_times(sightings: BoardSightings) -> Array:
    """(T,) the mean time of the frames of each instant, seconds; NaN where there are no times."""
    captured_s = sightings.captured_s
    there = np.isfinite(captured_s)
    total = np.where(there, captured_s, 0.0).sum(0)
    return np.where(there.any(0), total / np.maximum(there.sum(0), 1), np.nan)


def board_motion(Ts_world_board: Array, time_s: Array, widest_s: float = WIDEST_S) -> Array:
    """Velocity (T, 6) of the board in its own axes by central differences over neighbours in time.

    0 where neighbours are farther off than widest_s, or times are not known.
    """
    T = len(time_s)
    index = np.arange(T)
    gap = np.diff(time_s, prepend=np.nan, append=np.nan)
    before = np.where(gap[:-1] <= widest_s, index - 1, index)  # NaN compares false
    after = np.where(gap[1:] <= widest_s, index + 1, index)
    twist = log_twist(rigid.inverse(Ts_world_board[before]) @ Ts_world_board[after])
    lasting = np.where(after > before, time_s[after] - time_s[before], np.nan)[:, None]
    return np.asarray(np.nan_to_num(twist / lasting))


def follow(rig: CameraRig, board: CharucoBoard, sightings: BoardSightings, offset_s: Array | None = None) -> BoardPath:
    """The board's way as this rig sees it. offset_s: (C,) of the cameras' clocks; None: they are estimated, too.

    The rig's cameras are those of the sightings, in their order.
    """
    time_s = instant_times(sightings)
    T_cw = np.stack([camera.T_cam_world for camera in rig.cameras])
    rays = [camera.undistort(px) for camera, px in zip(rig.cameras, sightings.corners_px, strict=True)]
    Ts_world_board, known = board_start(board_views(board.corners_m(), rays), T_cw)
    C, T = sightings.captured_s.shape
    free = np.zeros((C, N_UNKNOWNS), dtype=bool)
    free[1:, OFFSET] = offset_s is None
    state = BoardState(
        T_cw,
        np.stack([vector_of(camera) for camera in rig.cameras]),
        np.zeros(C) if offset_s is None else offset_s,
        Ts_world_board[known],
    )
    problem = BoardProblem(
        board_m=board.corners_m(),
        corners_px=sightings.corners_px[:, known],
        lenses=tuple(camera.lens for camera in rig.cameras),
        free=free,
        prior=np.zeros((C, N_INTRINSICS)),
        prior_sigma=np.full((C, N_INTRINSICS), np.inf),
        time_s=(sightings.captured_s - time_s)[:, known],
        velocity=np.zeros((int(known.sum()), 6)),
        sigma_px=SIGMA_PX,
    )
    for _ in range(ROUNDS):
        state = arrow.minimise(problem, state, iterations=STEPS).state
        problem = replace(problem, velocity=board_motion(state.Ts_world_board, time_s[known]))
    sigma = np.zeros(C)
    if offset_s is None:
        sigma[1:] = np.sqrt(np.maximum(arrow.covariance(problem.linearised(state)).diagonal(), 0.0))
    Ts_world_board[known] = state.Ts_world_board
    velocity = np.zeros((T, 6))
    velocity[known] = problem.velocity
    shift_px = np.zeros(sightings.corners_px.shape)
    shift_px[:, known] = np.nan_to_num(problem.projected_px(state) - problem.at_rest().projected_px(state))
    return BoardPath(Ts_world_board, velocity, known, state.offset_s, shift_px, sigma)


def vector_of(camera: Camera) -> Array:
    """Its intrinsics as lens_jacobian orders them."""
    return np.concatenate([camera.K[[0, 1, 0, 1], [0, 1, 2, 2]], camera.dist8])
