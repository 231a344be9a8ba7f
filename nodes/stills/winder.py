"""Messages of a recording around a rising instant, by what they speak of (captured_ns), in constant memory.

Messages stand in a recording in the order in which they came, some later than others. So reading goes on until every
source that speaks at all has spoken of the instant, or was waited for long enough.
"""

from collections import deque
from collections.abc import Callable, Iterator

from nodes.sessions.logged import Logged
from nodes.wire.errors import WireError
from nodes.wire.messages import Keypoints2D, Message, Pose3D

TIMED = (Keypoints2D, Pose3D)  # what is looked for by its own time; of the rest the newest counts
PATIENCE_NS = 1_000_000_000  # a source that has not spoken of an instant so long after another has is silent
STALE_NS = 400_000_000  # what speaks of an instant farther away says nothing about this one
Key = tuple[type[Message], str]


class Winder:
    """Reads logged messages. heard: is told every message and its log time, in order."""

    def __init__(self, logged: Iterator[Logged], heard: Callable[[Message, int], None] | None = None) -> None:
        self._logged = logged
        self._heard = heard
        self._kept: dict[Key, deque[Message]] = {}
        self._newest_ns = 0
        self._log_ns = 0
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether all was read."""
        return self._ended

    def wind(self, at_ns: int) -> None:
        """Go on until everything is known about an instant; not back."""
        while not self._ended and not self._knows(at_ns):
            self._read()
        for kept in self._kept.values():
            while len(kept) > 1 and kept[1].captured_ns <= at_ns:
                kept.popleft()

    def nearest(self, kind: type[Message], source: str, at_ns: int) -> Message | None:
        """What speaks of the time nearest to an instant; None when nothing near does."""
        kept = self._kept.get((kind, source), ())
        best = min(kept, key=lambda message: abs(message.captured_ns - at_ns), default=None)
        return best if best is not None and abs(best.captured_ns - at_ns) <= STALE_NS else None

    def _knows(self, at_ns: int) -> bool:
        if self._newest_ns < at_ns:
            return False
        if self._newest_ns - at_ns > PATIENCE_NS:
            return True
        return all(kept[-1].captured_ns >= at_ns for kept in self._kept.values())

    def _read(self) -> None:
        logged = next(self._logged, None)
        if logged is None:
            self._ended = True
            return
        try:
            message = logged.message()
        except WireError:
            return
        if self._heard is not None:
            self._heard(message, logged.log_ns)
        if type(message) in TIMED:
            self._kept.setdefault((type(message), message.source), deque()).append(message)
            self._newest_ns = max(self._newest_ns, message.captured_ns)
