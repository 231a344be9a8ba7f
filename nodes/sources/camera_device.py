"""A USB or built-in camera, by OpenCV: V4L2 on Linux, the system's own way elsewhere."""

import errno
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from nodes.sources.read_guard import ReadGuard
from nodes.sources.source import Frame, Granted, SourceError
from nodes.sources.time_order import is_later

NS_PER_S = 1_000_000_000
# One buffer, the fewest, leaves the driver nowhere to write while we hold it, which costs every other frame; as the
# capture thread always reads on, the second one does not make frames older.
BUFFERS = 2
OLDEST_STAMP_NS = 2 * NS_PER_S  # a driver's time farther back than this is on some other clock
MOST_SPOILT = 30  # USB cameras send a torn JPEG now and then; a second of nothing else is a fault


class CameraDevice:
    """An open camera, asked for size, rate and format; `granted` is what it answers.

    device: index, /dev/video…, /dev/v4l/by-id/…; a video file does too, to try without a camera.
    pixel_format: four letters such as MJPG or YUYV. latency_ms: of the camera, before its stamps. `stamped_by` says
    whose time the latest frame carries: the driver's, or ours when the frame was fetched. Raises SourceError.
    """

    def __init__(
        self, device: int | str, size_wh: tuple[int, int], fps: float, pixel_format: str, latency_ms: float = 0.0
    ) -> None:
        self._latency_ns = round(latency_ms * 1e6)
        self._device = device_path(device)
        self._capture = self._open()
        self._guard = ReadGuard(str(device), self._capture.release)
        for prop, asked in (
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*pixel_format)),  # first: sizes depend on it
            (cv2.CAP_PROP_FRAME_WIDTH, size_wh[0]),
            (cv2.CAP_PROP_FRAME_HEIGHT, size_wh[1]),
            (cv2.CAP_PROP_FPS, fps),
            (cv2.CAP_PROP_BUFFERSIZE, BUFFERS),
        ):
            self._capture.set(prop, asked)
        self.granted = self._ask()
        self.stamped_by = "arrival"
        self._last_ns = 0
        self._next_id = 0

    def read(self) -> Frame | None:
        """The next frame. One that cannot be decoded, or is not later than the last, shows as a gap in frame_id."""
        with self._guard:
            spoilt = 0
            while spoilt < MOST_SPOILT:
                if not self._capture.grab():
                    raise SourceError(f"{self._device} {self._why_lost()}")
                captured_ns = self._captured_ns()
                frame_id, self._next_id = self._next_id, self._next_id + 1
                decoded, image_bgr = self._capture.retrieve()
                if not decoded or image_bgr is None:
                    spoilt += 1
                elif is_later(str(self._device), captured_ns, self._last_ns):
                    self._last_ns = captured_ns
                    return Frame(
                        np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB), np.uint8), captured_ns, frame_id
                    )
            raise SourceError(
                f"{self._device}: {MOST_SPOILT} frames in a row could not be decoded as {self.granted.pixel_format}; "
                "try another pixel_format (YUYV) or a shorter cable"
            )

    def close(self) -> None:
        self._guard.close()

    def _open(self) -> cv2.VideoCapture:
        complaint = _complaint(self._device) if isinstance(self._device, str) else None
        if complaint is not None:
            raise SourceError(complaint)
        is_v4l2 = isinstance(self._device, str) and Path(self._device).is_char_device()
        capture = cv2.VideoCapture(self._device, cv2.CAP_V4L2 if is_v4l2 else cv2.CAP_ANY)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"{self._device} is there but gives no pictures: another program may use it (fuser -v {self._device}), "
                f"or it is a camera's second, picture-less node.{_there_are()}"
            )
        return capture

    def _ask(self) -> Granted:
        """What the device says it delivers now."""
        size_wh = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        letters = code.to_bytes(4, "little").decode("latin-1").strip("\0 ")
        return Granted(size_wh, max(0.0, float(self._capture.get(cv2.CAP_PROP_FPS))), letters or "unknown")

    def _captured_ns(self) -> int:
        now_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        stamp_ns = None
        if self._capture.getBackendName() == "V4L2":
            stamp_ns = epoch_of_stamp(self._capture.get(cv2.CAP_PROP_POS_MSEC), now_ns, monotonic_ns)
        self.stamped_by = "arrival" if stamp_ns is None else "driver"
        return (now_ns if stamp_ns is None else stamp_ns) - self._latency_ns

    def _why_lost(self) -> str:
        if isinstance(self._device, str) and not Path(self._device).exists():
            return "was unplugged; plug it in again (the /dev/v4l/by-id/… path finds it at any socket)"
        return "gives no more pictures; check the cable, or give it a USB socket of its own"


def epoch_of_stamp(stamp_ms: float, now_ns: int, monotonic_ns: int) -> int | None:
    """Epoch time of a driver's buffer stamp, or None where it is absent or on no clock that we know.

    stamp_ms: OpenCV's CAP_PROP_POS_MSEC, in V4L2 the buffer's time, which drivers take from CLOCK_MONOTONIC when the
    first bytes arrive (uvcvideo) or, a few, from the wall clock. now_ns, monotonic_ns: both clocks now.
    """
    stamp_ns = round(stamp_ms * 1_000_000)
    for clock_ns in (monotonic_ns, now_ns):
        if stamp_ns > 0 and 0 <= clock_ns - stamp_ns <= OLDEST_STAMP_NS:
            return now_ns - (clock_ns - stamp_ns)
    return None


def device_path(device: int | str) -> int | str:
    """On Linux the path of an index; elsewhere as it is."""
    if isinstance(device, str) and device.isdigit():
        device = int(device)
    return f"/dev/video{device}" if isinstance(device, int) and sys.platform == "linux" else device


def cameras_present(folder: Path = Path("/dev")) -> list[str]:
    """Paths of the video devices of this machine, the stable ones first."""
    return [str(path) for pattern in ("v4l/by-id/*", "video*") for path in sorted(folder.glob(pattern))]


def _there_are() -> str:
    found = cameras_present()
    return f" Cameras here: {', '.join(found)}" if found else " No camera is connected (no /dev/video*)"


def _complaint(path: str) -> str | None:
    """Why the device cannot be opened, and what to do; None when it can. A busy camera shows only later, in use."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK if Path(path).is_char_device() else os.O_RDONLY))
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
            return f"{path} does not exist.{_there_are()}"
        if error.errno in {errno.EACCES, errno.EPERM}:
            return f"{path} may not be opened by this user: sudo usermod -aG video $USER, then log in again"
        if error.errno == errno.EBUSY:
            return f"{path} is used by another program: fuser -v {path} tells which"
        return f"{path} cannot be opened ({error.strerror}).{_there_are()}"
    return None
