"""`run_system.py calibrate check`: any calibration against any recording."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.board import CharucoBoard, load_board
from calibration.errors import CalibrationError
from calibration.instants import together
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from calibration.sightings import BoardSightings
from lifter.datasets.errors import DatasetError
from nodes.calibrating.check_board import check_board
from nodes.calibrating.check_people import check_people
from nodes.calibrating.corners_file import load_corners
from nodes.calibrating.people_tracks import rig_of_sequence
from nodes.calibrating.person_input import person_of
from nodes.calibrating.report import Report
from nodes.offline.sequence import names, opened
from nodes.sessions.errors import SessionError

Progress = Callable[[str, float], None]

CORNERS = ("cameras", "image_size", "keypoints2d", "frame_time", "mirrored")


@dataclass(frozen=True)
class CheckTask:
    """calibration: None takes the recording's own. One of videos, session, keypoints, corners is given.

    board: what is in the pictures; None: a person.
    """

    calibration: Path | None
    board: Path | None
    videos: Path | None = None
    session: Path | None = None
    keypoints: Path | None = None
    corners: Path | None = None

    @property
    def recording(self) -> Path:
        found = next((path for path in (self.videos, self.session, self.keypoints, self.corners) if path), None)
        assert found is not None
        return found


def _rig(path: Path) -> CameraRig:
    """Of a calibration file, or of a neutral .npz, which holds one."""
    return rig_of_sequence(path) if path.suffix.lower() == ".npz" else load_rig(path)


def checked(task: CheckTask, progress: Progress) -> Report:
    """The report. Raises CalibrationError, SessionError, SourceError when nothing can be judged, and why."""
    rig = None if task.calibration is None else _rig(task.calibration)
    if task.board is None:
        return _of_person(task, rig)
    if rig is None:
        raise CalibrationError("which calibration is to be checked? Give it with --calibration FILE")
    board = load_board(task.board)
    return check_board(rig, board, _sightings(task, board, progress), _what(task, "a board"))


def _of_person(task: CheckTask, rig: CameraRig | None) -> Report:
    recording = task.session or task.keypoints
    if recording is None:
        raise CalibrationError(
            f"what is in {task.recording}? Say which board with --board FILE; of a person, make a session first: "
            f"python run_system.py import {task.recording} --out walk.mcap"
        )
    person = person_of(recording)
    rig = rig or person.rig
    if rig is None:
        raise CalibrationError(f"{recording} has no calibration in it: say which is meant with --calibration FILE")
    return check_people(rig, person, _what(task, "a person"))


def _sightings(task: CheckTask, board: CharucoBoard, progress: Progress) -> BoardSightings:
    if task.corners is not None:
        return together(load_corners(task.corners))
    if task.keypoints is not None:
        return corners_of(task.keypoints, board)
    from nodes.calibrating.board_input import read_sightings

    return together(read_sightings(task.recording, board, progress))


def corners_of(path: Path, board: CharucoBoard) -> BoardSightings:
    """A neutral multi-view file whose joints are the board's corners. Raises SessionError, CalibrationError."""
    try:
        with opened(path, CORNERS) as arrays:
            cameras = names(arrays, "cameras")
            px = np.asarray(arrays["keypoints2d"][:, :, 0, :, :2], dtype=np.float64).swapaxes(0, 1)
            sizes_wh = tuple((int(width), int(height)) for width, height in arrays["image_size"])
            shape = px.shape[:2]
            captured_s = arrays["frame_time"].T if "frame_time" in arrays else np.full(shape, np.nan)
            mirrored = arrays["mirrored"].T if "mirrored" in arrays else np.zeros(shape, dtype=bool)
    except DatasetError as error:
        raise SessionError(str(error)) from error
    if px.shape[2] != board.corner_count:
        raise CalibrationError(
            f"{path} has {px.shape[2]} points a frame, and a board of {board.columns}x{board.rows} squares has "
            f"{board.corner_count} corners: leave --board out if it is of a person, or give the board it is of"
        )
    frame = np.broadcast_to(np.arange(shape[1]), shape)
    return BoardSightings(cameras, sizes_wh, np.asarray(captured_s, dtype=np.float64), frame, px, mirrored)


def _what(task: CheckTask, seen: str) -> str:
    calibration = "its own calibration" if task.calibration is None else task.calibration.name
    return f"{calibration} held against {seen} in {task.recording.name}."
