"""The pictures of one camera's recorded video around a rising instant; what is not shown is decoded and no more."""

from collections.abc import Iterator

import numpy as np

from nodes.drawing.strokes import Picture
from nodes.recorded_video import RecordedVideo, VideoPart
from nodes.sources import clip as clips
from nodes.sources.source import SourceError
from nodes.stills.winder import STALE_NS

Found = tuple[int, clips.Picture]  # captured_ns


class Reel:
    """One camera's video, from an instant on. trouble: why there are no pictures (any more), in a word."""

    def __init__(self, video: RecordedVideo, from_ns: int) -> None:
        self.trouble = ""
        self._found = self._pictures(video, from_ns)
        self._now: Found | None = None
        self._next: Found | None = next(self._found, None)
        self._shown: Picture | None = None

    def at(self, at_ns: int) -> Picture | None:
        """The picture taken nearest to an instant, (H, W, 3) RGB; None when none was near."""
        while self._next is not None and (self._now is None or self._is_nearer(self._next, self._now, at_ns)):
            self._now, self._next, self._shown = self._next, next(self._found, None), None
        if self._now is None or abs(self._now[0] - at_ns) > STALE_NS:
            return None
        if self._shown is None:
            self._shown = self._now[1].to_rgb()
        return self._shown

    def close(self) -> None:
        """Release the file."""
        if isinstance(self._found, Iterator) and hasattr(self._found, "close"):
            self._found.close()

    @staticmethod
    def _is_nearer(one: Found, other: Found, at_ns: int) -> bool:
        return abs(one[0] - at_ns) <= abs(other[0] - at_ns)

    def _pictures(self, video: RecordedVideo, from_ns: int) -> Iterator[Found]:
        for part in video.parts:
            if not len(part.captured_ns) or part.captured_ns[-1] < from_ns - STALE_NS:
                continue
            try:
                yield from _from(part, from_ns)
            except SourceError as error:
                self.trouble = str(error)


def _from(part: VideoPart, from_ns: int) -> Iterator[Found]:
    """The pictures of a file, from the last key picture before an instant on. Raises SourceError."""
    clip = clips.Clip(part.path)
    try:
        before_ns = from_ns - int(part.captured_ns[0])
        if before_ns > 0:
            clip.seek(before_ns)
        while (picture := clip.next()) is not None:
            row = int(np.searchsorted(part.captured_ns - part.captured_ns[0], picture.offset_ns - 500_000))
            if row < len(part.captured_ns):
                yield int(part.captured_ns[row]), picture
    finally:
        clip.close()
