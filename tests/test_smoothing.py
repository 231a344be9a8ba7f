"""Smoothing: less noise, little lag, honest uncertainty, jumps made good gently; capture time alone counts."""

import numpy as np
import pytest

from configs.schema import Smoothing as Settings
from nodes.stages.body_tree import BodyTree
from nodes.stages.smoothing import SETTLE_M_S, Kalman, OneEuro, Settling

MS = 1_000_000
N = 5
SIGMA_M = 0.02
NONE = np.full(N, np.nan)
FINE = np.tile(1e-4 * np.eye(3), (N, 1, 1))  # covariance of 1 cm


def tree(parent):
    return BodyTree(tuple("abcde"), N, parent, np.arange(N), np.full(N, -1), np.full((N, 2), -1))


ALONE = tree(np.full(N, -1))  # every joint a root
CHAIN = tree(np.arange(N) - 1)


def track(times_ns, truth_m, *, sigma_m=SIGMA_M, noise_m=None, unseen=(), settings=None):
    """What fusion and filter say together, expectation and noisy measurement in one: joints, covariances, Foreseen.

    In ticks `unseen` joint 0 has no measurement: the expectation stands. noise_m: other than sigma_m says.
    """
    rng = np.random.default_rng(0)
    kalman = Kalman(settings or Settings(), ALONE)
    joints, covariances, expected = [], [], []
    for tick, (time_ns, truth) in enumerate(zip(times_ns, truth_m, strict=True)):
        seen = np.ones(N, dtype=bool)
        seen[0] = tick not in unseen
        measured = truth + rng.normal(0, sigma_m if noise_m is None else noise_m, (N, 3))
        foreseen = kalman.foresee(int(time_ns))
        joints_m, covariance, surprise = combined(foreseen, measured, sigma_m**2 * np.eye(3), seen)
        kalman.correct(int(time_ns), joints_m, covariance, surprise)
        joints.append(joints_m)
        covariances.append(covariance)
        expected.append(foreseen)
    return np.stack(joints), np.stack(covariances), expected


def combined(foreseen, measured, variance, seen):
    """Fusion of roots in three lines: informations add up."""
    known = np.isfinite(foreseen.bone_m[:, 0])
    pp = np.linalg.inv(np.where(known[:, None, None], foreseen.bone_information, 1e-6 * np.eye(3)))
    gain = pp @ np.linalg.inv(pp + variance)
    off = np.where(known[:, None], measured - foreseen.bone_m, 0.0)
    at = np.where(known[:, None], foreseen.bone_m, measured)
    joints_m = np.where(seen[:, None], at + (gain @ off[..., None])[..., 0], foreseen.bone_m)
    covariance = np.where(seen[:, None, None], pp - gain @ pp, pp)
    surprise = np.einsum("ni,nij,nj->n", off, np.linalg.inv(pp + variance), off) / 3
    return joints_m, covariance, np.where(seen & known, surprise, np.nan)


def even(n):
    return np.arange(1, n + 1) * 33 * MS


def sway(times_ns, metres=0.3, hz=0.5):
    t = np.asarray(times_ns) * 1e-9
    return np.stack([metres * np.sin(2 * np.pi * hz * t)] * 3, axis=-1)[:, None].repeat(N, axis=1)


def walk(times_ns, metres_a_second=1.5):
    t = np.asarray(times_ns) * 1e-9
    return np.stack([metres_a_second * t] * 3, axis=-1)[:, None].repeat(N, axis=1)


def errors(joints_m, truth_m):
    return np.linalg.norm(joints_m - truth_m, axis=2)


RAW_M = SIGMA_M * np.sqrt(8 / np.pi)  # mean length of Gaussian noise in three dimensions


def test_noise_becomes_less_and_motion_stays():
    times = even(300)
    joints_m, _, _ = track(times, sway(times))
    assert errors(joints_m, sway(times))[30:].mean() < 0.8 * RAW_M


def test_at_rest_noise_becomes_little_more_than_half_once_the_filter_has_learnt_of_the_rest():
    times = even(300)
    truth = np.zeros((300, N, 3))
    joints_m, _, _ = track(times, truth)
    assert errors(joints_m, truth)[200:].mean() < 0.6 * RAW_M


def test_in_violent_motion_the_filter_lets_go_of_its_expectation():
    times = even(300)
    truth = sway(times, metres=0.2, hz=3)  # 70 m/s² at the turns
    joints_m, _, _ = track(times, truth)
    assert errors(joints_m, truth)[150:].mean() < 1.2 * RAW_M


@pytest.mark.parametrize("metres_a_second", [0.5, 1.5])
def test_the_lag_of_a_steady_walk_is_nothing(metres_a_second):
    times = even(120)
    truth = walk(times, metres_a_second)
    assert errors(track(times, truth, noise_m=0.0)[0], truth)[60:].max() < 1e-3
    noisy, _, _ = track(times, truth)
    assert abs(1000 * (truth - noisy)[60:].mean() / metres_a_second) < 5


def test_uneven_capture_times_are_no_speed():
    uneven = np.cumsum(np.random.default_rng(1).integers(10, 50, 100)) * MS
    truth = walk(uneven)
    assert errors(track(uneven, truth, noise_m=0.0)[0], truth)[30:].max() < 2e-3
    as_if_even, _, _ = track(even(100), truth, noise_m=0.0)
    assert errors(as_if_even, truth)[30:].mean() > 0.01


def test_the_sigma_is_honest_on_gaussian_noise():
    times = even(600)
    truth = sway(times, metres=0.1, hz=0.3)
    joints_m, covariance, _ = track(times, truth)
    error2 = ((joints_m - truth) ** 2).mean(axis=2)[60:]
    sigma2 = np.trace(covariance, axis1=2, axis2=3)[60:] / 3
    assert 0.6 < (error2 / sigma2).mean() < 1.5


def test_a_joint_that_is_not_seen_goes_on_and_its_sigma_grows():
    times = even(60)
    joints_m, covariance, _ = track(times, walk(times, 1.0), noise_m=0.002, unseen=range(40, 60))
    assert errors(joints_m, walk(times, 1.0))[45, 0] < 0.5 * np.sqrt(3) * 6 * 0.033  # half of what was walked since
    spread = np.trace(covariance[39:, 0], axis1=1, axis2=2)
    assert (np.diff(spread) > 0).all()
    others = np.trace(covariance[-1, 1:], axis1=1, axis2=2)
    assert (spread[-1] > 10 * others).all()


def test_who_is_not_seen_slows_down():
    times = even(40)
    kalman = Kalman(Settings(), ALONE)
    for time_ns, truth in zip(times, walk(times), strict=True):
        kalman.correct(int(time_ns), truth, FINE, NONE)
    ahead = [kalman.foresee(int(times[-1]) + k * 100 * MS).joints_m[0, 0] for k in range(12)]
    steps_m = np.diff(ahead)
    assert steps_m[0] == pytest.approx(0.15, rel=0.1)
    assert (np.diff(steps_m) < 0).all()
    assert 0 < steps_m[-1] < 0.05


def test_foreseeing_changes_nothing():
    times = even(20)
    kalman = Kalman(Settings(), ALONE)
    for time_ns, truth in zip(times, sway(times), strict=True):
        kalman.correct(int(time_ns), truth, FINE, NONE)
    at_ns = int(times[-1]) + 50 * MS
    first = kalman.foresee(at_ns)
    kalman.foresee(at_ns + 10_000 * MS)
    again = kalman.foresee(at_ns)
    np.testing.assert_array_equal(first.joints_m, again.joints_m)
    np.testing.assert_array_equal(first.bone_information, again.bone_information)


def test_the_farther_ahead_the_less_is_known():
    times = even(20)
    kalman = Kalman(Settings(), ALONE)
    for time_ns, truth in zip(times, sway(times), strict=True):
        kalman.correct(int(time_ns), truth, FINE, NONE)
    spread = [np.trace(kalman.foresee(int(times[-1]) + ms * MS).covariance[0]) for ms in (0, 10, 50, 250, 1000)]
    assert spread == sorted(spread)
    assert spread[-1] > spread[0]


def test_nothing_is_foreseen_at_first_nor_of_what_was_lost():
    kalman = Kalman(Settings(), CHAIN)
    assert np.isnan(kalman.foresee(10 * MS).joints_m).all()
    joints_m = np.arange(N)[:, None] * np.ones(3)
    joints_m[2] = np.nan
    covariance = FINE.copy()
    covariance[2] = np.nan
    kalman.correct(10 * MS, joints_m, covariance, NONE)
    foreseen = kalman.foresee(43 * MS)
    assert np.isfinite(foreseen.joints_m[:2]).all()
    assert np.isnan(foreseen.joints_m[2:]).all()  # what hangs on it, too
    assert (foreseen.information[2:] == 0).all()
    assert (foreseen.bone_information[2] == 0).all()
    joints_m[2] = 2.0
    for time_ns in (43 * MS, 76 * MS):
        kalman.correct(time_ns, joints_m, FINE, NONE)
    np.testing.assert_allclose(kalman.foresee(109 * MS).joints_m, joints_m, atol=1e-9)


def test_joints_are_their_bones_together_and_so_are_their_uncertainties():
    kalman = Kalman(Settings(), CHAIN)
    rng = np.random.default_rng(0)
    place = rng.normal(size=(N, 3))
    for k in range(5):
        kalman.correct((k + 1) * 33 * MS, place + 0.03 * k, FINE, NONE)
    foreseen = kalman.foresee(6 * 33 * MS)
    np.testing.assert_allclose(foreseen.joints_m, np.cumsum(foreseen.bone_m, axis=0), atol=1e-12)
    of_bones = np.linalg.inv(foreseen.bone_information)
    np.testing.assert_allclose(foreseen.covariance, np.cumsum(of_bones, axis=0), atol=1e-12)
    np.testing.assert_allclose(foreseen.information, np.linalg.inv(foreseen.covariance), rtol=1e-9)
    np.testing.assert_allclose(foreseen.velocity_m_s[1:], foreseen.velocity_m_s[:1].repeat(N - 1, 0), atol=1e-9)
    assert foreseen.velocity_m_s[0, 0] == pytest.approx(0.03 / 0.033, rel=0.2)


def test_covariances_stay_positive_whatever_happens():
    rng = np.random.default_rng(3)
    kalman = Kalman(Settings(), CHAIN)
    time_ns = 0
    for _ in range(300):
        time_ns += int(rng.choice([0, 1, 33, 400])) * MS
        half = rng.normal(0, 0.1, (N, 3, 3))
        foreseen = kalman.foresee(time_ns)
        smaller = half @ half.transpose(0, 2, 1) + 1e-6 * np.eye(3)
        if np.isfinite(foreseen.bone_m).all():  # a measurement can only add to what is known
            smaller = np.linalg.inv(foreseen.bone_information + np.linalg.inv(smaller))
        kalman.correct(time_ns, rng.normal(size=(N, 3)), smaller, rng.exponential(3.0, N))
        assert (np.linalg.eigvalsh(kalman.foresee(time_ns + 33 * MS).bone_information) > 0).all()


def glide(leap_m, guessed_ticks, ticks=60):
    """Joint 0 is guessed for some ticks, then seen `leap_m` away from there; what is shown, tick by tick (T, 3)."""
    settling = Settling(N)
    two, none = np.full(N, 2), np.full(N, 2)
    none[0] = 1
    place, there = np.zeros((N, 3)), np.zeros((N, 3))
    there[0, 0] = leap_m
    settling.settle(0.0, np.full((N, 3), np.nan), place, two)
    for _ in range(guessed_ticks):
        settling.settle(1 / 30, place, place, none)
    shown = [place[0]]
    off = []
    for tick in range(ticks):
        joints_m, off_m = settling.settle(1 / 30, place if tick == 0 else there, there, two)
        shown.append(joints_m[0])
        off.append(off_m[0])
        np.testing.assert_array_equal(joints_m[1:], there[1:])
    return np.array(shown), np.array(off)


def test_what_was_guessed_for_long_glides_to_where_it_is_and_arrives():
    shown, off = glide(0.4, guessed_ticks=30)
    assert np.abs(np.diff(shown, axis=0)).max() <= SETTLE_M_S / 30 + 1e-9
    np.testing.assert_allclose(off, 0.4 - shown[1:, 0], atol=1e-9)  # and it is told how far it is off
    assert shown[-1, 0] == pytest.approx(0.4)
    assert off[-1] == pytest.approx(0.0)


def test_what_was_guessed_for_a_moment_is_put_right_at_once():
    shown, off = glide(0.4, guessed_ticks=1)
    assert shown[1, 0] == pytest.approx(0.4)
    assert off[0] == 0.0


def test_what_is_seen_all_the_time_is_shown_as_it_is():
    settling = Settling(N)
    for k in range(20):
        here = np.full((N, 3), 0.5 * (k % 2))
        joints_m, off_m = settling.settle(1 / 30, np.zeros((N, 3)), here, np.full(N, 2))
        np.testing.assert_array_equal(joints_m, here)
        assert (off_m == 0).all()


def test_who_was_not_seen_at_all_glides_too():
    settling = Settling(N)
    before, after = np.zeros((N, 3)), np.full((N, 3), 0.1)
    settling.settle(0.0, np.full((N, 3), np.nan), before, np.full(N, 2))
    np.testing.assert_array_equal(settling.keep(before), before)
    joints_m, off_m = settling.settle(1 / 30, before, after, np.full(N, 2))
    assert np.linalg.norm(joints_m - before, axis=1).max() <= SETTLE_M_S / 30 + 1e-9
    assert (off_m > 0.1).all()


def one_euro(times_ns, truth_m, noise_m=SIGMA_M, unseen=(), **settings):
    rng = np.random.default_rng(0)
    smoother = OneEuro(Settings(kind="one_euro", **settings), N)
    out = []
    for tick, (time_ns, truth) in enumerate(zip(times_ns, truth_m, strict=True)):
        measured = truth + rng.normal(0, noise_m, (N, 3))
        if tick in unseen:
            measured[0] = np.nan
        out.append(smoother.smooth(int(time_ns), measured))
    return np.stack(out)


def test_one_euro_takes_noise_off_and_leaves_motion():
    times = even(300)
    assert errors(one_euro(times, sway(times)), sway(times))[30:].mean() < 0.9 * RAW_M


def test_one_euro_follows_the_fast_and_calms_the_slow():
    times = even(120)
    still = errors(one_euro(times, np.zeros((120, N, 3)), min_cutoff_hz=0.5, beta=2.0), 0.0)[60:].mean()
    assert still < 0.6 * RAW_M
    fast = walk(times, 3.0)
    assert errors(one_euro(times, fast, noise_m=0.0), fast)[30:].max() < 0.03  # 0.17 m go by from tick to tick


def test_one_euro_leaves_absent_what_is_absent_and_begins_anew_after_a_long_gap():
    times = even(60)
    truth = walk(times)
    smoothed = one_euro(times, truth, noise_m=0.0, unseen=range(20, 40), max_gap_ms=100)
    assert np.isnan(smoothed[20:40, 0]).all()
    assert np.isfinite(smoothed[20:40, 1:]).all()
    np.testing.assert_array_equal(smoothed[40, 0], truth[40, 0])
