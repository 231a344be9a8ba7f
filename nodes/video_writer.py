"""Pictures of one camera to disk while the recorder asks for it, and never at the cost of the live system.

The capture thread hands every frame over in microseconds; a thread of low priority encodes and writes. What does not
fit into bounded memory meanwhile is dropped and counted. Whatever happens to the video, live goes on.
"""

import contextlib
import os
import queue
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from configs.schema import Recording
from nodes.sources.source import Frame
from nodes.video_files import VideoFiles, stem_of
from nodes.wire.bus import latest
from nodes.wire.messages import RecorderHealth

MOST_WAITING_BYTES = 64 * 1024 * 1024  # 23 pictures of 1280×720
SILENT_S = 5.0  # a recorder speaks twice a second
NICENESS = 19  # on one core that detection fills, 19 costs it nothing, 10 costs it 9 %, and 0 costs it 12 to 25 %
FINISH_S, HURRY_S = 1.5, 0.4  # at the node's end: with 0.9 s of the capture within the 3 s that run_system gives it


@dataclass(frozen=True)
class VideoStatus:
    """file: name of the video, "" without one. frames: in it; dropped: not in it. note: why it ended, "" if not."""

    file: str = ""
    frames: int = 0
    dropped: int = 0
    note: str = ""


class VideoTake:
    """One recording of one camera. `offer` is the capture's, one thread at a time; the rest is anybody's."""

    def __init__(self, folder: Path, stem: str, camera: str, settings: Recording, fps: float) -> None:
        self._folder, self._stem, self._camera, self._settings, self._fps = folder, stem, camera, settings, fps
        self._waiting: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()  # its put never waits for a reader
        self._offered_bytes = self._taken_bytes = 0  # each has one writer
        self._refused = self._lost = 0  # of the capture, and of the writer
        self._frames = 0
        self._file = self._note = ""
        self._over = self._hurry = False
        self._files: VideoFiles | None = None
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame) -> None:
        """Keep a frame for the writer; drop it when memory is full or the video has failed."""
        if self._over:
            return
        if self._note or self._offered_bytes - self._taken_bytes + frame.image_rgb.nbytes > self._most_bytes(frame):
            self._refused += 1
            return
        self._offered_bytes += frame.image_rgb.nbytes
        self._waiting.put(frame)

    @property
    def status(self) -> VideoStatus:
        return VideoStatus(self._file, self._frames, self._refused + self._lost, self._note)

    @property
    def is_written(self) -> bool:
        """Whether the writer has ended; nothing more comes."""
        return not self._thread.is_alive()

    def end(self) -> None:
        """Take no more frames; those that are there are still written. Returns at once."""
        if not self._over:
            self._over = True
            self._waiting.put(None)

    def finish(self) -> None:
        """End, and wait until the files are whole: not for ever, what is not written in time is dropped."""
        self.end()
        self._thread.join(FINISH_S)
        self._hurry = True
        self._thread.join(HURRY_S)

    def _most_bytes(self, frame: Frame) -> int:
        return max(MOST_WAITING_BYTES, 2 * frame.image_rgb.nbytes)

    def _run(self) -> None:
        _step_back()
        try:
            while (frame := self._waiting.get()) is not None:
                self._taken_bytes += frame.image_rgb.nbytes
                if self._note or self._hurry:
                    self._lost += 1
                else:
                    self._write(frame)
        finally:
            self._close()

    def _write(self, frame: Frame) -> None:
        try:
            self._frames += self._files_for(frame).write(frame)
        except Exception as error:  # of disk, encoder or a mistake of ours: the live system shall not care
            self._lost += 1
            self._fail(error)
            self._close()

    def _files_for(self, frame: Frame) -> VideoFiles:
        """The open files; new ones at first, and when a camera that was opened again sends another size."""
        height, width = frame.image_rgb.shape[:2]
        if self._files is not None and self._files.size_wh != (width, height):
            self._close()
        if self._files is None:
            given = self._settings
            self._files = VideoFiles(
                self._folder, self._stem, self._camera, given.codec, given.crf, (width, height), self._fps
            )
            self._file = self._files.name
        return self._files

    def _close(self) -> None:
        files, self._files = self._files, None
        if files is None:
            return
        try:
            self._frames += files.close()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        why = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
        self._note = self._note or f"video of this take ended in {self._folder}: {why}"


class RecorderOrders:
    """Whose pictures are wanted, by what the recorder says. Pure: moments (monotonic) are arguments."""

    def __init__(self) -> None:
        self._health: RecorderHealth | None = None
        self._heard_s = 0.0

    def hear(self, health: RecorderHealth, now_s: float) -> None:
        """The recorder's newest word."""
        self._health, self._heard_s = health, now_s

    def wanted(self, now_s: float) -> str:
        """Path of the recording that wants video now, "" when none does or its recorder has gone silent."""
        health = self._health
        if health is None or not (health.state == "recording" and health.video) or now_s - self._heard_s > SILENT_S:
            return ""
        return health.path or "take"


class CameraVideo:
    """The video of one camera node: begins and ends with the recorder's words. `take_frame` is the capture's."""

    def __init__(self, camera: str, folder: Path, settings: Recording, hub_out: str) -> None:
        self._camera, self._folder, self._settings = camera, folder, settings
        self._inbox = latest(RecorderHealth, hub_out=hub_out, source="recorder")
        self._orders = RecorderOrders()
        self._path = ""
        self._take: VideoTake | None = None
        self._ending: list[VideoTake] = []

    def take_frame(self, frame: Frame) -> None:
        """Record a frame if a recording runs; a matter of microseconds."""
        take = self._take
        if take is not None:
            take.offer(frame)

    def follow(self, fps: float) -> None:
        """Do what the recorder has asked for since. fps: of the source, 0 where it does not say; never waits."""
        now_s = time.monotonic()
        health = self._inbox.receive(timeout_ms=0)
        if health is not None:
            self._orders.hear(health, now_s)
        path = self._orders.wanted(now_s)
        if path == self._path:
            return
        self._path = path
        self._ending = [take for take in self._ending if not take.is_written]
        self._end_take()
        if path:
            self._take = VideoTake(self._folder, stem_of(path), self._camera, self._settings, fps)

    @property
    def status(self) -> VideoStatus:
        return self._take.status if self._take is not None else VideoStatus()

    def close(self) -> None:
        """End the recording, if one runs, and wait a little until its files are whole."""
        self._inbox.close()
        self._end_take()
        for take in self._ending:
            take.finish()

    def _end_take(self) -> None:
        take, self._take = self._take, None
        if take is not None:
            take.end()
            self._ending.append(take)


def _step_back() -> None:
    """Let every other thread go first; for the thread that calls, and those that it starts."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # then it competes, which costs the others a little
            os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
