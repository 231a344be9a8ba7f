"""VideoPose3D's files: `data_2d_{h36m,humaneva15}_{detector}.npz`, and beside it `data_3d_{h36m,humaneva15}.npz`.

`positions_3d` is subject → action → (T, J, 3) metres in the world (z up), `positions_2d` subject → action → one
(T, J, 2) array of pixels per camera, `metadata` names the layout of the joints. HumanEva's subjects are `Train/S1`,
`Validate/S1`, …, its actions stretches without a gap (`Walking 1 chunk0`).

Neither file holds the cameras. Human3.6M's are known (`lifter.datasets.h36m_cameras`); for HumanEva, or to use others,
a calibration file per subject stands beside the data: `cameras_humaneva15_S1.toml`.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from lifter.datasets import h36m_cameras
from lifter.datasets.errors import DatasetError
from lifter.datasets.joint_names import places_in
from lifter.datasets.pickled import PickledArray, load_pickled
from lifter.datasets.recording import Recording, projected
from lifter.skeleton import COCO17, H36M17, HUMANEVA15, Skeleton

F32 = npt.NDArray[np.float32]

# Of the 32 joints of Human3.6M's own files, most of the others are copies of these.
H36M17_OF_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
SKELETON_OF_LAYOUT = {"h36m": H36M17, "coco": COCO17, "humaneva15": HUMANEVA15}
FILE_NAME = re.compile(r"data_(2d_(?P<of_2d>h36m|humaneva15)_.+|3d_(?P<of_3d>h36m|humaneva15))\.npz")


@dataclass(frozen=True)
class _Dataset:
    name: str
    skeleton: Skeleton  # of the 3D poses
    fps: float


DATASETS = {"h36m": _Dataset("h36m", H36M17, 50.0), "humaneva15": _Dataset("humaneva15", HUMANEVA15, 60.0)}


def load_videopose3d(path: str | Path, subjects: Collection[str] | None = None) -> list[Recording]:
    """The recordings of a 2D file, one per subject and action, with the truth where the 3D file beside it has it.

    2D that goes on after the truth's end is cut off there; a camera with less is absent in the frames that it lacks.
    Confidence is the 2D's third column or 1. Raises DatasetError, naming file, subject and action.
    """
    path = Path(path)
    dataset = _dataset_of(path)
    if path.name.startswith("data_3d"):
        raise DatasetError(f"{path} has no 2D: name a data_2d_{dataset.name}_….npz, or set `keypoints: projected`")
    skeleton = _skeleton_of_2d(path)
    positions_3d = _truth_file(path, dataset)
    truth = dict(_actions(positions_3d, "positions_3d", subjects)) if positions_3d.is_file() else {}
    recordings = []
    for key, pixels in _actions(path, "positions_2d", subjects):
        rig = _rig(path, dataset, key[0])
        views = _views(f"{path}: {_name(dataset, key)}", pixels, rig, skeleton)
        recordings.append(_recording(dataset, skeleton, key, rig, views, truth.get(key)))
    return recordings


def load_videopose3d_truth(path: str | Path, subjects: Collection[str] | None = None) -> list[Recording]:
    """The recordings of a 3D file (or of the one beside a 2D file) with the projected truth for 2D."""
    dataset = _dataset_of(Path(path))
    path = _truth_file(Path(path), dataset)
    return [
        projected(_recording(dataset, dataset.skeleton, key, _rig(path, dataset, key[0]), (), positions))
        for key, positions in _actions(path, "positions_3d", subjects)
    ]


def _skeleton_of_2d(path: Path) -> Skeleton:
    metadata = load_pickled(path, "metadata")
    layout = metadata.get("layout_name") if isinstance(metadata, dict) else None
    if not isinstance(layout, str) or layout not in SKELETON_OF_LAYOUT:
        raise DatasetError(
            f"{path}: its joints are in the layout {layout!r}; known are {', '.join(SKELETON_OF_LAYOUT)}"
        )
    return SKELETON_OF_LAYOUT[layout]


def _dataset_of(path: Path) -> _Dataset:
    match = FILE_NAME.fullmatch(path.name)
    if match is None:
        raise DatasetError(
            f"{path} is not called as VideoPose3D's files are: data_2d_h36m_….npz, data_2d_humaneva15_….npz, "
            "data_3d_h36m.npz or data_3d_humaneva15.npz; set `layout: neutral` for the neutral format"
        )
    return DATASETS[match["of_2d"] or match["of_3d"]]


def _truth_file(path: Path, dataset: _Dataset) -> Path:
    return path.with_name(f"data_3d_{dataset.name}.npz")


def _actions(path: Path, key: str, subjects: Collection[str] | None) -> Iterator[tuple[tuple[str, str], Any]]:
    """((subject, action), what the file has of it) for the subjects that are wanted."""
    content = load_pickled(path, key)
    if not isinstance(content, dict) or not all(isinstance(actions, dict) for actions in content.values()):
        raise DatasetError(f"{path}: {key} is missing, or not a dictionary of subjects and their actions")
    wanted = content if subjects is None else [subject for subject in content if subject in subjects]
    if not wanted:
        raise DatasetError(
            f"{path}: of the subjects {', '.join(subjects or ())} it has none; it has {', '.join(content)}"
        )
    for subject in wanted:
        for action, value in content[subject].items():
            yield (str(subject), str(action)), value


def _recording(
    dataset: _Dataset,
    skeleton: Skeleton,
    subject_action: tuple[str, str],
    rig: CameraRig,
    views: Sequence[npt.NDArray[Any]],
    positions: Any,
) -> Recording:
    """One subject's action, from its 2D (no views when there is only the truth) and its truth (None when unknown)."""
    name, action = _name(dataset, subject_action), subject_action[1]
    joints_m = None if positions is None else _joints_m(name, _array(name, positions), dataset, skeleton)
    n_frames = max(len(view) for view in views) if joints_m is None else len(joints_m)
    keypoints = np.full((n_frames, len(rig.cameras), len(skeleton.joints), 3), np.nan, np.float32)
    for index, view in enumerate(views):
        length = min(len(view), n_frames)
        keypoints[:length, index, :, 2] = 1.0
        keypoints[:length, index, :, : view.shape[2]] = view[:length]
    return Recording(
        name,
        skeleton,
        rig,
        keypoints[..., :2],
        np.clip(keypoints[..., 2], 0.0, 1.0),
        joints_m,
        np.full(n_frames, action),
        np.zeros(n_frames, np.int64),
        dataset.fps,
    )


def _name(dataset: _Dataset, subject_action: tuple[str, str]) -> str:
    return "/".join((dataset.name, *subject_action))


def _views(name: str, value: Any, rig: CameraRig, skeleton: Skeleton) -> list[npt.NDArray[Any]]:
    """The 2D of each of the rig's cameras: frames × joints × 2, or 3 with confidence."""
    count = len(value) if isinstance(value, list | tuple) else f"no list ({type(value).__name__})"
    if count != len(rig.cameras):
        raise DatasetError(
            f"{name} has 2D of {count} cameras, but {len(rig.cameras)} are calibrated: {', '.join(rig.names)}"
        )
    views = [_array(name, view) for view in value]
    for view in views:
        if view.ndim != 3 or view.shape[1] != len(skeleton.joints) or view.shape[2] not in (2, 3):
            raise DatasetError(
                f"{name} has 2D of the shape {view.shape}, not frames × {len(skeleton.joints)} joints × 2 or 3"
            )
    return views


def _array(name: str, value: Any) -> npt.NDArray[Any]:
    array = value.value if isinstance(value, PickledArray) else None
    if array is None or array.dtype == object:
        raise DatasetError(f"{name}: expected an array of numbers, found {type(value).__name__}")
    return array


def _joints_m(name: str, positions: npt.NDArray[Any], dataset: _Dataset, skeleton: Skeleton) -> F32:
    """(T, J, 3) in the 2D's skeleton; NaN for joints that the truth does not have."""
    n_joints = len(dataset.skeleton.joints)
    if dataset.name == "h36m" and positions.shape[1:] == (32, 3):
        positions = positions[:, H36M17_OF_32]
    if positions.ndim != 3 or positions.shape[1:] != (n_joints, 3):
        raise DatasetError(f"{name}: its 3D has the shape {positions.shape}, not frames × {n_joints} joints × 3")
    places = places_in(dataset.skeleton.joints, skeleton)
    unknown = np.full((len(positions), 1, 3), np.nan)
    with_unknown = np.concatenate([positions, unknown], axis=1, dtype=np.float32, casting="unsafe")
    return with_unknown[:, [n_joints if place is None else place for place in places]]


def _rig(path: Path, dataset: _Dataset, subject: str) -> CameraRig:
    """From the calibration file beside the data, else Human3.6M's known cameras."""
    person = subject.rpartition("/")[2]
    beside = path.with_name(f"cameras_{dataset.name}_{person}.toml")
    if beside.is_file():
        try:
            return load_rig(beside)
        except CalibrationError as error:
            raise DatasetError(str(error)) from error
    if dataset.name == "h36m" and person in h36m_cameras.POSES:
        return h36m_cameras.h36m_rig(person)
    raise DatasetError(
        f"{path}: these files hold no cameras, and those of {dataset.name}'s {person} are not known here: write "
        f"{beside.name} beside it (an anipose TOML, metres, the cameras in the order of the 2D"
        + (": C1, C2, C3)" if dataset.name == "humaneva15" else ")")
    )
