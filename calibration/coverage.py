"""Which pictures of a board tell most about a camera: where in the picture it was, and how it was tilted."""

import numpy as np
import numpy.typing as npt

from calibration.planar import homographies

Array = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

GRID_WH = (12, 8)  # cells of the map
TILTS = 5  # bins of each of the two directions in which a board recedes
TILT_STEP = 0.12  # of perspective across the board: the far edge so much smaller than the near one
WORTH_OF_TILT = 4.0  # of a cell: tilts tell the focal length, which cells alone do not


def coverage(corners_px: Array, size_wh: tuple[int, int]) -> I64:
    """(rows, columns) how many pictures have a corner in each cell. corners_px: (N, K, 2), NaN where not seen."""
    counts = np.zeros(GRID_WH[0] * GRID_WH[1], dtype=np.int64)
    for cells in _cells(corners_px, size_wh):
        counts[cells] += 1
    return counts.reshape(GRID_WH[1], GRID_WH[0])


def coverage_share(corners_px: Array, size_wh: tuple[int, int]) -> float:
    """Share of the picture's cells in which a corner was seen at least once."""
    return float((coverage(corners_px, size_wh) > 0).mean())


def chosen(corners_px: Array, size_wh: tuple[int, int], plane: Array, most: int) -> I64:
    """At most `most` pictures, in time order, that together show the most places and tilts.

    Greedy: each next one adds most where little is known yet. plane: (K, 2) corners on the board.
    """
    cells, tilts = _cells(corners_px, size_wh), _tilt_bins(plane, corners_px)
    known = np.zeros(GRID_WH[0] * GRID_WH[1])
    known_tilts = np.zeros(TILTS * TILTS)
    left = [n for n, cell in enumerate(cells) if len(cell)]
    taken: list[int] = []
    while left and len(taken) < most:
        gains = [(1 / (1 + known[cells[n]])).sum() + WORTH_OF_TILT / (1 + known_tilts[tilts[n]]) for n in left]
        best = left.pop(int(np.argmax(gains)))
        known[cells[best]] += 1
        known_tilts[tilts[best]] += 1
        taken.append(best)
    return np.sort(np.array(taken, dtype=np.int64))


def _cells(corners_px: Array, size_wh: tuple[int, int]) -> list[I64]:
    """Of each picture, the cells that hold a corner."""
    across, down = GRID_WH
    place = np.nan_to_num((corners_px + 0.5) / np.array(size_wh) * np.array(GRID_WH), nan=-1.0)
    inside = np.isfinite(corners_px).all(-1) & (place >= 0).all(-1) & (place < (across, down)).all(-1)
    index = place.astype(np.int64)
    return [np.unique(index[n, inside[n], 1] * across + index[n, inside[n], 0]) for n in range(len(corners_px))]


def _tilt_bins(plane: Array, corners_px: Array) -> I64:
    """(N,) one of TILTS² bins: how much smaller the picture of the board gets to the right and downwards."""
    H = np.nan_to_num(homographies(plane, corners_px))
    centre = np.append(plane.mean(0), 1.0)
    depth = H[:, 2] @ centre
    recedes = H[:, 2, :2] * np.ptp(plane, axis=0) / np.where(np.abs(depth) < 1e-12, np.inf, depth)[:, None]
    bins = np.clip(np.round(recedes / TILT_STEP) + TILTS // 2, 0, TILTS - 1).astype(np.int64)
    return np.asarray(bins[:, 0] * TILTS + bins[:, 1])
