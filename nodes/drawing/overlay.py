"""Keypoints drawn into a picture, with OpenCV."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lifter.skeleton import Skeleton
from nodes.drawing.strokes import ROUND, SHIFT
from nodes.watching.words import Rgb

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
SEEN_FROM = 0.3  # confidence below which a keypoint is not drawn
DOT_RGB = (255, 255, 255)
LINE_SHARE = 1 / 50  # of a person's size in the picture: thicker lines hide those who stand behind
MOST_LINE_SHARE = 1 / 140  # of the picture's height
DOT_SHARE = 0.9  # a dot's radius, of a line's width
EDGE_PX = 0.6  # so much wider OpenCV makes the smooth edge of a polygon
DOTS_FROM_PX = 60  # in people smaller than that they would hide everything
FINE_PARTS = frozenset(("eye", "ear", "mouth", "nose", "pinky", "thumb"))
FARTHEST = 3.0  # pictures beside the picture; a point farther out is not drawn to


def draw_people(
    picture_rgb: U8,
    keypoints_px: F32,
    confidence: F32,
    skeleton: Skeleton | None,
    colours: Sequence[Rgb],
) -> None:
    """Draw people into a picture (H, W, 3), in place.

    keypoints_px: (P, J, 2) in this picture's pixels, NaN where absent. confidence: (P, J). skeleton: None, or one with
    another number of joints: dots alone. colours: of each person, again from the first when there are more.
    """
    height, width = picture_rgb.shape[:2]
    fits = skeleton is not None and len(skeleton.joints) == keypoints_px.shape[1]
    bones = np.array(skeleton.bones if skeleton is not None and fits else (), np.intp).reshape(-1, 2)
    body = np.ones(keypoints_px.shape[1], bool)
    body[list(fine_joints(skeleton) if skeleton is not None and fits else ())] = False
    reach = FARTHEST * max(height, width)
    with np.errstate(invalid="ignore"):
        there = (confidence >= SEEN_FROM) & (np.abs(keypoints_px) < reach).all(axis=-1)
    most = max(2, round(height * MOST_LINE_SHARE))
    for person, (points_px, seen) in enumerate(zip(keypoints_px, there, strict=True)):
        if not seen.any():
            continue
        tall_px = float(np.ptp(points_px[seen], axis=0).max())
        thick = min(most, max(1, round(tall_px * LINE_SHARE)))
        lines = points_px[bones[seen[bones].all(axis=-1)]]
        colour = colours[person % len(colours)]
        cv2.polylines(picture_rgb, list(_fixed(lines)), False, colour, thick, cv2.LINE_AA, SHIFT)
        if tall_px >= DOTS_FROM_PX or not len(lines):
            for dot in _fixed(points_px[seen & body][:, None] + (DOT_SHARE * thick - EDGE_PX) * ROUND):
                cv2.fillConvexPoly(picture_rgb, dot, DOT_RGB, cv2.LINE_AA, SHIFT)


def _fixed(points_px: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Pixels as OpenCV takes them, with SHIFT fractional bits."""
    return np.rint(points_px * 2**SHIFT).astype(np.int32)


@lru_cache(maxsize=32)
def fine_joints(skeleton: Skeleton) -> frozenset[int]:
    """Indices of the joints of face and fingers, which are drawn finer than those of the body."""
    return frozenset(
        index
        for index, joint in enumerate(skeleton.joints)
        if not FINE_PARTS.isdisjoint(joint.split("_")) or (joint.endswith("_index") and "foot" not in joint)
    )


def scaled(keypoints_px: F32, from_wh: Sequence[int], to_wh: Sequence[int]) -> F32:
    """Keypoints (..., 2) of one picture in the pixels of another size of it; pixel centres are integers."""
    scale = np.array(to_wh, np.float32) / np.array(from_wh, np.float32)
    return ((keypoints_px + np.float32(0.5)) * scale - np.float32(0.5)).astype(np.float32)
