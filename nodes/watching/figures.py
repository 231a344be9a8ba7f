"""Numbers gathered over a run of any length in bounded memory, and over the last seconds."""

from collections import deque

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
CAPACITY = 65536  # values; half an hour of ticks at 30 Hz is kept whole, longer runs are thinned evenly


class Samples:
    """Values of a whole run. When full, every second one is dropped, and from then on every second one taken."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._values = np.empty(capacity)
        self._kept = 0
        self._stride = 1
        self._phase = 0  # values to skip before the next one that is kept
        self.count = 0  # of all finite values
        self.total = 0.0  # their sum

    def add(self, value: float) -> None:
        """One value; NaN is no value."""
        self.extend(np.array([value]))

    def extend(self, values: npt.ArrayLike) -> None:
        """Values of any shape; those that are not finite are passed over."""
        flat = np.asarray(values, dtype=np.float64).reshape(-1)
        flat = flat[np.isfinite(flat)]
        self.count += len(flat)
        self.total += float(flat.sum())
        while len(flat):
            taken = flat[self._phase :: self._stride][: len(self._values) - self._kept]
            self._values[self._kept : self._kept + len(taken)] = taken
            self._kept += len(taken)
            if self._kept < len(self._values):
                self._phase = (self._phase - len(flat)) % self._stride
                return
            flat = flat[self._phase + (len(taken) - 1) * self._stride + 1 :]
            self._phase = self._stride - 1
            self._thin()

    def percentile(self, percent: float) -> float:
        """NaN without values."""
        return float(np.percentile(self._values[: self._kept], percent)) if self._kept else float("nan")

    @property
    def mean(self) -> float:
        """Of all values, also the thinned ones; NaN without values."""
        return self.total / self.count if self.count else float("nan")

    def _thin(self) -> None:
        """Keep values 0, 2, 4, …; the next one to take follows the last kept one at twice the old stride."""
        halved = self._values[: self._kept : 2].copy()
        last_was_kept = self._kept % 2 == 1
        self._values[: len(halved)] = halved
        self._kept = len(halved)
        self._phase += self._stride if last_was_kept else 0
        self._stride *= 2


class Window:
    """Values of the last seconds, by the time of their arrival (monotonic nanoseconds)."""

    def __init__(self, length_s: float) -> None:
        self._length_ns = round(length_s * 1e9)
        self._values: deque[tuple[int, float]] = deque()

    def add(self, received_ns: int, value: float) -> None:
        self._values.append((received_ns, value))
        self._forget(received_ns)

    def percentile(self, now_ns: int, percent: float) -> float:
        """Of the finite values; NaN without any."""
        self._forget(now_ns)
        finite = [value for _, value in self._values if np.isfinite(value)]
        return float(np.percentile(finite, percent)) if finite else float("nan")

    def mean(self, now_ns: int) -> float:
        """Of the finite values; NaN without any."""
        self._forget(now_ns)
        finite = [value for _, value in self._values if np.isfinite(value)]
        return float(np.mean(finite)) if finite else float("nan")

    def rate_hz(self, now_ns: int) -> float:
        """Values per second: between first and last while they come, over the whole window once they stop coming."""
        self._forget(now_ns)
        if len(self._values) < 2:
            return 0.0
        span_ns = max(self._values[-1][0] - self._values[0][0], 1)
        silence_ns = now_ns - self._values[-1][0]
        intervals = len(self._values) - 1
        if silence_ns > 2 * span_ns / intervals:  # later than due: count the silence too
            span_ns += silence_ns
        return intervals / span_ns * 1e9

    def _forget(self, now_ns: int) -> None:
        while self._values and now_ns - self._values[0][0] > self._length_ns:
            self._values.popleft()
