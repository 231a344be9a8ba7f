"""What a calibration is made of, as one reel of pictures per camera: videos, folders of images, our own recordings.

A reel can be sent to another process; it opens its files when its pictures are asked for.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from nodes.recorded_video import RecordedVideo, recorded_videos
from nodes.sessions.reader import SessionReader
from nodes.sources.clip import Clip, Picture
from nodes.wire.messages import CameraHealth

Grey = npt.NDArray[np.uint8]

VIDEOS = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".wmv"}
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
GIVE = "give a folder with one video per camera, a folder with one folder of images per camera, or a session .mcap"


@dataclass(frozen=True)
class Shown:
    """A picture: its number in the reel, when it was taken (None: nobody says), and what makes it (H, W) grey."""

    number: int
    captured_s: float | None
    grey: Callable[[], Grey]


@dataclass(frozen=True)
class VideoReel:
    """A video; times are its own, from the file's zero."""

    camera: str
    path: Path

    def measured(self) -> tuple[int, float]:
        """How many pictures there are, and how many a second. Raises SourceError."""
        clip = Clip(self.path)
        clip.close()
        return clip.frame_count, float(clip.rate)

    def shown(self) -> Iterator[Shown]:
        clip = Clip(self.path)
        try:
            while (picture := clip.next()) is not None:
                yield Shown(picture.number, (clip.lead_ns + picture.offset_ns) / 1e9, partial(_grey_of, picture))
        finally:
            clip.close()


@dataclass(frozen=True)
class ImagesReel:
    """Single images, numbered by their names where these tell, else in their order; without times."""

    camera: str
    paths: tuple[Path, ...]
    numbers: tuple[int, ...]

    def measured(self) -> tuple[int, float]:
        return len(self.paths), 0.0

    def shown(self) -> Iterator[Shown]:
        for number, path in zip(self.numbers, self.paths, strict=True):
            yield Shown(number, None, partial(_grey_at, path))


@dataclass(frozen=True)
class RecordedReel:
    """What a camera node recorded, with the very times of capture, in seconds after began_ns."""

    camera: str
    video: RecordedVideo
    began_ns: int

    def measured(self) -> tuple[int, float]:
        times = np.concatenate([part.captured_ns for part in self.video.parts])
        return len(times), 1e9 / float(np.median(np.diff(times))) if len(times) > 1 else 0.0

    def shown(self) -> Iterator[Shown]:
        for frame in self.video.frames():
            captured_s = (frame.captured_ns - self.began_ns) / 1e9
            yield Shown(frame.frame_id, captured_s, partial(_grey, frame.image_rgb))


Reel = VideoReel | ImagesReel | RecordedReel


def reels_of(source: Path, cameras: Sequence[str] | None = None) -> tuple[Reel, ...]:
    """A reel for each camera, only those asked for and in that order. Raises CalibrationError, SessionError."""
    found = _found(source)
    if cameras is None:
        return found
    by_name = {reel.camera: reel for reel in found}
    unknown = [name for name in cameras if name not in by_name]
    if unknown:
        raise CalibrationError(f"{source} has no camera {unknown[0]!r}: it has {', '.join(by_name)}")
    return tuple(by_name[name] for name in cameras)


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts cam_2 before cam_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name.lower()) if part]


def _found(source: Path) -> tuple[Reel, ...]:
    if not source.exists():
        raise CalibrationError(f"{source} does not exist; {GIVE}")
    if source.suffix.lower() == ".mcap":
        return _recorded(source)
    if source.is_file():
        if source.suffix.lower() in IMAGES:
            return (_images(source.stem, [source]),)
        return (VideoReel(source.stem, source),)
    entries = sorted((path for path in source.iterdir() if path.name[0] != "."), key=lambda path: natural(path.name))
    videos = [path for path in entries if path.suffix.lower() in VIDEOS]
    images = [path for path in entries if path.suffix.lower() in IMAGES]
    folders = [(path, _images_in(path)) for path in entries if path.is_dir()]
    if videos:
        return _videos(source, videos, [path for path in entries if path.suffix.lower() == ".mcap"])
    if images:
        return (_images(source.resolve().name, images),)
    if any(within for _, within in folders):
        return tuple(_images(path.name, within) for path, within in folders if within)
    there = ", ".join(path.name for path in entries[:6]) or "nothing"
    raise CalibrationError(f"{source} holds neither videos nor images but {there}; {GIVE}")


def _videos(source: Path, videos: list[Path], sessions: list[Path]) -> tuple[Reel, ...]:
    if sessions and all(path.with_suffix(".frames.csv").is_file() for path in videos):
        raise CalibrationError(
            f"{source} holds recorded sessions: name the one to be read, as {sessions[0]}: it tells the times"
        )
    stems = [path.stem for path in videos]
    double = next((path for path in videos if stems.count(path.stem) > 1), None)
    if double is not None:
        same = " and ".join(path.name for path in videos if path.stem == double.stem)
        raise CalibrationError(f"{source}: {same} would be one camera: leave one video per camera in the folder")
    return tuple(VideoReel(path.stem, path) for path in videos)


def _images_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir(), key=lambda p: natural(p.name)) if path.suffix.lower() in IMAGES]


def _images(camera: str, paths: list[Path]) -> ImagesReel:
    return ImagesReel(camera, tuple(paths), _numbers(paths) or tuple(range(len(paths))))


def _numbers(paths: list[Path]) -> tuple[int, ...] | None:
    """The last number in each name that is another in each, such as 3 in cam01_03_int.jpg."""
    groups = [re.findall(r"\d+", path.stem) for path in paths]
    for place in range(1, min(map(len, groups)) + 1):
        numbers = tuple(int(group[-place]) for group in groups)
        if len(set(numbers)) == len(numbers):
            return numbers
    return None


def _recorded(session_path: Path) -> tuple[Reel, ...]:
    with SessionReader(session_path) as session:
        cameras = session.cameras
        told: dict[str, list[str]] = {camera: [] for camera in cameras}
        for health in session.messages(CameraHealth):
            if health.source in told and health.video_file and health.video_file not in told[health.source]:
                told[health.source].append(health.video_file)
        videos = recorded_videos(session.path, cameras, told)
    empty = [camera for camera, video in videos.items() if not video.frame_count]
    if empty:
        raise CalibrationError(f"{session_path}: the video of camera {empty[0]!r} has no pictures; record it again")
    began_ns = min(int(part.captured_ns[0]) for video in videos.values() for part in video.parts if len(part.index))
    return tuple(RecordedReel(camera, video, began_ns) for camera, video in videos.items())


def _grey_of(picture: Picture) -> Grey:
    return _grey(picture.to_rgb())


def _grey(image_rgb: npt.NDArray[np.uint8]) -> Grey:
    return np.asarray(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _grey_at(path: Path) -> Grey:
    """Raises CalibrationError."""
    content = np.fromfile(path, np.uint8)  # and not cv2.imread, which knows no foreign letters in paths on Windows
    grey = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    if grey is None:
        raise CalibrationError(f"{path} is no image that can be read ({len(content)} bytes): remove or replace it")
    return np.asarray(grey, np.uint8)
