"""Smoothing: less noise, little lag, short gaps carried on and marked, capture time alone counts."""

import numpy as np
import pytest

from configs.schema import Smoothing as Settings
from nodes.stages.smoothing import Kalman, make_smoother

MS = 1_000_000
N = 5
SIGMA_M = 0.02


def run(settings, times_ns, truth_m, noise_m=SIGMA_M, unseen=()):
    """Smoothed positions (T, N, 3) of a noisy track; in ticks `unseen` joint 0 is absent."""
    rng = np.random.default_rng(0)
    smoother = make_smoother(settings, N)
    out = []
    for tick, (time_ns, truth) in enumerate(zip(times_ns, truth_m, strict=True)):
        measured = truth + rng.normal(0, noise_m, (N, 3))
        if tick in unseen:
            measured[0] = np.nan
        out.append(smoother.update(time_ns, measured, np.full(N, max(noise_m, 1e-3))))
    return out


def sway(times_ns, metres=0.3, hz=0.5):
    t = np.asarray(times_ns) * 1e-9
    return np.stack([metres * np.sin(2 * np.pi * hz * t)] * 3, axis=-1)[:, None].repeat(N, axis=1)


def positions(smoothed):
    return np.stack([s.joints_m for s in smoothed])


@pytest.mark.parametrize("kind", ["kalman", "one_euro"])
def test_noise_becomes_less_and_motion_stays(kind):
    times = [k * 33 * MS for k in range(300)]
    truth = sway(times)
    error = np.linalg.norm(positions(run(Settings(kind=kind, acceleration_m_s2=5), times, truth)) - truth, axis=2)[30:]
    raw = SIGMA_M * np.sqrt(8 / np.pi)  # mean length of Gaussian noise in three dimensions
    assert error.mean() < 0.9 * raw


def test_none_hands_through():
    times = [0, 33 * MS]
    out = run(Settings(kind="none"), times, sway(times), noise_m=0.0)
    np.testing.assert_array_equal(positions(out), sway(times))


def test_the_lag_of_a_steady_walk_is_nothing():
    times = [k * 33 * MS for k in range(60)]
    truth = np.stack([np.asarray(times) * 1e-9 * 1.5] * 3, axis=-1)[:, None].repeat(N, axis=1)
    out = positions(run(Settings(), times, truth, noise_m=0.0))
    assert np.abs(out[30:] - truth[30:]).max() < 1e-3


def test_uneven_capture_times_are_no_speed():
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.integers(10, 90, 100)) * MS
    truth = np.stack([times * 1e-9] * 3, axis=-1)[:, None].repeat(N, axis=1)
    out = positions(run(Settings(), [int(t) for t in times], truth, noise_m=0.0))
    assert np.abs(out[30:] - truth[30:]).max() < 1e-3


def test_a_short_gap_is_predicted_and_marked_and_its_sigma_grows():
    times = [k * 33 * MS for k in range(60)]
    truth = np.stack([np.asarray(times) * 1e-9] * 3, axis=-1)[:, None].repeat(N, axis=1)
    out = run(Settings(max_gap_ms=250), times, truth, noise_m=0.002, unseen=range(40, 46))
    gap = out[40:46]
    assert all(s.predicted[0] and not s.predicted[1:].any() for s in gap)
    assert np.abs(np.stack([s.joints_m[0] for s in gap]) - truth[40:46, 0]).max() < 0.06  # of 0.2 m gone
    sigmas = [s.sigma_m[0] for s in gap]
    assert sigmas == sorted(sigmas)
    assert not out[46].predicted.any()


def test_a_long_gap_is_absent():
    times = [k * 33 * MS for k in range(60)]
    out = run(Settings(max_gap_ms=100), times, sway(times), unseen=range(20, 40))
    assert np.isnan(out[30].joints_m[0]).all()
    assert np.isinf(out[30].sigma_m[0])
    assert np.isfinite(out[30].joints_m[1:]).all()
    assert np.isfinite(out[41].joints_m).all()


def test_one_wild_measurement_does_not_throw_the_joint():
    kalman = Kalman(Settings(acceleration_m_s2=10), N)
    for k in range(30):
        kalman.update(k * 33 * MS, np.zeros((N, 3)), np.full(N, 0.01))
    wild = np.zeros((N, 3))
    wild[0] = 1.0
    out = kalman.update(30 * 33 * MS, wild, np.full(N, 0.01))
    assert np.abs(out.joints_m[0]).max() < 0.25
    settled = [kalman.update((31 + k) * 33 * MS, wild, np.full(N, 0.01)) for k in range(15)]
    assert np.abs(settled[-1].joints_m[0] - 1.0).max() < 0.05  # but what stays is believed


def test_the_sigma_is_honest_on_gaussian_noise():
    times = [k * 33 * MS for k in range(600)]
    truth = sway(times, metres=0.1, hz=0.3)
    out = run(Settings(acceleration_m_s2=2), times, truth)
    error2 = ((positions(out) - truth) ** 2).mean(axis=2)[60:]
    sigma2 = np.stack([s.sigma_m for s in out])[60:] ** 2
    assert 0.6 < (error2 / sigma2).mean() < 1.4
