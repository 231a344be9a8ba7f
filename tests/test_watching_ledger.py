"""Where the time goes: percentiles of the last seconds, and every second of the last minutes."""

import math

import pytest

from nodes.watching.ledger import HISTORY_S, STAGES, Ledger
from tests import messages as make

S = 1_000_000_000
MS = 1_000_000
STAGES_NS = {"interpolate": 10 * MS, "queue": 5 * MS, "detect": 30 * MS, "send": MS, "fuse": 4 * MS}


def pose(latency_ms=50, **changes):
    return make.pose(published_ns=make.START_NS + latency_ms * MS, **{"stages_ns": STAGES_NS, **changes})


def test_stages_and_their_sum_over_the_last_seconds():
    ledger = Ledger()
    for k in range(300):
        ledger.feed(pose(latency_ms=500 if k < 30 else 50), S + k * S // 20)
    took_ms = ledger.percentiles_ms(16 * S)
    assert took_ms["detect"] == pytest.approx((30, 30, 30))
    assert took_ms["total"] == pytest.approx((50, 50, 50))  # what was slow is longer ago
    assert sum(took_ms[stage][0] for stage in STAGES) == pytest.approx(50)
    assert ledger.percentiles_ms(60 * S) == {}


def test_stages_that_are_not_told_are_not_invented():
    ledger = Ledger()
    ledger.feed(pose(stages_ns={}), S)
    assert set(ledger.percentiles_ms(S)) == {"total"}


def test_every_second_is_kept_also_those_without_poses():
    ledger = Ledger()
    for k in range(40):
        ledger.feed(pose(latency_ms=40 + k % 20), 100 * S + k * S // 20)
    history = ledger.history(105 * S)
    assert [second.poses for second in history] == [20, 20, 0, 0, 0]
    assert history[0].p50_ms == pytest.approx(49.5)
    assert math.isnan(history[-1].p50_ms)


def test_poses_of_another_time_are_counted_and_tell_no_latency():
    ledger = Ledger()
    for k in range(20):
        ledger.feed(pose(latency_ms=9000 if k % 2 else 50), S + k * S // 20, timely=k % 2 == 0)
    assert ledger.percentiles_ms(2 * S)["total"] == pytest.approx((50, 50, 50))
    (second,) = ledger.history(2 * S)
    assert second.poses == 20
    assert second.p95_ms == pytest.approx(50)


def test_memory_and_time_are_bounded_after_a_night():
    ledger = Ledger()
    ledger.feed(pose(), S)
    ledger.feed(pose(), 100_000 * S)
    assert len(ledger.history(100_001 * S)) == HISTORY_S
