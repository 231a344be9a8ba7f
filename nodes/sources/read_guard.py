"""Lets close() come from another thread while read() blocks: whoever leaves last releases what was opened."""

import threading
from collections.abc import Callable
from types import TracebackType

from nodes.sources.source import SourceError


class ReadGuard:
    """`with guard:` around a read. FFmpeg's and OpenCV's handles must not be freed under a read that is going on, so
    `close` from outside only asks for it, and the read frees them on its way out."""

    def __init__(self, name: str, release: Callable[[], None]) -> None:
        self._name = name
        self._release = release
        self._reading = threading.Lock()
        self._closing = threading.Event()
        self._released = False

    def __enter__(self) -> None:
        self._reading.acquire()
        if self._closing.is_set():
            self._reading.release()
            raise SourceError(f"{self._name}: read after close")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.release()
        if self._closing.is_set():
            self.close()

    def wait(self, seconds: float) -> bool:
        """Sleep within a read; True when close() came meanwhile."""
        return self._closing.wait(seconds)

    def close(self) -> None:
        """Release now, or as soon as the read returns. Safe to call from any thread, twice, and never waits."""
        self._closing.set()
        if self._reading.acquire(blocking=False):
            try:
                if not self._released:
                    self._released = True
                    self._release()
            finally:
                self._reading.release()
