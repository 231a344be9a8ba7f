"""What is known of a person's joints beforehand: which are worth using, and which pairs of them keep their distance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
FEET = ("heel", "foot_index", "big_toe", "small_toe", "toe")
MIDDLE = ("nose", "neck", "head", "pelvis", "thorax", "spine")
USED = (*MIDDLE, *(f"{side}_{part}" for part in ("ear", *SIDED, *FEET) for side in ("left", "right")))
LEAST_JOINTS = 6

# Ends of a bone, and how far its length may differ from instant to instant, as a share of it. Detectors see hips and
# shoulders at the outline of the body, so trunks differ more than shins.
BONES = (
    ("*_knee", "*_ankle", 0.06),
    ("*_hip", "*_knee", 0.08),
    ("*_shoulder", "*_elbow", 0.10),
    ("*_elbow", "*_wrist", 0.10),
    ("*_shoulder", "*_hip", 0.10),
    ("left_hip", "right_hip", 0.20),
    ("left_shoulder", "right_shoulder", 0.15),
    ("*_ankle", "*_heel", 0.20),
    ("*_ankle", "*_foot_index", 0.20),
    ("*_ankle", "*_big_toe", 0.20),
    ("nose", "*_ear", 0.25),
)


@dataclass(frozen=True, eq=False)
class Body:
    """J joints with N bones of L lengths: a left bone and its right one share a length.

    ends: (N, 2) indices of joints. length: (N,) index of its length. spread: (N,) share of the length.
    """

    joints: tuple[str, ...]
    ends: I64
    length: I64
    spread: Array
    names: tuple[str, ...]

    @property
    def swapped(self) -> I64:
        """(J,) each joint's counterpart on the other side."""
        other = {"left": "right", "right": "left"}
        names = ["_".join(other.get(word, word) for word in joint.split("_")) for joint in self.joints]
        return np.array([self.joints.index(name) if name in self.joints else n for n, name in enumerate(names)])


def body_of(joints: Sequence[str]) -> Body:
    """Of the joints of a skeleton, those worth using."""
    used = tuple(joint for joint in USED if joint in joints)
    ends: list[list[int]] = []
    lengths: list[int] = []
    spreads: list[float] = []
    names: list[str] = []
    for parent, child, spread in BONES:
        found = False
        for side in ("left", "right") if "*" in parent + child else ("",):
            pair = (parent.replace("*", side), child.replace("*", side))
            if all(joint in used for joint in pair):
                ends.append([used.index(joint) for joint in pair])
                lengths.append(len(names))
                spreads.append(spread)
                found = True
        if found:
            names.append(f"{parent}-{child}".replace("*_", ""))
    return Body(used, np.array(ends).reshape(-1, 2), np.array(lengths, dtype=np.int64), np.array(spreads), tuple(names))
