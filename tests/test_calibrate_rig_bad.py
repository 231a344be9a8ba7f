"""Bad recordings through `calibrate rig`: each is answered with what is wrong and what to do; no file is written."""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.calibrate_scenes import BOARD, T_world_board, picture
from calibration.board import save_board
from calibration.intrinsics_file import save_intrinsics
from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from nodes.calibrating.board_input import read_sightings
from nodes.calibrating.corners_file import save_corners
from nodes.commands import calibrate_rig
from nodes.sources.virtual.board_plate import BoardPlate
from nodes.sources.virtual.room import view_of
from nodes.sources.virtual.scene import Scene
from tests.board_videos import write_video

pytestmark = pytest.mark.slow

SIZE_WH = (640, 360)
FPS, FRAMES = 4, 30
NAMES = ("cam_0", "cam_1", "cam_2")


@pytest.fixture(scope="session")
def taken():
    """The rig and what each camera filmed: (N, H, W) grey pictures."""
    cameras = ring_rig(4, 1.6, 1.4, SIZE_WH, 480.0, target_m=(0.0, 0.0, 1.2), dist=(-0.1, 0.03, 0.0, 0.0, 0.0)).cameras
    rig = CameraRig(tuple(replace(each, name=name) for each, name in zip(cameras, NAMES, strict=False)))
    plate, rng = BoardPlate(board=BOARD), np.random.default_rng(0)
    filmed = []
    for camera in rig.cameras:
        view = view_of(camera, Scene())
        poses = (_near(T_world_board(1.7 * n / FPS)) for n in range(FRAMES))
        filmed.append(np.stack([picture(view, plate, pose, rng) for pose in poses]))
    return rig, np.stack(filmed)


def _near(T: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The way of the benchmarks' board in a room of half the size."""
    T = T.copy()
    T[:2, 3] *= 0.45
    return T


@pytest.fixture(scope="session")
def good(taken, tmp_path_factory):
    """A folder with the videos of a good recording, and the board."""
    return _folder(tmp_path_factory.mktemp("good"), taken[1])


@pytest.fixture(scope="session")
def corners(good):
    """What a good recording's cameras saw."""
    return read_sightings(good, BOARD, lambda _camera, _share: None, jobs=1)


def _folder(folder: Path, pictures, names=NAMES) -> Path:
    folder.mkdir(exist_ok=True)
    for name, of_camera in zip(names, pictures, strict=True):
        write_video(folder / f"{name}.mp4", of_camera, FPS)
    save_board(BOARD, folder / "board.toml")
    return folder


def _command(*arguments) -> int:
    words = argparse.ArgumentParser()
    calibrate_rig.add(words.add_subparsers())
    options = words.parse_args(["rig", *map(str, arguments)])
    return int(options.run(options))


class Refused:
    """What the command said of a recording that it did not accept."""

    def __init__(self, capsys, tmp_path, *arguments) -> None:
        out = tmp_path / "rig.toml"
        capsys.readouterr()
        self.code = _command(*arguments, "--out", out, "--report", tmp_path / "report")
        told = capsys.readouterr()
        progress = "…"
        lines = (told.out + told.err).splitlines()
        self.text = "\n".join(line for line in lines if not line.startswith(progress))
        assert self.code in (1, 2), self.text
        assert not out.exists(), "a calibration was written all the same"
        assert self.code == 2 or self.text.startswith("redo")


def test_no_board_in_any_frame(good, taken, capsys, tmp_path):
    empty = [of_camera[:1].repeat(4, axis=0) * 0 + 90 for of_camera in taken[1]]
    folder = _folder(tmp_path / "take", empty)
    refused = Refused(capsys, tmp_path, "--videos", folder, "--board", folder / "board.toml")
    assert refused.code == 2
    assert "cam_0" in refused.text


def test_one_camera_never_sees_the_board(taken, capsys, tmp_path):
    pictures = taken[1][:, ::3].copy()
    pictures[1] = 90
    folder = _folder(tmp_path / "take", pictures)
    refused = Refused(capsys, tmp_path, "--videos", folder, "--board", folder / "board.toml")
    assert "cam_1" in refused.text
    assert "cam_2" not in refused.text


def test_the_board_has_other_squares(taken, capsys, tmp_path):
    folder = _folder(tmp_path / "take", taken[1][:, ::6])
    save_board(replace(BOARD, columns=4, rows=6), tmp_path / "other.toml")
    refused = Refused(capsys, tmp_path, "--videos", folder, "--board", tmp_path / "other.toml")
    assert "5x7" in refused.text


def test_a_mirrored_picture(corners, taken, capsys, tmp_path):
    seen = corners[2]
    flipped = replace(seen, corners_px=(SIZE_WH[0] - 1, 0) + seen.corners_px * (-1, 1), mirrored=~seen.mirrored)
    kept = _kept([*corners[:2], flipped], tmp_path)
    refused = Refused(capsys, tmp_path, *kept, "--intrinsics", _lenses(taken[0], tmp_path))
    assert "cam_2" in refused.text
    assert "mirrored" in refused.text


def test_an_upside_down_camera_is_calibrated_and_told(corners, taken, capsys, tmp_path):
    """Geometry does not mind a camera that is mounted so; the one who looks at people does."""
    seen = corners[1]
    turned = replace(seen, corners_px=np.array(SIZE_WH) - 1 - seen.corners_px)
    kept = _kept([corners[0], turned, corners[2]], tmp_path)
    code = _command(*kept, "--intrinsics", _lenses(taken[0], tmp_path), "--out", tmp_path / "rig.toml")
    told = capsys.readouterr()
    assert "cam_1" in told.out + told.err
    assert "stands on its head" in told.out + told.err
    assert (code == 0) == (tmp_path / "rig.toml").exists()


def test_the_same_frame_again_and_again(taken, capsys, tmp_path):
    shown = max(range(FRAMES), key=lambda n: min(of_camera[n].std() for of_camera in taken[1]))
    folder = _folder(tmp_path / "take", [of_camera[shown : shown + 1].repeat(6, axis=0) for of_camera in taken[1]])
    refused = Refused(capsys, tmp_path, "--videos", folder, "--board", folder / "board.toml")
    assert refused.code == 2
    assert "same" in refused.text


def test_one_video_is_no_rig(taken, capsys, tmp_path):
    folder = _folder(tmp_path / "take", taken[1][:1, ::6], NAMES[:1])
    refused = Refused(capsys, tmp_path, "--videos", folder, "--board", folder / "board.toml")
    assert refused.code == 2
    assert "one camera, 'cam_0'" in refused.text


@pytest.mark.parametrize("content", [b"", b"this is no video" * 100])
def test_a_file_that_is_no_video(good, capsys, tmp_path, content):
    folder = Path(shutil.copytree(good, tmp_path / "take"))
    (folder / "cam_1.mp4").write_bytes(content)
    refused = Refused(capsys, tmp_path, "--videos", folder, "--board", folder / "board.toml")
    assert refused.code == 2
    assert "cam_1" in refused.text


def test_an_empty_folder_and_none_at_all(good, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "absent"):
        refused = Refused(capsys, tmp_path, "--videos", folder, "--board", good / "board.toml")
        assert refused.code == 2
        assert str(folder) in refused.text


def _kept(corners, tmp_path) -> tuple[str | Path, ...]:
    path = tmp_path / "bad.npz"
    save_corners(corners, path)
    save_board(BOARD, tmp_path / "board.toml")
    return "--corners", path, "--board", tmp_path / "board.toml"


def test_cameras_that_never_see_the_board_together(corners, taken, capsys, tmp_path):
    apart = [_without(each, (each.frame < FRAMES // 2) == (c == 2)) for c, each in enumerate(corners)]
    refused = Refused(capsys, tmp_path, *_kept(apart, tmp_path), "--intrinsics", _lenses(taken[0], tmp_path))
    assert refused.code == 2
    assert "'cam_2' saw the board together with" in refused.text
    assert "at 0 instants" in refused.text


def test_observations_that_are_all_nan(corners, capsys, tmp_path):
    refused = Refused(capsys, tmp_path, *_kept([_without(each, each.frame >= 0) for each in corners], tmp_path))
    assert refused.code == 2


def test_observations_of_which_some_are_nan_are_no_harm(corners, taken, tmp_path):
    half = []
    for each in corners:
        corners_px = each.corners_px.copy()
        corners_px[::4, 3, 0] = np.nan
        half.append(replace(each, corners_px=corners_px))
    lenses = _lenses(taken[0], tmp_path)
    assert _command(*_kept(half, tmp_path), "--intrinsics", lenses, "--out", tmp_path / "rig.toml") == 0


def test_two_files_exchanged_half_way(corners, taken, capsys, tmp_path):
    """With lenses given, so that nothing else can show it."""
    one, other = corners[1], corners[2]
    late = one.frame >= FRAMES // 2
    mixed = [np.where(late[:, None, None], b.corners_px, a.corners_px) for a, b in ((one, other), (other, one))]
    swapped = [corners[0], replace(one, corners_px=mixed[0]), replace(other, corners_px=mixed[1])]
    refused = Refused(capsys, tmp_path, *_kept(swapped, tmp_path), "--intrinsics", _lenses(taken[0], tmp_path))
    assert "cam_1" in refused.text
    assert "cam_2" in refused.text


def test_pictures_of_other_times(corners, taken, capsys, tmp_path):
    """One camera's file is of another take."""
    mixed = np.random.default_rng(0).permutation(FRAMES)
    wrong = [*corners[:2], replace(corners[2], corners_px=corners[2].corners_px[mixed])]
    refused = Refused(capsys, tmp_path, *_kept(wrong, tmp_path), "--intrinsics", _lenses(taken[0], tmp_path))
    assert "cam_2" in refused.text


def test_lenses_of_another_picture_size(corners, taken, capsys, tmp_path):
    rig = CameraRig(tuple(each.resized((1280, 720)) for each in taken[0].cameras))
    refused = Refused(capsys, tmp_path, *_kept(corners, tmp_path), "--intrinsics", _lenses(rig, tmp_path))
    assert refused.code == 2
    assert "'cam_0' delivers 640x360, but its intrinsics are for 1280x720" in refused.text


def test_a_file_that_is_no_corners(good, capsys, tmp_path):
    refused = Refused(capsys, tmp_path, "--corners", good / "board.toml", "--board", good / "board.toml")
    assert refused.code == 2
    assert "holds no corners" in refused.text


def _without(seen, instants):
    return replace(seen, corners_px=np.where(instants[:, None, None], np.nan, seen.corners_px))


def _lenses(rig: CameraRig, tmp_path: Path) -> Path:
    from calibration.board_path import vector_of
    from calibration.intrinsics import Intrinsics

    path = tmp_path / "lenses.toml"
    save_intrinsics({c.name: Intrinsics(c.name, c.size_wh, c.lens, vector_of(c)) for c in rig.cameras}, path)
    return path
