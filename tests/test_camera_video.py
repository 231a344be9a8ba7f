"""A camera node that a recorder asks for video, as a process of its own around a real hub."""

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

from nodes.system.chatter import is_chatter
from nodes.wire.bus import Publisher, every
from nodes.wire.messages import CameraHealth, Keypoints2D, Message
from tests import messages as make
from tests.hub import PATIENCE_S, Hub, running
from tests.numbered_clips import number_in, write_clip

FPS = 120  # more than any detector here takes, so that frames pass undetected
CLIP_FRAMES = 600


class Node:
    """A running camera node, what it says, and a recorder that speaks to it."""

    def __init__(self, hub: Hub, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._bus = Publisher(hub.inner)
        self._inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="left")
        self._seq = 0

    def await_health(self, wanted: Callable[[CameraHealth], bool], state: str, video: bool = True) -> CameraHealth:
        """The first health like this, while a recorder says its state as often as the node says its own."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            message: Message | None = self._inbox.receive(timeout_ms=200)
            if not isinstance(message, CameraHealth):
                continue
            if wanted(message):
                return message
            if state:
                self._seq += 1
                self._bus.send(make.recorder_health(seq=self._seq, state=state, video=video, path="x/walk.mcap"))
        raise AssertionError(f"it did not come within {PATIENCE_S} s")

    def close(self) -> None:
        self._bus.close()
        self._inbox.close()


@pytest.fixture
def start(hub, tmp_path) -> Callable[..., object]:
    clip = write_clip(tmp_path / "clip.mp4", frames=CLIP_FRAMES, fps=FPS)

    @contextmanager
    def _start(*more: str) -> Iterator[Node]:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"calibration: rig.toml\ncameras: {{left: {{source: video, path: {clip}, loop: true}}}}\n"
            f"recording: {{folder: {tmp_path / 'asked'}}}\n"
        )
        hubs = ("--hub", hub.inner, "--hub-outer", hub.outer)
        command = [sys.executable, "-m", "nodes.camera", "--config", str(config), "--camera", "left", *hubs, *more]
        with running(command) as process:
            node = Node(hub, process)
            try:
                node.await_health(lambda health: health.frames > 0, state="")
                yield node
            finally:
                node.close()

    return _start


def shown(folder: Path, name: str = "walk.left") -> tuple[list[int], list[list[int]]]:
    """Numbers in the video's pictures; and the lines about them."""
    with av.open(str(folder / f"{name}.mkv")) as container:
        numbers = [number_in(picture.to_ndarray(format="gray")) for picture in container.decode(video=0)]
    _, *lines = (folder / f"{name}.frames.csv").read_text().splitlines()
    return numbers, [[int(number) for number in line.split(",")] for line in lines]


def end(node: Node) -> str:
    """Stop it as run_system does; what it wrote for people."""
    node.process.send_signal(signal.SIGINT)
    assert node.process.wait(PATIENCE_S) == 0
    assert node.process.stderr is not None
    return "".join(line for line in node.process.stderr if not is_chatter(line))


def test_every_captured_frame_is_recorded_also_those_that_were_not_detected(start, tmp_path):
    with start("--video-folder", str(tmp_path / "given")) as node:
        before = node.await_health(lambda health: health.video_file != "", "recording")
        after = node.await_health(lambda health: health.video_frames >= 2 * FPS, "recording")
        over = node.await_health(lambda health: health.video_file == "", "stopped")
        assert end(node) == ""
    assert (after.video_file, after.video_dropped, after.note) == ("walk.left.mkv", 0, "")
    assert after.dropped > before.dropped, "the clip is too slow for this test: nothing passed undetected"
    assert (over.video_frames, over.video_dropped) == (0, 0)
    numbers, lines = shown(tmp_path / "given")
    assert len(numbers) == len(lines) >= after.video_frames
    ids = [line[1] for line in lines]
    assert numbers == [frame_id % CLIP_FRAMES for frame_id in ids]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "frames are missing"
    steps_ns = {after[2] - before[2] for before, after in itertools.pairwise(lines)}
    assert max(steps_ns) - min(steps_ns) <= 1


def test_the_node_s_end_leaves_a_whole_file(start, tmp_path):
    with start() as node:
        node.await_health(lambda health: health.video_frames >= 10, "recording")
        assert end(node) == ""
    numbers, lines = shown(tmp_path / "asked")
    assert len(numbers) == len(lines) >= 10


def test_a_recorder_that_goes_silent_ends_the_video_and_one_that_comes_back_begins_another(start, tmp_path):
    with start() as node:
        node.await_health(lambda health: health.video_frames >= 10, "recording")
        node.await_health(lambda health: health.video_file == "", state="")
        again = node.await_health(lambda health: health.video_frames >= 10, "recording")
        end(node)
    assert again.video_file == "walk-2.left.mkv"
    assert shown(tmp_path / "asked")[1][-1][1] < shown(tmp_path / "asked", "walk-2.left")[1][0][1]


def test_a_recording_without_video_is_none_of_the_camera_s_business(start, tmp_path):
    with start() as node:
        node.await_health(lambda health: health.frames > 30, "recording", video=False)
        end(node)
    assert not (tmp_path / "asked").exists()


def test_where_no_video_can_be_written_live_goes_on_and_says_so(start, tmp_path):
    (tmp_path / "asked").write_text("a file in the folder's place")
    with start() as node:
        first = node.await_health(lambda health: health.note != "", "recording")
        later = node.await_health(lambda health: health.frames > first.frames + 10, "recording")
        fine = node.await_health(lambda health: health.note == "", "stopped")
        end(node)
    assert "video" in later.note
    assert str(tmp_path / "asked") in later.note
    assert (later.video_frames, later.state, fine.state) == (0, "streaming", "streaming")
    assert later.video_dropped > 0
