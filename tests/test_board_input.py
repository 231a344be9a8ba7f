"""Every kind of input gives what each camera saw and when; every fault names camera and remedy."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import CalibrationError
from calibration.instants import together
from nodes.calibrating import board_input, rig_input
from nodes.calibrating.board_input import Task, read_sightings, tasks_for
from nodes.calibrating.board_input_reels import VideoReel, reels_of
from nodes.calibrating.corners_file import load_corners
from nodes.sources.source import SourceError
from nodes.video_files import VideoFiles
from tests.board_videos import BOARD, pictures, write_images, write_video

CALISCOPE = Path(__file__).parents[2] / "shared" / "data" / "caliscope"


def quiet(_camera: str, _done: float) -> None:
    pass


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory):
    """Two cameras' videos of six frames, cam_2 and cam_10, and the true corners of each."""
    folder, truth = tmp_path_factory.mktemp("videos"), {}
    for seed, name in enumerate(("cam_2", "cam_10")):
        greys, truth[name] = pictures(6, seed)
        write_video(folder / f"{name}.mp4", greys)
    return folder, truth


def copied(filmed, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filmed[0], tmp_path / "videos"))


def test_a_folder_of_videos(filmed) -> None:
    told: list[tuple[str, float]] = []
    folder, truth = filmed
    seen = read_sightings(folder, BOARD, lambda *word: told.append(word), jobs=1)
    assert [camera.camera for camera in seen] == ["cam_2", "cam_10"]
    for camera in seen:
        assert camera.size_wh == (320, 240)
        assert camera.frame.tolist() == list(range(6))
        np.testing.assert_allclose(camera.captured_s, np.arange(6) / 10, atol=1e-6)
        assert camera.seen.mean() > 0.9
        error_px = camera.corners_px - truth[camera.camera]
        assert np.sqrt(np.nanmean(error_px**2)) < 0.1
    assert told[0] == ("cam_2", 0.0)
    assert told[-1] == ("cam_10", 1.0)
    assert together(seen).corners_px.shape[:2] == (2, 6)


@pytest.mark.slow
def test_processes_side_by_side_give_the_same(filmed) -> None:
    told: list[tuple[str, float]] = []
    one = read_sightings(filmed[0], BOARD, quiet, jobs=1)
    two = read_sightings(filmed[0], BOARD, lambda *word: told.append(word), jobs=2)
    assert told
    for a, b in zip(one, two, strict=True):
        assert a.camera == b.camera
        np.testing.assert_array_equal(a.corners_px, b.corners_px)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_keeps_what_was_found(filmed, jobs: int) -> None:
    kept = []

    def interrupted(_camera: str, done: float) -> None:
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_sightings(filmed[0], BOARD, interrupted, jobs=jobs, keep=lambda *what: kept.append(what))
    ((seen, missing),) = kept
    assert len(seen) >= 1
    assert seen[0].seen.mean() > 0.9
    assert [*(each.camera for each in seen), *missing] == ["cam_2", "cam_10"]


def test_what_ctrl_c_kept_is_told(filmed, tmp_path: Path, capsys, monkeypatch) -> None:
    seen = read_sightings(filmed[0], BOARD, quiet, jobs=1)

    def ended(*_: object, keep: board_input.Keep) -> None:
        keep(seen[:1], ["cam_10"])
        raise KeyboardInterrupt

    monkeypatch.setattr(rig_input, "read_sightings", ended)
    with pytest.raises(KeyboardInterrupt):
        rig_input.each_camera(rig_input.Source(videos=filmed[0]), BOARD, tmp_path / "rig.toml", quiet)
    told = capsys.readouterr().err
    assert "6 pictures of cam_2; cam_10 had not been looked at" in told
    (again,) = load_corners(tmp_path / "rig.corners.npz")
    np.testing.assert_array_equal(again.corners_px, seen[0].corners_px)


def test_some_cameras_and_a_single_video(filmed) -> None:
    (only,) = read_sightings(filmed[0], BOARD, quiet, cameras=["cam_10"])
    assert only.camera == "cam_10"
    (alone,) = read_sightings(filmed[0] / "cam_2.mp4", BOARD, quiet)
    assert alone.camera == "cam_2"
    with pytest.raises(CalibrationError, match="no camera 'left': it has cam_2, cam_10"):
        reels_of(filmed[0], ["left"])


def test_times_of_caliscope(filmed, tmp_path: Path) -> None:
    folder = copied(filmed, tmp_path)
    lines = [f"{i + 20},{c},{i + 26},{100 + i / 10 + c / 1000}" for i in range(6) for c in (2, 10)]
    (folder / "timestamps.csv").write_text("\n".join(["sync_index,cam_id,frame_index,frame_time", *lines]))
    seen = read_sightings(folder, BOARD, quiet, jobs=1)
    assert seen[1].sync.tolist() == [20, 21, 22, 23, 24, 25]
    np.testing.assert_allclose(seen[1].captured_s, 100.01 + np.arange(6) / 10)


def test_a_frame_that_the_times_leave_out_is_not_looked_at(filmed, tmp_path: Path) -> None:
    folder = copied(filmed, tmp_path)
    lines = [f"{i},{c},{i},{i}" for i in (0, 2, 5) for c in (2, 10)]
    (folder / "timestamps.csv").write_text("\n".join(["sync_index,port,frame_index,frame_time", *lines]))
    assert read_sightings(folder, BOARD, quiet, jobs=1)[0].frame.tolist() == [0, 2, 5]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["0,2,0,1.0"], "no times of camera 'cam_10'"),
        (
            [f"{i},{c},{i},{i}" for i in range(9) for c in (2, 10)],
            "'cam_2'.*lists 9 frames up to number 8, cam_2.mp4 has 6",
        ),
        ([f"{i},{c},{i},{-i}" for i in range(6) for c in (2, 10)], "do not rise"),
        (["a,b,c,d"], "cannot be read"),
        (["1,2"], "cannot be read"),
    ],
)
def test_times_that_do_not_fit(filmed, tmp_path: Path, rows: list[str], told: str) -> None:
    folder = copied(filmed, tmp_path)
    (folder / "timestamps.csv").write_text("\n".join(["sync_index,cam_id,frame_index,frame_time", *rows]))
    with pytest.raises(CalibrationError, match=told) as fault:
        read_sightings(folder, BOARD, quiet, jobs=1)
    assert "remove" in str(fault.value)


def test_times_without_their_columns(filmed, tmp_path: Path) -> None:
    folder = copied(filmed, tmp_path)
    (folder / "timestamps.csv").write_text("frame,time\n0,1\n")
    with pytest.raises(CalibrationError, match="has no column 'cam_id'"):
        read_sightings(folder, BOARD, quiet, jobs=1)


def test_folders_of_images(tmp_path: Path) -> None:
    greys, truth = pictures(3)
    write_images(tmp_path / "int" / "left", greys)
    write_images(tmp_path / "int" / "right", greys[:2], "cam01_{:02d}_int.png")
    (tmp_path / "int" / "empty").mkdir()
    left, right = read_sightings(tmp_path / "int", BOARD, quiet, jobs=1)
    assert (left.camera, right.camera) == ("left", "right")
    assert left.frame.tolist() == [0, 1, 2]
    assert right.frame.tolist() == [0, 1]
    assert np.isnan(left.captured_s).all()
    assert np.sqrt(np.nanmean((left.corners_px - truth) ** 2)) < 0.03
    (one,) = read_sightings(tmp_path / "int" / "left", BOARD, quiet)
    assert one.camera == "left"


def test_our_own_recording_of_one_camera(tmp_path: Path) -> None:
    """Times are those of capture, not the video's."""
    from nodes.calibrating.board_input_reels import RecordedReel
    from nodes.recorded_video import recorded_videos
    from nodes.sources.source import Frame

    greys, _ = pictures(4)
    files = VideoFiles(tmp_path, "take", "left", "mjpeg", 20, (320, 240), 10.0)
    for i, grey in enumerate(greys):
        files.write(Frame(np.repeat(grey[:, :, None], 3, axis=2), 5_000_000_000 + i * 123_000_000, 7 + i))
    files.close()
    video = recorded_videos(tmp_path / "take.mcap", ["left"])["left"]
    (task,) = tasks_for([RecordedReel("left", video, 5_000_000_000)])
    seen = board_input.sighted(task, BOARD, quiet)
    assert seen.frame.tolist() == [7, 8, 9, 10]
    np.testing.assert_allclose(seen.captured_s, 0.123 * np.arange(4))


def test_videos_written_frame_by_frame_at_made_up_rates_go_by_number(filmed, tmp_path: Path) -> None:
    folder = copied(filmed, tmp_path)
    greys, _ = pictures(6, 1)
    write_video(folder / "cam_10.mp4", greys, fps=30)
    seen = read_sightings(folder, BOARD, quiet, jobs=1)
    assert all(np.isnan(camera.captured_s).all() for camera in seen)
    assert together(seen).frame.tolist() == [list(range(6))] * 2


def test_of_long_recordings_the_same_instants_are_looked_at() -> None:
    slow = Task(VideoReel("a", Path("a.mp4")), 5000, 3, 0.1, True)
    fast = replace(slow, pictures=15000)
    looked_slow = [i / 10 + 0.013 for i in range(600) if slow.wants(i, i / 10 + 0.013)]
    looked_fast = [i / 30 for i in range(1800) if fast.wants(i, i / 30)]
    assert len(looked_slow) == pytest.approx(200, abs=1)
    nearest = np.abs(np.subtract.outer(looked_slow, looked_fast)).min(1)
    assert nearest.max() < 1 / 60 + 1e-9
    by_number = replace(slow, clock=False)
    assert [i for i in range(10) if by_number.wants(i, i / 10)] == [0, 3, 6, 9]


def test_faulty_input_is_named(filmed, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="does not exist; give a folder"):
        read_sightings(tmp_path / "none", BOARD, quiet)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CalibrationError, match="neither videos nor images but nothing"):
        read_sightings(tmp_path / "empty", BOARD, quiet)
    (tmp_path / "empty" / "notes.txt").write_text("x")
    with pytest.raises(CalibrationError, match=r"but notes\.txt"):
        read_sightings(tmp_path / "empty", BOARD, quiet)
    folder = copied(filmed, tmp_path)
    (folder / "cam_3.mp4").write_bytes(b"")
    with pytest.raises(SourceError, match=r"cam_3\.mp4 is not a video"):
        read_sightings(folder, BOARD, quiet)
    (folder / "cam_3.mp4").unlink()
    shutil.copy(folder / "cam_2.mp4", folder / "cam_2.mkv")
    with pytest.raises(CalibrationError, match=r"cam_2\.mkv and cam_2\.mp4 would be one camera"):
        read_sightings(folder, BOARD, quiet)


def test_images_of_other_sizes_and_no_images(tmp_path: Path) -> None:
    greys, _ = pictures(2)
    write_images(tmp_path / "cam", [greys[0], greys[1][:100]])
    with pytest.raises(CalibrationError, match="'cam': frame 1 has 320x100 pixels, those before it 320x240"):
        read_sightings(tmp_path / "cam", BOARD, quiet)
    (tmp_path / "cam" / "view_01.png").write_bytes(b"")
    with pytest.raises(CalibrationError, match=r"view_01\.png is no image"):
        read_sightings(tmp_path / "cam", BOARD, quiet)


def test_a_fault_in_another_process_comes_back(filmed, tmp_path: Path) -> None:
    folder = copied(filmed, tmp_path)
    whole = (folder / "cam_10.mp4").read_bytes()
    (folder / "cam_10.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"cam_10\.mp4"):
        read_sightings(folder, BOARD, quiet, jobs=2)


@pytest.mark.shared
@pytest.mark.slow
def test_a_real_session() -> None:
    if not CALISCOPE.is_dir():
        pytest.skip("needs ../shared/data/caliscope")
    from calibration.board import load_board

    folder = CALISCOPE / "session_c"
    seen = read_sightings(folder, load_board(folder / "charuco.toml"), quiet, cameras=["cam_0", "cam_3"])
    theirs = np.load(CALISCOPE / "charuco_session_c.npz")
    both = together(seen)
    assert both.cameras == ("cam_0", "cam_3")
    assert both.corners_px.shape[1] == 48
    np.testing.assert_allclose(both.captured_s, theirs["frame_time"][:, [0, 3]].T, atol=1e-6)
    assert both.seen.sum() > np.isfinite(theirs["keypoints2d"][:, [0, 3], ..., 0]).sum()
