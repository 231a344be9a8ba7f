"""From where a room is looked at: an eye is a camera without distortion that exists only here. Pure."""

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.rig import Camera, CameraRig

F64 = npt.NDArray[np.float64]
WH = tuple[int, int]

VIEW_DEG = 32.0  # the eye's angle of view, along the shorter side of its picture
DIRECTIONS = {  # azimuth from +x towards +y, elevation above the floor, degrees; front: who looks along +x is seen so
    "corner": (35.0, 20.0),
    "front": (0.0, 12.0),
    "left": (90.0, 12.0),
    "back": (180.0, 12.0),
    "right": (-90.0, 12.0),
    "top": (0.0, 89.0),
    "near": (35.0, 14.0),  # as corner, and so near that people fill the picture
}
BETWEEN = ("corner", "near")  # their azimuth is turned to where no camera stands in the way
OF_CAMERA = "camera:"
STATURE_M = 1.9
SPACE_M = 1.3  # around the middle of the room, in which people are expected
FARTHEST_M = 1e4  # of an eye; from farther away nobody can be seen
MARGIN = 0.9  # of the picture, in which all that must be seen is


class EyeError(Exception):
    """An eye that was asked for is none; the message says which there are."""


def middle_of(rig: CameraRig | None) -> F64:
    """(3,) the place that the cameras look at, at the height of hips: nearest to all their optical axes, metres."""
    if rig is None or len(rig.cameras) < 2:
        return _before(rig)
    normal, right = np.zeros((3, 3)), np.zeros(3)
    for camera in rig.cameras:
        axis = camera.T_world_cam[:3, 2]
        off_axis = np.eye(3) - np.outer(axis, axis)
        normal += off_axis
        right += off_axis @ camera.T_world_cam[:3, 3]
    if np.linalg.cond(normal) > 1e4:  # all look the same way
        return _before(rig)
    middle = np.asarray(np.linalg.solve(normal, right))
    return np.array([middle[0], middle[1], STATURE_M / 2])


def space_of(rig: CameraRig | None) -> F64:
    """(8, 3) corners of the space in the middle of the room, in which people are expected."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    return np.asarray(middle_of(rig) + corners * (SPACE_M, SPACE_M, STATURE_M / 2))


def seen_of(rig: CameraRig | None) -> F64:
    """(N, 3) what a view of the whole room must show: the cameras, and the space of people in the middle."""
    cameras = () if rig is None else rig.cameras
    return np.vstack([space_of(rig), *(camera.T_world_cam[:3, 3] for camera in cameras)])


def eye_at(place_m: F64, target_m: F64, size_wh: WH, view_deg: float = VIEW_DEG) -> Camera:
    """An eye at a place that looks at another one. Raises EyeError when the two coincide."""
    away_m = np.asarray(target_m, float) - place_m
    if np.linalg.norm(away_m) < 1e-3:
        raise EyeError(f"an eye at {np.round(place_m, 3)} cannot look at {np.round(target_m, 3)}: it is there")
    if np.hypot(away_m[0], away_m[1]) < 1e-6:  # straight down: x is up in the picture
        place_m = place_m - [1e-3, 0.0, 0.0]
    T_world_cam = rigid.look_at(place_m, target_m)
    width, height = size_wh
    focal_px = min(size_wh) / 2 / np.tan(np.radians(view_deg) / 2)
    K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    return Camera("eye", size_wh, K, np.zeros(5), rigid.inverse(T_world_cam))


def eye_seeing(points_m: F64, azimuth_deg: float, elevation_deg: float, size_wh: WH) -> Camera:
    """The nearest eye in a direction that has all points (N, 3) in its picture, with a margin."""
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    back = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    target_m = (points_m.min(axis=0) + points_m.max(axis=0)) / 2
    eye = eye_at(target_m + back, target_m, size_wh)
    for _ in range(3):  # the picture's middle, then the distance; each changes the other a little
        R = eye.T_cam_world[:3, :3]
        beside = (points_m - target_m) @ R.T
        slopes = np.array(size_wh) / 2 * MARGIN / eye.K[0, 0]
        near = beside[:, 2]
        distance_m = float(np.max(np.abs(beside[:, :2]) / slopes - near[:, None]))
        at = beside[:, :2] / (near + distance_m)[:, None]
        shift = (at.min(axis=0) + at.max(axis=0)) / 2 * distance_m
        target_m = target_m + shift @ R[:2]
        eye = eye_at(target_m + max(distance_m, 1.0) * back, target_m, size_wh)
    return eye


def eye_named(words: str, rig: CameraRig | None, size_wh: WH, turned_deg: float | None = None) -> Camera:
    """The eye that was asked for: a direction, `camera:NAME`, or a place `x,y,z` in metres. Raises EyeError.

    turned_deg: of an eye that circles, how far it is around the middle of the room, counter-clockwise from above.
    """
    if words in DIRECTIONS:
        azimuth_deg, elevation_deg = DIRECTIONS[words]
        azimuth_deg = between_cameras_deg(rig) if words in BETWEEN else azimuth_deg
        seen_m = space_of(rig) if words == "near" else seen_of(rig)
        seen_m = seen_m if turned_deg is None else _rings(seen_m)
        return eye_seeing(seen_m, azimuth_deg + (turned_deg or 0.0), elevation_deg, size_wh)
    if rig is not None and words.removeprefix(OF_CAMERA) in rig.names:
        return _as_eye(rig[words.removeprefix(OF_CAMERA)], size_wh)
    middle_m = middle_of(rig)
    return eye_at(_turned(_place(words, rig), middle_m, turned_deg or 0.0), middle_m, size_wh)


def between_cameras_deg(rig: CameraRig | None) -> float:
    """The direction from which no camera stands before the people; rather from the front than from behind."""
    tried_deg = np.arange(-180.0, 180.0, 5.0)
    if rig is None:  # people look at the camera, which looks along x
        return DIRECTIONS["corner"][0] + 180.0
    liked = np.cos(np.radians(tried_deg - DIRECTIONS["corner"][0])) * 8.0
    beside_m = np.array([camera.T_world_cam[:2, 3] for camera in rig.cameras]) - middle_of(rig)[:2]
    off_deg = tried_deg[:, None] - np.degrees(np.arctan2(beside_m[:, 1], beside_m[:, 0]))
    liked += np.minimum(np.abs((off_deg + 180) % 360 - 180).min(axis=1), 45.0)
    return float(tried_deg[np.argmax(liked)])


def check_eye(words: str, rig: CameraRig | None) -> None:
    """Raise EyeError unless there is such an eye."""
    eye_named(words, rig, (640, 480))


def _before(rig: CameraRig | None) -> F64:
    """Where people stand who are seen by one camera alone."""
    if rig is None:
        return np.array([0.0, 0.0, STATURE_M / 2])
    places = np.array([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    axes = np.array([camera.T_world_cam[:3, 2] for camera in rig.cameras])
    middle = places.mean(axis=0) + 3.5 * axes.mean(axis=0)
    return np.array([middle[0], middle[1], STATURE_M / 2])


def _rings(points_m: F64) -> F64:
    """What an eye that circles must see all the time, so that its distance does not change: a ring of each point."""
    middle_m = (points_m.min(axis=0) + points_m.max(axis=0)) / 2
    away_m = np.hypot(*(points_m - middle_m)[:, :2].T)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    flat = middle_m[:2] + away_m[:, None, None] * ring
    heights = np.broadcast_to(points_m[:, None, 2:], (*flat.shape[:2], 1))
    return np.concatenate([flat, heights], axis=2).reshape(-1, 3)


def _turned(place_m: F64, about_m: F64, turned_deg: float) -> F64:
    R = rigid.rotation_from_rotvec([0.0, 0.0, np.radians(turned_deg)])
    return np.asarray(about_m + R @ (place_m - about_m))


def _as_eye(camera: Camera, size_wh: WH) -> Camera:
    """What a camera would see without distortion, as large as it fits."""
    width, height = camera.size_wh
    scale = min(size_wh[0] / width, size_wh[1] / height)
    focal_px = float(camera.K[0, 0]) * scale
    K = np.array([[focal_px, 0, (size_wh[0] - 1) / 2], [0, focal_px, (size_wh[1] - 1) / 2], [0, 0, 1]])
    return Camera("eye", size_wh, K, np.zeros(5), camera.T_cam_world)


def _place(words: str, rig: CameraRig | None) -> F64:
    try:
        place_m = np.array([float(word) for word in words.split(",")])
    except ValueError:
        place_m = np.zeros(0)
    if place_m.shape == (3,) and (np.abs(place_m) < FARTHEST_M).all():
        return place_m
    cameras = "" if rig is None else f", {', '.join(OF_CAMERA + name for name in rig.names)}"
    raise EyeError(
        f"--eye {words}: give {', '.join(DIRECTIONS)}{cameras}, or a place x,y,z in metres, below {FARTHEST_M:g} each"
    )
