"""From settings and a folder to something that gives batches."""

from pathlib import Path
from typing import Protocol

import numpy as np

from configs.training import Data, Motion, Triangulated
from lifter.datasets.batch import Batch
from lifter.datasets.errors import DatasetError
from lifter.datasets.files import matching
from lifter.datasets.motion import MotionSource
from lifter.datasets.motion_file import read_clips
from lifter.datasets.recorded import RecordingSource
from lifter.datasets.select import select
from lifter.datasets.triangulated import clips_of
from lifter.skeleton import Skeleton


class Source(Protocol):
    """Gives batches; all that is random comes from the generator."""

    frames: int  # different moments that it holds: an epoch
    cameras: int  # that see a sample, at most
    fewest_cameras: int  # that see a sample, at least
    labelled: bool  # whether any of its frames has a known truth

    def draw(self, samples: int, rng: np.random.Generator) -> Batch: ...


def open_source(settings: Data, folder: Path, skeleton: Skeleton, window: int) -> Source:
    """The source of a training or a validation. Raises DatasetError."""
    if isinstance(settings, Motion):
        splits = settings.split if isinstance(settings.split, list) else [settings.split]
        paths = matching(folder, settings.files)
        clips = [clip for path in paths for split in splits for clip in read_clips(path, skeleton, split)]
        return MotionSource(clips, skeleton, settings, window)
    if isinstance(settings, Triangulated):
        if not settings.recordings.level:
            raise DatasetError(
                "kind: triangulated shows the motion to upright cameras: it needs a rig whose z axis points up; use "
                "kind: recordings with level: false"
            )
        return MotionSource(clips_of(select(settings.recordings, folder), skeleton), skeleton, settings, window)
    recordings = select(settings, folder, skeleton)
    return RecordingSource(recordings, skeleton, window, settings.mirrored, settings.level)
