"""A detector's joints and the lifter's in one kinematic tree: what fusion solves on.

Lifts and bone lengths say something about neighbours in the body, so the joints of a person form a tree of bones. The
joints of the detector come first, in its own order; those that only the lifter has follow. What a detector has besides
(face, fingers, heels) hangs on the nearest joint of the body, by name; names that are not known stand alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lifter.derive import BODY17_RULES
from lifter.skeleton import BODY17, DIFFER, Skeleton

HANGS_ON = {  # part of a detector's joint name → the joint of the body that it moves with
    "head": ("nose", "eye", "ear", "mouth", "head", "upper_neck", "face", "chin"),
    "thorax": ("neck", "thorax", "chest", "clavicle"),
    "pelvis": ("spine", "torso", "belly", "pelvis", "hip"),
    "wrist": ("hand", "pinky", "index", "thumb", "finger", "palm"),
    "ankle": ("toe", "heel", "foot"),
}
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BodyTree:
    """N joints, the first `n_shown` of them the detector's.

    parent: (N,) index or -1. order: (N,) parents before children. lifted: (N,) index in the lifter's skeleton or -1.
    core: (N,) whether the joint is one of the body's, not of face, hands or feet.
    """

    names: tuple[str, ...]
    n_shown: int
    parent: Ints
    order: Ints
    lifted: Ints
    middle: Ints

    @property
    def core(self) -> npt.NDArray[np.bool_]:
        return self.lifted >= 0


def tree_of(skeleton: Skeleton, body: Skeleton = BODY17) -> BodyTree:
    """The tree of a detector's skeleton and the lifter's."""
    shared = {name: name for name in skeleton.joints if name in body.joints and _same(name, skeleton, body)}
    shared |= {name: toe for name, toe in _toes(skeleton).items() if toe in body.joints}
    own = {body_name: name for name, body_name in shared.items()}  # body's joint → the detector's name for it
    names = (*skeleton.joints, *(f"lifted {joint}" for joint in body.joints if joint not in own))
    at = {joint: names.index(own[joint]) if joint in own else names.index(f"lifted {joint}") for joint in body.joints}
    parent = np.full(len(names), -1)
    lifted = np.full(len(names), -1)
    for joint, index in at.items():
        lifted[index] = body.joints.index(joint)
    for a, b in body.bones:
        parent[at[body.joints[b]]] = at[body.joints[a]]
    for index, name in enumerate(skeleton.joints):
        holder = _holder(name) if lifted[index] < 0 else None
        if holder is not None:
            parent[index] = at[holder]
    middle = np.full((len(names), 2), -1)
    for joint, rules in BODY17_RULES.items():
        pair = next((rule for rule in rules if len(rule) == 2 and set(rule) <= set(skeleton.joints)), None)
        if pair and joint not in own:
            middle[at[joint]] = [names.index(name) for name in pair]
    return BodyTree(names, len(skeleton.joints), parent, _downwards(parent), lifted, middle)


def _same(name: str, skeleton: Skeleton, body: Skeleton) -> bool:
    """Whether both mean the same place by a name."""
    return skeleton.name == body.name or name not in DIFFER | {"pelvis"}


def _toes(skeleton: Skeleton) -> dict[str, str]:
    """Other words for the tip of the foot."""
    words = ("foot_index", "big_toe")
    return {f"{side}_{word}": f"{side}_toe" for side in ("left", "right") for word in words if
            f"{side}_{word}" in skeleton.joints and f"{side}_toe" not in skeleton.joints}  # fmt: skip


def _holder(name: str) -> str | None:
    """The body's joint that a joint of the detector alone hangs on."""
    side = next((side for side in ("left", "right") if name.startswith(side)), "")
    for holder, parts in HANGS_ON.items():
        if any(part in name for part in parts):
            if holder not in ("wrist", "ankle"):
                return holder
            return f"{side}_{holder}" if side else None
    return None


def _downwards(parent: Ints) -> Ints:
    """Joints, parents before children."""
    depth = np.zeros(len(parent), dtype=np.int64)
    for joint in range(len(parent)):
        above = parent[joint]
        while above >= 0:
            depth[joint] += 1
            above = parent[above]
    return np.argsort(depth, kind="stable")
