"""What playing a recording takes: times moved, the right beginning, and no more on the way than fusion takes. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from nodes.sessions.logged import Logged
from nodes.sessions.reader import SessionReader
from nodes.wire.codec import pack, unpack
from nodes.wire.errors import WireError
from nodes.wire.messages import TIME_NS, FusionHealth, Keypoints2D

MOST_UNDER_WAY = 500  # messages; queues hold 2000
RECORDER_TURN_NS = 50_000_000
SILENT_S = 2.0  # fusion speaks five times a second
LOOK_FOR_BEGINNING_S = 120.0  # fusion says what it began with in its first word after that


@dataclass
class Flow:
    """How many messages were sent that fusion has not taken in. Times are monotonic seconds, and arguments."""

    sent: int = 0
    taken: int = 0
    _base: int = 0  # sent when fusion's count was zero
    _seq: int = -1
    _heard_s: float = float("-inf")

    def heard(self, seq: int, taken: int, now_s: float) -> None:
        """Fusion says, in its message `seq`, how many it has taken in since it was started."""
        if seq <= self._seq:  # started again: what was under way is lost
            self._base = self.sent - taken
        self._seq, self.taken, self._heard_s = seq, taken, now_s

    def is_ahead(self, now_s: float) -> bool:
        """Whether to wait: enough is under way, and fusion lives."""
        return self.sent - self._base - self.taken > MOST_UNDER_WAY and now_s - self._heard_s < SILENT_S


@dataclass
class Pace:
    """When messages came, better than log times tell, which are those of a recorder's turns: bursts."""

    _least_ns: dict[str, int] = field(default_factory=dict)  # by source: the shortest way, and the offset of its clock

    def came_ns(self, logged: Logged) -> int:
        """When a message came: at its log time, or a turn of the recorder before it at most."""
        way_ns = logged.log_ns - logged.publish_ns
        least_ns = self._least_ns[logged.source] = min(way_ns, self._least_ns.get(logged.source, way_ns))
        return max(logged.publish_ns + least_ns, logged.log_ns - RECORDER_TURN_NS)


def shifted(logged: Logged, shift_ns: int, source: str | None = None) -> bytes:
    """A message with all its times moved, and nothing else changed. Raises WireError when it is none.

    source: it is said to come from there.
    """
    if shift_ns == 0 and source is None:
        return logged.data
    raw = unpack(logged.data)
    if source is not None:
        raw["source"] = source
    kind: Any = logged.kind
    for name in _times(kind):
        if raw.get(name, 0) != 0:  # 0 says: never
            if type(raw[name]) is not int:
                raise WireError(f"{logged.topic}: {name} is no time")
            raw[name] += shift_ns
    return pack(raw)


def began_with(session: SessionReader, records: Iterable[Logged]) -> Iterator[Logged]:
    """The records from the keypoints on that fusion began with, where the recording tells and holds them; else all.

    Cameras may have spoken before fusion listened, and ticks stand on a grid from the first frame on.
    """
    source, captured_ns = beginning(session)
    if not source:
        yield from records
        return
    skipped, records = [], iter(records)
    for logged in records:
        if logged.kind is Keypoints2D and logged.source == source:
            at_ns = _captured_ns(logged)
            if at_ns == captured_ns:
                yield logged
                break
            if at_ns > captured_ns:  # the recording began after fusion
                skipped.append(logged)
                yield from skipped
                break
        skipped.append(logged)
    else:  # that camera does not speak in it
        yield from skipped
    yield from records


def beginning(session: SessionReader) -> tuple[str, int]:
    """Camera and captured_ns of the first keypoints that fusion took in, as it said; "" where it did not."""
    for health in session.messages(FusionHealth, to_s=LOOK_FOR_BEGINNING_S):
        if health.began_source:
            return health.began_source, health.began_ns
    return "", 0


def has_beginning(session: SessionReader) -> bool:
    """Whether it holds what fusion began with: then the same can be fused again, to the last digit."""
    source, captured_ns = beginning(session)
    frames_ns = (_captured_ns(logged) for logged in session.logged(Keypoints2D) if logged.source == source)
    reached = next((at_ns for at_ns in frames_ns if at_ns >= captured_ns), None)
    return bool(source) and reached == captured_ns


def _captured_ns(logged: Logged) -> int:
    """Of a message; -1 of what is none."""
    try:
        return logged.message().captured_ns
    except WireError:
        return -1


@cache
def _times(message: Any) -> tuple[str, ...]:
    """Names of a message's fields that are instants; `Any`, as mypy takes a class for unhashable here."""
    return tuple(f.name for f in fields(message) if f.metadata.get("kind") is TIME_NS)
