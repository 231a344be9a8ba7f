"""Frames of several cameras that belong together, by what their source says: group numbers, times, or frame numbers.

Times may differ in rate and phase; a pair is no further apart than half a period of the slower camera. What is left of
the difference is told by captured_s, for the solver.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.sightings import BoardSightings, CameraSightings

Array = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

FEWEST_CORNERS = 4
SLACK = 1.001  # of half a period: times are rounded
UNKNOWN_PERIOD_S = 0.05  # of a camera with a single frame


def together(per_camera: Sequence[CameraSightings], within_s: float | None = None) -> BoardSightings:
    """The instants at which some camera sees four corners or more.

    within_s: how far two frames of one instant may be apart, instead of half a period. Every frame is of one instant at
    most. Raises CalibrationError for no camera, or boards of different sizes.
    """
    if not per_camera:
        raise CalibrationError("no camera was looked at: name a recording with one video per camera")
    sizes = {camera.corners_px.shape[1] for camera in per_camera}
    if len(sizes) > 1:
        raise CalibrationError(f"the cameras were searched for different boards, of {sorted(sizes)} corners")
    rows = _rows(per_camera, within_s)
    shape = rows.shape
    captured_s = np.full(shape, np.nan)
    frame = np.full(shape, -1, dtype=np.int64)
    corners_px = np.full((*shape, sizes.pop(), 2), np.nan)
    mirrored = np.zeros(shape, dtype=bool)
    for c, camera in enumerate(per_camera):
        there = rows[c] >= 0
        row = rows[c, there]
        captured_s[c, there], frame[c, there] = camera.captured_s[row], camera.frame[row]
        corners_px[c, there], mirrored[c, there] = camera.corners_px[row], camera.mirrored[row]
    names = tuple(camera.camera for camera in per_camera)
    found = BoardSightings(
        names, tuple(camera.size_wh for camera in per_camera), captured_s, frame, corners_px, mirrored
    )
    return found.at(np.asarray((found.seen.sum(-1) >= FEWEST_CORNERS).any(0)))


def _rows(per_camera: Sequence[CameraSightings], within_s: float | None) -> I64:
    """(C, T) which row of each camera belongs to the instant, -1 for none."""
    if all((camera.sync >= 0).all() for camera in per_camera):
        return _by_number([camera.sync for camera in per_camera])
    if all(np.isfinite(camera.captured_s).all() for camera in per_camera):
        return by_time([camera.captured_s for camera in per_camera], within_s)
    return _by_number([camera.frame for camera in per_camera])


def _by_number(numbers: Sequence[I64]) -> I64:
    """Frames with one number belong together."""
    every = np.unique(np.concatenate(numbers))
    rows = np.full((len(numbers), len(every)), -1, dtype=np.int64)
    for c, of_camera in enumerate(numbers):
        distinct, first = np.unique(of_camera, return_index=True)
        rows[c, np.searchsorted(every, distinct)] = first
    return rows


def by_time(times_s: Sequence[Array], within_s: float | None = None) -> I64:
    """(C, T) rows of rising times (N_c,): the slowest camera's frames are the instants, beside them the nearest.

    What is left over, before the slowest began or in its gaps, makes instants of its own, by the next slowest, and on.
    """
    periods_s = [float(np.median(np.diff(t))) if len(t) > 1 else UNKNOWN_PERIOD_S for t in times_s]
    free = [np.ones(len(t), dtype=bool) for t in times_s]
    columns: list[I64] = []
    for reference in sorted(range(len(times_s)), key=lambda c: -periods_s[c]):
        own = np.flatnonzero(free[reference])
        rows = np.full((len(times_s), len(own)), -1, dtype=np.int64)
        rows[reference] = own
        free[reference][:] = False
        for c, t in enumerate(times_s):
            limit_s = within_s if within_s is not None else SLACK * max(periods_s[reference], periods_s[c]) / 2
            if c != reference and free[c].any() and len(own):
                left = np.flatnonzero(free[c])
                pairs = _mutual(times_s[reference][own], t[left], limit_s)
                rows[c, pairs[0]] = left[pairs[1]]
                free[c][left[pairs[1]]] = False
        columns.append(rows)
    joined = np.concatenate(columns, axis=1)
    first_s = np.array([[t[r] if r >= 0 else np.nan for r in row] for t, row in zip(times_s, joined, strict=True)])
    return joined[:, np.argsort(np.nanmin(first_s, axis=0), kind="stable")] if joined.size else joined


def _mutual(of_s: Array, to_s: Array, limit_s: float) -> tuple[I64, I64]:
    """Pairs of indices that are each other's nearest, at most limit_s apart."""
    forth, back = _nearest(of_s, to_s), _nearest(to_s, of_s)
    index = np.arange(len(of_s))
    good = (back[forth] == index) & (np.abs(to_s[forth] - of_s) <= limit_s)
    return index[good], forth[good]


def _nearest(of_s: Array, to_s: Array) -> I64:
    """(N,) index of the nearest of to_s (rising) for each of of_s."""
    after = np.clip(np.searchsorted(to_s, of_s), 1, max(len(to_s) - 1, 1))
    after = np.minimum(after, len(to_s) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(of_s - to_s[before] <= to_s[after] - of_s, before, after)
