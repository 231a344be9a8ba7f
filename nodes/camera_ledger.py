"""What a camera node knows about itself: rates, drops, detector time; as health messages. Pure."""

import math
from collections import deque

import numpy as np

from configs import schema
from nodes.capture import CaptureStatus
from nodes.video_writer import VideoStatus
from nodes.wire.messages import CameraHealth

WINDOW = 90  # frames that rate and detector time are told over
RATE_TOLERANCE = 0.1  # a granted rate within 10 % of the one asked for is what was asked for

NO_VIDEO = VideoStatus()


class CameraLedger:
    """Counts frames and times; `health` puts them beside what the capture says."""

    def __init__(self, name: str, source: schema.Source) -> None:
        self._name = name
        self._asked_size_wh = source.size_wh if isinstance(source, schema.DeviceSource) else (0, 0)
        self._asked_fps = source.fps if isinstance(source, schema.DeviceSource | schema.VirtualSource) else math.nan
        self._captured_ns: deque[int] = deque(maxlen=WINDOW)
        self._detect_ns: deque[int] = deque(maxlen=WINDOW)
        self._frames = 0
        self._seq = 0
        self._picture_wh = (0, 0)

    def detected(self, captured_ns: int, detect_ns: int, picture_wh: tuple[int, int]) -> None:
        """A frame of this size went through the detector in detect_ns."""
        self._captured_ns.append(captured_ns)
        self._detect_ns.append(detect_ns)
        self._picture_wh = picture_wh
        self._frames += 1

    @property
    def frames(self) -> int:
        return self._frames

    def health(
        self,
        now_ns: int,
        status: CaptureStatus | None,
        state: str = "",
        note: str = "",
        video: VideoStatus = NO_VIDEO,
    ) -> CameraHealth:
        """The health message of this moment; `state` and `note` override the capture's."""
        granted = status.granted if status else None
        size_wh = self._picture_wh if self._picture_wh[0] else (granted.size_wh if granted else (0, 0))
        mine = (status.note if status else "") or self._mismatch(size_wh, granted.fps if granted else 0)
        message = CameraHealth(
            captured_ns=now_ns,
            published_ns=0,
            source=self._name,
            seq=self._seq,
            state=state or (status.state if status else "starting"),
            asked_size_wh=self._asked_size_wh,
            granted_size_wh=size_wh,
            asked_fps=self._asked_fps,
            granted_fps=granted.fps if granted else math.nan,
            granted_format=granted.pixel_format if granted else "",
            fps=self._fps(now_ns),
            frames=self._frames,
            dropped=status.dropped if status else 0,
            reconnects=status.reconnects if status else 0,
            detect_ms_p50=float(np.median(self._detect_ns)) / 1e6 if self._detect_ns else math.nan,
            note="; ".join(filter(None, (video.note, note or mine)))[:500],
            video_file=video.file,
            video_frames=video.frames,
            video_dropped=video.dropped,
        )
        self._seq += 1
        return message

    def _fps(self, now_ns: int) -> float:
        """Frames per second of capture time over the window; NaN before two frames of different time."""
        span_ns = self._captured_ns[-1] - self._captured_ns[0] if self._captured_ns else 0
        return (len(self._captured_ns) - 1) / (span_ns * 1e-9) if span_ns > 0 else math.nan

    def _mismatch(self, size_wh: tuple[int, int], fps: float) -> str:
        """Both numbers, where the camera grants other ones than were asked for."""
        faults = []
        if self._asked_size_wh != (0, 0) and size_wh not in ((0, 0), self._asked_size_wh):
            faults.append(
                f"asked for {self._asked_size_wh[0]}x{self._asked_size_wh[1]}, gives {size_wh[0]}x{size_wh[1]}"
            )
        if fps and abs(fps / self._asked_fps - 1.0) > RATE_TOLERANCE:
            faults.append(f"asked for {self._asked_fps:g} frames per second, gives {fps:g}")
        return "; ".join(faults)
