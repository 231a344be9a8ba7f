"""Files of captured motion: joint positions as int16 millimetres, stored as differences in time (exact, and small).

Keys of the .npz: format, joints (J,), delta (frames of all clips, J, 3), start (clips + 1,), present (clips, J), and
per clip fps, subject, trial, action, source. `splits.json` beside it names the subjects of train, val and test.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lifter.datasets.errors import DatasetError
from lifter.datasets.joint_names import spelled
from lifter.skeleton import BODY17, Skeleton

FORMAT = "joints-int16-mm-timediff-v1"
TOE_LENGTH = 1.25  # CMU's toe joint is the ball of the foot, detectors' the tip: 125 mm and 158 mm from the ankle
NECK_TO_HEAD_M = 0.15  # sources put their head joint 3 to 18 cm above the neck; the middle of the ears is about here


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of one person. joints_m (T, J, 3): world metres, z up, in the skeleton's order."""

    name: str
    subject: str
    action: str
    fps: float
    joints_m: npt.NDArray[np.float32]


def read_clips(path: Path, skeleton: Skeleton = BODY17, split: str | None = None) -> list[Clip]:
    """The clips of a file, or of one part of its splits.json. Raises DatasetError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            part = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: cannot be read as a motion file: {error}") from error
    if str(part.get("format")) != FORMAT:
        raise DatasetError(f"{path}: its format is {part.get('format')!s}, expected {FORMAT}")
    subjects = None if split is None else _subjects_of(path.with_name("splits.json"), split)
    names = [spelled(str(joint)) for joint in part["joints"]]
    clips = []
    for i, subject in enumerate(str(s) for s in part["subject"]):
        if subjects is None or subject in subjects:
            delta = part["delta"][part["start"][i] : part["start"][i + 1]].astype(np.int32)
            joints_m = _as_skeleton(np.cumsum(delta, axis=0) / 1000.0, part["present"][i], names, skeleton, path)
            name = f"{subject}/{part['trial'][i]}"
            clips.append(Clip(name, subject, str(part["action"][i]), float(part["fps"][i]), joints_m))
    if not clips:
        raise DatasetError(f"{path}: no clip is of the split {split!r}")
    return clips


def _subjects_of(path: Path, split: str) -> set[str]:
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read, and the split {split!r} is defined there: {error}") from error
    parts = {name for name, part in splits.items() if isinstance(part, dict) and "subjects" in part}
    if split not in parts:
        raise DatasetError(f"{path}: there is no split {split!r}; it has {', '.join(sorted(parts))}")
    return set(splits[split]["subjects"])


def _as_skeleton(
    x: npt.NDArray[np.float64], present: npt.NDArray[np.bool_], names: list[str], skeleton: Skeleton, path: Path
) -> npt.NDArray[np.float32]:
    """Joints in the skeleton's order; body17's midline and toes by their own definitions, whatever the source's are."""
    at = {name: x[:, i] for i, name in enumerate(names) if present[i]}
    if skeleton.name == BODY17.name:
        at["pelvis"] = (at["left_hip"] + at["right_hip"]) / 2
        at["thorax"] = (at["left_shoulder"] + at["right_shoulder"]) / 2
        upward = at["head"] - at["neck"]
        for side in ("left", "right"):
            ankle = at[f"{side}_ankle"]
            at[f"{side}_toe"] = ankle + TOE_LENGTH * (at[f"{side}_toe"] - ankle)
        at["head"] = at["neck"] + NECK_TO_HEAD_M * upward / np.linalg.norm(upward, axis=-1, keepdims=True)
    wanted = [spelled(joint) for joint in skeleton.joints]
    lacking = [joint for joint in wanted if joint not in at]
    if lacking:
        raise DatasetError(
            f"{path}: skeleton {skeleton.name} needs {', '.join(lacking)}; the file has {', '.join(names)}"
        )
    return np.stack([at[joint] for joint in wanted], axis=1).astype(np.float32)
