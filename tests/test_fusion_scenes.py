"""The fusion benchmark's ground: its motion, its detector's faults, and the peers that ours is held against."""

import numpy as np
import pytest

from benchmarks import fusion
from benchmarks import fusion_peers as peers
from benchmarks import fusion_scenes as scenes
from lifter.datasets.motion_file import Clip
from lifter.protocol import NOISE_PX
from lifter.skeleton import BODY17


@pytest.fixture(scope="module")
def window():
    """A body that stands with its arms hanging and sways a little."""
    at = {
        "pelvis": (0, 0, 0.9), "thorax": (0, 0, 1.4), "head": (0, 0, 1.6),
        "hip": (0, 0.1, 0.9), "knee": (0, 0.1, 0.5), "ankle": (0, 0.1, 0.1), "toe": (0.15, 0.1, 0),
        "shoulder": (0, 0.18, 1.4), "elbow": (0, 0.25, 1.1), "wrist": (0.05, 0.25, 0.85),
    }  # fmt: skip
    sides = {"left": (1, 1, 1), "right": (1, -1, 1)}
    pose = [np.multiply(at[joint.split("_")[-1]], sides.get(joint.split("_")[0], (1, 1, 1))) for joint in BODY17.joints]
    sway_m = 0.1 * np.sin(np.arange(120) / 10)[:, None, None] * [1.0, 0.5, 0.0]
    joints_m = (np.array(pose) + sway_m).astype(np.float32)
    return scenes.choose([Clip("one", "1", "sway", 30.0, joints_m), Clip("two", "2", "sway", 30.0, joints_m)], 2)[0]


def test_motion_passes_through_its_frames(window):
    assert np.array_equal(scenes.seen(window, 2).truth_m(), window.joints_m[scenes.MARGIN : -scenes.MARGIN])


def test_a_wrist_behind_the_trunk_is_hidden_and_one_before_it_is_not(window):
    joints_m = window.joints_m[:1].copy()
    left, right = BODY17.index("left_wrist"), BODY17.index("right_wrist")
    joints_m[0, [left, right]] = joints_m[0, BODY17.root] + np.array([[0.3, 0, 0.2], [-0.3, 0, 0.2]])
    hidden = scenes.hidden(joints_m, np.array([-4.0, 0.0, 1.1]))[0]
    assert hidden[left]
    assert not hidden[right]


def test_noise_is_three_pixels_and_less_where_confidence_is_high(window):
    scene = scenes.seen(window, 4)
    joints_m = scenes.at(window.joints_m, np.arange(-1.0, window.ticks + 1))
    noise_px = scene.keypoints_px - scene.rig.project(joints_m)
    assert np.sqrt(np.mean(noise_px**2)) == pytest.approx(NOISE_PX, rel=0.03)
    unsure = scene.confidence < 0.8
    assert unsure.any()
    assert noise_px[unsure].std() > 1.3 * noise_px[~unsure].std()


def test_conditions_share_their_noise(window):
    two, four = scenes.seen(window, 2), scenes.missing(scenes.moved(scenes.seen(window, 4), 0.1), 0.3)
    same = (two.keypoints_px == four.keypoints_px[:2]).all(-1)
    assert same.mean() == pytest.approx(0.9 * 0.7, abs=0.02)


def test_one_view_is_left_for_two_seconds_and_frames_without_anybody_are_sent(window):
    scene = scenes.one_view(scenes.seen(window, 4))
    views = (scene.nearest()[1] > 0).any(axis=-1).sum(axis=1)
    assert set(views) == {1, 4}
    assert (views == 1).sum() == pytest.approx(scenes.ALONE_S * scenes.FPS, abs=1)
    sent = [len(message.confidence) for message in scene.messages()]
    assert len(sent) == 4 * (window.ticks + 2)
    assert sent.count(0) == 3 * (views == 1).sum()


def test_nearest_frames_are_no_farther_than_half_a_period(window):
    scene = scenes.seen(window, 4, out_of_phase=True)
    off = np.abs(scene.captured_ns[:, :, None] - np.array(scene.ticks_ns)).min(axis=1)
    assert off.max() <= 0.5e9 / scenes.FPS + 1
    assert scene.nearest()[0].shape == (window.ticks, 4, 17, 2)


METHODS = [peers.dlt, peers.ransac, peers.pose2sim_rule]


def exact(window):
    rig = scenes.seen(window, 4).rig
    points_m = window.joints_m[0]
    return rig, points_m, rig.project(points_m).swapaxes(0, 1).copy(), np.ones((len(points_m), 4))


@pytest.mark.parametrize("method", METHODS)
def test_peers_find_exact_points_and_none_from_one_view(window, method):
    rig, points_m, keypoints_px, confidence = exact(window)
    confidence[0, 1:], confidence[1, 2:] = 0.0, 0.0
    found_m = method(peers.Sightings.of(rig, keypoints_px, confidence))
    assert np.isnan(found_m[0]).all()
    assert np.allclose(found_m[1:], points_m[1:], atol=1e-6)


@pytest.mark.parametrize("method", METHODS[1:])
def test_robust_peers_leave_out_a_view_that_is_off(window, method):
    rig, points_m, keypoints_px, confidence = exact(window)
    keypoints_px[:, 2] += 90.0
    assert np.allclose(method(peers.Sightings.of(rig, keypoints_px, confidence)), points_m, atol=1e-6)


@pytest.mark.parametrize("method", METHODS[1:])
def test_robust_peers_report_nothing_where_two_views_disagree(window, method):
    rig, _, keypoints_px, confidence = exact(window)
    confidence[:, 2:] = 0.0
    across = keypoints_px[:, 1] + 200.0 * np.array([[0.0, 1.0]])  # up and down the picture: off the epipolar line
    keypoints_px[:, 1] = across
    assert np.isnan(method(peers.Sightings.of(rig, keypoints_px, confidence))).all()


def judged(scene, joints_m, sigma_m=np.nan):
    nobody = np.zeros(len(joints_m), dtype=np.bool_)
    return fusion.Trial([scene], {"it": [fusion.Estimate(joints_m, np.full(joints_m.shape[:2], sigma_m), nobody)]})


def test_an_unreported_joint_counts_as_300_mm(window):
    scene = scenes.seen(window, 2)
    joints_m = scene.truth_m()
    joints_m[:, :4] = np.nan  # the pelvis, too: nothing can be told relative to it
    trial = judged(scene, joints_m)
    assert trial.mean_mm("it") == pytest.approx(300 * 4 / 17)
    assert trial.reported("it") == pytest.approx(100 * 13 / 17)
    assert trial.relative_mm("it") == 300.0


def test_a_shift_is_no_relative_error(window):
    scene = scenes.seen(window, 2)
    trial = judged(scene, scene.truth_m() + np.array([0.03, 0.0, 0.04]))
    assert trial.mean_mm("it") == pytest.approx(50.0)
    assert trial.relative_mm("it") == pytest.approx(0.0, abs=1e-9)


def test_an_honest_sigma_scores_one(window):
    scene = scenes.seen(window, 2)
    truth_m = scene.truth_m()
    joints_m = truth_m + np.random.default_rng(0).normal(0.0, 0.02, truth_m.shape)
    assert judged(scene, joints_m, 0.02).honesty("it") == pytest.approx(1.0, abs=0.1)


def test_lag_is_found(window):
    scene = scenes.seen(window, 2)
    assert judged(scene, scene.truth_m(later_ms=-35.0)).lag_ms("it") == 35.0


def test_a_jump_after_a_time_unreported_is_one(window):
    scene = scenes.one_view(scenes.seen(window, 4))
    joints_m = scene.truth_m()
    assert judged(scene, joints_m).jump_mm("it") == 0.0
    alone = np.flatnonzero(scenes.alone(scene))
    joints_m[alone[:-30]] += [0.0, 0.2, 0.0]
    joints_m[alone[-30:]] = np.nan
    assert judged(scene, joints_m).jump_mm("it") == pytest.approx(200.0, abs=30.0)
