"""Recorded 2D detections of calibrated cameras, in the neutral multi-view format: what is reprocessed and scored.

One `.npz` of plain arrays: docs/reprocess.md has the table. Row t of every array is the same moment; `times_ns` says
which. Detections stay as they are in the file: who is who in them is for fusion to find out.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.lens import unpadded
from calibration.rig import Camera, CameraRig
from lifter.datasets.errors import DatasetError
from lifter.datasets.joint_names import skeleton_of
from lifter.datasets.neutral import lenses_of
from lifter.skeleton import Skeleton
from nodes.wire.messages import MAX_CAMERAS

Arrays = Mapping[str, npt.NDArray[Any]]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

GEOMETRY = {"K": (3, 3), "R": (3, 3), "t": (3,), "image_size": (2,)}  # of each camera
ROUNDED = 0.005  # of a rotation's entries: two digits
DISTORTIONS = (0, 4, 5, 8)
KEYS = (
    *("cameras", "dist", "lens", "fps", "joints", "keypoints2d", "frames", "frame_time", "gt_joints", "gt3d"),
    *GEOMETRY,
)
DEFAULT_FPS = 30.0  # of a file that does not say
MAX_TIME_S = 4e9  # the year 2096, as on the wire: beyond, it is not seconds
MAX_NAME = 60  # of a camera, as on the wire


@dataclass(frozen=True, eq=False)
class Sequence:
    """T moments of C cameras with P detections of J joints each.

    joints: names as in the file. skeleton: what they are fused as. order: where in the file each of its joints is.
    keypoints: (T, C, P, J, 3) x, y, confidence as in the file. times_ns: (T,) rising, the moment that a row stands for.
    captured_s: (T, C) when each camera's frame was taken, NaN where not known; None: at the row's moment.
    """

    rig: CameraRig
    joints: tuple[str, ...]
    skeleton: Skeleton
    order: list[int]
    keypoints: F32
    fps: float
    times_ns: I64
    captured_s: F64 | None
    frames: I64


@dataclass(frozen=True, eq=False)
class Truth:
    """The 3D truth of a sequence: joints_m (T, P, J, 3) world metres, NaN where unknown, at times_ns (T,), rising."""

    joints: tuple[str, ...]
    joints_m: F64
    times_ns: I64


def load_sequence(path: str | Path) -> Sequence:
    """The detections in a file. Raises DatasetError with the file and what is wrong in it."""
    with opened(path, KEYS) as arrays:
        keypoints = _numbers(arrays, "keypoints2d")
        if keypoints.ndim != 5 or keypoints.shape[-1] != 3 or not keypoints.shape[0]:
            raise DatasetError(
                f"keypoints2d has the shape {keypoints.shape}, expected (frames, cameras, detections, joints, 3)"
            )
        T, C, _, J, _ = keypoints.shape
        rig, joints = _rig(arrays, C), names(arrays, "joints")
        if len(joints) != J:
            raise DatasetError(f"keypoints2d has {J} joints and `joints` {len(joints)} names")
        fps, captured_s = _fps(arrays), _frame_time(arrays, T)
        if captured_s is not None and captured_s.shape[1] != C:
            raise DatasetError(f"frame_time has the shape {captured_s.shape}, expected {(T, C)}")
        frames = _frames(arrays, T)
        times_ns = nominal_times_ns(T, fps, frames, captured_s)
        skeleton, order = skeleton_of(joints)
        with np.errstate(over="ignore"):  # absurdly far off becomes infinite, and so absent
            keypoints = keypoints.astype(np.float32, copy=False)
        return Sequence(rig, joints, skeleton, order, keypoints, fps, times_ns, captured_s, frames)


def load_truth(path: str | Path) -> Truth:
    """The truth in a file, at the moments of its rows. Raises DatasetError."""
    with opened(path, KEYS) as arrays:
        if "gt3d" not in arrays or "gt_joints" not in arrays:
            raise DatasetError("there is no truth in it (gt3d and gt_joints), so nothing can be scored against it")
        joints_m, joints = _numbers(arrays, "gt3d").astype(np.float64), names(arrays, "gt_joints")
        if joints_m.ndim != 4 or joints_m.shape[2:] != (len(joints), 3) or not len(joints_m):
            raise DatasetError(
                f"gt3d has the shape {joints_m.shape}, expected (frames, people, {len(joints)} as gt_joints, 3)"
            )
        T = len(joints_m)
        times_ns = nominal_times_ns(T, _fps(arrays), _frames(arrays, T), _frame_time(arrays, T))
        joints_m[~np.isfinite(joints_m).all(-1)] = np.nan
        return Truth(joints, joints_m, times_ns)


def nominal_times_ns(n_frames: int, fps: float, frames: I64, captured_s: F64 | None) -> I64:
    """The moment (T,) of each row: the middle one of its cameras' times, else frame number over rate.

    Raises DatasetError unless each is later than the one before.
    """
    times_s = frames / fps
    if captured_s is not None and np.isfinite(captured_s).any():
        known = np.isfinite(captured_s).any(axis=1)
        at = np.flatnonzero(known)
        middle_s = np.nanmedian(captured_s[known], axis=1)
        inside_s = np.interp(np.arange(n_frames), at, middle_s)
        before, after = np.minimum(frames - frames[at[0]], 0), np.maximum(frames - frames[at[-1]], 0)
        times_s = inside_s + (before + after) / fps  # rows beyond the first and last known time go on at the rate
        source = "frame_time (the middle one of the cameras)"
    else:
        source = "frames / fps"
    times_ns = np.round(times_s * 1e9).astype(np.int64)
    wrong = np.flatnonzero(np.diff(times_ns) <= 0)
    if len(wrong):
        t = int(wrong[0])
        raise DatasetError(
            f"by {source}, row {t + 1} is at {times_s[t + 1]:.6f} s and row {t} before it at {times_s[t]:.6f} s: every "
            "row must be later than the one before; split the file where time begins anew"
        )
    return times_ns


@contextmanager
def opened(path: str | Path, keys: tuple[str, ...]) -> Iterator[Arrays]:
    """Those of these arrays that a .npz has; every fault of theirs becomes a DatasetError with the path."""
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path} does not exist, or is no file: check the path")
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DatasetError("this is one bare array (.npy), not the several of a .npz")
            arrays = {key: np.asarray(archive[key]) for key in keys if key in archive.files}
        yield arrays
    except (DatasetError, CalibrationError) as error:
        raise DatasetError(f"{path}: {_one_line(error)}") from error
    except KeyError as error:
        raise DatasetError(
            f"{path}: there is no array {error} in it; docs/reprocess.md lists what is needed"
        ) from error
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DatasetError(
            f"{path}: damaged, or no .npz of plain arrays (pickles are not read): {_one_line(error)}"
        ) from error
    except MemoryError as error:
        raise DatasetError(f"{path}: too large for this machine's memory: cut it into shorter files") from error


def names(arrays: Arrays, key: str) -> tuple[str, ...]:
    """The texts of an array of names. Raises DatasetError when it is none."""
    values = arrays[key]
    if values.dtype.kind not in "US" or values.ndim != 1:
        raise DatasetError(f"{key} is an array {values.dtype} of shape {values.shape}, expected one row of names")
    return tuple(str(name) for name in values.astype(np.str_))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _numbers(arrays: Arrays, key: str) -> npt.NDArray[Any]:
    if arrays[key].dtype.kind not in "fiu":
        raise DatasetError(f"{key} holds {arrays[key].dtype}, expected numbers")
    return arrays[key]


def _rig(arrays: Arrays, n_cameras: int) -> CameraRig:
    cameras = names(arrays, "cameras")
    if len(cameras) != n_cameras:
        raise DatasetError(f"keypoints2d has {n_cameras} cameras and `cameras` {len(cameras)} names")
    if n_cameras > MAX_CAMERAS:
        raise DatasetError(f"it has {n_cameras} cameras; up to {MAX_CAMERAS} can be fused")
    long = next((name for name in cameras if len(name) > MAX_NAME), None)
    if long is not None:
        raise DatasetError(f"the camera's name {long[:20]!r}… has {len(long)} characters; up to {MAX_NAME} can be sent")
    geometry = {key: _of_each_camera(arrays, key, shape, n_cameras) for key, shape in GEOMETRY.items()}
    dist = _numbers(arrays, "dist").astype(np.float64)
    dist = dist.reshape(n_cameras, -1) if dist.shape[:1] == (n_cameras,) and dist.size else dist
    if dist.ndim != 2 or len(dist) != n_cameras or dist.shape[1] not in DISTORTIONS:
        raise DatasetError(f"dist has the shape {dist.shape}, expected ({n_cameras}, 5): OpenCV's k1 k2 p1 p2 k3")
    poses = np.tile(np.eye(4), (n_cameras, 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = _nearest_rotations(geometry["R"]), geometry["t"]
    sizes = np.where(np.isfinite(geometry["image_size"]), geometry["image_size"], 0).tolist()
    lenses = lenses_of(arrays, n_cameras)
    coefficients = [unpadded(lens, row) for lens, row in zip(lenses, dist, strict=True)]
    each = zip(cameras, sizes, geometry["K"], coefficients, poses, lenses, strict=True)
    return CameraRig(tuple(Camera(name, (int(w), int(h)), *others) for name, (w, h), *others in each))


def _nearest_rotations(R: F64) -> F64:
    """Rotations that were written with few digits, made whole; others stay as they are, for the camera to refuse."""
    if not np.isfinite(R).all():
        return R
    U, _, Vt = np.linalg.svd(R)
    whole = U @ Vt
    near = np.abs(whole - R).max((1, 2), keepdims=True) < ROUNDED
    return np.where(near, whole, R)


def _of_each_camera(arrays: Arrays, key: str, shape: tuple[int, ...], n_cameras: int) -> F64:
    values = _numbers(arrays, key)
    column = values.shape == (n_cameras, *shape, 1)  # some write t so
    if values.shape != (n_cameras, *shape) and not column:
        raise DatasetError(f"{key} has the shape {values.shape}, expected {(n_cameras, *shape)}")
    return values.reshape(n_cameras, *shape).astype(np.float64)


def _fps(arrays: Arrays) -> float:
    if "fps" not in arrays:
        return DEFAULT_FPS
    values = _numbers(arrays, "fps").reshape(-1)
    fps = float(values[0]) if values.size == 1 else float("inf")
    if not (np.isnan(fps) or 0 < fps < 1e4):
        raise DatasetError(f"fps is {values.tolist()[:4]}, expected frames per second, or NaN when they are not known")
    return DEFAULT_FPS if np.isnan(fps) else fps


def _frames(arrays: Arrays, n_frames: int) -> I64:
    if "frames" not in arrays:
        return np.arange(n_frames)
    frames = _numbers(arrays, "frames")
    if frames.shape != (n_frames,) or not np.isfinite(frames).all() or np.abs(frames.astype(np.float64)).max() > 1e12:
        raise DatasetError(f"frames has the shape {frames.shape}, expected ({n_frames},) whole numbers, one a row")
    return frames.astype(np.int64)


def _frame_time(arrays: Arrays, n_frames: int) -> F64 | None:
    """(T, C) seconds; NaN where not known."""
    if "frame_time" not in arrays:
        return None
    captured_s = _numbers(arrays, "frame_time").astype(np.float64)
    if captured_s.ndim != 2 or len(captured_s) != n_frames:
        raise DatasetError(f"frame_time has the shape {captured_s.shape}, expected ({n_frames}, cameras)")
    captured_s[~np.isfinite(captured_s)] = np.nan
    largest = np.nanmax(np.abs(captured_s), initial=0.0)
    if largest > MAX_TIME_S:
        raise DatasetError(
            f"frame_time goes to {largest:.4g}; it is in seconds, up to {MAX_TIME_S:.0e} (the year 2096)"
        )
    return captured_s
