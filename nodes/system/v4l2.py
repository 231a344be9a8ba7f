"""Asks V4L2 cameras what they grant, without opening a stream. Numbers and layouts: linux/videodev2.h, 64 bit."""

import errno
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
CAPTURE_TYPE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
CAN_CAPTURE = 0x1  # V4L2_CAP_VIDEO_CAPTURE; webcams have a second node for metadata, which cannot
DISCRETE = 1  # V4L2_FRMSIZE_TYPE_DISCRETE and its namesake of intervals
RATE_TOLERANCE = 0.02  # 29.97 frames per second are what 30 asks for
MOST_MODES = 200  # a driver that enumerates for ever is not waited for

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True)
class Mode:
    """A size in a pixel format with the frame rates that the camera grants for it, highest first.

    any_smaller, any_slower: the size or the rate is the largest of a range, not one of a list.
    """

    pixel_format: str
    size_wh: tuple[int, int]
    fps: tuple[float, ...]
    any_smaller: bool = False
    any_slower: bool = False

    def __str__(self) -> str:
        rates = "/".join(f"{rate:g}" for rate in self.fps) or "?"
        return f"{self.pixel_format} {self.size_wh[0]}x{self.size_wh[1]} @ {rates}"

    def grants(self, pixel_format: str, size_wh: tuple[int, int], fps: float) -> bool:
        """Whether a camera in this mode gives what is asked for; a mode that tells no rates is believed."""
        smaller = self.any_smaller and size_wh[0] <= self.size_wh[0] and size_wh[1] <= self.size_wh[1]
        slower = self.any_slower and fps <= max(self.fps)
        same_rate = any(abs(rate / fps - 1.0) <= RATE_TOLERANCE for rate in self.fps)
        return (
            pixel_format == self.pixel_format
            and (size_wh == self.size_wh or smaller)
            and (same_rate or slower or not self.fps)
        )


def video_devices() -> list[Path]:
    """/dev/video* in the order of their numbers."""
    return sorted(Path("/dev").glob("video[0-9]*"), key=lambda path: int(path.name.removeprefix("video")))


def camera_modes(device: Path) -> tuple[str, list[Mode]] | None:
    """Name and modes of a camera; None when the device captures no pictures. OSError when it cannot be opened."""
    import fcntl

    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        return read_modes(handle, lambda fd, request, block: fcntl.ioctl(fd, request, block, True))
    finally:
        os.close(handle)


def read_modes(handle: int, ioctl: Ioctl) -> tuple[str, list[Mode]] | None:
    """As `camera_modes`, on an open device."""
    block = bytearray(104)
    ioctl(handle, QUERYCAP, block)
    capabilities, of_this_node = struct.unpack_from("<II", block, 84)
    if not (of_this_node or capabilities) & CAN_CAPTURE:
        return None
    name = bytes(block[16:48]).split(b"\0")[0].decode(errors="replace")
    modes = []
    for pixel_format in _formats(handle, ioctl):
        for size_wh, any_smaller in _sizes(handle, ioctl, pixel_format):
            told = list(_rates(handle, ioctl, pixel_format, size_wh))
            rates = tuple(sorted({rate for rate, _ in told}, reverse=True))
            letters = struct.pack("<I", pixel_format).decode(errors="replace").strip()
            modes.append(Mode(letters, size_wh, rates, any_smaller, any(is_range for _, is_range in told)))
    return name, modes


def _formats(handle: int, ioctl: Ioctl) -> Iterator[int]:
    for block in _enumerate(handle, ioctl, ENUM_FMT, 64, (CAPTURE_TYPE,)):
        yield struct.unpack_from("<I", block, 44)[0]


def _sizes(handle: int, ioctl: Ioctl, pixel_format: int) -> Iterator[tuple[tuple[int, int], bool]]:
    """Each size, and whether it is the largest of a range."""
    for block in _enumerate(handle, ioctl, ENUM_FRAMESIZES, 44, (pixel_format,)):
        kind, width, height = struct.unpack_from("<III", block, 8)
        if kind != DISCRETE:
            yield (struct.unpack_from("<I", block, 16)[0], struct.unpack_from("<I", block, 28)[0]), True
            return
        yield (width, height), False


def _rates(handle: int, ioctl: Ioctl, pixel_format: int, size_wh: tuple[int, int]) -> Iterator[tuple[float, bool]]:
    """Each rate, and whether it is the highest of a range."""
    for block in _enumerate(handle, ioctl, ENUM_FRAMEINTERVALS, 52, (pixel_format, *size_wh)):
        kind, numerator, denominator = struct.unpack_from("<III", block, 16)
        yield (round(denominator / numerator, 2) if numerator else 0.0), kind != DISCRETE
        if kind != DISCRETE:  # the first fraction is the shortest interval
            return


def _enumerate(handle: int, ioctl: Ioctl, request: int, size: int, about: tuple[int, ...]) -> Iterator[bytearray]:
    """Blocks of an enumeration: index, then what it is about, up to the driver's EINVAL."""
    for index in range(MOST_MODES):
        block = bytearray(size)
        struct.pack_into(f"<{1 + len(about)}I", block, 0, index, *about)
        try:
            ioctl(handle, request, block)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        yield block
