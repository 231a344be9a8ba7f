"""The newest keypoints of each camera, decoded only when somebody looks at them.

Sixteen cameras at 60 Hz make a thousand messages a second, of which the page draws a few dozen.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from nodes.wire.errors import WireError
from nodes.wire.messages import Keypoints2D
from nodes.wire.topics import open_envelope

KEPT = 16  # of each camera; a preview belongs to one of the last few
NEAR_NS = 120_000_000  # keypoints farther from a picture in time are not drawn into it


@dataclass
class _Heard:
    """One message; decoded at the first look. None where it cannot be."""

    raw: bytes
    message: Keypoints2D | None = None

    def read(self) -> Keypoints2D | None:
        if self.message is None and self.raw:
            message = open_envelope(self.raw)
            self.raw = b""
            self.message = message if isinstance(message, Keypoints2D) else None
        return self.message


@dataclass
class NewestKeypoints:
    """By camera. What cannot be decoded is passed over; on_refusal is told why."""

    on_refusal: Callable[[str], None] = lambda _: None
    _heard: dict[str, deque[_Heard]] = field(default_factory=dict)

    def hear(self, camera: str, raw: bytes) -> None:
        """Take in an envelope as it came."""
        self._heard.setdefault(camera, deque(maxlen=KEPT)).append(_Heard(raw))

    def put(self, keypoints: Keypoints2D) -> None:
        self._heard.setdefault(keypoints.source, deque(maxlen=KEPT)).append(_Heard(b"", keypoints))

    def newest(self, camera: str) -> Keypoints2D | None:
        """The last ones that can be read; None without any."""
        readable = filter(None, map(self._read, reversed(self._heard.get(camera, ()))))
        return next(readable, None)

    def near(self, camera: str, captured_ns: int) -> Keypoints2D | None:
        """Those of the frame taken at captured_ns, else of the one nearest in time; None when all are far from it."""
        nearest: Keypoints2D | None = None
        for heard in reversed(self._heard.get(camera, ())):
            keypoints = self._read(heard)
            if keypoints is None:
                continue
            if nearest is not None and _apart(keypoints, captured_ns) > _apart(nearest, captured_ns):
                break
            nearest = keypoints
            if keypoints.captured_ns == captured_ns:
                break
        return nearest if nearest is not None and _apart(nearest, captured_ns) < NEAR_NS else None

    def _read(self, heard: _Heard) -> Keypoints2D | None:
        try:
            return heard.read()
        except WireError as error:
            heard.raw = b""
            self.on_refusal(str(error))
            return None


def _apart(keypoints: Keypoints2D, captured_ns: int) -> int:
    return abs(keypoints.captured_ns - captured_ns)
