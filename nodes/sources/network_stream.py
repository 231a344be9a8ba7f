"""A network camera: RTSP, HTTP MJPEG, HTTP MPEG-TS, by FFmpeg with as little buffering as it can."""

import struct
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

import av
from av.codec.context import Flags
from av.error import ExitError, FFmpegError, HTTPUnauthorizedError

from configs.stream_url import without_password
from nodes.sources.read_guard import ReadGuard
from nodes.sources.source import Frame, Granted, SourceError
from nodes.sources.stream_clock import MOST_LATENCY_NS, StreamClock
from nodes.sources.time_order import is_later

NS_PER_S = 1_000_000_000
FIRST_PICTURE_S = 12.0  # decoding begins at a key frame, and some cameras send one in ten seconds
# FFmpeg hands a frame over when it has seen the beginning of the next one, in MPEG-TS of the one after that (measured
# with the time drawn into the picture, docs/sources.md). A frame arrived when that many frames earlier came out.
FRAMES_HELD_BACK = {"rtsp": 1, "mpegts": 2, "mpjpeg": 0}
# Going over from our clock to the sender's may put a frame back by the latency that we believe; half a second more.
MOST_BACK_NS = MOST_LATENCY_NS + NS_PER_S // 2
MOST_REORDERED = 32  # more than any codec holds back
WITHOUT_OWN_TIME = {"mpjpeg", "mjpeg"}  # FFmpeg counts up at 25 fps there


class NetworkStream:
    """An open connection. `stamped_by` says whose clock the latest frame carries: the sender's, which RTSP cameras
    tell, or ours at the arrival.

    transport: "tcp" or "udp", for RTSP. timeout_s: without data for so long, the stream is lost. latency_ms: of the
    camera before its stamps.
    Raises SourceError; its message names the address without the password.
    """

    def __init__(self, url: str, transport: Literal["tcp", "udp"], timeout_s: float, latency_ms: float = 0.0) -> None:
        self._latency_ns = round(latency_ms * 1e6)
        self.address = without_password(url)
        self._timeout_s = timeout_s
        self._clock = StreamClock()
        self._container = self._open(url, transport)
        self._guard = ReadGuard(self.address, self._container.close)
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"{self.address} sends no pictures; check the path of the stream in the camera's manual")
        stream = self._container.streams.video[0]
        stream.thread_count = 1  # threads would hold frames back
        stream.codec_context.flags |= Flags.low_delay
        kind = self._container.format.name
        held_back = FRAMES_HELD_BACK.get(kind, 0) if stream.codec_context.name in {"h264", "hevc", "mpeg2video"} else 0
        self._arrivals: deque[int] = deque(maxlen=held_back + 1)
        self._own_time = kind not in WITHOUT_OWN_TIME
        self._next_id = 0
        self._last_ns = 0
        self._frames = self._decode(stream)
        codec = stream.codec_context
        fps = float(stream.average_rate) if stream.average_rate and self._own_time else 0.0
        self.granted = Granted((int(codec.width), int(codec.height)), fps, f"{codec.name} {codec.pix_fmt}")

    @property
    def stamped_by(self) -> Literal["sender", "arrival"]:
        return self._clock.stamped_by

    def read(self) -> Frame | None:
        """The next frame. Frames whose time would not lie behind the last one's are left out."""
        with self._guard:
            for picture, captured_ns in self._frames:
                frame_id, self._next_id = self._next_id, self._next_id + 1
                if is_later(self.address, captured_ns, self._last_ns, MOST_BACK_NS):
                    self._last_ns = captured_ns
                    return Frame(picture.to_ndarray(format="rgb24"), captured_ns, frame_id)
            raise SourceError(f"{self.address}: the server ended the stream; check that it still runs")

    def close(self) -> None:
        self._guard.close()

    def _open(self, url: str, transport: str) -> Any:
        options = {"fflags": "nobuffer", "probesize": "500000", "analyzeduration": "1000000"}
        if url.lower().startswith("rtsp"):
            options |= {"rtsp_transport": transport, "max_delay": "100000"}
        try:
            return av.open(url, options=options, timeout=(self._timeout_s, self._timeout_s))
        except (FFmpegError, UnicodeError) as error:
            raise self._lost("cannot be opened", error) from None  # FFmpeg's own message holds the password

    def _decode(self, stream: Any) -> Iterator[tuple[Any, int]]:
        packets = self._container.demux(stream)
        give_up_at_s = time.monotonic() + max(self._timeout_s, FIRST_PICTURE_S)
        captured_ns: dict[int | None, int] = {}  # by time stamp: with B frames pictures come out in another order
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                raise self._lost("broke off", error) from None
            if packet is None:
                return
            self._arrivals.append(time.time_ns())
            captured_ns[packet.pts] = self._stamp(packet)
            if len(captured_ns) > MOST_REORDERED:
                captured_ns.pop(next(iter(captured_ns)))
            for picture in _decoded(packet):
                if picture.pts in captured_ns:
                    yield picture, captured_ns.pop(picture.pts)
                    give_up_at_s = time.monotonic() + self._timeout_s
            if time.monotonic() > give_up_at_s:
                raise SourceError(
                    f"{self.address} sends data of which no picture can be decoded; try transport: tcp, another codec "
                    "in the camera's settings, or a key frame every second"
                )

    def _stamp(self, packet: Any) -> int:
        sender_ns = None
        if packet.has_sidedata("prft"):
            (sender_us,) = struct.unpack_from("<q", bytes(packet.get_sidedata("prft")))
            sender_ns = sender_us * 1000
        pts_ns = None
        if self._own_time and packet.pts is not None:
            pts_ns = round(packet.pts * packet.time_base * NS_PER_S)
        return self._clock.stamp(self._arrivals[0], pts_ns, sender_ns) - self._latency_ns

    def _lost(self, what: str, error: Exception) -> SourceError:
        if isinstance(error, HTTPUnauthorizedError):
            advice = "give user and password in the url: rtsp://user:password@host/…"
        elif isinstance(error, ExitError):
            advice = f"nothing came for {self._timeout_s:g} s: check cable, address and power of the camera"
        else:
            advice = "check that the server runs, and the address, with: ffplay " + self.address
        reason = getattr(error, "strerror", None) or str(error)
        return SourceError(f"{self.address} {what} ({reason}); {advice}")


def _decoded(packet: Any) -> list[Any]:
    """Its pictures; none when it is spoilt, as by a lost datagram."""
    try:
        return list(packet.decode())
    except FFmpegError:
        return []
