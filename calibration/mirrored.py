"""Which camera's picture is mirrored, where a board's recording does not fit: by solving with each turned back.

Whether the board looked mirrored does not tell it: a camera of a ring may only ever see the back of a two-sided board.
"""

from dataclasses import replace

import numpy as np

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.limits import BOARD_PX, CULPRIT_SHARE
from calibration.measure import measured
from calibration.rig_solution import RigOptions, solve_rig
from calibration.sightings import BoardSightings

MOST_INSTANTS = 60  # a mirrored picture shows on every one
AS_GOOD = 1.5  # times the best: of two cameras either may be the mirrored one


def mirrored_cameras(board: CharucoBoard, sightings: BoardSightings, options: RigOptions) -> tuple[str, ...]:
    """The camera whose mirrored picture, turned back, lets all fit twice as well; of a pair both. () for none.

    Takes one solution for each camera: to be asked when a rig was refused, or is to be done again.
    """
    together = np.flatnonzero((sightings.seen.sum(2) >= 4).sum(0) >= 2)
    if not len(together):
        return ()
    few = np.unique(np.linspace(0, len(together) - 1, MOST_INSTANTS).astype(int))
    sightings = sightings.at(together[few])
    limit_px = min(CULPRIT_SHARE * _px(board, sightings, options), BOARD_PX.usable)
    px = np.array([_px(board, _turned_back(sightings, c), options, name) for c, name in enumerate(sightings.cameras)])
    return tuple(np.array(sightings.cameras)[(px < limit_px) & (px < AS_GOOD * px.min())].tolist())


def _px(board: CharucoBoard, sightings: BoardSightings, options: RigOptions, turned: str = "") -> float:
    """Median distance, at 1000 px focal length; inf where nothing fits. A known lens is none of a turned picture."""
    known = {name: lens for name, lens in options.intrinsics.items() if name != turned}
    try:
        rig = solve_rig(board, sightings, replace(options, intrinsics=known)).rig
    except CalibrationError:
        return float("inf")
    px = measured(rig, board, sightings).whole.px_p50_at_1000
    return px if np.isfinite(px) else float("inf")


def _turned_back(sightings: BoardSightings, c: int) -> BoardSightings:
    corners_px, mirrored = sightings.corners_px.copy(), sightings.mirrored.copy()
    corners_px[c, ..., 0] = sightings.sizes_wh[c][0] - 1 - corners_px[c, ..., 0]
    mirrored[c] = ~mirrored[c]
    return replace(sightings, corners_px=corners_px, mirrored=mirrored)
