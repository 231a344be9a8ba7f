"""Figures over time and their spread, in memory that does not grow with the take."""

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

STRETCHES = 2400  # more than a picture has columns
SHORTEST_S = 0.04
STEPS = 400  # of a spread: each value is told to 3 % or better over five decades


class Timeline:
    """One row of figures for each short stretch of time, taken together by `combine` (sum, least, most).

    Whenever a take outgrows the rows, their width doubles: half a minute is told in 40 ms, an hour in 2.6 s.
    """

    def __init__(self, *shape: int, combine: np.ufunc = np.add) -> None:
        self._combine = combine
        self._nothing = {np.minimum: np.inf, np.maximum: -np.inf}.get(combine, 0.0)
        self._rows = np.full((STRETCHES, *shape), self._nothing)
        self._used = 0
        self.width_s = SHORTEST_S

    def add(self, at_s: float, figures: npt.ArrayLike) -> None:
        """Take in the figures of a moment; what is before 0 counts as 0."""
        while at_s >= self.width_s * STRETCHES:
            self._widen()
        row = max(0, int(at_s / self.width_s))
        self._rows[row] = self._combine(self._rows[row], figures)
        self._used = max(self._used, row + 1)

    def told(self, most: int, least_s: float = 0.0) -> tuple[F64, F64, float]:
        """Middles (T,) in s and rows (T, …) of stretches up to the last moment, at most so many; and their width in s.

        least_s: least width.
        """
        rows, used, width_s = self._rows, self._used, self.width_s
        while used > most or (width_s < least_s and used > 1):
            rows, used, width_s = self._joined(rows), (used + 1) // 2, 2 * width_s
        return (np.arange(used) + 0.5) * width_s, rows[:used], width_s

    def _widen(self) -> None:
        joined = self._joined(self._rows)
        self._rows[: STRETCHES // 2], self._rows[STRETCHES // 2 :] = joined[: STRETCHES // 2], self._nothing
        self._used = (self._used + 1) // 2
        self.width_s *= 2

    def _joined(self, rows: F64) -> F64:
        if len(rows) % 2:
            rows = np.concatenate([rows, np.full((1, *rows.shape[1:]), self._nothing)])
        joined: F64 = self._combine(rows[::2], rows[1::2])
        return joined


class Spread:
    """How values of K kinds are spread, in logarithmic steps from `least` to `most`; beyond counts as the end."""

    def __init__(self, kinds: int, least: float, most: float) -> None:
        self._least, self._decades = least, np.log(most / least)
        self.counts = np.zeros((kinds, STEPS), dtype=np.int64)

    def add(self, values: npt.ArrayLike) -> None:
        """Take in (…, K); NaN is nothing."""
        given = np.asarray(values, dtype=np.float64).reshape(-1, len(self.counts))
        row, kind = np.nonzero(np.isfinite(given))
        position = np.log(np.maximum(given[row, kind], self._least) / self._least) / self._decades
        np.add.at(self.counts, (kind, np.minimum((position * STEPS).astype(np.int64), STEPS - 1)), 1)

    def quantile(self, share: float) -> F64:
        """(K,) NaN where there is nothing."""
        return self._value(self.counts, share)

    def quantile_of_all(self, share: float) -> float:
        """Of all kinds together."""
        return float(self._value(self.counts.sum(axis=0, keepdims=True), share)[0])

    def _value(self, counts: npt.NDArray[np.int64], share: float) -> F64:
        total = counts.sum(axis=1)
        step = (counts.cumsum(axis=1) >= np.ceil(share * np.maximum(total, 1))[:, None]).argmax(axis=1)
        value = self._least * np.exp((step + 0.5) / STEPS * self._decades)
        return np.where(total > 0, value, np.nan)
