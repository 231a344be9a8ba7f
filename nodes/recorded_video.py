"""Videos that camera nodes recorded beside a session: TAKE.CAMERA.mkv, and each frame's time in TAKE.CAMERA.frames.csv.

Both may be cut by a crash, the one before the other: what one has and the other lacks is passed over.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nodes.sessions.errors import SessionError
from nodes.sources.clip import Clip, Picture
from nodes.sources.source import Frame, SourceError

HEADER = ["index", "frame_id", "captured_ns"]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RecordedVideo:
    """One camera's. index: (N,) rising numbers of pictures in the file. frame_id, captured_ns: (N,) of each."""

    camera: str
    path: Path
    index: I64
    frame_id: I64
    captured_ns: I64

    def frames(self) -> Iterator[Frame]:
        """The pictures that are listed, one by one; they end where the file breaks off."""
        if not len(self.index):
            return
        try:
            clip = Clip(self.path)
        except SourceError as error:
            raise SessionError(f"the video of camera {self.camera}: {error}") from error
        try:
            row = 0
            while row < len(self.index) and (picture := _next(clip)) is not None:
                if picture.number == self.index[row]:
                    yield Frame(picture.to_rgb(), int(self.captured_ns[row]), int(self.frame_id[row]))
                    row += 1
        finally:
            clip.close()


def recorded_videos(
    take: Path, cameras: Sequence[str], told: Mapping[str, str] | None = None
) -> dict[str, RecordedVideo]:
    """Every camera's video, beside the session file `take`.

    told: camera → name of its video, as its health says; else TAKE.CAMERA.mkv. Raises SessionError that names the
    cameras whose video is missing, and where it was looked for.
    """
    paths = {camera: take.parent / ((told or {}).get(camera) or f"{take.stem}.{camera}.mkv") for camera in cameras}
    missing = [f"camera {camera}: {path}" for camera, path in paths.items() if not path.is_file()]
    if missing:
        raise SessionError(
            f"{take}: a recorded video is missing ({'; '.join(missing)}): put it there, or leave out --from-video"
        )
    return {camera: _listed(camera, path) for camera, path in paths.items()}


def _listed(camera: str, path: Path) -> RecordedVideo:
    listing = path.with_suffix(".frames.csv")
    rows: list[tuple[int, int, int]] = []
    try:
        with listing.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            if header != HEADER:
                raise SessionError(f"{listing} begins with {','.join(header)[:60]!r}, expected {','.join(HEADER)!r}")
            for line in lines:
                if len(line) != len(HEADER) or not all(value.lstrip("-").isdigit() for value in line):
                    break  # the last line, cut off
                rows.append((int(line[0]), int(line[1]), int(line[2])))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SessionError(
            f"{listing}, which says when camera {camera}'s frames were taken, cannot be read: {error}"
        ) from error
    values = np.array(rows, dtype=np.int64).reshape(-1, 3)
    if (np.diff(values[:, 0]) <= 0).any():
        raise SessionError(f"{listing}: the index must rise from line to line")
    return RecordedVideo(camera, path, values[:, 0], values[:, 1], values[:, 2])


def _next(clip: Clip) -> Picture | None:
    """The next picture; None at the end, and where the recorder was killed."""
    try:
        return clip.next()
    except SourceError:
        return None
