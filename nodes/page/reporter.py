"""Keeps `Seen.judged` and `Seen.told` up to date, a few times a second, also while nobody looks at the page. Pure."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nodes.page.judged import Judged
from nodes.page.seen import Seen
from nodes.watching.events import Events, Look
from nodes.watching.monitor import FUSION, Status
from nodes.watching.verdict import Verdict, figures, of_camera, of_system, told_s
from nodes.watching.words import Level
from nodes.wire.requests import PlayState, ProcessState, SystemState

EVERY_NS = 200_000_000
GONE_S = 3.0  # without a word from anybody: the system is no more
FRESH_S = 2.0  # what a system said of its processes longer ago says nothing of them now
AGAIN_S = 2.0  # after a recording went on, its cameras have this time to be heard
MOST_LATENCY_MS = 60_000.0  # no system is so late; these are stamps of another time


class Reporter:
    """`turn` as often as one likes."""

    def __init__(self) -> None:
        self._events = Events()
        self._due_ns = 0
        self._stood_ns: int | None = None  # when a recording that is played stood still

    def turn(self, seen: Seen, now_ns: int, wall_ns: int) -> None:
        """Judge, and tell what happened. now_ns: monotonic."""
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + EVERY_NS
        play = _fresh_play(seen, now_ns)
        if play is not None and not play.playing:
            self._stood_ns = now_ns
        judged = judge(seen, now_ns, None if self._stood_ns is None else (now_ns - self._stood_ns) * 1e-9)
        seen.judged = judged
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
            play=play,
            marks=[mark.text for mark in marks],
            undecodable=seen.undecodable,
            refusal=seen.refusal,
        )
        seen.told.extend(self._events.take(look, now_ns, wall_ns))


def judge(seen: Seen, now_ns: int, stood_s: float | None = None) -> Judged:
    """How all goes. stood_s: since a recording that is played stood still, which costs its cameras a moment."""
    processes = _processes(seen, now_ns)
    restarting = {name for name, process in processes.items() if process.state == "restarting"}
    status = seen.monitor.status(now_ns, restarting)
    if FUSION in processes and processes[FUSION].state == "waiting":  # for other settings
        status = replace(status, fusion_state="starting")
    why_not = _no_latency(seen, status)
    if why_not:
        status = replace(status, latency_p50_ms=math.nan, latency_p95_ms=math.nan)
    standing = stood_s is not None and stood_s < AGAIN_S
    if standing and status.fusion_state == "silent":  # where the poses are played, too
        status = replace(status, fusion_state="running")
    cameras = {camera.name: of_camera(camera, standing) for camera in status.cameras}
    heard = _heard(seen, now_ns)
    whole = _of_page(seen, heard, now_ns) or _of_play(seen, status, now_ns) or of_system(status, cameras)
    return Judged(whole, cameras, status, heard, why_not)


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


def _of_play(seen: Seen, status: Status, now_ns: int) -> Verdict | None:
    play = _fresh_play(seen, now_ns)
    if play is None or status.fusion_state in ("restarting", "silent"):
        return None
    name = Path(play.path).name
    if not play.playing:
        return Verdict(Level.CALM, "paused", f"{name} stands at {play.position_s:.1f} of {play.duration_s:.1f} s")
    found = of_system(status)
    return Verdict(Level.GOOD, "playing", f"{name} plays: {figures(status)}") if found.level is Level.GOOD else None


def _heard(seen: Seen, now_ns: int) -> bool | None:
    """Whether the system speaks; None: it never did."""
    return now_ns - max(seen.arrived_ns.values()) < GONE_S * 1e9 if seen.arrived_ns else None


def _fresh_play(seen: Seen, now_ns: int) -> PlayState | None:
    """The player's state, while there is a player."""
    if seen.play is None:
        return None
    arrived_ns = seen.arrived_ns.get((PlayState, seen.play.source), 0)
    return seen.play if now_ns - arrived_ns < GONE_S * 1e9 else None


def _processes(seen: Seen, now_ns: int) -> Mapping[str, ProcessState]:
    """As whoever runs the system says they are now."""
    if seen.system is None:
        return {}
    arrived_ns = seen.arrived_ns.get((SystemState, seen.system.source), 0)
    return seen.system.processes if now_ns - arrived_ns < FRESH_S * 1e9 else {}


def _no_latency(seen: Seen, status: Status) -> str:
    """Why the stamps of the poses tell no latency; "" when they do."""
    play = seen.play
    if play is not None and not play.fuses:
        return "the poses are played as they were recorded"
    if play is not None and play.shift_ns == 0:
        return "the recording is played with its own stamps, which are of another day"
    if play is not None and play.speed != 1.0:
        return "the recording is not played at its own pace"
    if play is not None and not play.timely:
        return "the recording was stopped meanwhile, and its stamps go on from there"
    if not 0 <= status.latency_p50_ms < MOST_LATENCY_MS and not math.isnan(status.latency_p50_ms):
        return "the stamps of the frames are not of this machine's clock"
    return ""
