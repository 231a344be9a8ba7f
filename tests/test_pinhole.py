"""The camera model against OpenCV's, its inverse against itself, and the compiled twin against the plain one."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from calibration import pinhole
from calibration import triangulate_kernel as kernel
from calibration.errors import CalibrationError

Array = npt.NDArray[np.float64]

K = np.array([[620.0, 0.0, 322.5], [0.0, 618.0, 236.0], [0.0, 0.0, 1.0]])
SIZE_WH = (640, 480)
LENSES = {
    "none": [],
    "four": [-0.08, 0.02, 1e-3, -2e-3],
    "webcam": [-0.3, 0.1, 1e-3, -5e-4, 0.0],
    "barrel": [-0.35, 0.15, 0.0, 0.0, -0.03],
    "pincushion": [0.1, -0.2, 1e-3, 1e-3, 0.05],
    "rational": [0.2, -0.1, 1e-3, -1e-3, 0.02, 0.1, 0.05, 0.01],
}
EVERY_LENS = pytest.mark.parametrize("dist", LENSES.values(), ids=LENSES)


def pixels_of_the_image() -> Array:
    """(25, 33, 2): a grid that reaches into all corners."""
    return np.stack(np.meshgrid(np.linspace(0, 639, 33), np.linspace(0, 479, 25)), axis=-1)


def on_unit_depth(normalised: Array) -> Array:
    return np.concatenate([normalised, np.ones((*normalised.shape[:-1], 1))], axis=-1)


@EVERY_LENS
def test_projection_agrees_with_opencv(dist):
    rng = np.random.default_rng(0)
    points_cam_m = np.concatenate([rng.uniform(-0.5, 0.5, (200, 2)), np.ones((200, 1))], axis=1) * rng.uniform(
        0.5, 8, (200, 1)
    )
    theirs, _ = cv2.projectPoints(points_cam_m, np.zeros(3), np.zeros(3), K, np.array(dist, dtype=float))
    ours = pinhole.project(K, pinhole.pad_distortion(dist), points_cam_m)
    np.testing.assert_allclose(ours, theirs[:, 0], atol=1e-9)


@EVERY_LENS
def test_undistort_is_the_inverse_of_projection_everywhere_in_the_image(dist):
    dist8 = pinhole.pad_distortion(dist)
    pixels = pixels_of_the_image()
    back = pinhole.project(K, dist8, on_unit_depth(pinhole.undistort(K, dist8, pixels)))
    # the documented 1e-9 of the focal length, at 620 pixels
    np.testing.assert_allclose(back, pixels, atol=1e-9 * 620)


@EVERY_LENS
def test_projection_is_the_inverse_of_undistort(dist):
    dist8 = pinhole.pad_distortion(dist)
    ideal = np.stack(np.meshgrid(np.linspace(-0.45, 0.45, 15), np.linspace(-0.35, 0.35, 15)), axis=-1)
    np.testing.assert_allclose(
        pinhole.undistort(K, dist8, pinhole.project(K, dist8, on_unit_depth(ideal))), ideal, atol=1e-9
    )


@EVERY_LENS
def test_the_compiled_twin_undistorts_alike(dist):
    """It takes twelve steps instead of twenty: 1e-7 of the focal length, by its own documentation."""
    dist8 = pinhole.pad_distortion(dist)
    pixels = pixels_of_the_image().reshape(-1, 2)
    plain = pinhole.undistort(K, dist8, pixels)
    with_nan = np.concatenate([pixels, [[np.nan, np.nan]]])
    compiled = kernel.undistort(np.stack([K, K]), np.stack([dist8, np.zeros(8)]), np.stack([with_nan, with_nan]))
    np.testing.assert_allclose(compiled[0, :-1], plain, atol=1e-7)
    np.testing.assert_allclose(compiled[1, :-1], pinhole.undistort(K, np.zeros(8), pixels), atol=1e-12)
    assert np.isnan(compiled[:, -1]).all()


def test_a_skewed_matrix_goes_there_and_back():
    skewed = K.copy()
    skewed[0, 1] = 1.5
    dist8 = pinhole.pad_distortion(LENSES["webcam"])
    pixels = pixels_of_the_image()
    ideal = pinhole.undistort(skewed, dist8, pixels)
    np.testing.assert_allclose(pinhole.project(skewed, dist8, on_unit_depth(ideal)), pixels, atol=1e-6)
    compiled = kernel.undistort(skewed[None], dist8[None], pixels.reshape(1, -1, 2))
    np.testing.assert_allclose(compiled[0], ideal.reshape(-1, 2), atol=1e-7)


def test_without_distortion_the_principal_point_is_straight_ahead():
    np.testing.assert_allclose(pinhole.project(K, np.zeros(8), np.array([0.0, 0.0, 2.0])), [322.5, 236.0])
    np.testing.assert_allclose(pinhole.undistort(K, np.zeros(8), np.array([322.5 + 620, 236.0])), [1.0, 0.0])


def test_points_that_are_not_in_front_have_no_pixel():
    points_cam_m = np.array(
        [[0.1, 0.1, -1.0], [0.1, 0.1, 0.0], [np.nan, 0.0, 1.0], [0.0, 0.0, np.nan], [0.1, 0.0, 1.0]]
    )
    pixels = pinhole.project(K, pinhole.pad_distortion(LENSES["webcam"]), points_cam_m)
    np.testing.assert_array_equal(np.isnan(pixels).any(axis=1), [True, True, True, True, False])
    assert np.isnan(pixels[:2]).all()


def test_nan_stays_nan_and_its_neighbours_do_not_notice():
    dist8 = pinhole.pad_distortion(LENSES["rational"])
    pixels = np.array([[100.0, 100.0], [np.nan, 5.0], [500.0, 400.0]])
    ideal = pinhole.undistort(K, dist8, pixels)
    assert np.isnan(ideal[1]).any()
    np.testing.assert_array_equal(ideal[[0, 2]], pinhole.undistort(K, dist8, pixels[[0, 2]]))


@pytest.mark.parametrize("shape", [(2,), (0, 2), (3, 2), (2, 3, 4, 2)])
def test_batches_of_any_shape_keep_it(shape):
    dist8 = pinhole.pad_distortion(LENSES["four"])
    pixels = np.random.default_rng(1).uniform(0, 400, shape)
    ideal = pinhole.undistort(K, dist8, pixels)
    assert ideal.shape == shape
    assert pinhole.project(K, dist8, on_unit_depth(ideal)).shape == shape


@pytest.mark.parametrize("length", [0, 4, 5, 8])
def test_absent_coefficients_are_zero(length):
    padded = pinhole.pad_distortion(np.arange(1.0, length + 1))
    np.testing.assert_array_equal(padded, [*range(1, length + 1), *[0.0] * (8 - length)])


@pytest.mark.parametrize("length", [1, 2, 3, 6, 7, 9, 12, 14])
def test_a_length_that_the_model_does_not_have_is_refused(length):
    with pytest.raises(CalibrationError, match=f"{length} coefficients is not supported"):
        pinhole.pad_distortion(np.zeros(length))
