"""The joint orders of other people's detectors, by the names that their files and settings use. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lifter.datasets.joint_names import skeleton_of
from lifter.skeleton import BODY25, BODY25B, COCO17, HALPE26, MEDIAPIPE33, SKELETONS, Skeleton
from nodes.sessions.errors import SessionError

COCO18_JOINTS = (  # OpenPose's COCO model: no joint between the hips
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee "
    "right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"
)
COCO18 = skeleton_of(COCO18_JOINTS.split())[0]
BY_NAME = {
    "BODY_25": BODY25,
    "BODY_25B": BODY25B,
    "COCO_18": COCO18,
    "COCO_17": COCO17,
    "HALPE_26": HALPE26,
    "BLAZEPOSE": MEDIAPIPE33,
}
POSE2SIM_WORDS = {  # `pose_model` in its Config.toml
    **BY_NAME,
    "COCO": COCO18,
    "BODY_WITH_FEET": HALPE26,
    "LOWER_BODY": HALPE26,
    "BODY": COCO17,
}
BY_COUNT = {18: COCO18, 17: COCO17, 26: HALPE26, 33: MEDIAPIPE33}  # 25 are BODY_25 or BODY_25B: `which_body25`
MIDDLE = 0.15  # of the trunk's length: BODY_25's joint 8 is between the hips, BODY_25B's is an elbow
FACE = 0.2  # of the person's extent
MIN_VOTES = 0.8  # of the people


def skeleton_called(name: str, n_joints: int) -> Skeleton:
    """The skeleton that the user names. Raises SessionError when it has another number of joints."""
    skeleton = BY_NAME.get(name.upper()) or SKELETONS.get(name)
    if skeleton is None:
        known = ", ".join([*BY_NAME, *(each for each in SKELETONS if SKELETONS[each] not in BY_NAME.values())])
        raise SessionError(f"--skeleton {name} is not known; known are {known}")
    if len(skeleton.joints) != n_joints:
        raise SessionError(f"--skeleton {name} has {len(skeleton.joints)} joints, and the files have {n_joints}")
    return skeleton


def skeleton_of_count(n_joints: int, people: Sequence[npt.NDArray[np.float32]]) -> Skeleton:
    """By the number of joints, and where that is not enough by what some people (J, 3) look like. SessionError."""
    if n_joints == 25:
        return which_body25(people)
    if n_joints not in BY_COUNT:
        known = ", ".join(f"{name} {len(skeleton.joints)}" for name, skeleton in BY_NAME.items())
        raise SessionError(f"people have {n_joints} joints each, which is the number of no known detector ({known})")
    return BY_COUNT[n_joints]


def which_body25(people: Sequence[npt.NDArray[np.float32]]) -> Skeleton:
    """BODY_25 has neck (1) and middle of the hips (8) between shoulders (2, 5) and hips (9, 12).

    BODY_25B has not, and eyes (1, 2) near the nose (0). Raises SessionError where most people look like neither.
    """
    votes = []
    for each in people:
        known = each[:, 2] > 0
        if not known[[0, 1, 2, 5, 8, 9, 12]].all():
            continue
        xy = each[:, :2]
        trunk_px = np.linalg.norm(xy[1] - xy[8])
        off_px = max(np.linalg.norm(xy[1] - (xy[2] + xy[5]) / 2), np.linalg.norm(xy[8] - (xy[9] + xy[12]) / 2))
        is_body25 = bool(off_px < MIDDLE * trunk_px)
        face_px = max(np.linalg.norm(xy[1] - xy[0]), np.linalg.norm(xy[2] - xy[0]))
        tall_px = np.ptp(xy[each[:, 2] > 0], axis=0).max()
        votes.append((is_body25, not is_body25 and bool(face_px < FACE * tall_px)))
    shares = np.mean(votes, axis=0) if votes else np.zeros(2)
    if shares.max() < MIN_VOTES:
        raise SessionError(
            "people have 25 joints, and it cannot be seen whether they are BODY_25's or BODY_25B's: say it with "
            "--skeleton BODY_25 or --skeleton BODY_25B"
        )
    return BODY25 if shares[0] >= MIN_VOTES else BODY25B
