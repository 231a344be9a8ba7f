from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.world_frame import from_board, from_cameras, from_points, lying_board, moved, towards
from tests.board_views import BOARD, rig_of

WIDE = CharucoBoard(7, 5, 0.06, 0.045)
ASTRAY = rigid.from_rotation(rigid.rotation_from_rotvec((1.3, -0.7, 2.1)), (3.0, -8.0, 1.5))  # T_old_true
FACE_UP = np.diag([1.0, -1.0, -1.0])  # R_floor_board: print towards the ceiling


def astray() -> CameraRig:
    """A true rig in a world that begins somewhere and leans."""
    return moved(rig_of(), ASTRAY)


def lying(
    board: CharucoBoard = BOARD, R: npt.NDArray[np.float64] = FACE_UP, turn: float = 0.0, height_m: float = 0.0
) -> npt.NDArray[np.float64]:
    """T_true_board with its middle above the true origin."""
    R = rigid.rotation_from_rotvec((0.0, 0.0, turn)) @ R
    width_m, deep_m = board.size_m
    return rigid.from_rotation(R, np.array([0.0, 0.0, height_m]) - R @ (width_m / 2, deep_m / 2, 0.0))


def seen_lying(rig: CameraRig, board: CharucoBoard, T_world_board: npt.NDArray[np.float64]) -> BoardSightings:
    rng = np.random.default_rng(0)
    px = rig.project(np.stack([rigid.transform(T_world_board, board.corners_m())] * 9))
    shape = px.shape[:2]
    zeros = np.zeros(shape)
    return BoardSightings(
        rig.names,
        tuple(camera.size_wh for camera in rig.cameras),
        zeros,
        zeros.astype(np.int64),
        px + rng.normal(0.0, 0.3, px.shape),
        zeros > 1,
    )


@pytest.mark.parametrize("side", [FACE_UP, np.eye(3)], ids=["print up", "print down"])
@pytest.mark.parametrize("board", [WIDE, BOARD], ids=["wide", "tall"])
def test_a_board_on_the_floor_gives_the_world(side: npt.NDArray[np.float64], board: CharucoBoard):
    T_new_old = from_board(astray(), board, ASTRAY @ lying(board, side, height_m=0.01), thickness_m=0.01)
    T_new_true = T_new_old @ ASTRAY
    np.testing.assert_allclose(T_new_true[:3, 3], 0.0, atol=1e-9)
    np.testing.assert_allclose(T_new_true[2, :3], (0, 0, 1), atol=1e-9)
    along = ASTRAY[:3, :3] @ lying(board, side)[:3, 0 if board is WIDE else 1]
    np.testing.assert_allclose(T_new_old[:3, :3] @ along, (1, 0, 0), atol=1e-9)


def test_the_origin_may_be_the_boards_corner():
    T_world_board = ASTRAY @ lying()
    T_new_old = from_board(astray(), BOARD, T_world_board, at_corner=True)
    np.testing.assert_allclose(rigid.transform(T_new_old, T_world_board[:3, 3]), 0.0, atol=1e-9)


def test_cameras_on_both_sides_of_the_board_are_refused():
    high = ASTRAY @ lying(height_m=1.5)
    with pytest.raises(CalibrationError, match="the board cannot lie on the floor: right, left would stand below"):
        from_board(astray(), BOARD, high)


def test_moving_a_rig_changes_no_pixel():
    rig = rig_of()
    point = np.array([[0.3, -0.2, 1.1]])
    np.testing.assert_allclose(moved(rig, ASTRAY).project(rigid.transform(ASTRAY, point)), rig.project(point))


@pytest.mark.parametrize("cameras", [("front", "right", "back", "left"), ("left",)], ids=["four", "one"])
def test_a_lying_board_is_placed(cameras: tuple[str, ...]):
    rig = rig_of().select(cameras)
    truth = lying(WIDE, turn=0.7)
    found = lying_board(rig, WIDE, seen_lying(rig, WIDE, truth))
    apart = rigid.inverse(truth) @ found
    assert np.linalg.norm(apart[:3, 3]) < 0.004
    assert np.degrees(np.linalg.norm(rigid.rotvec_from_rotation(apart[:3, :3]))) < 0.5


def test_a_board_that_is_carried_is_refused():
    seen = seen_lying(rig_of(), WIDE, lying(WIDE))
    seen.corners_px[1, 4:] += 12.0
    with pytest.raises(CalibrationError, match=r"the board moves, by 17 px in the picture of right: .*--at SECOND"):
        lying_board(rig_of(), WIDE, seen)


def test_a_board_that_nobody_sees_is_refused():
    seen = seen_lying(rig_of(), WIDE, lying(WIDE))
    seen.corners_px[:] = np.nan
    with pytest.raises(CalibrationError, match="not seen well enough"):
        lying_board(rig_of(), WIDE, seen)


def test_points_on_the_floor_give_the_world():
    points = rigid.transform(ASTRAY, np.array([[0.5, 0.2, 0.0], [0.5, 1.2, 0.0], [-1.0, 0.4, 0.0]]))
    T_new_true = from_points(astray(), *points) @ ASTRAY
    np.testing.assert_allclose(rigid.transform(T_new_true, np.array([0.5, 0.2, 0.0])), 0.0, atol=1e-9)
    np.testing.assert_allclose(rigid.transform(T_new_true, np.array([0.5, 1.2, 0.0])), (1, 0, 0), atol=1e-9)
    np.testing.assert_allclose(T_new_true[2, :3], (0, 0, 1), atol=1e-9)


@pytest.mark.parametrize(
    ("third", "words"),
    [((2.0, 0.01, 0.0), "lie on a line"), ((0.01, 0.0, 0.0), "10 mm apart"), ((0, 1, 3), "stand below")],
)
def test_points_that_tell_no_floor_are_refused(third: tuple[float, float, float], words: str):
    points = rigid.transform(ASTRAY, np.array([(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), third]))
    with pytest.raises(CalibrationError, match=words):
        from_points(astray(), *points)


def test_level_cameras_give_the_world():
    rig = astray()
    height_m = rig_of()["left"].T_world_cam[2, 3]
    T_new_true = from_cameras(rig, "left", height_m) @ ASTRAY
    np.testing.assert_allclose(T_new_true[2, :3], (0, 0, 1), atol=1e-3)
    np.testing.assert_allclose(T_new_true[2, 3], 0.0, atol=0.01)
    x, y, z = rigid.transform(T_new_true, rig_of()["left"].T_world_cam[:3, 3])
    assert x > 2.0
    assert y == pytest.approx(0.0, abs=1e-6)
    assert z == pytest.approx(height_m, abs=1e-6)


def test_cameras_side_by_side_are_levelled_by_their_own_up():
    rig = rig_of(1)
    T_beside = rigid.from_rotation(np.eye(3), (-0.5, 0.0, 0.0))
    pair = CameraRig(
        (*rig.cameras, replace(rig.cameras[0], name="beside", T_cam_world=T_beside @ rig.cameras[0].T_cam_world))
    )
    T_new_true = from_cameras(pair, "beside", 1.6)
    assert np.degrees(np.arccos(T_new_true[2, 2])) < 20.0  # they look down by 10 degrees, and nothing else is known


def test_x_points_towards_a_chosen_camera():
    rig = astray()
    T_new_old = towards(rig, from_board(rig, BOARD, ASTRAY @ lying()), "back")
    x, y, _ = rigid.transform(T_new_old, rig["back"].T_world_cam[:3, 3])
    assert x > 2.0
    assert y == pytest.approx(0.0, abs=1e-9)
