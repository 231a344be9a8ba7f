"""How a camera and the whole system are doing, as a light and a few words: on the page, in the terminal, in pictures.

Pure. Words stand after a name and a colon: `left: no frames for 2.1 s`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nodes.watching.camera_figures import CameraStatus
from nodes.watching.monitor import Status
from nodes.watching.words import Level
from nodes.wire.requests import PlayState

MISSED_S = 0.7  # without a frame of a camera that delivers is worth a word; …
MISSED_FRAMES = 4  # … or so many of its frames, where it is slower than that
OFF_SHARE = 0.015  # of the picture's width: keypoints so far off what was fused are not of a camera that stands there
LATE_MS = 500.0  # behind what happens, people begin to see it
MOST_NAMES = 3

GOOD = "good"


@dataclass(frozen=True)
class Verdict:
    """kind: what is the matter in a word that stays while it lasts, GOOD when nothing is. words: "" without any."""

    level: Level
    kind: str
    words: str


ALL_WELL = Verdict(Level.GOOD, GOOD, "")
FIXED = {
    "restarting": (Level.BAD, "its process has ended; it starts again by itself"),
    "awaited": (Level.WARN, "its node is started by hand (start: false)"),
    "ready": (Level.CALM, "waits for the session's start"),
    "ended": (Level.CALM, "its recording is over"),
}

OF_SEVERAL = {
    "restarting": "their processes have ended; they start again by themselves",
    "awaited": "their nodes are started by hand (start: false)",
    "ready": "wait for the session's start",
    "starting": "are starting",
    "silent": "have said nothing for a while",
}
OF_ANY_NUMBER = ("no frames", "reconnecting", "paused", "left out", "back", "well")
GO_ON = (GOOD, "left out", "note", "off")


def of_camera(camera: CameraStatus, standing: bool = False) -> Verdict:
    """Of one camera. standing: nothing is delivered, and that is as it should be: a recording that stands still."""
    if standing and camera.state in ("streaming", "silent", "reconnecting"):
        return Verdict(Level.CALM, "paused", "paused")
    if camera.state in FIXED:
        level, words = FIXED[camera.state]
        return Verdict(level, camera.state, words)
    if camera.state == "starting":
        return Verdict(Level.WARN, "starting", camera.note or "is starting")
    if camera.state == "reconnecting":
        is_told = not camera.missing_s > 0 or "no frame" in camera.note
        since = "" if is_told else f"no frames for {told_s(camera.missing_s)}, "
        why = f": {camera.note}" if camera.note else ""
        return Verdict(Level.WARN, "reconnecting", f"{since}reconnecting{why}")
    if camera.state != "streaming":
        return Verdict(Level.BAD, camera.state, camera.note or camera.state)
    return _of_streaming(camera)


def _of_streaming(camera: CameraStatus) -> Verdict:
    told, size_wh = camera.input, camera.health.granted_size_wh if camera.health else (0, 0)
    if camera.missing_s > max(MISSED_S, MISSED_FRAMES / camera.fps if camera.fps > 0 else 0.0):
        return Verdict(Level.BAD, "no frames", f"no frames for {told_s(camera.missing_s)}")
    if told is not None and told.alive and not told.valid:
        return Verdict(Level.BAD, "wrong", told.note or "cannot be used")
    if told is not None and told.reprojection_px > OFF_SHARE * (size_wh[0] or math.inf):
        words = f"what it sees is {told.reprojection_px:.0f} px off what all cameras see together: was it moved?"
        return Verdict(Level.WARN, "off", words)
    if told is not None and not told.alive and told.frames == 0:
        return Verdict(Level.WARN, "starting", told.note or "its first frame is awaited")
    if camera.note:
        return Verdict(Level.WARN, "left out" if camera.note.startswith("left out") else "note", camera.note)
    return ALL_WELL


def of_system(status: Status, cameras: dict[str, Verdict] | None = None) -> Verdict:
    """Of the whole, in one line: the worst first. cameras: their verdicts where they are known already."""
    cameras = of_cameras(status) if cameras is None else cameras
    found = _of_whole(status, cameras)
    return found if status.play is None or found.kind == "fusion" else _of_play(status, status.play, found)


def of_cameras(status: Status) -> dict[str, Verdict]:
    """Of each camera by its name."""
    return {each.name: of_camera(each, status.standing) for each in status.cameras}


def _of_play(status: Status, play: PlayState, found: Verdict) -> Verdict:
    """While a recording is played. found: what is to be said apart from that."""
    name = Path(play.path).name
    if not play.playing:
        return Verdict(Level.CALM, "paused", f"{name} stands at {play.position_s:.1f} of {play.duration_s:.1f} s")
    if found.level is Level.GOOD or found.kind == "paused":  # its cameras are not heard again yet
        return Verdict(Level.GOOD, "playing", f"{name} plays: {figures(status)}")
    return found


def _of_whole(status: Status, cameras: dict[str, Verdict]) -> Verdict:
    if status.fusion_state in ("restarting", "silent"):
        words = {
            "restarting": "fusion: its process has ended; it starts again by itself",
            "silent": "fusion: has said nothing for a while; when it stays silent it is started again",
        }[status.fusion_state]
        return Verdict(Level.BAD, "fusion", words)
    worst = max(cameras.values(), key=lambda verdict: verdict.level, default=ALL_WELL)
    if worst.level is Level.BAD:
        return _of_worst(cameras, worst)
    if status.fusion_state == "starting" and worst.kind not in ("starting", "reconnecting", "awaited"):
        return Verdict(Level.WARN, "fusion", "fusion is starting")
    if worst.level is Level.WARN:
        return _of_worst(cameras, worst)
    if cameras and all(verdict.kind == "ended" for verdict in cameras.values()):
        return Verdict(Level.CALM, "ended", "All recordings are over")
    if worst.kind in ("ready", "paused") and all(verdict.kind == worst.kind for verdict in cameras.values()):
        return Verdict(Level.CALM, worst.kind, worst.words[:1].upper() + worst.words[1:])
    if status.latency_p50_ms > LATE_MS:
        words = f"What you see is {status.latency_p50_ms:.0f} ms old: this machine has more to do than it can take"
        return Verdict(Level.WARN, "late", words)
    return Verdict(Level.GOOD, GOOD, f"All is well: {figures(status)}")


def figures(status: Status) -> str:
    """`4 cameras, 1 person, 30 poses a second, 118 ms behind`."""
    parts = [counted(len(status.cameras), "camera")]
    if status.fusion_state == "off":
        return f"{parts[0]}, no fusion: 2D alone"
    parts.append(counted(status.people, "person", "people") if status.people else "nobody in view")
    parts.append(f"{status.rate_hz:.0f} poses a second")
    if math.isfinite(status.latency_p50_ms):
        parts.append(f"{status.latency_p50_ms:.0f} ms behind")
    return ", ".join(parts)


def _of_worst(cameras: dict[str, Verdict], worst: Verdict) -> Verdict:
    """Of those who share what is worst: named, and how many go on."""
    same = [name for name, verdict in cameras.items() if verdict.kind == worst.kind]
    well = sum(verdict.kind in GO_ON for verdict in cameras.values())
    rest = f". {_rest(well, len(cameras))}" if len(cameras) > 1 and worst.level is Level.BAD else ""
    return Verdict(worst.level, worst.kind, f"{of_several(same, len(cameras), worst)}{rest}")


def of_several(names: Sequence[str], of: int, verdict: Verdict) -> str:
    """Names and what is the matter with them, in a sentence without its full stop; the verdict is the first one's."""
    words = verdict.words.rstrip(".")
    if len(names) == 1:
        return f"{names[0]}: {words}"
    if verdict.kind in OF_ANY_NUMBER:
        return f"{named(names, of)}: {words}"
    if verdict.kind in OF_SEVERAL:
        return f"{named(names, of)}: {OF_SEVERAL[verdict.kind]}"
    return f"{names[0]}: {words} (and {named(names[1:], of)})"


def _rest(well: int, of: int) -> str:
    if well == 0:
        return "No camera is left"
    return f"{well} of {of} cameras go on" if well > 1 else f"1 of {of} cameras goes on"


def named(names: Sequence[str], of: int) -> str:
    """`left`, `left and right`, or `7 cameras` where they are many, `both cameras`, `all 4 cameras`."""
    if len(names) == of > 1:
        return "both cameras" if of == 2 else f"all {of} cameras"
    if len(names) > MOST_NAMES:
        return f"{len(names)} cameras"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def counted(count: int, one: str, several: str = "") -> str:
    """`1 camera`, `4 cameras`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def told_s(seconds: float) -> str:
    """A duration for people: `2.1 s`, `35 s`, `4 min`, `-` when it is not known."""
    if not math.isfinite(seconds):
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
