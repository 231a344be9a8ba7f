"""Frames of cameras that run at their own rates are paired once, and with the nearest."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.errors import CalibrationError
from calibration.instants import by_time, together
from calibration.sightings import CameraSightings


def camera(name: str, captured_s, sync=None, frame=None, seen=True) -> CameraSightings:
    captured_s = np.asarray(captured_s, float)
    n = len(captured_s)
    corners_px = np.full((n, 6, 2), np.nan)
    corners_px[np.broadcast_to(seen, n)] = 7.0
    corners_px[..., 0] += np.arange(n)[:, None]
    return CameraSightings(
        name,
        (640, 480),
        captured_s,
        np.arange(n) if frame is None else np.asarray(frame),
        corners_px,
        np.zeros(n, bool),
        np.full(n, -1) if sync is None else np.asarray(sync),
    )


def test_numbers_of_groups_come_first() -> None:
    both = together([camera("a", [0, 1, 2], sync=[5, 6, 8]), camera("b", [9, 9.5], sync=[6, 8])])
    assert both.frame.tolist() == [[0, 1, 2], [-1, 0, 1]]
    assert np.isnan(both.captured_s[1, 0])
    assert both.captured_s[1, 1] == 9
    assert np.isnan(both.corners_px[1, 0]).all()
    assert both.corners_px[1, 2, 0, 0] == 8.0


def test_times_pair_the_nearest_across_rates_and_phases() -> None:
    slow, fast = np.arange(0, 10, 0.1) + 0.013, np.arange(0, 10, 1 / 30)
    both = together([camera("fast", fast), camera("slow", slow)])
    paired = (both.frame >= 0).all(0)
    assert paired.sum() == len(slow)
    assert np.abs(np.diff(both.captured_s[:, paired], axis=0)).max() <= 1 / 60
    for c, n in ((0, len(fast)), (1, len(slow))):
        used = both.frame[c][both.frame[c] >= 0]
        assert len(used) == len(set(used)) == n
    assert (np.diff(np.nanmin(both.captured_s, axis=0)) >= 0).all()


def test_a_frame_is_used_once_and_a_gap_is_a_gap() -> None:
    rows = by_time([np.array([0.0, 0.1, 0.2, 0.9]), np.array([0.04, 0.11, 0.5, 0.9])])
    assert rows.tolist() == [[0, 1, 2, -1, 3], [0, 1, -1, 2, 3]]
    assert by_time([np.array([0.0, 0.1]), np.array([0.04, 0.14])], within_s=0.01).max(1).tolist() == [1, 1]
    assert ((by_time([np.array([0.0, 0.1]), np.array([0.04, 0.14])], within_s=0.01) >= 0).sum(0) == 1).all()


def test_without_times_frames_of_one_number_belong_together() -> None:
    nan = [np.nan] * 3
    both = together([camera("a", nan), camera("b", nan, frame=[1, 2, 4])])
    assert both.frame.tolist() == [[0, 1, 2, -1], [-1, 1, 2, 4]]


def test_instants_without_a_board_are_left_out() -> None:
    seen = np.array([False, True, False])
    both = together([camera("a", [0, 1, 2], seen=seen), camera("b", [0, 1, 2], seen=[False, False, True])])
    assert both.frame.tolist() == [[1, 2], [1, 2]]


def test_the_order_of_cameras_is_kept_and_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    cameras = [camera(n, np.arange(40) / r + rng.uniform(0, 0.05)) for n, r in (("a", 10), ("b", 12), ("c", 30))]
    one, other = together(cameras), together(cameras[::-1])
    assert other.cameras == ("c", "b", "a")
    np.testing.assert_array_equal(one.frame, other.frame[::-1])


def test_nothing_and_different_boards_are_refused() -> None:
    with pytest.raises(CalibrationError, match="no camera"):
        together([])
    wide = replace(camera("b", [0.0]), corners_px=np.zeros((1, 9, 2)))
    with pytest.raises(CalibrationError, match=r"\[6, 9\] corners"):
        together([camera("a", [0.0]), wide])
