"""FreeMoCap's arrays of 2D points."""

import numpy as np
import pytest

from calibration.rig_file import save_rig
from lifter.skeleton import MEDIAPIPE33
from tests.import_files import content, fused_m, of_camera, recorded, run

NAME = "mediapipe_2dData_numCams_numFrames_numTrackedPoints_pixelXY.npy"


def recording_folder(tmp_path, points=553, values=2, **changes):
    """As FreeMoCap lays it out; hands and face are what must be passed over."""
    recording = recorded(MEDIAPIPE33)
    array = np.full((3, 12, points, values), 7.0)
    array[:, :, :33, :2] = np.moveaxis(recording.keypoints_px, 1, 0)[:, :, :points]
    place = tmp_path / "session" / "output_data" / "raw_data"
    place.mkdir(parents=True)
    np.save(place / NAME, array)
    save_rig(recording.rig, tmp_path / "session" / "session_camera_calibration.toml")
    return place / NAME, recording, array


@pytest.mark.parametrize(("points", "values"), [(553, 2), (543, 3), (33, 2)])
def test_bodies_are_the_first_points_and_cameras_in_the_calibrations_order(tmp_path, capsys, points, values):
    path, recording, _ = recording_folder(tmp_path, points, values)
    assert run(path, "--out", tmp_path / "s.mcap") == 0
    told = capsys.readouterr().err
    assert "in the order of the calibration: " + ", ".join(recording.rig.names) in told
    assert "30 frames per second are assumed" in told
    messages, _, rig, skeleton = content(tmp_path / "s.mcap")
    assert skeleton == MEDIAPIPE33
    for c, camera in enumerate(rig.names):
        sent = np.stack([message.keypoints_px[0] for message in of_camera(messages, camera)])
        np.testing.assert_allclose(sent, recording.keypoints_px[:, c], atol=1e-3)
    error_m = np.linalg.norm(fused_m(tmp_path / "s.mcap") - recording.joints_m, axis=-1)
    assert np.median(error_m) < 0.005


def test_a_frame_of_nobody_is_one(tmp_path):
    path, _, array = recording_folder(tmp_path)
    array[1, 4:6] = np.nan
    np.save(path, array)
    assert run(path, "--out", tmp_path / "s.mcap", "--fps", "60") == 0
    messages, config, rig, _ = content(tmp_path / "s.mcap")
    assert [len(m.confidence) for m in of_camera(messages, rig.names[1])] == [1] * 4 + [0] * 2 + [1] * 6
    assert config.fusion.synchroniser.rate_hz == 60


def test_what_does_not_fit_is_told(tmp_path, capsys):
    path, recording, array = recording_folder(tmp_path)
    np.save(path, array[:2])
    assert run(path, "--out", tmp_path / "s.mcap") == 2
    assert "2 cameras" in capsys.readouterr().err
    assert run(path, "--out", tmp_path / "s.mcap", "--names", *recording.rig.names[1:]) == 0
    for wrong, told in (
        (array[0], "expected (cameras, frames, points, 2 or 3)"),
        (array[:, :, :20], "it has 20 points"),
        (array.astype(int), "expected (cameras"),
    ):
        np.save(path, wrong)
        assert run(path, "--out", tmp_path / "t.mcap") == 2
        assert told in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:500])
    assert run(path, "--out", tmp_path / "t.mcap") == 2
    assert "damaged" in capsys.readouterr().err
    (tmp_path / "session" / "session_camera_calibration.toml").unlink()
    np.save(path, array)
    assert run(path, "--out", tmp_path / "t.mcap") == 2
    assert "--calibration FILE" in capsys.readouterr().err
