"""Where the time goes between a frame and its pose, over the last seconds and over the last minutes. Pure."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nodes.wire.messages import Pose3D

F64 = npt.NDArray[np.float64]

STAGES = ("interpolate", "queue", "detect", "send", "fuse")  # in the order of their passing
TOTAL = "total"
WINDOW_NS = 10_000_000_000
HISTORY_S = 300
PERCENTS = (50, 95, 99)


@dataclass(frozen=True)
class Second:
    """A second that is over. at_s: monotonic; latency NaN where no pose tells one."""

    at_s: int
    poses: int
    p50_ms: float
    p95_ms: float


class Ledger:
    """Fed with every pose as it comes."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, tuple[float, ...]]] = deque()  # arrival, milliseconds of stages and total
        self._history: deque[Second] = deque(maxlen=HISTORY_S)
        self._second = 0
        self._in_second: list[float] = []

    def feed(self, pose: Pose3D, received_ns: int, timely: bool = True) -> None:
        """Take in a pose. received_ns: monotonic. timely: its stamps are of the present, and tell a latency."""
        self._close(received_ns)
        if not timely:
            self._in_second.append(math.nan)
            return
        total_ms = (pose.published_ns - pose.captured_ns) / 1e6
        stages_ms = [pose.stages_ns[stage] / 1e6 if stage in pose.stages_ns else math.nan for stage in STAGES]
        self._recent.append((received_ns, (*stages_ms, total_ms)))
        self._in_second.append(total_ms)

    def percentiles_ms(self, now_ns: int) -> dict[str, tuple[float, ...]]:
        """Of each stage that is told, and of the total: at PERCENTS, over the last seconds."""
        self._forget(now_ns)
        if not self._recent:
            return {}
        table = np.array([values for _, values in self._recent])
        names = (*STAGES, TOTAL)
        told = {name: column[np.isfinite(column)] for name, column in zip(names, table.T, strict=True)}
        return {
            name: tuple(float(value) for value in np.percentile(values, PERCENTS))
            for name, values in told.items()
            if len(values)
        }

    def history(self, now_ns: int) -> tuple[Second, ...]:
        """The seconds that are over, oldest first; those in which nothing came are told, too."""
        self._close(now_ns)
        return tuple(self._history)

    def _forget(self, now_ns: int) -> None:
        while self._recent and now_ns - self._recent[0][0] > WINDOW_NS:
            self._recent.popleft()

    def _close(self, now_ns: int) -> None:
        """End the seconds that are over."""
        second = now_ns // 1_000_000_000
        if not self._second:
            self._second = second
        self._second = max(self._second, second - HISTORY_S)
        while self._second < second:
            told = [value for value in self._in_second if math.isfinite(value)] or [math.nan]
            p50_ms, p95_ms = (float(value) for value in np.percentile(told, PERCENTS[:2]))
            self._history.append(Second(self._second, len(self._in_second), p50_ms, p95_ms))
            self._in_second = []
            self._second += 1
        self._forget(now_ns)
