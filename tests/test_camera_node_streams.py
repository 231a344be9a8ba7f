"""The camera node on network cameras: real servers, the real detector, a server that is killed and comes back."""

import sys
import time
from pathlib import Path

import pytest

import configs
from nodes.wire.bus import every
from nodes.wire.messages import CameraHealth, Keypoints2D
from tests.hub import running
from tests.stream_servers import ffmpeg_server, free_port, rtsp_camera

DEMO = Path(configs.__path__[0]) / "demo"
PATIENCE_S = 60.0

pytestmark = pytest.mark.slow


def listen(inbox, until):
    """Messages up to the one that `until` is true for."""
    heard, deadline_s = [], time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        message = inbox.receive(timeout_ms=200)
        if message is not None:
            heard.append(message)
            if until(message):
                return heard
    raise AssertionError(f"not within {PATIENCE_S} s; heard last: {heard[-1:]}")


def is_frame(message):
    return isinstance(message, Keypoints2D)


def assert_survives(tmp_path, hub, url, serve):
    """Frames, the server's death told, frames again, all from one process. Gives the last frame heard."""
    config = tmp_path / "config.yaml"
    source = f"{{source: stream, url: '{url}', timeout_s: 2}}"
    config.write_text(f"calibration: {DEMO / 'rig.toml'}\ncameras: {{front: {source}}}\n")
    command = [sys.executable, "-m", "nodes.camera", "--config", str(config), "--camera", "front"]
    inbox = every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="front")
    with inbox, running([*command, "--hub", hub.inner, "--hub-outer", hub.outer]) as node:
        with serve():
            for _ in range(5):
                first = listen(inbox, is_frame)[-1]
        lost = listen(inbox, lambda m: isinstance(m, CameraHealth) and m.state == "reconnecting")[-1]
        assert url in lost.note
        with serve():
            for _ in range(5):
                last = listen(inbox, is_frame)[-1]
            healthy = listen(inbox, lambda m: isinstance(m, CameraHealth) and m.state == "streaming" and m.note == "")[
                -1
            ]
        assert node.poll() is None
    assert healthy.reconnects >= 1
    assert last.captured_ns > first.captured_ns
    assert abs(last.captured_ns - time.time_ns()) < 30e9
    return last


def test_http_and_the_person_in_it(tmp_path, hub):
    """MPEG-TS; of MJPEG, which `test_network_stream.py` reads as well, a camera node sees no more than its frames."""
    encoding = ("-c:v", "copy", "-f", "mpegts")
    url = f"http://127.0.0.1:{free_port()}/cam"
    last = assert_survives(tmp_path, hub, url, lambda: ffmpeg_server(DEMO / "front.mp4", url, *encoding))
    assert last.size_wh == (640, 480)
    assert last.keypoints_px.shape == (1, 33, 2)
    assert last.confidence.mean() > 0.5


def test_rtsp(tmp_path, hub):
    port = free_port()
    last = assert_survives(tmp_path, hub, f"rtsp://127.0.0.1:{port}/cam", lambda: rtsp_camera(port))
    assert last.keypoints_px.shape[1:] == (33, 2)  # a picture of blocks: whoever is seen there is the detector's affair
