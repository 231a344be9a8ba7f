"""Named skeletons: joint order, parents and sides. A joint order is never spoken of without its skeleton's name.

Sources of the orders: MediaPipe Pose (33 landmarks), COCO keypoints (17), Halpe (26), OpenPose's BODY_25 and BODY_25B
(25 each), MPII (16), Human3.6M as VideoPose3D uses it (17), HumanEva-I (15), the motion files of
`lifter.datasets.motion_file` (22). Left and right are the person's own.
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
        """Index of the joint that the others are relative to: the middle of the hips, else a hip, else the first."""
        roots = ("pelvis", "hip", "left_hip", "right_hip")
        return next((self.joints.index(name) for name in roots if name in self.joints), 0)

    @property
    def mirror(self) -> tuple[int, ...]:
        """Index of each joint's counterpart on the other side; itself on the midline, and without a counterpart."""
        swap = {"left": "right", "right": "left"}
        place = {joint: index for index, joint in enumerate(self.joints)}

        def other(joint: str) -> str:
            return "_".join(swap.get(word, word) for word in joint.split("_"))

        return tuple(place.get(other(joint), index) for index, joint in enumerate(self.joints))

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
BODY25 = _skeleton(  # OpenPose; its neck is the middle of the shoulders, and what it calls MidHip the pelvis here
    "body25",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist pelvis right_hip right_knee "
    "right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe left_small_toe "
    "left_heel right_big_toe right_small_toe right_heel",
    "pelvis>neck neck>nose nose>*_eye *_eye>*_ear neck>*_shoulder *_shoulder>*_elbow *_elbow>*_wrist pelvis>*_hip "
    "*_hip>*_knee *_knee>*_ankle *_ankle>*_heel *_ankle>*_big_toe *_ankle>*_small_toe",
)
BODY25B = _skeleton(  # OpenPose; as MPII's upper neck and top of the head are its neck and head
    "body25b",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle neck head left_big_toe left_small_toe "
    "left_heel right_big_toe right_small_toe right_heel",
    "neck>head head>nose nose>*_eye *_eye>*_ear neck>*_shoulder *_shoulder>*_elbow *_elbow>*_wrist *_shoulder>*_hip "
    "*_hip>*_knee *_knee>*_ankle *_ankle>*_heel *_ankle>*_big_toe *_ankle>*_small_toe",
)
MPII16 = _skeleton(
    "mpii16",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top right_wrist "
    "right_elbow right_shoulder left_shoulder left_elbow left_wrist",
    "pelvis>thorax thorax>upper_neck upper_neck>head_top thorax>*_shoulder *_shoulder>*_elbow *_elbow>*_wrist "
    "pelvis>*_hip *_hip>*_knee *_knee>*_ankle",
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

CMU22 = _skeleton(  # joint centres of captured motion; the toe is the ball of the foot, the hand its tip
    "cmu22",
    "pelvis right_hip right_knee right_ankle right_toe left_hip left_knee left_ankle left_toe spine thorax neck head "
    "head_top left_shoulder left_elbow left_wrist left_hand right_shoulder right_elbow right_wrist right_hand",
    "pelvis>*_hip *_hip>*_knee *_knee>*_ankle *_ankle>*_toe pelvis>spine spine>thorax thorax>neck neck>head "
    "head>head_top thorax>*_shoulder *_shoulder>*_elbow *_elbow>*_wrist *_wrist>*_hand",
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (MEDIAPIPE33, COCO17, HALPE26, BODY25, BODY25B, MPII16, H36M17, HUMANEVA15, BODY17, CMU22)
}

# What each joint of a body hangs on, the nearest first: for lists of joints that have no name of their own.
PARENTS = {
    "spine": "pelvis",
    "thorax": "spine pelvis",
    "neck": "thorax spine pelvis",
    "upper_neck": "neck thorax spine pelvis",
    "head": "upper_neck neck thorax spine pelvis",
    "head_top": "head upper_neck neck thorax",
    "nose": "head upper_neck neck thorax",
    "*_eye_inner": "nose",
    "*_eye": "*_eye_inner nose head upper_neck neck",
    "*_eye_outer": "*_eye",
    "*_ear": "*_eye_outer *_eye nose head upper_neck neck",
    "*_mouth": "nose",
    "left_shoulder": "thorax neck upper_neck spine pelvis",
    "right_shoulder": "thorax neck upper_neck spine pelvis left_shoulder",
    "*_elbow": "*_shoulder",
    "*_wrist": "*_elbow",
    "*_hand": "*_wrist",
    "*_thumb": "*_wrist",
    "*_index": "*_wrist",
    "*_pinky": "*_wrist",
    "*_hip": "pelvis spine thorax neck upper_neck *_shoulder",
    "*_knee": "*_hip",
    "*_ankle": "*_knee",
    "*_heel": "*_ankle",
    "*_toe": "*_ankle",
    "*_foot_index": "*_ankle",
    "*_big_toe": "*_ankle",
    "*_small_toe": "*_ankle",
}


def skeleton_among(name: str, joints: tuple[str, ...]) -> Skeleton:
    """A skeleton of any joints: each known one hangs on the nearest of its parents that is there, others on nothing."""
    bones = []
    for child, joint in enumerate(joints):
        side = next((side for side in ("left", "right") if joint.startswith(f"{side}_")), "")
        general = "*" + joint.removeprefix(side) if side else joint
        parents = PARENTS.get(joint, PARENTS.get(general, "")).replace("*", side).split()
        parent = next((joints.index(each) for each in parents if each in joints), None)
        if parent is not None:
            bones.append((parent, child))
    return Skeleton(name, joints, tuple(bones))
