"""What a take tells of its cameras: rates, losses, and why fusion went without one. Bounded memory."""

import re
from dataclasses import dataclass, field

from nodes.report.timeline import Timeline
from nodes.wire.messages import CameraHealth, FusionHealth, Pose3D

MOST_WORDS = 30  # different notes or reasons kept of one camera


class Words:
    """Texts and how often each was said; those that differ in numbers only count as one."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, int]] = {}

    def add(self, text: str) -> None:
        key = re.sub(r"\d+([.,]\d+)*", "#", text)
        first, count = self._said.get(key, (text, 0))
        if count or len(self._said) < MOST_WORDS:
            self._said[key] = (first, count + 1)

    def most_said(self) -> list[tuple[str, int]]:
        """The first wording of each, with its count, the most said first."""
        return sorted(self._said.values(), key=lambda said: -said[1])


class Counter:
    """Steps of a count that begins again when its process does."""

    def __init__(self) -> None:
        self._last: int | None = None
        self.total = 0

    def step(self, count: int) -> int:
        """How much more than when last asked; the first time, how much there is."""
        more = count - (self._last or 0)
        more = count if more < 0 else more
        self._last = count
        self.total += more
        return more


@dataclass
class CameraSeen:
    """One camera. rate: sum of fps and how many told; lost: dropped and late; used: ticks with it and all ticks."""

    rate: Timeline = field(default_factory=lambda: Timeline(2))
    lost: Timeline = field(default_factory=lambda: Timeline(2))
    used: Timeline = field(default_factory=lambda: Timeline(2))
    frames: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    late: Counter = field(default_factory=Counter)
    reconnects: Counter = field(default_factory=Counter)
    video_frames: Counter = field(default_factory=Counter)
    video_dropped: Counter = field(default_factory=Counter)
    notes: Words = field(default_factory=Words)
    reasons: Words = field(default_factory=Words)
    ticks: int = 0
    left_out: int = 0


class CamerasSeen:
    """Takes in health and poses one by one."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.cameras = {name: CameraSeen() for name in names}
        self.fusion_notes = Words()

    def add_health(self, at_s: float, health: CameraHealth) -> None:
        """A camera about itself."""
        seen = self.cameras.get(health.source)
        if seen is None:
            return
        if health.state == "streaming" and health.fps == health.fps:  # not NaN
            seen.rate.add(at_s, (health.fps, 1))
        seen.frames.step(health.frames)
        seen.reconnects.step(health.reconnects)
        seen.video_frames.step(health.video_frames)
        seen.video_dropped.step(health.video_dropped)
        seen.lost.add(at_s, (seen.dropped.step(health.dropped), 0))
        if health.note:
            seen.notes.add(health.note)

    def add_fusion(self, at_s: float, health: FusionHealth) -> None:
        """Fusion about its cameras."""
        for name, told in health.cameras.items():
            seen = self.cameras.get(name)
            if seen is not None:
                seen.lost.add(at_s, (0, seen.late.step(told.late)))
        for note in health.notes:
            self.fusion_notes.add(note)

    def add_pose(self, at_s: float, pose: Pose3D) -> None:
        """Whom fusion went without."""
        for name in pose.cameras:
            seen = self.cameras.get(name)
            if seen is None:
                continue
            reason = pose.left_out.get(name, "")
            seen.ticks += 1
            seen.used.add(at_s, (not reason, 1))
            if reason:
                seen.left_out += 1
                seen.reasons.add(reason)
