"""Our own files: the TOML that anipose, Pose2Sim, FreeMoCap and Caliscope share.

One table per camera: `name`, `size` [w, h], `matrix`, `distortions`, `rotation` as rotation vector, `translation`, both
world to camera, and `fisheye = true` for such a lens. Lengths are metres, unless [metadata] says `unit = "mm"` or "cm".
Tables keep the order of the file. anipose sorts them by their keys, so these have as many digits as the last one.
"""

from typing import Any

import tomli_w

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.formats.values import camera_of, needed
from calibration.rig import Camera, CameraRig

UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001}
MAKE_ONE = "make one with `python run_system.py calibrate rig --help`, or `python -m nodes.sources.virtual --help`"


def read(document: dict[str, Any]) -> CameraRig:
    """The rig of a TOML document. Raises CalibrationError."""
    tables = {key: table for key, table in document.items() if isinstance(table, dict) and "matrix" in table}
    if not tables:
        raise CalibrationError(f"no camera in it (a table with `matrix`); {MAKE_ONE}")
    metadata = document.get("metadata", {})
    unit = metadata.get("unit", "m") if isinstance(metadata, dict) else "m"
    if unit not in UNITS_M:
        raise CalibrationError(f"`unit` under [metadata] is {unit!r}; it is one of {', '.join(UNITS_M)}")
    return CameraRig(
        tuple(read_camera(str(table.get("name", key)), table, UNITS_M[unit]) for key, table in tables.items())
    )


def read_camera(name: str, table: dict[str, Any], unit_m: float) -> Camera:
    """The camera of a table. Raises CalibrationError that names it."""
    size, matrix, dist, rotation, translation = (
        needed(table, [key], name, "") for key in ("size", "matrix", "distortions", "rotation", "translation")
    )
    fisheye = table.get("fisheye", False)
    if not isinstance(fisheye, bool):
        raise CalibrationError(f"camera {name!r} has fisheye = {fisheye!r}; it is true or false")
    try:
        scaled = [unit_m * float(value) for value in _flat(translation)]
    except (ValueError, TypeError) as error:
        raise CalibrationError(f"camera {name!r} has a value of the wrong kind: {error}") from error
    return camera_of(name, size, matrix, dist, rotation, scaled, "fisheye" if fisheye else "pinhole")


def _flat(values: Any) -> list[Any]:
    """Of a column [[x], [y], [z]], too."""
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]


def write(rig: CameraRig) -> dict[str, str]:
    """The text of the file."""
    digits = len(str(len(rig.cameras) - 1))
    document = {f"cam_{index:0{digits}d}": table_of(camera) for index, camera in enumerate(rig.cameras)}
    return {"": tomli_w.dumps(document)}


def table_of(camera: Camera) -> dict[str, Any]:
    """A camera as one table."""
    table = {
        "name": camera.name,
        "size": [int(side) for side in camera.size_wh],
        "matrix": camera.K.tolist(),
        "distortions": camera.dist.tolist(),
        "rotation": rigid.rotvec_from_rotation(camera.T_cam_world[:3, :3]).tolist(),
        "translation": camera.T_cam_world[:3, 3].tolist(),
    }
    return table | {"fisheye": True} if camera.lens == "fisheye" else table
