"""`run_system.py calibrate world`: where the world of a calibration begins."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard, load_board
from calibration.errors import CalibrationError
from calibration.instants import together
from calibration.measure import triangulated
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from calibration.sightings import BoardSightings
from calibration.world_frame import from_board, from_cameras, from_points, lying_board, mounted, moved, towards
from nodes.calibrating.check_board import of_both

F64 = npt.NDArray[np.float64]
Progress = Callable[[str, float], None]

AROUND_S = 0.5  # of the moment that is told: a board lies for longer
POINTS = ("origin", "x", "floor")
POINTS_LIKE = '"origin=cam_0:512,600;cam_1:80,655 x=cam_0:… floor=cam_0:…"'


@dataclass(frozen=True)
class WorldTask:
    """One of board_on_floor (with board), points, level is given. thickness_m, at_s, at_corner: of the board.

    level: (camera, its height in metres). x_towards: a camera that the x axis is turned to.
    """

    calibration: Path
    board_on_floor: Path | None = None
    board: Path | None = None
    points: str | None = None
    level: tuple[str, float] | None = None
    at_s: float | None = None
    thickness_m: float = 0.0
    at_corner: bool = False
    x_towards: str | None = None


def in_world(task: WorldTask, progress: Progress) -> CameraRig:
    """The calibration in its new world. Raises CalibrationError, SessionError, SourceError."""
    rig = load_rig(task.calibration)
    if task.board_on_floor is not None:
        T_new_old = _by_board(rig, task, progress)
    elif task.points is not None:
        T_new_old = from_points(rig, *picked(rig, task.points))
    else:
        assert task.level is not None
        T_new_old = from_cameras(rig, *task.level)
    if task.x_towards is not None:
        T_new_old = towards(rig, T_new_old, task.x_towards)
    return moved(rig, T_new_old)


def told(rig: CameraRig) -> str:
    """Where the cameras stand now, for the user to hold against the room."""
    turned = dict(zip(("on its side", "upside down"), mounted(rig, np.array([0.0, 0.0, 1.0])), strict=True))
    lines = ["cameras in the new world, metres:"]
    width = max(len(name) for name in rig.names)
    for camera in rig.cameras:
        x, y, z = camera.T_world_cam[:3, 3]
        how = next((f", {said}" for said, names in turned.items() if camera.name in names), "")
        lines.append(f"  {camera.name:<{width}}  x {x:7.3f}  y {y:7.3f}  {z:6.3f} above the floor{how}")
    return "\n".join(lines)


def picked(rig: CameraRig, text: str) -> tuple[F64, F64, F64]:
    """Three world points (3,): each `name=x,y,z` in metres of the old world, or `name=camera:x,y;camera:x,y` in pixels.

    Raises CalibrationError with what is expected.
    """
    told = dict(part.split("=", 1) for part in text.split() if "=" in part)
    missing = [name for name in POINTS if name not in told]
    if missing or len(told) > len(POINTS):
        raise CalibrationError(f"--points is {text!r}: origin, x and floor are needed, as in {POINTS_LIKE}")
    origin, on_x, on_floor = (_point(rig, name, told[name]) for name in POINTS)
    return origin, on_x, on_floor


def _point(rig: CameraRig, name: str, text: str) -> F64:
    if ":" not in text:
        return _numbers(name, text, 3)
    px = np.full((len(rig.cameras), 2), np.nan)
    for part in filter(None, re.split("[; ]", text)):
        camera, _, place = part.rpartition(":")
        px[rig.names.index(rig[camera].name)] = _numbers(name, place, 2)
    if np.isfinite(px).all(1).sum() < 2:
        raise CalibrationError(f"the point {name} is picked in one camera: pick it in two or more, as in {POINTS_LIKE}")
    point = triangulated(rig, px)
    if not np.isfinite(point).all():
        raise CalibrationError(f"the point {name} is on the line between its cameras: pick it in another camera, too")
    return point


def _numbers(name: str, text: str, count: int) -> F64:
    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise CalibrationError(f"the point {name} has {text!r}, expected {count} numbers, as in {POINTS_LIKE}")
    return values


def _by_board(rig: CameraRig, task: WorldTask, progress: Progress) -> F64:
    from nodes.calibrating.board_input import read_sightings

    assert task.board_on_floor is not None
    if task.board is None:
        raise CalibrationError("say which board lies on the floor: --board FILE")
    board = load_board(task.board)
    per_camera = read_sightings(task.board_on_floor, board, progress)
    seen = together(per_camera)
    if task.at_s is not None:
        begin_s = min((float(each.captured_s[0]) for each in per_camera if len(each.captured_s)), default=np.nan)
        seen = at_moment(seen, begin_s, task.at_s)
    return by_lying_board(rig, board, seen, thickness_m=task.thickness_m, at_corner=task.at_corner)


def by_lying_board(
    rig: CameraRig, board: CharucoBoard, seen: BoardSightings, *, thickness_m: float = 0.0, at_corner: bool = False
) -> F64:
    """T_new_old (4, 4) by a board that lies on the floor in all of `seen`. Raises CalibrationError."""
    seeing, seen, _ = of_both(rig, seen, fewest=1)
    pose = lying_board(_with(rig, seeing), board, seen)
    return from_board(rig, board, pose, thickness_m=thickness_m, at_corner=at_corner)


def _with(rig: CameraRig, seeing: CameraRig) -> CameraRig:
    """The cameras as they recorded, and those that did not."""
    places = {camera.T_world_cam.tobytes() for camera in seeing.cameras}
    return CameraRig((*seeing.cameras, *(c for c in rig.cameras if c.T_world_cam.tobytes() not in places)))


def at_moment(sightings: BoardSightings, begin_s: float, at_s: float) -> BoardSightings:
    """Those around a second since the recording's begin. Raises CalibrationError when there are none."""
    since_s = sightings.captured_s - begin_s
    if not np.isfinite(since_s).any():
        raise CalibrationError("the recording has no times, so --at cannot be used: cut the videos to that moment")
    near = (np.abs(since_s - at_s) <= AROUND_S).any(0)
    if not near.any():
        raise CalibrationError(
            f"no board is seen at --at {at_s:g}: the recording shows one between {np.nanmin(since_s):.1f} and "
            f"{np.nanmax(since_s):.1f} s"
        )
    return sightings.at(near)
