"""A figure of rigid bones for any skeleton: which joint turns what, and how it stands at rest.

At rest the figure stands as animators expect: y up, looking along +z, arms stretched out to the sides (its left along
+x), palms down. Middles that a skeleton lacks (pelvis, thorax, head) are added. Every bone turns by itself, but for the
two hips, which the pelvis turns; where several bones begin, each has a node of its own at the same place. The joint's
node then turns as these lie together: a head, hand or foot as a whole, and what detectors see move in it besides.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lifter.skeleton import Skeleton, skeleton_among

F64 = npt.NDArray[np.float64]

# Places at rest in metres, of somebody 1.75 m tall; the right side is mirrored. Their directions count, lengths only
# where a bone was never seen.
REST = {
    "pelvis": (0.0, 0.95, 0.0),
    "spine": (0.0, 1.18, 0.0),
    "thorax": (0.0, 1.42, 0.0),
    "neck": (0.0, 1.48, 0.0),
    "upper_neck": (0.0, 1.54, 0.02),
    "head": (0.0, 1.63, 0.03),
    "head_top": (0.0, 1.75, 0.02),
    "nose": (0.0, 1.60, 0.13),
    "left_eye_inner": (0.015, 1.64, 0.11),
    "left_eye": (0.03, 1.64, 0.105),
    "left_eye_outer": (0.045, 1.64, 0.095),
    "left_ear": (0.075, 1.63, 0.03),
    "left_mouth": (0.025, 1.56, 0.11),
    "left_shoulder": (0.18, 1.42, 0.0),
    "left_elbow": (0.46, 1.42, 0.0),
    "left_wrist": (0.71, 1.42, 0.0),
    "left_hand": (0.87, 1.42, 0.0),
    "left_thumb": (0.77, 1.41, 0.05),
    "left_index": (0.80, 1.42, 0.03),
    "left_pinky": (0.79, 1.42, -0.035),
    "left_hip": (0.10, 0.95, 0.0),
    "left_knee": (0.10, 0.52, 0.0),
    "left_ankle": (0.10, 0.09, 0.0),
    "left_heel": (0.10, 0.03, -0.05),
    "left_toe": (0.12, 0.02, 0.15),
    "left_foot_index": (0.12, 0.02, 0.15),
    "left_big_toe": (0.09, 0.02, 0.16),
    "left_small_toe": (0.15, 0.02, 0.13),
}
MIDDLES = {"pelvis": "hip", "thorax": "shoulder", "head": "ear"}
STANDS_FOR = {"thorax": ("thorax", "neck", "upper_neck")}  # where one of these is there, no middle is needed
TOPS = frozenset({"halpe26", "body25b", "h36m17", "humaneva15"})  # skeletons whose head is its top
STIFF = {  # joints that move together → the one that they hang on, and what they hang on where it is not there
    "head": (
        ("nose", "eye_inner", "eye", "eye_outer", "ear", "mouth", "head_top"),
        ("head", "upper_neck", "neck", "thorax"),
    ),
    "hand": (("hand", "thumb", "index", "pinky"), ("wrist",)),
    "foot": (("heel", "toe", "foot_index", "big_toe", "small_toe"), ("ankle",)),
}
HINGES = {"elbow": "wrist", "knee": "ankle"}  # joints that bend about one axis, and the end of the bone below
HINGE_AXES = {  # at rest: that about which the bone below turns, right-handed, as it bends forearm forward, shank back
    "left_elbow": np.array([0.0, -1.0, 0.0]),
    "right_elbow": np.array([0.0, 1.0, 0.0]),
    "left_knee": np.array([1.0, 0.0, 0.0]),
    "right_knee": np.array([1.0, 0.0, 0.0]),
}


@dataclass(frozen=True)
class Node:
    """Something that turns. parent: index, -1 of the root. at: the joint where it is. ends: joints that it carries."""

    name: str
    parent: int
    at: int
    ends: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Figure:
    """joints: the skeleton's, then added middles; words: the same as REST calls them.

    middles: those, with the two joints that each is between. nodes: parents before children; each joint that is not
    left out has one of its own, besides those of its bones. rest_m: (J, 3). left_out: joints that hang on nothing.
    """

    joints: tuple[str, ...]
    words: tuple[str, ...]
    middles: dict[int, tuple[int, int]]
    nodes: tuple[Node, ...]
    rest_m: F64
    left_out: tuple[str, ...]

    @property
    def root(self) -> int:
        """The joint at the root."""
        return self.nodes[0].at

    def carried(self, node: int) -> list[int]:
        """The ends of the bones that have nodes of their own at a joint's node."""
        at = self.nodes[node].at
        return [end for other in self.nodes if other.parent == node and other.at == at for end in other.ends]

    def is_stiff(self, ends: list[int]) -> bool:
        """Whether several joints are of one stiff part of the body."""
        words = {_split(self.words[end])[1] for end in ends}
        return len(ends) > 1 and any(words <= set(parts) for parts, _ in STIFF.values())

    def below(self, joint: int) -> list[int]:
        """A joint and all that hang on it."""
        found = [joint]
        for node in self.nodes:
            if node.at in found:
                found += [end for end in node.ends if end not in found]
        return found


def figure_of(skeleton: Skeleton) -> Figure:
    """The figure of a skeleton. Raises ValueError when it has no two joints that hang together."""
    names = list(skeleton.joints)
    other = {"hip": "pelvis"} | ({"head": "head_top"} if skeleton.name in TOPS else {})
    words = [other.get(name, name) for name in names]
    middles = {}
    for middle, part in MIDDLES.items():
        pair = f"left_{part}", f"right_{part}"
        if not set(STANDS_FOR.get(middle, (middle,))) & set(words) and set(pair) <= set(words):
            middles[len(words)] = (words.index(pair[0]), words.index(pair[1]))
            words.append(middle)
            names.append(middle)
    parent = _parents(words)
    root = _root(words, parent)
    nodes = _nodes(words, parent, root)
    if len(nodes) < 2:
        raise ValueError(f"of the joints of {skeleton.name}, no two are known to hang together")
    held = {node.at for node in nodes}
    left_out = tuple(name for joint, name in enumerate(names) if joint not in held)
    rest_m = np.array([_rest(word) for word in words])
    return Figure(tuple(names), tuple(words), middles, nodes, rest_m, left_out)


def _parents(words: list[str]) -> dict[int, int]:
    """The joint that each joint hangs on."""
    parent = {child: above for above, child in skeleton_among("figure", tuple(words)).bones}
    for child, word in enumerate(words):
        side, part = _split(word)
        for parts, holders in STIFF.values():
            if part in parts:
                held = [words.index(name) for name in _sided(holders, side) if name in words]
                parent |= {child: held[0]} if held else {}
    return {child: above for child, above in parent.items() if not np.isnan(_rest(words[child])).any()}


def _root(words: list[str], parent: dict[int, int]) -> int:
    """The joint that the most others hang on, at last."""
    tops = [joint for joint in range(len(words)) if joint not in parent]

    def top(joint: int) -> int:
        while joint in parent:
            joint = parent[joint]
        return joint

    held = [top(joint) for joint in range(len(words))]
    return max(tops, key=held.count)


def _nodes(words: list[str], parent: dict[int, int], root: int) -> tuple[Node, ...]:
    nodes: list[Node] = []

    def grow(joint: int, above: int) -> None:
        children = [child for child in parent if parent[child] == joint]
        hips = [child for child in children if _split(words[child])[1] == "hip"]
        own = tuple(children if len(children) == 1 else hips if words[joint] == "pelvis" else [])
        here = len(nodes)
        nodes.append(Node(words[joint], above, joint, own))
        for child in own:
            grow(child, here)
        for child in children:
            if child not in own:
                nodes.append(Node(_bone_name(words[joint], words[child]), here, joint, (child,)))
                grow(child, len(nodes) - 1)

    grow(root, -1)
    return tuple(nodes)


def _bone_name(joint: str, end: str) -> str:
    side, part = _split(end)
    if part == "shoulder":
        return f"{side}_clavicle"
    return "back" if joint == "pelvis" else f"{joint}_to_{end}"


def _split(word: str) -> tuple[str, str]:
    side, _, part = word.partition("_")
    return (side, part) if side in ("left", "right") else ("", word)


def _sided(parts: tuple[str, ...], side: str) -> list[str]:
    return [name for part in parts for name in (f"{side}_{part}", part)]


def _rest(word: str) -> tuple[float, float, float]:
    side, part = _split(word)
    x, y, z = REST.get(f"left_{part}" if side else word, (np.nan, np.nan, np.nan))
    return (-x if side == "right" else x, y, z)
