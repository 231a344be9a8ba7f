"""`run_system.py import`: neutral files, what is refused before any work, and that nothing is written over."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration.rig_file import save_rig
from configs.schema import VideoSource
from lifter.skeleton import COCO17, HALPE26
from nodes.offline.sequence import load_sequence
from nodes.wire.messages import CameraHealth, Keypoints2D
from tests.import_files import content, detections, fused_m, of_camera, recorded, renamed, run, write_project
from tests.multiview_files import neutral_arrays, save

ROOT = Path(__file__).parent.parent


def neutral(tmp_path, skeleton=COCO17, **changes):
    recording = recorded(skeleton, n_frames=20)
    arrays = neutral_arrays(recording)
    arrays["keypoints2d"] = detections(recording)
    return save(tmp_path / "walk.npz", arrays, **changes), recording


def test_a_neutral_file_becomes_a_session_that_fuses_to_the_truth(tmp_path):
    path, recording = neutral(tmp_path)
    assert run(path, "--out", tmp_path / "s.mcap") == 0
    messages, config, rig, skeleton = content(tmp_path / "s.mcap")
    assert skeleton == COCO17
    assert [type(source) for source in config.cameras.values()] == [VideoSource] * 3
    assert {source.path for source in config.cameras.values()} == {path}
    assert config.fusion.synchroniser.deadline_ms is None
    for c, camera in enumerate(rig.cameras):
        np.testing.assert_allclose(camera.T_cam_world, recording.rig.cameras[c].T_cam_world, atol=1e-9)
        sent = of_camera(messages, camera.name)
        np.testing.assert_array_equal(
            np.stack([message.keypoints_px[0] for message in sent]), recording.keypoints_px[:, c]
        )
    error_m = np.linalg.norm(fused_m(tmp_path / "s.mcap") - recording.joints_m, axis=-1)
    assert np.median(error_m) < 0.005


def test_joints_of_no_known_skeleton_keep_their_names(tmp_path):
    joints = np.array([name for name in COCO17.joints if name != "nose"] + ["tail"])
    path, _ = neutral(tmp_path, joints=joints)
    assert run(path, "--out", tmp_path / "s.mcap") == 0
    messages, _, _, skeleton = content(tmp_path / "s.mcap")
    sequence = load_sequence(path)
    assert (skeleton.name, skeleton.joints, skeleton.bones) == (
        sequence.skeleton.name,
        sequence.skeleton.joints,
        sequence.skeleton.bones,
    )
    assert {message.skeleton for message in messages if isinstance(message, Keypoints2D)} == {"unnamed17"}
    assert len(fused_m(tmp_path / "s.mcap")) == 20


def test_another_calibration_and_names_count_before_the_files_own(tmp_path, capsys):
    path, recording = neutral(tmp_path)
    ours = recording.rig.names
    save_rig(renamed(recording.rig, ["a", "b", "c"]), tmp_path / "rig.toml")
    assert run(path, "--out", tmp_path / "s.mcap", "--calibration", tmp_path / "rig.toml") == 2
    told = capsys.readouterr().err
    assert "a, b, c" in told
    assert ", ".join(ours) in told
    options = ["--calibration", tmp_path / "rig.toml", "--names", "c", "b", "a"]
    assert run(path, "--out", tmp_path / "s.mcap", *options) == 0
    messages, _, rig, _ = content(tmp_path / "s.mcap")
    assert rig.names == ("c", "b", "a")
    np.testing.assert_array_equal(of_camera(messages, "c")[0].keypoints_px[0], recording.keypoints_px[0, 0])
    assert run(path, "--out", tmp_path / "t.mcap", "--names", "links", "rechts", "Tür 1") == 0
    assert content(tmp_path / "t.mcap")[2].names == ("links", "rechts", "T_r_1")
    assert "'Tür 1' is called T_r_1 in the session" in capsys.readouterr().err


def test_settings_are_taken_over_and_still_wait_for_every_camera(tmp_path, capsys):
    path, _ = neutral(tmp_path)
    settings = tmp_path / "my.yaml"
    settings.write_text(
        "cameras: {webcam: {source: device, device: 0}}\n"
        "fusion: {smoothing: {kind: none}, synchroniser: {deadline_ms: 100, rate_hz: 10}}\n"
        "detector: {search_every: 3}\n"
    )
    assert run(path, "--out", tmp_path / "s.mcap", "--settings", settings) == 0
    config = content(tmp_path / "s.mcap")[1]
    assert config.fusion.smoothing.kind == "none"
    assert (config.fusion.synchroniser.deadline_ms, config.fusion.synchroniser.rate_hz) == (None, 30)
    assert config.detector.search_every == 3
    for text, told in (("fusion: {smothing: {}}", "smothing"), ("[1]", "expected keys"), ("a: [", "not YAML")):
        settings.write_text(text)
        assert run(path, "--out", tmp_path / "t.mcap", "--settings", settings) == 2
        assert told in capsys.readouterr().err


def test_the_end_of_each_camera_is_told(tmp_path):
    path, _ = neutral(tmp_path)
    run(path, "--out", tmp_path / "s.mcap")
    messages, *_ = content(tmp_path / "s.mcap")
    assert [message.state for message in messages[-3:] if isinstance(message, CameraHealth)] == ["ended"] * 3


def test_nothing_is_written_over_unless_forced(tmp_path, capsys):
    path, _ = neutral(tmp_path)
    out = tmp_path / "s.mcap"
    out.write_text("precious")
    assert run(path, "--out", out) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert run(path, "--out", out, "--force") == 0
    assert content(out)[2].names
    assert run(path, "--out", path, "--force") == 2
    assert "is what is read" in capsys.readouterr().err
    assert load_sequence(path).fps == 30


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (["gone.npz"], "gone.npz does not exist"),
        (["walk.npz", "walk2.npz"], "cannot be imported together"),
        (["notes.txt"], "is not a video"),
        (["broken.npz"], "broken.npz"),
        (["broken.csv"], "2D points"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(tmp_path, capsys, what, told):
    neutral(tmp_path)
    (tmp_path / "walk2.npz").write_bytes((tmp_path / "walk.npz").read_bytes())
    for name in ("notes.txt", "broken.npz", "broken.csv"):
        (tmp_path / name).write_text("nothing of the kind")
    assert run(*(tmp_path / name for name in what), "--out", tmp_path / "s.mcap") == 2
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if "mcap" in path.name] == []


def test_a_missing_folder_is_said_before_the_work(tmp_path, capsys):
    path, _ = neutral(tmp_path)
    assert run(path, "--out", tmp_path / "gone" / "s.mcap") == 2
    assert "there is no folder" in capsys.readouterr().err
    assert run(path, "--out", tmp_path) == 2
    assert "is a folder" in capsys.readouterr().err


def test_the_commands_line_can_be_made_where_nothing_is_installed():
    code = (
        "import sys, argparse\n"
        "sys.modules.update(dict.fromkeys(['numpy', 'yaml', 'pydantic', 'mcap', 'av', 'cv2', 'zmq', 'msgpack']))\n"
        "from nodes.commands import import_\n"
        "import_.add(argparse.ArgumentParser().add_subparsers())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_an_hour_is_streamed(tmp_path):
    """Messages are made while they are taken: the first comes before the last frame has been looked at."""
    from nodes.importing.imported import Given
    from nodes.importing.opening import open_import

    folder = write_project(tmp_path / "project", recorded(HALPE26, n_frames=150))
    (folder / "pose/cam1_json/cam1_000140.json").write_text("broken")
    imported = open_import([folder], Given(skeleton="HALPE_26"))
    taken = [next(imported.messages) for _ in range(30)]
    assert [message.source for message in taken[:3]] == ["cam_01", "cam_02", "cam_03"]


def test_native_chatter_is_left_out_and_errors_and_our_own_words_are_not():
    code = (
        "import os, sys\n"
        "from nodes.commands.quiet import without_chatter\n"
        "with without_chatter():\n"
        "    os.write(2, b'I0000 12:34:56 task_runner.cc] hello\\nE0000 12:34:56 broken\\n')\n"
        "    print('ours', file=sys.stderr)\n"
        "print('after', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, timeout=60, capture_output=True, text=True, check=True
    )
    assert sorted(done.stderr.splitlines()) == ["E0000 12:34:56 broken", "after", "ours"]
