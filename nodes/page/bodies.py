"""What is drawn of a pose: balls at joints, rods for bones, halos where a joint is unsure. Pure; arrays for viser."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lifter.skeleton import SKELETONS, Skeleton
from nodes.drawing.overlay import fine_joints
from nodes.drawing.side_by_side import standing_m
from nodes.page.shapes import F32, along
from nodes.watching.words import BESIDE_RGB, ORIGIN_RGB, Rgb, person_rgb
from nodes.wire.messages import Origin, Person3D, Pose3D

U8 = npt.NDArray[np.uint8]
JOINT_RADIUS_M = 0.034
BONE_RADIUS_M = 0.027
FINE = 0.4  # face and fingers are drawn so much smaller
HALO_SIGMAS = 2.0  # 95 % of the errors of one axis lie within
HALO_FROM_M = 1.3 * JOINT_RADIUS_M  # smaller ones would hide in the ball
MOST_HALO_M = 0.3
BESIDE_SHARE = 0.45  # of the usual thickness
DIM = 0.4  # brightness of a bone that rests on a prediction
FARTHEST_M = 1e5  # what is drawn farther away costs browsers their precision
DEEPER = 1.7  # exponent that makes colours deeper, since the room's light washes them out again


@lru_cache(maxsize=64)
def _lit(colours: Rgb | tuple[Rgb, ...]) -> U8:
    """Colours (..., 3) that look like these when light falls on them."""
    return np.round(255 * (np.asarray(colours) / 255) ** DEEPER).astype(np.uint8)


ORIGIN_COLOURS = _lit(tuple(ORIGIN_RGB[origin] for origin in sorted(Origin)))


@dataclass(frozen=True)
class Drawn:
    """Everybody, N people of one skeleton: J joints and B bones each, one after the other. Radius 0: not drawn."""

    joints_m: F32  # (N*J, 3)
    radius_m: F32  # (N*J,)
    halo_m: F32  # (N*J,)
    joint_rgb: U8  # (N*J, 3)
    bones_m: F32  # (N*B, 3) where they begin
    bones_wxyz: F32  # (N*B, 4)
    bones_scale: F32  # (N*B, 3)
    bone_rgb: U8  # (N*B, 3)


@dataclass(frozen=True)
class Plan:
    """How people of one skeleton are drawn: bones (B, 2), thickness (J,) of joints, 1 or FINE. neck: joints between
    whose middles one more bone is drawn, where the skeleton has none there; else empty."""

    n_joints: int
    bones: npt.NDArray[np.intp]
    thickness: F32
    root: int
    neck: tuple[tuple[int, int], ...] = ()

    @property
    def n_bones(self) -> int:
        return len(self.bones) + bool(self.neck)


@lru_cache(maxsize=32)
def plan_of(skeleton: Skeleton | None, n_joints: int) -> Plan:
    """The plan; dots alone where the skeleton is not known or has another number of joints."""
    if skeleton is None or len(skeleton.joints) != n_joints:
        return Plan(n_joints, np.empty((0, 2), np.intp), np.ones(n_joints, np.float32), 0)
    thickness = np.ones(n_joints, np.float32)
    thickness[list(fine_joints(skeleton))] = FINE
    bones = np.array(skeleton.bones, np.intp).reshape(-1, 2)
    return Plan(n_joints, bones, thickness, skeleton.root, _neck_of(skeleton))


def _neck_of(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    pairs = (("left_shoulder", "right_shoulder"), ("left_ear", "right_ear"))
    if not {"neck", "thorax"}.isdisjoint(skeleton.joints) or not {*pairs[0], *pairs[1]} <= set(skeleton.joints):
        return ()
    return tuple((skeleton.index(left), skeleton.index(right)) for left, right in pairs)


def skeleton_named(name: str, told: Skeleton | None) -> Skeleton | None:
    """By its name; told: the one that the system describes, for a name that we do not know."""
    return SKELETONS.get(name, told if told is not None and told.name == name else None)


def placed(pose: Pose3D) -> list[F32]:
    """Joints (J, 3) of each person where they are drawn: in the room, or side by side where nobody knows where they
    stand. Joints that cannot be drawn are NaN."""
    joints_m = [person.joints_m.astype(np.float32) for person in pose.people]
    if pose.frame == "root_relative":
        joints_m = [standing_m(joints, index, len(joints_m)) for index, joints in enumerate(joints_m)]
    for joints in joints_m:
        joints[~(np.abs(joints) < FARTHEST_M).all(axis=-1)] = np.nan
    return joints_m


def drawn(pose: Pose3D, joints_m: list[F32], plan: Plan, slots: int, beside: bool = False) -> Drawn:
    """The first `slots` people in arrays whose size stays. beside: as a second result, thin and in one colour."""
    n_joints, n_bones = plan.n_joints, plan.n_bones
    joints = np.zeros((slots, n_joints, 3), np.float32)
    radius, halo = np.zeros((2, slots, n_joints), np.float32)
    joint_rgb = np.zeros((slots, n_joints, 3), np.uint8)
    starts, ends = np.full((2, slots, n_bones, 3), np.nan, np.float32)
    bone_rgb = np.zeros((slots, n_bones, 3), np.uint8)
    share = BESIDE_SHARE if beside else 1.0
    for slot, (person, here) in enumerate(zip(pose.people[:slots], joints_m, strict=False)):
        if here.shape != (n_joints, 3):
            continue
        there = np.isfinite(here).all(axis=-1)
        joints[slot] = np.where(there[:, None], here, 0)
        radius[slot] = np.where(there, JOINT_RADIUS_M * plan.thickness * share, 0)
        halo[slot] = 0 if beside else np.where(there, _halo(person), 0)
        origin = np.minimum(person.origin, len(ORIGIN_COLOURS) - 1)
        joint_rgb[slot] = _lit(BESIDE_RGB) if beside else ORIGIN_COLOURS[origin]
        starts[slot], ends[slot], guessed = _bones_of(here, origin == Origin.PREDICTED, plan)
        bone_rgb[slot] = _bone_rgb(BESIDE_RGB if beside else person_rgb(person.id), guessed)
    wxyz, length = along(starts.reshape(-1, 3), ends.reshape(-1, 3))
    shares = np.append(np.minimum(*plan.thickness[plan.bones].T), [1.0] * bool(plan.neck))
    thick = np.tile(shares, slots) * BONE_RADIUS_M * share
    thick = np.where(length > 0, thick, 0)
    return Drawn(
        joints_m=joints.reshape(-1, 3),
        radius_m=radius.reshape(-1),
        halo_m=halo.reshape(-1),
        joint_rgb=joint_rgb.reshape(-1, 3),
        bones_m=np.where((length > 0)[:, None], starts.reshape(-1, 3), np.float32(0)),
        bones_wxyz=wxyz,
        bones_scale=np.column_stack([thick, thick, length]).astype(np.float32),
        bone_rgb=bone_rgb.reshape(-1, 3),
    )


def _halo(person: Person3D) -> F32:
    """Radius (J,) of the cloud in which a joint is likely to be; 0 where that is within its ball or not known."""
    with np.errstate(invalid="ignore"):
        halo = np.minimum(HALO_SIGMAS * person.sigma_m, MOST_HALO_M)
        return np.where(halo > HALO_FROM_M, halo, 0).astype(np.float32)


def _bones_of(joints_m: F32, guessed: npt.NDArray[np.bool_], plan: Plan) -> tuple[F32, F32, npt.NDArray[np.bool_]]:
    """Begins and ends (B, 3) of a person's bones, and whether one of the ends was guessed (B,)."""
    starts, ends = joints_m[plan.bones[:, 0]], joints_m[plan.bones[:, 1]]
    guesses = guessed[plan.bones].any(axis=-1)
    if plan.neck:
        low, high = (joints_m[list(pair)].mean(axis=0, keepdims=True) for pair in plan.neck)
        starts, ends = np.concatenate([starts, low]), np.concatenate([ends, high])
        guesses = np.append(guesses, guessed[list(sum(plan.neck, ()))].any())
    return starts, ends, guesses


def _bone_rgb(colour: Rgb, guessed: npt.NDArray[np.bool_]) -> U8:
    """Colours (B, 3) of bones."""
    return (_lit(colour) * np.where(guessed, DIM, 1.0)[:, None]).astype(np.uint8)


def above(joints_m: F32) -> F32 | None:
    """Where a person's name stands: above the highest joint; None where nothing is drawn of them."""
    there = joints_m[np.isfinite(joints_m).all(axis=-1)]
    if not len(there):
        return None
    top = there[there[:, 2].argmax()]
    return np.array([top[0], top[1], top[2] + 0.16], np.float32)


def middle(joints_m: F32, plan: Plan) -> F32 | None:
    """Where a person is: the hips, else the middle of what is known; None where nothing is."""
    there = np.isfinite(joints_m).all(axis=-1)
    if not there.any():
        return None
    if plan.root < len(joints_m) and there[plan.root]:
        return joints_m[plan.root]
    centre: F32 = joints_m[there].mean(axis=0)
    return centre
