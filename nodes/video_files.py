"""The files of one camera's recorded pictures: STEM.CAMERA.mkv, and the times in STEM.CAMERA.frames.csv beside it.

Both can be read at any moment, also when the writer was killed: Matroska in clusters of half a second, and a line of
text for each picture. The exact times are in the text; the video's own are rounded to milliseconds.
"""

import errno
import itertools
import re
import shutil
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from nodes.sources.source import Frame

Codec = Literal["h264", "mjpeg"]
Image = npt.NDArray[np.uint8]

HEADER = "index,frame_id,captured_ns"
CLUSTER_MS = 400  # what is in no finished cluster is lost by kill -9
KEY_EVERY_MS = 1000  # a player begins at a key frame
MS = Fraction(1, 1000)  # Matroska's own unit
USUAL_FPS = 30  # said in the file's header where the source does not tell; the pictures have times of their own
JPEG_QUALITY = 90
LONGEST_STEM = 100
SPARE_BYTES = 256 * 1024 * 1024  # is left on the disk: the poses of the same take are small and worth more


def stem_of(path: str) -> str:
    """Name for the files of a recording: of its path, from any system, what is harmless in a file's name."""
    name = re.split(r"[/\\]", path)[-1].removesuffix(".mcap")
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:LONGEST_STEM] or "take"


class VideoFiles:
    """An open pair of files for pictures of one size; `name` is the video's. Existing files are left alone: STEM-2, ….

    Raises OSError (disk full among them) and av.error.FFmpegError, also from `write` and `close`.
    """

    def __init__(
        self, folder: Path, stem: str, camera: str, codec: Codec, crf: int, size_wh: tuple[int, int], fps: float
    ) -> None:
        self.size_wh = size_wh
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._refuse_full_disk()
        video, self._lines = _free_pair(folder, stem, camera)
        self.name = video.name
        self._container = av.open(
            str(video), "w", options={"cluster_time_limit": str(CLUSTER_MS), "flush_packets": "1"}
        )
        rate = Fraction(fps if fps > 0 else USUAL_FPS).limit_denominator(1001)
        self._encoder: _Encoder = (
            _H264(self._container, size_wh, rate, crf) if codec == "h264" else _Mjpeg(self._container, size_wh, rate)
        )
        self._on_the_way: deque[Frame] = deque()  # handed to the encoder and not yet in the file
        self._first_ns: int | None = None
        self._last_ms = self._key_ms = self._looked_ms = 0
        self._written = 0

    def write(self, frame: Frame) -> int:
        """Add a picture of this size; how many went into the file."""
        pts_ms = self._next_ms(frame.captured_ns)
        if pts_ms - self._looked_ms >= KEY_EVERY_MS:
            self._looked_ms = pts_ms
            self._refuse_full_disk()
        is_key = pts_ms == 0 or pts_ms - self._key_ms >= KEY_EVERY_MS
        self._key_ms = pts_ms if is_key else self._key_ms
        self._on_the_way.append(frame)
        return self._mux(self._encoder.encode(frame.image_rgb, pts_ms, is_key))

    def close(self) -> int:
        """Finish both files; how many more pictures went into them. Both are closed, whatever happens."""
        try:
            return self._mux(self._encoder.rest())
        finally:
            try:
                self._container.close()
            finally:
                self._lines.close()

    def _mux(self, packets: "list[av.Packet]") -> int:
        for packet in packets:
            self._container.mux(packet)
            frame = self._on_the_way.popleft()  # no B frames: pictures come out in their order
            self._lines.write(f"{self._written},{frame.frame_id},{frame.captured_ns}\n")
            self._written += 1
        return len(packets)

    def _next_ms(self, captured_ns: int) -> int:
        """Time in the video. It must rise, also where a source was opened again and its clock stepped back."""
        if self._first_ns is None:
            self._first_ns = captured_ns
            return 0
        self._last_ms = max(self._last_ms + 1, round((captured_ns - self._first_ns) / 1e6))
        return self._last_ms

    def _refuse_full_disk(self) -> None:
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < SPARE_BYTES:
            raise OSError(
                errno.ENOSPC, f"only {free_bytes >> 20} MiB are free, of which video leaves {SPARE_BYTES >> 20}"
            )


def _free_pair(folder: Path, stem: str, camera: str) -> tuple[Path, TextIO]:
    """Path of the video and the new file of times, by which both names are taken."""
    for number in itertools.count(1):
        name = f"{stem if number == 1 else f'{stem}-{number}'}.{camera}"
        video = folder / f"{name}.mkv"
        if video.exists():
            continue
        try:
            lines = (folder / f"{name}.frames.csv").open("x", encoding="ascii", buffering=1)  # each line goes out
        except FileExistsError:
            continue
        lines.write(HEADER + "\n")
        return video, lines
    raise AssertionError("unreachable: the numbers do not end")


class _Encoder(Protocol):
    def encode(self, image_rgb: Image, pts_ms: int, is_key: bool) -> "list[av.Packet]":
        """Packets that are ready; image_rgb: (H, W, 3)."""

    def rest(self) -> "list[av.Packet]":
        """What is still inside, at the end."""


class _H264:
    """x264, each picture at once: what would wait in the encoder would be lost by kill -9, and costs memory.

    Pictures of odd size keep all of their colour, since 4:2:0 knows only even ones.
    """

    def __init__(self, container: Any, size_wh: tuple[int, int], rate: Fraction, crf: int) -> None:
        self._is_even = size_wh[0] % 2 == size_wh[1] % 2 == 0
        self._stream = _stream(container, "libx264", "yuv420p" if self._is_even else "yuv444p", size_wh, rate)
        # ultrafast: 5 ms of CPU per 1280×720 picture; veryfast takes 10 and makes files half the size of a live system
        self._stream.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": str(crf)}
        self._stream.codec_context.gop_size = 10 * USUAL_FPS  # never reached: key frames are asked for

    def encode(self, image_rgb: Image, pts_ms: int, is_key: bool) -> "list[av.Packet]":
        if self._is_even:  # OpenCV converts in a sixth of swscale's time
            planes = np.asarray(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
            picture = av.VideoFrame.from_ndarray(planes, "yuv420p")  # from_numpy_buffer loses rows of 270
        else:
            picture = av.VideoFrame.from_ndarray(image_rgb, "rgb24").reformat(format="yuv444p", threads=1)
        picture.pts, picture.time_base = pts_ms, MS
        picture.pict_type = PictureType.I if is_key else PictureType.NONE
        return list(self._stream.encode(picture))

    def rest(self) -> "list[av.Packet]":
        return list(self._stream.encode(None))


class _Mjpeg:
    """JPEG by OpenCV, whose libjpeg takes half of FFmpeg's time; every picture is a key frame."""

    def __init__(self, container: Any, size_wh: tuple[int, int], rate: Fraction) -> None:
        self._stream = _stream(container, "mjpeg", "yuvj420p", size_wh, rate)

    def encode(self, image_rgb: Image, pts_ms: int, is_key: bool) -> "list[av.Packet]":
        _, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        packet = av.Packet(jpeg.tobytes())
        packet.stream = self._stream
        packet.pts = packet.dts = pts_ms
        packet.time_base = MS
        packet.is_keyframe = True
        return [packet]

    def rest(self) -> "list[av.Packet]":
        return []


def _stream(container: Any, codec: str, pixel_format: str, size_wh: tuple[int, int], rate: Fraction) -> Any:
    stream = container.add_stream(codec, rate=rate)
    stream.width, stream.height = size_wh
    stream.pix_fmt = pixel_format
    stream.time_base = stream.codec_context.time_base = MS
    stream.codec_context.thread_count = 1  # the writer's own thread, whose priority is low
    return stream
