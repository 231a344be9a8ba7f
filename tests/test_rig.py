"""Cameras and rigs: what they refuse, how they are picked, and what another picture size does to them."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from calibration.synthetic import ring_rig

Array = npt.NDArray[np.float64]

K = np.array([[620.0, 0.0, 319.5], [0.0, 618.0, 239.5], [0.0, 0.0, 1.0]])
T_CAM_WORLD = rigid.inverse(rigid.look_at([3.0, 0.0, 1.5], [0.0, 0.0, 1.0]))


def camera(**changes) -> Camera:
    values = {"name": "left", "size_wh": (640, 480), "K": K, "dist": np.zeros(5), "T_cam_world": T_CAM_WORLD}
    return Camera(**{**values, **changes})


def spoilt(matrix: Array, row: int, column: int, value: float) -> Array:
    out = matrix.copy()
    out[row, column] = value
    return out


@pytest.mark.parametrize(
    "changes",
    [
        {"size_wh": (0, 480)},
        {"size_wh": (640, -1)},
        {"K": np.eye(4)},
        {"K": spoilt(K, 0, 0, 0.0)},
        {"K": spoilt(K, 1, 1, -618.0)},
        {"K": spoilt(K, 0, 2, np.nan)},
        {"K": spoilt(K, 2, 2, 2.0)},
        {"K": spoilt(K, 1, 0, 0.5)},
        {"dist": np.zeros(3)},
        {"dist": np.zeros(12)},
        {"dist": [np.inf, 0, 0, 0]},
        {"T_cam_world": np.eye(3)},
        {"T_cam_world": spoilt(T_CAM_WORLD, 0, 3, np.nan)},
        {"T_cam_world": spoilt(T_CAM_WORLD, 3, 3, 2.0)},
        {"T_cam_world": T_CAM_WORLD * 1.01},
        {"T_cam_world": np.diag([1.0, 1.0, -1.0, 1.0])},
    ],
    ids=lambda changes: f"{next(iter(changes))}",
)
def test_a_wrong_camera_is_refused_by_name(changes):
    with pytest.raises(CalibrationError, match="camera 'left'"):
        camera(**changes)


def test_a_camera_without_a_name_is_refused():
    with pytest.raises(CalibrationError, match="empty name"):
        camera(name="")


def test_a_camera_projects_the_world_and_knows_both_ways():
    one = camera(dist=[-0.3, 0.1, 1e-3, -5e-4, 0.0])
    points_world_m = np.random.default_rng(0).uniform([-1, -1, 0], [1, 1, 2], (7, 11, 3))
    rotvec = rigid.rotvec_from_rotation(T_CAM_WORLD[:3, :3])
    theirs, _ = cv2.projectPoints(points_world_m.reshape(-1, 3), rotvec, T_CAM_WORLD[:3, 3], K, one.dist)
    np.testing.assert_allclose(one.project(points_world_m).reshape(-1, 2), theirs[:, 0], atol=1e-8)
    np.testing.assert_allclose(one.T_world_cam @ one.T_cam_world, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(one.T_world_cam[:3, 3], [3.0, 0.0, 1.5], atol=1e-12)


@pytest.mark.parametrize("size_wh", [(320, 240), (1280, 960), (640, 360), (213, 160)])
def test_another_size_moves_pixels_as_resizing_the_picture_does(size_wh):
    """Pixel (0, 0) is a centre: x' = (x + ½)·s − ½. A picture of its own x coordinates, resized, is the judge."""
    one = camera()
    small = one.resized(size_wh)
    ramp = np.repeat(np.arange(640, dtype=np.float32)[None], 480, axis=0)
    resized_ramp = cv2.resize(ramp, size_wh, interpolation=cv2.INTER_LINEAR)
    middle = slice(size_wh[0] // 4, 3 * size_wh[0] // 4)  # at the border, resizing has nothing to interpolate with
    x_before = resized_ramp[0, middle]
    depth = 2.0
    points_cam_m = np.stack(
        [(x_before - K[0, 2]) / K[0, 0] * depth, np.zeros(len(x_before)), np.full(len(x_before), depth)]
    )
    points_world_m = rigid.transform(one.T_world_cam, points_cam_m.T.astype(np.float64))
    np.testing.assert_allclose(one.project(points_world_m)[:, 0], x_before, atol=1e-4)
    np.testing.assert_allclose(small.project(points_world_m)[:, 0], np.arange(size_wh[0])[middle], atol=1e-2)
    assert small.size_wh == size_wh
    assert small.name == "left"


def test_a_resized_camera_comes_back_and_steps_may_be_joined():
    one = camera(dist=[-0.3, 0.1, 1e-3, -5e-4, 0.0])
    np.testing.assert_allclose(one.resized((320, 240)).resized((640, 480)).K, K, atol=1e-12)
    np.testing.assert_allclose(one.resized((320, 240)).resized((1280, 720)).K, one.resized((1280, 720)).K, atol=1e-12)
    np.testing.assert_array_equal(one.resized((640, 480)).K, K)
    corners = one.resized((1280, 960))
    points_world_m = np.array([[0.0, 0.4, 1.2], [0.3, -0.2, 0.7]])
    np.testing.assert_allclose(
        corners.project(points_world_m), (one.project(points_world_m) + 0.5) * 2 - 0.5, atol=1e-9
    )


def test_a_rig_keeps_its_order_and_finds_cameras_by_name():
    rig = ring_rig(12, 4.0, 1.5, (640, 480), 600.0)
    assert rig.names == tuple(f"cam_{i}" for i in range(12))
    assert rig["cam_10"] is rig.cameras[10]
    picked = rig.select(("cam_10", "cam_2"))
    assert picked.cameras == (rig.cameras[10], rig.cameras[2])
    points_world_m = np.random.default_rng(1).uniform(-1, 1, (5, 3))
    np.testing.assert_array_equal(picked.project(points_world_m), rig.project(points_world_m)[[10, 2]])


def test_a_camera_that_is_not_there_is_named_with_those_that_are():
    rig = ring_rig(4, 4.0, 1.5, (640, 480), 600.0)
    with pytest.raises(CalibrationError, match="no camera 'top' in the calibration; it has front, right, back, left"):
        rig.select(("front", "top"))


def test_an_empty_rig_and_two_cameras_of_one_name_are_refused():
    with pytest.raises(CalibrationError, match="at least one camera"):
        CameraRig(())
    with pytest.raises(CalibrationError, match="two cameras are called 'left'"):
        CameraRig((camera(), camera(name="right"), camera()))
