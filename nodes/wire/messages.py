"""All messages, but those of requests.py: versioned, only ever extended: add fields with defaults, change no meaning.

Times are int64 nanoseconds since the Unix epoch (`…_ns`), stage times are durations in nanoseconds. Absent positions
are NaN with confidence 0. P people, J joints, C cameras. A joint order is always named by its skeleton.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nodes.wire.codec import Part, Record, pack, unpack
from nodes.wire.errors import WireError
from nodes.wire.fields import Array, Blob, Flag, Integer, Real, Sequence, Table, Text, shown, wire

SCHEMA_VERSION = 1
MAX_PEOPLE = 64
MAX_CAMERAS = 32  # bits of `Person3D.views`

F32 = npt.NDArray[np.float32]
NAME = Text(60, minimum_length=1)
TIME_NS = Integer(0, 4 * 10**18)  # until 2096, so that differences of times fit 64 bits, and theirs again
DURATION_NS = Integer(-(10**18), 10**18)  # 31 years; negative where clocks disagree
SIZE_WH = Sequence(Integer(0), 2, min_length=2)
PICTURE_WH = Sequence(Integer(1), 2, min_length=2)
M = TypeVar("M", bound="Message")


class Origin(IntEnum):
    """Where a joint's position came from."""

    ABSENT = 0
    TRIANGULATED = 1  # seen by two views or more
    FUSED = 2  # views and lifts together
    LIFTED = 3  # one view or none, and the lifter
    PREDICTED = 4  # no view: carried on by its motion


@dataclass(frozen=True, eq=False, kw_only=True)
class Message(Record):
    """What every message carries.

    captured_ns: instant that the content speaks of. published_ns: when it was sent (0 until then). source: the node or
    camera. seq: counts the messages of this source on this topic, so that a gap is seen.
    """

    captured_ns: int = wire(TIME_NS)
    published_ns: int = wire(TIME_NS)
    source: str = wire(NAME)
    seq: int = wire(Integer(0))


@dataclass(frozen=True, eq=False, kw_only=True)
class Keypoints2D(Message):
    """What one camera's detector saw in one frame; P may be 0.

    size_wh: of the image that the pixels refer to. keypoints_px: (P, J, 2). confidence: (P, J) in [0, 1].
    stages_ns: durations since capture: `queue` (capture to detector), `detect`. frame_id: number of the frame in its
    source, which goes on where frames were not detected; 0 also where it is not known. asked_ids: per person, the id of
    the followed person at whose expected place it was found, -1 where it was found otherwise; () where nobody asked.
    """

    skeleton: str = wire(NAME)
    size_wh: tuple[int, ...] = wire(PICTURE_WH)
    keypoints_px: F32 = wire(Array("<f4", ("P", "J", 2)))
    confidence: F32 = wire(Array("<f4", ("P", "J")))
    stages_ns: dict[str, int] = wire(Table(DURATION_NS), default_factory=dict)
    frame_id: int = wire(Integer(0), default=0)
    asked_ids: tuple[int, ...] = wire(Sequence(Integer(-1), MAX_PEOPLE), default=())


@dataclass(frozen=True, eq=False, kw_only=True)
class Person3D(Record):
    """One person at one instant.

    id: stable while the person is followed. joints_m: (J, 3) metres in the pose's frame, NaN where absent. sigma_m:
    (J,) standard deviation per axis (root of the mean variance). reprojection_px: (J,) RMS over the contributing views,
    NaN where nothing was seen. views: (J,) bits, bit c for `Pose3D.cameras[c]`. origin: (J,) values of Origin.
    """

    id: int = wire(Integer(0))
    joints_m: F32 = wire(Array("<f4", ("J", 3)))
    sigma_m: F32 = wire(Array("<f4", ("J",)))
    reprojection_px: F32 = wire(Array("<f4", ("J",)))
    views: npt.NDArray[np.uint32] = wire(Array("<u4", ("J",)))
    origin: npt.NDArray[np.uint8] = wire(Array("|u1", ("J",)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Pose3D(Message):
    """One fusion tick: everybody at one instant; an empty list says that nobody was seen.

    valid: False when fewer than two cameras contributed. cameras: the order of the bits in `views`. left_out: camera →
    why it did not contribute. stages_ns: durations that add up to published_ns - captured_ns: `interpolate` (tick to
    the frame that completed it), `queue`, `detect`, `send` (camera to fusion), `fuse`. frame: `world`, or, from one
    camera that is not calibrated, `root_relative`: each person relative to the middle of the own hips, z up as far as
    the camera is held upright, x away from it; sigma_m likewise.
    """

    skeleton: str = wire(NAME)
    people: tuple[Person3D, ...] = wire(Sequence(Part(Person3D), MAX_PEOPLE))
    cameras: tuple[str, ...] = wire(Sequence(NAME, MAX_CAMERAS))
    valid: bool = wire(Flag())
    left_out: dict[str, str] = wire(Table(Text()), default_factory=dict)
    stages_ns: dict[str, int] = wire(Table(Integer()), default_factory=dict)
    frame: str = wire(Text(choices=("world", "root_relative")), default="world")


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseNow(Pose3D):
    """The people of a `Pose3D` carried on to the moment of sending, by their motion: for what must not lag behind.

    captured_ns: the instant that they are carried on to. rests_on_ns: captured_ns of the pose that they were in. What
    was seen there is carried on, too: origin is PREDICTED, views 0, sigma_m grown. stages_ns is empty.
    """

    rests_on_ns: int = wire(TIME_NS)


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraHealth(Message):
    """A camera node about itself, a few times a second.

    asked/granted: size, rate and pixel format; (0, 0), NaN and "" where not asked or not known. frames: detected so
    far. dropped: captured but never detected, because a newer one was there. note: plain words, "" when all is well.
    video_file: name, without folder, of the video that this node records, "" without one; video_frames: written into
    it; video_dropped: captured meanwhile and not written, because encoder or disk were too slow.
    """

    state: str = wire(Text(choices=("starting", "ready", "streaming", "reconnecting", "ended")))
    asked_size_wh: tuple[int, ...] = wire(SIZE_WH, default=(0, 0))
    granted_size_wh: tuple[int, ...] = wire(SIZE_WH, default=(0, 0))
    asked_fps: float = wire(Real(), default=float("nan"))
    granted_fps: float = wire(Real(), default=float("nan"))
    granted_format: str = wire(Text(), default="")
    fps: float = wire(Real(), default=float("nan"))
    frames: int = wire(Integer(0), default=0)
    dropped: int = wire(Integer(0), default=0)
    reconnects: int = wire(Integer(0), default=0)
    detect_ms_p50: float = wire(Real(), default=float("nan"))
    note: str = wire(Text(), default="")
    video_file: str = wire(Text(), default="")
    video_frames: int = wire(Integer(0), default=0)
    video_dropped: int = wire(Integer(0), default=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraInput(Record):
    """Fusion about one of its cameras: alive, on time and valid are three facts.

    age_ms: since its last frame arrived. skew_ms: how far its newest frame is behind the newest of all (p50). late:
    frames that came after their tick. rejected: messages refused (`reason → count`). moved_ns: captured_ns of the first
    frame after it was moved, 0 when it was not; moved_deg, moved_mm: by about how much; repaired: whether its pose was
    estimated anew since, and it is used again. reprojection_px: median distance of its keypoints from the joints that
    were fused, projected back, also while it is left out; NaN where it saw nobody yet.
    """

    alive: bool = wire(Flag())
    on_time: bool = wire(Flag())
    valid: bool = wire(Flag())
    age_ms: float = wire(Real())
    skew_ms: float = wire(Real())
    frames: int = wire(Integer(0))
    late: int = wire(Integer(0))
    rejected: dict[str, int] = wire(Table(Integer(0)), default_factory=dict)
    note: str = wire(Text(), default="")
    moved_ns: int = wire(TIME_NS, default=0)
    moved_deg: float = wire(Real(), default=0.0)
    moved_mm: float = wire(Real(), default=0.0)
    repaired: bool = wire(Flag(), default=False)
    reprojection_px: float = wire(Real(), default=float("nan"))


@dataclass(frozen=True, eq=False, kw_only=True)
class FusionHealth(Message):
    """The fusion node about itself and its inputs, a few times a second.

    fused_until_ns: captured_ns of the last tick, 0 before the first; recorded sources pace themselves by it.
    undecodable: messages dropped because they were not ours, too large or broken, from anybody. began_source, began_ns:
    camera and captured_ns of the first keypoints that this fusion took in, "" and 0 before: a recording is fused again
    from there on, and two different ones tell that fusion was started again meanwhile. lifter: what it runs on, and
    why on nothing faster; "off" without one, "" where that is not told.
    """

    cameras: dict[str, CameraInput] = wire(Table(Part(CameraInput)))
    ticks: int = wire(Integer(0))
    rate_hz: float = wire(Real())
    people: int = wire(Integer(0))
    reprojection_px_p50: float = wire(Real())
    fused_until_ns: int = wire(TIME_NS)
    undecodable: int = wire(Integer(0), default=0)
    notes: tuple[str, ...] = wire(Sequence(Text(), 64), default=())
    began_source: str = wire(Text(), default="")
    began_ns: int = wire(TIME_NS, default=0)
    lifter: str = wire(Text(1000), default="")


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpectedView(Record):
    """Where the followed people will be in one camera's picture, the nearest first; who will not be in it is absent.

    size_wh: of the picture that pixels refer to. K may be 0. ids: (K,) of Person3D. circles: (K, 4) around whole
    bodies, however much of them the picture holds: middle of the hips x, y and farthest joint from there in px; the
    angle from the picture's up to the spine, clockwise in radians. velocity_px_s: (K, 2) of the middle of the hips.
    """

    size_wh: tuple[int, ...] = wire(PICTURE_WH)
    ids: npt.NDArray[np.int64] = wire(Array("<i8", ("K",)))
    circles: F32 = wire(Array("<f4", ("K", 4)))
    velocity_px_s: F32 = wire(Array("<f4", ("K", 2)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Expected(Message):
    """Fusion to the cameras: where to look for whom at captured_ns; each camera goes on from there to its own frame.

    cameras: a view for each camera that fusion knows, also when nobody is expected there.
    """

    cameras: dict[str, ExpectedView] = wire(Table(Part(ExpectedView)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Session(Message):
    """Time zero of recorded and virtual sources: a frame at t in its file was captured at start_ns + t.

    Said again and again by whoever runs the system, so that a camera node that starts later falls into step.
    """

    start_ns: int = wire(TIME_NS)


@dataclass(frozen=True, eq=False, kw_only=True)
class About(Message):
    """What a recording needs to explain itself, said again and again by whoever runs the system.

    config_yaml: the whole configuration, every default written out, no passwords; its calibration, if any, is called
    rig_name. rig_text: that calibration file as it is, "" without one. facts_json: an object with `versions` of the
    packages, `skeleton` (name, joints, bones) and `lifter` (what it runs on, its weights).
    """

    config_yaml: str = wire(Text(256 * 1024))
    rig_name: str = wire(Text(choices=("", "rig.toml", "rig.qca.txt", "rig.xml")), default="")
    rig_text: str = wire(Text(256 * 1024), default="")
    facts_json: str = wire(Text(64 * 1024), default="{}")


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordRequest(Message):
    """To the recorder of a running system: begin or end a recording.

    name: of the file, without folder and ending, letters, digits, `.`, `-` and `_`; "": the time of day. It lies in the
    folder that the configuration names, since a stranger on the bus shall not choose it.
    """

    action: str = wire(Text(choices=("start", "stop")))
    name: str = wire(Text(60), default="")
    video: bool = wire(Flag(), default=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class RecorderHealth(Message):
    """A recorder about itself, twice a second.

    path: of the file that it writes, or wrote last. video: whether camera nodes record their pictures meanwhile.
    messages, bytes: written so far. lost: messages that should be there, by the gaps in their seq. note: plain words.
    """

    state: str = wire(Text(choices=("idle", "starting", "recording", "stopped", "failed")))
    path: str = wire(Text(1000), default="")
    video: bool = wire(Flag(), default=False)
    began_ns: int = wire(TIME_NS, default=0)
    messages: int = wire(Integer(0), default=0)
    bytes: int = wire(Integer(0), default=0)
    lost: int = wire(Integer(0), default=0)
    note: str = wire(Text(), default="")

    @property
    def runs(self) -> bool:
        """Whether a recording is being made."""
        return self.state in ("starting", "recording")


@dataclass(frozen=True, eq=False, kw_only=True)
class Preview(Message):
    """A small JPEG of what a camera sees; personal data, off unless asked for."""

    size_wh: tuple[int, ...] = wire(PICTURE_WH)
    jpeg: bytes = wire(Blob(1024 * 1024), default=b"")


def encode(message: Message) -> bytes:
    """The message as msgpack bytes, with its schema version."""
    return pack({"schema": SCHEMA_VERSION, **message.to_wire()})


def decode(kind: type[M], data: bytes) -> M:
    """The message in bytes. Raises WireError that names the schema or the field that is wrong."""
    raw = unpack(data)
    schema = raw.pop("schema", None)
    if type(schema) is not int or schema != SCHEMA_VERSION:
        raise WireError(
            f"{kind.__name__} has schema version {shown(schema)}, this program reads version {SCHEMA_VERSION}: "
            "install the same livepose3d on both sides"
        )
    return kind.from_wire(raw)
