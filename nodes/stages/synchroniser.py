"""From free-running cameras to ticks: at each tick, every camera's keypoints interpolated to that very instant.

Ticks stand on an even grid from the first frame on. A tick is emitted when every camera worth waiting for has a frame
at or past it, or when the deadline has passed. One that no camera sees yet is passed over only when none can see it any
more, or a camera that comes back would carry the grid away from others that are merely held up. Nearest-frame grouping,
the usual way, is several times worse at walking speed (benchmarks/subframe.py).
Pure: what it does depends on the messages, their stamps and their order alone.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from configs.schema import Synchroniser as Settings
from nodes.stages.arrivals import Arrivals, BusClock
from nodes.stages.between import between
from nodes.wire.messages import Keypoints2D

F32 = npt.NDArray[np.float32]

SAME_INSTANT_NS = 500_000  # a frame this near a tick stands for it: 1 mm at 2 m/s
MAX_AGE_NS = 2_000_000_000  # live frames older than this on arrival help nobody
MAX_HISTORY = 600  # frames kept per camera while others are waited for
SKEW_GAIN = 1 / 8
NEVER_NS = 2**62  # the tick after the last given one


@dataclass(frozen=True)
class View:
    """One camera at one tick. keypoints_px: (P, J, 2), NaN where absent; confidence: (P, J); asked_ids: as detected."""

    keypoints_px: F32
    confidence: F32
    size_wh: tuple[int, ...]
    asked_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tick:
    """All cameras at one instant. left_out: camera → why it gave nothing. completed_by: the frame that came last."""

    captured_ns: int
    views: dict[str, View]
    left_out: dict[str, str]
    completed_by: Keypoints2D


@dataclass
class CameraInbox:
    """What is kept of one camera: its rhythm, its frames from the last tick on, its skew behind the newest camera."""

    arrivals: Arrivals = field(default_factory=Arrivals)
    frames: deque[Keypoints2D] = field(default_factory=lambda: deque(maxlen=MAX_HISTORY))
    arrived_ns: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_HISTORY))  # of each frame, bus's clock
    ended: bool = False
    skew_ns: float = 0.0

    def reaches(self, instant_ns: int) -> bool:
        """Whether it has a frame at or past the instant."""
        return bool(self.frames) and self.frames[-1].captured_ns >= instant_ns - SAME_INSTANT_NS

    def keep(self, frame: Keypoints2D, bus_ns: int) -> None:
        """Take in a frame that arrived when the bus's clock showed bus_ns."""
        self.arrivals.arrived(bus_ns)
        self.frames.append(frame)
        self.arrived_ns.append(bus_ns)
        self.ended = False

    def reached_ns(self, instant_ns: int) -> int | None:
        """When its first frame at or past the instant arrived, by the bus's clock; None when there is none."""
        for frame, arrived_ns in zip(self.frames, self.arrived_ns, strict=True):
            if frame.captured_ns >= instant_ns - SAME_INSTANT_NS:
                return arrived_ns
        return None

    def forget_before(self, instant_ns: int) -> None:
        """Drop frames that no tick from the instant on can need."""
        while len(self.frames) > 1 and self.frames[1].captured_ns <= instant_ns:
            self.frames.popleft()
            self.arrived_ns.popleft()

    def begin_anew(self) -> None:
        """Forget frames and rhythm: what comes stands on another time axis."""
        self.frames.clear()
        self.arrived_ns.clear()
        self.arrivals.last_ns = None


@dataclass(frozen=True)
class Instants:
    """Where ticks may stand: `given_ns` in rising order, or, without any, every period_ns from the first frame on."""

    period_ns: int
    given_ns: tuple[int, ...] = ()

    def first(self, frame_ns: int) -> int:
        """The first tick of a stream that begins with a frame of frame_ns."""
        return self._given_from(frame_ns - SAME_INSTANT_NS) if self.given_ns else frame_ns

    def after(self, tick_ns: int) -> int:
        """The tick after one."""
        return self._given_from(tick_ns + 1) if self.given_ns else tick_ns + self.period_ns

    def from_frame(self, tick_ns: int, frame_ns: int) -> int:
        """The first tick, from tick_ns on, that is no earlier than a frame."""
        if self.given_ns:
            return self._given_from(max(tick_ns, frame_ns - SAME_INSTANT_NS))
        return tick_ns - (tick_ns - frame_ns) // self.period_ns * self.period_ns

    def _given_from(self, instant_ns: int) -> int:
        index = bisect_left(self.given_ns, instant_ns)
        return self.given_ns[index] if index < len(self.given_ns) else NEVER_NS


class Synchroniser:
    """Push frames in, take ticks out."""

    def __init__(self, cameras: tuple[str, ...], settings: Settings, ticks_ns: Sequence[int] = ()) -> None:
        """ticks_ns: instants to make ticks at, in rising order, in place of the even grid."""
        self.inboxes = {name: CameraInbox() for name in cameras}
        self.clock = BusClock()
        self._instants = Instants(round(1e9 / settings.rate_hz), tuple(ticks_ns))
        self._deadline_ns = None if settings.deadline_ms is None else round(settings.deadline_ms * 1e6)
        self._max_gap_ns = round(settings.max_gap_ms * 1e6)
        self._next_ns: int | None = None
        self._newest_ns = 0

    def push(self, frame: Keypoints2D) -> list[Tick]:
        """Take in a frame of one of the cameras; the ticks that it completed, in order."""
        inbox = self.inboxes[frame.source]
        refusal = self._refusal(inbox, frame)
        if refusal:
            inbox.arrivals.reject(refusal)
            return []
        inbox.keep(frame, self.clock.now_ns)
        if self._next_ns is None:
            self._next_ns = self._instants.first(frame.captured_ns)
        elif frame.captured_ns <= self._next_ns - self._instants.period_ns:
            inbox.arrivals.late += 1
        self._newest_ns = max(self._newest_ns, frame.captured_ns)
        inbox.skew_ns += SKEW_GAIN * (self._newest_ns - frame.captured_ns - inbox.skew_ns)
        return self._completed(frame)

    def end(self, camera: str) -> list[Tick]:
        """The camera's recording is over: it is not waited for any more."""
        self.inboxes[camera].ended = True
        newest = [inbox.frames[-1] for inbox in self.inboxes.values() if inbox.frames]
        return self._completed(max(newest, key=lambda frame: frame.published_ns)) if newest else []

    def _refusal(self, inbox: CameraInbox, frame: Keypoints2D) -> str:
        """Why a frame cannot be used; empty when it can."""
        if self._deadline_ns is None:  # a recording may be as old as it likes
            self.clock.now_ns = max(self.clock.now_ns, frame.published_ns)
        else:
            restarts = self.clock.restarts
            if not self.clock.believes(frame.source, frame.published_ns):
                return "its clock is off the others'"
            if self.clock.restarts != restarts:
                self._begin_anew()
            if frame.captured_ns > self.clock.now_ns + BusClock.MAX_STEP_NS:
                return "captured in the future"
            if self.clock.now_ns - frame.captured_ns > MAX_AGE_NS:
                return "more than 2 s old"
        if inbox.frames and frame.captured_ns <= inbox.frames[-1].captured_ns:
            return "not newer than the frame before"
        return ""

    def _begin_anew(self) -> None:
        for inbox in self.inboxes.values():
            inbox.begin_anew()
        self._next_ns = None
        self._newest_ns = 0

    def _completed(self, latest: Keypoints2D) -> list[Tick]:
        ticks = []
        while self._next_ns is not None and self._is_complete(self._next_ns):
            oldest_ns = min(inbox.frames[0].captured_ns for inbox in self.inboxes.values() if inbox.frames)
            if oldest_ns > self._next_ns + SAME_INSTANT_NS:  # an outage of all: no tick before there is a frame again
                self._next_ns = self._instants.from_frame(self._next_ns, oldest_ns)
                continue
            tick = self._tick(self._next_ns, latest)
            if tick.views:
                ticks.append(tick)
            elif self._may_yet_be_seen(self._next_ns):
                break
            self._next_ns = self._instants.after(self._next_ns)
            for inbox in self.inboxes.values():
                inbox.forget_before(self._next_ns)
        return ticks

    def _is_complete(self, instant_ns: int) -> bool:
        """One camera has a frame at or past the instant, and no other is worth waiting for."""
        behind = [inbox for inbox in self.inboxes.values() if not inbox.reaches(instant_ns)]
        if len(behind) == len(self.inboxes):
            return False
        return not any(self._is_waited_for(inbox) for inbox in behind) or self._is_overdue(instant_ns)

    def _is_waited_for(self, inbox: CameraInbox) -> bool:
        if inbox.ended:
            return False
        return self._deadline_ns is None or inbox.arrivals.is_due(self.clock.now_ns, self._deadline_ns)

    def _may_yet_be_seen(self, instant_ns: int) -> bool:
        """Whether a camera that is behind could still give a view: out of its rhythm, but within the deadline."""
        if self._is_overdue(instant_ns):
            return False
        behind = [inbox for inbox in self.inboxes.values() if not inbox.ended and not inbox.reaches(instant_ns)]
        return any(instant_ns - inbox.frames[-1].captured_ns <= self._max_gap_ns for inbox in behind if inbox.frames)

    def _is_overdue(self, instant_ns: int) -> bool:
        """Whether the first camera passed the instant longer ago than anybody is waited for."""
        if self._deadline_ns is None:
            return False
        reached = [inbox.reached_ns(instant_ns) for inbox in self.inboxes.values()]
        return self.clock.now_ns - min(ns for ns in reached if ns is not None) > self._deadline_ns

    def _tick(self, instant_ns: int, latest: Keypoints2D) -> Tick:
        views: dict[str, View] = {}
        left_out: dict[str, str] = {}
        for name, inbox in self.inboxes.items():
            view = view_at(inbox.frames, instant_ns, self._max_gap_ns)
            if isinstance(view, View):
                views[name] = view
            else:
                left_out[name] = "its recording has ended" if inbox.ended else view
        return Tick(instant_ns, views, left_out, latest)


def view_at(frames: "deque[Keypoints2D] | list[Keypoints2D]", instant_ns: int, max_gap_ns: int) -> View | str:
    """A camera's keypoints at an instant, between the two frames around it; or, in words, why there are none."""
    before = after = None
    for frame in frames:
        if abs(frame.captured_ns - instant_ns) <= SAME_INSTANT_NS:
            return View(frame.keypoints_px, frame.confidence, frame.size_wh, frame.asked_ids)
        if frame.captured_ns < instant_ns:
            before = frame
        elif after is None:
            after = frame
    if before is None:
        return "no frame yet" if after is None else "no frame before this tick"
    if after is None:
        return f"last frame {(instant_ns - before.captured_ns) / 1e6:.0f} ms before this tick"
    if after.captured_ns - before.captured_ns > max_gap_ns:
        return f"frames {(after.captured_ns - before.captured_ns) / 1e6:.0f} ms apart"
    if before.size_wh != after.size_wh:
        return f"picture size changed from {before.size_wh} to {after.size_wh}"
    people = between(before, after, instant_ns)
    return View(people.keypoints_px, people.confidence, before.size_wh, people.asked_ids)
