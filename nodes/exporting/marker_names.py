"""What users of OpenSim and Pose2Sim call our joints: the marker names of their models, for TRC and C3D.

Pose2Sim's models (OpenSim_Setup, `Markers_<MODEL>.xml`; Pose2Sim/skeletons.py) share one way of naming: RKnee, LBigToe.
It is `Hip` for HALPE_26 and BLAZEPOSE, `CHip` for OpenPose's. Joints that no model has are named in the same way.
"""

from collections.abc import Sequence

SIDES = {"left": "L", "right": "R"}
PELVIS = {"body25": "CHip", "body25b": "CHip", "mpii16": "CHip"}
WORDS = {"foot_index": "BigToe", "pelvis": "Hip", "upper_neck": "Neck", "head_top": "Head"}


def marker_names(skeleton: str, joints: Sequence[str]) -> tuple[str, ...]:
    """A marker name for each joint of a skeleton, no two the same."""
    names = [_marker(skeleton, joint) for joint in joints]
    return tuple(name if names.count(name) == 1 else _camel(joint) for name, joint in zip(names, joints, strict=True))


def _marker(skeleton: str, joint: str) -> str:
    side, _, part = joint.partition("_")
    if side not in SIDES:
        side, part = "", joint
    if part == "pelvis":
        return PELVIS.get(skeleton, "Hip")
    return SIDES.get(side, "") + WORDS.get(part, _camel(part))


def _camel(words: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in words.split("_"))
