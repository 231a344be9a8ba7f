"""Videos with a calibration: which is which camera, what is detected, and what is told before the work."""

import numpy as np
import pytest

from calibration.rig_file import save_rig
from calibration.synthetic import ring_rig
from nodes.detect.detector import Detections
from nodes.detect.opening import DETECTORS
from nodes.wire.messages import CameraHealth
from tests.import_files import content, of_camera, renamed, run
from tests.numbered_clips import SIZE_WH, number_in, write_clip


class NumberReader:
    """Sees one person, all of whose joints are at (the picture's number, 5)."""

    skeleton = "mediapipe33"

    def detect(self, frame, regions=None):
        keypoints_px = np.tile(np.array([number_in(frame.image_rgb), 5], np.float32), (1, 33, 1))
        return Detections(keypoints_px, np.ones((1, 33), np.float32))

    def close(self):
        pass


@pytest.fixture(autouse=True)
def _reader(monkeypatch):
    monkeypatch.setitem(DETECTORS, "mediapipe", lambda settings: NumberReader())


def calibration(tmp_path, names=("cam_01", "cam_02"), size_wh=SIZE_WH):
    path = tmp_path / "rig.toml"
    save_rig(renamed(ring_rig(len(names), 4.0, 2.0, size_wh, 300.0), list(names)), path)
    return path


def test_every_picture_of_every_video_at_its_time(tmp_path, capsys):
    write_clip(tmp_path / "cam1.mp4", 20, 30)
    write_clip(tmp_path / "cam2.mp4", 10, 15)
    options = ["--calibration", calibration(tmp_path), "--out", tmp_path / "s.mcap"]
    assert run(tmp_path / "cam1.mp4", tmp_path / "cam2.mp4", *options) == 0
    assert "cam1.mp4 is camera cam_01" in capsys.readouterr().err
    messages, config, rig, skeleton = content(tmp_path / "s.mcap")
    assert rig.names == ("cam_01", "cam_02")
    assert skeleton.name == "mediapipe33"
    assert config.fusion.synchroniser.rate_hz == 30
    assert config.cameras["cam_02"].path == tmp_path / "cam2.mp4"
    for camera, frames, fps in (("cam_01", 20, 30), ("cam_02", 10, 15)):
        sent = of_camera(messages, camera)
        assert [int(m.keypoints_px[0, 0, 0]) for m in sent] == list(range(frames))
        assert [m.frame_id for m in sent] == list(range(frames))
        begin_ns = messages[0].captured_ns
        np.testing.assert_allclose(
            [(m.captured_ns - begin_ns) * 1e-9 for m in sent], np.arange(frames) / fps, atol=1e-6
        )
    assert [type(m) for m in messages[-2:]] == [CameraHealth] * 2
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_a_folder_of_videos_and_names_in_their_order(tmp_path):
    folder = tmp_path / "walk"
    folder.mkdir()
    for name, frames in (("GX10.mp4", 4), ("GX9.mp4", 3)):
        write_clip(folder / name, frames)
    options = ["--calibration", calibration(tmp_path, ("left", "right")), "--out", tmp_path / "s.mcap"]
    assert run(folder, *options) == 2
    assert run(folder, *options, "--names", "left", "right") == 0
    messages, *_ = content(tmp_path / "s.mcap")
    assert [len(of_camera(messages, camera)) for camera in ("left", "right")] == [3, 4]


def test_one_video_alone_needs_no_calibration_and_several_do(tmp_path, capsys):
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, 3)
    assert run(tmp_path / "a.mp4", "--out", tmp_path / "s.mcap") == 0
    _, config, rig, _ = content(tmp_path / "s.mcap")
    assert (rig, config.calibration, list(config.cameras)) == (None, None, ["a"])
    assert run(tmp_path / "a.mp4", tmp_path / "b.mp4", "--out", tmp_path / "t.mcap") == 2
    assert "--calibration rig.toml" in capsys.readouterr().err


def test_names_that_the_calibration_lacks_are_told_with_both_lists(tmp_path, capsys):
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, 3)
    options = ["--calibration", calibration(tmp_path), "--out", tmp_path / "s.mcap"]
    assert run(tmp_path / "a.mp4", tmp_path / "b.mp4", *options) == 2
    told = capsys.readouterr().err
    assert "a, b" in told
    assert "cam_01, cam_02" in told


def test_pictures_of_another_shape_are_told_before_the_work_and_imported(tmp_path, capsys):
    for name in ("cam1.mp4", "cam2.mp4"):
        write_clip(tmp_path / name, 3)
    width, height = SIZE_WH
    path = calibration(tmp_path, size_wh=(width, height + 40))
    options = ["--calibration", path, "--out", tmp_path / "s.mcap", "--force"]
    assert run(tmp_path / "cam1.mp4", tmp_path / "cam2.mp4", *options) == 0
    assert "camera cam_01 will be left out when fused" in capsys.readouterr().err
    settings = tmp_path / "crop.yaml"
    settings.write_text("crop_offset_px: {cam_01: [0, 40], cam_02: [0, 40]}")
    assert run(tmp_path / "cam1.mp4", tmp_path / "cam2.mp4", *options, "--settings", settings) == 0
    assert "left out" not in capsys.readouterr().err
    assert content(tmp_path / "s.mcap")[1].crop_offset_px == {"cam_01": (0, 40), "cam_02": (0, 40)}
    path = calibration(tmp_path, size_wh=(2 * width, 2 * height))  # scaled only
    assert run(tmp_path / "cam1.mp4", tmp_path / "cam2.mp4", *options) == 0
    assert "left out" not in capsys.readouterr().err


def test_a_damaged_video_is_named_and_no_session_is_left(tmp_path, capsys):
    whole = write_clip(tmp_path / "cam1.mp4", 30, movflags="faststart")
    write_clip(tmp_path / "cam2.mp4", 30)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    options = ["--calibration", calibration(tmp_path), "--out", tmp_path / "s.mcap"]
    assert run(tmp_path / "cam1.mp4", tmp_path / "cam2.mp4", *options) == 2
    assert "cam1.mp4" in capsys.readouterr().err
    assert not (tmp_path / "s.mcap").exists()


@pytest.mark.parametrize("option", [["--fps", "30"], ["--skeleton", "BODY_25"]])
def test_what_videos_tell_themselves_is_refused(tmp_path, capsys, option):
    write_clip(tmp_path / "a.mp4", 3)
    assert run(tmp_path / "a.mp4", "--out", tmp_path / "s.mcap", *option) == 2
    assert "of videos the detector and the files tell both" in capsys.readouterr().err
