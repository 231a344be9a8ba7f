"""A video file as a camera. A frame's time is its place in the file, so clips recorded together stay together."""

import time
from pathlib import Path
from typing import Literal

from nodes.sources.clip import NS_PER_S, Clip, Picture
from nodes.sources.read_guard import ReadGuard
from nodes.sources.source import Frame, Granted, SourceError

CATCH_UP_AFTER_NS = NS_PER_S  # later than this is no hiccup: the process was started late or stood still
CATCH_UP_LIMIT_S = 2.0  # then a late frame is better than none, where decoding is hardly faster than the clip


class VideoFile:
    """Frame k of loop l is captured at start_ns + l · length + its time in the file.

    Pace "realtime" hands a frame over when the wall clock reaches its time, and leaves out what is already over when
    it is more than a second late. "pipeline" hands over every frame at once. Raises SourceError when the file is
    missing, no video, or damaged.
    """

    def __init__(self, path: Path, pace: Literal["realtime", "pipeline"], loop: bool, start_ns: int) -> None:
        self._clip = Clip(Path(path))
        self._guard = ReadGuard(str(path), self._clip.close)
        self._pace = pace
        self._loop = loop
        self._first_ns = start_ns + self._clip.lead_ns
        self._loop_number = 0
        self._last_id = -1
        self._last_ns = self._first_ns - 1
        self.granted = Granted(self._clip.size_wh, float(self._clip.rate), self._clip.pixel_format)

    def read(self) -> Frame | None:
        """The next frame; None at the end of a clip that does not loop, or when closed meanwhile."""
        with self._guard:
            picture = self._next_later()
            if picture is None:
                return None
            captured_ns = self._captured_ns(picture)
            if self._pace == "realtime" and time.time_ns() - captured_ns > CATCH_UP_AFTER_NS:
                picture = self._catch_up(picture)
                if picture is None:
                    return None
                captured_ns = self._captured_ns(picture)
            frame_id = max(self._last_id + 1, self._loop_number * self._clip.frame_count + picture.number)
            frame = Frame(picture.to_rgb(), captured_ns, frame_id)
            while self._pace == "realtime" and (early_ns := captured_ns - time.time_ns()) > 0:
                if self._guard.wait(min(early_ns / NS_PER_S, 1.0)):
                    return None
            self._last_id, self._last_ns = frame_id, captured_ns
            return frame

    def close(self) -> None:
        self._guard.close()

    def _captured_ns(self, picture: Picture) -> int:
        return self._first_ns + self._loop_number * self._clip.length_ns + picture.offset_ns

    def _next_later(self) -> Picture | None:
        """The next picture with a time of its own: files with rounded or repeated time stamps hold several of one."""
        picture = self._next()
        while picture is not None and self._captured_ns(picture) <= self._last_ns:
            picture = self._next()
        return picture

    def _next(self) -> Picture | None:
        """The next picture, of the next loop where one ends."""
        picture = self._clip.next()
        if picture is None and self._loop:
            self._loop_number += 1
            self._clip.rewind()
            picture = self._clip.next()
            if picture is None:
                raise SourceError(f"{self._clip.path}: cannot go back to its beginning; copy it to a local disk")
        return picture

    def _catch_up(self, picture: Picture | None) -> Picture | None:
        """Go to the picture that is due now: by the key pictures where that helps, then picture by picture."""
        begun_s = time.monotonic()
        if picture is None or not self._jump(time.time_ns() - self._first_ns, picture):
            return None
        while (picture := self._next()) is not None:
            over = self._captured_ns(picture) + self._clip.period_ns <= time.time_ns()
            if not over or time.monotonic() - begun_s > CATCH_UP_LIMIT_S:
                break
        return picture

    def _jump(self, position_ns: int, picture: Picture) -> bool:
        """Seek to position_ns after the first frame, unless that leads backwards; False when the clip is over."""
        loop_number, offset_ns = divmod(position_ns, self._clip.length_ns)
        if not self._loop and loop_number > 0:
            return False
        key_ns = self._clip.key_offset_ns(offset_ns)
        if loop_number > self._loop_number or key_ns is None or key_ns > picture.offset_ns:
            self._loop_number = loop_number
            self._clip.seek(offset_ns)
        return True
