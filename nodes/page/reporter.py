"""Keeps `Seen.judged` and `Seen.told` up to date, a few times a second, also while nobody looks at the page. Pure."""

from nodes.page.judged import Judged
from nodes.page.seen import Seen
from nodes.watching.events import Events, Look
from nodes.watching.verdict import Verdict, of_cameras, of_system, told_s
from nodes.watching.words import Level

EVERY_NS = 200_000_000
GONE_S = 3.0  # without a word from anybody: the system is no more


class Reporter:
    """`turn` as often as one likes."""

    def __init__(self) -> None:
        self._events = Events()
        self._due_ns = 0

    def turn(self, seen: Seen, now_ns: int, wall_ns: int) -> None:
        """Judge, and tell what happened. now_ns: monotonic."""
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + EVERY_NS
        judged = seen.judged = judge(seen, now_ns)
        marks, seen.marks = seen.marks, []
        monitor = seen.monitor
        look = Look(
            heard=judged.heard,
            hub=seen.hub,
            cameras=judged.cameras,
            moved={name: monitor.movement(name) for name in monitor.moved()},
            fusion_state=judged.status.fusion_state,
            recorder=seen.recorder,
            system=seen.system,
            calibration=seen.calibration,
            play=judged.status.play,
            marks=[mark.text for mark in marks],
            undecodable=seen.undecodable,
            refusal=seen.refusal,
        )
        seen.told.extend(self._events.take(look, now_ns, wall_ns))


def judge(seen: Seen, now_ns: int) -> Judged:
    """How all goes."""
    status = seen.monitor.status(now_ns)
    cameras = of_cameras(status)
    heard = _heard(seen, now_ns)
    return Judged(_of_page(seen, heard, now_ns) or of_system(status, cameras), cameras, status, heard)


def _of_page(seen: Seen, heard: bool | None, now_ns: int) -> Verdict | None:
    """What keeps the page from knowing more."""
    if heard is None:
        if seen.undecodable:
            return Verdict(Level.BAD, "unreadable", f"A system at {seen.hub} cannot be understood: {seen.refusal}")
        return Verdict(Level.CALM, "waiting", f"Waiting for a system at {seen.hub}")
    if not heard:
        since = told_s((now_ns - max(seen.arrived_ns.values())) * 1e-9)
        return Verdict(Level.BAD, "gone", f"The system at {seen.hub} has said nothing for {since}: it was ended")
    if seen.trouble:
        return Verdict(Level.BAD, "trouble", seen.trouble[:1].upper() + seen.trouble[1:])
    if seen.config is None:
        return Verdict(Level.WARN, "starting", "The system speaks, and has not said yet what it consists of")
    return None


def _heard(seen: Seen, now_ns: int) -> bool | None:
    """Whether the system speaks; None: it never did."""
    return now_ns - max(seen.arrived_ns.values()) < GONE_S * 1e9 if seen.arrived_ns else None
