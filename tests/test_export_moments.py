"""Poses as arrays: what a first pass finds, and an even rate, judged by a motion that is known at every moment."""

from dataclasses import replace

import numpy as np
import pytest

from nodes.exporting.moments import BLOCK, Grid, as_recorded, at_even_rate, grid_of
from nodes.exporting.survey import SAMPLES, EvenSample, rising, survey, usual_rate_hz
from nodes.wire.messages import Origin
from tests.export_sessions import person, pose, poses_of, walker
from tests.messages import START_NS

CAMERAS = ("left", "right")


def resampled(poses, grid, ids=(1,), n_joints=33):
    blocks = list(at_even_rate(poses, grid, 1 / 30, CAMERAS, set(ids), n_joints))
    assert [block.first for block in blocks] == list(range(0, grid.count, BLOCK))
    return blocks


def joints_of(blocks, who=1, n_joints=33):
    rows = [
        block.people[who].joints_m if who in block.people else np.full((len(block.captured_ns), n_joints, 3), np.nan)
        for block in blocks
    ]
    return np.concatenate(rows)


def test_survey_tells_who_is_there_when_and_how_often():
    x = walker(2.0)
    other = np.full_like(x, np.nan)
    other[20:41] = x[20:41] + 1
    found = survey(poses_of({3: x, 8: other}, 30.0, skeleton="mediapipe33"))
    assert found is not None
    assert [(stay.id, stay.poses) for stay in found.stays] == [(3, 60), (8, 21)]
    assert found.stays[1].seconds == pytest.approx(20 / 30)
    assert (found.moments, found.n_joints, found.rate_hz, found.cameras) == (60, 33, 30.0, CAMERAS)
    assert (found.restarts, found.left_out) == (0, 0)
    assert survey([]) is None


def test_survey_of_poses_without_anybody():
    found = survey([pose(0.0), pose(0.1)])
    assert found is not None
    assert (found.stays, found.n_joints, found.moments) == ((), 0, 2)


def test_the_series_with_most_poses_is_taken_and_time_only_rises():
    x = walker(1.0)
    ours = poses_of({1: x}, 30.0, skeleton="mediapipe33")
    others = [replace(each, source="spare") for each in ours[:5]]
    again = [replace(each, seq=0) for each in ours[10:12]]
    stream = [*others, *ours[:12], *again, *ours[12:]]
    found = survey(stream)
    assert found is not None
    assert (found.series.source, found.moments, found.left_out, found.restarts) == ("fusion", 30, 7, 1)
    assert [each.captured_ns for each in rising(stream, found.series)] == [each.captured_ns for each in ours]


@pytest.mark.parametrize("rate", [5, 24, 25, 29.97, 30, 59.94, 60, 120])
def test_usual_rates_are_recognised_although_ticks_are_whole_nanoseconds(rate):
    times = np.round(np.arange(200) * 1e9 / rate).astype(int)
    assert usual_rate_hz(np.diff(times).tolist()) == pytest.approx(rate, rel=2e-5)
    assert np.isnan(usual_rate_hz([]))


def test_even_sample_is_spread_over_everything_and_bounded():
    sample = EvenSample[int](100)
    for number in range(12_345):
        sample.add(number)
    steps = np.diff(sample.kept)
    assert 50 <= len(sample.kept) <= 100
    assert set(steps.tolist()) == {steps[0]}
    assert sample.kept[-1] > 12_000


def test_samples_of_bodies_leave_out_what_is_unsure():
    x = walker(0.1)
    sigma = np.full(33, 0.01, np.float32)
    sigma[4] = 0.2
    origin = np.full(33, Origin.TRIANGULATED, np.uint8)
    origin[5] = Origin.PREDICTED
    found = survey([pose(0.0, [person(1, x[0], sigma_m=sigma, origin=origin)], skeleton="mediapipe33")])
    assert found is not None
    assert np.flatnonzero(np.isnan(found.stays[0].sample.kept[0]).any(axis=1)).tolist() == [4, 5]
    assert SAMPLES < 1000  # of 400 bytes: an hour with a hundred ids fits in memory


def test_at_their_own_rate_poses_stay_as_they_are():
    x = walker(20.0)  # more than two blocks
    poses = poses_of({1: x}, 30.0, skeleton="mediapipe33")
    grid = grid_of(poses[0].captured_ns, poses[-1].captured_ns, 30.0)
    assert grid.count == len(x)
    blocks = resampled(poses, grid)
    assert np.abs(joints_of(blocks) - x).max() < 1e-6
    rows = blocks[0].people[1]
    assert set(rows.origin.ravel()) == {Origin.TRIANGULATED}
    assert set(rows.views.ravel()) == {3}
    own = list(as_recorded(poses, CAMERAS, {1}, 33))
    assert np.array_equal(joints_of(own), joints_of(blocks))


def test_between_the_poses_the_motion_is_met():
    x, fine = walker(10.0, 30.0, "walk"), walker(10.0, 120.0, "walk")
    poses = poses_of({1: x}, 30.0, skeleton="mediapipe33")
    grid = grid_of(poses[0].captured_ns, poses[-1].captured_ns, 120.0)
    error = np.linalg.norm(joints_of(resampled(poses, grid)) - fine[: grid.count], axis=-1)
    straight = (x[:-1] + x[1:]) / 2
    error_of_lines = np.linalg.norm(straight - fine[2::4][: len(straight)], axis=-1)
    assert error.mean() < 1e-3
    assert error[2::4][: len(straight)].mean() < 0.4 * error_of_lines.mean()


def test_long_gaps_stay_open_and_short_ones_are_bridged_and_marked():
    x = walker(4.0)
    holes = x.copy()
    holes[30:35, 16] = np.nan  # the right wrist for 0.2 s: bridged
    holes[60:70, 16] = np.nan  # a third of a second: open
    holes[90:110] = np.nan  # not there at all
    poses = poses_of({1: holes}, 30.0, skeleton="mediapipe33")
    grid = grid_of(poses[0].captured_ns, poses[-1].captured_ns, 30.0)
    blocks = resampled(poses, grid)
    rows, found = blocks[0].people[1], joints_of(blocks)
    assert np.abs(found[30:35, 16] - x[30:35, 16]).max() < 0.03
    assert (rows.origin[30:35, 16] == Origin.PREDICTED).all()
    assert (rows.views[30:35, 16] == 0).all()
    assert (rows.origin[30:35, 15] == Origin.TRIANGULATED).all()
    assert np.isnan(found[60:70, 16]).all()
    assert np.isfinite(found[60:70, 15]).all()
    assert np.isnan(found[90:110]).all()
    assert not rows.present[90:110].any()
    assert np.isfinite(found[[89, 110]]).all()


def test_blocks_do_not_show():
    """The same moments, whatever block they fall in."""
    rng = np.random.default_rng(3)
    x = walker(30.0)
    x[rng.random(x.shape[:2]) < 0.2] = np.nan
    poses = poses_of({1: x}, 30.0, skeleton="mediapipe33")
    grid = Grid(poses[0].captured_ns + 11_000_000, 47.0, 1300)
    late = Grid(grid.start_ns + round(100 * 1e9 / 47), 47.0, 1200)
    one, two = joints_of(resampled(poses, grid)), joints_of(resampled(poses, late))
    assert np.allclose(one[100:], two, atol=1e-6, equal_nan=True)


def test_a_single_pose_and_one_that_lies_beside_the_grid():
    x = walker(0.1)
    poses = poses_of({1: x[:1]}, 30.0, skeleton="mediapipe33")
    assert np.allclose(joints_of(resampled(poses, grid_of(START_NS, START_NS, 30.0))), x[:1], atol=1e-6)
    assert np.isnan(joints_of(resampled(poses, Grid(START_NS + 5_000_000, 30.0, 1)))).all()


def test_cameras_in_another_order_keep_their_bits():
    x = walker(0.2)
    poses = poses_of({1: x}, 30.0, skeleton="mediapipe33")
    seen = np.full(33, 1, np.uint32)  # by the first of the pose's cameras
    poses[3] = replace(poses[3], cameras=("right", "left"), people=(person(1, x[3], views=seen),))
    rows = next(as_recorded(poses, CAMERAS, {1}, 33)).people[1]
    assert rows.views[3, 0] == 2
    assert rows.views[2, 0] == 3
