import numpy as np
import numpy.typing as npt
import pytest

from calibration.planar import board_poses, homographies
from calibration.twist import exp_twist, log_twist
from tests.board_scene import BOARD


def _poses(n: int, seed: int = 0, away_m: float = 1.2) -> npt.NDArray[np.float64]:
    """(N, 4, 4) of boards before the camera, turned by up to about 55 degrees."""
    rng = np.random.default_rng(seed)
    T = exp_twist(np.concatenate([rng.uniform(-0.55, 0.55, (n, 3)), np.zeros((n, 3))], axis=1))
    T[:, :3, 3] = rng.uniform(-0.3, 0.3, (n, 3)) + np.array([0.0, 0.0, away_m])
    T[:, :3, 3] -= T[:, :3, :3] @ BOARD.corners_m().mean(0)
    return T


def _rays(T: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    points = BOARD.corners_m() @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3]
    return points[..., :2] / points[..., 2:]


def _apart(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.linalg.norm(log_twist(np.linalg.inv(one) @ other), axis=-1)


def test_the_likelier_pose_of_exact_rays_is_the_true_one():
    T = _poses(50)
    found, error = board_poses(BOARD.corners_m(), _rays(T))
    assert _apart(found[0], T).max() < 1e-6
    assert error[0].max() < 1e-8


def test_both_answers_are_given_and_the_likelier_comes_first():
    _, error = board_poses(BOARD.corners_m(), _rays(_poses(50)))
    assert (error[0] <= error[1]).all()


def test_of_a_far_board_one_of_both_answers_is_right():
    """Six metres away, with half a pixel of noise at 900 px, one picture does not tell its tilt from the opposite."""
    T = _poses(200, away_m=6.0)
    rays = _rays(T) + np.random.default_rng(1).normal(0, 0.5 / 900, (200, BOARD.corner_count, 2))
    found, _ = board_poses(BOARD.corners_m(), rays)
    first, second = _turn(found[0], T), _turn(found[1], T)
    assert np.mean(np.minimum(first, second) < 0.12) > 0.95
    assert np.mean(first < 0.12) < np.mean(np.minimum(first, second) < 0.12)


def test_corners_that_are_missing_do_not_matter():
    T = _poses(30)
    rays = _rays(T)
    rays[:, ::3] = np.nan
    found, _ = board_poses(BOARD.corners_m(), rays)
    assert _apart(found[0], T).max() < 1e-6


@pytest.mark.parametrize("seen", [[], [0], [0, 1, 4], [0, 1, 2, 3], [4, 5, 6, 7]])
def test_too_few_corners_or_all_on_a_line_are_no_pose(seen):
    rays = np.full((2, BOARD.corner_count, 2), np.nan)
    rays[:, seen] = _rays(_poses(2))[:, seen]
    H = homographies(BOARD.corners_m()[:, :2], rays)
    assert np.isnan(H).all()
    _, error = board_poses(BOARD.corners_m(), rays)
    assert not np.isfinite(error).any()


def test_a_homography_maps_the_board_to_its_picture():
    rays = _rays(_poses(20))
    H = homographies(BOARD.corners_m()[:, :2], rays)
    mapped = np.concatenate([BOARD.corners_m()[:, :2], np.ones((BOARD.corner_count, 1))], axis=1) @ H.swapaxes(1, 2)
    np.testing.assert_allclose(mapped[..., :2] / mapped[..., 2:], rays, atol=1e-9)


def test_one_corner_far_off_hardly_moves_the_pose():
    T = _poses(30)
    rays = _rays(T)
    rays[:, 7] += 0.04  # 36 px at 900 px
    found, _ = board_poses(BOARD.corners_m(), rays)
    assert np.median(_turn(found[0], T)) < 0.05


def _turn(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.linalg.norm(log_twist(np.linalg.inv(one) @ other)[..., :3], axis=-1)
