"""Caliscope's timestamps.csv: sync_index, cam_id, frame_index, frame_time. Which frames belong together."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError

NAME = "timestamps.csv"
CAMERA_COLUMNS = ("cam_id", "port")  # of newer and of older recordings


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """Of one camera's N listed frames: the video's frame number, seconds, and the group they belong to; rising."""

    frame: npt.NDArray[np.int64]
    captured_s: npt.NDArray[np.float64]
    sync: npt.NDArray[np.int64]


def times_beside(videos: Sequence[tuple[str, Path, int]]) -> dict[str, FrameTimes] | None:
    """camera → times, from the file beside the videos, each (camera, path, pictures); None where there is none.

    Raises CalibrationError that names the camera when the file does not fit its video.
    """
    path = videos[0][1].parent / NAME
    if not path.is_file():
        return None
    rows = _rows(path)
    return {camera: _fitting(path, rows, camera, video, pictures) for camera, video, pictures in videos}


def _rows(path: Path) -> dict[int, list[tuple[int, float, int]]]:
    """cam_id → (frame_index, frame_time, sync_index), sorted."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = list(csv.DictReader(file))
        column = next((name for name in CAMERA_COLUMNS if table and name in table[0]), CAMERA_COLUMNS[0])
        rows: dict[int, list[tuple[int, float, int]]] = {}
        for row in table:
            of_camera = rows.setdefault(int(row[column]), [])
            frame = int(row.get("frame_index", len(of_camera)))  # older recordings list every frame, in order
            of_camera.append((frame, float(row["frame_time"]), int(row["sync_index"])))
    except KeyError as error:
        raise CalibrationError(
            f"{path} has no column {error}: it has sync_index, cam_id, frame_index, frame_time, or remove the file and "
            "the videos' own times are used"
        ) from error
    except (OSError, UnicodeDecodeError, ValueError, TypeError, csv.Error) as error:
        raise CalibrationError(
            f"{path} cannot be read: {error}; remove it, and the videos' own times are used"
        ) from error
    return {number: sorted(listed) for number, listed in rows.items()}


def _fitting(
    path: Path, rows: dict[int, list[tuple[int, float, int]]], camera: str, video: Path, pictures: int
) -> FrameTimes:
    number = re.search(r"(\d+)$", camera)
    listed = rows.get(int(number[1])) if number else None
    if listed is None:
        have = ", ".join(f"cam_{n}" for n in sorted(rows)) or "none"
        raise CalibrationError(
            f"{path} tells no times of camera {camera!r} ({video.name}), it has {have}: rename the video, or remove "
            "the file and the videos' own times are used"
        )
    frame, captured_s, sync = (np.array(column) for column in zip(*listed, strict=True))
    if len(frame) == pictures:  # their numbers may begin anywhere
        frame = np.arange(pictures)
    elif frame[0] < 0 or frame[-1] >= pictures:
        raise CalibrationError(
            f"camera {camera!r}: {path} lists {len(frame)} frames up to number {frame[-1]}, {video.name} has "
            f"{pictures} pictures: they are not of one recording; remove the file and the videos' own times are used"
        )
    if (np.diff(frame) <= 0).any() or (np.diff(captured_s) < 0).any() or not np.isfinite(captured_s).all():
        raise CalibrationError(f"camera {camera!r}: frames and times in {path} do not rise; remove the file")
    return FrameTimes(frame.astype(np.int64), captured_s.astype(np.float64), sync.astype(np.int64))
