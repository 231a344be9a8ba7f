"""The camera node as a process of its own, around a real hub: what it sends, when it waits, how it ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from configs import schema
from nodes.playback import AHEAD_NS, QUIET_END_NS
from nodes.system.chatter import is_chatter
from nodes.wire.bus import Publisher, Subscription, every
from nodes.wire.messages import CameraHealth, Keypoints2D, Message, Preview
from tests import messages as make
from tests.hub import PATIENCE_S, Hub, running
from tests.numbered_clips import write_clip

DEMO = Path(schema.__file__).parent / "demo"
START_NS = 1_700_000_000_000_000_000
FPS = 25
FRAMES = 30


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """30 pictures with nobody in them: enough for times and numbers, and quick to detect."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=FRAMES, fps=FPS)


LOSSLESS = "fusion: {synchroniser: {deadline_ms: null}}"


@pytest.fixture
def config(tmp_path, clip) -> Callable[..., Path]:
    """Writes a configuration in which every camera given plays a clip; `front=source` in YAML's own words."""

    def write(extra: str = "", **cameras: str) -> Path:
        lines = [
            f"  {name}: {source or f'{{source: video, path: {clip}, pace: pipeline}}'}"
            for name, source in cameras.items()
        ]
        path = tmp_path / "config.yaml"
        path.write_text("\n".join(["calibration: rig.toml", "cameras:", *lines, LOSSLESS, extra]))
        return path

    return write


def command(config: Path, camera: str, hub: Hub, *more: str) -> list[str]:
    hubs = ("--hub", hub.inner, "--hub-outer", hub.outer)
    return [sys.executable, "-m", "nodes.camera", "--config", str(config), "--camera", camera, *hubs, *more]


def said(node: "subprocess.Popen[str]") -> str:
    """What an ended node wrote for people to read."""
    assert node.stderr is not None
    return "".join(line for line in node.stderr if not is_chatter(line))


def refused(arguments: list[str]) -> str:
    """The message of a node that refuses to start."""
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    return "".join(line for line in ended.stderr.splitlines(keepends=True) if not is_chatter(line))


def await_message(inbox: Subscription[Any], wanted: Callable[[Any], bool], what: str) -> Any:
    """The first message like this."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        message = inbox.receive(timeout_ms=200)
        if message is not None and wanted(message):
            return message
    raise AssertionError(f"{what} did not come within {PATIENCE_S} s")


class StandInFusion:
    """Says on the bus how far fusion is."""

    def __init__(self, hub: Hub) -> None:
        self._bus = Publisher(hub.inner)
        self._seq = 0

    def say(self, fused_until_ns: int | None) -> None:
        """That fusion lives, and how far it is: nothing fused yet, or a pose of that instant."""
        self._seq += 1
        self._bus.send(make.fusion_health(seq=self._seq, fused_until_ns=fused_until_ns or 0))
        if fused_until_ns is not None:
            self._bus.send(make.pose(seq=self._seq, captured_ns=fused_until_ns))

    def close(self) -> None:
        self._bus.close()


@pytest.fixture
def fusion(hub) -> Iterator[StandInFusion]:
    stand_in = StandInFusion(hub)
    yield stand_in
    stand_in.close()


def follow(
    inbox: Subscription[Message], fusion: StandInFusion, fused_ns: Callable[[int], int | None]
) -> list[Keypoints2D]:
    """The keypoints of a node up to its end, while fusion says how far it is, given what it has received."""
    received: list[Keypoints2D] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        fusion.say(fused_ns(received[-1].captured_ns if received else START_NS - 1))
        while (message := inbox.receive(timeout_ms=20)) is not None:
            if isinstance(message, Keypoints2D):
                received.append(message)
            elif isinstance(message, CameraHealth) and message.state == "ended":
                return received
    raise AssertionError(f"no end within {PATIENCE_S} s, after {len(received)} frames")


def leave(node: "subprocess.Popen[str]", fusion: StandInFusion, fused_ns: int) -> int:
    """The exit code of a node whose recording has ended, while fusion lives and has nothing new."""
    deadline_s = time.monotonic() + PATIENCE_S
    while node.poll() is None:
        assert time.monotonic() < deadline_s, f"no exit within {PATIENCE_S} s"
        fusion.say(fused_ns)
        time.sleep(0.1)
    return node.returncode


def test_losslessly_every_frame_comes_in_order_with_its_time_in_the_file(hub, config, fusion):
    path = config(whole=None)
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="whole")
    with inbox, running(command(path, "whole", hub, "--start-ns", str(START_NS))) as node:
        received = follow(inbox, fusion, lambda newest_ns: newest_ns)
        assert leave(node, fusion, received[-1].captured_ns) == 0
        assert said(node) == "", "a good run has nothing to say on the terminal"
    assert [message.seq for message in received] == list(range(FRAMES))
    assert [message.frame_id for message in received] == list(range(FRAMES))
    assert [message.captured_ns for message in received] == [START_NS + k * 1_000_000_000 // FPS for k in range(FRAMES)]
    for message in received:
        assert (message.source, message.skeleton, message.size_wh) == ("whole", "mediapipe33", (320, 160))
        assert message.keypoints_px.shape[1:] == (33, 2)
        assert message.published_ns > message.captured_ns


def test_losslessly_it_stops_ahead_of_a_fusion_that_stands_still(hub, config, fusion):
    path = config(ahead=None)
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="ahead")
    with inbox, running(command(path, "ahead", hub, "--start-ns", str(START_NS))) as node:
        quiet_since_s, received = time.monotonic(), []
        waiting = False
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() - quiet_since_s < 0.7 or not waiting:
            assert time.monotonic() < deadline_s
            fusion.say(None)
            while (message := inbox.receive(timeout_ms=20)) is not None:
                if isinstance(message, Keypoints2D):
                    received.append(message)
                    quiet_since_s = time.monotonic()
                waiting = isinstance(message, CameraHealth) and message.note == "waits for fusion" and bool(received)
        ahead = [START_NS + k * 1_000_000_000 // FPS for k in range(FRAMES)]
        ahead = [captured_ns for captured_ns in ahead if captured_ns <= START_NS + AHEAD_NS]
        assert [message.captured_ns for message in received] == ahead
        assert node.poll() is None
        newest_ns = received[-1].captured_ns
        received += follow(inbox, fusion, lambda newer_ns: max(newer_ns, newest_ns))
        assert [message.seq for message in received] == list(range(FRAMES)), "and it goes on where it stopped"
        assert leave(node, fusion, received[-1].captured_ns) == 0


def frame_ns(number: int) -> int:
    """When frame `number` of the clip was captured."""
    return START_NS + number * 1_000_000_000 // FPS


def test_losslessly_started_again_it_passes_over_what_is_fused_already(hub, config, fusion):
    path = config(again=None)
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="again")
    with inbox, running(command(path, "again", hub, "--start-ns", str(START_NS))):
        received = follow(inbox, fusion, lambda newest_ns: max(newest_ns, frame_ns(11)))
    assert [message.frame_id for message in received] == list(range(12, FRAMES))
    assert [message.seq for message in received] == list(range(FRAMES - 12)), "counts what was sent, not the frames"


def test_losslessly_it_goes_on_with_a_fusion_that_was_started_again(hub, config, fusion):
    path = config(anew=None)
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="anew")
    received: list[Keypoints2D] = []

    def take_until(number: int, fused_ns: int | None) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not received or received[-1].frame_id < number:
            assert time.monotonic() < deadline_s, f"frame {number} did not come"
            fusion.say(fused_ns)
            while (message := inbox.receive(timeout_ms=20)) is not None:
                if isinstance(message, Keypoints2D):
                    received.append(message)

    with inbox, running(command(path, "anew", hub, "--start-ns", str(START_NS))):
        take_until(14, frame_ns(2))  # half a second ahead: it waits here
        take_until(27, None)  # the new fusion has nothing yet: half a second from the frame that waited
        received += follow(inbox, fusion, lambda newest_ns: max(newest_ns, frame_ns(27)))
    assert [message.frame_id for message in received] == list(range(3, FRAMES))


def test_losslessly_the_end_is_said_again_while_others_are_still_fused(hub, config, fusion):
    path = config(short=None)
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="short")
    with inbox, running(command(path, "short", hub, "--start-ns", str(START_NS))) as node:
        newest_ns = follow(inbox, fusion, lambda newest_ns: newest_ns)[-1].captured_ns
        until_s = time.monotonic() + QUIET_END_NS / 1e9 + 0.5
        said = 0
        while time.monotonic() < until_s:
            newest_ns += 40_000_000
            fusion.say(newest_ns)
            message = inbox.receive(timeout_ms=40)
            said += isinstance(message, CameraHealth) and message.state == "ended"
        assert said > 3
        assert node.poll() is None, "a fusion that starts again would wait for it"
        assert leave(node, fusion, newest_ns) == 0


def test_without_a_fusion_a_lossless_camera_sends_nothing(hub, config):
    path = config(alone=None)
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="alone")
    with inbox, running(command(path, "alone", hub)) as node:
        await_message(inbox, lambda message: message.note == "waits for fusion", "a word that it waits")
        for _ in range(10):
            assert not isinstance(inbox.receive(timeout_ms=50), Keypoints2D)
        assert node.poll() is None


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_an_ordinary_signal_ends_it_without_a_word(hub, config, stop):
    source = f"stop-{stop.name}"
    path = config(**{source: f"{{source: video, path: {DEMO / 'front.mp4'}, loop: true}}"})
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source=source)
    with inbox, running(command(path, source, hub)) as node:
        before_ns = time.time_ns()
        first = await_message(inbox, lambda message: isinstance(message, Keypoints2D), "a frame")
        assert abs(first.captured_ns - before_ns) < PATIENCE_S * 1e9
        assert len(first.keypoints_px) == 1
        health = await_message(inbox, lambda m: isinstance(m, CameraHealth) and m.state == "streaming", "health")
        assert health.granted_size_wh == (640, 480)
        assert health.granted_fps == FPS
        listening = [c for c in psutil.Process(node.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert listening == [], "a camera node opens no door"
        node.send_signal(stop)
        assert node.wait(PATIENCE_S) == 0
        assert said(node) == ""


def test_a_recording_waits_for_the_start_that_the_system_says(hub, config, fusion):
    path = config(late=None)
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="late")
    with inbox, Publisher(hub.inner) as bus, running(command(path, "late", hub, "--wait-for-start")):
        await_message(inbox, lambda message: message.state == "ready", "a word that it is ready")
        for _ in range(10):
            assert not isinstance(inbox.receive(timeout_ms=20), Keypoints2D), "it does not begin by itself"
        start_ns = 1_600_000_000_000_000_000
        first = None
        deadline_s = time.monotonic() + PATIENCE_S
        while not isinstance(first, Keypoints2D):
            assert time.monotonic() < deadline_s
            bus.send(make.session(start_ns=start_ns))
            fusion.say(None)
            first = inbox.receive(timeout_ms=50)
        assert (first.captured_ns, first.seq, first.frame_id) == (start_ns, 0, 0)


@pytest.mark.parametrize("feedback", [True, False])
def test_it_looks_where_fusion_expects_somebody_while_fusion_speaks(hub, tmp_path, feedback):
    """The id that fusion gave comes back with the person; silent or switched off, nobody is asked for."""
    source = f"asked-{feedback}"
    path = tmp_path / "config.yaml"
    path.write_text(
        f"calibration: rig.toml\ncameras: {{{source}: {{source: video, path: {DEMO / 'front.mp4'}, loop: true}}}}\n"
        f"detector: {{feedback: {str(feedback).lower()}}}"
    )
    inbox = every(Keypoints2D, hub_out=hub.outer, source=source)
    with inbox, Publisher(hub.inner) as bus, running(command(path, source, hub)) as node:
        first = await_message(inbox, lambda message: len(message.confidence) == 1, "a person")
        assert first.asked_ids == ()
        hips_px = first.keypoints_px[0, 23:25].mean(axis=0)
        radius_px = np.linalg.norm(first.keypoints_px[0] - hips_px, axis=1).max()
        circles = np.array([[*hips_px, radius_px, 0.0]], dtype=np.float32)
        view = make.expected_view(people=1, ids=np.array([77]), circles=circles, velocity_px_s=np.zeros((1, 2), "f4"))
        asked: list[tuple[int, ...]] = []
        deadline_s = time.monotonic() + PATIENCE_S
        while (77,) not in asked and len(asked) < (1000 if feedback else 10):
            assert time.monotonic() < deadline_s
            bus.send(make.expected(captured_ns=time.time_ns(), cameras={source: view}))
            message = inbox.receive(timeout_ms=100)
            if message is not None:
                asked.append(message.asked_ids)
        if not feedback:
            assert set(asked) == {()}
            return
        silent = await_message(inbox, lambda message: message.asked_ids == (), "a frame after the silence")
        assert len(silent.confidence) == 1, "on its own again"
        node.send_signal(signal.SIGTERM)
        assert node.wait(PATIENCE_S) == 0
        assert said(node) == ""


def test_previews_are_sent_when_switched_on_and_only_then(hub, config, fusion):
    path = config("preview: {enabled: true, rate_hz: 1000, width_px: 64}", seen=None)
    pictures = every(Preview, hub_out=hub.outer, source="seen")
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="seen")
    with pictures, inbox, running(command(path, "seen", hub, "--start-ns", str(START_NS))):
        follow(inbox, fusion, lambda newest_ns: newest_ns)
        picture = pictures.receive(timeout_ms=1000)
        assert picture is not None
        assert picture.size_wh == (64, 32)
        assert picture.jpeg[:2] == b"\xff\xd8"
    path = config(unseen=None)
    pictures = every(Preview, hub_out=hub.outer, source="unseen")
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="unseen")
    with pictures, inbox, running(command(path, "unseen", hub, "--start-ns", str(START_NS))):
        follow(inbox, fusion, lambda newest_ns: newest_ns)
        assert pictures.receive(timeout_ms=200) is None


def test_what_the_user_has_to_mend_is_refused_with_its_place(hub, config, tmp_path):
    path = config(
        gone="{source: video, path: gone.mp4}",
        noise=f"{{source: video, path: {path_of_noise(tmp_path)}}}",
        virtual="{source: virtual}",
    )
    message = refused(command(path, "gone", hub))
    assert message.startswith("camera: cameras.gone.path: ")
    assert f"{tmp_path / 'gone.mp4'} does not exist" in message
    assert refused(command(path, "noise", hub)).startswith("camera: cameras.noise.path: ")
    assert f"calibration file {tmp_path / 'rig.toml'} does not exist" in refused(command(path, "virtual", hub))
    message = refused(command(path, "top", hub))
    assert f"{path}: no camera 'top'; it has gone, noise, virtual" in message
    assert "does not exist; try configs/demo.yaml" in refused(command(tmp_path / "none.yaml", "left", hub))


def path_of_noise(folder: Path) -> Path:
    path = folder / "noise.mp4"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def test_a_lossless_recording_that_is_damaged_ends_with_a_message(hub, config, fusion, tmp_path, clip):
    """Frames before the damage are sent. Starting again would send them twice, so it asks for nothing of the sort."""
    broken = tmp_path / "broken.mkv"
    whole = write_clip(tmp_path / "whole.mkv", frames=FRAMES, fps=FPS)
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    broken.write_bytes(data)
    path = config(broken=f"{{source: video, path: {broken}, pace: pipeline}}")
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="broken")
    with inbox, running(command(path, "broken", hub, "--start-ns", str(START_NS))) as node:
        received, deadline_s = 0, time.monotonic() + PATIENCE_S
        newest_ns = START_NS - 1
        ended: list[CameraHealth] = []
        while node.poll() is None:
            assert time.monotonic() < deadline_s
            fusion.say(newest_ns)
            while (message := inbox.receive(timeout_ms=20)) is not None:
                if isinstance(message, Keypoints2D):
                    received, newest_ns = received + 1, message.captured_ns
                elif isinstance(message, CameraHealth) and message.state == "ended":
                    ended.append(message)
        assert 0 < received < FRAMES
        assert len(ended) == 1, "the others do not wait for it"
        assert "broken.mkv" in ended[0].note
        error = said(node)
        assert "Traceback" not in error
        assert error.startswith("camera: ")
        assert "broken.mkv" in error
        assert node.returncode == 2
