"""Calibration files: what is written comes back, files of other programs load, faults name file and camera."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from calibration.rig_file import load_rig, save_rig
from calibration.synthetic import ring_rig

# As Caliscope and Pose2Sim write it: tables by the camera's name, a word on fisheye, whole and floating numbers mixed.
OTHERS = """
[cam_01]
name = "cam_01"
size = [ 1088.0, 1920.0]
matrix = [ [ 1681.2, 0.0, 532.9,], [ 0.0, 1681, 948.1,], [ 0.0, 0.0, 1.0,],]
distortions = [ -0.05, 0.14, 0.0006, 0.0007,]
rotation = [ 1, 0.2, -0.3,]
translation = [ 0.3, 1, 2.9,]
fisheye = false

[cam_02]
name = "cam_02"
size = [ 1088, 1920,]
matrix = [ [ 1677.9, 0.0, 536.5,], [ 0.0, 1677.7, 950.8,], [ 0.0, 0.0, 1.0,],]
distortions = [ -0.048, 0.14, 0.0003, 0.0001, 0.01,]
rotation = [ 0.9, -0.2, 0.3,]
translation = [ -0.1, 0.7, 3.1,]
fisheye = false
grid_count = 20
error = 0.31

[metadata]
adjusted = false
error = 0.0
"""


def twelve_cameras() -> CameraRig:
    """Every number of every camera differs; the poses include half a turn and none at all."""
    rng = np.random.default_rng(7)
    rotvecs = [np.zeros(3), np.array([np.pi, 0, 0]), np.array([0, 0, np.pi - 1e-7]), *rng.uniform(-1.5, 1.5, (9, 3))]
    lengths = (0, 4, 5, 8) * 3
    cameras = []
    for index, (rotvec, length) in enumerate(zip(rotvecs, lengths, strict=True)):
        fx, fy, cx, cy = rng.uniform([500, 500, 300, 200], [900, 900, 340, 260])
        cameras.append(
            Camera(
                name=f"camera {index}",
                size_wh=(640 + index, 480 + 2 * index),
                K=np.array([[fx, rng.normal(), cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
                dist=rng.normal(scale=0.01, size=length),
                T_cam_world=rigid.from_rotation(rigid.rotation_from_rotvec(rotvec), rng.uniform(-4, 4, 3)),
            )
        )
    return CameraRig(tuple(cameras))


def test_twelve_cameras_keep_their_order_and_every_number(tmp_path):
    """Sorted by key, `cam_10` would come before `cam_2`."""
    rig = twelve_cameras()
    save_rig(rig, tmp_path / "rig.toml")
    loaded = load_rig(tmp_path / "rig.toml")
    assert loaded.names == rig.names
    for before, after in zip(rig.cameras, loaded.cameras, strict=True):
        assert after.size_wh == before.size_wh
        np.testing.assert_array_equal(after.K, before.K)
        np.testing.assert_array_equal(after.dist, before.dist)
        np.testing.assert_allclose(after.T_cam_world, before.T_cam_world, atol=1e-9)


def test_saving_again_and_again_does_not_drift(tmp_path):
    first = last = twelve_cameras()
    for _ in range(20):
        save_rig(last, tmp_path / "rig.toml")
        last = load_rig(tmp_path / "rig.toml")
    for before, after in zip(first.cameras, last.cameras, strict=True):
        np.testing.assert_array_equal(after.K, before.K)
        np.testing.assert_allclose(after.T_cam_world, before.T_cam_world, atol=1e-9)


def test_saving_replaces_the_file_and_leaves_nothing_else_behind(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text("old")
    save_rig(twelve_cameras(), path)
    save_rig(twelve_cameras(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["rig.toml"]


def test_a_name_beyond_ascii_survives(tmp_path):
    camera = twelve_cameras().cameras[3]
    named = Camera('Küche "2"', camera.size_wh, camera.K, camera.dist, camera.T_cam_world)
    save_rig(CameraRig((named,)), tmp_path / "rig.toml")
    assert load_rig(tmp_path / "rig.toml").names == ('Küche "2"',)


def test_a_file_of_caliscope_or_pose2sim_loads(tmp_path):
    path = tmp_path / "Calib_scene.toml"
    path.write_text(OTHERS)
    rig = load_rig(path)
    assert rig.names == ("cam_01", "cam_02")
    one, two = rig.cameras
    assert one.size_wh == (1088, 1920)
    np.testing.assert_array_equal(one.K, np.array([[1681.2, 0, 532.9], [0, 1681, 948.1], [0, 0, 1]]))
    np.testing.assert_array_equal(one.dist, [-0.05, 0.14, 0.0006, 0.0007])
    np.testing.assert_array_equal(two.dist, [-0.048, 0.14, 0.0003, 0.0001, 0.01])
    np.testing.assert_array_equal(one.T_cam_world[:3, 3], [0.3, 1, 2.9])
    np.testing.assert_allclose(rigid.rotvec_from_rotation(one.T_cam_world[:3, :3]), [1, 0.2, -0.3], atol=1e-12)


def test_a_table_without_a_name_goes_by_its_key(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text(OTHERS.replace('name = "cam_02"\n', ""))
    assert load_rig(path).names == ("cam_01", "cam_02")


def test_files_travel_to_aniposelib_and_back(tmp_path):
    """aniposelib sorts the keys of a file, so cameras are told apart by name."""
    cameras = pytest.importorskip("aniposelib.cameras", reason="a peer, installed for development")
    rig = twelve_cameras()
    save_rig(rig, tmp_path / "ours.toml")
    theirs = cameras.CameraGroup.load(str(tmp_path / "ours.toml"))
    assert sorted(theirs.get_names()) == sorted(rig.names)
    points_world_m = np.random.default_rng(1).uniform(-1, 1, (20, 3))
    for camera in theirs.cameras:
        ours = rig[camera.get_name()]
        assert tuple(camera.get_size()) == ours.size_wh
        np.testing.assert_array_equal(camera.get_camera_matrix(), ours.K)
        np.testing.assert_array_equal(camera.get_distortions(), ours.dist)
        np.testing.assert_allclose(camera.get_extrinsics_mat(), ours.T_cam_world, atol=1e-7)
        in_front = ~np.isnan(ours.project(points_world_m)).any(axis=1)
        if ours.K[0, 1] == 0.0 and len(ours.dist):
            np.testing.assert_allclose(
                camera.project(points_world_m)[:, 0][in_front], ours.project(points_world_m)[in_front], atol=1e-3
            )
    theirs.dump(str(tmp_path / "theirs.toml"))
    back = load_rig(tmp_path / "theirs.toml")
    for name in rig.names:
        np.testing.assert_array_equal(back[name].K, rig[name].K)
        np.testing.assert_array_equal(back[name].dist, rig[name].dist)
        np.testing.assert_allclose(back[name].T_cam_world, rig[name].T_cam_world, atol=1e-9)


GOOD: dict[str, Any] = {
    "name": "left",
    "size": [640, 480],
    "matrix": [[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]],
    "distortions": [0.0, 0.0, 0.0, 0.0],
    "rotation": [0.1, 0.2, 0.3],
    "translation": [0.0, 0.0, 3.0],
}


def refusal(path: Path) -> str:
    with pytest.raises(CalibrationError) as refused:
        load_rig(path)
    message = str(refused.value)
    assert message.count(str(path)) == 1, "the file is named, once"
    return message


@pytest.mark.parametrize("key", ["size", "distortions", "rotation", "translation"])
def test_a_missing_key_is_named_with_its_camera(tmp_path, key):
    path = tmp_path / "rig.toml"
    path.write_text(tomli_w.dumps({"cam_0": {k: v for k, v in GOOD.items() if k != key}}))
    assert f"camera 'left' lacks `{key}`" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        {"matrix": [[600.0, 0.0], [0.0, 600.0]]},
        {"matrix": [[600.0, 0.0, 320.0], [0.0, 600.0], [0.0, 0.0, 1.0]]},
        {"matrix": "identity"},
        {"matrix": [[600.0, 0.0, 320.0], [0.0, float("nan"), 240.0], [0.0, 0.0, 1.0]]},
        {"matrix": [[-600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]]},
        {"size": [640]},
        {"size": [640, 480, 3]},
        {"size": ["wide", "high"]},
        {"size": 640},
        {"size": [0, 0]},
        {"distortions": [0.0] * 6},
        {"distortions": [0.0] * 14},
        {"distortions": "none"},
        {"distortions": [float("inf"), 0.0, 0.0, 0.0]},
        {"rotation": [0.1, 0.2]},
        {"rotation": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]},
        {"rotation": [float("nan"), 0.0, 0.0]},
        {"rotation": {"x": 0.1}},
        {"translation": [0.0, 0.0]},
        {"translation": [0.0, float("nan"), 1.0]},
        {"translation": "far"},
        {"fisheye": True, "distortions": [0.0] * 5},
        {"fisheye": "yes"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_wrong_value_is_refused_and_its_camera_named(tmp_path, change):
    path = tmp_path / "rig.toml"
    path.write_text(tomli_w.dumps({"cam_0": {**GOOD, "name": "right"}, "cam_1": {**GOOD, **change}}))
    message = refusal(path)
    assert "camera 'left'" in message
    assert "fisheye" in message or "fisheye" not in change


def test_two_cameras_of_one_name_are_refused(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text(tomli_w.dumps({"cam_0": GOOD, "cam_1": GOOD}))
    assert "two cameras are called 'left'" in refusal(path)


@pytest.mark.parametrize(
    "content", ["", "[metadata]\nadjusted = false\n", "unit = 'm'\n"], ids=["empty", "meta", "value"]
)
def test_a_file_without_a_camera_is_refused_with_what_makes_one(tmp_path, content):
    path = tmp_path / "rig.toml"
    path.write_text(content)
    message = refusal(path)
    assert "no camera in it" in message
    assert "python -m nodes.sources.virtual" in message


def test_what_is_no_toml_is_refused(tmp_path):
    path = tmp_path / "rig.toml"
    for content in (b"[cam_0\n", b"\xff\xfe\x00bin", b"<calibration/>"):
        path.write_bytes(content)
        assert "this is not TOML" in refusal(path)


def test_a_missing_file_and_an_unknown_kind_are_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "rig.toml")
    assert "neither EasyMocap's two files nor one of OpenCV" in refusal(tmp_path)
    for name, content in (("rig.json", "{}"), ("rig.txt", "left 1 2 3"), ("rig.bin", "\x00"), ("rig.yml", "a: 1")):
        (tmp_path / name).write_text(content)
        assert "known are TOML of anipose, Pose2Sim, FreeMoCap and Caliscope" in refusal(tmp_path / name)
    (tmp_path / "rig.csv").write_text(" \n")
    assert "the file is empty" in refusal(tmp_path / "rig.csv")


def test_a_rig_in_millimetres_is_refused_until_the_file_says_so(tmp_path):
    rig = ring_rig(4, 4.0, 2.0, (640, 480), 600.0)
    path = tmp_path / "rig.toml"
    save_rig(rig, path)
    document = tomllib.loads(path.read_text())
    for table in document.values():
        table["translation"] = [1000 * value for value in table["translation"]]
    path.write_text(tomli_w.dumps(document))
    with pytest.raises(CalibrationError, match=r"m apart.*unit = "):
        load_rig(path)
    path.write_text(tomli_w.dumps({**document, "metadata": {"unit": "mm"}}))
    for camera, same in zip(load_rig(path).cameras, rig.cameras, strict=True):
        np.testing.assert_allclose(camera.T_cam_world, same.T_cam_world, atol=1e-9)
    path.write_text(tomli_w.dumps({**document, "metadata": {"unit": "inch"}}))
    with pytest.raises(CalibrationError, match="inch"):
        load_rig(path)
