"""Figures in bounded memory: exact while they fit, evenly thinned afterwards."""

import math

import numpy as np
import pytest

from nodes.watching.figures import Samples, Window

S = 1_000_000_000


@pytest.mark.parametrize("capacity", [7, 8, 16])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 17, 50, 1000])
def test_thinning_keeps_every_kth_value_from_the_first(capacity, n):
    samples = Samples(capacity)
    chunks = np.split(np.arange(n), np.sort(np.random.default_rng(n).integers(0, n, 5)))
    for chunk in chunks:
        samples.extend(chunk)
    stride = samples._stride
    kept = samples._values[: samples._kept]
    np.testing.assert_array_equal(kept, np.arange(0, n, stride))
    assert capacity / 2 - 1 < len(kept) <= capacity or stride == 1
    assert samples.count == n
    assert samples.mean == pytest.approx((n - 1) / 2)  # of all values, also the thinned ones


def test_values_that_are_no_numbers_are_passed_over():
    samples = Samples()
    samples.extend([[1.0, math.nan], [3.0, math.inf]])
    assert (samples.count, samples.mean, samples.percentile(50)) == (2, 2.0, 2.0)
    assert math.isnan(Samples().percentile(50))
    assert math.isnan(Samples().mean)


def test_window_forgets():
    window = Window(5.0)
    for second in range(10):
        window.add(second * S, float(second))
    assert window.mean(9 * S) == pytest.approx(6.5)  # 4 to 9
    assert math.isnan(window.mean(100 * S))
    assert window.rate_hz(100 * S) == 0.0


def test_window_rate_falls_when_values_stop_coming():
    window = Window(5.0)
    for tick in range(101):
        window.add(round(tick * S / 20), 0.0)
    assert window.rate_hz(5 * S) == pytest.approx(20.0)
    assert window.rate_hz(7 * S) == pytest.approx(60 / 5, rel=0.02)  # 3 s of values and 2 s of silence
