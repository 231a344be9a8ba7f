"""What the page knows: the newest of everything that was said on the bus, and figures of the last seconds. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

from calibration.rig import Camera, CameraRig
from configs.schema import Config
from lifter.skeleton import Skeleton
from nodes.page.judged import Judged
from nodes.page.newest_keypoints import NewestKeypoints
from nodes.sessions.about import skeleton_of
from nodes.sessions.described import Described, described, says_the_same
from nodes.sessions.errors import SessionError
from nodes.watching.events import Told
from nodes.watching.ledger import Ledger
from nodes.watching.monitor import FUSION, RECORDER, Monitor
from nodes.watching.player import PLAYER
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
from nodes.wire.requests import BESIDE, CALIBRATOR, CalibrationState, Mark, PlayState, SystemState
from nodes.wire.topics import open_envelope, prefix

MOST_MESSAGES = 200
MOST_SOURCES = 500  # that arrivals are kept of; who invents names on the bus must not fill the memory
KEYPOINTS = prefix(Keypoints2D)
SPEAKER: dict[type[Message], str] = {  # nobody else is believed
    FusionHealth: FUSION,
    RecorderHealth: RECORDER,
    CalibrationState: CALIBRATOR,
    PlayState: PLAYER,
    SystemState: "run_system",
}
LASTS_NS = 5_000_000_000  # what somebody said of itself longer ago is not so any more: all speak once a second at least
RECORDER_LASTS_NS = 15_000_000_000  # one that died is started again, and then tells that its recording was cut
POSE_LASTS_NS = 1_000_000_000
RUN_ENDS_NS = 3_000_000_000  # so long without a word from anybody: what is heard then is another run


@dataclass
class Seen:
    """Fed with messages; the parts of the page read it. `*_ns` on arrival are monotonic nanoseconds.

    pose, beside: the newest of fusion, and of a second result that is played beside. previews, keypoints: the newest
    of each camera. fusion, recorder, calibration, play, system: the last word of each. All of these are None when they
    are too old to be so still (`expire`), so that parts need not ask how old they are. changed: counts the rooms heard
    of, another rig or other cameras, so that parts build themselves anew. judged: how all goes, and told: what
    happened, oldest first; both are kept by `Reporter`, also while nobody looks.
    """

    KINDS: ClassVar[tuple[type[Message], ...]] = (
        *(About, CameraHealth, FusionHealth, Keypoints2D, Pose3D, Preview, RecorderHealth, Session),
        *(CalibrationState, Mark, PlayState, SystemState),
    )

    hub: str = DEFAULT_HUB_OUT
    monitor: Monitor = field(default_factory=lambda: Monitor(()))
    ledger: Ledger = field(default_factory=Ledger)
    about: About | None = None
    described: Described | None = None
    skeleton: Skeleton | None = None  # that the system describes, for a name that we do not know
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
    run_ns: int = 0  # since when the system that speaks now has been heard
    last_ns: int | None = None  # of anybody
    judged: Judged | None = None
    marks: list[Mark] = field(default_factory=list)  # that nobody was told of yet
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=MOST_MESSAGES))
    held: bool = False  # the picture stands, while the system goes on
    about_trouble: str = ""
    part_trouble: str = ""  # a part of the page that failed
    undecodable: int = 0  # messages on the bus that are not ours, or of another version
    refusal: str = ""  # the last reason
    _room: tuple[tuple[str, ...], str] | None = None  # cameras and rig

    @property
    def config(self) -> Config | None:
        return None if self.described is None else self.described.config

    @property
    def rig(self) -> CameraRig | None:
        return None if self.described is None else self.described.rig

    @property
    def facts(self) -> dict[str, Any]:
        return {} if self.described is None else self.described.facts

    @property
    def cameras(self) -> tuple[str, ...]:
        return () if self.config is None else tuple(self.config.cameras)

    @property
    def standing(self) -> dict[str, Camera]:
        """Cameras of the configuration of which is known where they stand."""
        rig = self.rig
        return {} if rig is None else {name: rig[name] for name in self.cameras if name in rig.names}

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
        if SPEAKER.get(type(message), message.source) != message.source:
            return
        self._note(type(message), message.source, now_ns)
        self.monitor.feed(message, now_ns)
        match message:
            case About():
                self._feed_about(message)
            case Pose3D():
                self._feed_pose(message, now_ns)
            case Preview() | Keypoints2D():
                self._feed_picture(message)
            case FusionHealth():
                self.fusion = message
            case RecorderHealth():
                self.recorder = message
            case CalibrationState():
                self.calibration = message
            case Mark():
                self.marks = [*self.marks, message][-MOST_MESSAGES:]
            case PlayState():
                self.play = message
            case SystemState():
                self.system = message

    def expire(self, now_ns: int) -> None:
        """Forget what is too old to be so still. now_ns: monotonic."""
        is_over = self.last_ns is not None and now_ns - self.last_ns > RUN_ENDS_NS
        for kind, speaker in SPEAKER.items():
            lasts_ns = RECORDER_LASTS_NS if kind is RecorderHealth else LASTS_NS
            if is_over or now_ns - self.arrived_ns.get((kind, speaker), now_ns) > lasts_ns:
                self._forget(kind)
        if self.held or (self.play is not None and not self.play.playing):
            return  # the picture is meant to stand
        if self.arrived_ns.get((Pose3D, FUSION), 0) < now_ns - POSE_LASTS_NS:
            self.pose = None
        if self.arrived_ns.get((Pose3D, BESIDE), 0) < now_ns - POSE_LASTS_NS:
            self.beside = None

    def spoke(self, kind: type[Message]) -> bool:
        """Whether whoever says this has ever done so in this run."""
        return self.arrived_ns.get((kind, SPEAKER[kind]), -1) >= self.run_ns

    def _forget(self, kind: type[Message]) -> None:
        if kind is FusionHealth:
            self.fusion = None
        elif kind is RecorderHealth:
            self.recorder = self.monitor.recorder = None
        elif kind is CalibrationState:
            self.calibration = None
        elif kind is PlayState:
            self.play = None
        elif kind is SystemState:
            self.system = None

    def _refuse(self, why: str) -> None:
        self.undecodable += 1
        self.refusal = why

    def _note(self, kind: type[Message], source: str, now_ns: int) -> None:
        if self.last_ns is None or now_ns - self.last_ns > RUN_ENDS_NS:
            self.run_ns = now_ns
            for state in SPEAKER:
                self._forget(state)
        self.last_ns = now_ns
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
        if before is not None and says_the_same(before, about):
            return
        try:
            found = described(about)
        except SessionError as error:
            self.about_trouble = str(error)
            return
        was, self.described, self.about_trouble = self.described, found, ""
        self.skeleton = skeleton_of(about)
        if not found.is_watched_alike(was):
            self.monitor = found.monitor()
        room = (self.cameras, about.rig_text)
        if self._room != room:  # only then: whoever looks on from somewhere of their choice should not be disturbed
            self._room = room
            self.previews, self.keypoints = {}, NewestKeypoints(self._refuse)
            self.changed += 1
