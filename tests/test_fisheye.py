"""Fisheye cameras: the model against OpenCV's, its inverse, and every place that uses a camera's distortion."""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from calibration import fisheye, lens, rigid
from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from calibration.synthetic import ring_rig
from calibration.triangulate import RigArrays, triangulate
from lifter.datasets.neutral import load_neutral, save_neutral
from lifter.skeleton import MEDIAPIPE33
from nodes.offline.sequence import load_sequence
from nodes.sources.virtual.room import view_of
from nodes.sources.virtual.scene import Scene
from nodes.stages.delivered import delivered
from nodes.stages.expectation import expect
from tests.multiview_files import actor_recording

SIZE_WH = (1280, 720)
K = np.array([[400.0, 0.7, 652.0], [0.0, 402.0, 355.0], [0.0, 0.0, 1.0]])
LENSES = {
    "equidistant": [0.0, 0.0, 0.0, 0.0],
    "mild": [-0.02, 0.01, -0.004, 0.0005],
    "strong": [0.12, -0.05, 0.02, -0.006],
}
EVERY_LENS = pytest.mark.parametrize("dist", LENSES.values(), ids=LENSES)


def fisheye_rig(n_cameras: int = 4, radius_m: float = 2.5) -> CameraRig:
    """400 px at 1280x720 reach about 90 degrees to the side, 51 up and down; 120 degrees are within the picture."""
    rig = ring_rig(n_cameras, radius_m, 2.0, SIZE_WH, 400.0)
    dists = [np.array(dist) for dist in LENSES.values()]
    return CameraRig(tuple(replace(c, dist=dists[i % 3], lens="fisheye") for i, c in enumerate(rig.cameras)))


def points_ahead(n: int, widest_deg: float) -> npt.NDArray[np.float64]:
    """(n, 3) in the camera frame, up to that angle off the axis."""
    rng = np.random.default_rng(3)
    theta, around = np.radians(rng.uniform(0, widest_deg, n)), rng.uniform(0, 2 * np.pi, n)
    rays = np.stack([np.sin(theta) * np.cos(around), np.sin(theta) * np.sin(around), np.cos(theta)], axis=1)
    return rays * rng.uniform(0.5, 8, (n, 1))


@EVERY_LENS
def test_projection_agrees_with_opencv(dist):
    points_cam_m = points_ahead(300, 80)
    skewless = K * [[1, 0, 1], [1, 1, 1], [1, 1, 1]]
    theirs, _ = cv2.fisheye.projectPoints(
        points_cam_m[:, None], np.zeros(3), np.zeros(3), skewless, np.array(dist), alpha=K[0, 1] / K[0, 0]
    )
    ours = lens.project("fisheye", K, lens.pad_distortion("fisheye", dist), points_cam_m)
    np.testing.assert_allclose(ours, theirs[:, 0], atol=1e-8)


@EVERY_LENS
def test_undistort_is_the_inverse_of_projection(dist):
    dist8 = lens.pad_distortion("fisheye", dist)
    points_cam_m = np.concatenate([points_ahead(300, 85), [[0.0, 0.0, 2.0]]])
    rays = lens.undistort("fisheye", K, dist8, lens.project("fisheye", K, dist8, points_cam_m))
    ideal = points_cam_m[:, :2] / points_cam_m[:, 2:]
    np.testing.assert_allclose(np.arctan(rays), np.arctan(ideal), atol=1e-11)


@EVERY_LENS
def test_the_compiled_twin_undistorts_alike(dist):
    camera = Camera("wide", SIZE_WH, K, np.array(dist), np.eye(4), "fisheye")
    long_K = np.array([[1200.0, 0.0, 652.0], [0.0, 1206.0, 355.0], [0.0, 0.0, 1.0]])
    flat = Camera("flat", SIZE_WH, long_K, np.array([-0.3, 0.1, 0.0, 0.0]), np.eye(4))
    px = np.concatenate([np.random.default_rng(1).uniform(0, SIZE_WH, (200, 2)), [[np.nan, 3.0]], K[None, :2, 2]])
    rays = RigArrays.of(CameraRig((flat, camera))).rays(np.stack([px, px]))
    np.testing.assert_allclose(rays[1], camera.undistort(px), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(rays[0], flat.undistort(px), atol=1e-7)


def test_what_the_lens_cannot_see_is_nan():
    camera = Camera("wide", SIZE_WH, K, np.zeros(4), np.eye(4), "fisheye")
    behind = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [np.nan, 0.0, 1.0], [0.1, 0.0, 1.0]])
    np.testing.assert_array_equal(np.isnan(camera.project(behind)).all(axis=1), [True, True, True, False])
    beyond_180 = K[:2, 2] + [400 * 1.6, 0]
    assert np.isnan(camera.undistort(beyond_180)).all()
    folding = Camera("folds", SIZE_WH, K, np.array([-0.3, 0.0, 0.0, 0.0]), np.eye(4), "fisheye")
    turn = np.sqrt(1 / 0.9)  # 1 - 3·0.3·theta² = 0
    assert fisheye.widest_rad(folding.dist8) == pytest.approx(turn)
    out_there = np.array([[np.tan(turn - 0.01), 0, 1.0], [np.tan(turn + 0.01), 0, 1.0]])
    np.testing.assert_array_equal(np.isnan(folding.project(out_there)).any(axis=1), [False, True])


@pytest.mark.parametrize("length", [1, 3, 5, 8])
def test_another_number_of_coefficients_is_refused(length):
    with pytest.raises(CalibrationError, match=f"camera 'wide': a fisheye lens has 0 or 4 .* not {length}"):
        Camera("wide", SIZE_WH, K, np.zeros(length), np.eye(4), "fisheye")
    with pytest.raises(CalibrationError, match="lens 'mirror' is not known: it is one of pinhole, fisheye"):
        Camera("wide", SIZE_WH, K, np.zeros(4), np.eye(4), "mirror")  # type: ignore[arg-type]


def test_four_fisheye_cameras_triangulate_exactly():
    rig = fisheye_rig(radius_m=1.7)
    joints_m = np.random.default_rng(0).uniform([-1.2, -1.2, 0.1], [1.2, 1.2, 1.9], (33, 3))
    px = rig.project(joints_m)
    off_axis = np.arctan(np.linalg.norm(rig.cameras[0].undistort(px[0]), axis=1))
    assert np.degrees(off_axis).max() > 45
    found = triangulate(RigArrays.of(rig), px, np.ones(px.shape[:2]))
    assert found.used.all()
    np.testing.assert_allclose(found.points_m, joints_m, atol=1e-9)


def test_a_resized_and_a_cropped_fisheye_stay_fisheyes():
    camera = fisheye_rig().cameras[1]
    for other in (
        camera.resized((640, 360)),
        delivered(camera, (640, 360), None),
        delivered(camera, (600, 400), (8, 9)),
    ):
        assert other.lens == "fisheye"
    point = np.array([0.3, 0.2, 1.0])
    np.testing.assert_allclose(delivered(camera, (600, 400), (8, 9)).project(point), camera.project(point) - [8, 9])


def test_people_are_expected_where_a_fisheye_sees_them():
    """Far to the side: a picture without distortion would have them far outside."""
    rig = CameraRig((fisheye_rig().cameras[0], ring_rig(4, 2.5, 2.0, SIZE_WH, 900.0).cameras[1]))
    eye = rig.cameras[0].T_world_cam
    aside = eye[:3, 3] + 2.0 * (eye[:3, :3] @ [np.sin(np.radians(72)), 0.0, np.cos(np.radians(72))])
    joints_m = aside + np.random.default_rng(0).uniform(-0.2, 0.2, (1, 33, 3))
    told = expect(0, [5], joints_m, np.zeros_like(joints_m), np.full((1, 33), 0.01), rig, MEDIAPIPE33)
    view = told.cameras["front"]
    assert list(view.ids) == [5]
    px = rig.cameras[0].project(joints_m[0])
    hips = [MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]
    np.testing.assert_allclose(view.circles[0, :2], px[hips].mean(axis=0), atol=0.01)


def test_as_pinhole_it_reaches_as_far():
    arrays = RigArrays.of(fisheye_rig())
    as_pinhole = arrays.seen_as_pinhole()
    camera = fisheye_rig().cameras[1]
    up = as_pinhole[1, 1, 2] / as_pinhole[1, 1, 1]
    np.testing.assert_allclose(up, -camera.undistort(np.array([camera.K[0, 2], 0.0]))[1])
    assert as_pinhole[1, 0, 2] / as_pinhole[1, 0, 0] > 100, "about 90 degrees"
    flat = RigArrays.of(ring_rig(4, 2.5, 2.0, SIZE_WH, 900.0))
    assert flat.seen_as_pinhole() is flat.K


def test_neutral_files_keep_the_lens(tmp_path):
    recording = actor_recording()
    cameras = [
        replace(
            camera, dist=LENSES["mild"] if i else np.array([0.1, -0.1, 0, 0, 0.01]), lens="fisheye" if i else "pinhole"
        )
        for i, camera in enumerate(recording.rig.cameras)
    ]
    save_neutral(replace(recording, rig=CameraRig(tuple(cameras))), tmp_path / "walk.npz")
    for rig in (load_neutral(tmp_path / "walk.npz")[0].rig, load_sequence(tmp_path / "walk.npz").rig):
        assert [camera.lens for camera in rig.cameras] == [camera.lens for camera in cameras]
        for before, after in zip(cameras, rig.cameras, strict=True):
            np.testing.assert_array_equal(after.dist8, before.dist8)


def test_a_virtual_fisheye_renders_what_it_projects():
    """A pillar's top corner nearest to the camera, in the picture and by projection; beyond 180 degrees it is dark."""
    camera = replace(fisheye_rig().cameras[0], K=np.array([[200.0, 0, 639.5], [0, 200.0, 359.5], [0, 0, 1.0]]))
    view = view_of(camera, Scene((), seed=1))
    assert (view.image[0, 0] == 0).all()
    assert view.depth[0, 0] == 0
    assert np.isfinite(view.rays).all()
    assert np.isfinite(view.tile_rays).all()
    rows, columns = np.array([100, 360, 500]), np.array([500, 640, 800])
    seen_m = view.origin + view.rays[rows, columns] * view.depth[rows, columns][:, None]
    np.testing.assert_allclose(camera.project(seen_m), np.stack([columns, rows], axis=1), atol=0.01)
    assert rigid.inverse(camera.T_cam_world)[2, 3] == pytest.approx(view.origin[2])
