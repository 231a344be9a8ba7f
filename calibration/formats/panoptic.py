"""CMU Panoptic's calibration_….json: x_cam = R · x_world + t in centimetres, distortion k1 k2 p1 p2 k3.

The world is the file's own. In the recordings of the Panoptic Studio, y points down; here z points up: turn the rig
(docs/calibration-files.md) before anything asks for a floor.
"""

import json
import re
from typing import Any

import numpy as np

from calibration.errors import CalibrationError
from calibration.formats.values import camera_of, needed
from calibration.rig import Camera, CameraRig

PANEL_AND_NODE = re.compile(r"(\d+)_(\d+)")
HD_FROM_HEIGHT_PX = 720


def is_one(document: Any) -> bool:
    """Whether a JSON document is Panoptic's."""
    cameras = document.get("cameras") if isinstance(document, dict) else None
    return isinstance(cameras, list) and any(isinstance(each, dict) and "distCoef" in each for each in cameras)


def read(document: dict[str, Any]) -> CameraRig:
    """The rig of all its cameras. Raises CalibrationError that names the camera."""
    return CameraRig(tuple(_camera_of(table, index) for index, table in enumerate(document["cameras"])))


def _camera_of(table: Any, index: int) -> Camera:
    if not isinstance(table, dict):
        raise CalibrationError(f"camera {index} of the list is {table!r}, expected an object")
    name = str(table.get("name", f"camera {index}"))
    size, matrix, dist, rotation, t_cm = (
        needed(table, [key], name, "") for key in ("resolution", "K", "distCoef", "R", "t")
    )
    try:
        t_m = np.asarray(t_cm, dtype=np.float64) / 100.0
    except (ValueError, TypeError) as error:
        raise CalibrationError(f"camera {name!r} has a value of the wrong kind: {error}") from error
    return camera_of(name, size, matrix, dist, rotation, t_m)


def write(rig: CameraRig) -> dict[str, str]:
    """The text of the file. Names such as 00_07 are panel and node; others are numbered as nodes of panel 0."""
    told = [PANEL_AND_NODE.fullmatch(name) for name in rig.names]
    cameras = []
    for index, (camera, match) in enumerate(zip(rig.cameras, told, strict=True)):
        panel, node = (int(match[1]), int(match[2])) if match and all(told) else (0, index)
        cameras.append(
            {
                "name": camera.name,
                "type": "hd" if camera.size_wh[1] >= HD_FROM_HEIGHT_PX else "vga",
                "resolution": list(camera.size_wh),
                "panel": panel,
                "node": node,
                "K": camera.K.tolist(),
                "distCoef": camera.dist8[:5].tolist(),
                "R": camera.T_cam_world[:3, :3].tolist(),
                "t": [[value] for value in (100.0 * camera.T_cam_world[:3, 3]).tolist()],
            }
        )
    return {"": json.dumps({"calibDataSource": "livepose3d", "cameras": cameras}, indent=1, ensure_ascii=False) + "\n"}
