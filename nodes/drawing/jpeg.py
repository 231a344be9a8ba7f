"""Pictures that came over the bus, where anybody may send any: looked at before they are decoded."""

import cv2
import numpy as np

from nodes.drawing.strokes import Picture
from nodes.wire.messages import Preview

MOST_PIXELS = 4_000_000  # 12 MB decoded; one MB of JPEG could hold a hundred times that
BEGIN = b"\xff\xd8"
FRAMES = (0xC0, 0xC1, 0xC2)  # segments that tell the size: of baseline, extended and progressive pictures
FRAME_LEAST = 9  # bytes of one
SCAN, END = 0xDA, 0xD9
ALONE = (0x00, 0x01, *range(0xD0, 0xD9))  # marks without a length; none stands before the size


def decoded(preview: Preview) -> Picture | None:
    """The picture (H, W, 3) RGB; None for what is no JPEG of the size that is said, or too large a one."""
    size_wh = size_of(preview.jpeg)
    if size_wh is None or size_wh != tuple(preview.size_wh) or size_wh[0] * size_wh[1] > MOST_PIXELS:
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # keypoints are of the picture as it is stored
    try:
        picture = cv2.imdecode(np.frombuffer(preview.jpeg, np.uint8), flags)
    except cv2.error:
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def size_of(jpeg: bytes) -> tuple[int, int] | None:
    """Width and height by a JPEG's header (ITU-T T.81, B.2), as a decoder reads it; None where it has none."""
    if not jpeg.startswith(BEGIN):
        return None
    at = len(BEGIN)
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        mark = jpeg[at + 1]
        if mark == 0xFF:  # fills
            at += 1
            continue
        if mark in ALONE or mark in (SCAN, END):
            return None
        if mark in FRAMES:
            if at + FRAME_LEAST > len(jpeg):
                return None
            height, width = (int.from_bytes(jpeg[at + k : at + k + 2], "big") for k in (5, 7))
            return width, height
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")  # with its own two bytes
        if length < 2:
            return None
        at += 2 + length
    return None
