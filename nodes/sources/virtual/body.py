"""The actor's surface: rounded cones hung on the joints, each with a colour and the width of its blend with the others.

Radii and offsets are metres at the reference stature. Where a surface lies round its joint was tuned until MediaPipe
Pose, which learned on people, puts its landmarks on our joints (see docs/virtual.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lifter.synthetic_body import FACE_M, JOINT_INDEX, SIDES, Body

Floats = npt.NDArray[np.float64]

MATERIALS = ("skin", "shirt", "trousers", "shoes", "hair", "eyes", "lips", "belt", "eye_white")
BLEND_TRUNK_M, BLEND_LIMB_M, BLEND_DETAIL_M = 0.07, 0.022, 0.006


@dataclass(frozen=True)
class Clothing:
    """Colours (r, g, b) in [0, 1], one per material."""

    skin: tuple[float, float, float] = (0.86, 0.65, 0.54)
    shirt: tuple[float, float, float] = (0.16, 0.38, 0.70)
    trousers: tuple[float, float, float] = (0.20, 0.20, 0.25)
    shoes: tuple[float, float, float] = (0.75, 0.73, 0.70)
    hair: tuple[float, float, float] = (0.14, 0.08, 0.05)
    eyes: tuple[float, float, float] = (0.06, 0.04, 0.04)
    lips: tuple[float, float, float] = (0.66, 0.30, 0.28)
    belt: tuple[float, float, float] = (0.10, 0.07, 0.05)
    eye_white: tuple[float, float, float] = (0.93, 0.91, 0.88)

    def table(self) -> Floats:
        """(len(MATERIALS), 3)."""
        return np.array([getattr(self, name) for name in MATERIALS])


WARDROBE = (
    Clothing(),
    Clothing(skin=(0.55, 0.38, 0.28), shirt=(0.72, 0.25, 0.20), trousers=(0.35, 0.33, 0.28), hair=(0.05, 0.04, 0.04)),
    Clothing(skin=(0.90, 0.72, 0.62), shirt=(0.85, 0.80, 0.62), trousers=(0.16, 0.22, 0.38), hair=(0.55, 0.38, 0.18)),
    Clothing(skin=(0.74, 0.54, 0.42), shirt=(0.18, 0.48, 0.33), trousers=(0.12, 0.12, 0.13), hair=(0.10, 0.08, 0.07)),
)


class _Sculptor:
    """Collects rows ax ay az bx by bz ra rb blend material for one body."""

    def __init__(self, joints_m: Floats, scale: float) -> None:
        self.joints_m = joints_m
        self.scale = scale
        self.rows: list[list[float]] = []

    def at(self, name: str) -> Floats:
        return np.asarray(self.joints_m[JOINT_INDEX[name]])

    def cone(self, a: Floats, b: Floats, ra: float, rb: float, material: str, blend: float = BLEND_LIMB_M) -> None:
        s = self.scale
        self.rows.append([*a, *b, ra * s, rb * s, blend * s, MATERIALS.index(material)])


def surface(joints_m: Floats, body: Body) -> Floats:
    """Rounded cones (N, 10) for joints (J, 3) in the world: ends a and b, their radii, blend width, material."""
    sculptor = _Sculptor(joints_m, body.scale)
    pelvis_axes = _axes(
        sculptor.at("left_hip") - sculptor.at("right_hip"), sculptor.at("chest") - sculptor.at("pelvis")
    )
    chest_axes = _axes(
        sculptor.at("left_shoulder") - sculptor.at("right_shoulder"), sculptor.at("neck") - sculptor.at("chest")
    )
    head_axes = _head_axes(sculptor)
    _trunk(sculptor, pelvis_axes * body.scale, chest_axes * body.scale, head_axes * body.scale)
    for side, sign in SIDES:
        _leg(sculptor, side)
        _foot(sculptor, side, sign)
        _arm(sculptor, side)
        _hand(sculptor, side)
    _head(sculptor, head_axes * body.scale)
    return np.array(sculptor.rows)


def _axes(left: Floats, up: Floats) -> Floats:
    """Rows forward, left, up: x_world = offset @ axes."""
    left = left / np.linalg.norm(left)
    up = up - (up @ left) * left
    up = up / np.linalg.norm(up)
    return np.stack([np.cross(left, up), left, up])


def _head_axes(s: _Sculptor) -> Floats:
    left = s.at("left_ear") - s.at("right_ear")
    ears = 0.5 * (s.at("left_ear") + s.at("right_ear"))
    face = 0.5 * (s.at("left_eye") + s.at("right_eye")) - ears
    left = left / np.linalg.norm(left)
    face = face / np.linalg.norm(face)
    aslant = np.cross(face, left)
    forward, _, up = np.array(FACE_M["left_eye"]) - np.array(FACE_M["left_ear"])
    tilt = np.arctan2(up, forward)
    return np.stack([np.cos(tilt) * face - np.sin(tilt) * aslant, left, np.sin(tilt) * face + np.cos(tilt) * aslant])


def _trunk(s: _Sculptor, pelvis_axes: Floats, chest_axes: Floats, head_axes: Floats) -> None:
    pelvis, chest, neck, head = (s.at(n) for n in ("pelvis", "chest", "neck", "head"))
    half_hips = np.array((0.0, 0.068, 0.0)) @ pelvis_axes
    s.cone(pelvis + half_hips, pelvis - half_hips, 0.107, 0.107, "trousers", BLEND_TRUNK_M)
    for sign in (1.0, -1.0):  # seat
        seat = pelvis + np.array((-0.022, sign * 0.058, -0.015)) @ pelvis_axes
        s.cone(seat, seat, 0.098, 0.098, "trousers", BLEND_TRUNK_M)
    waist = pelvis + 0.36 * (chest - pelvis)
    half_waist = np.array((0.0, 0.048, 0.0)) @ pelvis_axes
    s.cone(waist + half_waist, waist - half_waist, 0.108, 0.108, "shirt", BLEND_TRUNK_M)
    ribs = pelvis + 0.72 * (chest - pelvis)
    half_ribs = np.array((0.0, 0.062, 0.0)) @ chest_axes
    s.cone(ribs + half_ribs, ribs - half_ribs, 0.115, 0.115, "shirt", BLEND_TRUNK_M)
    yoke = chest + np.array((-0.01, 0.0, -0.045)) @ chest_axes
    half_yoke = np.array((0.0, 0.088, 0.0)) @ chest_axes
    s.cone(yoke + half_yoke, yoke - half_yoke, 0.092, 0.092, "shirt", BLEND_TRUNK_M)
    for side, sign in SIDES:
        inner = chest + np.array((-0.01, sign * 0.07, 0.035)) @ chest_axes
        tip = s.at(f"{side}_shoulder") + np.array((0.0, 0.0, -0.006)) @ chest_axes
        s.cone(inner, tip, 0.062, 0.056, "shirt", BLEND_TRUNK_M)
    nape = head + np.array((-0.02, 0.0, -0.06)) @ head_axes
    s.cone(chest + 0.5 * (neck - chest), neck, 0.066, 0.056, "skin", 0.03)
    s.cone(neck, nape, 0.055, 0.057, "skin", 0.02)


def _leg(s: _Sculptor, side: str) -> None:
    hip, knee, ankle = (s.at(f"{side}_{n}") for n in ("hip", "knee", "ankle"))
    s.cone(hip, knee, 0.088, 0.058, "trousers", 0.03)
    s.cone(knee, ankle, 0.057, 0.043, "trousers", BLEND_LIMB_M)
    toe = s.at(f"{side}_foot_index") - s.at(f"{side}_heel")
    back: Floats = -0.022 * s.scale * toe / np.linalg.norm(toe)
    s.cone(knee + 0.25 * (ankle - knee) + back, knee + 0.5 * (ankle - knee) + back, 0.054, 0.046, "trousers", 0.03)


def _foot(s: _Sculptor, side: str, sign: float) -> None:
    ankle, heel, toe = (s.at(f"{side}_{n}") for n in ("ankle", "heel", "foot_index"))
    forward, across, up = _foot_axes(ankle, heel, toe) * s.scale
    across = across * sign
    low = -0.009 * up  # MediaPipe puts heel and toe above the middle of the shoe
    s.cone(ankle - 0.012 * up, heel + low + 0.02 * forward, 0.041, 0.034, "shoes", 0.02)
    s.cone(heel + low + 0.01 * forward, toe + low - 0.05 * forward - 0.012 * across, 0.029, 0.028, "shoes", 0.02)
    s.cone(toe + low - 0.07 * forward - 0.016 * across, toe + low - 0.012 * forward, 0.030, 0.025, "shoes", 0.02)
    s.cone(ankle - 0.012 * up, toe + low - 0.06 * forward, 0.036, 0.028, "shoes", 0.02)


def _foot_axes(ankle: Floats, heel: Floats, toe: Floats) -> Floats:
    """Rows forward, left, up of a foot."""
    forward = (toe - heel) / np.linalg.norm(toe - heel)
    up = ankle - heel - ((ankle - heel) @ forward) * forward
    up = up / np.linalg.norm(up)
    return np.stack([forward, np.cross(up, forward), up])


def _arm(s: _Sculptor, side: str) -> None:
    shoulder, elbow, wrist = (s.at(f"{side}_{n}") for n in ("shoulder", "elbow", "wrist"))
    half = shoulder + 0.62 * (elbow - shoulder)
    s.cone(shoulder + 0.02 * (elbow - shoulder), half, 0.057, 0.052, "shirt", 0.025)
    s.cone(half, elbow, 0.044, 0.041, "skin", 0.008)
    s.cone(elbow, elbow + 0.35 * (wrist - elbow), 0.041, 0.042, "skin", 0.015)
    s.cone(elbow + 0.35 * (wrist - elbow), wrist, 0.042, 0.028, "skin", 0.015)


def _hand(s: _Sculptor, side: str) -> None:
    wrist, index, pinky, thumb = (s.at(f"{side}_{n}") for n in ("wrist", "index", "pinky", "thumb"))
    s.cone(wrist, 0.75 * index + 0.25 * pinky, 0.024, 0.020, "skin", 0.015)
    s.cone(wrist, 0.25 * index + 0.75 * pinky, 0.024, 0.018, "skin", 0.015)
    for share, length in ((1.0, 0.72), (0.66, 0.85), (0.33, 0.80), (0.0, 0.62)):
        knuckle = share * index + (1 - share) * pinky
        s.cone(knuckle, knuckle + length * (0.5 * (index + pinky) - wrist), 0.0105, 0.008, "skin", BLEND_DETAIL_M)
    s.cone(wrist + 0.35 * (thumb - wrist), thumb, 0.016, 0.013, "skin", 0.01)
    s.cone(thumb, thumb + 0.35 * (0.5 * (index + pinky) - wrist), 0.012, 0.009, "skin", BLEND_DETAIL_M)


def _head(s: _Sculptor, axes: Floats) -> None:
    head = s.at("head")

    def on_head(x: float, y: float, z: float) -> Floats:
        return np.asarray(head + np.array((x, y, z)) @ axes)

    s.cone(on_head(0.0, 0, 0.035), on_head(0.022, 0, -0.055), 0.092, 0.067, "skin", 0.02)
    s.cone(on_head(0.06, 0, -0.095), on_head(0.05, 0, -0.085), 0.028, 0.035, "skin", 0.02)  # chin
    s.cone(on_head(-0.024, 0, 0.045), on_head(-0.038, 0, 0.0), 0.097, 0.088, "hair", 0.008)
    s.cone(on_head(0.02, 0, 0.085), on_head(0.035, 0, 0.078), 0.062, 0.056, "hair", 0.008)  # fringe
    s.cone(on_head(0.09, 0, 0.01), on_head(0.108, 0, -0.024), 0.009, 0.015, "skin", 0.012)  # nose
    for side, sign in SIDES:
        eye = s.at(f"{side}_eye") - np.array((0.006, 0.0, 0.0)) @ axes
        wide = np.array((0.0, 0.008, 0.0)) @ axes
        s.cone(eye + wide, eye - wide, 0.0105, 0.0105, "eye_white", 0.002)
        pupil = eye + np.array((0.006, 0.0, 0.0)) @ axes
        s.cone(pupil, pupil, 0.0078, 0.0078, "eyes", 0.001)
        s.cone(on_head(0.089, sign * 0.018, 0.042), on_head(0.079, sign * 0.05, 0.042), 0.0065, 0.005, "hair", 0.003)
        s.cone(on_head(-0.004, sign * 0.084, 0.008), on_head(-0.002, sign * 0.082, -0.022), 0.017, 0.012, "skin", 0.008)
    s.cone(on_head(0.084, 0.02, -0.068), on_head(0.084, -0.02, -0.068), 0.0085, 0.0085, "lips", 0.003)
