"""What the page knows: the newest of everything that was said on the bus, and figures of the last seconds. Pure."""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from configs.errors import ConfigError
from configs.schema import Config
from nodes.page.judged import Judged
from nodes.page.newest_keypoints import NewestKeypoints
from nodes.sessions.about import config_of, rig_of
from nodes.sessions.errors import SessionError
from nodes.watching.events import Told
from nodes.watching.ledger import Ledger
from nodes.watching.monitor import FUSION, RECORDER, Monitor
from nodes.wire.bus import DEFAULT_HUB_OUT
from nodes.wire.errors import WireError
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
from nodes.wire.requests import BESIDE, CalibrationState, Mark, PlayState, SystemState
from nodes.wire.topics import open_envelope, prefix

MOST_MESSAGES = 200
MOST_SOURCES = 500  # that arrivals are kept of; who invents names on the bus must not fill the memory
KEYPOINTS = prefix(Keypoints2D)


@dataclass
class Seen:
    """Fed with messages; the parts of the page read it. `*_ns` on arrival are monotonic nanoseconds.

    pose, beside: the newest of fusion, and of a second result that is played beside. previews, keypoints: the newest
    of each camera. changed: counts the configurations heard, so that parts build themselves anew. judged: how all goes,
    and told: what happened, oldest first; both are kept by `Reporter`, also while nobody looks.
    """

    KINDS: ClassVar[tuple[type[Message], ...]] = (
        *(About, CameraHealth, FusionHealth, Keypoints2D, Pose3D, Preview, RecorderHealth, Session),
        *(CalibrationState, Mark, PlayState, SystemState),
    )

    hub: str = DEFAULT_HUB_OUT
    monitor: Monitor = field(default_factory=lambda: Monitor(()))
    ledger: Ledger = field(default_factory=Ledger)
    about: About | None = None
    config: Config | None = None
    rig: CameraRig | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    changed: int = 0
    pose: Pose3D | None = None
    beside: Pose3D | None = None
    previews: dict[str, Preview] = field(default_factory=dict)
    keypoints: NewestKeypoints = field(default_factory=NewestKeypoints)
    fusion: FusionHealth | None = None
    recorder: RecorderHealth | None = None
    calibration: CalibrationState | None = None
    play: PlayState | None = None
    system: SystemState | None = None
    arrived_ns: dict[tuple[type[Message], str], int] = field(default_factory=dict)  # of the last one, by source
    judged: Judged | None = None
    marks: list[Mark] = field(default_factory=list)  # that nobody was told of yet
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=MOST_MESSAGES))
    held: bool = False  # the picture stands, while the system goes on
    about_trouble: str = ""
    part_trouble: str = ""  # a part of the page that failed
    undecodable: int = 0  # messages on the bus that are not ours, or of another version
    refusal: str = ""  # the last reason

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.config.cameras) if self.config is not None else ()

    @property
    def trouble(self) -> str:
        """What keeps the page from knowing or showing more; "" when nothing does."""
        return self.about_trouble or self.part_trouble

    def hear(self, raw: bytes, now_ns: int) -> None:
        """Take in an envelope as it came off the bus. now_ns: monotonic. What is not ours is counted."""
        if raw.startswith(KEYPOINTS):
            camera = raw[len(KEYPOINTS) : raw.find(b"\0")].decode("utf-8", "replace")
            if camera in self.monitor.cameras:
                self._note(Keypoints2D, camera, now_ns)
                self.monitor.cameras[camera].frame_ns = now_ns
                if not self.held:
                    self.keypoints.hear(camera, raw)
            return
        try:
            self.feed(open_envelope(raw), now_ns)
        except WireError as error:
            self._refuse(str(error))

    def feed(self, message: Message, now_ns: int) -> None:
        """Take in a message. now_ns: monotonic."""
        self._note(type(message), message.source, now_ns)
        self.monitor.feed(message, now_ns)
        match message:
            case About():
                self._feed_about(message)
            case Pose3D():
                self._feed_pose(message, now_ns)
            case Preview() | Keypoints2D():
                self._feed_picture(message)
            case FusionHealth() if message.source == FUSION:
                self.fusion = message
            case RecorderHealth() if message.source == RECORDER:
                self.recorder = message
            case CalibrationState():
                self.calibration = message
            case Mark():
                self.marks = [*self.marks, message][-MOST_MESSAGES:]
            case PlayState():
                self.play = message
            case SystemState():
                self.system = message

    def _refuse(self, why: str) -> None:
        self.undecodable += 1
        self.refusal = why

    def _note(self, kind: type[Message], source: str, now_ns: int) -> None:
        if len(self.arrived_ns) < MOST_SOURCES or (kind, source) in self.arrived_ns:
            self.arrived_ns[kind, source] = now_ns

    def _feed_picture(self, message: Preview | Keypoints2D) -> None:
        if self.held or message.source not in self.monitor.cameras:
            return
        if isinstance(message, Preview):
            self.previews[message.source] = message
        else:
            self.keypoints.put(message)

    def _feed_pose(self, pose: Pose3D, now_ns: int) -> None:
        if pose.source == FUSION:
            self.ledger.feed(pose, now_ns, timely=self.play is None or self.play.timely)
        if self.held:
            return
        if pose.source == FUSION:
            self.pose = pose
        elif pose.source == BESIDE:
            self.beside = pose

    def _feed_about(self, about: About) -> None:
        before, self.about = self.about, about
        if before is not None and (before.config_yaml, before.rig_text) == (about.config_yaml, about.rig_text):
            return
        try:
            self.config, self.rig = config_of(about), rig_of(about)
            self.facts = json.loads(about.facts_json)
            self.about_trouble = ""
        except (SessionError, ConfigError, CalibrationError, ValueError) as error:
            self.about_trouble = f"what the system says about itself cannot be read: {error}"
            return
        by_hand = [name for name, source in self.config.cameras.items() if not source.start]
        self.monitor = Monitor(tuple(self.config.cameras), by_hand=by_hand, fuses=not self.config.keypoints_only)
        self.previews, self.keypoints = {}, NewestKeypoints(self._refuse)
        self.changed += 1
