"""Network cameras: real servers on the loopback, which are killed and come back."""

import contextlib
import itertools
import socket
import statistics
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
import cv2
import pytest

from nodes.capture import Capture, Patience
from nodes.sources.network_stream import NetworkStream
from nodes.sources.source import SourceError
from tests.numbered_clips import SIZE_WH, number_in, picture_of, write_clip
from tests.stream_servers import ffmpeg_server, free_port, rtsp_camera

LONG_S = 30.0
PERIOD_MS = 50
IMPATIENT = Patience(first_wait_s=0.1, longest_wait_s=0.3)


@contextlib.contextmanager
def http_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Gives its port; `answer` is called with each connection, one after the other, until it breaks."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(LONG_S)


def send_mjpeg(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=cut\r\n\r\n--cut\r\n")
    while True:
        jpeg = cv2.imencode(".jpg", picture_of(time.time_ns() // 1_000_000))[1].tobytes()
        head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        connection.sendall(head + jpeg + b"\r\n--cut\r\n")
        time.sleep(PERIOD_MS / 1000)


def send_mpegts(connection: socket.socket, **encoding: str) -> None:
    class Wire:
        def write(self, data: bytes) -> int:
            connection.sendall(data)
            return len(data)

    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
    container = av.open(Wire(), "w", format="mpegts", options={"flush_packets": "1"}, buffer_size=188)
    stream: Any = container.add_stream("libx264", rate=1000 // PERIOD_MS)
    stream.width, stream.height, stream.pix_fmt = *SIZE_WH, "yuv420p"
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.options = encoding or {"preset": "ultrafast", "tune": "zerolatency", "g": "20"}
    begun_ms = time.time_ns() // 1_000_000
    while True:
        now_ms = time.time_ns() // 1_000_000
        frame = av.VideoFrame.from_ndarray(picture_of(now_ms), format="gray").reformat(format="yuv420p")
        frame.pts, frame.time_base = now_ms - begun_ms, Fraction(1, 1000)
        container.mux(stream.encode(frame))
        time.sleep(PERIOD_MS / 1000)


def offsets_ms(source: NetworkStream, frames: int) -> list[float]:
    """Capture time less the time that is drawn in the picture."""
    offsets = []
    for _ in range(frames):
        frame = source.read()
        assert frame is not None
        offsets.append(frame.captured_ns / 1e6 - number_in(frame.image_rgb))
    return offsets


@pytest.mark.parametrize("send", [send_mjpeg, send_mpegts])
def test_arrival_is_when_a_frame_came_in_not_when_ffmpeg_let_it_out(send):
    """FFmpeg lets MPEG-TS out two frames (100 ms) late; half a frame is allowed for a busy machine."""
    with http_server(send) as port:
        source = NetworkStream(f"http://127.0.0.1:{port}/cam", "tcp", LONG_S)
        assert source.granted.size_wh == SIZE_WH
        assert abs(statistics.median(offsets_ms(source, 30))) < PERIOD_MS / 2
        assert source.stamped_by == "arrival"
        source.close()


def test_a_clock_set_back_ends_the_connection_so_that_it_is_opened_again(monkeypatch):
    real_ns = time.time_ns
    with http_server(send_mjpeg) as port:
        source = NetworkStream(f"http://127.0.0.1:{port}/cam", "tcp", LONG_S)
        offsets_ms(source, 3)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() - 3600 * 10**9)
        with pytest.raises(SourceError, match=r"the clock was set back by 3(600|599)\.\d s"):
            offsets_ms(source, 2)
        source.close()


def test_with_reordered_frames_each_keeps_its_own_time():
    """B frames delay all pictures alike; a mixed-up one would be a whole frame off."""

    def send(connection: socket.socket) -> None:
        send_mpegts(connection, preset="ultrafast", bf="2", g="20", **{"rc-lookahead": "0", "x264-params": "b-adapt=0"})

    with http_server(send) as port:
        source = NetworkStream(f"http://127.0.0.1:{port}/cam", "tcp", LONG_S)
        offsets = offsets_ms(source, 40)[10:]
        source.close()
    off_ms = [abs(offset - statistics.median(offsets)) for offset in offsets]
    assert statistics.quantiles(off_ms, n=10)[-1] < PERIOD_MS / 2


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_frames_carry_the_senders_clock(transport):
    port = free_port()
    with rtsp_camera(port):
        source = NetworkStream(f"rtsp://127.0.0.1:{port}/cam", transport, LONG_S)
        assert source.granted.size_wh == SIZE_WH
        assert source.granted.pixel_format == "h264 yuv420p"
        frames = [source.read() for _ in range(20)]
        while source.stamped_by != "sender" and len(frames) < 200:  # senders tell their clock within some seconds
            frames.append(source.read())
        assert source.stamped_by == "sender"
        assert abs(statistics.median(offsets_ms(source, 20))) < PERIOD_MS / 2
        assert all(a and b and b.captured_ns > a.captured_ns for a, b in itertools.pairwise(frames))
        assert [frame and frame.frame_id for frame in frames] == list(range(len(frames)))
        source.close()


def until_frames(capture: Capture, wanted: int) -> None:
    deadline_s, got = time.monotonic() + LONG_S, 0
    while got < wanted:
        assert time.monotonic() < deadline_s, capture.snapshot()
        got += capture.take(0.5) is not None


def assert_comes_back(url: str, serve: Callable[[], contextlib.AbstractContextManager[subprocess.Popen[str]]]) -> None:
    capture = Capture(lambda: NetworkStream(url, "tcp", 2.0), lossless=False, patience=IMPATIENT)
    try:
        with serve():
            until_frames(capture, 5)
            assert capture.snapshot().state == "streaming"
        deadline_s = time.monotonic() + LONG_S
        while capture.snapshot().state != "reconnecting":
            assert time.monotonic() < deadline_s, capture.snapshot()
            capture.take(0.05)
        assert url in capture.snapshot().note
        with serve():
            until_frames(capture, 5)
            status = capture.snapshot()
        assert status.state == "streaming"
        assert status.reconnects >= 1
        assert status.note == ""
    finally:
        capture.close()


@pytest.mark.parametrize(
    "encoding", [("-c:v", "mjpeg", "-f", "mpjpeg"), ("-c:v", "copy", "-f", "mpegts")], ids=["mjpeg", "mpegts"]
)
@pytest.mark.slow
def test_after_a_killed_http_server_frames_come_back(tmp_path, encoding):
    clip = write_clip(tmp_path / "clip.mp4", frames=60, key_every=10)
    url = f"http://127.0.0.1:{free_port()}/cam"
    assert_comes_back(url, lambda: ffmpeg_server(clip, url, *encoding))


@pytest.mark.slow
def test_after_a_killed_rtsp_server_frames_come_back():
    port = free_port()
    assert_comes_back(f"rtsp://127.0.0.1:{port}/cam", lambda: rtsp_camera(port))


def test_a_server_that_says_nothing_is_given_up():
    given_up = threading.Event()

    def say_nothing(_connection: socket.socket) -> None:
        given_up.wait(LONG_S)

    with http_server(say_nothing) as port:
        with pytest.raises(SourceError, match=r"nothing came for 0\.5 s: check cable"):
            NetworkStream(f"http://127.0.0.1:{port}/cam", "tcp", 0.5)
        given_up.set()


def test_a_server_that_falls_silent_is_lost():
    """The connection stays open and nothing comes: a frozen camera, or a cable pulled out."""
    thaw = threading.Event()

    def send_ten(connection: socket.socket) -> None:
        class Counting:
            left = 10

            def sendall(self, data: bytes) -> None:
                self.left -= 1
                if self.left == 0:
                    thaw.wait(LONG_S)
                    raise OSError
                connection.sendall(data)

        send_mjpeg(Counting())  # type: ignore[arg-type]

    with http_server(send_ten) as port:
        source = NetworkStream(f"http://127.0.0.1:{port}/cam", "tcp", 0.5)
        with pytest.raises(SourceError, match=r"broke off .*nothing came for 0\.5 s"):
            offsets_ms(source, 20)
        source.close()
        thaw.set()


def test_data_that_hold_no_pictures_are_given_up():
    """The server goes on sending, so nothing times out by itself."""

    def send(connection: socket.socket) -> None:
        class Spoiling:
            frames = 0

            def sendall(self, data: bytes) -> None:
                self.frames += 1
                connection.sendall(data if self.frames < 10 else data.replace(b"\xff", b"\x00"))

        send_mjpeg(Spoiling())  # type: ignore[arg-type]

    with http_server(send) as port:
        source = NetworkStream(f"http://127.0.0.1:{port}/cam", "tcp", 0.5)
        with pytest.raises(SourceError, match="no picture can be decoded"):
            offsets_ms(source, 20)
        source.close()


def test_a_server_that_wants_a_password_is_said_to():
    def refuse(connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n')

    with http_server(refuse) as port, pytest.raises(SourceError, match="give user and password in the url"):
        NetworkStream(f"http://127.0.0.1:{port}/cam", "tcp", LONG_S)


def test_no_server_is_said_without_user_and_password():
    url = f"http://admin:secret@127.0.0.1:{free_port()}/cam?token=hidden"
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        NetworkStream(url, "tcp", 2.0)
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(secret in shown for secret in ("admin", "secret", "hidden"))
