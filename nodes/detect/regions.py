"""Where to look for whom in one picture: what fusion expects, carried on to the picture's own instant. Pure.

A circle is (x, y, radius, angle): the middle of the hips and the farthest joint from there in pixels, the spine's angle
from the picture's up, clockwise in radians.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nodes.wire.messages import MAX_PEOPLE, Expected

# Fusion speaks at every tick; silent for longer it is down. A lossless source may be half a second ahead of it.
STALE_NS = 600_000_000
MIN_RADIUS_PX = 4.0
MAX_RADIUS = 5.0  # of the picture's longer side; whoever is nearer fills it


@dataclass(frozen=True)
class Regions:
    """Followed people in one picture, the nearest first; perhaps nobody. ids: (K,) int64. circles: (K, 4) float64."""

    ids: npt.NDArray[np.int64]
    circles: npt.NDArray[np.float64]


def regions_at(expected: Expected | None, camera: str, captured_ns: int, size_wh: tuple[int, int]) -> Regions | None:
    """What is expected in a frame of this camera, size and time; None when nothing can be said: then nobody asks.

    Only capture times count, so what a recording is asked does not depend on the clock on the wall.
    """
    if expected is None or abs(captured_ns - expected.captured_ns) > STALE_NS:
        return None
    view = expected.cameras.get(camera)
    if view is None or view.size_wh != size_wh:
        return None
    circles = view.circles.astype(np.float64)
    circles[:, :2] += view.velocity_px_s.astype(np.float64) * ((captured_ns - expected.captured_ns) * 1e-9)
    largest_px = MAX_RADIUS * max(size_wh)
    usable = (np.abs(circles[:, :2]) < largest_px).all(axis=1) & np.isfinite(circles[:, 3])
    usable &= (circles[:, 2] > MIN_RADIUS_PX) & (circles[:, 2] < largest_px)
    return Regions(view.ids[usable][:MAX_PEOPLE], circles[usable][:MAX_PEOPLE])
