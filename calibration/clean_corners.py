"""Corners that cannot belong to the board where the others of the same picture say it is."""

import numpy as np
import numpy.typing as npt

from calibration.planar import homographies

Array = npt.NDArray[np.float64]

TRIALS = 40  # with a tenth of the corners wrong, one of these is free of them but for 1 case in 10^18
LEAST_PX = 6.0  # a lens bends a straight board by that much
ODD = 6.0  # times the usual distance
SOME = 512  # pictures at a time


def clean(plane: Array, corners_px: Array, seed: int = 0) -> tuple[Array, int]:
    """corners_px (..., K, 2) with NaN for those that do not lie where a homography of the board puts them; how many.

    Least median of squares over homographies of four corners (Rousseeuw 1984). plane: (K, 2). Pictures with fewer than
    six corners stay as they are: there is nothing to hold them against.
    """
    flat = np.where(np.isfinite(corners_px), corners_px, np.nan).reshape(-1, *corners_px.shape[-2:])
    odd = np.zeros(flat.shape[:-1], dtype=bool)
    testable = np.flatnonzero(np.isfinite(flat).all(-1).sum(1) >= 6)
    random = np.random.default_rng(seed)
    for start in range(0, len(testable), SOME):
        rows = testable[start : start + SOME]
        odd[rows] = _odd(plane, flat[rows], random)
    cleaned = np.where(odd[..., None], np.nan, flat)
    return cleaned.reshape(corners_px.shape), int(odd.sum())


def _odd(plane: Array, corners_px: Array, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    seen = np.isfinite(corners_px).all(-1)
    best, least = np.full(seen.shape, np.inf), np.full(len(seen), np.inf)
    for _ in range(TRIALS):
        order = np.argsort(np.where(seen, random.random(seen.shape), 2.0), axis=1)
        four = np.zeros_like(seen)
        np.put_along_axis(four, order[:, :4], True, axis=1)
        off = _distance(plane, homographies(plane, np.where(four[..., None], corners_px, np.nan)), corners_px)
        median = np.nanmedian(np.where(seen, np.nan_to_num(off, nan=1e9), np.nan), axis=1)
        better = median < least
        least, best = np.where(better, median, least), np.where(better[:, None], off, best)
    return np.asarray(seen & ~(best <= np.maximum(ODD * 1.48 * least, LEAST_PX)[:, None]))


def _distance(plane: Array, H: Array, corners_px: Array) -> Array:
    points = np.concatenate([plane, np.ones((len(plane), 1))], axis=1) @ H.swapaxes(1, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.linalg.norm(points[..., :2] / points[..., 2:] - corners_px, axis=-1))
