"""Pictures of the videos beside a recording, small ones, while it is played: in a thread that never holds it up."""

import sys
import threading
import time
from itertools import islice

import numpy as np

from configs.schema import Preview
from nodes.preview import PreviewMaker
from nodes.recorded_video import RecordedVideo, recorded_videos
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.sources.source import Frame
from nodes.stills.reel import Reel
from nodes.video_files import stem_of
from nodes.wire.bus import Publisher
from nodes.wire.messages import CameraHealth, Keypoints2D

EVERY_S = 0.15
FAR_NS = 1_500_000_000  # farther on than this the video is sought in, not played through
SAMPLED = 100  # keypoints, to learn how long after its capture a frame was logged


class PlayedPictures:
    """Sends the pictures of a moment as `Preview`, for as many cameras as have a video. `show` never waits."""

    def __init__(self, session: SessionReader, hub_in: str) -> None:
        self._path = session.path
        self._hub_in = hub_in
        self._wanted: tuple[int, int] | None = None
        self._news = threading.Event()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def show(self, at_ns: int, shift_ns: int) -> None:
        """A moment in the recording's log time, and by how much its stamps are moved."""
        if (at_ns, shift_ns) != self._wanted:
            self._wanted = (at_ns, shift_ns)
            self._news.set()

    def close(self) -> None:
        self._ends = True
        self._news.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            with SessionReader(self._path) as session:  # a file of its own, since it is read from two threads
                videos, way_ns = _videos(session), _way_ns(session)
                shown = [_Shown(video, PreviewMaker(name, _settings(session))) for name, video in videos.items()]
        except SessionError as error:
            print(f"replay: without the pictures of the cameras: {error}", file=sys.stderr, flush=True)
            return
        if not shown:
            return
        with Publisher(self._hub_in) as publisher:
            while self._news.wait() and not self._ends:
                self._news.clear()
                began_s = time.monotonic()
                at_ns, shift_ns = self._wanted or (0, 0)
                for each in shown:
                    each.send(publisher, at_ns - way_ns, shift_ns)
                time.sleep(max(EVERY_S, time.monotonic() - began_s))  # half of a processor at most
            for each in shown:
                each.close()


class _Shown:
    """One camera's pictures at moments that mostly rise."""

    def __init__(self, video: RecordedVideo, maker: PreviewMaker) -> None:
        self._video = video
        self._maker = maker
        self._reel: Reel | None = None
        self._at_ns = 0
        self._last: object = None

    def send(self, publisher: Publisher, at_ns: int, shift_ns: int) -> None:
        """The picture nearest to a captured_ns, unless it was the last one already."""
        if self._reel is None or not 0 <= at_ns - self._at_ns < FAR_NS:
            self.close()
            self._reel = Reel(self._video, at_ns)
        self._at_ns = at_ns
        picture = self._reel.at(at_ns)
        if picture is None or picture is self._last:
            return
        self._last = picture
        preview = self._maker.make(Frame(picture, at_ns + shift_ns, 0), time.monotonic_ns())
        if preview is not None:
            publisher.send(preview)

    def close(self) -> None:
        if self._reel is not None:
            self._reel.close()


def _videos(session: SessionReader) -> dict[str, RecordedVideo]:
    """Of the cameras that have one beside the recording. Raises SessionError for one that cannot be read."""
    if not any(session.path.parent.glob(f"{stem_of(str(session.path))}*.mkv")):
        return {}
    told: dict[str, list[str]] = {camera: [] for camera in session.cameras}
    for health in session.messages(CameraHealth):
        if health.source in told and health.video_file and health.video_file not in told[health.source]:
            told[health.source].append(health.video_file)
    there = {
        camera: names
        for camera, names in told.items()
        if names and all((session.path.parent / name).is_file() for name in names)
    }
    return recorded_videos(session.path, tuple(there), there)


def _way_ns(session: SessionReader) -> int:
    """How long after its capture a frame was usually logged."""
    sampled = islice(session.logged(Keypoints2D), SAMPLED)
    return int(np.median([each.log_ns - each.message().captured_ns for each in sampled] or [0]))


def _settings(session: SessionReader) -> Preview:
    return session.config().preview.model_copy(update={"enabled": True, "rate_hz": 1000.0})
