"""A camera's newest preview as it is shown: with what its detector saw, grey when it is old."""

import cv2
import numpy as np
import numpy.typing as npt

from lifter.skeleton import Skeleton
from nodes.drawing.jpeg import decoded
from nodes.drawing.overlay import draw_people, scaled
from nodes.page.bodies import skeleton_named
from nodes.page.seen import Seen
from nodes.watching.words import Rgb, person_rgb
from nodes.wire.messages import Keypoints2D

U8 = npt.NDArray[np.uint8]
STRANGER_RGB = Rgb(120, 220, 235)
GREY_SHARE = 0.45  # brightness of a picture that is old


def picture_of(seen: Seen, camera: str, told: Skeleton | None, grey: bool) -> U8 | None:
    """The newest preview (H, W, 3) RGB with its keypoints; None without one, or when it is no picture."""
    preview = seen.previews.get(camera)
    picture = decoded(preview) if preview is not None else None
    if picture is None or preview is None:
        return None
    if grey:
        dim = cv2.convertScaleAbs(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), alpha=GREY_SHARE)
        return np.asarray(cv2.cvtColor(dim, cv2.COLOR_GRAY2RGB), np.uint8)
    keypoints = seen.keypoints.near(camera, preview.captured_ns)
    if keypoints is not None:
        overlay(picture, keypoints, told)
    return picture


def overlay(picture: U8, keypoints: Keypoints2D, told: Skeleton | None) -> None:
    """Draw keypoints into a picture of any size of the same view."""
    height, width = picture.shape[:2]
    here_px = scaled(keypoints.keypoints_px, keypoints.size_wh, (width, height))
    skeleton = skeleton_named(keypoints.skeleton, told)
    draw_people(picture, here_px, keypoints.confidence, skeleton, colours_of(keypoints))


def colours_of(keypoints: Keypoints2D) -> tuple[Rgb, ...]:
    """Of each person seen: that of the followed person where fusion told whom to look for, else STRANGER_RGB."""
    asked = keypoints.asked_ids
    return tuple(person_rgb(one) if one >= 0 else STRANGER_RGB for one in asked) or (STRANGER_RGB,)
