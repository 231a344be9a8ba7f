"""`calibrate convert`: what is written, what is refused, and that nothing is written over unasked."""

import argparse
from dataclasses import replace

import numpy as np
import pytest

from calibration.errors import CalibrationError
from calibration.formats.kinds import KINDS
from calibration.rig import CameraRig
from calibration.rig_file import load_rig, save_rig
from calibration.synthetic import ring_rig
from configs.schema import Config
from nodes.commands import calibrate_convert
from nodes.sessions.about import about_of, rig_of

RIG = ring_rig(4, 4.0, 2.0, (1280, 720), 900.0, dist=[-0.1, 0.02, 1e-3, 0.0, 0.01])


def convert(*words: object) -> int:
    parser = argparse.ArgumentParser()
    calibrate_convert.add(parser.add_subparsers())
    options = parser.parse_args(["convert", *map(str, words)])
    return int(options.run(options))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_there_and_back_again(tmp_path, capsys, kind):
    save_rig(RIG, tmp_path / "rig.toml")
    assert convert(tmp_path / "rig.toml", tmp_path / "other", "--to", kind) == 0
    assert f"{KINDS[kind].title}, 4 cameras: front, right, back, left. Read back: nothing is lost" in (
        capsys.readouterr().out
    )
    assert convert(tmp_path / "other", tmp_path / "back.toml") == 0
    for before, after in zip(RIG.cameras, load_rig(tmp_path / "back.toml").cameras, strict=True):
        assert after.name == before.name
        np.testing.assert_allclose(after.T_cam_world, before.T_cam_world, atol=1e-9)
        np.testing.assert_array_equal(after.dist8, before.dist8)


def test_cameras_are_chosen_and_renamed(tmp_path, capsys):
    save_rig(RIG, tmp_path / "rig.toml")
    words = (tmp_path / "rig.toml", tmp_path / "rig.json", "--cameras", "left,front", "--names", "left=00_01")
    assert convert(*words) == 0
    assert load_rig(tmp_path / "rig.json").names == ("00_01", "front")
    assert "left out, as asked: 2 of 4 cameras" in capsys.readouterr().out
    for option, wrong in (("--cameras", "top"), ("--names", "top=bottom")):
        assert convert(tmp_path / "rig.toml", tmp_path / "2.json", option, wrong) == 2
        assert "no camera 'top' in the calibration; it has front" in capsys.readouterr().err
    assert convert(tmp_path / "rig.toml", tmp_path / "2.json", "--names", "left=front") == 2
    assert "two cameras are called 'front'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        convert(tmp_path / "rig.toml", tmp_path / "2.json", "--names", "left")


def test_what_a_kind_cannot_hold_is_refused_with_one_that_can(tmp_path, capsys):
    cameras = [replace(camera, dist=np.zeros(4), lens="fisheye") for camera in RIG.cameras[:1]]
    save_rig(CameraRig((*cameras, *RIG.cameras[1:])), tmp_path / "rig.toml")
    assert convert(tmp_path / "rig.toml", tmp_path / "rig.qca.txt") == 2
    told = capsys.readouterr().err
    assert (
        "camera 'front' has a fisheye lens, which files of Qualisys cannot hold: write one of caliscope, opencv" in told
    )
    assert not (tmp_path / "rig.qca.txt").exists()


def test_nothing_is_written_over_unasked(tmp_path, capsys):
    source = tmp_path / "rig.toml"
    save_rig(RIG, source)
    taken = tmp_path / "rig.yml"
    taken.write_text("mine")
    assert convert(source, taken) == 2
    assert taken.read_text() == "mine"
    assert "exists already: give another name, or --force" in capsys.readouterr().err
    assert convert(source, taken, "--force") == 0
    assert convert(source, source, "--force") == 2
    assert "is what is read" in capsys.readouterr().err
    (tmp_path / "mocap").mkdir()
    (tmp_path / "mocap" / "extri.yml").write_text("mine")
    assert convert(source, tmp_path / "mocap") == 2
    assert "extri.yml exists already" in capsys.readouterr().err
    assert convert(source, tmp_path / "mocap", "--to", "panoptic") == 2
    assert "is a folder: give a file" in capsys.readouterr().err
    assert convert(source, taken, "--to", "easymocap") == 2
    assert "is a file, and EasyMocap is a folder" in capsys.readouterr().err


def test_what_cannot_be_done_is_told(tmp_path, capsys):
    save_rig(RIG, tmp_path / "rig.toml")
    for words, message in (
        ((tmp_path / "none.toml", tmp_path / "a.yml"), "none.toml does not exist"),
        (
            (tmp_path / "rig.toml", tmp_path / "rig.doc"),
            "its name tells no kind of calibration file: say --to caliscope|toml",
        ),
        ((tmp_path / "rig.toml", tmp_path / "a.yml", "--to", "matlab"), "there is no kind 'matlab'"),
        ((tmp_path / "rig.toml", tmp_path / "no" / "a.yml"), "there is no folder"),
    ):
        assert convert(*words) == 2
        assert message in capsys.readouterr().err


def test_a_system_asks_for_a_file_that_its_recordings_hold(tmp_path):
    """Caliscope's own file is kept as it is; of JSON, it says how to make one."""
    config = Config.model_validate(
        {"cameras": {"cam_0": {"source": "virtual"}, "cam_1": {"source": "virtual"}}, "calibration": "rig.toml"}
    )
    save_rig(RIG, tmp_path / "camera_array.toml")
    about = about_of(config, tmp_path / "camera_array.toml")
    assert about.rig_text == (tmp_path / "camera_array.toml").read_text()
    kept = rig_of(about)
    assert kept is not None
    assert kept.names == RIG.names
    save_rig(RIG, tmp_path / "rig.json")
    with pytest.raises(CalibrationError, match=r"calibrate convert .*rig.json rig.toml"):
        about_of(config, tmp_path / "rig.json")
