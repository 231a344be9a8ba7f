"""Bone lengths, learnt from noisy measurements among which some are wild."""

import numpy as np
import pytest

from nodes.stages.bones import FIRST, MEMORY, WORST_SIGMA_M, Bones

TRUE_M = np.array([0.25, 0.45, 0.10])
SIGMA_M = 0.015


def learnt(n, *, sigma_m=SIGMA_M, wild=0.0, bend_m=0.0, true_m=TRUE_M, bones=None, seed=0):
    """After n measurements with noise, a share of them wild, of bones that really vary by bend_m."""
    rng = np.random.default_rng(seed)
    bones = bones or Bones(len(TRUE_M))
    for _ in range(n):
        length_m = true_m + rng.normal(0, np.hypot(sigma_m, bend_m), 3)
        outlier = rng.random(3) < wild
        length_m = np.where(outlier, rng.uniform(0.0, 1.5, 3), length_m)
        bones.learn(length_m, np.full(3, sigma_m**2))
    return bones


@pytest.mark.parametrize("seed", range(5))
def test_the_true_length_is_learnt_though_a_tenth_is_wild(seed):
    bones = learnt(400, wild=0.1, seed=seed)
    np.testing.assert_allclose(bones.length_m, TRUE_M, atol=0.01)  # wild ones are nearly all too long for a short bone


def test_the_start_is_a_median_that_wild_measurements_do_not_move():
    bones = learnt(FIRST, wild=0.2)
    np.testing.assert_allclose(bones.length_m, TRUE_M, atol=0.03)


def test_nothing_is_claimed_before_there_is_enough():
    bones = learnt(FIRST - 1)
    assert (bones.information == 0).all()
    assert (learnt(1, bones=bones).information > 0).all()


def test_what_was_not_measured_or_badly_is_not_learnt_from():
    bones = Bones(3)
    for _ in range(3 * FIRST):
        bones.learn(np.array([0.25, np.nan, 0.1]), np.array([1e-4, 1e-4, 1.1 * WORST_SIGMA_M**2]))
    assert (bones.information > 0).tolist() == [True, False, False]
    before = bones.length_m.copy()
    bones.learn(np.full(3, np.nan), np.full(3, np.inf))
    np.testing.assert_array_equal(bones.length_m, before)


def test_the_more_is_measured_the_more_is_known_up_to_a_limit():
    early, late, later = (learnt(n).information for n in (FIRST, 100, 3 * int(MEMORY)))
    assert np.median(late) > 1.2 * np.median(early)
    assert (later < 1e6).all()  # better than 1 mm no joint is defined


def test_a_bone_that_really_varies_is_known_less_well():
    stiff, bending = learnt(600).information, learnt(600, bend_m=0.04).information
    assert (bending < 0.25 * stiff).all()
    sigma_m = bending**-0.5
    assert ((sigma_m > 0.02) & (sigma_m < 0.06)).all()


def test_scatter_that_is_noise_alone_is_taken_off():
    noisy = learnt(600, sigma_m=0.03).information ** -0.5
    assert (noisy < 0.02).all()


def test_somebody_elses_bones_are_learnt_in_the_end():
    bones = learnt(200)
    learnt(4 * int(MEMORY), true_m=TRUE_M + 0.05, bones=bones)
    np.testing.assert_allclose(bones.length_m, TRUE_M + 0.05, atol=0.01)


def test_one_wild_measurement_moves_a_known_length_by_less_than_a_millimetre():
    bones = learnt(300)
    before = bones.length_m.copy()
    bones.learn(np.full(3, 5.0), np.full(3, 1e-4))
    assert np.abs(bones.length_m - before).max() < 1e-3
