"""The renderer shows what the truth says: right pixels with lens distortion, right depth, the same picture twice."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration.board import CharucoBoard
from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from lifter.skeleton import MEDIAPIPE33
from nodes.sources.virtual import march
from nodes.sources.virtual.board_plate import BoardPlate
from nodes.sources.virtual.board_texture import aruco_board
from nodes.sources.virtual.render import Renderer
from nodes.sources.virtual.room import view_of
from nodes.sources.virtual.scene import Pillar, Scene, stage

DISTORTIONS = ((0.0, 0.0, 0.0, 0.0, 0.0), (-0.28, 0.09, 0.002, -0.003, 0.01), (0.12, -0.05, -0.001, 0.002, 0.0))


def rig_of(dist: tuple[float, ...] = DISTORTIONS[0], n: int = 4, radius_m: float = 3.4) -> CameraRig:
    return ring_rig(n, radius_m, 1.5, (320, 240), 310.0, dist=dist)


@pytest.mark.parametrize("dist", DISTORTIONS)
def test_a_ball_is_drawn_where_it_projects(dist: tuple[float, ...]) -> None:
    for camera in rig_of(dist).cameras:
        view = view_of(camera, Scene())
        for place in ((0.0, 0.0, 0.95), (0.5, -0.6, 1.5), (-0.4, 0.7, 0.3)):
            cones = np.array([[*place, *place, 0.04, 0.04, 0.01, 0.0, 1e9]], np.float32)
            image, depth = np.zeros((240, 320, 3), np.uint8), np.full((240, 320), 1e9, np.float32)
            ball = np.array([[*place, 0.06]], np.float32)
            march.draw_cones(image, depth, view.rays, view.origin.astype(np.float32), view.tile_rays, cones, ball,
                             np.array([0, 1]), np.ones((1, 3), np.float32))  # fmt: skip
            v, u = np.nonzero(image.max(axis=-1))
            np.testing.assert_allclose([u.mean(), v.mean()], camera.project(np.array(place)), atol=0.4)
            nearest_m = np.linalg.norm(view.origin - place) - 0.04
            assert depth.min() == pytest.approx(nearest_m, abs=0.003)


@pytest.mark.parametrize("dist", DISTORTIONS)
def test_joints_lie_in_the_silhouette(dist: tuple[float, ...]) -> None:
    rig = rig_of(dist)
    scene = stage(rig, "demo", sensor_noise=0.0)
    for camera in rig.cameras:
        empty = Renderer(replace(scene, actors=()), camera).image_at(0.0).astype(int)
        renderer = Renderer(scene, camera)
        for t_s in (1.1, 3.0, 5.2, 7.9):
            inside = np.abs(renderer.image_at(t_s) - empty).max(axis=-1) > 3
            px = np.rint(camera.project(scene.joints_at([t_s])[0, 0, MEDIAPIPE33.limb_indices()])).astype(int)
            assert inside[px[:, 1], px[:, 0]].all()


def test_tiles_change_nothing() -> None:
    """The pictures with every tile marching all cones from the start are the plain algorithm."""
    rig = rig_of()
    plain = Renderer(stage(rig, "reach", sensor_noise=0.0), rig.cameras[0])
    tiled = Renderer(stage(rig, "reach", sensor_noise=0.0), rig.cameras[0])
    plain._view.tile_rays[..., 3] = 10.0
    for t_s in (1.3, 2.5, 8.4):
        differ = np.abs(plain.image_at(t_s).astype(int) - tiled.image_at(t_s)).max(axis=-1) > 8
        assert differ.mean() < 0.001


def test_same_arguments_same_picture_and_other_noise_in_another_frame() -> None:
    rig = rig_of()
    one, again = (Renderer(stage(rig, "walk", 2, seed=3), rig.cameras[1]) for _ in range(2))
    other_seed = Renderer(stage(rig, "walk", 2, seed=4), rig.cameras[1])
    np.testing.assert_array_equal(one.image_at(0.7, 5), again.image_at(0.7, 5))
    assert np.any(one.image_at(0.7, 5) != one.image_at(0.7, 6))
    assert np.any(one.image_at(0.7, 5) != other_seed.image_at(0.7, 5))


def test_noise_has_the_size_asked_for() -> None:
    rig = rig_of()
    quiet, noisy = (Renderer(Scene(sensor_noise=level), rig.cameras[0]).image_at(0.0) for level in (0.0, 4.0))
    assert np.std(noisy.astype(float) - quiet) == pytest.approx(4.0, rel=0.1)


def test_a_pillar_hides_what_is_behind_it_and_not_what_is_before_it() -> None:
    camera = rig_of().cameras[0]
    scene = replace(stage(rig_of(), "crouch", sensor_noise=0.0))
    pelvis_px = np.rint(camera.project(scene.joints_at([0.0])[0, 0, -4])).astype(int)
    eye = camera.T_world_cam[:2, 3]
    colours = {}
    for name, share in (("between", 0.5), ("behind", -0.4)):
        there = replace(scene, pillars=(Pillar((eye[0] * share, eye[1] * share), (0.3, 0.3, 1.6), (0.0, 1.0, 0.0)),))
        colours[name] = Renderer(there, camera).image_at(0.0)[pelvis_px[1], pelvis_px[0]]
    red, green, _ = colours["between"]
    assert green > 150
    assert red < 100
    assert colours["behind"][1] < 100


@pytest.mark.parametrize("dist", DISTORTIONS)
def test_board_corners_are_where_truth_says(dist: tuple[float, ...]) -> None:
    camera = ring_rig(1, 1.9, 1.3, (640, 480), 620.0, (0.0, 0.0, 1.1), dist).cameras[0]
    board = BoardPlate(CharucoBoard(4, 5, 0.1, 0.075), reach_m=0.3)
    renderer = Renderer(Scene(board=board, sensor_noise=1.0), camera)
    detector = cv2.aruco.CharucoDetector(aruco_board(board.board, board.square_m))
    errors_px = []
    for t_s in np.arange(0, board.period_s, 1.0):
        grey = cv2.cvtColor(renderer.image_at(t_s), cv2.COLOR_RGB2GRAY)
        corners, ids, _, _ = detector.detectBoard(grey)
        if ids is None or len(ids) < 6:
            continue
        # OpenCV's ChArUco detector counts from the top-left pixel's corner, half a pixel off our convention.
        errors_px.append(corners[:, 0] - 0.5 - camera.project(board.corners_world_m(t_s))[ids[:, 0]])
    assert len(errors_px) >= 6
    error_px = np.concatenate(errors_px)
    np.testing.assert_allclose(np.median(error_px, axis=0), 0.0, atol=0.05)
    assert np.percentile(np.linalg.norm(error_px, axis=-1), 90) < 0.5


def test_an_actor_before_the_board_hides_it() -> None:
    rig = rig_of(radius_m=3.0)
    camera = rig.cameras[0]
    board = BoardPlate(reach_m=0.0)  # inside the actor, facing the camera's side at some times
    scene = replace(stage(rig, "crouch", sensor_noise=0.0), board=board)
    chest = scene.joints_at([0.0])[0, 0, -3] + np.array([0.1, 0.0, -0.1])
    u, v = np.rint(camera.project(chest)).astype(int)
    with_actor = Renderer(scene, camera).image_at(0.0)[v, u].astype(int)
    assert with_actor[2] > with_actor[0] + 40, "the blue shirt"
