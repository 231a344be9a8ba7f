"""Calibration files. Ours is the TOML that anipose, Pose2Sim, FreeMoCap and Caliscope share; Qualisys is read too.

TOML: one table per camera (`name`, `size` [w, h], `matrix`, `distortions`, `rotation` as rotation vector,
`translation`, both world to camera). Lengths are metres, unless [metadata] says `unit = "mm"` or "cm". Tables keep the
order of the file, never a sorted one: `cam_10` stays behind `cam_9`.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.qualisys import read_qualisys
from calibration.rig import Camera, CameraRig

UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001}
MAX_APART_M = 200.0  # no room is wider; in millimetres, every rig is
MAKE_ONE = "make one with `python -m nodes.sources.virtual --help` (virtual) or export yours as anipose TOML"


def load_rig(path: str | Path) -> CameraRig:
    """The rig of a calibration file, by the file's name. Raises CalibrationError with file, camera and remedy."""
    path = Path(path)
    if not path.is_file():
        raise CalibrationError(f"calibration file {path} does not exist: check the path, or {MAKE_ONE}")
    try:
        rig = _reader(path)(path)
        _refuse_wrong_unit(rig)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    return rig


def save_rig(rig: CameraRig, path: str | Path) -> None:
    """Write the rig as TOML; atomic, so that a crash leaves the old file or the new one."""
    path = Path(path)
    document = {f"cam_{index}": _table_of(camera) for index, camera in enumerate(rig.cameras)}
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(tomli_w.dumps(document), encoding="utf-8")
    temporary.replace(path)


def _reader(path: Path) -> Callable[[Path], CameraRig]:
    if path.suffix == ".toml":
        return _read_toml
    if path.name.endswith((".qca.txt", ".qca", ".xml")):
        return read_qualisys
    raise CalibrationError("this kind of calibration file is not known: give a .toml or a Qualisys .qca.txt")


def _table_of(camera: Camera) -> dict[str, Any]:
    return {
        "name": camera.name,
        "size": [int(side) for side in camera.size_wh],
        "matrix": camera.K.tolist(),
        "distortions": camera.dist.tolist(),
        "rotation": rigid.rotvec_from_rotation(camera.T_cam_world[:3, :3]).tolist(),
        "translation": camera.T_cam_world[:3, 3].tolist(),
    }


def _read_toml(path: Path) -> CameraRig:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CalibrationError(f"this is not TOML: {error}") from error
    tables = {key: table for key, table in document.items() if isinstance(table, dict) and "matrix" in table}
    if not tables:
        raise CalibrationError(f"no camera in it (a table with `matrix`); {MAKE_ONE}")
    unit = document.get("metadata", {}).get("unit", "m")
    if unit not in UNITS_M:
        raise CalibrationError(f"`unit` under [metadata] is {unit!r}; it is one of {', '.join(UNITS_M)}")
    return CameraRig(tuple(_camera_of(key, table, UNITS_M[unit]) for key, table in tables.items()))


def _refuse_wrong_unit(rig: CameraRig) -> None:
    """A rig in millimetres would pass every other check, and give poses a thousand times too large."""
    centres_m = np.stack([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    apart_m = float(np.ptp(centres_m, axis=0).max())
    if apart_m > MAX_APART_M:
        raise CalibrationError(
            f"its cameras stand {apart_m:.0f} m apart; if its translations are millimetres, say so in the file: "
            '[metadata] with the line `unit = "mm"`'
        )


def _camera_of(key: str, table: dict[str, Any], unit_m: float) -> Camera:
    name = str(table.get("name", key))
    missing = [field for field in ("size", "matrix", "distortions", "rotation", "translation") if field not in table]
    if missing:
        raise CalibrationError(f"camera {name!r} lacks `{missing[0]}`: a camera without it is not calibrated")
    if table.get("fisheye", False):
        raise CalibrationError(f"camera {name!r} has fisheye = true, which is not supported: calibrate it as pinhole")
    try:
        rotation = rigid.rotation_from_rotvec(table["rotation"])
        width, height = (int(side) for side in table["size"])
        return Camera(
            name=name,
            size_wh=(width, height),
            K=np.array(table["matrix"], dtype=np.float64),
            dist=np.array(table["distortions"], dtype=np.float64),
            T_cam_world=rigid.from_rotation(rotation, unit_m * np.array(table["translation"], dtype=np.float64)),
        )
    except (ValueError, TypeError) as error:
        raise CalibrationError(f"camera {name!r} has a value of the wrong kind: {error}") from error
