"""Reads Qualisys calibrations (.qca.txt, XML).

Lengths of the intrinsics are in 1/64 pixel, positions in millimetres; the transform's rows are the camera's axes in
the world with y up and z backwards, so two of them change sign for OpenCV's camera. The distortion is used as stored.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig

SUBPIXEL = 64.0
OPENCV_FROM_QUALISYS = np.diag([1.0, -1.0, -1.0])


def read_qualisys(path: Path) -> CameraRig:
    """The rig of the file. Raises CalibrationError when a camera or a value is missing."""
    try:
        cameras = ElementTree.fromstring(path.read_bytes()).findall("./cameras/camera")
    except ElementTree.ParseError as error:
        raise CalibrationError(f"this is not a Qualisys calibration: {error}") from error
    if not cameras:
        raise CalibrationError("no <camera> in it: export the calibration from Qualisys Track Manager again")
    return CameraRig(tuple(_camera_of(element) for element in cameras))


def _camera_of(element: ElementTree.Element) -> Camera:
    name = element.get("serial", "")
    transform = _numbers(element, "transform", name)
    intrinsic = _numbers(element, "intrinsic", name)
    video = _numbers(element, "fov_video", name)
    try:
        R_qualisys_world = np.array([[transform[f"r{row}{column}"] for column in "123"] for row in "123"])
        position_m = np.array([transform[axis] for axis in "xyz"]) / 1000.0
        R_cam_world = OPENCV_FROM_QUALISYS @ R_qualisys_world
        return Camera(
            name=name,
            size_wh=(int(video["right"] - video["left"]) + 1, int(video["bottom"] - video["top"]) + 1),
            K=np.array(
                [
                    [intrinsic["focalLengthU"] / SUBPIXEL, 0.0, intrinsic["centerPointU"] / SUBPIXEL - video["left"]],
                    [0.0, intrinsic["focalLengthV"] / SUBPIXEL, intrinsic["centerPointV"] / SUBPIXEL - video["top"]],
                    [0.0, 0.0, 1.0],
                ]
            ),
            # "tangental" is the file format's own spelling
            dist=np.array(
                [intrinsic[f"radialDistortion{i}"] for i in "12"]
                + [intrinsic[f"tangentalDistortion{i}"] for i in "12"]
                + [intrinsic["radialDistortion3"]]
            ),
            T_cam_world=rigid.from_rotation(R_cam_world, -R_cam_world @ position_m),
        )
    except KeyError as error:
        raise CalibrationError(f"camera {name!r} lacks {error} in the Qualisys file") from error
    except ValueError as error:
        raise CalibrationError(f"camera {name!r}: {error}") from error


def _numbers(element: ElementTree.Element, tag: str, name: str) -> dict[str, float]:
    """The numeric attributes of a child element; words such as a model's name are passed over."""
    child = element.find(tag)
    if child is None:
        raise CalibrationError(f"camera {name!r} lacks <{tag}> in the Qualisys file")
    numbers = {}
    for key, text in child.attrib.items():
        try:
            numbers[key] = float(text)
        except ValueError:
            continue
    return numbers
