import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from calibration import rigid
from calibration.board import save_board
from calibration.rig import CameraRig
from calibration.rig_file import load_rig, save_rig
from calibration.sightings import CameraSightings
from calibration.world_frame import moved
from nodes.commands import calibrate_world
from tests.board_views import BOARD, rig_of
from tests.test_world_frame import ASTRAY, lying

HIGH = lying(height_m=0.9)  # held up
BEGIN_S = 1.7e9  # a session's clock


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a rig that leans and a board."""
    save_rig(moved(rig_of(), ASTRAY), tmp_path / "rig.toml")
    save_board(BOARD, tmp_path / "board.toml")
    return tmp_path


def filmed(cameras: Sequence[str]) -> tuple[CameraSightings, ...]:
    """Two seconds in the hand, then three on the floor."""
    rng = np.random.default_rng(0)
    at_s = np.arange(50) / 10
    told = []
    for camera in rig_of().select(tuple(cameras)).cameras:
        poses = [HIGH if t < 2.0 else lying() for t in at_s]
        px = camera.project(np.stack([rigid.transform(T, BOARD.corners_m()) for T in poses]))
        px += rng.normal(0.0, 0.2, px.shape)
        zeros = np.zeros(50, dtype=np.int64)
        told.append(
            CameraSightings(camera.name, camera.size_wh, BEGIN_S + at_s, np.arange(50), px, zeros > 0, zeros - 1)
        )
    return tuple(told)


@pytest.mark.parametrize("cameras", [("front", "right", "back", "left"), ("left",)], ids=["four", "one"])
def test_a_board_on_the_floor(
    cameras: tuple[str, ...], files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("nodes.calibrating.board_input.read_sightings", lambda *_: filmed(cameras))
    board = ("--board-on-floor", "take", "--board", str(files / "board.toml"))
    assert run(files, *board) == 2
    assert "--at SECOND" in capsys.readouterr().err
    assert run(files, *board, "--at", "30") == 2
    assert "between 0.0 and 4.9 s" in capsys.readouterr().err
    assert run(files, *board, "--at", "4", "--x-towards", "back") == 0
    off = off_truth(load_rig(files / "room.toml"))
    assert off < 0.02
    assert "above the floor" in capsys.readouterr().out
    back = load_rig(files / "room.toml")["back"].T_world_cam[:2, 3]
    assert back[0] > 2.0
    assert back[1] == pytest.approx(0.0, abs=1e-6)


def test_picked_points(files: Path):
    rig = load_rig(files / "rig.toml")
    floor = {"origin": (0.2, 0.1, 0.0), "x": (1.0, 0.1, 0.0), "floor": (0.2, -0.7, 0.0)}
    text = " ".join(
        f"{name}="
        + ";".join(
            f"{camera}:{px[0]:.3f},{px[1]:.3f}"
            for camera in ("front", "left")
            for px in [rig[camera].project(rigid.transform(ASTRAY, np.array(place)))]
        )
        for name, place in floor.items()
    )
    assert run(files, "--points", text) == 0
    room, truth = load_rig(files / "room.toml"), rig_of()
    for name in truth.names:
        np.testing.assert_allclose(
            room[name].T_world_cam[:3, 3], truth[name].T_world_cam[:3, 3] - (0.2, 0.1, 0.0), atol=1e-3
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("origin=front:1,2", "origin, x and floor are needed"),
        ("origin=front:1,2 x=front:1,2 floor=front:1,2", "picked in one camera"),
        ("origin=nobody:1,2;front:3,4 x=0,0,0 floor=0,0,0", "no camera 'nobody'"),
        ("origin=front:1;left:3,4 x=0,0,0 floor=0,0,0", "expected 2 numbers"),
        ("origin=0,0 x=0,0,0 floor=0,0,0", "expected 3 numbers"),
    ],
)
def test_points_that_are_written_wrongly(text: str, words: str, files: Path, capsys: pytest.CaptureFixture[str]):
    assert run(files, "--points", text) == 2
    assert words in capsys.readouterr().err
    assert not (files / "room.toml").exists()


def test_level_cameras(files: Path):
    assert run(files, "--level", "front=1.824") == 0
    assert off_truth(load_rig(files / "room.toml")) < 0.02
    assert run(files, "--level", "front=1.824") == 2  # never over a calibration
    assert run(files, "--level", "front=1.824", "--force") == 0
    with pytest.raises(SystemExit):
        run(files, "--level", "front")


def off_truth(room: CameraRig) -> float:
    """Largest difference of heights: x and y are a matter of choice."""
    heights = [abs(room[name].T_world_cam[2, 3] - rig_of()[name].T_world_cam[2, 3]) for name in room.names]
    return max(heights)


def run(files: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    calibrate_world.add(parser.add_subparsers(required=True))
    given = ["world", "--calibration", str(files / "rig.toml"), "--out", str(files / "room.toml"), *arguments]
    options = parser.parse_args(given)
    code: int = options.run(options)
    return code
