"""Motion out of recordings, without labels: what the views of each frame agree on.

A recording shows few bodies to few cameras. Triangulated, its motion can be shown to any camera, on any body, with the
limbs of other frames, as motion capture can (`lifter.datasets.motion`); the lifter still learns from 2D alone.
"""

from collections.abc import Sequence

import numpy as np

from calibration.triangulate import RigArrays, triangulate
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion_file import Clip
from lifter.datasets.recording import Recording


def clips_of(recordings: Sequence[Recording]) -> list[Clip]:
    """The stretches of consecutive frames in which every joint could be triangulated. Raises DatasetError for none."""
    clips = [clip for recording in recordings for clip in _clips(recording)]
    if not clips:
        names = ", ".join(recording.name for recording in recordings[:5])
        raise DatasetError(
            f"{names}: there is no frame in which two views agree on every joint; is the calibration theirs?"
        )
    return clips


def _clips(recording: Recording) -> list[Clip]:
    rig = RigArrays.of(recording.rig)
    frames = zip(recording.keypoints_px, recording.confidence, strict=True)
    joints_m = np.array([triangulate(rig, keypoints_px, confidence).points_m for keypoints_px, confidence in frames])
    whole = np.isfinite(joints_m).all(axis=(1, 2))
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
