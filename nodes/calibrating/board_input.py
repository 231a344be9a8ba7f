"""From videos, images or a recording to what each camera saw of the board; one process for each camera at a time."""

import multiprocessing
import queue
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.sightings import CameraSightings
from nodes.calibrating.board_finder import BoardFinder
from nodes.calibrating.board_input_reels import Reel, Shown, VideoReel, reels_of
from nodes.calibrating.board_input_times import FrameTimes, times_beside
from nodes.calibrating.found import Found

MOST_FRAMES = 2000  # of one camera; of longer recordings every second, third, … instant is looked at
SAME_LENGTH = 0.02  # clips of so nearly one length, and as many frames, have the same time stamps
TOLD_EVERY = 5  # frames between two words about progress
LOOK_S = 0.2
ENDS_IN_S = 2.0  # a process has finished the picture it is at

Progress = Callable[[str, float], None]
Keep = Callable[[Sequence[CameraSightings], Sequence[str]], None]


@dataclass(frozen=True, eq=False)
class Task:
    """A reel, and which of its frames are looked at.

    times: of the frames listed elsewhere, only those of `sync` in `wanted` are looked at; else every `stride`-th, by
    the clock of period_s where the reel has times that hold for all cameras (clock), by number where not.
    """

    reel: Reel
    pictures: int
    stride: int
    period_s: float
    clock: bool
    times: FrameTimes | None = None

    def row_of(self, number: int) -> int | None:
        """Where the times tell of this frame."""
        assert self.times is not None
        row = int(np.searchsorted(self.times.frame, number))
        return row if row < len(self.times.frame) and self.times.frame[row] == number else None

    def wants(self, number: int, captured_s: float | None) -> bool:
        """Whether the frame is looked at: frames of different cameras taken together all are, or none."""
        if self.times is not None:
            row = self.row_of(number)
            return row is not None and int(self.times.sync[row]) % self.stride == 0
        if self.stride == 1:
            return True
        if self.clock and captured_s is not None:
            every_s = self.stride * self.period_s
            return abs(captured_s - round(captured_s / every_s) * every_s) <= 0.5 * self.period_s
        return number % self.stride == 0


def read_sightings(
    source: Path,
    board: CharucoBoard,
    progress: Progress,
    cameras: Sequence[str] | None = None,
    jobs: int = 2,
    keep: Keep = lambda _seen, _missing: None,
) -> tuple[CameraSightings, ...]:
    """What every camera of `source` (board_input_reels.py tells what it may be) saw of the board.

    progress: called with the camera's name and the share that is done. cameras: only these. jobs: how many at a time;
    one works in this process. keep: called on Ctrl-C with what cameras saw so far, and the names of the others. Raises
    CalibrationError, SourceError or SessionError: which file, and what to do.
    """
    BoardFinder(board)  # an impossible board is told before the work
    tasks = tasks_for(reels_of(source, cameras))
    if min(jobs, len(tasks)) <= 1:
        return _one_by_one(tasks, board, progress, keep)
    return _side_by_side(tasks, board, progress, jobs, keep)


def tasks_for(reels: Sequence[Reel]) -> list[Task]:
    """How to look at reels of one recording. Raises CalibrationError, SourceError."""
    measured = [reel.measured() for reel in reels]
    stride = -(-max(pictures for pictures, _ in measured) // MOST_FRAMES)
    periods = [1 / rate for _, rate in measured if rate > 0]
    period_s, clock = max(periods, default=0.0), _share_a_clock(reels, measured)
    times: dict[str, FrameTimes] = {}
    if all(isinstance(reel, VideoReel) for reel in reels):
        videos = [(r.camera, r.path, n) for r, (n, _) in zip(reels, measured, strict=True) if isinstance(r, VideoReel)]
        times = times_beside(videos) or {}
    return [
        Task(reel, pictures, stride, period_s, clock, times.get(reel.camera))
        for reel, (pictures, _) in zip(reels, measured, strict=True)
    ]


def _share_a_clock(reels: Sequence[Reel], measured: Sequence[tuple[int, float]]) -> bool:
    """Whether the reels' own times can be held against one another.

    Videos with as many frames each, but of different lengths, were written frame by frame with made-up rates.
    """
    if not all(isinstance(reel, VideoReel) for reel in reels):
        return True
    lengths_s = [pictures / rate for pictures, rate in measured if rate > 0]
    as_many = len({pictures for pictures, _ in measured}) == 1
    return not (as_many and max(lengths_s) > (1 + SAME_LENGTH) * min(lengths_s))


def sighted(
    task: Task, board: CharucoBoard, progress: Progress, ended: Callable[[], bool] = lambda: False
) -> CameraSightings:
    """Look at one camera's frames. Raises CalibrationError, SourceError, SessionError."""
    looks: list[_Look] = []
    _look_at(task, board, progress, ended, looks)
    return _as_sightings(task.reel.camera, looks)


def _look_at(
    task: Task, board: CharucoBoard, progress: Progress, ended: Callable[[], bool], looks: "list[_Look]"
) -> None:
    """Add to `looks`, frame by frame, until all are there or it is ended."""
    finder, camera = BoardFinder(board), task.reel.camera
    for done, shown in enumerate(task.reel.shown()):
        if ended():
            return
        if done % TOLD_EVERY == 0:
            progress(camera, min(1.0, done / max(task.pictures, 1)))
        if not task.wants(shown.number, shown.captured_s):
            continue
        grey = shown.grey()
        size_wh = (grey.shape[1], grey.shape[0])
        if looks and looks[0].size_wh != size_wh:
            before = "{}x{}".format(*looks[0].size_wh)
            raise CalibrationError(
                f"camera {camera!r}: frame {shown.number} has {size_wh[0]}x{size_wh[1]} pixels, those before it "
                f"{before}: a camera keeps one size; leave out the others"
            )
        looks.append(_Look(shown.number, *_when(task, shown), size_wh, finder.find(grey)))
    progress(camera, 1.0)


def _as_sightings(camera: str, looks: "Sequence[_Look]") -> CameraSightings:
    """Raises CalibrationError when nothing was looked at."""
    if not looks:
        raise CalibrationError(f"camera {camera!r} has no frame to look at; record it again")
    return CameraSightings(
        camera=camera,
        size_wh=looks[0].size_wh,
        captured_s=np.array([look.captured_s for look in looks]),
        frame=np.array([look.number for look in looks], np.int64),
        corners_px=np.stack([look.found.corners_px for look in looks]),
        mirrored=np.array([look.found.mirrored for look in looks]),
        sync=np.array([look.sync for look in looks], np.int64),
    )


def _one_by_one(
    tasks: Sequence[Task], board: CharucoBoard, progress: Progress, keep: Keep
) -> tuple[CameraSightings, ...]:
    seen: list[CameraSightings] = []
    for task in tasks:
        looks: list[_Look] = []
        try:
            _look_at(task, board, progress, lambda: False, looks)
        except KeyboardInterrupt:
            seen += [_as_sightings(task.reel.camera, looks)] if looks else []
            _hand_over(tasks, seen, keep)
            raise
        seen.append(_as_sightings(task.reel.camera, looks))
    return tuple(seen)


def _hand_over(tasks: Sequence[Task], seen: Sequence[CameraSightings], keep: Keep) -> None:
    have = {each.camera for each in seen}
    keep(seen, [task.reel.camera for task in tasks if task.reel.camera not in have])


@dataclass(frozen=True, eq=False)
class _Look:
    number: int
    captured_s: float
    sync: int
    size_wh: tuple[int, int]
    found: Found


def _when(task: Task, shown: Shown) -> tuple[float, int]:
    """Seconds, NaN where there are none that hold for all cameras, and the number of the group, -1 for none."""
    if task.times is not None:
        row = task.row_of(shown.number)
        if row is not None:
            return float(task.times.captured_s[row]), int(task.times.sync[row])
    return (shown.captured_s if task.clock and shown.captured_s is not None else np.nan), -1


# ------------------------------------------------------------------------------------------------ one process a camera

_told: Any = None  # in a process that looks: where progress goes, and whether to end
_ended: Any = None


def _begin(told: Any, ended: Any) -> None:
    global _told, _ended
    _told, _ended = told, ended
    told.cancel_join_thread()  # what nobody hears any more does not hold the end up
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears Ctrl-C and ends the others
    cv2.setNumThreads(1)


def _look(task: Task, board: CharucoBoard) -> CameraSightings:
    return sighted(task, board, lambda camera, done: _told.put((camera, done)), _ended.is_set)


def _side_by_side(
    tasks: Sequence[Task], board: CharucoBoard, progress: Progress, jobs: int, keep: Keep
) -> tuple[CameraSightings, ...]:
    context = multiprocessing.get_context("spawn")  # a fork would inherit OpenCV's and FFmpeg's threads half
    told, ended = context.Queue(), context.Event()
    pool = ProcessPoolExecutor(min(jobs, len(tasks)), context, _begin, (told, ended))
    futures = [pool.submit(_look, task, board) for task in tasks]
    try:
        _follow(futures, told, progress)
        return tuple(future.result() for future in futures)
    except KeyboardInterrupt:
        ended.set()
        wait([future for future in futures if not future.cancel()], ENDS_IN_S)
        _hand_over(tasks, [future.result() for future in futures if _succeeded(future)], keep)
        raise
    finally:
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _succeeded(future: Future[CameraSightings]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _follow(futures: Sequence[Future[CameraSightings]], told: Any, progress: Progress) -> None:
    """Pass on progress until all are done, or one has failed."""
    while not all(future.done() for future in futures):
        if any(future.done() and future.exception() is not None for future in futures):
            return
        try:
            progress(*told.get(timeout=LOOK_S))
        except queue.Empty:
            continue
