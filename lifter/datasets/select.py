"""The recordings that a configuration asks for: `select(settings, folder)`; what matches nothing is told."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from configs.training_data import Recordings
from lifter.datasets.errors import DatasetError
from lifter.datasets.files import matching, shortened
from lifter.datasets.neutral import load_neutral, load_neutral_truth
from lifter.datasets.recording import Recording
from lifter.datasets.videopose3d import load_videopose3d, load_videopose3d_truth
from lifter.skeleton import Skeleton


def select(settings: Recordings, folder: str | Path, skeleton: Skeleton | None = None) -> list[Recording]:
    """The recordings within a folder that the settings describe, in order of file name, in the given skeleton if any.

    Raises DatasetError naming what there was when nothing is left. Warns of a pattern or an action that matched nothing
    while others did: it may be a misspelling.
    """
    paths = matching(Path(folder), settings.files)
    every_recording = [recording for path in paths for recording in _load(path, settings)]
    if not every_recording:
        raise DatasetError(f"there is no person in {shortened([str(path) for path in paths])}; name other `files`")
    chosen = every_recording if settings.actions is None else _of_actions(every_recording, settings.actions)
    return [_as_wanted(recording, settings, skeleton) for recording in chosen]


def _load(path: Path, settings: Recordings) -> list[Recording]:
    """By what the settings say of layout and 2D."""
    if settings.layout == "videopose3d":
        load = load_videopose3d if settings.keypoints == "detected" else load_videopose3d_truth
        return load(path, settings.subjects)
    return load_neutral(path) if settings.keypoints == "detected" else load_neutral_truth(path)


def _of_actions(recordings: list[Recording], actions: Sequence[str]) -> list[Recording]:
    labels = sorted({str(label) for recording in recordings for label in np.unique(recording.action)})
    meant = {action: _labels_of(action, labels) for action in actions}
    if not any(meant.values()):
        raise DatasetError(f"no frame is of the actions {', '.join(actions)}; there are {shortened(labels)}")
    for action, found in meant.items():
        if not found:
            warnings.warn(f"no frame is of the action {action!r}; there are {shortened(labels)}", stacklevel=3)
    wanted = [label for found in meant.values() for label in found]
    masks = [np.isin(recording.action, wanted) for recording in recordings]
    return [recording.frames(mask) for recording, mask in zip(recordings, masks, strict=True) if mask.any()]


def _labels_of(action: str, labels: Sequence[str]) -> list[str]:
    """The labels that mean an action: its words, perhaps with numbers of trial and chunk behind them.

    Where none does, those that begin with it: Box is Boxing, but Sitting is SittingDown only if nothing is Sitting.
    """
    words = re.escape(action.strip())
    numbers = r"([\W_]*+(chunk|part|trial|take)?[\W_]*+\d++)*+[\W_]*$"  # possessive: a label may be hostile
    for pattern in (words + numbers, words):
        found = [label for label in labels if re.match(pattern, label.strip(), re.IGNORECASE)]
        if found:
            return found
    return []


def _as_wanted(recording: Recording, settings: Recordings, skeleton: Skeleton | None) -> Recording:
    recording = recording.every(settings.every)
    if settings.cameras is not None:
        recording = recording.select_cameras(settings.cameras)
    if not recording.confidence.any():
        raise DatasetError(f"{recording.name}: no camera sees anything; set `keypoints: projected` if it has the truth")
    return recording if skeleton is None else recording.as_skeleton(skeleton)
