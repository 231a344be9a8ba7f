"""OpenPose JSON in folders: whose joints, which folder is which camera, when frames were taken, what is broken."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lifter.skeleton import BODY25, BODY25B, COCO17, HALPE26, MEDIAPIPE33
from nodes.importing.detector_joints import COCO18, which_body25
from nodes.importing.openpose import json_folder
from nodes.sessions.errors import SessionError
from nodes.wire.messages import CameraHealth
from tests.import_files import content, fused_m, of_camera, recorded, run, write_frame, write_project

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
FRAME_NS = 1e9 / 30


def project(tmp_path, skeleton=HALPE26, **options):
    recording = recorded(skeleton)
    return write_project(tmp_path / "project", recording, **options), recording


@pytest.mark.parametrize("skeleton", [BODY25, BODY25B, COCO17, COCO18, HALPE26, MEDIAPIPE33], ids=lambda s: s.name)
def test_every_detectors_joints_are_known_by_their_number_and_shape(tmp_path, skeleton):
    folder, recording = project(tmp_path, skeleton)
    assert run(folder, "--out", tmp_path / "s.mcap") == 0
    messages, config, rig, found = content(tmp_path / "s.mcap")
    assert (found.name, found.joints) == (skeleton.name, skeleton.joints)
    assert tuple(config.cameras) == rig.names == ("cam_01", "cam_02", "cam_03")
    for c, camera in enumerate(rig.names):
        sent = of_camera(messages, camera)
        assert [message.frame_id for message in sent] == list(range(12))
        assert [message.seq for message in sent] == list(range(12))
        np.testing.assert_allclose(
            np.stack([message.keypoints_px[0] for message in sent]), recording.keypoints_px[:, c], atol=2e-3
        )
        assert np.diff([message.captured_ns for message in sent]).tolist() == pytest.approx([FRAME_NS] * 11, abs=1.0)
    error_m = np.linalg.norm(fused_m(tmp_path / "s.mcap") - recording.joints_m, axis=-1)
    assert np.median(error_m) < 0.005


def test_the_last_frames_say_that_the_recording_is_over(tmp_path):
    folder, _ = project(tmp_path)
    run(folder, "--out", tmp_path / "s.mcap")
    messages, *_ = content(tmp_path / "s.mcap")
    assert [(m.source, m.state) for m in messages[-3:]] == [(f"cam_0{c}", "ended") for c in (1, 2, 3)]


def test_a_camera_that_lacks_frames_is_not_waited_for(tmp_path):
    recording = recorded(HALPE26, n_frames=40)
    folder = write_project(tmp_path / "project", recording)
    for t in range(10, 30):
        (folder / "pose" / "cam2_json" / f"cam2_{t:06d}.json").unlink()
    assert run(folder, "--out", tmp_path / "s.mcap") == 0
    messages, *_ = content(tmp_path / "s.mcap")
    assert [m.frame_id for m in of_camera(messages, "cam_02")] == [*range(10), *range(30, 40)]
    silent = next(m for m in messages if isinstance(m, CameraHealth))
    assert silent.source == "cam_02"
    assert 0.3 < (silent.captured_ns - of_camera(messages, "cam_02")[9].captured_ns) * 1e-9 < 0.4
    assert len(fused_m(tmp_path / "s.mcap")) == 40


def test_the_rate_is_told_by_the_nearest_config_or_the_user_else_assumed_and_said(tmp_path, capsys):
    folder, _ = project(tmp_path, config="[project]\nframe_rate = 'auto'\n")
    for options, hz, told in (([], 30, "'auto'"), (["--fps", "120"], 120, "")):
        assert run(folder, "--out", tmp_path / "s.mcap", "--force", *options) == 0
        assert told in capsys.readouterr().err
        assert content(tmp_path / "s.mcap")[1].fusion.synchroniser.rate_hz == hz
    (folder / "Config.toml").write_text("[pose]\npose_model = 'Body_with_feet'\n")
    (folder.parent / "Config.toml").write_text("[project]\nframe_rate = 60\n")
    assert run(folder, "--out", tmp_path / "s.mcap", "--force") == 0
    assert content(tmp_path / "s.mcap")[1].fusion.synchroniser.rate_hz == 60
    assert "assumed" not in capsys.readouterr().err


def test_the_given_skeleton_counts_and_must_fit(tmp_path, capsys):
    folder, _ = project(tmp_path, BODY25)
    assert run(folder, "--out", tmp_path / "s.mcap", "--skeleton", "body_25b") == 0
    assert content(tmp_path / "s.mcap")[3].name == "body25b"
    assert run(folder, "--out", tmp_path / "t.mcap", "--skeleton", "HALPE_26") == 2
    assert "HALPE_26 has 26 joints, and the files have 25" in capsys.readouterr().err
    assert run(folder, "--out", tmp_path / "t.mcap", "--skeleton", "MINE") == 2
    assert "BODY_25B" in capsys.readouterr().err


def test_twenty_five_joints_that_look_like_neither_are_asked_for():
    rng = np.random.default_rng(1)
    nonsense = [rng.uniform(1, 500, (25, 3)).astype(np.float32) for _ in range(3)]
    absent = [np.zeros((25, 3), np.float32)]
    for people in (nonsense, absent, absent[:0]):
        with pytest.raises(SessionError, match="--skeleton BODY_25 or --skeleton BODY_25B"):
            which_body25(people)


def test_folders_are_told_by_name_and_both_lists_are_said_where_they_differ(tmp_path, capsys):
    folder, _ = project(tmp_path)
    assert run(folder, "--out", tmp_path / "s.mcap") == 0
    assert "cam1_json is camera cam_01" in capsys.readouterr().err
    (folder / "pose" / "cam3_json").rename(folder / "pose" / "door_json")
    assert run(folder, "--out", tmp_path / "t.mcap") == 2
    told = capsys.readouterr().err
    assert "cam1, cam2, door" in told
    assert "cam_01, cam_02, cam_03" in told
    assert run(folder, "--out", tmp_path / "t.mcap", "--names", "cam_01", "cam_02", "cam_03") == 0
    assert run(folder, "--out", tmp_path / "u.mcap", "--names", "cam_01", "cam_02", "cam_07") == 2
    assert "no camera 'cam_07'" in capsys.readouterr().err


def test_some_of_the_calibrated_cameras_will_do(tmp_path):
    folder, _ = project(tmp_path)
    shutil.rmtree(folder / "pose" / "cam2_json")
    assert run(folder, "--out", tmp_path / "s.mcap") == 0
    assert content(tmp_path / "s.mcap")[2].names == ("cam_01", "cam_03")


def test_frames_of_the_synchronised_folder_are_preferred(tmp_path):
    folder, _ = project(tmp_path)
    shutil.copytree(folder / "pose", folder / "pose-sync")
    for path in (folder / "pose-sync" / "cam1_json").glob("*_00000[0-4].json"):
        path.unlink()
    assert run(folder, "--out", tmp_path / "s.mcap") == 0
    assert len(of_camera(content(tmp_path / "s.mcap")[0], "cam_01")) == 7


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "cut off or damaged"),
        (lambda path: path.write_bytes(b""), "cut off or damaged"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "cut off or damaged"),
        (lambda path: path.write_text('{"peopel": []}'), "no frame of OpenPose"),
        (lambda path: path.write_text("[1, 2]"), "no frame of OpenPose"),
        (lambda path: path.write_text('{"people": [{"pose_keypoints_2d": [1, 2]}]}'), "no x, y, confidence"),
        (lambda path: path.write_text('{"people": [{"pose_keypoints_2d": ["a", 2, 3]}]}'), "no x, y, confidence"),
        (lambda path: write_frame(path, np.ones((1, 17, 3))), "17 joints, and those before 26"),
    ],
)
def test_a_broken_frame_is_named_and_no_session_is_left(tmp_path, capsys, harm, told):
    folder, _ = project(tmp_path)
    path = folder / "pose" / "cam2_json" / "cam2_000007.json"
    harm(path)
    assert run(folder, "--out", tmp_path / "s.mcap") == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert told in said
    assert not (tmp_path / "s.mcap").exists()


def test_empty_and_mixed_folders_are_named(tmp_path, capsys):
    folder, _ = project(tmp_path)
    (folder / "pose" / "cam4_json").mkdir()
    assert run(folder, "--out", tmp_path / "s.mcap") == 2
    assert "cam4_json has no frames" in capsys.readouterr().err
    (folder / "pose" / "cam4_json").rmdir()
    shutil.copy(folder / "pose/cam1_json/cam1_000003.json", folder / "pose/cam1_json/walk_000003.json")
    assert run(folder, "--out", tmp_path / "s.mcap") == 2
    assert "more than one recording" in capsys.readouterr().err


def test_nothing_there_none_or_two_calibrations(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", "--out", tmp_path / "s.mcap") == 2
    assert "no folders of OpenPose JSON" in capsys.readouterr().err
    folder, _ = project(tmp_path)
    shutil.copy(folder / "calibration/Calib.toml", folder / "calibration/Other.toml")
    assert run(folder, "--out", tmp_path / "s.mcap") == 2
    assert "2 calibrations" in capsys.readouterr().err
    shutil.rmtree(folder / "calibration")
    assert run(folder, "--out", tmp_path / "s.mcap") == 2
    assert "--calibration FILE" in capsys.readouterr().err


def test_coordinates_that_are_no_pixels_are_refused(tmp_path, capsys):
    recording = recorded(HALPE26)
    recording.keypoints_px[:] /= 2000
    folder = write_project(tmp_path / "project", recording)
    assert run(folder, "--out", tmp_path / "s.mcap") == 2
    assert "--keypoint_scale 0" in capsys.readouterr().err


def test_nobody_in_sight_needs_the_skeletons_name(tmp_path, capsys):
    folder, _ = project(tmp_path)
    for path in folder.glob("pose/*/*.json"):
        path.write_text(json.dumps({"version": 1.3, "people": []}))
    assert run(folder, "--out", tmp_path / "s.mcap") == 2
    assert "--skeleton HALPE_26" in capsys.readouterr().err
    assert run(folder, "--out", tmp_path / "s.mcap", "--skeleton", "HALPE_26") == 0
    messages, *_ = content(tmp_path / "s.mcap")
    assert all(len(message.confidence) == 0 for message in of_camera(messages, "cam_01"))


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["cam_1.json", "cam_10.json", "cam_9.json"], "cam_1.json"),
        (["a_000000000009_keypoints.json", "a_000000000010_keypoints.json"], "a_000000000009_keypoints.json"),
        (["cam01.0998.json", "cam01.0999.json", "cam01.1000.json"], "cam01.0998.json"),
        (["x.9999.json", "x.10000.json"], "x.9999.json"),
    ],
)
def test_frames_are_numbered_by_the_last_number_however_many_digits(tmp_path, names, first):
    for name in names:
        (tmp_path / name).write_text("{}")
    part = json_folder(tmp_path)
    assert part.path(int(part.frames[0])).name == first
    assert {part.path(frame).name for frame in part.frames.tolist()} == set(names)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared are not here")
def test_pose2sims_demo_with_its_qualisys_calibration(tmp_path):
    with np.load(SHARED / "pose2sim" / "pose2sim_single_alldet.npz") as arrays:
        values, truth_m, joints = arrays["keypoints2d"], arrays["gt3d"][:, 0], list(arrays["gt_joints"])
    for c in range(4):
        place = tmp_path / "trial" / "pose" / f"cam{c + 1}_json"
        place.mkdir(parents=True)
        for t in range(len(values)):
            write_frame(place / f"cam{c + 1:02d}.{t:04d}.json", values[t, c])
    (tmp_path / "calibration").mkdir()
    shutil.copy(SHARED / "pose2sim" / "calibration" / "Calib.qca.txt", tmp_path / "calibration")
    assert run(tmp_path / "trial", "--out", tmp_path / "s.mcap", "--fps", "60") == 0
    skeleton = content(tmp_path / "s.mcap")[3]
    assert skeleton.name == "body25b"
    ours_m = fused_m(tmp_path / "s.mcap")
    pairs = [(skeleton.joints.index(name), place) for place, name in enumerate(joints) if name in skeleton.joints]
    off_m = np.linalg.norm(ours_m[:, [a for a, _ in pairs]] - truth_m[:, [b for _, b in pairs]], axis=-1)
    assert len(ours_m) == 100
    assert np.nanmedian(off_m) < 0.03  # Pose2Sim's own triangulation, which is no truth
