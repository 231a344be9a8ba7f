"""FreeMoCap's 2D points: mediapipe_2dData_numCams_numFrames_numTrackedPoints_pixelXY.npy, (C, T, points, 2 or 3).

It names no cameras: FreeMoCap takes them in the order of its calibration, and so does this. The first 33 points are
MediaPipe's body; hands and face follow. A third value is no confidence. https://github.com/freemocap/freemocap
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.rig_file import load_rig
from lifter.skeleton import COCO17, MEDIAPIPE33, Skeleton
from nodes.importing.calibration import in_session
from nodes.importing.camera_names import named
from nodes.importing.detector_joints import skeleton_called
from nodes.importing.imported import BEGIN_NS, Given, Imported, config_of
from nodes.offline.timeline import Seen, keypoints_of, with_silences
from nodes.sessions.errors import SessionError

F32 = npt.NDArray[np.float32]

DEFAULT_FPS = 30.0
ABOVE = 3  # folders: the file lies in recording/output_data/raw_data, the calibration in recording


def import_freemocap(path: Path, given: Given) -> Imported:
    """The recording of a .npy, which is read piece by piece. Raises SessionError, CalibrationError, ConfigError."""
    values = _opened(path)
    calibration = given.calibration or _calibration_of(path)
    whole = load_rig(calibration)
    places = [f"camera {c}" for c in range(len(values))]
    if not given.names and len(whole.names) != len(values):
        raise SessionError(
            f"{path} has {len(values)} cameras, and {calibration} {len(whole.names)} ({', '.join(whole.names)}): say "
            f"which they are, in the order of the file: --names {' '.join(whole.names[: len(values)])}"
        )
    cameras = named(places, given.names or whole.names, whole.names, "camera")
    rig, renamed = in_session(whole.select(tuple(cameras.values())))
    told = "cameras are taken in the order of the calibration: " + ", ".join(rig.names)
    skeleton = _skeleton(values.shape[2], given.skeleton)
    fps = given.fps or DEFAULT_FPS
    assumed = (
        () if given.fps else (f"{fps:g} frames per second are assumed (the file does not tell): --fps says otherwise",)
    )
    config = config_of(dict.fromkeys(rig.names, path), calibration, given.settings, fps)
    seen = {name: _frames(values[c], fps, len(skeleton.joints)) for c, name in enumerate(rig.names)}
    max_gap_ns = round(config.fusion.synchroniser.max_gap_ms * 1e6)
    messages = with_silences(keypoints_of(seen, rig, skeleton.name), rig.names, max_gap_ns)
    notes = (told, *renamed, *assumed, f"joints are {skeleton.name}'s")
    return Imported(config, rig, skeleton, messages, values.shape[0] * values.shape[1], notes)


def _opened(path: Path) -> npt.NDArray[Any]:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise SessionError(f"{path}: damaged, or no plain array (.npy): {' '.join(str(error).split())}") from error
    if values.ndim != 4 or values.shape[3] not in (2, 3) or values.dtype.kind != "f" or not values.size:
        raise SessionError(
            f"{path} is {values.dtype} of shape {values.shape}, expected (cameras, frames, points, 2 or 3) of pixels, "
            "as FreeMoCap writes into *_2dData_numCams_numFrames_numTrackedPoints_pixelXY.npy"
        )
    return values


def _frames(values: npt.NDArray[Any], fps: float, n_joints: int) -> Iterator[Seen]:
    """values: (T, points, 2 or 3); a frame in which nobody is, is one of nobody."""
    for t in range(len(values)):
        person = np.ones((1, n_joints, 3), np.float32)
        person[0, :, :2] = values[t, :n_joints, :2]
        yield Seen(BEGIN_NS + round(t * 1e9 / fps), t, person)


def _skeleton(n_points: int, told: str | None) -> Skeleton:
    if told is not None:
        return skeleton_called(told, n_points)
    if n_points == len(COCO17.joints):
        return COCO17
    if n_points >= len(MEDIAPIPE33.joints):
        return MEDIAPIPE33
    raise SessionError(f"it has {n_points} points; MediaPipe's have 33 or more: say whose they are with --skeleton")


def _calibration_of(path: Path) -> Path:
    """FreeMoCap's NAME_camera_calibration.toml in the recording's folder."""
    for place in path.resolve().parents[:ABOVE]:
        found = sorted(place.glob("*calibration.toml"))
        if len(found) == 1:
            return found[0]
    raise SessionError(f"{path}: no single *calibration.toml was found there or above: give it with --calibration FILE")
