"""The floor and the origin of a running system's world: where the board lies now, or where somebody stands."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.instants import together
from calibration.people.world import FOOT_HEIGHTS
from calibration.rig import CameraRig
from calibration.sightings import CameraSightings
from calibration.world_frame import frame_at
from lifter.skeleton import SKELETONS, Skeleton
from nodes.calibrating.check_board import of_both
from nodes.calibrating.world import by_lying_board
from nodes.wire.messages import Origin, Person3D, Pose3D

F64 = npt.NDArray[np.float64]

USUAL_STATURE_M = 1.7  # heights of foot joints are shares of it: a tall person's ankle is 5 mm higher
STANDS_WITHIN_M = 0.15  # from the median, of the hips
FEWEST_POSES = 8
SEEN = (Origin.TRIANGULATED, Origin.FUSED)


def by_board(rig: CameraRig, board: CharucoBoard, seen: Sequence[CameraSightings]) -> F64:
    """T_new_old (4, 4) by a board that lies on the floor. Raises CalibrationError with what to do."""
    moments = together([each for each in seen if len(each.frame)] or list(seen))
    if not moments.seen.any():
        raise CalibrationError(
            "no camera sees the board: lay it flat on the floor, where a camera sees all of it, and step back"
        )
    of_both(rig, moments, fewest=1)
    return by_lying_board(rig, board, moments)


def by_person(poses: Sequence[Pose3D], person: int) -> F64:
    """T_new_old (4, 4) by who stands still in these poses: origin below the feet, x the way they face.

    person: id; -1: the only one there is. Raises CalibrationError with what to do.
    """
    if any(pose.frame != "world" for pose in poses):
        raise CalibrationError("one camera without calibration knows no floor: calibrate, with two cameras or more")
    who = _who(poses, person)
    skeleton = SKELETONS.get(poses[-1].skeleton)
    if skeleton is None:
        raise CalibrationError(f"the joints of skeleton {poses[-1].skeleton!r} have no names, so no feet are known")
    joints = _standing(who, skeleton)
    feet = {name: joints[i] for i, name in enumerate(skeleton.joints) if name.partition("_")[2] in FOOT_HEIGHTS}
    feet = {name: place for name, place in feet.items() if np.isfinite(place).all()}
    if not feet:
        raise CalibrationError("no foot is seen by two cameras: stand where the cameras see the feet, too")
    sides = [[(n, p) for n, p in feet.items() if n.startswith(side)] for side in ("left", "right")]
    soles = [np.mean([p[2] - FOOT_HEIGHTS[n.partition("_")[2]] * USUAL_STATURE_M for n, p in s]) for s in sides if s]
    middle = np.mean([np.mean([p for _, p in s], axis=0) for s in sides if s], axis=0)
    return frame_at(np.array([middle[0], middle[1], min(soles)]), _facing(joints, skeleton), np.array([0.0, 0.0, 1.0]))


def _who(poses: Sequence[Pose3D], person: int) -> list[Person3D]:
    """The person in each pose that has them."""
    ids = {each.id for pose in poses for each in pose.people}
    if not ids:
        raise CalibrationError("nobody is seen: stand still where two cameras see you from head to foot")
    if person < 0 and len(ids) > 1:
        raise CalibrationError(f"{len(ids)} people are seen: choose one of them, or let one stand there alone")
    person = person if person >= 0 else ids.pop()
    who = [each for pose in poses for each in pose.people if each.id == person]
    if len(who) < FEWEST_POSES:
        raise CalibrationError(f"person {person} is hardly seen now: stand still where two cameras see you, and again")
    return who


def _standing(who: Sequence[Person3D], skeleton: Skeleton) -> F64:
    """(J, 3) where the joints stood, NaN for those that cameras hardly saw. Raises CalibrationError for who walks."""
    joints = np.stack([each.joints_m for each in who]).astype(np.float64)
    if joints.shape[1] != len(skeleton.joints):
        raise CalibrationError(f"{joints.shape[1]} joints came, skeleton {skeleton.name} has {len(skeleton.joints)}")
    joints[~np.isin(np.stack([each.origin for each in who]), SEEN)] = np.nan
    often = np.isfinite(joints).all(2).sum(0) >= FEWEST_POSES
    median = np.full(joints.shape[1:], np.nan)
    median[often] = np.nanmedian(joints[:, often], axis=0)
    off = np.linalg.norm(joints[:, often] - median[often], axis=2)
    moved_m = float(np.nanmax(np.nanmedian(off, axis=1))) if often.any() and np.isfinite(off).any() else 0.0
    if moved_m > STANDS_WITHIN_M:
        raise CalibrationError(f"the person moved by {100 * moved_m:.0f} cm: stand still for a second, and again")
    return median


def _facing(joints: F64, skeleton: Skeleton) -> F64:
    """(3,) horizontally ahead, by hips and shoulders."""
    across = np.zeros(3)
    for part in ("hip", "shoulder"):
        if {f"left_{part}", f"right_{part}"} <= set(skeleton.joints):
            left, right = joints[skeleton.index(f"left_{part}")], joints[skeleton.index(f"right_{part}")]
            across += np.nan_to_num(left - right)
    ahead = np.cross(across, [0.0, 0.0, 1.0])
    if np.linalg.norm(ahead) < 0.05:
        raise CalibrationError("neither hips nor shoulders are seen by two cameras: which way do they face?")
    return np.asarray(ahead)
