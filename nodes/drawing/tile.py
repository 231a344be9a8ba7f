"""What one camera sees, with its name and its light; in place of a picture that is not there, a word why. Pure."""

from collections.abc import Sequence

import cv2
import numpy as np

from calibration.rig import Camera
from lifter.skeleton import Skeleton
from nodes.drawing import strokes
from nodes.drawing.overlay import draw_people, scaled
from nodes.drawing.strokes import DIM_TEXT, F64, PANEL, RIM, TEXT, Picture, ball, blank, mix
from nodes.drawing.text import shortened, text, width_of, wrapped
from nodes.watching.verdict import Verdict
from nodes.watching.words import LEVEL_RGB, Level, Rgb, person_rgb
from nodes.wire.messages import Keypoints2D, Person3D

NOBODY = Rgb(225, 228, 235)  # of detections that belong to nobody who is known
OWN = 0.15  # of the picture's height: keypoints nearer than this to a projected person are theirs


def draw_tile(
    size_wh: tuple[int, int],
    name: str,
    picture_rgb: Picture | None,
    keypoints: Keypoints2D | None,
    skeleton: Skeleton | None,
    colours: Sequence[Rgb],
    verdict: Verdict,
    instead: str,
    scale: float,
) -> Picture:
    """A picture of size_wh. colours: of the people in keypoints. instead: words where there is no picture."""
    if picture_rgb is None:
        canvas = blank(size_wh, PANEL)
    else:
        shrinks = size_wh[0] < picture_rgb.shape[1]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        canvas = np.ascontiguousarray(cv2.resize(picture_rgb, size_wh, interpolation=way))
    if verdict.level is Level.BAD:
        grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
        canvas = np.asarray(cv2.cvtColor(grey // 2, cv2.COLOR_GRAY2RGB), np.uint8)
    if keypoints is not None and len(keypoints.confidence):
        keypoints_px = scaled(keypoints.keypoints_px, keypoints.size_wh, size_wh)
        draw_people(canvas, keypoints_px, keypoints.confidence, skeleton, colours or [NOBODY])
    _caption(canvas, name, verdict, scale)
    if picture_rgb is None and instead:
        _instead(canvas, instead, name, keypoints is None, 13.5 * scale)
    if verdict.level in (Level.WARN, Level.BAD) and verdict.words:
        _words(canvas, verdict.words, mix(LEVEL_RGB[verdict.level], TEXT, 0.2), scale)
    if verdict.level is Level.BAD:
        strokes.frame(canvas, LEVEL_RGB[Level.BAD], max(1, round(2 * scale)))
    return canvas


def colours_of(keypoints: Keypoints2D | None, people: Sequence[Person3D], camera: Camera | None) -> list[Rgb]:
    """The colour of each detected person: that of the person in the room whom they are nearest to."""
    if keypoints is None:
        return []
    told = keypoints.asked_ids or (-1,) * len(keypoints.confidence)
    known = {person.id for person in people}
    shown = _projected(people, camera, keypoints)
    colours = []
    for keypoints_px, asked in zip(keypoints.keypoints_px, told, strict=False):
        person_id = _nearest(keypoints_px.astype(np.float64), shown, OWN * keypoints.size_wh[1])
        person_id = asked if person_id is None and (asked in known or (asked >= 0 and camera is None)) else person_id
        colours.append(NOBODY if person_id is None else person_rgb(person_id))
    return colours


def _projected(people: Sequence[Person3D], camera: Camera | None, keypoints: Keypoints2D) -> dict[int, F64]:
    if camera is None:
        return {}
    width, height = keypoints.size_wh
    seen_by = camera.resized((width, height))
    with np.errstate(invalid="ignore", over="ignore"):
        return {person.id: seen_by.project(person.joints_m.astype(np.float64)) for person in people}


def _nearest(keypoints_px: F64, shown: dict[int, F64], most_px: float) -> int | None:
    far_px = {}
    for person_id, joints_px in shown.items():
        if joints_px.shape == keypoints_px.shape:
            with np.errstate(invalid="ignore", over="ignore"):
                off_px = np.linalg.norm(joints_px - keypoints_px, axis=1)
            if np.isfinite(off_px).any():
                far_px[person_id] = float(np.nanmedian(off_px))
    best = min(far_px, key=far_px.__getitem__, default=None)
    return best if best is not None and far_px[best] < most_px else None


def _caption(canvas: Picture, name: str, verdict: Verdict, scale: float) -> None:
    """The light and the name, on a dark ground."""
    size_px = 15 * scale
    radius_px, middle_px = 0.36 * size_px, 0.85 * size_px
    ball(canvas, np.array([middle_px, middle_px]), RIM, radius_px + 1.5)
    ball(canvas, np.array([middle_px, middle_px]), LEVEL_RGB[verdict.level], radius_px)
    left = 1.6 * size_px
    text(canvas, shortened(name, size_px, canvas.shape[1] - left - 4), (left, middle_px), size_px, TEXT, rim=True)


def _instead(canvas: Picture, words: str, name: str, alone: bool, size_px: float) -> None:
    """In the middle of a tile with nothing else in it, else in the corner, where there is room beside the name."""
    if alone:
        text(canvas, words, (canvas.shape[1] / 2, canvas.shape[0] / 2), size_px, DIM_TEXT, align="middle")
    elif width_of(words, size_px) + width_of(name, 1.2 * size_px) + 4 * size_px < canvas.shape[1]:
        text(canvas, words, (canvas.shape[1] - size_px, size_px), size_px, DIM_TEXT, align="right", rim=True)


def _words(canvas: Picture, words: str, colour: Rgb, scale: float) -> None:
    """At the foot, on a darkened ground."""
    size_px = 13.5 * scale
    lines = wrapped(words, size_px, 0.94 * canvas.shape[1], 3)
    height = round((1.35 * len(lines) + 0.5) * size_px)
    strokes.box(canvas, 0, canvas.shape[0] - height, canvas.shape[1], height, RIM, 0.65)
    for row, each in enumerate(lines):
        middle = canvas.shape[0] - height + (1.35 * row + 0.9) * size_px
        text(canvas, each, (canvas.shape[1] / 2, middle), size_px, colour, align="middle")
