"""The one table of topics: what they carry, and what a recorder and a viewer need to know of each.

On the wire a message is one part: `name/source`, a zero byte, msgpack. (One part, because libzmq's CONFLATE delivers
no multipart messages at all.)
"""

from dataclasses import dataclass

from nodes.wire.errors import WireError
from nodes.wire.messages import (
    About,
    CameraHealth,
    Expected,
    FusionHealth,
    Keypoints2D,
    Message,
    Pose3D,
    PoseNow,
    Preview,
    RecorderHealth,
    RecordRequest,
    Session,
    decode,
    encode,
)
from nodes.wire.requests import (
    BoardSeen,
    CalibrationRequest,
    CalibrationState,
    Mark,
    PlayRequest,
    PlayState,
    SystemRequest,
    SystemState,
)


@dataclass(frozen=True)
class Topic:
    """expected_hz: usual rate per source. logged: a recorder keeps it. newest_only: a reader that is late skips."""

    name: str
    message: type[Message]
    expected_hz: float
    logged: bool
    newest_only: bool


TOPICS = (
    Topic("keypoints", Keypoints2D, expected_hz=30.0, logged=True, newest_only=False),
    Topic("pose", Pose3D, expected_hz=30.0, logged=True, newest_only=False),
    Topic("pose_now", PoseNow, expected_hz=30.0, logged=False, newest_only=True),
    Topic("expected", Expected, expected_hz=30.0, logged=False, newest_only=True),
    Topic("camera_health", CameraHealth, expected_hz=4.0, logged=True, newest_only=False),
    Topic("fusion_health", FusionHealth, expected_hz=5.0, logged=True, newest_only=False),
    Topic("session", Session, expected_hz=2.0, logged=True, newest_only=True),
    Topic("about", About, expected_hz=1.0, logged=False, newest_only=True),
    Topic("record_request", RecordRequest, expected_hz=0.0, logged=False, newest_only=False),
    Topic("recorder_health", RecorderHealth, expected_hz=2.0, logged=False, newest_only=True),
    Topic("preview", Preview, expected_hz=5.0, logged=False, newest_only=True),
    Topic("mark", Mark, expected_hz=0.0, logged=True, newest_only=False),
    Topic("play_request", PlayRequest, expected_hz=0.0, logged=False, newest_only=False),
    Topic("play_state", PlayState, expected_hz=10.0, logged=False, newest_only=True),
    Topic("board_seen", BoardSeen, expected_hz=8.0, logged=False, newest_only=False),
    Topic("calibration_request", CalibrationRequest, expected_hz=0.0, logged=False, newest_only=False),
    Topic("calibration_state", CalibrationState, expected_hz=4.0, logged=False, newest_only=True),
    Topic("system_request", SystemRequest, expected_hz=0.0, logged=False, newest_only=False),
    Topic("system_state", SystemState, expected_hz=2.0, logged=False, newest_only=True),
)
BY_NAME = {topic.name: topic for topic in TOPICS}
BY_MESSAGE = {topic.message: topic for topic in TOPICS}


def prefix(kind: type[Message], source: str = "") -> bytes:
    """What to subscribe to for one kind of message, of one source or (default) of all."""
    return f"{BY_MESSAGE[kind].name}/{source}".encode() + (b"\0" if source else b"")


def envelope(message: Message) -> bytes:
    """The bytes on the wire. Raises WireError when the message cannot be one."""
    body = encode(message)
    if "\0" in message.source:
        raise WireError(f"source {message.source!r} holds a zero byte, which ends the topic: choose another name")
    return prefix(type(message), message.source) + body


def open_envelope(data: bytes) -> Message:
    """The message in bytes off the wire. Raises WireError when they are not one of ours."""
    head, separator, body = data.partition(b"\0")
    name, _, source = head.partition(b"/")
    topic = BY_NAME.get(name.decode("ascii", "replace"))
    if not separator or topic is None:
        raise WireError(f"a message on unknown topic {head[:60]!r}; topics are {', '.join(BY_NAME)}")
    message = decode(topic.message, body)
    if message.source.encode() != source:
        raise WireError(f"a message on topic {head[:60]!r} says that it comes from {message.source!r}")
    return message
