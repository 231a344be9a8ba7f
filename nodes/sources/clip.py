"""A video file as pictures in order, each with its place in time. Knows FFmpeg, no clock and no pace.

Offsets are int64 nanoseconds from the first picture, by the file's own time stamps. Where the first picture itself lies
behind the file's zero (cameras out of step, one of them cut with the others), `lead_ns` says by how much.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from nodes.sources.source import SourceError

NS_PER_S = 1_000_000_000
UNKNOWN_RATE = Fraction(25)  # what FFmpeg itself assumes
LONGEST_LEAD_NS = NS_PER_S  # more is no cameras out of step but a clock that was running, as in cut-up live streams
INDEXED_FORMATS = {"mov", "mp4", "matroska", "webm", "avi"}  # in others FFmpeg's seek lands beside, or nowhere


@dataclass(frozen=True)
class Picture:
    """One picture: `number` from 0 (exact while read in order, from the mean rate after a seek), and its offset."""

    decoded: Any
    number: int
    offset_ns: int

    def to_rgb(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8, upright: the file's rotation is applied."""
        image_rgb: npt.NDArray[np.uint8] = self.decoded.to_ndarray(format="rgb24")
        quarters = round(self.decoded.rotation / 90) % 4  # counter-clockwise, as np.rot90
        return np.ascontiguousarray(np.rot90(image_rgb, quarters)) if quarters else image_rgb


class Clip:
    """An open video file. Raises SourceError when it is missing, no video, or damaged."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(f"{path} does not exist; give the path of a video file")
        self.path = path
        self._container = self._open()
        self._indexed = not INDEXED_FORMATS.isdisjoint(self._container.format.name.split(","))
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or UNKNOWN_RATE)
        self._first_pts = 0
        try:
            self._measure()
        except SourceError:
            self.close()
            raise

    def next(self) -> Picture | None:
        """The next picture, None after the last. Raises SourceError where the file is damaged."""
        return next(self._pictures, None)

    def seek(self, offset_ns: int) -> None:
        """Go on from the last key picture at or before offset_ns; in a format without index from the first picture."""
        if not self._indexed:
            self._container.close()
            self._container = self._open()
            return
        self._call(self._container.seek, self._pts(offset_ns), stream=self._stream)
        self._next_number = -1
        self._pictures = self._decode()

    def rewind(self) -> None:
        """Go on from the first picture."""
        self.seek(0)
        self._next_number = 0

    def key_offset_ns(self, offset_ns: int) -> int | None:
        """Where seek(offset_ns) would land; None when the file does not tell before."""
        if not self._indexed:
            return 0
        entries = self._stream.index_entries
        position = entries.search_timestamp(self._pts(offset_ns)) if len(entries) else -1
        return self._offset_ns(entries[position].timestamp) if position >= 0 else None

    def close(self) -> None:
        self._container.close()

    def _open(self) -> Any:
        container = self._call(av.open, str(self.path))
        if not container.streams.video:
            container.close()
            raise SourceError(f"{self.path} holds no pictures (sound only?); give a video file")
        self._stream = container.streams.video[0]
        # Frame threads would return pictures late and blur which of them is the damaged one.
        self._stream.thread_type = "SLICE"
        self._next_number = 0
        self._pictures = self._decode()
        return container

    def _measure(self) -> None:
        """Find the first picture and the end, where the first picture of a loop follows."""
        first = self.next()
        if first is None:
            raise SourceError(f"{self.path} holds no picture that can be decoded; play it with ffplay to see")
        if first.decoded.pts is None:
            raise SourceError(
                f"{self.path} is a bare stream without time stamps; put it into a container: "
                f"ffmpeg -r FPS -i {self.path.name} -c copy clip.mp4"
            )
        rotated = round(first.decoded.rotation / 90) % 2 == 1
        size_wh = (int(first.decoded.width), int(first.decoded.height))
        self.size_wh = (size_wh[1], size_wh[0]) if rotated else size_wh
        self.pixel_format = f"{self._stream.codec_context.name} {first.decoded.format.name}"
        self._first_pts = int(first.decoded.pts)
        lead_ns = round(self._first_pts * self._stream.time_base * NS_PER_S)
        self.lead_ns = lead_ns if self._indexed and 0 <= lead_ns < LONGEST_LEAD_NS else 0
        self.period_ns = round(NS_PER_S / self.rate)
        length_ns = self._offset_ns(self._last_pts()) + self.period_ns
        self.frame_count = max(1, round(length_ns * self.rate / NS_PER_S))
        even_ns = round(self.frame_count * NS_PER_S / self.rate)
        # Matroska rounds to milliseconds; over many loops clips would drift apart. Only a varying rate differs by more.
        self.length_ns = even_ns if abs(even_ns - length_ns) < self.period_ns // 4 else length_ns
        self.rewind()

    def _last_pts(self) -> int:
        """Time stamp of the last picture, from the packets behind the last key picture, or from all packets."""
        if self._indexed and self._container.duration:
            self._call(self._container.seek, self._container.duration + (self._container.start_time or 0))
            last_pts = self._greatest_pts()
            if last_pts is not None:
                return last_pts
        self.rewind()
        last_pts = self._greatest_pts()
        return self._first_pts if last_pts is None else last_pts

    def _greatest_pts(self) -> int | None:
        return max((p.pts for p in self._packets() if p.pts is not None and not p.is_discard), default=None)

    def _packets(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                raise self._damaged(error.strerror) from error
            if packet is None:
                return
            yield packet

    def _decode(self) -> Iterator[Picture]:
        """Looks up the container when it is first asked for a picture."""
        for packet in self._packets():
            if packet.is_corrupt:
                raise self._damaged("the data break off")
            try:
                decoded = packet.decode()
            except FFmpegError as error:
                raise self._damaged(error.strerror) from error
            for picture in decoded:
                yield self._place(picture)

    def _place(self, decoded: Any) -> Picture:
        number = self._next_number
        if decoded.pts is None:
            number = max(number, 0)
            offset_ns = round(number * NS_PER_S / self.rate)
        else:
            offset_ns = self._offset_ns(decoded.pts)
            number = number if number >= 0 else max(0, round(offset_ns * self.rate / NS_PER_S))
        self._next_number = number + 1
        return Picture(decoded, number, offset_ns)

    def _pts(self, offset_ns: int) -> int:
        return self._first_pts + int(Fraction(offset_ns, NS_PER_S) / self._stream.time_base)

    def _offset_ns(self, pts: int) -> int:
        return round((pts - self._first_pts) * self._stream.time_base * NS_PER_S)

    def _damaged(self, reason: str | None) -> SourceError:
        number = max(self._next_number, 0)
        return SourceError(
            f"{self.path}: frame {number} at {float(number / self.rate):.2f} s cannot be decoded ({reason}); the file "
            f"is damaged there. To keep what is whole: ffmpeg -i {self.path.name} -c:v libx264 repaired.mp4"
        )

    def _call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except FFmpegError as error:
            raise SourceError(
                f"{self.path} is not a video FFmpeg can read ({error.strerror}); try ffprobe {self.path.name}"
            ) from error
