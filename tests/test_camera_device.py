"""Camera devices. No camera is needed: OpenCV's V4L2 code meets fake_v4l2.c, and video files stand in elsewhere."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nodes.sources.camera_device import CameraDevice, cameras_present, device_path, epoch_of_stamp
from nodes.sources.source import SourceError
from tests.numbered_clips import SIZE_WH, mean_rgb, number_in, write_clip, write_red_clip

MS = 1_000_000
NOW_NS, MONOTONIC_NS = 1_700_000_000_000 * MS, 5_000_000 * MS

READ_ALL = """
import json, sys, time
from nodes.sources.camera_device import CameraDevice
from nodes.sources.source import SourceError
said, frames, granted, real_ns = "", [], None, time.time_ns
try:
    source = CameraDevice(sys.argv[1], (1280, 720), 30.0, sys.argv[2])
    granted = [*source.granted.size_wh, source.granted.fps, source.granted.pixel_format]
    while len(frames) < 30:
        if len(frames) == 10:  # the wall clock is set; 0 s for most
            time.time_ns = lambda: real_ns() - int(sys.argv[3]) * 1_000_000
        frame = source.read()
        age_ms = (time.time_ns() - frame.captured_ns) / 1e6
        frames.append([frame.frame_id, int(frame.image_rgb.mean()), age_ms, source.stamped_by, frame.captured_ns])
    source.close()
    source.close()
except SourceError as error:
    said = str(error)
print(json.dumps({"granted": granted, "frames": frames, "said": said}))
"""


@pytest.fixture(scope="module")
def fake_v4l2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux" or shutil.which("gcc") is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("needs Linux, gcc and linux/videodev2.h to build the fake camera")
    library = tmp_path_factory.mktemp("fake") / "fake_v4l2.so"
    source = Path(__file__).with_name("fake_v4l2.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source, "-ldl"], check=True)
    return library


def read_fake(library: Path, folder: Path, fate: str, pixel_format: str = "YUYV", back_ms: int = 0) -> dict[str, Any]:
    device = folder / "video-fake"
    device.symlink_to("/dev/full")  # any character device that nothing else opens
    environment = os.environ | {"LD_PRELOAD": str(library), "FAKE_V4L2_PATH": str(device), "FAKE_V4L2_FATE": fate}
    command = [sys.executable, "-c", READ_ALL, str(device), pixel_format, str(back_ms)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    said: dict[str, Any] = json.loads(answer.stdout)
    return said


def test_what_v4l2_grants_is_told_and_frames_carry_the_drivers_time(fake_v4l2, tmp_path):
    """Asked for 1280x720 at 30, given 640x480 at 60; the driver stamps 30 ms before it delivers."""
    answer = read_fake(fake_v4l2, tmp_path, "works")
    assert answer["said"] == ""
    assert answer["granted"] == [640, 480, 60.0, "YUYV"]
    ids, brightness, ages_ms, stamped_by, captured_ns = zip(*answer["frames"], strict=True)
    assert ids == tuple(range(30))
    assert set(stamped_by) == {"driver"}
    assert min(ages_ms) >= 30.0
    assert all(b > a for a, b in itertools.pairwise(captured_ns))
    assert brightness[1] > brightness[0]


def test_torn_jpegs_are_left_out_and_end_in_an_error(fake_v4l2, tmp_path):
    answer = read_fake(fake_v4l2, tmp_path, "works", pixel_format="MJPG")
    assert answer["granted"][3] == "MJPG"
    assert answer["frames"] == []
    assert "could not be decoded as MJPG; try another pixel_format" in answer["said"]


def test_a_clock_set_back_far_is_said_so_that_the_camera_is_opened_again(fake_v4l2, tmp_path):
    answer = read_fake(fake_v4l2, tmp_path, "works", back_ms=3_600_000)
    assert len(answer["frames"]) == 10
    assert re.search(r"the clock was set back by 3(600|599)\.\d s", answer["said"])


def test_a_clock_set_back_a_little_costs_that_much_time_and_no_more(fake_v4l2, tmp_path):
    """0.8 s at 60 fps are 48 frames: more than may be spoilt, but they are whole. A busy machine misses some."""
    answer = read_fake(fake_v4l2, tmp_path, "works", back_ms=800)
    assert answer["said"] == ""
    ids, *_, captured_ns = zip(*answer["frames"], strict=True)
    assert ids[:10] == tuple(range(10))
    assert 24 <= ids[10] - ids[9] <= 56
    assert all(b > a for a, b in itertools.pairwise(captured_ns))


def test_unplugged_while_reading(fake_v4l2, tmp_path):
    answer = read_fake(fake_v4l2, tmp_path, "unplugged")
    assert len(answer["frames"]) == 11, "OpenCV throws a camera's first frame away"
    assert "was unplugged" in answer["said"]


def test_a_camera_that_hangs_is_given_up_by_opencv(fake_v4l2, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")  # seconds; 10 where nobody says so
    answer = read_fake(fake_v4l2, tmp_path, "frozen")
    assert len(answer["frames"]) == 11
    assert "gives no more pictures" in answer["said"]


def test_without_permission_it_says_which_group(fake_v4l2, tmp_path):
    assert "usermod -aG video" in read_fake(fake_v4l2, tmp_path, "denied")["said"]


def test_a_video_file_stands_in_for_a_camera_and_what_it_grants_is_told(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=8)
    source = CameraDevice(str(path), (1280, 720), 60.0, "MJPG")
    assert source.granted.size_wh == SIZE_WH
    assert source.granted.fps == 30.0
    frames = [source.read() for _ in range(8)]
    assert [frame and number_in(frame.image_rgb) for frame in frames] == list(range(8))
    assert [frame and frame.frame_id for frame in frames] == list(range(8))
    assert source.stamped_by == "arrival"
    with pytest.raises(SourceError, match="no more pictures"):
        source.read()
    source.close()
    source.close()
    with pytest.raises(SourceError, match="after close"):
        source.read()


def test_pictures_are_rgb(tmp_path):
    frame = CameraDevice(str(write_red_clip(tmp_path / "red.mp4")), SIZE_WH, 30.0, "MJPG").read()
    assert frame is not None
    assert mean_rgb(frame.image_rgb) == pytest.approx([200, 0, 0], abs=12)


def test_latency_goes_off_the_time_stamp(tmp_path):
    source = CameraDevice(str(write_red_clip(tmp_path / "red.mp4")), SIZE_WH, 30.0, "MJPG", latency_ms=2000.0)
    began_ns = time.time_ns()
    frame = source.read()
    assert frame is not None
    assert began_ns <= frame.captured_ns + 2000 * MS <= time.time_ns()


def test_a_missing_device_is_said_with_those_that_exist(tmp_path):
    (tmp_path / "v4l" / "by-id").mkdir(parents=True)
    for name in ("video0", "video2", "v4l/by-id/usb-cam"):
        (tmp_path / name).touch()
    assert cameras_present(tmp_path) == [str(tmp_path / name) for name in ("v4l/by-id/usb-cam", "video0", "video2")]
    with pytest.raises(SourceError, match=r"gone does not exist\. (Cameras here|No camera is connected)"):
        CameraDevice(str(tmp_path / "gone"), (640, 480), 30.0, "MJPG")


@pytest.mark.skipif(sys.platform != "linux", reason="character devices")
def test_a_device_that_is_no_camera():
    with pytest.raises(SourceError, match=r"gives no pictures: .*fuser -v /dev/null"):
        CameraDevice("/dev/null", (640, 480), 30.0, "MJPG")


@pytest.mark.parametrize(
    ("stamp_ms", "age_ms"),
    [
        (MONOTONIC_NS / MS - 12.5, 12.5),  # uvcvideo: the monotonic clock
        (NOW_NS / MS - 12.5, 12.5),  # a driver on the wall clock
        (MONOTONIC_NS / MS + 1, None),  # in the future
        (MONOTONIC_NS / MS - 60_000, None),  # a minute old: some other clock
        (0.0, None),  # absent
        (-1.0, None),
    ],
)
def test_the_drivers_stamp_becomes_epoch_time_or_is_refused(stamp_ms, age_ms):
    epoch_ns = epoch_of_stamp(stamp_ms, NOW_NS, MONOTONIC_NS)
    assert epoch_ns == (None if age_ms is None else pytest.approx(NOW_NS - age_ms * MS, abs=1000, rel=0))


def test_an_index_is_a_path_on_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert device_path(2) == device_path("2") == "/dev/video2"
    assert device_path("/dev/v4l/by-id/usb-cam") == "/dev/v4l/by-id/usb-cam"
    monkeypatch.setattr(sys, "platform", "win32")
    assert device_path(2) == device_path("2") == 2
