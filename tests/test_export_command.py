"""`run_system.py export`: what it refuses, in which words, and what it tells of sessions out of the ordinary."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from lifter.datasets.neutral import load_neutral
from nodes.commands import export as command
from nodes.exporting.formats import FORMATS
from tests.export_readers import read_bvh, read_trc
from tests.export_sessions import person, pose, poses_of, save, walker
from tests.reference import REFERENCE


def run(*arguments):
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    options = parser.parse_args(["export", *map(str, arguments)])
    return options.run(options)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Three people; 7 is there for half a second."""
    x = walker(3.0)
    short = np.full_like(x, np.nan)
    short[10:26] = x[10:26] + 1
    joints_m = {2: x, 7: short, 11: x + 2}
    return save(tmp_path_factory.mktemp("take") / "take.mcap", poses_of(joints_m, 30.0, skeleton="mediapipe33"))


def test_the_command_knows_the_formats():
    assert set(command.FORMATS) == {*FORMATS, "keypoints"}  # which are of another kind


@pytest.mark.parametrize("name", ["a.csv", "a.npz", "a.trc", "a.bvh", "a.glb"])
def test_the_ending_tells_the_format(session, tmp_path, capsys, name):
    assert run(session, "--out", tmp_path / name, "--person", 2) == 0
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert f"{tmp_path / name}: 1 person, 90 moments" in capsys.readouterr().out


def test_a_given_format_needs_no_ending(session, tmp_path):
    assert run(session, "--out", tmp_path / "a.txt", "--format", "csv") == 0
    assert (tmp_path / "a.txt").read_text().startswith("time,captured_ns,person,joint,x,y,z,sigma,views")


@pytest.mark.parametrize(("arguments", "words"), [
    (["--out", "a.xyz"], ["a.xyz", "--format", ".trc"]),
    (["--out", "nowhere/a.csv"], ["there is no folder"]),
    (["--out", "."], ["is a folder"]),
    (["--out", "take.mcap", "--format", "csv"], ["is what is read"]),
    (["--out", "take.mcap", "--format", "csv", "--force"], ["is what is read"]),
    (["--out", "a.csv", "--person", "5"], ["no person 5", "2 (0.0 to 3.0 s)", "7 (0.3 to 0.8 s)"]),
    (["--out", "a.csv", "--min-seconds", "60"], ["nobody stays", "2 (0.0 to 3.0 s)"]),
    (["--out", "a.trc", "--rate", "0"], ["--rate 0", "0.1 to 1000"]),
    (["--out", "a.bvh", "--axes", "z-up"], ["bvh is always y-up"]),
    (["--out", "a.trc", "--unit", "cm"], ["--unit cm", "leave it out"]),
    (["--out", "a.csv", "--from", "50"], ["no poses between", "3.0 s long"]),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_words(session, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "take.mcap"
    copy.write_bytes(session.read_bytes())
    assert run("take.mcap", *arguments) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert [file.name for file in tmp_path.iterdir()] == ["take.mcap"]
    assert copy.read_bytes() == session.read_bytes()


@pytest.mark.parametrize("name", ["a.csv", "a.trc", "a.glb"])
def test_nothing_is_written_over_without_force(session, tmp_path, capsys, name):
    target = tmp_path / ("a_p7.trc" if name == "a.trc" else name)
    target.write_text("dear")
    assert run(session, "--out", tmp_path / name) == 2
    assert "--force" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "dear"
    assert run(session, "--out", tmp_path / name, "--force") == 0
    assert target.stat().st_size > 1000


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"),
    (b"no session at all", "begin as an MCAP file"),
    (None, "does not exist"),
])  # fmt: skip
def test_files_that_are_no_sessions(tmp_path, capsys, content, words):
    path = tmp_path / "s.mcap"
    if content is not None:
        path.write_bytes(content)
    assert run(path, "--out", tmp_path / "a.csv") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()


def test_sessions_without_poses_and_without_people(tmp_path, capsys):
    assert run(save(tmp_path / "s.mcap", []), "--out", tmp_path / "a.csv") == 2
    assert "reprocess" in capsys.readouterr().err
    assert run(save(tmp_path / "n.mcap", [pose(0.0), pose(0.1)]), "--out", tmp_path / "a.csv") == 2
    assert "nobody is in its 2 poses" in capsys.readouterr().err


def test_a_session_that_was_cut_is_exported_up_to_there(session, tmp_path, capsys):
    cut = tmp_path / "cut.mcap"
    content = session.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    assert run(cut, "--out", tmp_path / "a.npz") == 0
    assert "was cut off" in capsys.readouterr().out
    with np.load(tmp_path / "a.npz") as arrays:
        assert 20 < len(arrays["captured_ns"]) < 90


def test_part_of_the_time_and_of_the_people(session, tmp_path):
    assert run(session, "--out", tmp_path / "a.trc", "--from", 1, "--to", 2, "--person", 2, "--person", 11) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a_p11.trc", "a_p2.trc"]
    assert len(read_trc(tmp_path / "a_p2.trc").time_s) == 30
    assert run(session, "--out", tmp_path / "b.trc", "--min-seconds", 1) == 0
    assert sorted(file.name for file in tmp_path.glob("b*")) == ["b_p11.trc", "b_p2.trc"]


def test_axes_and_rate(session, tmp_path):
    for axes, rate in (("y-up", 60), ("z-up", 20)):
        assert run(session, "--out", tmp_path / f"{axes}.trc", "--person", 2, "--axes", axes, "--rate", rate) == 0
    up, world = read_trc(tmp_path / "y-up.trc"), read_trc(tmp_path / "z-up.trc")
    assert (float(up.head["DataRate"]), float(world.head["DataRate"])) == (60.0, 20.0)
    same = up.xyz[::3]
    assert np.allclose(
        same[: len(world.xyz)], np.stack([world.xyz[..., 0], world.xyz[..., 2], -world.xyz[..., 1]], -1), atol=1e-3
    )


def test_one_camera_that_is_not_calibrated_is_told(tmp_path, capsys):
    x = walker(1.0)
    poses = poses_of(
        {0: x - x[:, 23:25].mean(axis=1, keepdims=True)}, 30.0, skeleton="mediapipe33", frame="root_relative"
    )
    assert run(save(tmp_path / "s.mcap", poses), "--out", tmp_path / "a.bvh") == 0
    assert "relative to the middle of the own hips" in capsys.readouterr().out
    assert np.abs(read_bvh(tmp_path / "a.bvh").of("pelvis")).max() < 0.02


def test_joints_of_a_skeleton_that_is_not_known(tmp_path, capsys):
    x = walker(1.0)[:, :20]
    poses = poses_of({0: x}, 30.0, skeleton="octopus8")
    assert run(save(tmp_path / "s.mcap", poses), "--out", tmp_path / "a.csv") == 2
    assert "octopus8" in capsys.readouterr().err
    assert run(save(tmp_path / "t.mcap", poses_of({0: x}, 30.0)), "--out", tmp_path / "a.csv") == 2
    assert "have 20 joints, and coco17 has 17" in capsys.readouterr().err


def test_joints_of_a_list_of_its_own(tmp_path, capsys):
    import json

    joints = ["left_hip", "left_knee", "right_hip", "right_knee", "tail"]
    told = {"skeleton": {"name": "unnamed5", "joints": joints, "bones": [[0, 1], [2, 3]]}}
    poses = poses_of({0: walker(1.0)[:, [23, 25, 24, 26, 0]]}, 30.0, skeleton="unnamed5")
    path = save(tmp_path / "s.mcap", poses, config_yaml="cameras: {}", facts_json=json.dumps(told))
    for name in ("a.csv", "a.trc", "a.bvh", "a.glb"):
        assert run(path, "--out", tmp_path / name) == 0
    assert "no bone leads to are left out: tail" in capsys.readouterr().out
    assert read_trc(tmp_path / "a.trc").names == ["LHip", "LKnee", "RHip", "RKnee", "Tail"]


@pytest.mark.parametrize("name", ["a.csv", "a.npz", "a.trc", "a.bvh", "a.glb"])
def test_somebody_of_a_single_pose(tmp_path, name):
    path = save(tmp_path / "s.mcap", [pose(0.0, [person(3, walker(0.1)[0])], skeleton="mediapipe33")])
    assert run(path, "--out", tmp_path / name) == 0
    assert (tmp_path / name).stat().st_size > 100


def test_many_who_come_and_go(tmp_path):
    """Each file is ended when its person has gone, so that not all are open at once."""
    x = walker(0.2)
    poses = [pose(t / 30, [person(t // 6, x[t % 6])], skeleton="mediapipe33") for t in range(6 * 400)]
    path = save(tmp_path / "s.mcap", poses)
    (tmp_path / "out").mkdir()
    open_files = []
    opened = Path.open

    def counted(self, *arguments, **options):
        file = opened(self, *arguments, **options)
        open_files.append(file)
        assert sum(not each.closed for each in open_files) < 60
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", counted)
        assert run(path, "--out", tmp_path / "out" / "a.trc") == 0
    assert len(list((tmp_path / "out").iterdir())) == 400


def test_a_full_disk_leaves_nothing_behind(session, tmp_path, capsys, monkeypatch):
    from nodes.exporting import csv_file

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv_file, "tidy", full)
    assert run(session, "--out", tmp_path / "a.csv") == 2
    assert "a.csv cannot be written: No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.parquet", "a.c3d"])
def test_a_missing_package_is_named(session, tmp_path, capsys, monkeypatch, name):
    import sys

    for module in ("pyarrow", "pyarrow.parquet", "ezc3d"):
        monkeypatch.setitem(sys.modules, module, None)
    for module in ("nodes.exporting.parquet_file", "nodes.exporting.c3d_file"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert run(session, "--out", tmp_path / name) == 2
    assert 'pip install "livepose3d[export]"' in capsys.readouterr().err


def test_keypoints_for_training_are_written_with_the_calibration(tmp_path, capsys):
    out = tmp_path / "kp.npz"
    assert run(REFERENCE, "--out", out, "--format", "keypoints") == 0
    assert "person 1, " in capsys.readouterr().out
    (recording,) = load_neutral(out)
    assert recording.rig.names == ("front", "right", "back", "left")
    assert (recording.confidence > 0).any(axis=(0, 2)).all()
    assert run(REFERENCE, "--out", out, "--format", "keypoints") == 2
    assert "exists already" in capsys.readouterr().err
    assert run(REFERENCE, "--out", tmp_path / "o.npz", "--format", "keypoints", "--person", 77) == 2
    assert "nobody to write; there is 1" in capsys.readouterr().err
