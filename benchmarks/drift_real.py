"""A bump in real recordings: the keypoints of one camera are turned as if it were, after a minute of the recording.

The recordings last seconds, so they are played to and fro; what is usual in them is known better than a room would be.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.drift_scenes import bumped
from calibration.rig import Camera
from configs.schema import Drift
from nodes.offline.sequence import Sequence, load_sequence
from nodes.stages.delivered import DeliveredRig
from nodes.stages.matching import Detected
from nodes.stages.rig_watch import RigWatch

F64 = npt.NDArray[np.float64]

RECORDINGS = ("caliscope/caliscope_4cam_mediapipe.npz", "pose2sim/pose2sim_single.npz")
LOOKS_HZ = 5.0
KNOWN_S, WATCHED_S = 75.0, 20.0
DIRECTIONS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (-0.7, 0.7, 0.0))


def bumps(folder: Path, turn_deg: float) -> Iterator[tuple[str, list[float], int]]:
    """Of each recording that is there: its name, the delays (NaN where not found), how many others were named."""
    for name in RECORDINGS:
        if not (folder / name).is_file():
            continue
        sequence = load_sequence(folder / name)
        delays_s, others = [], 0
        for camera in range(len(sequence.rig.cameras)):
            for direction in DIRECTIONS:
                delay_s, wrongly = _bump(sequence, camera, turn_deg * np.array(direction))
                delays_s.append(delay_s)
                others += wrongly
        yield Path(name).stem, delays_s, others


def false_alarms(folder: Path, seconds: float) -> Iterator[tuple[str, int, int]]:
    """Of each recording, with nobody bumped: its name, how many have moved, how many were wrong from the start."""
    for name in RECORDINGS:
        if (folder / name).is_file():
            sequence = load_sequence(folder / name)
            watch = RigWatch(sequence.rig.names, Drift())
            rig = DeliveredRig(sequence.rig, {})
            for at_s, row in _to_and_fro(sequence, 0.0, seconds):
                _look(watch, rig, at_s, row)
            yield Path(name).stem, len(watch.moved), len(watch.notes)


def _bump(sequence: Sequence, camera: int, turn_deg: F64) -> tuple[float, int]:
    watch, rig = RigWatch(sequence.rig.names, Drift()), DeliveredRig(sequence.rig, {})
    for at_s, row in _to_and_fro(sequence, 0.0, KNOWN_S):
        _look(watch, rig, at_s, row)
    name, before = sequence.rig.names[camera], set(watch.moved)
    for at_s, row in _to_and_fro(sequence, KNOWN_S, KNOWN_S + WATCHED_S):
        row[camera, ..., :2] = _turned(sequence.rig.cameras[camera], row[camera, ..., :2], turn_deg)
        _look(watch, rig, at_s, row)
        if name in watch.moved:
            return at_s - KNOWN_S, len(set(watch.moved) - {name} | before)
    return float("nan"), len(set(watch.moved) | before)


def _to_and_fro(sequence: Sequence, begin_s: float, end_s: float) -> Iterator[tuple[float, F64]]:
    """(seconds, keypoints (C, P, J, 3)) five times a second."""
    n = len(sequence.keypoints)
    for k in range(round(begin_s * LOOKS_HZ), round(end_s * LOOKS_HZ)):
        frame = round(k / LOOKS_HZ * sequence.fps) % (2 * n - 2)
        yield k / LOOKS_HZ, sequence.keypoints[min(frame, 2 * n - 2 - frame)].astype(np.float64)


def _turned(camera: Camera, keypoints_px: F64, turn_deg: F64) -> F64:
    """Where keypoints (…, 2) are seen once the camera is turned."""
    at_origin = replace(camera, T_cam_world=np.eye(4))
    rays = camera.undistort(keypoints_px)
    return bumped(at_origin, turn_deg, np.zeros(3)).project(np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], -1))


def _look(watch: RigWatch, rig: DeliveredRig, at_s: float, row: F64) -> None:
    rays = rig.rays(np.ascontiguousarray(row[..., :2]))
    confidence = np.where(np.isfinite(rays).all(-1), np.nan_to_num(row[..., 2]), 0.0)
    detected = Detected(rays, np.where(confidence > 0.3, confidence, 0.0), np.full(row.shape[:2], -1))
    watch.take(round(at_s * 1e9) + 10**9, rig, detected, np.zeros((0, row.shape[2], 3)))
