"""Videos that camera nodes recorded (nodes/video_files.py): pictures as frames, each with its own time of capture.

Both files of a video may be cut by a crash, the one before the other: what one has and the other lacks is passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nodes.sessions.errors import SessionError
from nodes.sources.clip import Clip, Picture
from nodes.sources.source import Frame, SourceError
from nodes.video_files import HEADER, stem_of

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VideoPart:
    """A file of pictures. index: (N,) which of them are listed, rising. frame_id, captured_ns: (N,) of each."""

    path: Path
    index: I64
    frame_id: I64
    captured_ns: I64

    def frames(self) -> Iterator[Frame]:
        """The pictures that are listed, one by one; they end where the file breaks off. Raises SourceError."""
        if not len(self.index):
            return
        clip = Clip(self.path)
        try:
            row = 0
            while row < len(self.index) and (picture := _next(clip)) is not None:
                if picture.number == self.index[row]:
                    yield Frame(picture.to_rgb(), int(self.captured_ns[row]), int(self.frame_id[row]))
                    row += 1
        finally:
            clip.close()


@dataclass(frozen=True)
class RecordedVideo:
    """One camera's: usually one file, and another for each time that it came back with pictures of another size."""

    camera: str
    parts: tuple[VideoPart, ...]

    @property
    def frame_count(self) -> int:
        return sum(len(part.index) for part in self.parts)

    def frames(self) -> Iterator[Frame]:
        """All pictures, one by one. Raises SessionError when a file is no video."""
        for part in self.parts:
            try:
                yield from part.frames()
            except SourceError as error:
                raise SessionError(f"the video of camera {self.camera}: {error}") from error


def recorded_videos(
    take: Path, cameras: Sequence[str], told: Mapping[str, Sequence[str]] | None = None, folder: Path | None = None
) -> dict[str, RecordedVideo]:
    """Every camera's video, beside the session file `take` or else in `folder`.

    told: camera → names of its files, as its health says; else TAKE.CAMERA.mkv. Raises SessionError that names the
    cameras whose video is missing, and where it was looked for.
    """
    places = [take.parent] if folder is None else [folder, take.parent]
    paths = {
        camera: [_found(name, places) for name in (told or {}).get(camera) or [f"{stem_of(str(take))}.{camera}.mkv"]]
        for camera in cameras
    }
    missing = [f"camera {camera}: {path}" for camera, files in paths.items() for path in files if not path.is_file()]
    if missing:
        raise SessionError(
            f"{take}: a recorded video is missing ({'; '.join(missing)}): put it there, say where it lies with "
            "--video-folder, or use the recorded keypoints"
        )
    return {camera: RecordedVideo(camera, tuple(map(_listed, files))) for camera, files in paths.items()}


def _found(name: str, places: Sequence[Path]) -> Path:
    """Where the file is, or else where it should be."""
    return next((place / name for place in places if (place / name).is_file()), places[0] / name)


def _listed(path: Path) -> VideoPart:
    listing = path.with_suffix(".frames.csv")
    rows: list[list[int]] = []
    try:
        with listing.open(encoding="ascii", newline="") as file:
            header = file.readline().strip()
            if header != HEADER:
                raise SessionError(f"{listing} begins with {header[:60]!r}, expected {HEADER!r}")
            for line in file:
                values = line.strip().split(",")
                if not line.endswith("\n") or len(values) != 3 or not all(value.isdigit() for value in values):
                    break  # cut off there
                rows.append([int(value) for value in values])
    except (OSError, UnicodeDecodeError) as error:
        raise SessionError(
            f"{listing}, which says when the pictures of {path.name} were taken, cannot be read: {error}"
        ) from error
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    if (np.diff(columns[:, 0]) <= 0).any():
        raise SessionError(f"{listing}: the index must rise from line to line")
    return VideoPart(path, columns[:, 0], columns[:, 1], columns[:, 2])


def _next(clip: Clip) -> Picture | None:
    """The next picture; None at the end, and where the recorder was killed."""
    try:
        return clip.next()
    except SourceError:
        return None
