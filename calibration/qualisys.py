"""Qualisys calibrations (.qca.txt, XML).

Lengths of the intrinsics are in 1/64 pixel, positions in millimetres; the transform's rows are the camera's axes in
the world with y up and z backwards, so two of them change sign for OpenCV's camera. The distortion is used as stored.
A skew is refused: its unit is nowhere told.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.formats.values import rotation_of
from calibration.rig import Camera, CameraRig

SUBPIXEL = 64.0
OPENCV_FROM_QUALISYS = np.diag([1.0, -1.0, -1.0])


def read_qualisys(path: Path) -> CameraRig:
    """The rig of the file. Raises CalibrationError when a camera or a value is missing."""
    try:
        cameras = ElementTree.fromstring(path.read_bytes()).findall("./cameras/camera")
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # also of an encoding that there is not
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
        R_cam_world = OPENCV_FROM_QUALISYS @ rotation_of(R_qualisys_world)
        if intrinsic.get("skew", 0.0):
            raise CalibrationError(f"camera {name!r} has the skew {intrinsic['skew']:g}, which is not supported")
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
    except (ValueError, OverflowError) as error:
        raise CalibrationError(f"camera {name!r}: {error}") from error


def write_qualisys(rig: CameraRig) -> dict[str, str]:
    """The text of the file: the pictures whole, the cameras' names as their serial numbers."""
    root = ElementTree.Element("calibration", {"created": "", "source": "livepose3d", "type": "regular"})
    cameras = ElementTree.SubElement(root, "cameras")
    for camera in rig.cameras:
        attributes = {"active": "1", "avg-residual": "0", "model": "none", "serial": camera.name, "viewrotation": "0"}
        element = ElementTree.SubElement(cameras, "camera", attributes)
        right, bottom = (int(side) - 1 for side in camera.size_wh)
        picture = {"left": "0", "top": "0", "right": str(right), "bottom": str(bottom)}
        for tag in ("fov_marker", "fov_marker_max", "fov_video", "fov_video_max"):
            ElementTree.SubElement(element, tag, picture)
        R_qualisys_world = OPENCV_FROM_QUALISYS @ camera.T_cam_world[:3, :3]
        transform = {
            f"r{row + 1}{column + 1}": R_qualisys_world[row, column] for row in range(3) for column in range(3)
        }
        transform |= dict(zip("xyz", 1000.0 * camera.T_world_cam[:3, 3], strict=True))
        ElementTree.SubElement(element, "transform", _texts(transform))
        ElementTree.SubElement(element, "intrinsic", _texts(_intrinsic(camera)))
    ElementTree.indent(root)
    return {"": "<?xml version='1.0' encoding='UTF-8'?>\n" + ElementTree.tostring(root, encoding="unicode") + "\n"}


def _intrinsic(camera: Camera) -> dict[str, float]:
    k1, k2, p1, p2, k3 = camera.dist8[:5]
    K = SUBPIXEL * camera.K
    width, height = camera.size_wh
    return {
        "centerPointU": K[0, 2], "centerPointV": K[1, 2], "focalLengthU": K[0, 0], "focalLengthV": K[1, 1],
        "radialDistortion1": k1, "radialDistortion2": k2, "radialDistortion3": k3,
        "tangentalDistortion1": p1, "tangentalDistortion2": p2, "skew": 0.0,
        "sensorMinU": 0.0, "sensorMinV": 0.0, "sensorMaxU": SUBPIXEL * width, "sensorMaxV": SUBPIXEL * height,
    }  # fmt: skip


def _texts(values: dict[str, float]) -> dict[str, str]:
    return {key: repr(float(value)) for key, value in values.items()}


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
