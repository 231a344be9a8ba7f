"""A lens held against pictures of a board that it was not fitted to."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibration import arrow
from calibration.board import CharucoBoard
from calibration.board_bundle import N_UNKNOWNS, BoardProblem, BoardState
from calibration.errors import CalibrationError
from calibration.intrinsics import SIGMA_PX, Intrinsics, solve_intrinsics, usable_pictures
from calibration.lens import Lens
from calibration.lens_jacobian import N_INTRINSICS
from calibration.planar import board_poses
from calibration.sightings import CameraSightings

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FOLDS, BLOCKS, STEPS = 5, 25, 20


def left_out_px(board: CharucoBoard, sightings: CameraSightings, lens: Lens) -> Array:
    """(N, K, 2) residuals of each usable picture with a lens found without its block of time; NaN elsewhere.

    Only the board's pose is fitted to the picture itself. Raises CalibrationError when no fold has a solution.
    """
    rows = usable_pictures(board, sightings)
    fold = np.arange(len(rows)) * BLOCKS // len(rows) % FOLDS
    residual_px = np.full(sightings.corners_px.shape, np.nan)
    faults = []
    for f in range(FOLDS):
        try:
            found = solve_intrinsics(board, at(sightings, rows[fold != f]), lens)
        except CalibrationError as error:
            faults.append(str(error))
            continue
        residual_px[rows[fold == f]] = fitted_px(board, found.intrinsics, sightings.corners_px[rows[fold == f]])
    if len(faults) == FOLDS:
        raise CalibrationError(faults[0])
    return residual_px


def fitted_px(board: CharucoBoard, lens: Intrinsics, corners_px: Array) -> Array:
    """(N, K, 2) what is left when the board is put where it fits each picture (N, K, 2) best."""
    poses, _ = board_poses(board.corners_m(), lens.rays(corners_px))
    problem = BoardProblem(
        board_m=board.corners_m(),
        corners_px=corners_px[None],
        lenses=(lens.lens,),
        free=np.zeros((1, N_UNKNOWNS), dtype=bool),
        prior=np.zeros((1, N_INTRINSICS)),
        prior_sigma=np.full((1, N_INTRINSICS), np.inf),
        time_s=np.zeros((1, len(corners_px))),
        velocity=np.zeros((len(corners_px), 6)),
        sigma_px=SIGMA_PX,
    )
    state = BoardState(np.eye(4)[None], lens.vector[None], np.zeros(1), poses[0])
    return np.asarray(problem.residual_px(arrow.minimise(problem, state, iterations=STEPS).state)[0])


def at(sightings: CameraSightings, rows: npt.NDArray[np.int64] | Bools) -> CameraSightings:
    """Only these pictures."""
    return replace(
        sightings,
        captured_s=sightings.captured_s[rows],
        frame=sightings.frame[rows],
        corners_px=sightings.corners_px[rows],
        mirrored=sightings.mirrored[rows],
        sync=sightings.sync[rows],
    )
