"""Lines, balls and surfaces with smooth edges, placed to a fraction of a pixel; in place, RGB.

What is not finite is not drawn, and what lies far outside of the picture costs nothing.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from nodes.watching.words import Rgb

F64 = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]  # (H, W, 3) RGB, or (H, W) of a mask

GROUND = Rgb(20, 24, 32)
PANEL = Rgb(30, 36, 47)
FAINT = Rgb(58, 68, 86)
METAL = Rgb(150, 164, 190)
TEXT = Rgb(236, 240, 246)
DIM_TEXT = Rgb(158, 170, 190)
RIM = Rgb(10, 12, 17)
SHIFT = 4  # fractional bits of OpenCV's coordinates
ROUND = np.stack([np.cos(np.arange(32) * np.pi / 16), np.sin(np.arange(32) * np.pi / 16)], axis=1)
REACH_PX = 2000.0  # lines are cut off so far outside of the picture


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """`share` of the other colour, 0 to 1."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return Rgb(red, green, blue)


def blank(size_wh: tuple[int, int], ground: Rgb = GROUND) -> Picture:
    """A picture of one colour."""
    return _plain(size_wh, ground).copy()


@lru_cache(32)
def _plain(size_wh: tuple[int, int], ground: Rgb) -> Picture:
    return np.full((size_wh[1], size_wh[0], 3), ground, dtype=np.uint8)  # ten times slower than a copy


def line(canvas: Picture, ends_px: F64, colour: Rgb | int, width_px: float) -> None:
    """A line with round ends between two points (2, 2)."""
    ends = _within(ends_px, canvas)
    if ends is not None:
        begin, end = np.rint(ends * 2**SHIFT).astype(int).tolist()
        cv2.line(canvas, begin, end, colour, max(1, round(width_px)), cv2.LINE_AA, shift=SHIFT)


def ball(canvas: Picture, middle_px: F64, colour: Rgb, radius_px: float) -> None:
    """A filled circle."""
    if _is_near(middle_px[None], canvas, radius_px):
        around = middle_px + min(radius_px, REACH_PX) * ROUND  # OpenCV's own small circles have four corners
        cv2.fillConvexPoly(canvas, np.rint(around * 2**SHIFT).astype(np.int32), colour, cv2.LINE_AA, SHIFT)


def surface(canvas: Picture, corners_px: F64, colour: Rgb, share: float = 1.0) -> None:
    """A filled polygon; share: how much of what is behind it is hidden."""
    if len(corners_px) < 3 or not np.isfinite(corners_px).all() or np.abs(corners_px).max() > 20 * REACH_PX:
        return
    height, width = canvas.shape[:2]
    left, top = np.clip(np.floor(corners_px.min(axis=0)).astype(int) - 1, 0, (width, height)).tolist()
    right, bottom = np.clip(np.ceil(corners_px.max(axis=0)).astype(int) + 2, 0, (width, height)).tolist()
    if left >= right or top >= bottom:
        return
    region = canvas[top:bottom, left:right]
    filled = region.copy()
    cv2.fillPoly(filled, [np.rint((corners_px - (left, top)) * 2**SHIFT).astype(np.int32)], colour, cv2.LINE_AA, SHIFT)
    region[:] = filled if share >= 1.0 else cv2.addWeighted(filled, share, region, 1 - share, 0)


def box(canvas: Picture, left: int, top: int, width: int, height: int, colour: Rgb, share: float = 1.0) -> None:
    """A filled rectangle, as far as it lies within the picture."""
    region = canvas[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    region[:] = region * (1 - share) + np.array(colour) * share if share < 1.0 else colour


def frame(canvas: Picture, colour: Rgb, width_px: int) -> None:
    """A border along the edge, inside."""
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1] - 1, canvas.shape[0] - 1), colour, 2 * width_px - 1)


def _is_near(points_px: F64, canvas: Picture, margin_px: float) -> bool:
    """Whether anything of it can be seen."""
    if not np.isfinite(points_px).all():
        return False
    low, high = points_px.min(axis=0) - margin_px, points_px.max(axis=0) + margin_px
    return bool((high >= 0).all() and low[0] < canvas.shape[1] and low[1] < canvas.shape[0])


def _within(ends_px: F64, canvas: Picture) -> F64 | None:
    """The part of a line around the picture (Liang and Barsky, 1984); None when there is none."""
    if not _is_near(ends_px, canvas, REACH_PX):
        return None
    step = ends_px[1] - ends_px[0]
    from_, to = 0.0, 1.0
    for axis, length in enumerate((canvas.shape[1], canvas.shape[0])):
        for limit, sign in ((-REACH_PX, -1.0), (length + REACH_PX, 1.0)):
            slope, room = sign * step[axis], sign * (limit - ends_px[0, axis])
            if slope == 0:
                continue
            if slope > 0:
                to = min(to, room / slope)
            else:
                from_ = max(from_, room / slope)
    return np.array([ends_px[0] + from_ * step, ends_px[0] + to * step]) if from_ < to or not step.any() else None
