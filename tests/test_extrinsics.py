import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.extrinsics import BoardViews, Pair, board_start, board_views, chained, pairs_of
from tests.board_scene import BOARD, T_world_board, from_first, ring, scene


def _views(n_cameras: int = 4, instants: int = 40, noise_px: float = 0.3) -> tuple[BoardViews, npt.NDArray[np.float64]]:
    made = scene(n_cameras, instants, noise_px=noise_px)
    rays = [camera.undistort(px) for camera, px in zip(made.rig.cameras, made.seen.corners_px, strict=True)]
    return board_views(BOARD.corners_m(), rays), from_first(made.rig)


def _without(views: BoardViews, c: int, instants) -> BoardViews:
    error = views.error.copy()
    error[c][:, instants] = np.inf
    return BoardViews(views.Ts_cam_board, error)


def test_each_pair_knows_where_one_stands_to_the_other():
    views, truth = _views(noise_px=0.0)
    for pair in pairs_of(views):
        np.testing.assert_allclose(pair.T_b_a, truth[pair.b] @ rigid.inverse(truth[pair.a]), atol=1e-5)
        assert pair.agree == pair.instants


def test_cameras_are_chained_to_the_first():
    views, truth = _views()
    found = chained(ring(4).names, pairs_of(views))
    np.testing.assert_array_equal(found[0], np.eye(4))
    assert np.abs(found - truth).max() < 0.15


def test_a_camera_is_reached_through_another_that_knows_it():
    """0 and 2 never see the board at one time; both do with 1."""
    views, truth = _views(3, 60, noise_px=0.0)
    instants = np.arange(60)
    views = _without(_without(views, 0, instants >= 30), 2, instants < 30)
    pairs = pairs_of(views)
    assert {(pair.a, pair.b) for pair in pairs} == {(0, 1), (1, 2)}
    np.testing.assert_allclose(chained(("a", "b", "c"), pairs), truth, atol=1e-5)


def test_the_tree_is_of_the_pairs_that_agree_most():
    """The direct pair is wrong, but few instants say so; the way over the third camera is taken."""
    T = rigid.from_rotation(np.eye(3), (1.0, 0.0, 0.0))
    wrong = rigid.from_rotation(np.eye(3), (9.0, 0.0, 0.0))
    pairs = [Pair(0, 1, 40, 40, T), Pair(0, 2, 5, 4, wrong), Pair(1, 2, 40, 38, T)]
    np.testing.assert_allclose(chained(("a", "b", "c"), pairs)[2], T @ T)


def test_a_camera_that_never_sees_the_board_with_others_is_named():
    views, _ = _views()
    alone = _without(views, 2, slice(None))
    with pytest.raises(CalibrationError, match=r"'back' saw the board together with .* at 0 instants.*hold the board"):
        chained(ring(4).names, pairs_of(alone))


def test_two_groups_that_do_not_meet_are_named():
    views, _ = _views(4, 60)
    instants = np.arange(60)
    for c, gone in ((0, instants >= 30), (1, instants >= 30), (2, instants < 30), (3, instants < 30)):
        views = _without(views, c, gone)
    with pytest.raises(CalibrationError, match=r"'back'.*'left'"):
        chained(ring(4).names, pairs_of(views))


def test_a_camera_that_no_place_explains_is_named_with_what_may_be_wrong():
    """Its pictures are of other times."""
    views, _ = _views(4, 60)
    poses, error = views.Ts_cam_board.copy(), views.error.copy()
    mixed = np.random.default_rng(0).permutation(60)
    poses[3], error[3] = poses[3][:, mixed], error[3][:, mixed]
    with pytest.raises(CalibrationError, match=r"'left'.*no one place of the camera explains.*swapped"):
        chained(ring(4).names, pairs_of(BoardViews(poses, error)))


def test_half_of_the_instants_wrong_does_not_move_a_pair():
    views, truth = _views(2, 80, noise_px=0.2)
    poses, error = views.Ts_cam_board.copy(), views.error.copy()
    odd = np.random.default_rng(0).choice(80, 35, replace=False)
    poses[1][:, odd], error[1][:, odd] = poses[1][:, np.roll(odd, 7)], error[1][:, np.roll(odd, 7)]
    pair = pairs_of(BoardViews(poses, error))[0]
    assert pair.agree < pair.instants
    assert np.abs(pair.T_b_a - truth[1]).max() < 0.1


def test_the_board_s_way_is_the_one_most_cameras_confirm():
    views, truth = _views(4, 40, noise_px=0.0)
    Ts_world_board, known = board_start(views, truth)
    expected = ring(4).cameras[0].T_cam_world @ T_world_board(np.arange(40) / 10.0)
    np.testing.assert_allclose(Ts_world_board[known], expected[known], atol=1e-5)
    assert known.mean() > 0.9


def test_an_instant_that_nobody_saw_is_not_known():
    views, truth = _views(3, 30)
    for c in range(3):
        views = _without(views, c, 7)
    _, known = board_start(views, truth)
    assert not known[7]
