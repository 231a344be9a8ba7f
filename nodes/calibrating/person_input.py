"""The one person of a recording, as each camera saw him over time: of a session, or of a neutral multi-view file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.people.track import PersonTrack
from calibration.rig import CameraRig
from lifter.datasets.errors import DatasetError
from lifter.skeleton import LIMB_JOINTS, SKELETONS
from nodes.offline.sequence import load_sequence
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.wire.messages import Keypoints2D

F64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32] | F64

SURE = 0.3  # of a joint's confidence: below, detectors guess
MOST_CROWDED = 0.5  # share of a camera's frames with several people: beyond, too little is left


@dataclass(frozen=True, eq=False)
class PersonSeen:
    """Tracks of C cameras with the twelve limb joints, and the sizes of their pictures.

    rig: the recording's own calibration, None where it has none. crowded: share of frames with several people in them,
    which are left out, as who is who in them is not known.
    """

    tracks: tuple[PersonTrack, ...]
    sizes_wh: tuple[tuple[int, int], ...]
    rig: CameraRig | None
    crowded: float


def person_of(path: Path) -> PersonSeen:
    """Of a .npz or of a session. Raises CalibrationError, SessionError."""
    seen = _of_sequence(path) if path.suffix.lower() == ".npz" else _of_session(path)
    if seen.crowded > MOST_CROWDED:
        raise CalibrationError(
            f"{path}: several people are in {seen.crowded:.0%} of the frames, and who is who is not known: record one "
            "person who walks about alone"
        )
    if len(seen.tracks) < 2:
        by = "one camera" if seen.tracks else "no camera"
        raise CalibrationError(
            f"{path}: it cannot be judged: a person was seen by {by}, and two are needed at least: record somebody "
            "where their pictures overlap"
        )
    return seen


def _of_sequence(path: Path) -> PersonSeen:
    try:
        sequence = load_sequence(path)
    except DatasetError as error:
        raise SessionError(str(error)) from error
    limbs = [sequence.order[k] for k in sequence.skeleton.limb_indices()]
    keypoints = sequence.keypoints[:, :, :, limbs].astype(np.float64)
    frames = _Frames()
    for c, camera in enumerate(sequence.rig.cameras):
        captured_s = sequence.times_ns * 1e-9
        if sequence.captured_s is not None:
            own_s = sequence.captured_s[:, c]
            captured_s = np.where(np.isfinite(own_s), own_s, captured_s)
        for at_s, people in zip(captured_s, keypoints[:, c], strict=True):
            frames.add(camera.name, camera.size_wh, float(at_s), people[..., :2], people[..., 2])
    return frames.seen(sequence.rig)


def _of_session(path: Path) -> PersonSeen:
    frames = _Frames()
    with SessionReader(path) as session:
        rig = session.rig()
        messages: Iterable[Keypoints2D] = session.messages(Keypoints2D)
        for message in messages:
            limbs = SKELETONS[message.skeleton].limb_indices()
            width, height = message.size_wh
            px, confidence = message.keypoints_px[:, limbs], message.confidence[:, limbs]
            frames.add(message.source, (width, height), message.captured_ns * 1e-9, px, confidence)
    return frames.seen(rig)


class _Frames:
    """Gathers frames with one person, camera by camera."""

    def __init__(self) -> None:
        self._frames: dict[str, list[tuple[float, F64, F64]]] = {}
        self._sizes_wh: dict[str, tuple[int, int]] = {}
        self._alone, self._crowded = 0, 0

    def add(self, camera: str, size_wh: tuple[int, int], at_s: float, px: Floats, sure: Floats) -> None:
        """px: (P, J, 2), sure: (P, J)."""
        inside = ((px >= -0.5) & (px <= np.array(size_wh) - 0.5)).all(-1)  # beyond its rim, detectors guess
        known = inside & (sure >= SURE)
        people = np.flatnonzero(known.any(-1))
        self._alone += len(people) == 1
        self._crowded += len(people) > 1
        frames = self._frames.setdefault(camera, [])
        self._sizes_wh[camera] = size_wh
        if len(people) == 1 and np.isfinite(at_s) and (not frames or at_s > frames[-1][0]):
            one = people[0]
            px_one = np.where(known[one][:, None], px[one], np.nan).astype(np.float64)
            frames.append((at_s, px_one, np.where(known[one], sure[one], 0.0).astype(np.float64)))

    def seen(self, rig: CameraRig | None) -> PersonSeen:
        there = {camera: frames for camera, frames in self._frames.items() if len(frames) > 2}
        tracks = tuple(
            PersonTrack(
                camera=camera,
                captured_s=np.array([frame[0] for frame in frames]),
                keypoints_px=np.stack([frame[1] for frame in frames]),
                confidence=np.stack([frame[2] for frame in frames]),
                joints=LIMB_JOINTS,
            )
            for camera, frames in there.items()
        )
        crowded = self._crowded / max(1, self._alone + self._crowded)
        return PersonSeen(tracks, tuple(self._sizes_wh[camera] for camera in there), rig, crowded)
