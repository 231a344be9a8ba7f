import numpy as np
import numpy.typing as npt
import pytest
from scipy.linalg import expm

from calibration.twist import cross_matrix, exp_twist, log_twist


def _twists(seed: int, longest: float) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=(50, 3))
    turn = axis / np.linalg.norm(axis, axis=1, keepdims=True) * rng.uniform(0, longest, (50, 1))
    return np.concatenate([turn, rng.normal(0, 2, (50, 3))], axis=1)


@pytest.mark.parametrize("longest", [0.0, 1e-9, 1e-7, 2e-6, 1e-3, 1.0, 3.1])
def test_the_logarithm_undoes_the_exponential(longest):
    twists = _twists(0, longest)
    # the shift comes back through the inverse of V, whose series stops at angle²
    np.testing.assert_allclose(log_twist(exp_twist(twists)), twists, atol=1e-9)


def test_the_exponential_is_that_of_the_matrix():
    for twist in _twists(1, 3.0)[:10]:
        generator = np.zeros((4, 4))
        generator[:3, :3], generator[:3, 3] = cross_matrix(twist[:3]), twist[3:]
        np.testing.assert_allclose(exp_twist(twist), expm(generator), atol=1e-12)


def test_a_motion_and_its_opposite_are_nothing():
    twists = _twists(2, 3.0)
    np.testing.assert_allclose(exp_twist(twists) @ exp_twist(-twists), np.tile(np.eye(4), (50, 1, 1)), atol=1e-12)


def test_turns_stay_rotations():
    R = exp_twist(_twists(3, 3.1))[:, :3, :3]
    np.testing.assert_allclose(R @ R.swapaxes(1, 2), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)


def test_the_cross_matrix_multiplies_as_the_cross_product():
    v, w = np.random.default_rng(4).normal(size=(2, 20, 3))
    np.testing.assert_allclose((cross_matrix(v) @ w[..., None])[..., 0], np.cross(v, w), atol=1e-12)
