"""Joint names of other people's files in our skeletons: spelling, and an explicit table of other words.

Spelling (RHip, r_hip, mouth_left) is the same everywhere; what "neck" or "head" means depends on the whole list, so the
table has whole ways of naming a skeleton's joints, tried in turn. `recognise`, for training data, refuses a list that
none fits; `skeleton_of`, for detections that are fused as they are, makes a skeleton of it.
"""

import re
from collections.abc import Sequence

from lifter.datasets.errors import DatasetError
from lifter.skeleton import DIFFER, LIMB_JOINTS, SKELETONS, Skeleton, skeleton_among

SIDES = {"l": "left", "r": "right", "left": "left", "right": "right"}
WORDS = {"kne": "knee", "ank": "ankle", "sho": "shoulder", "elb": "elbow", "wri": "wrist"}
LIMB_WORDS = ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist", *WORDS)
SIDED_WORDS = (*LIMB_WORDS, "eye", "ear", "heel", "toe", "hand")
GLUED: dict[str, tuple[str, ...]] = {side + word: (side, word) for side in "lr" for word in SIDED_WORDS}  # rhip, lsho
GLUED |= {f"{side}{size}toe": (side, size, "toe") for side in "lr" for size in ("big", "small")}
SAME = {  # one joint under several names, whatever the list
    **dict.fromkeys(("hip", "hips", "root", "mid_hip", "midhip", "hip_center", "center_hip", "body_center"), "pelvis"),
    **dict.fromkeys(("top_head", "headtop"), "head_top"),
    **dict.fromkeys(("bottom_head", "head_bottom", "upperneck"), "upper_neck"),
}
MIN_LIMB_JOINTS = 6  # fewer are nobody's pose

FEET = {"left_foot": "left_ankle", "right_foot": "right_ankle"}
H36M = {
    **FEET,
    **{"torso": "spine", "belly": "spine", "chest": "thorax", "head_top": "head", "site": "head"},
    **{"neck_nose": "neck", "nose_neck": "neck", "neck_base": "neck"},
}
SEGMENT_ENDS = {  # HumanEva's own names
    **{"torso_distal": "pelvis", "torso_proximal": "thorax", "head_proximal": "head", "head_distal": "head"},
    **{
        f"{side}_{end}": f"{side}_{joint}"
        for side in ("left", "right")
        for end, joint in (
            *(("upper_arm_proximal", "shoulder"), ("upper_arm_distal", "elbow"), ("lower_arm_distal", "wrist")),
            *(("upper_leg_proximal", "hip"), ("upper_leg_distal", "knee"), ("lower_leg_distal", "ankle")),
        )
    },
}
WAYS: dict[str, tuple[dict[str, str], ...]] = {  # by skeleton: other words for its joints
    "h36m17": (
        H36M,
        {**H36M, "nose": "neck"},
        {**H36M, "neck": "thorax", "nose": "neck"},
        {**H36M, "neck": "thorax", "head": "neck"},
    ),
    "body25b": ({"upper_neck": "neck", "head_top": "head"}, {}),
    "mpii16": ({}, {"neck": "upper_neck", "head": "head_top"}, {"neck": "upper_neck"}, {"chest": "thorax"}),
    "humaneva15": ({**FEET, "neck": "thorax", "chest": "thorax", "head_top": "head"}, SEGMENT_ENDS),
}
# A list with these besides a skeleton's joints is that skeleton: OpenPose BODY_25B is COCO with feet and neck.
MAY_BE_LEFT_OUT = {
    "coco17": {"neck", "head", "pelvis"}
    | {f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")}
}


def spelled(joint: str) -> str:
    """One spelling for all: words in lower case joined by _, the side first and in full, `pelvis` between the hips."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", joint)]
    if len(words) == 1 and words[0] in GLUED:
        words = list(GLUED[words[0]])
    sides = [SIDES[word] for word in words if word in SIDES]
    name = "_".join(sides + [WORDS.get(word, word) for word in words if word not in SIDES])
    return SAME.get(name, name)


def recognise(joints: Sequence[str]) -> tuple[Skeleton, list[int]]:
    """The skeleton that a file's joints are, and where in the file each of its joints is.

    Raises DatasetError naming what is unknown or missing, and the skeletons that are known.
    """
    found = _named(joints, {}) or _named(joints, MAY_BE_LEFT_OUT)
    if found is None:
        raise DatasetError(_unknown(joints))
    return found


def skeleton_of(joints: Sequence[str]) -> tuple[Skeleton, list[int]]:
    """As `recognise`, of any list: one that is no known skeleton's, whole, becomes one of its own, in its own order.

    Joints that nothing is known of stand in it under their own names. Raises DatasetError when fewer than
    MIN_LIMB_JOINTS limb joints are known, or one is there twice.
    """
    found = _named(joints, {})
    if found is not None:
        return found
    names = [spelled(joint) or joint for joint in joints]
    limbs = [name for name in names if name in LIMB_JOINTS]
    if len(set(limbs)) < MIN_LIMB_JOINTS:
        raise DatasetError(
            f"of its {len(joints)} joints ({_shortened(joints)}) {len(set(limbs))} are known limb joints, and "
            f"{MIN_LIMB_JOINTS} are needed; names are such as left_wrist, LWrist or l_wrist"
        )
    if len(set(limbs)) != len(limbs):
        raise DatasetError(_unknown(joints))
    apart = [name if names.index(name) == place else f"{name}_{place}" for place, name in enumerate(names)]
    return skeleton_among(f"unnamed{len(apart)}", tuple(apart)), list(range(len(apart)))


def _named(joints: Sequence[str], may_be_left_out: dict[str, set[str]]) -> tuple[Skeleton, list[int]] | None:
    """The known skeleton whose joints these are, besides those that may be left out, and where each is."""
    names = [spelled(joint) for joint in joints]
    for skeleton in SKELETONS.values():
        wanted = [spelled(joint) for joint in skeleton.joints]
        for way in WAYS.get(skeleton.name, ({},)):
            ours = [way.get(name, name) for name in names]
            extra = set(ours) - set(wanted)
            whole = set(wanted) <= set(ours) and len(set(ours)) == len(ours)
            if whole and extra <= may_be_left_out.get(skeleton.name, set()):
                return skeleton, [ours.index(name) for name in wanted]
    return None


def places_in(joints: Sequence[str], target: Skeleton) -> list[int | None]:
    """Where in a file's joints each joint of `target` is; None where the file has no such joint.

    Between two skeletons, joints that they place differently under one name count as absent.
    """
    names = [spelled(joint) for joint in joints]
    try:
        source, order = recognise(joints)
    except DatasetError:
        pass  # some of a skeleton's joints: then their names are all there is
    else:
        known = {spelled(joint): place for joint, place in zip(source.joints, order, strict=True)}
        same = source.name == target.name
        return [known.get(name) if same or name not in DIFFER else None for name in map(spelled, target.joints)]
    return [names.index(name) if name in names else None for name in map(spelled, target.joints)]


def _shortened(joints: Sequence[str]) -> str:
    return ", ".join(joints[:5]) + (", …" if len(joints) > 5 else "")


def _unknown(joints: Sequence[str]) -> str:
    names = [spelled(joint) for joint in joints]
    doubles = sorted({joint for joint, name in zip(joints, names, strict=True) if names.count(name) > 1})
    if doubles:
        return f"two joints are the same: {', '.join(doubles)}"

    def misfit(skeleton: Skeleton) -> int:
        return len({spelled(joint) for joint in skeleton.joints} ^ set(names))

    nearest = min(SKELETONS.values(), key=misfit)
    ours = [spelled(joint) for joint in nearest.joints]
    unknown = [joint for joint, name in zip(joints, names, strict=True) if name not in ours]
    missing = [joint for joint, name in zip(nearest.joints, ours, strict=True) if name not in names]
    return (
        f"its {len(joints)} joints are those of no known skeleton ({', '.join(SKELETONS)}); of the nearest, "
        f"{nearest.name}, it lacks {', '.join(missing) or 'none'}, and has besides {', '.join(unknown) or 'none'}"
    )
