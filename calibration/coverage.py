"""Where in its picture a camera saw something."""

import numpy as np
import numpy.typing as npt

GRID_WH = (8, 6)  # cells about as large as the corner-to-corner of a board that fills a third of the picture


def counts(points_px: npt.NDArray[np.float64], size_wh: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(rows, columns) of GRID_WH: how many of the points (..., 2) lie in each cell; NaN and those outside in none."""
    columns, rows = GRID_WH
    width, height = size_wh
    points = points_px.reshape(-1, 2)
    points = points[np.isfinite(points).all(-1)] + 0.5  # the picture reaches from -0.5
    told, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=(rows, columns), range=((0, height), (0, width)))
    return told.astype(np.int64)


def share(points_px: npt.NDArray[np.float64], size_wh: tuple[int, int]) -> float:
    """Share of the picture's cells with at least one of the points."""
    return float((counts(points_px, size_wh) > 0).mean())
