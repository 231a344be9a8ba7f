"""What happened, in plain words, by what has changed between two looks at a running system. Pure.

Looks are taken a few times a second, by whoever watches. Nobody is told the same again and again: what comes and goes
is told a few times, and then that it does.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nodes.watching.verdict import ALL_WELL, GOOD, Verdict, counted, of_several, told_s
from nodes.watching.words import Level
from nodes.wire.messages import RecorderHealth
from nodes.wire.requests import CalibrationState, PlayState, SystemState

PATIENCE_S = {GOOD: 0.5, "left out": 2.0, "off": 2.0, "note": 0.5}  # so long it must last to be told; else at once
UNTOLD = ("starting", "ready", "paused")  # on the way to something else
GONE = ("no frames", "silent", "restarting", "reconnecting")
SAYINGS = 5  # about one subject in a row; …
SAYING_EVERY_S = 20.0  # … and one more after so long each


@dataclass(frozen=True)
class Told:
    """Something that happened, in plain words. at_ns: wall clock."""

    at_ns: int
    level: Level
    words: str


@dataclass(frozen=True)
class Look:
    """A running system as it is now. heard: it speaks; None: it never did. moved: camera → `left moved at 12:04:05 …`.

    marks: those made since the last look. undecodable, refusal: messages that could not be read, and why the last one.
    """

    heard: bool | None = None
    hub: str = ""
    cameras: dict[str, Verdict] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    fusion_state: str = ""
    recorder: RecorderHealth | None = None
    system: SystemState | None = None
    calibration: CalibrationState | None = None
    play: PlayState | None = None
    marks: Sequence[str] = ()
    undecodable: int = 0
    refusal: str = ""


@dataclass(frozen=True)
class Saying:
    """subject: what it is about; nobody wants to hear too much about one."""

    subject: str
    level: Level
    words: str


class Events:
    """Asked again and again with a new look."""

    def __init__(self) -> None:
        self._before = Look()
        self._cameras: dict[str, _CameraNews] = defaultdict(_CameraNews)
        self._patience: dict[str, _Patience] = defaultdict(_Patience)

    def take(self, look: Look, now_ns: int, wall_ns: int) -> list[Told]:
        """What has happened since the last look. now_ns: monotonic."""
        if not look.cameras and look.heard:
            look = replace(look, heard=self._before.heard)  # it has not said yet what it consists of
        now_s, before, self._before = now_ns * 1e-9, self._before, look
        said = [*_connection(before, look)]
        if look.heard:
            said += [*self._of_cameras(look, now_s), *_fusion(before, look), *_processes(before, look)]
            said += [*_moved(before, look), *_recording(before.recorder, look.recorder), *_settings(before, look)]
            said += [*_calibration(before, look), *_play(before, look)]
            said += [Saying("mark", Level.CALM, f"marked: {text}" if text else "marked") for text in look.marks]
        said += _undecodable(before, look)
        allowed = [kept for saying in said if (kept := self._patience[saying.subject].allows(saying, now_s))]
        return [Told(wall_ns, saying.level, saying.words) for saying in allowed]

    def _of_cameras(self, look: Look, now_s: float) -> Iterator[Saying]:
        """Cameras to which the same happens at once are told of together."""
        news: dict[str, dict[str, Verdict]] = defaultdict(dict)
        for name, verdict in look.cameras.items():
            if told := self._cameras[name].take(verdict, now_s):
                news[told.kind][name] = told
        for group in news.values():
            names, first = list(group), next(iter(group.values()))
            subject = names[0] if len(names) == 1 else "cameras"
            yield Saying(subject, first.level, of_several(names, len(look.cameras), first))
        for name in self._cameras.keys() - look.cameras.keys():
            del self._cameras[name]


@dataclass
class _CameraNews:
    """What was told of one camera, and what it is like since when."""

    told: Verdict = ALL_WELL
    kind: str = GOOD
    since_s: float = float("-inf")
    gone_s: float | None = None

    def take(self, verdict: Verdict, now_s: float) -> Verdict | None:
        """What is to be told now."""
        if verdict.kind != self.kind:
            self.kind, self.since_s = verdict.kind, now_s
        if verdict.kind == self.told.kind or verdict.kind in UNTOLD:
            return None
        if now_s - self.since_s < PATIENCE_S.get(verdict.kind, 0.0):
            return None
        before, self.told = self.told, verdict
        if before.kind in GONE and verdict.kind in ("no frames", "silent"):
            return None  # nothing new
        if verdict.kind in GONE and self.gone_s is None:
            self.gone_s = now_s
        if verdict.level is not Level.GOOD:
            return verdict
        if self.gone_s is not None:
            back = Verdict(Level.GOOD, "back", f"back after {told_s(self.since_s - self.gone_s)}")
            self.gone_s = None
            return back
        return Verdict(Level.GOOD, "well", "well again") if before.level is not Level.GOOD else None


@dataclass
class _Patience:
    """How much more one subject may say."""

    left: float = SAYINGS
    at_s: float = 0.0
    hushed: bool = False

    def allows(self, saying: Saying, now_s: float) -> Saying | None:
        self.left = min(SAYINGS, self.left + (now_s - self.at_s) / SAYING_EVERY_S)
        self.at_s = now_s
        if self.left >= 1:
            self.left -= 1
            self.hushed = False
            return saying
        if self.hushed:
            return None
        self.hushed = True
        return Saying(saying.subject, saying.level, f"{saying.words} (comes and goes: not told each time from here on)")


def _connection(before: Look, now: Look) -> Iterator[Saying]:
    if now.heard and not before.heard:
        again = "is back" if before.heard is False else "speaks"
        yield Saying("system", Level.GOOD, f"the system at {now.hub} {again}: {counted(len(now.cameras), 'camera')}")
    elif before.heard and not now.heard:
        yield Saying("system", Level.BAD, f"the system at {now.hub} says nothing any more: it was ended, or its hub")


def _fusion(before: Look, now: Look) -> Iterator[Saying]:
    if not before.heard or before.fusion_state == now.fusion_state:
        return
    if now.fusion_state == "restarting":
        yield Saying("fusion", Level.BAD, "fusion: its process has ended; it starts again by itself")
    elif now.fusion_state == "silent":
        yield Saying("fusion", Level.BAD, "fusion: says nothing any more")
    elif now.fusion_state == "running":
        yield Saying("fusion", Level.GOOD, "fusion: is running")


def _processes(before: Look, now: Look) -> Iterator[Saying]:
    """Of those that are neither cameras nor fusion, which are told of elsewhere; but who refuses is told here."""
    if before.system is None or now.system is None:
        return
    for name, process in now.system.processes.items():
        was = before.system.processes.get(name)
        if was is None or (was.state, was.restarts) == (process.state, process.restarts):
            continue
        if process.state == "refused":
            last = next((line for line in reversed(now.system.said) if line.startswith(f"{name}: ")), f"{name}:")
            yield Saying(name, Level.BAD, f"{last.rstrip('.')}. It is not started again")
        elif name not in now.cameras and name != "fusion" and process.restarts > was.restarts:
            yield Saying(name, Level.WARN, f"{name}: its process has ended; it starts again by itself")


def _moved(before: Look, now: Look) -> Iterator[Saying]:
    for name, words in now.moved.items():
        is_repaired, was_repaired = words.endswith("put right"), before.moved.get(name, "").endswith("put right")
        if name not in before.moved or is_repaired != was_repaired:
            yield Saying(f"{name} moved", Level.GOOD if is_repaired else Level.BAD, words)


def _recording(before: RecorderHealth | None, now: RecorderHealth | None) -> Iterator[Saying]:
    if now is None:
        return
    was, runs = before is not None and before.runs, now.runs
    file = f"recording {Path(now.path).name}"
    if runs and (before is None or not was or before.path != now.path):
        yield Saying("recording", Level.GOOD, f"{file} has begun{', with video' if now.video else ''}")
    if was and not runs:
        yield Saying("recording", Level.BAD if now.state == "failed" else Level.GOOD, _ended(before, now, file))
    elif now.note and before is not None and now.note != before.note:
        yield Saying("recording note", Level.WARN, f"recording: {now.note}")


def _ended(before: RecorderHealth | None, now: RecorderHealth, file: str) -> str:
    if now.state == "idle" and before is not None:
        return f"recording {Path(before.path).name} was cut: the recorder ended; the file opens as it is"
    lost = f", {counted(now.lost, 'message')} lost" if now.lost else ""
    why = f": {now.note}" if now.note else ""
    early = " early" if now.state == "failed" else ""
    return f"{file} ended{early}: {counted(now.messages, 'message')}, {now.bytes / 1e6:.1f} MB{lost}{why}"


def _settings(before: Look, now: Look) -> Iterator[Saying]:
    was, system = before.system, now.system
    if was is None or system is None:
        return
    if was.lift != system.lift:
        yield Saying("lifter", Level.CALM, f"the lifter is switched {'on' if system.lift else 'off'}")
    if was.smoothing != system.smoothing:
        yield Saying("smoothing", Level.CALM, f"smoothing is now {system.smoothing}")
    if was.calibration != system.calibration and system.calibration:
        yield Saying("calibration", Level.CALM, f"calibration {Path(system.calibration).name} is used from now on")
    if system.note and system.note != was.note:
        yield Saying("system note", Level.CALM, system.note)


def _calibration(before: Look, now: Look) -> Iterator[Saying]:
    was, state = before.calibration, now.calibration
    if state is None or was is None or was.state == state.state:
        return
    if state.state == "solved":
        level = {"good": Level.GOOD, "usable": Level.WARN}.get(state.verdict, Level.BAD)
        yield Saying("calibrating", level, f"calibration made: {state.verdict or 'without a verdict'}")
    elif state.state == "failed":
        yield Saying("calibrating", Level.BAD, f"calibration failed{f': {state.note}' if state.note else ''}")


def _play(before: Look, now: Look) -> Iterator[Saying]:
    if now.play is not None and now.play.note and (before.play is None or before.play.note != now.play.note):
        yield Saying("playing", Level.WARN, f"recording {Path(now.play.path).name}: {now.play.note}")


def _undecodable(before: Look, now: Look) -> Iterator[Saying]:
    """The first one, and each tenfold."""
    if now.undecodable and len(str(now.undecodable)) > len(str(before.undecodable or "")):
        what = counted(now.undecodable, "message")
        yield Saying("undecodable", Level.WARN, f"{what} on the bus could not be read, the last one: {now.refusal}")
