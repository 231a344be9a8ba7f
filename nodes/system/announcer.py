"""What whoever runs the system says on the bus: time zero, what the system is made with, and how its processes are."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nodes.system.status_table import Screen
from nodes.system.steering import Steering
from nodes.watching.monitor import Status
from nodes.wire.bus import Publisher
from nodes.wire.messages import RecordRequest, Session
from nodes.wire.requests import ProcessState, SystemState

SOURCE = "run_system"
SESSION_PERIOD_NS = 500_000_000
ABOUT_PERIOD_NS = 1_000_000_000
STATE_PERIOD_NS = 500_000_000
LINES_KEPT = 40
LONGEST_LINE = 400  # characters
LONGEST_NOTE = 1000


class KeptLines:
    """A screen that also remembers the last lines said, for those who watch from elsewhere."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)

    def say(self, name: str, line: str) -> None:
        self.lines.append(_sendable(f"{name}: {line}")[:LONGEST_LINE])
        self._screen.say(name, line)

    def show(self, status: Status, seconds: float) -> None:
        self._screen.show(status, seconds)


class Announcer:
    """Says each of it when it is due, or when it has changed. Times are monotonic nanoseconds, but for start_ns."""

    def __init__(self, bus: Publisher, steering: Steering, kept: KeptLines) -> None:
        self._bus = bus
        self._steering = steering
        self._kept = kept
        self._said_ns: dict[str, int] = {}
        self._seq: Counter[str] = Counter()
        self._state: tuple[Any, ...] = ()
        self._about_text = ""

    def say_session(self, start_ns: int | None, now_ns: int) -> None:
        """start_ns: the session's time zero on the wall clock; None before."""
        if start_ns is not None and self._is_due("session", SESSION_PERIOD_NS, now_ns):
            self._bus.send(Session(**self._stamps("session"), start_ns=start_ns))

    def say_about(self, now_ns: int) -> None:
        """Anew at once when other settings are in force, so that recorder and page know."""
        about = self._steering.about
        changed = about.config_yaml + about.rig_text != self._about_text
        if self._is_due("about", ABOUT_PERIOD_NS, now_ns, changed):
            self._about_text = about.config_yaml + about.rig_text
            self._bus.send(replace(about, **self._stamps("about")))

    def say_state(self, processes: Mapping[str, ProcessState], start_ns: int | None, now_ns: int) -> None:
        """How the processes are, the settings in force and what was said last."""
        config = self._steering.config
        facts: dict[str, Any] = {
            "processes": dict(processes),
            "began_ns": start_ns or 0,
            "fuses": not config.keypoints_only,
            "lift": config.fusion.lift,
            "smoothing": config.fusion.smoothing.kind,
            "calibration": _sendable(self._steering.calibration),
            "config": _sendable(self._steering.config_file),
            "said": tuple(self._kept.lines),
            "note": _sendable(self._steering.note)[:LONGEST_NOTE],
        }
        words = {name: (state.state, state.restarts) for name, state in processes.items()}
        state = (words, *(value for name, value in facts.items() if name != "processes"))
        if self._is_due("state", STATE_PERIOD_NS, now_ns, changed=state != self._state):
            self._state = state
            self._bus.send(SystemState(**self._stamps("state"), **facts))

    def ask_to_record(self, name: str, video: bool) -> None:
        """A recorder that was started again is asked to go on."""
        self._bus.send(RecordRequest(**self._stamps("record"), action="start", name=name, video=video))

    def _is_due(self, what: str, period_ns: int, now_ns: int, changed: bool = False) -> bool:
        if not changed and now_ns - self._said_ns.get(what, -period_ns) < period_ns:
            return False
        self._said_ns[what] = now_ns
        return True

    def _stamps(self, what: str) -> dict[str, Any]:
        """published_ns is set on sending."""
        self._seq[what] += 1
        return {"captured_ns": time.time_ns(), "published_ns": 0, "source": SOURCE, "seq": self._seq[what]}


def _sendable(text: str) -> str:
    """File names may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")
