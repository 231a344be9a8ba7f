"""The neutral multi-view format: one `.npz` of numpy arrays per recording, no pickles. docs/lifter.md has the table.

x_cam = R · x_world + t, metres; keypoints in pixels of the distorted picture with confidence, NaN where absent; the
3D truth, `action` and `chunk` of each frame are optional.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.lens import LENSES, Lens, unpadded
from calibration.rig import Camera, CameraRig
from lifter.datasets.errors import DatasetError
from lifter.datasets.joint_names import places_in, recognise
from lifter.datasets.recording import Recording, numbered, projected
from lifter.skeleton import Skeleton

Arrays = Mapping[str, npt.NDArray[Any]]
F32 = npt.NDArray[np.float32]

KEYS = (
    *("cameras", "K", "dist", "lens", "R", "t", "image_size", "fps", "joints", "keypoints2d", "person_id_2d"),
    *("gt_joints", "gt3d", "frames", "action", "chunk"),
)


def load_neutral(path: str | Path) -> list[Recording]:
    """A file's recordings with the 2D as it was detected, one per person, with the truth where the file has it.

    Raises DatasetError naming the file and the array; among others when the same slot of axis P is not the same person
    in all cameras, since nothing here finds out who is who.
    """
    with _opened(path) as arrays:
        rig, (T, C, P, J, _) = _rig(arrays), _shape(arrays, "keypoints2d", 5)
        skeleton, order = recognise(_names(arrays, "joints"))
        if P > 1 and not _flag(arrays, "person_id_2d"):
            raise DatasetError(
                f"its {P} slots are detections, not people (person_id_2d is false): who is who in which camera must be "
                "found first; write a file with one person per slot, or set `keypoints: projected` if it has the truth"
            )
        if (len(rig.cameras), len(arrays["joints"])) != (C, J):
            raise DatasetError(
                f"keypoints2d is of {C} cameras and {J} joints, but `cameras` names {len(rig.cameras)} and `joints` "
                f"{len(arrays['joints'])}"
            )
        keypoints = arrays["keypoints2d"][:, :, :, order].astype(np.float32)
        truth = _truth(arrays, skeleton, T) if "gt3d" in arrays else None
        if truth is not None and truth.shape[1] != P:
            raise DatasetError(f"keypoints2d has {P} people and gt3d {truth.shape[1]}: they cannot be told apart")
        confidence = np.clip(keypoints[..., 2], 0.0, 1.0)  # OpenPose's goes a little beyond
        return [
            Recording(
                name,
                skeleton,
                rig,
                keypoints[:, :, person, :, :2],
                confidence[:, :, person],
                None if truth is None else truth[:, person],
                *_times(arrays, T),
            )
            for person, name in enumerate(_people(path, P))
        ]


def load_neutral_truth(path: str | Path) -> list[Recording]:
    """A file's recordings with the projected truth for 2D, one per person of `gt3d`, whatever was detected.

    The skeleton is the truth's own, or that of `joints` where the truth has only some of a skeleton's joints.
    """
    with _opened(path) as arrays:
        if "gt3d" not in arrays:
            raise DatasetError("there is no truth to project (no gt3d); set `keypoints: detected`")
        T, P, _, _ = _shape(arrays, "gt3d", 4)
        rig, skeleton = _rig(arrays), _skeleton_of_truth(arrays)
        truth = _truth(arrays, skeleton, T)
        C, J = len(rig.cameras), len(skeleton.joints)
        nothing = np.full((T, C, J, 2), np.nan, np.float32)
        times = _times(arrays, T)
        return [
            projected(Recording(name, skeleton, rig, nothing, nothing[..., 0], truth[:, person], *times))
            for person, name in enumerate(_people(path, P))
        ]


def save_neutral(recording: Recording, path: str | Path) -> None:
    """Write a recording as a neutral file; atomic, so that a crash leaves the old file or the new one."""
    path = Path(path)
    cameras = recording.rig.cameras
    dist = np.stack([camera.dist8 for camera in cameras])
    poses = np.stack([camera.T_cam_world for camera in cameras])
    keypoints = np.concatenate([recording.keypoints_px, recording.confidence[..., None]], axis=-1)
    keypoints[np.isnan(keypoints[..., 0])] = np.nan  # absent, the format says, is NaN throughout
    arrays = {
        "cameras": np.array(recording.rig.names),
        "K": np.stack([camera.K for camera in cameras]),
        "dist": dist if dist[:, 5:].any() else dist[:, :5],
        "R": poses[:, :3, :3],
        "t": poses[:, :3, 3],
        "image_size": np.array([camera.size_wh for camera in cameras]),
        "fps": np.float64(recording.fps),
        "joints": np.array(recording.skeleton.joints),
        "keypoints2d": keypoints[:, :, None],
        "person_id_2d": np.bool_(True),
        "action": recording.action,
        "chunk": recording.chunk,
        "meta": np.array(json.dumps({"source": recording.name, "skeleton": recording.skeleton.name})),
    }
    if any(camera.lens == "fisheye" for camera in cameras):
        arrays["lens"] = np.array([camera.lens for camera in cameras])
    if recording.joints_m is not None:
        arrays |= {"gt_joints": arrays["joints"], "gt3d": recording.joints_m[:, None]}
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    temporary.replace(path)


@contextmanager
def _opened(path: str | Path) -> Iterator[Arrays]:
    """The file's arrays (the format's, no others); every fault of theirs becomes a DatasetError with the path."""
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"recording {path} does not exist: check the path")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DatasetError("this is one bare array (.npy), not the several of a .npz")
        with archive:
            arrays = {key: archive[key] for key in KEYS if key in archive.files}
        yield arrays
    except (DatasetError, CalibrationError) as error:
        raise DatasetError(f"{path}: {error}") from error
    except KeyError as error:
        raise DatasetError(f"{path}: there is no array {error} in it; is this a neutral multi-view file?") from error
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DatasetError(f"{path}: damaged, or no .npz of plain arrays (pickles are not read): {error}") from error


def _people(path: str | Path, n_people: int) -> list[str]:
    stem = Path(path).stem
    return [stem] if n_people == 1 else [f"{stem}/person{person + 1}" for person in range(n_people)]


def _shape(arrays: Arrays, key: str, ndim: int) -> tuple[int, ...]:
    shape = arrays[key].shape
    if len(shape) != ndim or shape[-1] != 3:
        raise DatasetError(f"{key} has the shape {shape}; it must have {ndim} axes, the last of 3")
    return shape


def _names(arrays: Arrays, key: str) -> list[str]:
    return [str(name) for name in arrays[key].astype(np.str_).reshape(-1)]


def _flag(arrays: Arrays, key: str) -> bool:
    return key in arrays and bool(arrays[key])


def _rig(arrays: Arrays) -> CameraRig:
    names = _names(arrays, "cameras")
    geometry = {key: np.asarray(arrays[key]) for key in ("K", "dist", "R", "t", "image_size")}
    for key, values in geometry.items():
        if len(values) != len(names):
            raise DatasetError(f"{key} has the shape {values.shape}, but `cameras` names {len(names)} cameras")
    T_cam_world = np.tile(np.eye(4), (len(names), 1, 1))
    T_cam_world[:, :3, :3] = geometry["R"]
    T_cam_world[:, :3, 3] = geometry["t"].reshape(len(names), 3)  # some write columns
    sizes_wh = [(int(width), int(height)) for width, height in geometry["image_size"]]
    lenses = lenses_of(arrays, len(names))
    dist = [unpadded(lens, row.reshape(-1)) for lens, row in zip(lenses, geometry["dist"], strict=True)]
    each = zip(names, sizes_wh, geometry["K"], dist, T_cam_world, lenses, strict=True)
    return CameraRig(tuple(Camera(*camera) for camera in each))


def lenses_of(arrays: Arrays, n_cameras: int) -> list[Lens]:
    """The lens of each camera: an optional array of names, absent of files with pinhole cameras alone.

    Raises DatasetError for other names or another number of them.
    """
    if "lens" not in arrays:
        return ["pinhole"] * n_cameras
    told = _names(arrays, "lens")
    known = [lens for name in told for lens in LENSES if lens == name]
    if len(told) != n_cameras or len(known) != n_cameras:
        raise DatasetError(f"lens is {told}; it must be one of {', '.join(LENSES)} for each of {n_cameras} cameras")
    return known


def _skeleton_of_truth(arrays: Arrays) -> Skeleton:
    try:
        return recognise(_names(arrays, "gt_joints"))[0]
    except DatasetError:
        if "joints" not in arrays:
            raise
        return recognise(_names(arrays, "joints"))[0]


def _truth(arrays: Arrays, skeleton: Skeleton, n_frames: int) -> F32:
    """(T, Pg, J, 3) in the skeleton's order; NaN for joints that the truth does not have."""
    T, P, Jg, _ = _shape(arrays, "gt3d", 4)
    joints = _names(arrays, "gt_joints")
    if (T, Jg) != (n_frames, len(joints)):
        raise DatasetError(
            f"gt3d has {T} frames of {Jg} joints; it must be {n_frames} frames (as keypoints2d) of {len(joints)} "
            "joints (as gt_joints)"
        )
    places = places_in(joints, skeleton)
    if all(place is None for place in places):
        raise DatasetError(f"of gt_joints ({', '.join(joints)}) none is a joint of {skeleton.name}")
    unknown = np.full((T, P, 1, 3), np.nan, np.float32)
    with_unknown = np.concatenate([arrays["gt3d"].astype(np.float32), unknown], axis=2)
    return with_unknown[:, :, [Jg if place is None else place for place in places]]


def _times(arrays: Arrays, n_frames: int) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int64], float]:
    """Action and chunk of each frame, and the rate.

    Without `chunk`, one begins where the action changes or the original frame numbers jump.
    """
    action = _per_frame(arrays, "action", n_frames, "").astype(np.str_)
    steps = np.diff(_per_frame(arrays, "frames", n_frames, 0).astype(np.int64))
    jumps = steps != np.median(steps) if "frames" in arrays and len(steps) else np.zeros(max(n_frames - 1, 0), bool)
    begins = (action[1:] != action[:-1]) | jumps
    if "chunk" in arrays:
        chunk = _per_frame(arrays, "chunk", n_frames, 0)
        begins = chunk[1:] != chunk[:-1]
    fps = float(arrays["fps"]) if "fps" in arrays else float("nan")
    return action, numbered(begins, n_frames), fps


def _per_frame(arrays: Arrays, key: str, n_frames: int, default: Any) -> npt.NDArray[Any]:
    """(T,): an array per frame, one value for all, or the default."""
    values = np.asarray(arrays[key]) if key in arrays else np.asarray(default)
    if values.shape not in ((), (1,), (n_frames,)):
        raise DatasetError(f"{key} has the shape {values.shape}; it must be one value for each of {n_frames} frames")
    return np.broadcast_to(values, (n_frames,))
