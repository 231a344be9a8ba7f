"""Video files as cameras: times, loops, pace, catching up, faults."""

import itertools
import subprocess
import threading
import time
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from nodes.sources.source import Frame, SourceError
from nodes.sources.video_file import VideoFile
from tests.numbered_clips import SIZE_WH, mean_rgb, number_in, picture_of, write_clip, write_red_clip

START_NS = 1_700_000_000_123_456_789
PERIOD_NS = 1_000_000_000 // 30
ROUNDING_NS = 1_000_000  # Matroska keeps milliseconds


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


def read_all(source: VideoFile, at_most: int = 1000) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < at_most and (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return frames


def numbers(frames: list[Frame]) -> list[int]:
    return [number_in(frame.image_rgb) for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "mpeg4"), ("a.mov", "mjpeg")],
)
def test_every_frame_of_every_loop_in_its_place(tmp_path, name, codec):
    source = VideoFile(write_clip(tmp_path / name, codec=codec), "pipeline", loop=True, start_ns=START_NS)
    assert source.granted.size_wh == SIZE_WH
    assert source.granted.fps == 30.0
    frames = read_all(source, at_most=75)
    assert [frame.frame_id for frame in frames] == list(range(75))
    assert numbers(frames) == [k % 30 for k in range(75)]
    due_ns = [START_NS + round(k * 1e9 / 30) for k in range(75)]
    assert np.allclose(
        [frame.captured_ns - due for frame, due in zip(frames, due_ns, strict=True)], 0, atol=ROUNDING_NS
    )


def test_of_pictures_with_one_time_only_the_first_is_handed_over(tmp_path):
    """Matroska keeps milliseconds: of pictures 0.4 ms apart two or three fall on one."""
    path = write_clip(tmp_path / "dense.mkv", fps=2500, ticks=range(30))
    frames = read_all(VideoFile(path, "pipeline", loop=True, start_ns=START_NS), at_most=40)
    captured_ns = [frame.captured_ns for frame in frames]
    assert all(b > a for a, b in itertools.pairwise(captured_ns))
    assert captured_ns[0] == START_NS
    assert 10 <= sum(captured < START_NS + 12_000_000 for captured in captured_ns) <= 13, "one for each millisecond"


def test_pictures_are_rgb(tmp_path):
    frame = VideoFile(write_red_clip(tmp_path / "red.mp4"), "pipeline", loop=False, start_ns=0).read()
    assert frame is not None
    assert frame.image_rgb.dtype == np.uint8
    assert mean_rgb(frame.image_rgb) == pytest.approx([200, 0, 0], abs=12)


def test_a_clip_that_does_not_loop_ends(clip):
    assert numbers(read_all(VideoFile(clip, "pipeline", loop=False, start_ns=0))) == list(range(30))


def test_loops_are_exact_so_that_clips_stay_together_for_hours(tmp_path):
    """Matroska says that the clip is 1.001 s long, mp4 that it is 1.0; in an hour that would be 3.6 s."""
    lengths = []
    for name in ("a.mp4", "a.mkv"):
        frames = read_all(VideoFile(write_clip(tmp_path / name), "pipeline", loop=True, start_ns=0), at_most=31)
        lengths.append(frames[30].captured_ns - frames[0].captured_ns)
    assert lengths == [1_000_000_000, 1_000_000_000]


def test_times_come_from_the_file_where_the_rate_varies(tmp_path):
    ticks = [0, 1, 2, 10, 11, 30, 31, 33]
    path = write_clip(tmp_path / "varying.mp4", fps=100, ticks=ticks)
    frames = read_all(VideoFile(path, "pipeline", loop=True, start_ns=START_NS), at_most=20)
    assert [frame.captured_ns - START_NS for frame in frames[:8]] == [tick * 10_000_000 for tick in ticks]
    assert numbers(frames) == [k % 8 for k in range(20)]
    assert all(b.captured_ns > a.captured_ns for a, b in itertools.pairwise(frames))
    assert all(b.frame_id > a.frame_id for a, b in itertools.pairwise(frames))


def test_cameras_out_of_step_stay_out_of_step(tmp_path):
    """Clips of cameras that are 7 ms apart: the first picture of one lies 7 ms behind the zero of its file."""
    path = write_clip(tmp_path / "late.mp4", fps=1000, ticks=[7 + 40 * k for k in range(25)])
    frames = read_all(VideoFile(path, "pipeline", loop=True, start_ns=START_NS), at_most=26)
    assert frames[0].captured_ns == START_NS + 7_000_000
    assert frames[1].captured_ns == START_NS + 47_000_000


def test_realtime_gives_no_frame_before_its_time(clip):
    source = VideoFile(clip, "realtime", loop=False, start_ns=time.time_ns() + 50_000_000)
    for k in range(5):
        frame = source.read()
        assert frame is not None
        assert frame.frame_id == k
        assert time.time_ns() >= frame.captured_ns
    source.close()


def test_a_little_late_nothing_is_left_out(clip):
    source = VideoFile(clip, "realtime", loop=True, start_ns=time.time_ns() - 200_000_000)
    assert [frame.frame_id for frame in read_all(source, at_most=6)] == list(range(6))


def assert_due_now(source: VideoFile, start_ns: int) -> Frame:
    before_ns = time.time_ns()
    frame = source.read()
    assert frame is not None
    assert before_ns - PERIOD_NS - ROUNDING_NS <= frame.captured_ns <= time.time_ns()
    assert frame.frame_id == round((frame.captured_ns - start_ns) * 30 / 1e9)
    assert number_in(frame.image_rgb) == frame.frame_id % 30
    return frame


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("ago_s", [1.7, 3601.3])
def test_started_in_the_middle_it_is_in_step_at_once(tmp_path, name, ago_s):
    start_ns = time.time_ns() - int(ago_s * 1e9)
    source = VideoFile(write_clip(tmp_path / name), "realtime", loop=True, start_ns=start_ns)
    first = assert_due_now(source, start_ns)
    second = source.read()
    assert second is not None
    assert second.frame_id == first.frame_id + 1
    source.close()


def test_after_standing_still_it_is_in_step_again(tmp_path):
    """In a clip whose only key picture is the first: nothing to jump to, so it decodes what lies between."""
    path = write_clip(tmp_path / "long.mp4", frames=200, key_every=1000)
    start_ns = time.time_ns()
    source = VideoFile(path, "realtime", loop=False, start_ns=start_ns)
    source.read()
    time.sleep(1.3)
    before_ns = time.time_ns()
    frame = source.read()
    assert frame is not None
    assert before_ns - PERIOD_NS <= frame.captured_ns <= time.time_ns()
    assert number_in(frame.image_rgb) == frame.frame_id > 30
    source.close()


def test_a_clip_that_is_over_when_started_ends_at_once(clip):
    source = VideoFile(clip, "realtime", loop=False, start_ns=time.time_ns() - 60_000_000_000)
    assert source.read() is None


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied_as_ffmpeg_does(tmp_path, degrees):
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE_WH, "yuv420p"
        stream.set_display_rotation(degrees)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_of(0b1011), format="gray")))
        container.mux(stream.encode(None))
    source = VideoFile(path, "pipeline", loop=False, start_ns=0)
    frame = source.read()
    assert frame is not None
    height, width = frame.image_rgb.shape[:2]
    assert source.granted.size_wh == (width, height) == (SIZE_WH if degrees == 180 else SIZE_WH[::-1])
    assert np.abs(frame.image_rgb.astype(int) - decoded_by_ffmpeg(path, (width, height))).mean() < 5


def decoded_by_ffmpeg(path: Path, size_wh: tuple[int, int]) -> npt.NDArray[np.int_]:
    command = ["ffmpeg", "-loglevel", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    try:
        raw = subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("ffmpeg is not installed; it is what the rotation is compared with")
    return np.frombuffer(raw, np.uint8).reshape(size_wh[1], size_wh[0], 3).astype(int)


def test_a_file_without_pictures_or_times_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "text.mp4").write_text("hello")
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    write_clip(tmp_path / "bare.h264")
    for name, said in {
        "missing.mp4": "does not exist",
        ".": "does not exist",
        "text.mp4": "not a video",
        "sound.wav": "no pictures",
        "bare.h264": "-c copy clip.mp4",
    }.items():
        with pytest.raises(SourceError, match=said) as caught:
            VideoFile(tmp_path / name, "pipeline", loop=False, start_ns=0)
        assert str(tmp_path / name) in str(caught.value)


def test_a_damaged_file_says_at_which_frame(tmp_path):
    """Wherever the damage lies, what is whole comes first, in order."""
    whole = write_clip(tmp_path / "whole.mp4", frames=60, movflags="faststart").read_bytes()
    middle = len(whole) * 2 // 3
    for damaged in (whole[:middle], whole[:middle] + bytes(len(whole) - middle)):
        (tmp_path / "damaged.mp4").write_bytes(damaged)
        source = VideoFile(tmp_path / "damaged.mp4", "pipeline", loop=False, start_ns=0)
        frames: list[Frame] = []
        with pytest.raises(SourceError) as caught:
            frames.extend(iter(source.read, None))
        source.close()
        assert numbers(frames) == list(range(len(frames)))
        assert 10 < len(frames) < 60
        assert f"frame {len(frames)} at {len(frames) / 30:.2f} s" in str(caught.value)


def test_a_torn_packet_is_damage_too(tmp_path):
    """FFmpeg would patch such a picture up from its neighbours, and somebody's arm with it."""
    data = bytearray(write_clip(tmp_path / "torn.ts", frames=60).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = bytes(500)
    (tmp_path / "torn.ts").write_bytes(data)
    with pytest.raises(SourceError, match=r"frame \d+ at .* break off"):
        read_all(VideoFile(tmp_path / "torn.ts", "pipeline", loop=False, start_ns=0))


def test_started_in_the_middle_it_does_not_decode_what_lies_before(tmp_path):
    """It cannot: the file is damaged there. Started early, it runs into that."""
    path = write_clip(tmp_path / "clip.mp4", frames=300, key_every=30, movflags="faststart")
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 3000] = bytes(3000)
    path.write_bytes(data)
    frame = VideoFile(path, "realtime", loop=False, start_ns=time.time_ns() - 8_000_000_000).read()
    assert frame is not None
    assert number_in(frame.image_rgb) == frame.frame_id >= 240
    with pytest.raises(SourceError, match="damaged"):
        read_all(VideoFile(path, "pipeline", loop=False, start_ns=0))


def test_closing_wakes_a_read_that_waits_for_its_time(clip):
    source = VideoFile(clip, "realtime", loop=False, start_ns=time.time_ns() + 3_600_000_000_000)
    frames: list[Frame | None] = []
    reader = threading.Thread(target=lambda: frames.append(source.read()), daemon=True)
    reader.start()
    time.sleep(0.05)
    source.close()
    source.close()
    reader.join(20)
    assert frames == [None]
    with pytest.raises(SourceError, match="after close"):
        source.read()
