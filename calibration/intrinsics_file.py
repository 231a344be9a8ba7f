"""Lenses without places: the TOML of whole rigs without `rotation` and `translation`. Any calibration file will do."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from calibration.board_path import vector_of
from calibration.errors import CalibrationError
from calibration.formats.anipose import read_camera, table_of
from calibration.intrinsics import Intrinsics
from calibration.rig import Camera
from calibration.rig_file import load_rig

PLACE = ("rotation", "translation")
NOWHERE = {"rotation": [0.0, 0.0, 0.0], "translation": [0.0, 0.0, 0.0]}


def load_intrinsics(path: str | Path) -> dict[str, Intrinsics]:
    """Camera → its lens, of a file of lenses or of any calibration file. Raises CalibrationError."""
    path = Path(path)
    tables = _placeless(path)
    if tables is None:
        cameras: tuple[Camera, ...] = load_rig(path).cameras
    else:
        try:
            cameras = tuple(read_camera(str(t.get("name", key)), t | NOWHERE, 1.0) for key, t in tables.items())
        except CalibrationError as error:
            raise CalibrationError(f"{path}: {error}") from error
    return {camera.name: Intrinsics(camera.name, camera.size_wh, camera.lens, vector_of(camera)) for camera in cameras}


def save_intrinsics(lenses: dict[str, Intrinsics], path: str | Path) -> None:
    """Write lenses, in their order; atomic."""
    path = Path(path)
    document = {f"cam_{i:02d}": _table(each) for i, each in enumerate(lenses.values())}
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(tomli_w.dumps(document), encoding="utf-8")
    temporary.replace(path)


def _table(lens: Intrinsics) -> dict[str, Any]:
    camera = Camera(lens.camera, lens.size_wh, lens.K, lens.dist, np.eye(4), lens=lens.lens)
    return {key: value for key, value in table_of(camera).items() if key not in PLACE}


def _placeless(path: Path) -> dict[str, dict[str, Any]] | None:
    """The cameras of a file of ours that has no places; None of any other."""
    if path.suffix != ".toml" or not path.is_file():
        return None
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None  # load_rig tells
    tables = {key: table for key, table in document.items() if isinstance(table, dict) and "matrix" in table}
    return tables if tables and not any(key in table for table in tables.values() for key in PLACE) else None
