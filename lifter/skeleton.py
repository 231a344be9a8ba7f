"""Named skeletons: joint order, parents and sides. A joint order is never spoken of without its skeleton's name.

Sources of the orders: MediaPipe Pose (33 landmarks), COCO keypoints (17), Halpe (26), Human3.6M as VideoPose3D uses it
(17), HumanEva-I (15). Left and right are the person's own.
"""

from dataclasses import dataclass

LIMB_JOINTS = tuple(
    f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)  # the twelve joints that every skeleton and the truth share; accuracy is told on them
# Joints that different skeletons place differently under one name (Human3.6M's head is its top, others' its middle).
DIFFER = frozenset({"spine", "thorax", "neck", "head"})


@dataclass(frozen=True)
class Skeleton:
    """A joint order. `bones` are (parent, child) index pairs; each joint but the roots is a child once."""

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]

    def index(self, joint: str) -> int:
        """Index of a joint by name; ValueError names the skeleton when it has no such joint."""
        if joint not in self.joints:
            raise ValueError(f"skeleton {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}")
        return self.joints.index(joint)

    @property
    def root(self) -> int:
        """Index of the joint that the others are relative to: the middle of the hips, else the left hip."""
        return next(self.joints.index(name) for name in ("pelvis", "hip", "left_hip") if name in self.joints)

    @property
    def mirror(self) -> tuple[int, ...]:
        """Index of each joint's counterpart on the other side, itself on the midline."""
        swap = {"left": "right", "right": "left"}

        def other(joint: str) -> str:
            return "_".join(swap.get(word, word) for word in joint.split("_"))

        return tuple(self.joints.index(other(joint)) for joint in self.joints)

    def limb_indices(self) -> list[int]:
        """Indices of the twelve limb joints, in the order of LIMB_JOINTS."""
        return [self.index(joint) for joint in LIMB_JOINTS]


def _skeleton(name: str, joints: str, bones: str) -> Skeleton:
    """From words: joints in order, bones as `parent>child`; `*_x` in a bone stands for the left and the right one."""
    order = tuple(joints.split())
    pairs = []
    for bone in bones.split():
        for side in ("left", "right") if "*" in bone else ("",):
            parent, child = bone.replace("*", side).split(">")
            pairs.append((order.index(parent), order.index(child)))
    return Skeleton(name, order, tuple(pairs))


MEDIAPIPE33 = _skeleton(
    "mediapipe33",
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear "
    "left_mouth right_mouth left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee "
    "left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index",
    "nose>*_eye_inner *_eye_inner>*_eye *_eye>*_eye_outer *_eye_outer>*_ear nose>*_mouth left_shoulder>right_shoulder "
    "*_shoulder>*_elbow *_elbow>*_wrist *_wrist>*_pinky *_wrist>*_index *_wrist>*_thumb *_shoulder>*_hip "
    "*_hip>*_knee *_knee>*_ankle *_ankle>*_heel *_heel>*_foot_index",
)
COCO17 = _skeleton(
    "coco17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "nose>*_eye *_eye>*_ear left_shoulder>right_shoulder *_shoulder>*_elbow *_elbow>*_wrist *_shoulder>*_hip "
    "*_hip>*_knee *_knee>*_ankle",
)
HALPE26 = _skeleton(
    "halpe26",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle head neck hip left_big_toe "
    "right_big_toe left_small_toe right_small_toe left_heel right_heel",
    "hip>neck neck>head head>nose nose>*_eye *_eye>*_ear neck>*_shoulder *_shoulder>*_elbow *_elbow>*_wrist hip>*_hip "
    "*_hip>*_knee *_knee>*_ankle *_ankle>*_heel *_ankle>*_big_toe *_ankle>*_small_toe",
)
H36M17 = _skeleton(
    "h36m17",
    "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax neck head left_shoulder "
    "left_elbow left_wrist right_shoulder right_elbow right_wrist",
    "pelvis>*_hip *_hip>*_knee *_knee>*_ankle pelvis>spine spine>thorax thorax>neck neck>head thorax>*_shoulder "
    "*_shoulder>*_elbow *_elbow>*_wrist",
)
HUMANEVA15 = _skeleton(
    "humaneva15",
    "pelvis thorax left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist left_hip left_knee "
    "left_ankle right_hip right_knee right_ankle head",
    "pelvis>thorax thorax>head thorax>*_shoulder *_shoulder>*_elbow *_elbow>*_wrist pelvis>*_hip *_hip>*_knee "
    "*_knee>*_ankle",
)

BODY17 = _skeleton(  # the lifter's own: what common detectors all give (see `lifter.derive`), and motion capture too
    "body17",
    "pelvis left_hip right_hip left_knee right_knee left_ankle right_ankle left_toe right_toe thorax head "
    "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist",
    "pelvis>*_hip *_hip>*_knee *_knee>*_ankle *_ankle>*_toe pelvis>thorax thorax>head thorax>*_shoulder "
    "*_shoulder>*_elbow *_elbow>*_wrist",
)

SKELETONS = {skeleton.name: skeleton for skeleton in (MEDIAPIPE33, COCO17, HALPE26, H36M17, HUMANEVA15, BODY17)}
