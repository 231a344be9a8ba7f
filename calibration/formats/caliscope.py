"""Caliscope's own `camera_array.toml`: tables [cameras.N], as `caliscope.persistence` reads and writes them.

Keys N are whole numbers. Rotation is a matrix (older versions) or a rotation vector (newer ones read both), world to
camera, lengths are metres, `fisheye` is OpenCV's fisheye model. Cameras are called cam_N; where a rig has other names
they are kept in `name`, which Caliscope passes over.
"""

import re
from typing import Any

import tomli_w

from calibration.errors import CalibrationError
from calibration.formats.anipose import read_camera, table_of
from calibration.rig import CameraRig

NEEDED = ("size", "matrix", "distortions", "rotation", "translation")
ABSENT = (None, "null")  # older versions wrote nothing at all as this word
NUMBERED = re.compile(r"cam_(0|[1-9]\d*)")


def is_one(document: dict[str, Any]) -> bool:
    """Whether a TOML document is Caliscope's."""
    tables = document.get("cameras")
    return isinstance(tables, dict) and any(isinstance(each, dict) and "matrix" in each for each in tables.values())


def read(document: dict[str, Any]) -> tuple[CameraRig, tuple[str, ...]]:
    """The rig of the cameras that have a pose, and the names of those that have none. Raises CalibrationError."""
    tables = {f"cam_{key}": table for key, table in document["cameras"].items() if isinstance(table, dict)}
    posed = {key: table for key, table in tables.items() if all(table.get(field) not in ABSENT for field in NEEDED)}
    if not posed:
        raise CalibrationError("none of its cameras has a place in the room: finish the extrinsic calibration")
    rig = CameraRig(tuple(read_camera(str(table.get("name", key)), table, 1.0) for key, table in posed.items()))
    return rig, tuple(str(table.get("name", key)) for key, table in tables.items() if key not in posed)


def write(rig: CameraRig) -> dict[str, str]:
    """The text of the file."""
    numbered = [NUMBERED.fullmatch(name) for name in rig.names]
    tables = {}
    for index, (camera, match) in enumerate(zip(rig.cameras, numbered, strict=True)):
        number = int(match[1]) if match and all(numbered) else index
        table = {"cam_id": number, "rotation_count": 0, "fisheye": False, **table_of(camera)}
        if match and all(numbered):
            del table["name"]
        tables[str(number)] = table | {"rotation": camera.T_cam_world[:3, :3].tolist()}
    return {"": tomli_w.dumps({"cameras": tables})}
