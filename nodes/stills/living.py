"""What a running system says, listened to for some seconds, and the moment that is made of it."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from calibration.rig import CameraRig
from configs.schema import Config
from lifter.skeleton import Skeleton
from nodes.drawing import side_by_side
from nodes.drawing.jpeg import decoded
from nodes.sessions.about import skeleton_of
from nodes.sessions.described import Described, described, says_the_same
from nodes.sessions.errors import SessionError
from nodes.stills.moment import CameraMoment, Moment
from nodes.watching.camera_figures import CameraStatus
from nodes.watching.monitor import FUSION, Monitor, Status
from nodes.watching.verdict import Verdict, of_camera, of_system
from nodes.watching.words import Level
from nodes.wire.bus import Subscription, every
from nodes.wire.messages import (
    About,
    CameraHealth,
    FusionHealth,
    Keypoints2D,
    Message,
    Pose3D,
    Preview,
    RecorderHealth,
    Session,
)
from nodes.wire.requests import PlayState, SystemState

KINDS = (About, CameraHealth, FusionHealth, Keypoints2D, Pose3D, Preview, RecorderHealth, Session)
STATES = (PlayState, SystemState)
LISTEN_S = 2.5  # after the first word: About comes every second, figures need some poses
PICTURES_S = 2.0  # more, for previews that have not come yet
KEPT = 90
FRESH_NS = 700_000_000  # what is older than this before the newest is no part of the moment
COUNTED = (CameraHealth, FusionHealth, Pose3D, RecorderHealth, Session, *STATES)
M = TypeVar("M", bound=Message)


@dataclass
class Living:
    """The newest of what was heard. Pure but for `listen`."""

    monitor: Monitor = field(default_factory=lambda: Monitor(()))
    about: About | None = None
    described: Described | None = None
    trouble: str = ""
    heard: int = 0
    _keypoints: dict[str, deque[Keypoints2D]] = field(default_factory=dict)
    _previews: dict[str, deque[Preview]] = field(default_factory=dict)
    _poses: deque[Pose3D] = field(default_factory=lambda: deque(maxlen=KEPT))
    _before: list[tuple[Message, int]] = field(default_factory=list)

    @property
    def config(self) -> Config | None:
        return None if self.described is None else self.described.config

    @property
    def rig(self) -> CameraRig | None:
        return None if self.described is None else self.described.rig

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those of the configuration, else those that were heard."""
        return tuple(self.config.cameras) if self.config is not None else tuple(sorted(self._keypoints))

    @property
    def skeletons(self) -> dict[str, Skeleton]:
        told = None if self.about is None else skeleton_of(self.about)
        return {} if told is None else {told.name: told}

    def feed(self, message: Message, now_ns: int) -> None:
        """Take in a message. now_ns: monotonic."""
        self.heard += 1
        self.monitor.feed(message, now_ns)
        if isinstance(message, About):
            self._feed_about(message)
        elif isinstance(message, Keypoints2D):
            self._keypoints.setdefault(message.source, deque(maxlen=KEPT)).append(message)
        elif isinstance(message, Preview):
            self._previews.setdefault(message.source, deque(maxlen=KEPT)).append(message)
        elif isinstance(message, Pose3D) and message.source == FUSION:
            self._poses.append(message)
        if self.about is None and isinstance(message, COUNTED):
            self._before.append((message, now_ns))

    def lacks_pictures(self) -> bool:
        """Whether pictures are on, and some camera that delivers has sent none yet."""
        on = self.config is not None and self.config.preview.enabled
        return on and any(name not in self._previews for name in self._keypoints)

    def aspect(self) -> float:
        """Width by height of the cameras' pictures, as most have it."""
        shapes = [kept[-1].size_wh[0] / kept[-1].size_wh[1] for kept in self._keypoints.values()]
        cameras = self.rig.cameras if self.rig is not None else ()
        shapes = shapes or [camera.size_wh[0] / camera.size_wh[1] for camera in cameras]
        return float(np.median(shapes)) if shapes else 4 / 3

    def moment(self, now_ns: int, clock: str) -> Moment:
        """What is to be shown. now_ns: monotonic."""
        status = self.monitor.status(now_ns)
        newest_ns = max((kept[-1].captured_ns for kept in self._keypoints.values()), default=0)
        at_ns = self._poses[-1].captured_ns if self._poses else newest_ns
        told = {each.name: each for each in status.cameras}
        cameras = tuple(self._camera(name, told.get(name), status.standing, at_ns, newest_ns) for name in self.cameras)
        is_fresh = bool(self._poses) and newest_ns - at_ns < 2 * FRESH_NS
        return Moment(
            cameras=cameras,
            pose=self._poses[-1] if is_fresh else None,
            clock=clock,
            headline=of_system(status, {each.name: each.verdict for each in cameras}),
            notes=self._notes(status, cameras),
            room_words=self._room_words(is_fresh),
        )

    def _feed_about(self, about: About) -> None:
        before, self.about = self.about, about
        if before is not None and says_the_same(before, about):
            return
        try:
            found, self.trouble = described(about), ""
        except SessionError as error:
            self.trouble = str(error)
            return
        was, self.described = self.described, found
        if found.is_watched_alike(was):
            return
        self.monitor = found.monitor()
        for message, heard_ns in self._before:
            self.monitor.feed(message, heard_ns)
        self._before = []

    def _camera(self, name: str, told: CameraStatus | None, standing: bool, at_ns: int, newest_ns: int) -> CameraMoment:
        preview = _nearest(self._previews.get(name, ()), at_ns)
        if preview is not None and newest_ns - preview.captured_ns > 5 * FRESH_NS:
            preview = None
        keypoints = _nearest(self._keypoints.get(name, ()), at_ns if preview is None else preview.captured_ns)
        if keypoints is not None and newest_ns - keypoints.captured_ns > 2 * FRESH_NS:
            keypoints = None
        verdict = of_camera(told, standing) if told is not None else Verdict(Level.CALM, "unknown", "")
        if keypoints is None and verdict.level is Level.GOOD:
            verdict = Verdict(Level.WARN, "no frames", "no frames were heard")
        off = self.config is not None and not self.config.preview.enabled
        instead = "pictures are off" if off else "no picture yet"
        return CameraMoment(name, None if preview is None else decoded(preview), keypoints, verdict, instead)

    def _room_words(self, is_fresh: bool) -> str:
        if self.config is not None and self.config.keypoints_only:
            return "no fusion: 2D alone"
        if not is_fresh:
            return "no poses at the moment" if self._poses else "no poses yet"
        return "" if self._poses[-1].frame == "world" else side_by_side.WORDS

    def _notes(self, status: Status, cameras: tuple[CameraMoment, ...]) -> tuple[str, ...]:
        of_cameras = [f"{each.name}: {each.verdict.words}" for each in cameras if each.verdict.words]
        figures = [
            f"{status.rate_hz:.0f} poses a second" if status.ticks else "",
            _latency(status),
            f"people {status.people}" if status.ticks else "",
            f"reprojection {status.reprojection_px:.1f} px" if np.isfinite(status.reprojection_px) else "",
            *(f"{each.name} {each.fps:.1f} fps" for each in status.cameras if np.isfinite(each.fps)),
        ]
        lines = ["  ·  ".join(filter(None, figures)), self._versions(), self.trouble, status.recording]
        return tuple(dict.fromkeys(filter(None, (*lines, *of_cameras, *status.notes))))

    def _versions(self) -> str:
        if self.about is None:
            return "nobody tells what runs here (no run_system.py)"
        facts = {} if self.described is None else self.described.facts
        versions, lifter = facts.get("versions"), str(facts.get("lifter", ""))[:60]
        told = [f"{name} {version}" for name, version in versions.items()] if isinstance(versions, dict) else []
        return "  ·  ".join([*told, *([f"lifter {lifter}"] if lifter else [])])


def _latency(status: Status) -> str:
    if status.no_latency:
        return f"no latency: {status.no_latency}"
    is_known = math.isfinite(status.latency_p50_ms)
    return f"latency p50 {status.latency_p50_ms:.0f}, p95 {status.latency_p95_ms:.0f} ms" if is_known else ""


def listen(hub_outer: str, wait_s: float) -> Living:
    """Hear what is said; nothing is heard when nobody speaks for wait_s. Raises WireError for a bad address."""
    living = Living()
    with every(*KINDS, *STATES, hub_out=hub_outer) as inbox:
        end_s = time.monotonic() + wait_s
        _hear(living, inbox, lambda: bool(living.heard) or time.monotonic() > end_s)
        if not living.heard:
            return living
        end_s = time.monotonic() + LISTEN_S
        _hear(living, inbox, lambda: time.monotonic() > end_s)
        end_s = time.monotonic() + PICTURES_S
        _hear(living, inbox, lambda: not living.lacks_pictures() or time.monotonic() > end_s)
    return living


def _hear(living: Living, inbox: Subscription[Message], enough: Callable[[], bool]) -> None:
    while not enough():
        message = inbox.receive(100)
        if message is not None:
            living.feed(message, time.monotonic_ns())


def _nearest(kept: "deque[M] | tuple[()]", at_ns: int) -> M | None:
    return min(kept, key=lambda message: abs(message.captured_ns - at_ns), default=None)
