"""Which joints of a skeleton detectors mix up with which."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from lifter.skeleton import Skeleton

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

ARMS = ("elbow", "wrist", "pinky", "index", "thumb", "hand")
LEGS = ("knee", "ankle", "heel", "foot", "toe")


@dataclass(frozen=True)
class Sides:
    """mirror: (J,) index of each joint's counterpart. parts: (H, J) sets of joints that are mixed up together.

    The first part is empty, the last is the whole body.
    """

    mirror: Ints
    parts: Flags


@cache
def sides_of(skeleton: Skeleton) -> Sides:
    """Nothing, arms below the shoulders, legs below the hips, arms, legs, everything that has a side."""
    mirror = np.array(skeleton.mirror, dtype=np.int64)
    sided = mirror != np.arange(len(mirror))

    def having(words: tuple[str, ...]) -> Flags:
        return sided & np.array([not set(words).isdisjoint(joint.split("_")) for joint in skeleton.joints])

    arms, legs = having(ARMS) & ~having(LEGS), having(LEGS)  # left_foot_index is of the leg
    parts = np.stack([sided & False, arms, legs, arms | having(("shoulder",)), legs | having(("hip",)), sided])
    return Sides(mirror, parts)
