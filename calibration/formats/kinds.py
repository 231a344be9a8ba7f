"""The kinds of calibration files: what each holds, how its name ends, how it is read and written.

A file is told by what is in it; a name decides only what is written.
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from calibration.errors import CalibrationError
from calibration.formats import anipose, caliscope, easymocap, filestorage, opencv, panoptic
from calibration.qualisys import read_qualisys, write_qualisys
from calibration.rig import Camera, CameraRig

MAX_APART_M = 200.0  # no room is wider; in millimetres, every rig is
MAX_BYTES = 64 * 1024 * 1024  # the 521 cameras of the Panoptic Studio are half a megabyte
ALL, FIVE = 8, 5
XML_FAULTS = (ElementTree.ParseError, LookupError, ValueError)  # the latter two of encodings


@dataclass(frozen=True)
class Kind:
    """A kind of file. coefficients: how many of a pinhole camera's it holds.

    endings: of names. write: the text of each file by its name, "" for a file that is all.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    coefficients: int
    fisheye: bool
    skew: bool
    write: Callable[[CameraRig], dict[str, str]]


TOML = Kind("toml", "TOML of anipose, Pose2Sim, FreeMoCap", (".toml",), ALL, True, True, anipose.write)
CALISCOPE = Kind("caliscope", "Caliscope", ("camera_array.toml",), ALL, True, True, caliscope.write)
QUALISYS = Kind("qualisys", "Qualisys", (".qca.txt", ".qca", ".xml"), FIVE, False, False, write_qualisys)
OPENCV = Kind("opencv", "OpenCV FileStorage", (".yml", ".yaml"), ALL, True, True, opencv.write)
OPENCV_FOLDER = Kind("opencv-folder", "OpenCV, a file per camera", (), ALL, True, True, opencv.write_folder)
PANOPTIC = Kind("panoptic", "CMU Panoptic", (".json",), FIVE, False, True, panoptic.write)
EASYMOCAP = Kind("easymocap", "EasyMocap", (easymocap.INTRI, easymocap.EXTRI), FIVE, False, True, easymocap.write)
# A name is of the first kind that has its ending.
KINDS = {kind.name: kind for kind in (CALISCOPE, TOML, QUALISYS, EASYMOCAP, OPENCV, OPENCV_FOLDER, PANOPTIC)}
KNOWN = (
    "known are TOML of anipose, Pose2Sim, FreeMoCap and Caliscope, Caliscope's camera_array.toml, Qualisys .qca.txt, "
    "CMU Panoptic JSON, OpenCV YAML/XML (a file, or a folder of them) and a folder of EasyMocap (intri.yml, extri.yml)"
)


@dataclass(frozen=True)
class Read:
    """A rig, the kind of file that it came from, and the cameras in it that were left out as they have no pose."""

    rig: CameraRig
    kind: Kind
    without_pose: tuple[str, ...] = ()


def kind_of_name(path: Path) -> Kind | None:
    """The kind that is written under a name; of a name without any ending, EasyMocap's folder. None: no kind's."""
    name = path.name.lower()
    found = next((kind for kind in KINDS.values() if name.endswith(kind.endings)), None) if name else None
    return EASYMOCAP if found is None and not path.suffix else found


def refuse_loss(rig: CameraRig, kind: Kind) -> None:
    """Raise CalibrationError that names the camera, and a kind that holds it, where this kind would lose something."""
    for camera in rig.cameras:
        lost = _lost(camera, kind)
        if lost:
            fitting = [other.name for other in KINDS.values() if not any(_lost(each, other) for each in rig.cameras)]
            raise CalibrationError(
                f"camera {camera.name!r} has {lost}, which files of {kind.title} cannot hold: write one of "
                f"{', '.join(sorted(fitting))} (--to)"
            )


def _lost(camera: Camera, kind: Kind) -> str:
    if camera.lens == "fisheye" and not kind.fisheye:
        return "a fisheye lens"
    if camera.lens == "pinhole" and camera.dist8[kind.coefficients :].any():
        return f"{len(camera.dist)} distortion coefficients (k4 k5 k6 beyond {kind.coefficients})"
    if camera.K[0, 1] and not kind.skew:
        return f"the skew {camera.K[0, 1]:g}"
    return ""


def read(path: Path) -> Read:
    """The rig of a file, or of a folder of EasyMocap or OpenCV. Raises CalibrationError, without the path."""
    if path.is_dir():
        found = _read_folder(path)
    elif path.name in (easymocap.INTRI, easymocap.EXTRI):
        found = _read_easymocap(path.parent)
    else:
        found = _read_file(path)
    _refuse_wrong_unit(found.rig, found.kind)
    return found


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise CalibrationError(f"it has {path.stat().st_size} bytes: no calibration is as long; {KNOWN}")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if path.suffix == ".toml":
            raise CalibrationError(f"this is not TOML: {error}") from error
        raise CalibrationError(f"this kind of calibration file is not known (no text in UTF-8): {KNOWN}") from error


def _read_file(path: Path) -> Read:
    text = _text(path)
    start = text.lstrip()
    if path.suffix == ".toml":
        return _read_toml(text)
    if not start:
        raise CalibrationError("the file is empty")
    if start.startswith("<"):
        return _read_xml(path, text)
    if start.startswith("{"):
        return _read_json(path, start)
    if start.startswith("%YAML") or "!!opencv-matrix" in text or path.suffix.lower() in (".yml", ".yaml"):
        return _read_map(filestorage.parse_yaml(text), path)
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CalibrationError(f"this kind of calibration file is not known: {KNOWN}") from error
    return _read_toml(text)


def _read_toml(text: str) -> Read:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CalibrationError(f"this is not TOML: {error}") from error
    if caliscope.is_one(document):
        rig, without_pose = caliscope.read(document)
        return Read(rig, CALISCOPE, without_pose)
    return Read(anipose.read(document), TOML)


def _read_xml(path: Path, text: str) -> Read:
    if "<opencv_storage" in text:
        try:
            document = filestorage.parse_xml(ElementTree.fromstring(text))
        except XML_FAULTS as error:
            raise CalibrationError(f"this is not XML of OpenCV: {error}") from error
        return _read_map(document, path)
    return Read(read_qualisys(path), QUALISYS)


def _read_json(path: Path, text: str) -> Read:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CalibrationError(f"this is not JSON: {error}") from error
    if panoptic.is_one(document):
        return Read(panoptic.read(document), PANOPTIC)
    return _read_map(document, path)


def _read_map(document: dict[str, Any], path: Path) -> Read:
    """Of OpenCV's FileStorage, whichever way it is written."""
    if easymocap.is_one(document):
        intri, extri = easymocap.INTRI, easymocap.EXTRI
        if any(key.startswith("K_") for key in document) and any(key.startswith("T_") for key in document):
            return Read(easymocap.read(document, document), EASYMOCAP)
        raise CalibrationError(f"this is one of EasyMocap's two files: put both into a folder as {intri} and {extri}")
    if not opencv.is_one(document):
        raise CalibrationError(
            f"no camera in it (`camera_matrix`, `distortion_coefficients`, `R`, `T`) that is understood; {KNOWN}"
        )
    return Read(opencv.read(document, path.stem), OPENCV)


def _read_folder(folder: Path) -> Read:
    if (folder / easymocap.INTRI).is_file() or (folder / easymocap.EXTRI).is_file():
        return _read_easymocap(folder)
    documents = {}
    for path in opencv.folder_files(folder):
        try:
            document = _map_of(path)
        except CalibrationError as error:
            raise CalibrationError(f"{path.name}: {error}") from error
        if opencv.is_one(document):
            documents[path.stem] = document
    if not documents:
        raise CalibrationError(f"the folder has neither EasyMocap's two files nor one of OpenCV; {KNOWN}")
    return Read(opencv.read_folder(documents), OPENCV_FOLDER)


def _map_of(path: Path) -> dict[str, Any]:
    """The map that a file of a folder is, whichever way it is written; {} of JSON that is none."""
    text = _text(path)
    try:
        if path.suffix.lower() == ".json":
            document = json.loads(text)
            return document if isinstance(document, dict) else {}
        if path.suffix.lower() == ".xml":
            return filestorage.parse_xml(ElementTree.fromstring(text))
    except (RecursionError, *XML_FAULTS) as error:
        raise CalibrationError(f"it is damaged: {error}") from error
    return filestorage.parse_yaml(text)


def _read_easymocap(folder: Path) -> Read:
    documents = []
    for name in (easymocap.INTRI, easymocap.EXTRI):
        if not (folder / name).is_file():
            raise CalibrationError(f"{name} is missing: EasyMocap's calibration is a folder with both files")
        try:
            documents.append(filestorage.parse_yaml(_text(folder / name)))
        except CalibrationError as error:
            raise CalibrationError(f"{name}: {error}") from error
    return Read(easymocap.read(*documents), EASYMOCAP)


def _refuse_wrong_unit(rig: CameraRig, kind: Kind) -> None:
    """A rig in millimetres would pass every other check, and give poses a thousand times too large."""
    centres_m = np.stack([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    apart_m = float(np.ptp(centres_m, axis=0).max())
    if apart_m <= MAX_APART_M:
        return
    remedy = {
        TOML.name: '[metadata] with the line `unit = "mm"`',
        OPENCV.name: "a line `unit: mm` at the top",
        OPENCV_FOLDER.name: "a line `unit: mm` at the top of each",
    }.get(kind.name)
    told = (
        f"if its translations are millimetres, say so in the file: {remedy}"
        if remedy
        else f"files of {kind.title} have another unit; correct its translations"
    )
    raise CalibrationError(f"its cameras stand {apart_m:.0f} m apart; {told}")
