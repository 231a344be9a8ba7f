"""`calibrate people` from files: which person, which camera, what is written, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import run_system
from calibration import rigid
from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.rig_file import load_rig, save_rig
from lifter.skeleton import MEDIAPIPE33
from nodes.calibrating.people import _cameras
from nodes.calibrating.people_tracks import Walk, walk_of
from tests.test_people_calibration import rig_of_three, seen_by

F64 = npt.NDArray[np.float64]


def written(path: Path, rig: CameraRig, people: int = 1, bystander: F64 | None = None, seconds: float = 8.0) -> Path:
    """A neutral multi-view file of the walking actor; a bystander stands at these pixels in the first camera."""
    tracks = seen_by(rig, seconds=seconds)
    T, C, J = len(tracks[0].captured_s), len(rig.cameras), len(MEDIAPIPE33.joints)
    keypoints = np.full((T, C, people, J, 3), np.nan, np.float32)
    for c, track in enumerate(tracks):
        keypoints[:, c, -1, :, :2], keypoints[:, c, -1, :, 2] = track.keypoints_px, 1.0
    if bystander is not None:
        keypoints[:, 0, 0, :, :2], keypoints[:, 0, 0, :, 2] = bystander, 0.9
    np.savez(
        path,
        cameras=np.array(rig.names),
        K=np.stack([camera.K for camera in rig.cameras]),
        dist=np.stack([camera.dist for camera in rig.cameras]),
        R=np.stack([camera.T_cam_world[:3, :3] for camera in rig.cameras]),
        t=np.stack([camera.T_cam_world[:3, 3] for camera in rig.cameras]),
        image_size=np.array([camera.size_wh for camera in rig.cameras]),
        fps=20.0,
        joints=np.array(MEDIAPIPE33.joints),
        keypoints2d=keypoints,
        frame_time=np.stack([track.captured_s for track in tracks], axis=1),
    )
    return path


def run(*arguments: object) -> int:
    return run_system.main(["calibrate", "people", *map(str, arguments)])


@pytest.mark.slow
def test_a_recording_becomes_a_calibration_and_a_report(tmp_path, capsys):
    truth = rig_of_three()
    recording = written(tmp_path / "walk.npz", truth)
    save_rig(truth, tmp_path / "given.toml")
    out = tmp_path / "rig.toml"
    told = ("--refine", tmp_path / "given.toml", "--out", out, "--report", tmp_path / "report", "--max-offset", 0.15)
    assert run("--keypoints", recording, *told) == 0
    assert "cam_1" in capsys.readouterr().out
    assert load_rig(out).names == truth.names
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["kind"] == "people"
    assert report["verdict"] in ("good", "usable")
    assert report["held_out"]["px_p50"] < report["compared"]["before"]["held_out"]["px_p50"]
    assert report["cameras"]["cam_1"]["offset_ms"] == pytest.approx(61, abs=4)
    assert report["cameras"]["cam_1"]["sigma_position_mm"] > 0
    assert (tmp_path / "report" / "report.html").is_file()
    assert run("--keypoints", recording, *told) == 2  # not over what is there
    assert "--force" in capsys.readouterr().err


@pytest.mark.slow
def test_a_camera_that_comes_out_turned_far_is_no_calibration_that_looks_fine(tmp_path, capsys):
    truth = rig_of_three()
    turn = rigid.from_rotation(rigid.rotation_from_rotvec((0.0, np.radians(40.0), 0.0)), np.zeros(3))
    camera = truth.cameras[1]
    given = CameraRig((truth.cameras[0], replace(camera, T_cam_world=turn @ camera.T_cam_world), truth.cameras[2]))
    save_rig(given, tmp_path / "given.toml")
    recording, out = written(tmp_path / "walk.npz", truth, seconds=12.0), tmp_path / "rig.toml"
    assert run("--keypoints", recording, "--refine", tmp_path / "given.toml", "--out", out, "--max-offset", 0.15) == 1
    assert "- cam_1 comes out turned by 3" in capsys.readouterr().out  # the others lean towards where it was given
    assert not out.exists()


def test_somebody_who_stands_by_is_passed_over(tmp_path):
    rig = rig_of_three()
    own = seen_by(rig)[0].keypoints_px[0]
    walk = walk_of(written(tmp_path / "walk.npz", rig, people=2, bystander=own + 5.0))
    alone = walk_of(written(tmp_path / "alone.npz", rig))
    seen = np.isfinite(walk.tracks[0].keypoints_px).all(-1)
    assert seen.mean() > 0.9
    np.testing.assert_allclose(
        walk.tracks[0].keypoints_px[40:], alone.tracks[0].keypoints_px[40:], atol=30.0
    )  # where both stand at one place, either will do


def test_two_who_walk_are_refused(tmp_path):
    rig = rig_of_three()
    path = written(tmp_path / "walk.npz", rig, people=2)
    with np.load(path) as arrays:
        content = dict(arrays)
    content["keypoints2d"][:, 1, 0] = content["keypoints2d"][::-1, 1, 1]
    np.savez(path, **content)
    with pytest.raises(CalibrationError, match="'cam_1' sees several people who move in"):
        walk_of(path)


def test_cameras_are_told_apart_by_name_and_fitted_to_the_pictures(tmp_path):
    rig = rig_of_three()
    walk = walk_of(written(tmp_path / "walk.npz", rig))
    larger = CameraRig(tuple(camera.resized((1280, 960)) for camera in rig.cameras))
    cameras, notes = _cameras(walk, larger, Path("rig.toml"))
    np.testing.assert_allclose(cameras[0].K, rig.cameras[0].K)
    assert notes == []
    with pytest.raises(CalibrationError, match=r"'cam_0' of the recording is not in rig\.toml, which has left"):
        _cameras(walk, CameraRig((replace(rig.cameras[0], name="left"),)), Path("rig.toml"))
    wide = CameraRig(tuple(camera.resized((1280, 720)) for camera in rig.cameras))
    with pytest.raises(CalibrationError, match="calibrated for pictures of 1280x720"):
        _cameras(walk, wide, Path("rig.toml"))
    part = Walk(walk.tracks[:2], walk.sizes_wh[:2], None, ("cam_9",))
    assert _cameras(part, rig, Path("rig.toml"))[1] == [
        "not calibrated, as nobody is seen by: cam_9",
        "in rig.toml but not in the recording, and so left out: cam_2",
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--distance", "a,b"), "not of the form left,right,2.31"),
        (("--stature", "1.7", "--distance", "a,b,2"), "not allowed with"),
        (("--max-offset", "60"), "not from 0 to 10 seconds"),
    ],
)
def test_wrong_arguments_are_told(tmp_path, capsys, wrong, said):
    with pytest.raises(SystemExit):
        run("--keypoints", "walk.npz", "--intrinsics", "rig.toml", "--out", tmp_path / "rig.toml", *wrong)
    assert said in capsys.readouterr().err


def test_a_missing_recording_is_told(tmp_path, capsys):
    assert run("--session", tmp_path / "no.mcap", "--intrinsics", "rig.toml", "--out", tmp_path / "rig.toml") == 2
    assert "does not exist" in capsys.readouterr().err
