"""The video of a camera node: which files, which pictures in them, with which times, and what is when it goes wrong."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from configs.schema import Recording
from nodes import video_files, video_writer
from nodes.sources.source import Frame
from nodes.video_files import HEADER, VideoFiles, stem_of
from nodes.video_writer import MOST_WAITING_BYTES, SILENT_S, RecorderOrders, VideoTake
from tests import messages as make
from tests.numbered_clips import number_in, picture_of

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 33_333_333
PATIENCE_S = 30.0


def frame(number: int, captured_ns: int | None = None) -> Frame:
    image_rgb = np.repeat(picture_of(number)[..., None], 3, axis=-1)
    return Frame(
        np.ascontiguousarray(image_rgb), START_NS + number * PERIOD_NS if captured_ns is None else captured_ns, number
    )


def take(folder: Path, stem: str = "walk", codec: str = "h264") -> VideoTake:
    return VideoTake(folder, stem, "left", Recording(codec=codec), 30.0)


def numbers(video: Path) -> list[int]:
    """Numbers of the pictures that a player finds."""
    with av.open(str(video)) as container:
        return [number_in(picture.to_ndarray(format="gray")) for picture in container.decode(video=0)]


def listed(lines: Path) -> list[tuple[int, int, int]]:
    first, *rest = lines.read_text().splitlines()
    assert first == HEADER
    return [tuple(map(int, line.split(","))) for line in rest]  # type: ignore[misc]


def wait_until(condition) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came to that"
        time.sleep(0.005)


def finished(video: VideoTake) -> VideoTake:
    video.end()
    wait_until(lambda: video.is_written)
    return video


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_every_picture_is_written_with_its_number_and_its_time(tmp_path, codec):
    video = take(tmp_path, codec=codec)
    frames = [frame(n) for n in range(40) if n not in (7, 8)]
    for each in frames:
        video.offer(each)
    status = finished(video).status
    assert (status.file, status.frames, status.dropped, status.note) == ("walk.left.mkv", 38, 0, "")
    assert numbers(tmp_path / "walk.left.mkv") == [each.frame_id for each in frames]
    assert listed(tmp_path / "walk.left.frames.csv") == [
        (index, each.frame_id, each.captured_ns) for index, each in enumerate(frames)
    ]


def test_a_player_shows_the_pictures_at_their_times_and_finds_a_key_frame_every_second(tmp_path):
    video = take(tmp_path)
    times_ns = [START_NS + ms * 1_000_000 for ms in (0, 33, 100, 600, 1000, 1040, 1999, 2040, 2080)]
    for number, captured_ns in enumerate(times_ns):
        video.offer(frame(number, captured_ns))
    finished(video)
    with av.open(str(tmp_path / "walk.left.mkv")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [round(1000 * packet.pts * packet.time_base) for packet in packets] == [
        0,
        33,
        100,
        600,
        1000,
        1040,
        1999,
        2040,
        2080,
    ]
    assert [packet.is_keyframe for packet in packets] == [True, False, False, False, True, False, False, True, False]


def test_times_that_stand_still_or_go_back_do_not_end_the_video(tmp_path):
    video = take(tmp_path)
    for number, captured_ns in enumerate((START_NS, START_NS, START_NS - 5_000_000_000, START_NS + 50_000_000)):
        video.offer(frame(number, captured_ns))
    assert finished(video).status.frames == 4
    assert [line[2] - START_NS for line in listed(tmp_path / "walk.left.frames.csv")] == [
        0,
        0,
        -5_000_000_000,
        50_000_000,
    ]


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
@pytest.mark.parametrize("size_wh", [(64, 48), (63, 49), (64, 49), (96, 54)])
def test_size_and_colours_stay(tmp_path, codec, size_wh):
    image_rgb = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    image_rgb[:, : size_wh[0] // 2] = (200, 30, 30)
    image_rgb[:, size_wh[0] // 2 :] = (20, 40, 180)
    video = take(tmp_path, codec=codec)
    video.offer(Frame(image_rgb, START_NS, 0))
    finished(video)
    with av.open(str(tmp_path / "walk.left.mkv")) as container:
        (shown,) = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert shown.shape == image_rgb.shape
    assert np.abs(shown.astype(int) - image_rgb)[:, 4:24].mean() < 6
    assert np.abs(shown.astype(int) - image_rgb)[:, -24:-4].mean() < 6


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "walk.left.mkv").write_text("mine")
    (tmp_path / "walk-2.left.frames.csv").write_text("mine, too")
    for _ in range(2):
        video = take(tmp_path)
        video.offer(frame(1))
        finished(video)
    assert video.status.file == "walk-4.left.mkv"
    assert (tmp_path / "walk.left.mkv").read_text() == "mine"
    assert (tmp_path / "walk-2.left.frames.csv").read_text() == "mine, too"
    assert numbers(tmp_path / "walk-3.left.mkv") == numbers(tmp_path / "walk-4.left.mkv") == [1]


def test_pictures_of_another_size_go_into_a_file_of_their_own(tmp_path):
    video = take(tmp_path)
    video.offer(frame(1))
    video.offer(Frame(np.zeros((48, 64, 3), np.uint8), START_NS + PERIOD_NS, 2))
    video.offer(Frame(np.zeros((48, 64, 3), np.uint8), START_NS + 2 * PERIOD_NS, 3))
    status = finished(video).status
    assert (status.file, status.frames, status.note) == ("walk-2.left.mkv", 3, "")
    assert [line[1] for line in listed(tmp_path / "walk-2.left.frames.csv")] == [2, 3]


def test_without_a_picture_there_is_no_file(tmp_path):
    assert finished(take(tmp_path)).status.file == ""
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_into_memory_is_dropped_and_counted(tmp_path, monkeypatch):
    go_on = threading.Event()
    write = VideoFiles.write

    def slow(self: VideoFiles, given: Frame) -> int:
        assert go_on.wait(PATIENCE_S)
        return write(self, given)

    monkeypatch.setattr(VideoFiles, "write", slow)
    video = take(tmp_path)
    large = np.zeros((1080, 1920, 3), np.uint8)
    fit = MOST_WAITING_BYTES // large.nbytes
    for number in range(fit + 10):
        video.offer(Frame(large, START_NS + number * PERIOD_NS, number))
    go_on.set()
    status = finished(video).status
    assert status.frames in (fit, fit + 1), "one more, if the writer had begun with the first"
    assert status.frames + status.dropped == fit + 10
    assert [line[1] for line in listed(tmp_path / "walk.left.frames.csv")] == list(range(status.frames))


def test_offering_takes_microseconds_while_the_disk_hangs(tmp_path, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(VideoFiles, "write", lambda self, given: go_on.wait(PATIENCE_S) and 0)
    video = take(tmp_path)
    each_s = []
    picture = frame(1)
    for _ in range(2000):
        begun_s = time.perf_counter()
        video.offer(picture)
        each_s.append(time.perf_counter() - begun_s)
    go_on.set()
    finished(video)
    assert np.median(each_s) < 100e-6


def test_at_the_end_of_the_node_what_cannot_be_written_in_time_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(video_writer, "FINISH_S", 0.05)
    monkeypatch.setattr(video_writer, "HURRY_S", PATIENCE_S)
    write = VideoFiles.write

    def slow(self: VideoFiles, given: Frame) -> int:
        time.sleep(0.04)
        return write(self, given)

    monkeypatch.setattr(VideoFiles, "write", slow)
    video = take(tmp_path)
    for number in range(50):
        video.offer(frame(number))
    video.finish()
    assert video.is_written
    assert 1 <= video.status.frames < 25
    assert video.status.frames + video.status.dropped == 50
    assert numbers(tmp_path / "walk.left.mkv") == list(range(video.status.frames))


def test_a_folder_that_cannot_be_made_costs_the_video_only(tmp_path):
    (tmp_path / "file").write_text("")
    video = take(tmp_path / "file" / "folder")
    for number in range(3):
        video.offer(frame(number))
    status = finished(video).status
    assert (status.file, status.frames, status.dropped) == ("", 0, 3)
    assert str(tmp_path / "file" / "folder") in status.note


def test_an_encoder_that_fails_leaves_what_is_written_whole(tmp_path, monkeypatch):
    video = take(tmp_path)
    for number in range(5):
        video.offer(frame(number))
    wait_until(lambda: video.status.frames == 5)
    monkeypatch.setattr(video_files._H264, "encode", lambda *_: (_ for _ in ()).throw(RuntimeError("it broke")))
    for number in range(5, 8):
        video.offer(frame(number))
    status = finished(video).status
    assert (status.frames, status.dropped) == (5, 3)
    assert "it broke" in status.note
    assert numbers(tmp_path / "walk.left.mkv") == [0, 1, 2, 3, 4]


def test_video_leaves_room_for_the_poses(tmp_path, monkeypatch):
    monkeypatch.setattr(video_files, "SPARE_BYTES", 1 << 60)
    video = take(tmp_path)
    video.offer(frame(1))
    status = finished(video).status
    assert "MiB are free" in status.note
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MB, as full as can be told in time."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux":
        pytest.skip("tmpfs is Linux's")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_a_full_disk_ends_the_video_and_keeps_what_is_there(small_disk, monkeypatch, codec):
    monkeypatch.setattr(video_files, "SPARE_BYTES", 0)
    rng = np.random.default_rng(0)
    video = take(small_disk, codec=codec)
    number = 0
    while not video.status.note:
        video.offer(Frame(rng.integers(0, 255, (240, 320, 3), np.uint8), START_NS + number * PERIOD_NS, number))
        number += 1
        wait_until(video._waiting.empty)
    status = finished(video).status
    assert "No space left" in status.note
    assert status.dropped >= 1
    with av.open(str(small_disk / "walk.left.mkv")) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert status.frames - 30 <= shown <= status.frames
    assert shown > 10


KILLED = """
import sys, time
from pathlib import Path
from tests.test_video_writer import frame, take
video = take(Path(sys.argv[1]), codec=sys.argv[2])
for number in range(3000):
    video.offer(frame(number))
    print(video.status.frames, flush=True)
    time.sleep(1 / 30)
"""


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_kill_9_costs_less_than_a_second(tmp_path, codec):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), codec], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    written = 0
    for line in child.stdout:
        written = int(line)
        if written >= 75:
            os.kill(child.pid, signal.SIGKILL)
            break
    child.stdout.close()
    child.wait()
    shown = numbers(tmp_path / "walk.left.mkv")
    lines = listed(tmp_path / "walk.left.frames.csv")
    assert shown == list(range(len(shown)))
    assert [line[1] for line in lines] == list(range(len(lines)))
    assert len(shown) > written - 0.5 * 30
    assert len(lines) >= written


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("/data/takes/walk 1.mcap", "walk_1"),
        (r"C:\takes\walk.mcap", "walk"),
        ("walk.2024-05-01", "walk.2024-05-01"),
        ("../../etc/passwd", "passwd"),
        ("..", "take"),
        ("takes/.mcap", "take"),
        ("", "take"),
        ("Läufer.mcap", "L_ufer"),
        ("a" * 300 + ".mcap", "a" * 100),
    ],
)
def test_a_take_s_name_is_harmless_in_any_folder(path, stem):
    assert stem_of(path) == stem


def test_video_is_wanted_while_the_recorder_says_so_and_lives():
    orders = RecorderOrders()
    assert orders.wanted(0.0) == ""
    for state, video, wanted in (
        ("idle", True, ""),
        ("starting", True, ""),
        ("recording", False, ""),
        ("recording", True, "t/walk.mcap"),
        ("stopped", True, ""),
        ("failed", True, ""),
        ("recording", True, "t/walk.mcap"),
    ):
        orders.hear(make.recorder_health(state=state, video=video, path="t/walk.mcap"), 10.0)
        assert orders.wanted(10.1) == wanted, (state, video)
    assert orders.wanted(10.0 + SILENT_S - 0.1) == "t/walk.mcap"
    assert orders.wanted(10.0 + SILENT_S + 0.1) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_the_writer_lets_others_go_first(tmp_path):
    video = take(tmp_path)
    native_id = video._thread.native_id
    assert native_id is not None
    wait_until(
        lambda: (
            os.getpriority(os.PRIO_PROCESS, native_id) == max(video_writer.NICENESS, os.getpriority(os.PRIO_PROCESS, 0))
        )
    )
    finished(video)
