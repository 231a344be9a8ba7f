"""Calibrations in OpenCV's FileStorage (YAML, XML or JSON): one camera a file, or a file with several.

OpenCV has names for the intrinsics alone (its calibration sample: image_width, image_height, camera_matrix,
distortion_coefficients, fisheye_model); R and T, world to camera in metres, are called as in its stereo sample. We
write a list `cameras` of such maps with a `name`, or, into a folder, a file for each. Other usual keys are read, too.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibration.errors import CalibrationError
from calibration.formats.filestorage import HEAD, is_matrix, matrix_of, matrix_text, number_of, quoted
from calibration.formats.values import camera_of, needed
from calibration.lens import Lens
from calibration.rig import Camera, CameraRig

MATRIX = ("camera_matrix", "cameraMatrix", "CameraMatrix", "K", "intrinsic_matrix", "intrinsics")
DISTORTION = (
    *("distortion_coefficients", "dist_coeffs", "distCoeffs", "dist_coeff", "distortion", "distortions"),
    *("dist", "D", "distCoef"),
)
ROTATION = ("R", "rotation_matrix", "rotation", "Rot", "rvec", "Rvec", "rotation_vector")
TRANSLATION = ("T", "t", "translation_vector", "translation", "tvec", "Tvec")
WIDTH, HEIGHT = ("image_width", "width", "W"), ("image_height", "height", "H")
SIZE = ("image_size", "imageSize", "size", "resolution")
NAME = ("name", "camera_name", "camera")
MODEL = ("camera_model", "distortion_model", "model")
LENS_OF_MODEL: dict[str, Lens] = {
    **dict.fromkeys(("pinhole", "plumb_bob", "rational_polynomial", "radtan", "opencv"), "pinhole"),
    **dict.fromkeys(("fisheye", "equidistant", "kannala_brandt", "opencv_fisheye"), "fisheye"),
}
OTHER_MODELS = ("xi", "Xi", "alpha_model", "poly")  # omnidirectional cameras' own parameters
UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001}
FILE_NAME = re.compile(r"[^/\\:*?\"<>|\x00-\x1f]+")
SUFFIXES = (".yml", ".yaml", ".xml", ".json")


def is_one(document: Mapping[str, Any]) -> bool:
    """Whether a map is one camera, or holds some."""
    return bool(_tables(document, ""))


def read(document: Mapping[str, Any], stem: str) -> CameraRig:
    """The rig of a file; a camera that has no name is called as its file is. Raises CalibrationError."""
    return CameraRig(tuple(_camera_of(name, table) for name, table in _tables(document, stem)))


def read_folder(documents: Mapping[str, Mapping[str, Any]]) -> CameraRig:
    """The rig of a folder's files, stem → map: by camera_index where all have one, else 2 before 10 by their names."""
    tables = [found for stem, document in documents.items() for found in _tables(document, stem)]
    indices = [_index_of(name, table) for name, table in tables]
    if all(index is not None for index in indices):
        tables = [tables[place] for place in np.argsort(np.array(indices, dtype=np.float64), kind="stable")]
    else:
        tables.sort(key=lambda found: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", found[0])])
    return CameraRig(tuple(_camera_of(name, table) for name, table in tables))


def _tables(document: Mapping[str, Any], stem: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and map of each camera in a document."""
    shared = {"unit": document["unit"]} if "unit" in document else {}
    if _has_matrix(document):
        return [(_name_of(document, stem), document)]
    inside = document.get("cameras", document)
    pairs = inside.items() if isinstance(inside, dict) else enumerate(inside if isinstance(inside, list) else [])
    return [
        (_name_of(table, f"cam_{key}" if isinstance(key, int) else str(key)), {**shared, **table})
        for key, table in pairs
        if isinstance(table, dict) and _has_matrix(table)
    ]


def _index_of(name: str, table: Mapping[str, Any]) -> float | None:
    try:
        return number_of(table["camera_index"]) if "camera_index" in table else None
    except (ValueError, TypeError) as error:
        raise CalibrationError(f"camera {name!r} has a `camera_index` of the wrong kind: {error}") from error


def _has_matrix(table: Mapping[str, Any]) -> bool:
    return any(is_matrix(table.get(key)) for key in MATRIX)


def _name_of(table: Mapping[str, Any], default: str) -> str:
    told = next((table[key] for key in NAME if isinstance(table.get(key), str)), "")
    return told or default


def _camera_of(name: str, table: Mapping[str, Any]) -> Camera:
    unit = str(table.get("unit", "m"))
    if unit not in UNITS_M:
        raise CalibrationError(f"`unit` is {unit!r}; it is one of {', '.join(UNITS_M)}")
    posed = " (its pose, world to camera: OpenCV's calibration of one camera has none)"
    rotation = needed(table, ROTATION, name, posed)
    translation = needed(table, TRANSLATION, name, posed)
    matrix, dist = needed(table, MATRIX, name, ""), needed(table, DISTORTION, name, "")
    try:
        return camera_of(
            name,
            _size_of(name, table),
            matrix_of(matrix),
            matrix_of(dist).reshape(-1),
            matrix_of(rotation),
            UNITS_M[unit] * matrix_of(translation),
            _lens_of(name, table),
        )
    except (ValueError, TypeError) as error:
        raise CalibrationError(f"camera {name!r} has a value of the wrong kind: {error}") from error


def _size_of(name: str, table: Mapping[str, Any]) -> list[float]:
    for key in SIZE:
        if key in table:
            return [float(side) for side in matrix_of(table[key]).reshape(-1)]
    return [number_of(needed(table, side, name, "")) for side in (WIDTH, HEIGHT)]


def _lens_of(name: str, table: Mapping[str, Any]) -> Lens:
    """By what the file says of the model; the pinhole where it says nothing, as OpenCV does."""
    other = next((key for key in OTHER_MODELS if key in table), None)
    told = str(next((table[key] for key in MODEL if key in table), "pinhole")).lower()
    if other is not None or told not in LENS_OF_MODEL:
        raise CalibrationError(
            f"camera {name!r} has the model {other or told!r}, which is not supported: calibrate it as pinhole "
            "(up to 8 coefficients) or as fisheye (4)"
        )
    flag = table.get("fisheye_model", table.get("fisheye"))
    if flag is None:
        return LENS_OF_MODEL[told]
    return "fisheye" if str(flag).lower() in ("1", "true") else "pinhole"


def write(rig: CameraRig) -> dict[str, str]:
    """The text of a file with all cameras."""
    items = [f"   -\n{_fields(camera, '      ')}" for camera in rig.cameras]
    return {"": HEAD + "cameras:\n" + "".join(items)}


def write_folder(rig: CameraRig) -> dict[str, str]:
    """The texts of a file for each camera. Raises CalibrationError for a name that is no file's."""
    for name in rig.names:
        if not FILE_NAME.fullmatch(name) or name.startswith("."):
            raise CalibrationError(
                f"camera {name!r} cannot have a file of its name: rename it, or write one .yml for all"
            )
    return {
        f"{camera.name}.yml": f"{HEAD}camera_index: {index}\n{_fields(camera, '')}"
        for index, camera in enumerate(rig.cameras)
    }


def _fields(camera: Camera, indent: str) -> str:
    lines = {
        "name": quoted(camera.name),
        "image_width": str(int(camera.size_wh[0])),
        "image_height": str(int(camera.size_wh[1])),
        "fisheye_model": str(int(camera.lens == "fisheye")),
        "camera_matrix": matrix_text(camera.K, indent),
        "distortion_coefficients": matrix_text(camera.dist if len(camera.dist) else np.zeros(4), indent),
        "R": matrix_text(camera.T_cam_world[:3, :3], indent),
        "T": matrix_text(camera.T_cam_world[:3, 3:], indent),
    }
    return "".join(f"{indent}{key}: {value}\n" for key, value in lines.items())


def folder_files(folder: Path) -> list[Path]:
    """The files in a folder that may be cameras."""
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file()]
