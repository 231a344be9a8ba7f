import numpy as np
import numpy.typing as npt
import pytest

from calibration import lens as lenses
from calibration.lens_jacobian import N_INTRINSICS, project_with_jacobians

# Central differences with step h err by f'''·h²/6 and by rounding, eps·|f|/h: with |f| of 1e3 px, h = 1e-6 of a unit
# leaves 1e-6 px per unit, h² nothing.
STEP = 1e-6
RELATIVE = 1e-6

LENSES = {
    "pinhole": np.array([900.0, 905.0, 640.0, 355.0, -0.12, 0.06, 0.002, -0.001, 0.03, 0.01, -0.02, 0.005]),
    "fisheye": np.array([500.0, 503.0, 640.0, 355.0, 0.05, -0.02, 0.006, -0.001, 0.0, 0.0, 0.0, 0.0]),
}


def _points(n: int = 40) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(-1, 1, n), rng.uniform(-1, 1, n), rng.uniform(1.0, 4.0, n)], axis=1)


@pytest.mark.parametrize("lens", LENSES)
def test_pixels_are_those_of_the_lens_itself(lens):
    vector, points = LENSES[lens], _points()
    K = np.array([[vector[0], 0, vector[2]], [0, vector[1], vector[3]], [0, 0, 1]])
    expected = lenses.project(lens, K, lenses.pad_distortion(lens, vector[4 : 12 if lens == "pinhole" else 8]), points)
    np.testing.assert_allclose(project_with_jacobians(lens, vector, points)[0], expected, atol=1e-9)


@pytest.mark.parametrize("lens", LENSES)
def test_derivatives_by_the_point_are_the_finite_differences(lens):
    vector, points = LENSES[lens], _points()
    by_point = project_with_jacobians(lens, vector, points)[1]
    for axis, step in enumerate(STEP * np.eye(3)):
        difference = _pixels(lens, vector, points + step) - _pixels(lens, vector, points - step)
        _close(by_point[..., axis], difference / (2 * STEP))


@pytest.mark.parametrize("lens", LENSES)
def test_derivatives_by_all_intrinsics_are_the_finite_differences(lens):
    vector, points = LENSES[lens], _points()
    by_intrinsics = project_with_jacobians(lens, vector, points)[2]
    free = N_INTRINSICS if lens == "pinhole" else 8
    for i, step in enumerate((STEP * np.eye(N_INTRINSICS))[:free]):
        difference = _pixels(lens, vector + step, points) - _pixels(lens, vector - step, points)
        _close(by_intrinsics[..., i], difference / (2 * STEP))
    assert not by_intrinsics[..., free:].any()


@pytest.mark.parametrize("lens", LENSES)
def test_derivatives_are_finite_on_the_axis(lens):
    vector, axis = LENSES[lens], np.array([[0.0, 0.0, 2.0]])
    pixels, by_point, by_intrinsics = project_with_jacobians(lens, vector, axis)
    np.testing.assert_allclose(pixels[0], vector[2:4], atol=1e-12)
    np.testing.assert_allclose(by_point[0], [[vector[0] / 2, 0, 0], [0, vector[1] / 2, 0]], atol=1e-9)
    assert np.isfinite(by_intrinsics).all()


@pytest.mark.parametrize("lens", LENSES)
def test_what_is_not_in_front_is_nan(lens):
    behind = np.array([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0], [np.nan, 0.0, 1.0]])
    pixels, by_point, _ = project_with_jacobians(lens, LENSES[lens], behind)
    assert np.isnan(pixels).any(-1).all()
    assert np.isnan(by_point).any((-1, -2)).all()


def _pixels(lens, vector, points):
    return project_with_jacobians(lens, vector, points)[0]


def _close(exact, numerical):
    np.testing.assert_allclose(exact, numerical, rtol=RELATIVE, atol=RELATIVE * np.abs(exact).max())
