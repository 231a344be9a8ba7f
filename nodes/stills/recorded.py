"""The moments of a recording, one after the other, with the pictures of its videos where there are such."""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from calibration.rig import CameraRig
from lifter.skeleton import Skeleton
from nodes.drawing import side_by_side
from nodes.recorded_video import RecordedVideo, recorded_videos
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.stills.moment import CameraMoment, Moment
from nodes.stills.reel import Reel
from nodes.stills.winder import Winder
from nodes.watching.monitor import FUSION, Monitor
from nodes.watching.verdict import ALL_WELL, Verdict, counted, figures, of_camera
from nodes.watching.words import Level
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D, RecorderHealth, Session

HEARD = (Keypoints2D, Pose3D, CameraHealth, FusionHealth, RecorderHealth, Session)
RUN_UP_S = 5.0  # is read before the first moment, so that figures of the last seconds are known
SAMPLED = 400  # messages that tell how recorded times stand to those of the pictures
NO_POSES = "no poses in this recording"


@dataclass
class Recording:
    """A recording that moments are taken of, at rising times. from_s: of the first one, seconds since its start.

    missing: camera → why it has no pictures, where it should have some.
    """

    session: SessionReader
    from_s: float = 0.0
    video_folder: Path | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cameras = self.session.cameras
        self.rig: CameraRig | None = self.session.rig() if self.session.about is not None else None
        self.duration_s = (self.session.end_ns - self.session.start_ns) * 1e-9
        self._zero_ns = zero_ns(self.session)
        self._monitor = Monitor(self.cameras)
        self._heard_ns = 0
        kinds = self.session.logged(*HEARD, from_s=max(0.0, self.from_s - RUN_UP_S))
        self._winder = Winder(kinds, self._hear)
        self._has_poses = any(topic.startswith("pose/") and count for topic, count in self.session.counts.items())
        self._poses_of = self._source_of_poses()
        at_ns = self.at_ns(self.from_s)
        self._reels = {name: Reel(video, at_ns) for name, video in self._videos().items()}

    @property
    def skeletons(self) -> dict[str, Skeleton]:
        """Those that it tells of itself."""
        told = self.session.skeleton()
        return {} if told is None else {told.name: told}

    @property
    def has_pictures(self) -> bool:
        return bool(self._reels)

    def at_ns(self, at_s: float) -> int:
        """The instant (captured_ns) that is so long after its start."""
        return self._zero_ns + round(at_s * 1e9)

    def aspect(self) -> float:
        """Width by height of the cameras' pictures, as most have it."""
        cameras = () if self.rig is None else self.rig.cameras
        shapes = [camera.size_wh[0] / camera.size_wh[1] for camera in cameras]
        shapes = shapes or [m.size_wh[0] / m.size_wh[1] for m in islice(self.session.messages(Keypoints2D), 20)]
        return float(np.median(shapes)) if shapes else 4 / 3

    def moment(self, at_s: float) -> Moment:
        """What there is at a time, later than that of the moment before."""
        at_ns = self.at_ns(at_s)
        self._winder.wind(at_ns)
        pose = cast(Pose3D | None, self._winder.nearest(Pose3D, self._poses_of, at_ns))
        status = self._monitor.status(self._heard_ns)
        states = {each.name: each for each in status.cameras}
        cameras = tuple(self._camera(name, at_ns, of_camera(states[name])) for name in self.cameras)
        people = 0 if pose is None else len(pose.people)
        words = counted(people, "person", "people") if people else "nobody in view"
        return Moment(
            cameras=cameras,
            pose=pose,
            clock=clock(at_s),
            headline=Verdict(Level.GOOD, "people", words) if pose is not None else None,
            room_words=self._room_words(pose),
            notes=(figures(status), *status.notes),
        )

    def close(self) -> None:
        for reel in self._reels.values():
            reel.close()

    def _camera(self, name: str, at_ns: int, verdict: Verdict) -> CameraMoment:
        keypoints = cast(Keypoints2D | None, self._winder.nearest(Keypoints2D, name, at_ns))
        reel = self._reels.get(name)
        picture = None if reel is None else reel.at(at_ns)
        instead = "" if keypoints is not None else "no frames"
        if keypoints is not None and verdict.kind in ("starting", "silent", "ended", "no frames"):
            verdict = ALL_WELL
        if keypoints is None and verdict.level is Level.GOOD:
            verdict = Verdict(Level.CALM, "no frames", "")
        return CameraMoment(name, picture, keypoints, verdict, instead)

    def _room_words(self, pose: Pose3D | None) -> str:
        if not self._has_poses:
            return f"{NO_POSES}: cameras alone" if self.rig is not None else NO_POSES
        if pose is not None and pose.frame != "world":
            return side_by_side.WORDS
        return ""

    def _hear(self, message: Message, log_ns: int) -> None:
        self._heard_ns = max(self._heard_ns, log_ns)
        self._monitor.feed(message, log_ns)

    def _source_of_poses(self) -> str:
        """Fusion; of other programs whoever says poses."""
        sources = [topic.partition("/")[2] for topic in self.session.counts if topic.startswith("pose/")]
        return FUSION if FUSION in sources or not sources else sources[0]

    def _videos(self) -> dict[str, RecordedVideo]:
        """Of each camera that has one; what is missing is told."""
        told: dict[str, list[str]] = {camera: [] for camera in self.cameras}
        for health in self.session.messages(CameraHealth):
            if health.source in told and health.video_file and health.video_file not in told[health.source]:
                told[health.source].append(health.video_file)
        found: dict[str, RecordedVideo] = {}
        for camera in self.cameras:
            try:
                found |= recorded_videos(self.session.path, (camera,), told, self.video_folder)
            except SessionError as error:
                if told[camera]:
                    self.missing[camera] = str(error)
        return found


def zero_ns(session: SessionReader) -> int:
    """The captured_ns that belongs to a recording's start: what was captured then came a little later. Raises
    SessionError where nothing in it speaks of an instant."""
    sampled = [
        logged.log_ns - logged.message().captured_ns for logged in islice(session.logged(Keypoints2D, Pose3D), SAMPLED)
    ]
    if not sampled:
        raise SessionError(f"{session.path} holds neither keypoints nor poses: there is nothing to draw")
    return session.start_ns - min(sampled)


def clock(at_s: float) -> str:
    """`0:12.4`."""
    tenths = int(round(10 * at_s, 3))
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
