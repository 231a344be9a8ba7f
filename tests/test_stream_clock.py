"""Stamps of network frames, from times that are told."""

import numpy as np

from nodes.sources.stream_clock import WINDOW_NS, StreamClock

MS = 1_000_000
T0 = 1_700_000_000_000 * MS


def test_without_any_time_stamp_the_arrival_counts():
    clock = StreamClock()
    assert clock.stamp(T0, None, None) == T0
    assert clock.stamped_by == "arrival"


def test_the_jitter_of_the_network_is_taken_off():
    """A camera at 25 fps through a network that delays by 3 ms and up to 40 more: placed as if all took 3."""
    rng = np.random.default_rng(1)
    captured = [T0 + k * 40 * MS for k in range(200)]
    delays = 3 * MS + (rng.exponential(10, 200).clip(0, 40) * MS).astype(int)
    delays[5] = 3 * MS
    clock = StreamClock()
    stamps = [clock.stamp(t + int(delay), t - T0 + 77 * MS, None) for t, delay in zip(captured, delays, strict=True)]
    late_ms = [(stamp - t) / MS for stamp, t in zip(stamps, captured, strict=True)]
    assert np.allclose(late_ms[5:], 3.0)
    assert all(stamp <= t + delay for stamp, t, delay in zip(stamps, captured, delays, strict=True))


def test_a_drifting_clock_is_followed():
    """100 ppm fast and slow, for ten minutes: never off by more than the drift within the window."""
    for ppm in (-100, 100):
        clock = StreamClock()
        for k in range(0, 600_000, 40):
            pts_ns = k * MS + k * ppm
            error_ns = clock.stamp(T0 + k * MS, pts_ns, None) - (T0 + k * MS)
            assert -abs(ppm) * WINDOW_NS / 1e6 - MS <= error_ns <= 0


def test_time_stamps_that_start_anew_are_followed():
    clock = StreamClock()
    clock.stamp(T0, 5_000 * MS, None)
    assert clock.stamp(T0 + 40 * MS, 0, None) == T0 + 40 * MS
    assert clock.stamp(T0 + 85 * MS, 40 * MS, None) == T0 + 80 * MS


def test_a_believable_sender_is_believed_from_its_second_word_on():
    clock = StreamClock()
    assert clock.stamp(T0, 0, T0 + 15 * MS) == T0, "FFmpeg's first belongs to the next frame, here at 60 fps"
    assert clock.stamp(T0 + 17 * MS, 17 * MS, T0 + 15 * MS) == T0 + 15 * MS
    assert clock.stamped_by == "sender"


def test_a_sender_with_a_wrong_clock_is_not_believed():
    for wrong_ms in (-3_600_000, -2_000, 100, 3_600_000):
        clock = StreamClock()
        for k in range(3):
            assert clock.stamp(T0 + k * 40 * MS, k * 40 * MS, T0 + (k * 40 + wrong_ms) * MS) == T0 + k * 40 * MS
            assert clock.stamped_by == "arrival"
