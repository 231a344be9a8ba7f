"""What of a skeleton is drawn, and how thick: limbs, trunk, head. Found by joints' names, for any skeleton. Pure."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lifter.skeleton import Skeleton

F64 = npt.NDArray[np.float64]

SMALL = ("eye", "mouth", "pinky", "index", "thumb", "ear", "nose")  # in names of joints whose bones are not drawn thick
RADII_M = {"hip": 0.062, "knee": 0.056, "ankle": 0.045, "elbow": 0.040, "wrist": 0.033}  # of the bone that ends there
USUAL_RADIUS_M, SMALL_RADIUS_M, NECK_RADIUS_M, HEAD_RADIUS_M = 0.036, 0.018, 0.035, 0.105
HEADS = (("left_ear", "right_ear"), ("head",), ("nose",), ("head_top",))  # where the head's middle is, the best first
NECKS = (("neck",), ("upper_neck",), ("thorax",), ("left_shoulder", "right_shoulder"))
TRUNK = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")


@dataclass(frozen=True)
class Shape:
    """bones: (from, to, radius in metres). head, neck: joints whose middle it is, () where there is none. trunk: four
    joints around it, or (). dots: joints that get a mark of their own; the others lie within the head or the hands."""

    n_joints: int
    bones: tuple[tuple[int, int, float], ...]
    head: tuple[int, ...]
    neck: tuple[int, ...]
    trunk: tuple[int, ...]
    dots: tuple[int, ...]


@lru_cache(32)
def shape_of(skeleton: Skeleton) -> Shape:
    """The shape of a skeleton's bodies."""
    place = {joint: index for index, joint in enumerate(skeleton.joints)}

    def first(choices: tuple[tuple[str, ...], ...]) -> tuple[int, ...]:
        found = next((names for names in choices if set(names) <= place.keys()), ())
        return tuple(place[name] for name in found)

    head = first(HEADS)
    in_face = {index for joint, index in place.items() if _has(joint, ("eye", "mouth", "ear", "nose"))}
    hidden = in_face | set(head) if head else set()
    bones = tuple(
        (parent, child, _radius(skeleton.joints[child]))
        for parent, child in skeleton.bones
        if parent not in hidden and child not in hidden
    )
    small = {index for joint, index in place.items() if _has(joint, SMALL)}
    return Shape(
        len(skeleton.joints),
        bones,
        head,
        first(NECKS),
        tuple(place[name] for name in TRUNK) if set(TRUNK) <= place.keys() else (),
        tuple(index for index in range(len(skeleton.joints)) if index not in small | hidden),
    )


@lru_cache(32)
def dots_alone(n_joints: int) -> Shape:
    """The shape of bodies whose skeleton nobody knows."""
    return Shape(n_joints, (), (), (), (), tuple(range(n_joints)))


def middle(joints_m: F64, which: tuple[int, ...]) -> F64:
    """The middle of some joints of (J, 3); NaN without them."""
    return np.asarray(joints_m[list(which)].mean(axis=0)) if which else np.full(joints_m.shape[1], np.nan)


def _radius(joint: str) -> float:
    if _has(joint, SMALL) and "foot" not in joint:
        return SMALL_RADIUS_M
    return next((radius for part, radius in RADII_M.items() if part in joint), USUAL_RADIUS_M)


def _has(joint: str, words: tuple[str, ...]) -> bool:
    return any(word in joint.split("_") for word in words)
