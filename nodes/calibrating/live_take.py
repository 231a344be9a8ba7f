"""What the cameras of a running system have seen of one board, as their words about it come in. Pure.

Cameras look at the same moments of the common time (`LOOK_PERIOD_NS`), as nearly as their pictures let, but their words
come when they come: a moment is counted when all cameras that speak have told of it, or when it was waited for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calibration.board import CharucoBoard
from calibration.sightings import CameraSightings
from nodes.calibrating.found import Found
from nodes.calibrating.live_progress import USEFUL, Tally
from nodes.wire.requests import LOOK_PERIOD_NS, BoardCoverage, BoardSeen

MOST_LOOKS = 6000  # of one camera: twelve minutes
SAME_MOMENT_NS = LOOK_PERIOD_NS * 4 // 5  # pictures of a slow camera come up to half of its period late
WAITED_NS = 1_500_000_000  # for the words of other cameras about the same moment
QUIET_NS = 2_000_000_000  # a camera that looks speaks eight times a second, a very slow one twice
FIRST_WORD_NS = 5_000_000_000  # it loads what it looks with


@dataclass
class _Moment:
    """captured_ns: of the first word about it; heard_ns: monotonic, when that came. words: by camera."""

    captured_ns: int
    heard_ns: int
    words: dict[str, BoardSeen] = field(default_factory=dict)


@dataclass
class _Camera:
    """looks: captured_ns rising. heard_ns: monotonic, of the last one; None before."""

    size_wh: tuple[int, int] = (1, 1)
    looks: list[BoardSeen] = field(default_factory=list)
    heard_ns: int | None = None
    note: str = ""


class LiveTake:
    """Times `now_ns` are monotonic."""

    def __init__(self, cameras: Sequence[str], board: CharucoBoard, now_ns: int) -> None:
        self.board = board
        self.tally = Tally(tuple(cameras), board.corner_grid)
        self._began_ns = now_ns
        self._of = {name: _Camera() for name in cameras}
        self._open: list[_Moment] = []

    @property
    def is_full(self) -> bool:
        return any(len(camera.looks) >= MOST_LOOKS for camera in self._of.values())

    @property
    def is_empty(self) -> bool:
        return not any(each.useful for each in self.tally.of.values())

    def go_on(self, now_ns: int) -> None:
        """Cameras are asked to look from now on, as after a pause."""
        self._began_ns = now_ns

    def take(self, seen: BoardSeen, now_ns: int) -> None:
        """A camera's word. What cannot be of this take is passed over."""
        camera = self._of.get(seen.source)
        if camera is None or seen.corners_px.shape[0] != self.board.corner_count or self.is_full:
            return
        size_wh = (seen.size_wh[0], seen.size_wh[1])
        if camera.looks and size_wh != camera.size_wh:
            camera.note = f"its pictures are {size_wh[0]}x{size_wh[1]} now, and were {camera.size_wh[0]}x"
            camera.note += f"{camera.size_wh[1]}: begin anew"
            return
        if camera.looks and seen.captured_ns <= camera.looks[-1].captured_ns:
            return
        camera.size_wh, camera.heard_ns = size_wh, now_ns
        camera.looks.append(replace(seen, corners_px=_inside(seen)))
        self.tally.of[seen.source].in_sight = _count(camera.looks[-1])
        self._moment_of(seen, now_ns).words[seen.source] = camera.looks[-1]

    def settle(self, now_ns: int) -> None:
        """Count the moments that are complete."""
        speaking = {name for name, camera in self._of.items() if self._speaks(camera, now_ns)}
        for moment in sorted(self._open, key=lambda moment: moment.captured_ns):
            if speaking <= set(moment.words) or now_ns - moment.heard_ns > WAITED_NS:
                self._open.remove(moment)
                self._count(list(moment.words.values()))
        for name, camera in self._of.items():
            if camera.heard_ns is not None and not self._speaks(camera, now_ns):
                self.tally.of[name].in_sight = 0

    def coverage(self, now_ns: int) -> dict[str, BoardCoverage]:
        """How far it is, for each camera."""
        names = self.tally.cameras
        return {
            name: BoardCoverage(
                useful=self.tally.of[name].useful,
                wanted=USEFUL,
                in_sight=self.tally.of[name].in_sight,
                covered=self.tally.of[name].covered.astype(np.uint8),
                together={other: int(n) for other, n in zip(names, self.tally.together[i], strict=True) if n},
                note=self._note(name, now_ns),
            )
            for i, name in enumerate(names)
        }

    def paused(self) -> dict[str, BoardCoverage]:
        """The same while nobody looks."""
        return {name: replace(each, in_sight=0, note="") for name, each in self.coverage(self._began_ns).items()}

    def sightings(self, last: int | None = None, since_ns: int = 0) -> tuple[CameraSightings, ...]:
        """What was seen, for the solver; times since `first_ns`. last: looks of each camera, all without it; since_ns:
        only of cameras that have spoken since then."""
        spoke = {name for name, camera in self._of.items() if (camera.heard_ns or 0) >= since_ns}
        return tuple(
            self._sightings(name, camera, camera.looks if last is None else camera.looks[-last:])
            for name, camera in self._of.items()
            if name in spoke
        )

    def _sightings(self, name: str, camera: _Camera, looks: Sequence[BoardSeen]) -> CameraSightings:
        corners_px = np.array([seen.corners_px for seen in looks], np.float64)
        return CameraSightings(
            camera=name,
            size_wh=camera.size_wh,
            captured_s=np.array([(seen.captured_ns - self.first_ns) / 1e9 for seen in looks]),
            frame=np.array([seen.frame_id for seen in looks], np.int64),
            corners_px=corners_px.reshape(-1, self.board.corner_count, 2),
            mirrored=np.array([seen.mirrored for seen in looks], bool),
            sync=np.full(len(looks), -1, np.int64),
        )

    @property
    def first_ns(self) -> int:
        """Capture of the first look; 0 without one."""
        return min((camera.looks[0].captured_ns for camera in self._of.values() if camera.looks), default=0)

    def restore(self, sightings: Sequence[CameraSightings], first_ns: int) -> None:
        """Take in what a former life of this take has kept."""
        words: list[BoardSeen] = []
        now_ns = self._began_ns
        for each in sightings:
            words += [
                BoardSeen(
                    captured_ns=first_ns + round(float(s) * 1e9),
                    published_ns=0,
                    source=each.camera,
                    seq=i,
                    size_wh=each.size_wh,
                    corners_px=px.astype(np.float32),
                    mirrored=bool(mirrored),
                    frame_id=max(0, int(frame)),
                )
                for i, (s, px, mirrored, frame) in enumerate(
                    zip(each.captured_s, each.corners_px, each.mirrored, each.frame, strict=True)
                )
            ]
        for seen in sorted(words, key=lambda seen: seen.captured_ns):
            now_ns = self._began_ns + seen.captured_ns - first_ns  # as if it came in anew
            self.take(seen, now_ns)
            self.settle(now_ns)
        self.settle(now_ns + WAITED_NS + 1)
        for name, camera in self._of.items():
            camera.heard_ns = None
            self.tally.of[name].in_sight = 0

    def _moment_of(self, seen: BoardSeen, now_ns: int) -> _Moment:
        """The nearest one that has no word of this camera yet; else a new one."""
        free = [each for each in self._open if seen.source not in each.words]
        nearest = min(free, key=lambda each: abs(each.captured_ns - seen.captured_ns), default=None)
        if nearest is None or abs(nearest.captured_ns - seen.captured_ns) > SAME_MOMENT_NS:
            nearest = _Moment(seen.captured_ns, now_ns)
            self._open.append(nearest)
        return nearest

    def _count(self, words: Sequence[BoardSeen]) -> None:
        found = {seen.source: Found(seen.corners_px.astype(np.float64), seen.mirrored) for seen in words}
        now = {name: each.in_sight for name, each in self.tally.of.items()}
        self.tally.take(found, {name: self._of[name].size_wh for name in found})
        for name, in_sight in now.items():  # of the newest word, which may be of a later moment
            self.tally.of[name].in_sight = in_sight

    def _speaks(self, camera: _Camera, now_ns: int) -> bool:
        return camera.heard_ns is not None and now_ns - camera.heard_ns < QUIET_NS

    def _note(self, name: str, now_ns: int) -> str:
        camera = self._of[name]
        if camera.note:
            return camera.note
        if camera.heard_ns is None or camera.heard_ns < self._began_ns:
            waited_ns = now_ns - self._began_ns
            return "" if waited_ns < FIRST_WORD_NS else "it says nothing: does this camera run?"
        return "" if self._speaks(camera, now_ns) else "it has fallen silent"


def _inside(seen: BoardSeen) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(K, 2) corners, NaN where they are not in the picture: what comes from the bus may be anything."""
    px = seen.corners_px
    with np.errstate(invalid="ignore"):
        inside = ((px > -1.0) & (px < np.array(seen.size_wh, np.float32))).all(1)
    return np.where(inside[:, None], px, np.float32(np.nan))


def _count(seen: BoardSeen) -> int:
    return int(np.isfinite(seen.corners_px).all(1).sum())
