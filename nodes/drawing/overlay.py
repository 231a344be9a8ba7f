"""Keypoints drawn into a picture, with OpenCV."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from lifter.skeleton import Skeleton
from nodes.watching.words import Rgb

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
SEEN_FROM = 0.3  # confidence below which a keypoint is not drawn
DOT_RGB = (255, 255, 255)
DOTS_FROM_PX = 130  # in pictures less high they would hide everything
SUBPIXEL_BITS = 4
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
    thick = max(2, round(height / 140))
    radius = round(0.7 * thick * (1 << SUBPIXEL_BITS))
    fits = skeleton is not None and len(skeleton.joints) == keypoints_px.shape[1]
    bones = np.array(skeleton.bones if skeleton is not None and fits else (), np.intp).reshape(-1, 2)
    body = np.ones(keypoints_px.shape[1], bool)
    body[list(fine_joints(skeleton) if skeleton is not None and fits else ())] = False
    reach = FARTHEST * max(height, width)
    with np.errstate(invalid="ignore"):
        there = (confidence >= SEEN_FROM) & (np.abs(keypoints_px) < reach).all(axis=-1)
    fixed = np.round(np.where(there[..., None], keypoints_px, 0) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    for person, (points, seen) in enumerate(zip(fixed, there, strict=True)):
        colour = colours[person % len(colours)]
        lines = points[bones[seen[bones].all(axis=-1)]]
        cv2.polylines(picture_rgb, list(lines), False, colour, thick, cv2.LINE_AA, SUBPIXEL_BITS)
        for x, y in points[seen & body].tolist() if height >= DOTS_FROM_PX else ():
            cv2.circle(picture_rgb, (x, y), radius, DOT_RGB, cv2.FILLED, cv2.LINE_AA, SUBPIXEL_BITS)


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
