"""A thread that reads one source and keeps its newest frame, so that a slow taker sees the present, not a queue.

A lost source is opened again, for ever. Waits use the monotonic clock; the time of a frame is the source's own.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nodes.sources.source import Frame, Granted, Source, SourceError

MOST_LEFT_BEHIND = 3  # hanging readers; each holds a thread and perhaps a device
LOSSLESS_AHEAD = 2  # one frame is worked on, one is decoded meanwhile

State = Literal["starting", "streaming", "reconnecting", "ended"]


@dataclass(frozen=True)
class CaptureStatus:
    """How a capture goes. `granted`: of the latest opening, None before the first. `captured`, `dropped`: frames read,
    and frames replaced by a newer one before anybody took them. `note`: why nothing comes, empty while it streams."""

    state: State
    granted: Granted | None
    captured: int
    dropped: int
    reconnects: int
    note: str


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds.

    first_wait_s, doubling to longest_wait_s: before opening again. steady_after_s: a source that delivered so long
    starts again with the shortest wait. frozen_after_s: said in the status; usually the source's own timeout (5 s
    stream, 10 s V4L2) ends the read. abandon_after_s: longer than those; then the read hangs in a driver, for good.
    """

    first_wait_s: float = 0.5
    longest_wait_s: float = 8.0
    steady_after_s: float = 5.0
    frozen_after_s: float = 3.0
    abandon_after_s: float = 15.0

    def wait_s(self, failures: int) -> float:
        """Wait after so many failures in a row, from 1: 0.5, 1, 2, 4, 8, 8, …"""
        return min(self.first_wait_s * 2.0 ** min(failures - 1, 30), self.longest_wait_s)

    def count(self, failures: int, streamed_s: float) -> int:
        """Failures in a row, the new one included, when frames came for streamed_s before it."""
        return 1 if streamed_s >= self.steady_after_s else failures + 1

    def silence_s(self, fps: float) -> float:
        """Without a frame for longer, something is wrong. fps 0: unknown. A time-lapse camera is not frozen."""
        return max(self.frozen_after_s, 5.0 / fps) if fps > 0 else self.frozen_after_s


class _Reader(threading.Thread):
    """One try at reading the source on and on. It is left to itself when its read hangs and another takes over."""

    def __init__(self, run: Callable[["_Reader"], None]) -> None:
        super().__init__(name="capture", daemon=True)
        self._run = run
        self.dismissed = threading.Event()
        self.source: Source | None = None

    def run(self) -> None:
        self._run(self)


class Capture:
    """Reads from the source that `open_source` opens. With `lossless`, reading waits until the frames were taken.

    SourceError means lost, and the source is opened again; any other exception is a mistake, ends the capture and is
    raised by `take`, as is a SourceError while reading losslessly, since opening again would repeat frames. `on_frame`
    is shown every frame that is read, also those that nobody takes: by the reading thread, so it must be quick.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        lossless: bool,
        patience: Patience = Patience(),
        on_frame: Callable[[Frame], None] | None = None,
    ) -> None:
        self._patience = patience
        self._open_source = open_source
        self._lossless = lossless
        self._on_frame = on_frame
        self._changed = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._state: State = "starting"
        self._granted: Granted | None = None
        self._captured = self._dropped = self._openings = 0
        self._note = ""
        self._fault: Exception | None = None
        self._alive_at_s = time.monotonic()  # the latest frame, try, or pause: since then the reader has been reading
        self._reading = False
        self._left_behind: list[_Reader] = []
        self._reader = self._start_reader()

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame that was not yet taken (losslessly: the next); None after timeout_s or at the end.

        Raises what ended the capture, once the frames before it were taken.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while True:
                if self._frames:
                    frame = self._frames.popleft()
                    self._changed.notify_all()
                    return frame
                if self._fault is not None:
                    raise self._fault
                self._replace_hanging_reader()
                left_s = deadline_s - time.monotonic()
                if self._state == "ended" or left_s <= 0:
                    return None
                self._changed.wait(min(left_s, 0.25))  # and look after the reader again

    def snapshot(self) -> CaptureStatus:
        """How things stand now. Never waits for the source."""
        with self._changed:
            state, note = self._state, self._note
            silent_s = time.monotonic() - self._alive_at_s
            if state != "ended" and self._reading and silent_s > self._silence_s():
                state = "starting" if self._captured == 0 else "reconnecting"
                note = f"no frame for {silent_s:.1f} s"
            return CaptureStatus(state, self._granted, self._captured, self._dropped, max(0, self._openings - 1), note)

    def close(self) -> None:
        """End the reading. A read that blocks for ever is left behind in its daemon thread after a second."""
        with self._changed:
            reader = self._reader
            reader.dismissed.set()
            self._state = "ended"
            self._changed.notify_all()
        reader.join(0.2)
        source = reader.source
        if reader.is_alive() and source is not None:
            source.close()  # wakes a source that sleeps
        reader.join(0.7)

    def _silence_s(self) -> float:
        return self._patience.silence_s(self._granted.fps if self._granted is not None else 0.0)

    def _start_reader(self) -> _Reader:
        reader = _Reader(self._read_for_ever)
        reader.start()
        return reader

    def _replace_hanging_reader(self) -> None:
        """Give up a reader whose read never returned. Holds the lock."""
        silent_s = time.monotonic() - self._alive_at_s
        hangs = self._reading and silent_s > max(self._patience.abandon_after_s, self._silence_s())
        self._left_behind = [reader for reader in self._left_behind if reader.is_alive()]
        if not hangs or self._state == "ended" or len(self._left_behind) >= MOST_LEFT_BEHIND:
            return
        self._reader.dismissed.set()
        self._left_behind.append(self._reader)
        self._lose(f"no frame for {silent_s:.1f} s, and reading does not return: opening again beside it")
        self._reader = self._start_reader()

    def _read_for_ever(self, reader: _Reader) -> None:
        failures = 0
        while not reader.dismissed.is_set():
            first_frame_at_s = None
            try:
                source = self._open(reader)
                try:
                    while not reader.dismissed.is_set() and (frame := source.read()) is not None:
                        self._hand_over(reader, frame)
                        first_frame_at_s = first_frame_at_s or time.monotonic()
                finally:
                    source.close()
            except SourceError as error:
                streamed_s = time.monotonic() - first_frame_at_s if first_frame_at_s is not None else 0.0
                failures = self._patience.count(failures, streamed_s)
                lost = error
            except Exception as error:
                self._end(reader, error)
                return
            else:
                self._end(reader, None)
                return
            if self._lossless and first_frame_at_s is not None:
                self._end(reader, lost)
                return
            self._pause(reader, str(lost), self._patience.wait_s(failures))

    def _open(self, reader: _Reader) -> Source:
        with self._changed:
            if not reader.dismissed.is_set():
                self._reading = True
                self._alive_at_s = time.monotonic()
        source = self._open_source()
        reader.source = source
        with self._changed:
            if not reader.dismissed.is_set():
                self._granted = source.granted
                self._openings += 1
                self._alive_at_s = time.monotonic()
        return source

    def _hand_over(self, reader: _Reader, frame: Frame) -> None:
        """Offer a frame, and losslessly wait until there is room for the next."""
        with self._changed:
            if reader.dismissed.is_set():
                return
            self._state, self._note = "streaming", ""
            self._captured += 1
            if self._on_frame is not None:
                self._on_frame(frame)
            if not self._lossless:
                self._dropped += len(self._frames)
                self._frames.clear()
            self._frames.append(frame)
            self._changed.notify_all()
            self._reading = False
            while self._lossless and len(self._frames) >= LOSSLESS_AHEAD and not reader.dismissed.is_set():
                self._changed.wait()
            self._reading = True
            self._alive_at_s = time.monotonic()

    def _pause(self, reader: _Reader, note: str, wait_s: float) -> None:
        with self._changed:
            if reader.dismissed.is_set():
                return
            self._lose(note)
            self._reading = False
        reader.dismissed.wait(wait_s)

    def _lose(self, note: str) -> None:
        """Holds the lock."""
        self._note = note
        self._alive_at_s = time.monotonic()
        if self._captured > 0:
            self._state = "reconnecting"

    def _end(self, reader: _Reader, fault: Exception | None) -> None:
        with self._changed:
            if reader.dismissed.is_set():
                return
            self._state = "ended"
            self._fault = fault
            self._note = "" if fault is None else str(fault)
            self._reading = False
            self._changed.notify_all()
