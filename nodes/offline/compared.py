"""Which joints of a result and of a truth are the same ones, and so can be compared: by name, in this one place.

A joint that two skeletons place differently under one name (neck, head, …) is compared within one skeleton only. A
truth's pelvis may be met by the middle of the hips. body17's joints are middles by definition, so its truth or result
is met by the same middles of the other's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lifter.datasets.errors import DatasetError
from lifter.datasets.joint_names import skeleton_of, spelled
from lifter.derive import BODY17_RULES
from lifter.skeleton import BODY17, DIFFER, SKELETONS

F64 = npt.NDArray[np.float64]
Weights = dict[str, float]  # joint → its weight in the sum that another joint is

HIPS = ("left_hip", "right_hip")


@dataclass(frozen=True)
class Named:
    """A file's joints in our spelling and the file's order; skeleton: their known name, "" if they have none."""

    joints: tuple[str, ...]
    skeleton: str

    def has(self, weights: Weights) -> bool:
        return set(weights) <= set(self.joints)

    def positions(self, x: npt.NDArray[Any], wanted: Sequence[Weights]) -> F64:
        """(…, K, D) sums of joints (…, J, D); NaN where a joint with a weight is."""
        out = np.zeros((*x.shape[:-2], len(wanted), x.shape[-1]))
        for k, weights in enumerate(wanted):
            for joint, weight in weights.items():
                out[..., k, :] += weight * x[..., self.joints.index(joint), :]
        return out


@dataclass(frozen=True)
class Compared:
    """K joints that are compared: their names, and what each is in the truth and in the result."""

    names: tuple[str, ...]
    of_truth: tuple[Weights, ...]
    of_found: tuple[Weights, ...]

    def root(self, joints_m: F64) -> F64:
        """Root (…, 3) of compared joints (…, K, 3): pelvis, else the middle of the hips; NaN if there is neither."""
        roots = ("pelvis",) if "pelvis" in self.names else HIPS
        if not set(roots) <= set(self.names):
            return np.full((*joints_m.shape[:-2], 3), np.nan)
        middle: F64 = np.mean([joints_m[..., self.names.index(root), :] for root in roots], axis=0)
        return middle


def named(joints: Sequence[str]) -> Named:
    """A file's joints by our names."""
    try:
        skeleton, order = skeleton_of(joints)
    except DatasetError:  # no body, but perhaps some of its joints
        return Named(tuple(spelled(joint) or joint for joint in joints), "")
    ours = [""] * len(joints)
    for joint, place in zip(skeleton.joints, order, strict=True):
        ours[place] = spelled(joint) or joint
    return Named(tuple(ours), skeleton.name if skeleton.name in SKELETONS else "")


def middle(joints: Sequence[str]) -> Weights:
    """The middle of joints."""
    return dict.fromkeys(joints, 1.0 / len(joints))


def compared(truth: Named, found: Named) -> Compared:
    """The joints of the truth that the result can have. Raises DatasetError when there is none."""
    same = _same_skeleton(truth, found)
    if not same and BODY17.name in (truth.skeleton, found.skeleton):
        rows = [(joint, _of_body17(joint, truth), _of_body17(joint, found)) for joint in BODY17.joints]
    else:
        rows = [
            (joint, {joint: 1.0}, {joint: 1.0} if same or joint not in DIFFER else {})
            for joint in dict.fromkeys(truth.joints)
        ]
        rows = [
            (joint, a, middle(HIPS) if joint == "pelvis" and joint not in found.joints else b) for joint, a, b in rows
        ]
    kept = [(joint, a, b) for joint, a, b in rows if a and b and truth.has(a) and found.has(b)]
    if not kept:
        raise DatasetError(
            f"none of the truth's joints ({', '.join(truth.joints)}) is one of the result's ({', '.join(found.joints)})"
        )
    return Compared(*(tuple(column) for column in zip(*kept, strict=True)))


def _same_skeleton(truth: Named, found: Named) -> bool:
    """Known skeletons by their names; of other lists, one that is part of the other is taken to be of its skeleton."""
    if truth.skeleton and found.skeleton:
        return truth.skeleton == found.skeleton
    a, b = set(truth.joints), set(found.joints)
    return a <= b or b <= a


def _of_body17(joint: str, joints: Named) -> Weights:
    """What a joint of body17 is in these; {} where they have it elsewhere or not at all."""
    if joints.skeleton == BODY17.name:
        return {joint: 1.0}
    rules = BODY17_RULES.get(joint, ((joint,),) if joint not in DIFFER else ())
    exact = (parts for parts in rules if parts != (joint,) or joint not in BODY17_RULES)
    return next((middle(parts) for parts in exact if set(parts) <= set(joints.joints)), {})
