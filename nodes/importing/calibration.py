"""The calibration of what is imported: the file that is given, or the one that lies where other programs put it."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from calibration.rig_file import load_rig
from nodes.importing.camera_names import usable
from nodes.sessions.errors import SessionError

FOLDER = re.compile(r"(S\d+_)?calib(ration)?", re.IGNORECASE)  # Pose2Sim's; of a session of several, S00_Calibration
NEEDED = ("size", "matrix", "distortions", "rotation", "translation")


def read_rig(path: Path) -> CameraRig:
    """The rig of a calibration file, also of Caliscope's camera_array.toml. Raises CalibrationError."""
    tables = _caliscope(path)
    if tables is None:
        return load_rig(path)
    posed = {key: table for key, table in tables.items() if all(field in table for field in NEEDED)}
    if not posed:
        raise CalibrationError(f"{path}: none of its cameras has a place in the room: finish the extrinsic calibration")
    try:
        return CameraRig(tuple(_camera(f"cam_{key}", table) for key, table in posed.items()))
    except (CalibrationError, ValueError, TypeError) as error:
        raise CalibrationError(f"{path}: {error}") from error


def with_names(rig: CameraRig, names: dict[str, str]) -> CameraRig:
    """The same cameras under other names: old → new, in the order of `names`."""
    return CameraRig(tuple(replace(rig[old], name=new) for old, new in names.items()))


def in_session(rig: CameraRig) -> tuple[CameraRig, tuple[str, ...]]:
    """The rig with names that a configuration allows, and a note of each that was changed."""
    names = usable(rig.names)
    changed = tuple(f"camera {old!r} is called {new} in the session" for old, new in names.items() if old != new)
    return with_names(rig, names), changed


def find_calibration(folder: Path, above: int = 2) -> Path:
    """The one calibration in this folder's `calibration`, or in that of a folder above it, as Pose2Sim lays them out.

    Raises SessionError when there is none, or more than one.
    """
    places = [folder, *folder.resolve().parents[:above]]
    for place in places:
        inside = [entry for entry in sorted(place.iterdir()) if entry.is_dir() and FOLDER.fullmatch(entry.name)]
        found = [path for part in inside for path in sorted(part.iterdir()) if _is_calibration(path)]
        if len(found) > 1:
            raise SessionError(
                f"{folder}: there are {len(found)} calibrations ({', '.join(map(str, found))}): say which is meant "
                f"with --calibration {found[0]}"
            )
        if found:
            return found[0]
    raise SessionError(
        f"{folder}: no calibration was found in a folder `calibration` there or above: give it with --calibration FILE"
    )


def _is_calibration(path: Path) -> bool:
    return path.name.lower().endswith((".toml", ".qca.txt"))


def _caliscope(path: Path) -> dict[str, Any] | None:
    """The tables of a camera_array.toml; None of any other file, whose faults `load_rig` tells."""
    if path.suffix != ".toml" or not path.is_file():
        return None
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("cameras")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None
    is_theirs = isinstance(tables, dict) and any(
        isinstance(table, dict) and "matrix" in table for table in tables.values()
    )
    return tables if is_theirs else None


def _camera(name: str, table: dict[str, Any]) -> Camera:
    """Rotation (matrix, or rotation vector) and translation are world to camera, in metres."""
    if table.get("fisheye", False):
        raise CalibrationError(f"camera {name!r} has fisheye = true, which is not supported: calibrate it as pinhole")
    rotation = np.array(table["rotation"], dtype=np.float64)
    R = rotation if rotation.shape == (3, 3) else rigid.rotation_from_rotvec(rotation)
    width, height = (int(side) for side in table["size"])
    return Camera(
        name=name,
        size_wh=(width, height),
        K=np.array(table["matrix"], dtype=np.float64),
        dist=np.array(table["distortions"], dtype=np.float64),
        T_cam_world=rigid.from_rotation(R, np.array(table["translation"], dtype=np.float64)),
    )
