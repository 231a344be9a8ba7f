"""EasyMocap's pair of files in a folder, intri.yml and extri.yml (OpenCV's FileStorage).

`names` lists the cameras; K_x, dist_x, W_x, H_x are in the one, R_x (rotation vector), Rot_x (matrix) and T_x, world to
camera in metres, in the other. As EasyMocap does, R_x is taken before Rot_x.
"""

import re
from collections.abc import Mapping
from typing import Any

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.formats.filestorage import HEAD, matrix_of, matrix_text, number_of, quoted
from calibration.formats.values import camera_of, needed
from calibration.rig import Camera, CameraRig

INTRI, EXTRI = "intri.yml", "extri.yml"
USABLE = re.compile(r"[A-Za-z0-9_-]+")  # as part of a key; what follows a point, EasyMocap cuts off


def is_one(document: Mapping[str, Any]) -> bool:
    """Whether a map is one of the two files."""
    return isinstance(document.get("names"), list)


def read(intri: Mapping[str, Any], extri: Mapping[str, Any]) -> CameraRig:
    """The rig of the maps of both files, in the order of `names`. Raises CalibrationError that names the camera."""
    names = [str(name) for name in intri.get("names", [])]
    if not names:
        raise CalibrationError(f"no camera in it (`names` in {INTRI} is missing or empty)")
    return CameraRig(tuple(_camera_of(name, intri, extri) for name in names))


def _camera_of(name: str, intri: Mapping[str, Any], extri: Mapping[str, Any]) -> Camera:
    size_told = f" (the picture's size, in {INTRI}; write it in: `W_{name}: 1920`, `H_{name}: 1080`)"
    size = [needed(intri, [f"{side}_{name}"], name, size_told) for side in "WH"]
    K, dist = needed(intri, [f"K_{name}"], name, ""), needed(intri, [f"dist_{name}", f"D_{name}"], name, "")
    rotation = needed(extri, [f"R_{name}", f"Rot_{name}"], name, f" in {EXTRI}")
    translation = needed(extri, [f"T_{name}"], name, f" in {EXTRI}")
    try:
        return camera_of(
            name,
            [number_of(side) for side in size],
            matrix_of(K),
            matrix_of(dist).reshape(-1),
            matrix_of(rotation),
            matrix_of(translation),
        )
    except (ValueError, TypeError) as error:
        raise CalibrationError(f"camera {name!r} has a value of the wrong kind: {error}") from error


def write(rig: CameraRig) -> dict[str, str]:
    """The texts of both files. Raises CalibrationError for a name that cannot be part of a key."""
    for name in rig.names:
        if not USABLE.fullmatch(name):
            raise CalibrationError(
                f"camera {name!r} cannot be called so in EasyMocap's files (letters, digits, _ and - only): "
                f"rename it, with --names {name!r}=another"
            )
    names = "names:\n" + "".join(f"  - {quoted(name)}\n" for name in rig.names)
    intri = "".join(
        f"K_{camera.name}: {matrix_text(camera.K)}\ndist_{camera.name}: {matrix_text(camera.dist8[:5])}\n"
        f"H_{camera.name}: {int(camera.size_wh[1])}\nW_{camera.name}: {int(camera.size_wh[0])}\n"
        for camera in rig.cameras
    )
    extri = "".join(
        f"R_{camera.name}: {matrix_text(rigid.rotvec_from_rotation(camera.T_cam_world[:3, :3])[:, None])}\n"
        f"Rot_{camera.name}: {matrix_text(camera.T_cam_world[:3, :3])}\n"
        f"T_{camera.name}: {matrix_text(camera.T_cam_world[:3, 3:])}\n"
        for camera in rig.cameras
    )
    return {INTRI: HEAD + names + intri, EXTRI: HEAD + names + extri}
