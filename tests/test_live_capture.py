"""Live capture: what it says is missing, and what it brings home from cameras that are running."""

import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.instants import together
from calibration.rig import CameraRig
from calibration.sightings import CameraSightings
from calibration.synthetic import ring_rig
from configs.errors import ConfigError
from nodes.calibrating import live_capture
from nodes.calibrating.found import Found
from nodes.calibrating.live_capture import captured, openers_of, table_of
from nodes.calibrating.live_progress import USEFUL_TOGETHER, Tally, tilt_of
from nodes.sources.source import SourceError
from nodes.sources.virtual.board_plate import BoardPlate
from nodes.sources.virtual.scene import Scene
from nodes.sources.virtual.source import VirtualCamera
from tests.board_videos import pictures, write_video

BOARD = CharucoBoard(4, 5, 0.12, 0.09)
SIZE = (600, 400)
GRID = BOARD.corner_grid


def at(x: float, y: float, side: float = 60.0, squeeze: float = 0.0) -> Found:
    """A board whose first corner is at x, y; its lower squares are smaller by `squeeze`."""
    u, v = np.meshgrid(np.arange(GRID[0], dtype=float), np.arange(GRID[1], dtype=float))
    width = side * (1 - squeeze * v / (GRID[1] - 1))
    return Found(np.stack([x + u * width, y + v * side], axis=-1).reshape(-1, 2), False)


NOTHING = Found(np.full((12, 2), np.nan), False)


def shown_to(tally: Tally, **found: Found) -> bool:
    return tally.take(found, dict.fromkeys(found, SIZE))


def test_advice_goes_from_what_is_most_missing_to_enough() -> None:
    tally = Tally(("left", "right", "back"), GRID)
    shown_to(tally, left=NOTHING, right=NOTHING, back=NOTHING)
    assert tally.missing()[0].startswith("show the board to `left`, `right`, `back`")
    shown_to(tally, left=at(0, 0), right=at(10, 10), back=NOTHING)
    assert tally.missing()[0].startswith("show the board to `back`")
    for i in range(USEFUL_TOGETHER):
        shown_to(tally, left=at(30 * i, 0), right=at(30 * i, 5))
    shown_to(tally, back=at(0, 0))
    assert tally.apart() == [["left", "right"], ["back"]]
    assert tally.missing() == ["show it to `left` and `back` together (0 of 12)"]
    for i in range(USEFUL_TOGETHER):
        shown_to(tally, back=at(30 * i, 0), right=at(30 * i, 5))
    assert tally.apart() == [["left", "right", "back"]]
    words = tally.missing()
    assert any(word.startswith("bring it to the bottom") and "`left`" in word for word in words)
    assert "tilt it before `left`, each side towards it in turn" in words
    for x in range(0, 500, 60):
        for y in range(0, 250, 60):
            shown_to(tally, **dict.fromkeys(tally.cameras, at(x, y, 70, 0.3)))
    assert tally.missing() == []


def test_a_board_held_still_is_useful_once() -> None:
    tally = Tally(("a",), GRID)
    assert shown_to(tally, a=at(100, 100))
    assert not any(shown_to(tally, a=at(100 + i, 100)) for i in range(10))
    assert shown_to(tally, a=at(160, 100))
    assert tally.of["a"].useful == 2
    assert tally.of["a"].looked_at == 12


def test_tilt_is_told_by_opposite_sides() -> None:
    assert tilt_of(at(0, 0).corners_px, GRID) == pytest.approx(0.0)
    assert tilt_of(at(0, 0, squeeze=0.3).corners_px, GRID) == pytest.approx(0.3 / 0.85)
    assert tilt_of(NOTHING.corners_px, GRID) == 0.0


def test_the_table_names_cameras_and_what_to_do() -> None:
    tally = Tally(("left", "right"), GRID)
    shown_to(tally, left=at(0, 0), right=at(0, 0))
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table_of(tally, {"left": "", "right": "reconnecting"}))
    text = console.export_text()
    for word in ("left", "right 1", "■", "12 corners", "reconnecting", "show it to `left` and `right` together"):
        assert word in text


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    """Two cameras beside each other."""
    ring = ring_rig(8, 2.2, 1.3, (320, 240), 330.0, (0.0, 0.0, 1.1))
    return CameraRig((ring.cameras[0], ring.cameras[1]))


def test_running_cameras_until_ctrl_c(rig: CameraRig) -> None:
    """What was found is kept, and moments are shared by cameras that run at different rates and phases."""
    plate = BoardPlate(BOARD, period_s=8.0, reach_m=0.2)
    scene, start_ns = Scene(board=plate, sensor_noise=1.0), time.time_ns()
    openers = {
        name: lambda name=name, fps=fps, phase=phase: VirtualCamera(scene, rig[name], fps, phase, start_ns)
        for name, fps, phase in (("cam_0", 12.0, 0.0), ("cam_1", 9.0, 0.03))
    }
    words: list[str] = []

    def told(tally: Tally, _notes) -> None:
        words.extend(tally.missing()[:1])
        if tally.together[0, 1] >= 3:
            raise KeyboardInterrupt

    seen = captured(openers, BOARD, told, seconds=60)
    assert [each.camera for each in seen] == ["cam_0", "cam_1"]
    assert words
    both = together(seen, within_s=0.1)
    shared = (both.seen.sum(-1) >= 6).all(0)
    assert shared.sum() >= 2
    for c, each in enumerate(seen):
        assert each.size_wh == (320, 240)
        assert (np.diff(each.captured_s) > 0).all()
        scene_s = both.captured_s[c] - each.captured_s[0] + first_s(each)
        true_px = np.array([rig[each.camera].project(plate.corners_world_m(t)) for t in scene_s])
        errors_px = both.corners_px[c] - true_px
        assert np.nanmedian(np.abs(errors_px)) < 0.1


def first_s(each: CameraSightings) -> float:
    """The scene's time of a camera's first picture, by its number."""
    fps, phase = {"cam_0": (12.0, 0.0), "cam_1": (9.0, 0.03)}[each.camera]
    return float(each.frame[0] / fps + phase)


def test_videos_end_by_themselves(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", pictures(5)[0], fps=10)
    (tmp_path / "c.yaml").write_text("cameras:\n  a: {source: video, path: a.mp4}\n")
    seen = captured(openers_of(tmp_path / "c.yaml"), CharucoBoard(4, 5, 0.054, 0.0405), lambda *_: None, seconds=60)
    assert 1 <= len(seen[0].frame) <= 5
    assert seen[0].seen.any()


def test_a_dead_camera_is_named(monkeypatch) -> None:
    monkeypatch.setattr(live_capture, "FIRST_PICTURE_S", 0.3)

    def opener():
        raise SourceError("/dev/video7 is not there")

    with pytest.raises(CalibrationError, match=r"no picture in .* from left: /dev/video7 is not there.*doctor"):
        captured({"left": opener}, BOARD, lambda *_: None, seconds=60)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- 1", "no `cameras:` in it"),
        ("cameras: {}", "no `cameras:` in it"),
        ("cameras:\n  a: {source: device}\n", "cameras.a.device"),
        ("cameras:\n  a: {source: device, device: 0, hz: 3}\n", "unknown key"),
        ("a: [", "cannot be read"),
    ],
)
def test_faulty_configurations(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        openers_of(tmp_path / "c.yaml")


def test_several_cameras_need_no_calibration_yet(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "cameras:\n" + "".join(f"  c{i}: {{source: device, device: {i}}}\n" for i in range(3))
    )
    assert list(openers_of(tmp_path / "c.yaml")) == ["c0", "c1", "c2"]
