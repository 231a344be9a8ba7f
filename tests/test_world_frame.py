from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.world_frame import from_board, from_cameras, from_points, level_of, lying_board, moved, towards
from nodes.calibrating.world import told
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


def rolled(degrees: dict[str, float], rig: CameraRig | None = None) -> CameraRig:
    """The true rig with cameras turned about their line of sight, each by hand, in a world that leans."""
    rng = np.random.default_rng(1)
    cameras = []
    for camera in (rig or rig_of()).cameras:
        angle = np.radians(degrees.get(camera.name, 0.0) + rng.normal(0.0, 1.0))
        turn = rigid.from_rotation(rigid.rotation_from_rotvec((0.0, 0.0, angle)), np.zeros(3))
        cameras.append(replace(camera, T_cam_world=turn @ camera.T_cam_world))
    return moved(CameraRig(tuple(cameras)), ASTRAY)


@pytest.mark.parametrize(
    ("degrees", "sideways", "upside_down"),
    [
        ({}, (), ()),
        ({"right": 90, "back": -90}, ("right", "back"), ()),
        ({"back": 180}, (), ("back",)),
        ({"front": 90, "back": 180}, ("front",), ("back",)),
        ({"front": 180, "left": 180, "back": 5}, (), ("front", "left")),
        ({"front": 90, "right": 90, "back": -90, "left": 90}, ("front", "right", "back", "left"), ()),
    ],
    ids=["upright", "two sideways", "upside down", "one of each", "two upside down", "all sideways"],
)
def test_cameras_may_be_mounted_in_any_way_that_is_level(degrees, sideways, upside_down):
    rig = rolled(degrees)
    level = level_of(rig)
    assert level.known
    assert level.off_deg < 6.0
    assert (level.sideways, level.upside_down) == (sideways, upside_down)
    assert np.degrees(np.arccos(level.up @ ASTRAY[:3, 2])) < 3.0
    assert (from_cameras(rig, "left", 1.5) @ ASTRAY)[2, 2] > 0.998


def test_the_printed_places_name_what_is_turned():
    rig = rolled({"front": 90, "back": 180})
    lines = told(moved(rig, from_cameras(rig, "left", 1.5))).splitlines()
    assert [line.split()[0] for line in lines if "on its side" in line] == ["front"]
    assert [line.split()[0] for line in lines if "upside down" in line] == ["back"]


@pytest.mark.parametrize("names", [("front", "right"), ("front", "back"), ("front", "right", "back")])
def test_few_cameras_are_upright_where_that_is_as_good(names: tuple[str, ...]):
    level = level_of(rolled({}, rig_of().select(names)))
    assert level.sideways == level.upside_down == ()
    assert np.degrees(np.arccos(level.up @ ASTRAY[:3, 2])) < 15.0


@pytest.mark.parametrize("down_deg", [-20.0, 0.0, 45.0, 60.0, 90.0])
def test_cameras_may_look_down_as_they_like(down_deg: float):
    cameras = []
    for n, name in enumerate(("front", "right", "back", "left")):
        pitch = rigid.rotation_from_rotvec((np.radians(-90.0 - down_deg), 0.0, 0.0))
        turn = rigid.rotation_from_rotvec((0.0, 0.0, n * np.pi / 2))
        T_world_cam = rigid.from_rotation(turn @ pitch, turn @ (0.0, -3.0, 2.0))
        cameras.append(replace(rig_of()[name], T_cam_world=rigid.inverse(T_world_cam)))
    level = level_of(rolled({}, CameraRig(tuple(cameras))))
    assert level.sideways == level.upside_down == ()
    assert np.degrees(np.arccos(level.up @ ASTRAY[:3, 2])) < 3.0


@pytest.mark.parametrize("degrees", [30, -40])
def test_where_a_camera_is_rolled_up_is_not_known(degrees: float):
    rig = rolled({"back": degrees})
    assert not level_of(rig).known
    with pytest.raises(
        CalibrationError, match=r"up is not known .* (back|front) is rolled by \d+ degrees.*--board-on-floor"
    ):
        from_cameras(rig, "left", 1.5)


def test_x_points_towards_a_chosen_camera():
    rig = astray()
    T_new_old = towards(rig, from_board(rig, BOARD, ASTRAY @ lying()), "back")
    x, y, _ = rigid.transform(T_new_old, rig["back"].T_world_cam[:3, 3])
    assert x > 2.0
    assert y == pytest.approx(0.0, abs=1e-9)
