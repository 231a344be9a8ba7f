"""The detector once more on recorded pictures: every listed frame, in order, told what is expected, always the same."""

import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from calibration.rig_file import load_rig
from configs import schema
from configs.load import load_config
from configs.schema import Config
from lifter.skeleton import SKELETONS
from nodes.detect.detector import Detections
from nodes.detect.opening import DETECTORS
from nodes.detect_again import DETECTED_AFTER_NS, detect_again
from nodes.recorded_video import recorded_videos
from nodes.sessions.errors import SessionError
from nodes.sources.source import Frame
from nodes.sources.video_file import VideoFile
from nodes.stages.pipeline import FusionPipeline
from nodes.video_files import VideoFiles
from tests import messages as make
from tests.numbered_clips import SIZE_WH, number_in, picture_of

START_NS = make.START_NS
PERIOD_NS = 33_333_333
CONFIGS = Path(schema.__file__).parent
FOLDER = CONFIGS / "demo"


class Eyes:
    """A detector that reads a picture's number, takes a while, and remembers what it was asked."""

    skeleton = "mediapipe33"

    def __init__(self, delays):
        self.delays, self.asked, self.is_closed, self.is_busy = delays, [], False, False

    def detect(self, frame, regions=None):
        assert not self.is_busy, "one camera's frames must be looked at one after the other"
        self.is_busy = True
        time.sleep(self.delays.uniform(0, 0.004))
        self.asked.append((frame.captured_ns, None if regions is None else regions.circles[:, 0].tolist()))
        keypoints_px = np.full((1, 33, 2), number_in(frame.image_rgb), np.float32)
        self.is_busy = False
        return Detections(keypoints_px, np.ones((1, 33), np.float32), () if regions is None else (3,))

    def close(self):
        self.is_closed = True


class Expecting:
    """Fusion that expects as many people as it was given messages, one frame later."""

    def __init__(self):
        self.heard = 0

    def expected(self):
        views = {name: make.expected_view(people=min(self.heard, 5), size_wh=SIZE_WH) for name in ("left", "right")}
        return make.expected(captured_ns=START_NS, cameras=views)


@pytest.fixture
def eyes(monkeypatch):
    made: list[Eyes] = []

    def make_one(settings):
        made.append(Eyes(np.random.default_rng(len(made))))
        return made[-1]

    monkeypatch.setitem(DETECTORS, "mediapipe", make_one)
    return made


def image_of(number):
    return np.ascontiguousarray(np.repeat(picture_of(number)[..., None], 3, axis=-1))


def frames(count, period_ns=PERIOD_NS, phase_ns=0, begin=0):
    for number in range(count):
        yield Frame(image_of(begin + number), START_NS + phase_ns + number * period_ns, number)


def config(feedback=True):
    cameras = {"left": {"source": "device", "device": 0}}
    return Config.model_validate({"cameras": cameras, "detector": {"feedback": feedback}})


def taken(again, pipeline):
    """As whoever takes the keypoints must: each goes into fusion before the next is asked for."""
    out = []
    for message in again:
        out.append(message)
        pipeline.heard += 1
    return out


def test_all_frames_in_the_order_of_capture_with_their_own_times(eyes):
    streams = {"left": frames(12), "right": frames(6, 2 * PERIOD_NS, 7_000_000, begin=100)}
    out = taken(detect_again(streams, config(), Expecting()), Expecting())
    assert [m.captured_ns for m in out] == sorted(m.captured_ns for m in out)
    assert [m.published_ns - m.captured_ns for m in out] == [DETECTED_AFTER_NS] * 18
    left, right = ([m for m in out if m.source == name] for name in ("left", "right"))
    assert [int(m.keypoints_px[0, 0, 0]) for m in left] == list(range(12))
    assert [int(m.keypoints_px[0, 0, 0]) for m in right] == list(range(100, 106))
    for each in (left, right):
        assert [m.seq for m in each] == [m.frame_id for m in each] == list(range(len(each)))
    assert all(m.size_wh == SIZE_WH for m in out)
    assert all(eye.is_closed for eye in eyes)


def test_cameras_of_one_round_are_told_the_same_and_the_next_one_what_fusion_made_of_it(eyes):
    pipeline = Expecting()
    out = taken(detect_again({"left": frames(6), "right": frames(6, phase_ns=9_000_000)}, config(), pipeline), pipeline)
    left, right = eyes
    assert [len(circles) for _, circles in left.asked] == [0, 2, 4, 5, 5, 5]
    assert [len(circles) for _, circles in right.asked] == [0, 2, 4, 5, 5, 5]
    assert all(m.asked_ids == (3,) for m in out)
    moved = [circles[0] for _, circles in left.asked[1:]]
    np.testing.assert_allclose(np.diff(moved), 64 * PERIOD_NS * 1e-9, atol=1e-6)  # 64 px/s: carried on to the frame


def test_without_feedback_nobody_is_told_anything(eyes):
    pipeline = Expecting()
    out = taken(detect_again({"left": frames(4)}, config(feedback=False), pipeline), pipeline)
    assert [regions for _, regions in eyes[0].asked] == [None] * 4
    assert out[0].asked_ids == ()


def test_one_frame_a_camera_is_read_ahead(eyes):
    read = []

    def counted(name, count):
        for frame in frames(count):
            read.append(name)
            yield frame

    again = detect_again({"left": counted("left", 50), "right": counted("right", 50)}, config(), Expecting())
    for _ in range(6):
        next(again)
    again.close()
    assert len(read) <= 6 + 2 * 2
    assert all(eye.is_closed for eye in eyes)


def test_a_fault_of_a_video_or_of_the_detector_comes_out(eyes):
    def breaking():
        yield from frames(2)
        raise SessionError("the video of camera left: damaged")

    with pytest.raises(SessionError, match="camera left"):
        list(detect_again({"left": breaking(), "right": frames(9)}, config(), Expecting()))
    assert all(eye.is_closed for eye in eyes)


def write_video(folder, camera="left", count=20, stem="walk", codec="h264"):
    files = VideoFiles(folder, stem, camera, codec, 23, SIZE_WH, 30.0)
    for number in range(count):
        files.write(Frame(image_of(number), START_NS + number * PERIOD_NS + 137, 2 * number))
    files.close()
    return folder / files.name


def read(videos, camera="left"):
    return [(number_in(f.image_rgb), f.captured_ns, f.frame_id) for f in videos[camera].frames()]


def expected_frames(numbers):
    return [(n, START_NS + n * PERIOD_NS + 137, 2 * n) for n in numbers]


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_a_recorded_video_gives_its_frames_with_the_exact_times(tmp_path, codec):
    write_video(tmp_path, codec=codec)
    videos = recorded_videos(tmp_path / "walk.mcap", ["left"])
    assert videos["left"].frame_count == 20
    assert read(videos) == expected_frames(range(20))


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
@pytest.mark.parametrize("share", [0.35, 0.6, 0.85])
def test_a_video_that_was_cut_gives_what_is_whole(tmp_path, codec, share):
    path = write_video(tmp_path, count=90, codec=codec)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    whole = read(recorded_videos(tmp_path / "walk.mcap", ["left"]))
    assert whole == expected_frames(range(len(whole)))
    assert 90 * share - 20 < len(whole) < 90


def test_pictures_that_are_not_listed_are_passed_over_and_a_cut_line_too(tmp_path):
    listing = write_video(tmp_path).with_suffix(".frames.csv")
    header, *lines = listing.read_text().splitlines(keepends=True)
    listing.write_text("".join([header, *lines[:5], *lines[8:12]]) + lines[12][:12])
    assert read(recorded_videos(tmp_path / "walk.mcap", ["left"])) == expected_frames([*range(5), *range(8, 12)])
    listing.write_text(header)
    assert read(recorded_videos(tmp_path / "walk.mcap", ["left"])) == []


def test_several_files_of_one_camera_and_another_folder(tmp_path):
    (tmp_path / "videos").mkdir()
    names = [write_video(tmp_path / "videos", count=4).name, write_video(tmp_path / "videos", count=3).name]
    assert names[1] == "walk-2.left.mkv"
    videos = recorded_videos(tmp_path / "walk.mcap", ["left"], {"left": names}, tmp_path / "videos")
    assert read(videos) == expected_frames([*range(4), *range(3)])


def test_a_missing_video_is_named_with_its_camera_and_place(tmp_path):
    write_video(tmp_path, "left")
    with pytest.raises(SessionError) as refusal:
        recorded_videos(tmp_path / "walk.mcap", ["left", "right"])
    assert f"camera right: {tmp_path / 'walk.right.mkv'}" in str(refusal.value)
    assert "camera left" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "told"), [("frame,time\n1,2\n", "expected 'index,frame_id,captured_ns'"), (None, "cannot be read")]
)
def test_a_listing_that_is_none_is_named(tmp_path, text, told):
    listing = write_video(tmp_path).with_suffix(".frames.csv")
    listing.unlink()
    if text is not None:
        listing.write_text(text)
    with pytest.raises(SessionError, match=told) as refusal:
        recorded_videos(tmp_path / "walk.mcap", ["left"])
    assert str(listing) in str(refusal.value)


def test_a_file_that_is_no_video_is_named_with_its_camera(tmp_path):
    write_video(tmp_path).write_bytes(b"nothing of the kind")
    with pytest.raises(SessionError, match="the video of camera left"):
        read(recorded_videos(tmp_path / "walk.mcap", ["left"]))


def test_mediapipe_with_feedback_gives_the_same_twice():
    """Two threads, one detector a camera: what comes out depends on the pictures alone."""
    given = load_config(CONFIGS / "demo.yaml")
    names = ("left", "right")

    def once():
        pipeline = FusionPipeline(
            load_rig(FOLDER / "rig.toml"), names, given.fusion, SKELETONS[given.detector.skeleton]
        )
        clips = {n: VideoFile(FOLDER / f"{n}.mp4", "pipeline", False, START_NS) for n in names}
        streams = {n: islice(iter(clip.read, None), 8) for n, clip in clips.items()}
        out = []
        for message in detect_again(streams, given, pipeline):
            out.append(message)
            pipeline.push(message)
        for clip in clips.values():
            clip.close()
        return out

    one, other = once(), once()
    assert len(one) == 16
    assert all(make.same(a, b) for a, b in zip(one, other, strict=True))
    assert {m.asked_ids for m in one[-2:]} == {(1,)}  # found where fusion expected them
