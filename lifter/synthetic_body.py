"""A body of constant bone lengths, and the posture that places its joints: two-bone IK for limbs, forward for the rest.

Body frame: x forward, y left, z up, metres. World: z up, floor at z = 0. Every array has time as its first axis, T.
Landmarks that MediaPipe also has carry its names; pelvis, chest, neck and head are added for drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from lifter.skeleton import MEDIAPIPE33

Floats = npt.NDArray[np.float64]

SIDES = (("left", 1.0), ("right", -1.0))  # the sign of y in the body frame
REFERENCE_STATURE_M = 1.75  # the lengths below are for this stature
MAX_STRETCH = 0.992  # of a limb's length: a straight limb has no defined bending plane
COLLAR_RISE = 0.24  # radians, arm down to arm up
SOFTNESS_PER_M = 60.0  # sharpness of the smooth minimum that keeps the pelvis within reach of both feet


SYNTHETIC_JOINTS: tuple[str, ...] = (*MEDIAPIPE33.joints, "pelvis", "chest", "neck", "head")
JOINT_INDEX: dict[str, int] = {name: i for i, name in enumerate(SYNTHETIC_JOINTS)}

# Face landmarks relative to the centre of the head, metres at the reference stature, for the left side (y is mirrored).
FACE_M: dict[str, tuple[float, float, float]] = {
    "nose": (0.114, 0.0, -0.020),
    "left_eye_inner": (0.094, 0.018, 0.018),
    "left_eye": (0.092, 0.032, 0.018),
    "left_eye_outer": (0.086, 0.045, 0.018),
    "left_ear": (0.004, 0.078, -0.003),
    "left_mouth": (0.092, 0.026, -0.068),
}

# Pairs whose distance never changes, whatever the motion.
RIGID_BONES: tuple[tuple[str, str], ...] = (
    ("pelvis", "chest"), ("chest", "neck"), ("neck", "head"), ("head", "nose"),
    ("left_hip", "right_hip"), ("chest", "left_shoulder"), ("chest", "right_shoulder"),
    *((f"{s}_{a}", f"{s}_{b}") for s, _ in SIDES for a, b in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "index"), ("hip", "knee"), ("knee", "ankle"),
        ("ankle", "heel"), ("heel", "foot_index"))),
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """Lengths in metres. `Body.of_stature(1.6)` scales them all."""

    stature: float = REFERENCE_STATURE_M
    hip_half_width: float = 0.095
    thigh: float = 0.412
    shin: float = 0.40
    ankle_height: float = 0.10
    toe_forward: float = 0.145
    heel_back: float = 0.055
    toe_height: float = 0.036
    spine: float = 0.488
    shoulder_half_width: float = 0.178
    shoulder_rise: float = 0.032
    upper_arm: float = 0.30
    forearm: float = 0.262
    hand: float = 0.084
    chest_to_neck: float = 0.085
    neck_to_head: float = 0.155
    neck_forward: float = 0.01
    head_forward: float = 0.035

    @staticmethod
    def of_stature(stature_m: float) -> Body:
        """The reference body scaled to a stature in metres."""
        scale = stature_m / REFERENCE_STATURE_M
        reference = Body()
        return replace(reference, **{f.name: getattr(reference, f.name) * scale for f in fields(Body)})

    @property
    def scale(self) -> float:
        """Stature over the reference stature: distances of a motion are multiplied by it."""
        return self.stature / REFERENCE_STATURE_M

    @property
    def leg(self) -> float:
        return self.thigh + self.shin

    @property
    def arm(self) -> float:
        return self.upper_arm + self.forearm


@dataclass(frozen=True)
class Posture:
    """What a motion prescribes at T times; the body turns it into joints. Angles in radians.

    root_m (T,2) on the floor; wrist (T,2,3), left then right, from its shoulder in the chest frame with y outward, as
    a part of the arm's length; toe_m (T,2,3) world; foot_yaw, foot_pitch (T,2), pitch > 0 lifts the heel.
    """

    root_m: Floats
    yaw: Floats
    pelvis_drop_m: Floats
    pelvis_shift_m: Floats
    pelvis_twist: Floats
    lean: Floats
    side_lean: Floats
    chest_twist: Floats
    head_yaw: Floats
    head_pitch: Floats
    wrist: Floats
    toe_m: Floats
    foot_yaw: Floats
    foot_pitch: Floats


def rotation(yaw: Floats, pitch: Floats, roll: Floats) -> Floats:
    """Rz(yaw) Ry(pitch) Rx(roll), (T,) each -> (T,3,3); pitch > 0 leans forward, roll > 0 leans right."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def turned(R: Floats, offset: npt.ArrayLike) -> Floats:
    """Rotate one offset (3,) or one per time (T,3) by R (T,3,3) -> (T,3)."""
    return np.asarray(np.einsum("tij,...tj->...ti", R, np.broadcast_to(np.asarray(offset), R.shape[:-1])))


def two_bone(root: Floats, tip: Floats, pole: Floats, upper: float, lower: float) -> tuple[Floats, Floats, Floats]:
    """Middle joint of a two-bone limb that bends towards `pole`.

    root, tip, pole (T,3). Returns (middle, tip, bend) (T,3): the tip pulled in to within reach where it was beyond,
    and `bend`, the unit vector at right angles to the chord on the side of the middle joint.
    """
    chord = tip - root
    distance = np.linalg.norm(chord, axis=-1, keepdims=True)
    along = chord / np.maximum(distance, 1e-9)
    reach = np.clip(distance, abs(upper - lower) * 1.02, MAX_STRETCH * (upper + lower))
    bend = pole - np.sum(pole * along, axis=-1, keepdims=True) * along
    bend /= np.maximum(np.linalg.norm(bend, axis=-1, keepdims=True), 1e-9)
    ahead = (upper**2 - lower**2 + reach**2) / (2 * reach)
    aside = np.sqrt(np.maximum(upper**2 - ahead**2, 0.0))
    return root + along * ahead + bend * aside, root + along * reach, bend


def place_joints(posture: Posture, body: Body) -> Floats:
    """Joints in the world, (T, len(SYNTHETIC_JOINTS), 3) metres."""
    joints: dict[str, Floats] = {}
    R_feet = [rotation(posture.foot_yaw[:, i], posture.foot_pitch[:, i], 0 * posture.yaw) for i in range(2)]
    for i, (side, _) in enumerate(SIDES):
        joints |= _foot(side, posture.toe_m[:, i], R_feet[i], body)
    R_pelvis = rotation(posture.yaw + posture.pelvis_twist, 0.45 * posture.lean, 0.3 * posture.side_lean)
    joints["pelvis"] = _pelvis(posture, body, R_pelvis, joints)
    for i, (side, sign) in enumerate(SIDES):
        hip = joints["pelvis"] + turned(R_pelvis, (0.0, sign * body.hip_half_width, 0.0))
        forward = R_pelvis[:, :, 0] + 0.8 * R_feet[i][:, :, 0] + 0.2 * sign * R_pelvis[:, :, 1]
        knee, _, _ = two_bone(hip, joints[f"{side}_ankle"], forward, body.thigh, body.shin)
        joints |= {f"{side}_hip": hip, f"{side}_knee": knee}
    joints |= _trunk_and_arms(posture, body, joints["pelvis"])
    return np.stack([joints[name] for name in SYNTHETIC_JOINTS], axis=1)


def _foot(side: str, toe_m: Floats, R_foot: Floats, body: Body) -> dict[str, Floats]:
    """The foot turns about its toe, so that a lifted heel does not slide the foot."""
    rise = body.ankle_height - body.toe_height
    return {
        f"{side}_foot_index": toe_m,
        f"{side}_ankle": toe_m + turned(R_foot, (-body.toe_forward, 0.0, rise)),
        f"{side}_heel": toe_m + turned(R_foot, (-body.toe_forward - body.heel_back, 0.0, 0.0)),
    }


def _pelvis(posture: Posture, body: Body, R_pelvis: Floats, joints: Mapping[str, Floats]) -> Floats:
    """Pelvis at the wished height, lowered smoothly where a foot would be out of reach: this gives the gait its bob."""
    forward = np.stack([np.cos(posture.yaw), np.sin(posture.yaw)], axis=-1)
    ground = posture.root_m + posture.pelvis_shift_m[:, None] * forward
    heights = [body.ankle_height + 0.985 * body.leg - posture.pelvis_drop_m]
    for side, sign in SIDES:
        offset = turned(R_pelvis, (0.0, sign * body.hip_half_width, 0.0))
        apart = np.sum((ground + offset[:, :2] - joints[f"{side}_ankle"][:, :2]) ** 2, axis=-1)
        upright = np.sqrt(np.maximum((MAX_STRETCH * body.leg) ** 2 - apart, 1e-4))
        heights.append(joints[f"{side}_ankle"][:, 2] + upright - offset[:, 2])
    height = -np.log(np.sum(np.exp(-SOFTNESS_PER_M * np.stack(heights)), axis=0)) / SOFTNESS_PER_M
    return np.concatenate([ground, height[:, None]], axis=-1)


def _trunk_and_arms(posture: Posture, body: Body, pelvis: Floats) -> dict[str, Floats]:
    R_spine = rotation(posture.yaw, 0.8 * posture.lean, posture.side_lean)
    R_chest = rotation(posture.yaw + posture.chest_twist, posture.lean, posture.side_lean)
    R_head = rotation(posture.yaw + posture.head_yaw, 0.45 * posture.lean + posture.head_pitch, 0.4 * posture.side_lean)
    chest = pelvis + turned(R_spine, (0.0, 0.0, body.spine))
    neck = chest + turned(R_chest, (body.neck_forward, 0.0, body.chest_to_neck))
    head = neck + turned(R_head, (body.head_forward, 0.0, body.neck_to_head))
    joints = {"chest": chest, "neck": neck, "head": head}
    for name, at_left in FACE_M.items():
        offset = body.scale * np.array(at_left)
        joints[name] = head + turned(R_head, offset)
        if offset[1]:
            joints[name.replace("left", "right")] = head + turned(R_head, offset * (1, -1, 1))
    for i, (side, sign) in enumerate(SIDES):
        shoulder = chest + turned(R_chest, _collar(posture.wrist[:, i], body) * (1.0, sign, 1.0))
        target = shoulder + turned(R_chest, posture.wrist[:, i] * (1.0, sign, 1.0) * body.arm)
        pole = turned(R_chest, (-0.6, 0.5 * sign, -0.6))  # elbows point back, out and down: no reach is along it
        elbow, wrist, bend = two_bone(shoulder, target, pole, body.upper_arm, body.forearm)
        joints |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_wrist": wrist}
        joints |= _hand(side, elbow, wrist, wrist - shoulder, bend, body)
    return joints


def _collar(wrist: Floats, body: Body) -> Floats:
    """From chest to left shoulder in the chest frame (T,3): a collar-bone rises with the arm."""
    raised = np.clip(0.5 + 0.55 * wrist[:, 2], 0.0, 1.0)
    angle = np.arctan2(body.shoulder_rise, body.shoulder_half_width) + COLLAR_RISE * raised**2 * (3 - 2 * raised)
    length = np.hypot(body.shoulder_rise, body.shoulder_half_width)
    return np.stack([0 * angle, length * np.cos(angle), length * np.sin(angle)], axis=-1)


def _hand(side: str, elbow: Floats, wrist: Floats, chord: Floats, bend: Floats, body: Body) -> dict[str, Floats]:
    """Fingers prolong the forearm; the thumb lies on the inner side of the elbow, as in a relaxed arm."""
    along = (wrist - elbow) / body.forearm
    axis = np.cross(chord / np.linalg.norm(chord, axis=-1, keepdims=True), bend)
    thumbward = -np.cross(axis, along)
    return {
        f"{side}_index": wrist + body.hand * (0.95 * along + 0.28 * thumbward),
        f"{side}_pinky": wrist + body.hand * (0.87 * along - 0.36 * thumbward),
        f"{side}_thumb": wrist + body.hand * (0.48 * along + 0.42 * thumbward),
    }
