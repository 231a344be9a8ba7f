"""Counts down to something that then happens, also when whoever asked for it has left the page meanwhile."""

import math
import threading
import time
from collections.abc import Callable


class Countdown:
    """One at a time. `begin` and `cancel` may be called from any thread."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._ends_s = 0.0
        self._lock = threading.Lock()

    def begin(self, seconds: float, then: Callable[[], None]) -> None:
        """In place of the one that runs."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._ends_s = time.monotonic() + seconds
            self._timer = threading.Timer(seconds, self._end, (then,))
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> bool:
        """Whether there was something to cancel."""
        with self._lock:
            if self._timer is None:
                return False
            self._timer.cancel()
            self._timer = None
            return True

    @property
    def left(self) -> int:
        """Whole seconds, rounded up; 0 when nothing is counted."""
        with self._lock:
            return max(1, math.ceil(self._ends_s - time.monotonic())) if self._timer is not None else 0

    def _end(self, then: Callable[[], None]) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                return  # another one was begun, or this one cancelled, at the last moment
            self._timer = None
        then()
