"""Motion out of recordings, without labels: what the views of each frame agree on.

A recording shows few bodies to few cameras. Triangulated, its motion can be shown to any camera, on any body, with the
limbs of other frames, as motion capture can (`lifter.datasets.motion`); the lifter still learns from 2D alone.
"""

from collections.abc import Sequence

import numpy as np

from calibration.triangulate import RigArrays, triangulate
from lifter.datasets.bodies import loose_joints
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion_file import Clip
from lifter.datasets.recording import Recording
from lifter.skeleton import Skeleton


def clips_of(recordings: Sequence[Recording], skeleton: Skeleton) -> list[Clip]:
    """The stretches of consecutive frames in which every joint of the skeleton could be triangulated, on a floor at 0.

    Raises DatasetError for none.
    """
    as_wanted = [recording.as_skeleton(skeleton) for recording in recordings]
    clips = [clip for recording in as_wanted for clip in _clips(recording)]
    if not clips:
        _refuse_lacking_joints(recordings, as_wanted)
        names = ", ".join(recording.name for recording in recordings[:5])
        raise DatasetError(
            f"{names}: there is no frame in which two views agree on every joint; is the calibration theirs?"
        )
    return clips


def _refuse_lacking_joints(recordings: Sequence[Recording], as_wanted: Sequence[Recording]) -> None:
    """Joints that no camera ever sees, as the toes that a detector does not have."""
    for given, wanted in zip(recordings, as_wanted, strict=True):
        seen = wanted.confidence.any(axis=(0, 1))
        unseen = [joint for joint, known in zip(wanted.skeleton.joints, seen, strict=True) if not known]
        if unseen and given.skeleton != wanted.skeleton:
            advice = "use kind: recordings" if loose_joints(given.skeleton) else f"set skeleton: {given.skeleton.name}"
            raise DatasetError(
                f"{given.name}: its 2D is of {given.skeleton.name}, in which no camera ever sees "
                f"{', '.join(unseen)} of {wanted.skeleton.name}; {advice}"
            )


def _clips(recording: Recording) -> list[Clip]:
    rig = RigArrays.of(recording.rig)
    frames = zip(recording.keypoints_px, recording.confidence, strict=True)
    joints_m = np.array([triangulate(rig, keypoints_px, confidence).points_m for keypoints_px, confidence in frames])
    whole = np.isfinite(joints_m).all(axis=(1, 2))
    if whole.any():  # the lowest joint is now and then on the floor, and in few frames below it
        joints_m[..., 2] -= np.percentile(joints_m[whole, :, 2].min(axis=1), 5)
    breaks = (np.diff(recording.chunk) != 0) | ~whole[1:] | ~whole[:-1]
    runs = np.split(np.arange(len(joints_m)), np.flatnonzero(breaks) + 1)
    return [
        Clip(
            f"{recording.name}[{run[0]}]",
            recording.name,
            str(recording.action[run[0]]),
            recording.fps,
            joints_m[run].astype(np.float32),
        )
        for run in runs
        if whole[run[0]]
    ]
