"""A person's 2D poses in all cameras at the same instants, for training and adapting the lifter on own recordings.

Whose detection is whose has been found out by fusion: at every pose, each camera's detections, interpolated to its
instant, are held against the person's joints projected into it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from calibration.rig import CameraRig
from lifter.datasets.neutral import save_neutral
from lifter.datasets.recording import Recording
from lifter.skeleton import Skeleton
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.sessions.target import check_target
from nodes.stages.synchroniser import View, view_at
from nodes.wire.messages import Keypoints2D, Pose3D

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

KEPT = 120  # frames of a camera: four seconds at 30 Hz, longer than any tick waits
GATE = 0.25  # of the person's height in the picture: farther off on average is somebody else
MIN_JOINTS = 6
NEW_CHUNK_NS = 250_000_000  # without a pose for longer, time is not continuous


@dataclass(frozen=True)
class KeypointsWish:
    """What is asked for; () and None: everybody, all of the time."""

    out: Path
    people: tuple[int, ...] = ()
    from_s: float | None = None
    to_s: float | None = None
    force: bool = False


@dataclass
class _Track:
    """What one person looked like, row by row. keypoints: (C, J, 3) each."""

    times_ns: list[int] = field(default_factory=list)
    keypoints: list[F32] = field(default_factory=list)


class KeypointsOfPeople:
    """Fed with the messages of a session in their order; holds one person's hour of 4 cameras in 170 MB."""

    def __init__(self, rig: CameraRig, skeleton: Skeleton, max_gap_ns: int) -> None:
        self._rig = rig
        self._skeleton = skeleton
        self._max_gap_ns = max_gap_ns
        self._frames = {name: deque[Keypoints2D](maxlen=KEPT) for name in rig.names}
        self._tracks: dict[int, _Track] = {}

    def feed(self, messages: Iterable[Keypoints2D | Pose3D]) -> None:
        """Take messages in."""
        for message in messages:
            if isinstance(message, Pose3D):
                self._take(message)
            elif message.source in self._frames and message.skeleton == self._skeleton.name:
                self._frames[message.source].append(message)

    def recordings(self, name: str, fps: float) -> dict[int, Recording]:
        """By person. fps: of the poses."""
        return {
            person_id: self._recording(track, f"{name} person {person_id}", fps)
            for person_id, track in self._tracks.items()
        }

    def _take(self, pose: Pose3D) -> None:
        if not pose.people:
            return
        joints_m = np.stack([person.joints_m for person in pose.people]).astype(np.float64)
        seen = np.full((len(pose.people), len(self._rig.cameras), len(self._skeleton.joints), 3), np.nan, np.float32)
        seen[..., 2] = 0.0
        for c, name in enumerate(self._rig.names):
            view = view_at(self._frames[name], pose.captured_ns, self._max_gap_ns)
            if isinstance(view, View) and len(view.confidence):
                projected_px = self._rig.cameras[c].project(joints_m)
                for p, detection in matched(projected_px, view):
                    seen[p, c, :, :2] = view.keypoints_px[detection]
                    seen[p, c, :, 2] = np.minimum(view.confidence[detection], 1.0)
        for person, keypoints in zip(pose.people, seen, strict=True):
            if (keypoints[..., 2] > 0).any():
                track = self._tracks.setdefault(person.id, _Track())
                track.times_ns.append(pose.captured_ns)
                track.keypoints.append(keypoints)

    def _recording(self, track: _Track, name: str, fps: float) -> Recording:
        keypoints = np.stack(track.keypoints)
        begins = np.diff(track.times_ns, prepend=track.times_ns[0]) > NEW_CHUNK_NS
        return Recording(
            name=name,
            skeleton=self._skeleton,
            rig=self._rig,
            keypoints_px=keypoints[..., :2],
            confidence=keypoints[..., 2],
            joints_m=None,
            action=np.full(len(keypoints), ""),
            chunk=np.cumsum(begins),
            fps=fps,
        )


def matched(projected_px: F64, view: View) -> list[tuple[int, int]]:
    """(person, detection) of people projected (P, J, 2) into a view, by least mean distance."""
    apart_px = np.linalg.norm(projected_px[:, None] - view.keypoints_px[None], axis=-1)  # (P, D, J)
    known = np.isfinite(apart_px) & (view.confidence[None] > 0)
    mean_px = np.where(known, apart_px, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    with np.errstate(invalid="ignore"):
        height_px = np.nanmax(projected_px[..., 1], axis=1, initial=0) - np.nanmin(
            projected_px[..., 1], axis=1, initial=1e9
        )
    possible = (known.sum(-1) >= MIN_JOINTS) & (mean_px <= GATE * np.maximum(height_px, 1.0)[:, None])
    rows, columns = linear_sum_assignment(np.where(possible, mean_px, 1e9))
    return [(p, d) for p, d in zip(rows.tolist(), columns.tolist(), strict=True) if possible[p, d]]


def export_keypoints(path: Path, wish: KeypointsWish, progress: Callable[[float], None] = lambda _: None) -> list[str]:
    """Write a neutral multi-view file for each person (docs/reprocess.md); what was written, in lines.

    Raises SessionError, OSError.
    """
    with SessionReader(path) as session:
        rig, skeleton, config = session.rig(), session.skeleton(), session.config()
        if rig is None or skeleton is None:
            raise SessionError(f"{path}: training needs calibrated cameras, and it has none")
        people = KeypointsOfPeople(
            rig.select(session.cameras), skeleton, round(config.fusion.synchroniser.max_gap_ms * 1e6)
        )
        span_ns = max(session.end_ns - session.start_ns, 1)
        kinds: tuple[type[Keypoints2D | Pose3D], ...] = (Keypoints2D, Pose3D)
        for message in session.messages(*kinds, from_s=wish.from_s, to_s=wish.to_s):
            progress((message.published_ns - session.start_ns) / span_ns)
            people.feed([message])
    recordings = people.recordings(path.stem, config.fusion.synchroniser.rate_hz)
    chosen = {who: each for who, each in recordings.items() if not wish.people or who in wish.people}
    if not chosen:
        there = ", ".join(map(str, recordings)) or "nobody: are there poses in it? `reprocess` makes them"
        raise SessionError(f"{path}: nobody to write; there is {there}")
    lines = []
    for who, recording in chosen.items():
        out = wish.out if len(chosen) == 1 else wish.out.with_name(f"{wish.out.stem}_p{who}{wish.out.suffix}")
        check_target(out, [path], wish.force)
        save_neutral(recording, out)
        lines.append(f"{out}: person {who}, {len(recording.chunk)} moments, {len(rig.names)} cameras, {skeleton.name}")
    return lines
