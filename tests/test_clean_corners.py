import numpy as np
import numpy.typing as npt

from calibration.clean_corners import clean
from tests.board_scene import BOARD, scene

PLANE = BOARD.corners_m()[:, :2]


def _pictures(noise_px: float = 0.3) -> npt.NDArray[np.float64]:
    """(N, K, 2) of a distorted camera, whole boards only."""
    px = scene(4, 60, noise_px=noise_px).seen.corners_px.reshape(-1, BOARD.corner_count, 2)
    return px[np.isfinite(px).all((1, 2))]


def test_nothing_is_taken_from_what_is_right():
    px = _pictures(noise_px=0.5)
    cleaned, dropped = clean(PLANE, px)
    assert dropped <= 0.001 * px[..., 0].size
    np.testing.assert_array_equal(cleaned[np.isfinite(cleaned)], px[np.isfinite(cleaned)])


def test_corners_far_off_are_taken_out_and_counted():
    px = _pictures()
    rng = np.random.default_rng(0)
    odd = rng.random(px.shape[:2]) < 0.1
    wrong = px.copy()
    angle = rng.uniform(0, 2 * np.pi, int(odd.sum()))
    wrong[odd] += 25.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    cleaned, dropped = clean(PLANE, wrong)
    gone = np.isnan(cleaned).any(-1)
    assert gone[odd].mean() > 0.99
    assert gone[~odd].mean() < 0.002
    assert dropped == gone.sum()


def test_a_third_of_the_corners_exchanged_is_found():
    px = _pictures()
    wrong = px.copy()
    wrong[:, :8] = px[:, 7::-1]
    gone = np.isnan(clean(PLANE, wrong)[0]).any(-1)
    assert gone[:, :8].mean() > 0.95
    assert gone[:, 8:].mean() < 0.01


def test_pictures_of_few_corners_and_of_none_stay_as_they_are():
    px = _pictures()[:2]
    px[0, 5:] = np.nan
    px[1] = np.nan
    px[0, 0] += 50.0
    cleaned, dropped = clean(PLANE, px)
    assert dropped == 0
    np.testing.assert_array_equal(cleaned, px)


def test_any_axes_before_the_corners_will_do_and_none_is_nothing():
    px = _pictures()[:8]
    px[3, 4] += 30.0
    flat, dropped = clean(PLANE, px)
    shaped, again = clean(PLANE, px.reshape(2, 4, *px.shape[1:]))
    assert dropped == again == 1
    np.testing.assert_array_equal(shaped.reshape(px.shape), flat)
    assert clean(PLANE, px[:0])[1] == 0
