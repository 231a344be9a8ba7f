"""Where things stand in the room: floor, cameras, and from where it is looked at first. Pure; metres, z up."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.rig import Camera, CameraRig
from nodes.page.shapes import TINY_M

Array = npt.NDArray[np.float64]
MARGIN_M = 1.0  # of the floor around the cameras
LEAST_FLOOR_M = 6.0
MOST_FLOOR_M = 60.0
CHEST_M = 0.9  # what people are looked at for
FOV_RAD = np.radians(50.0)  # of the browser's own view, vertical
REACH = 0.36  # of the floor's size that is seen on either side of its middle
WIDE_GAP = np.radians(150.0)  # between two cameras; wider ones have no middle that is near to both
BESIDE_CAMERA = np.radians(35.0)
RISE = np.radians(28.0)  # from how high the whole room is looked at
UPRIGHT = 0.75  # width over height of a phone's picture, or narrower
PHONE_LIFT = 0.6  # of half the picture's height
WALL_X_M = 2.5  # where the pictures hang of cameras of which nobody knows where they stand, and how high
WALL_FOOT_M = 0.4
WALL_M = 2.4  # width of one of them
WALL_GAP_M = 0.35
ROW_M = 0.75 * WALL_M + WALL_GAP_M
NO_PLACES: Array = np.empty((0, 3))
NAMES_FIT = 0.82  # of half the picture's width and height: there cameras stand at most, so that their names fit
MOST_REACH_M = 40.0  # a camera that its calibration puts far away does not make the room as large


@dataclass(frozen=True)
class Eye:
    """A view: from where to where, with which vertical field of view."""

    position_m: Array
    look_at_m: Array
    fov_rad: float = float(FOV_RAD)
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Floor:
    """A square of floor that holds the cameras and what they look at."""

    centre_m: Array
    size_m: float


@dataclass(frozen=True)
class Frustum:
    """A camera as it is drawn. depth_m: from its centre to its picture."""

    name: str
    position_m: Array
    wxyz: Array
    fov_rad: float
    aspect: float
    scale: float
    depth_m: float


def focus_of(rig: CameraRig) -> Array:
    """The point that the cameras look at: nearest to all of their axes, in front of them, else among them; (3,)."""
    places = np.array([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    axes = np.array([camera.T_world_cam[:3, 2] for camera in rig.cameras])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    system = across.sum(axis=0)
    if np.linalg.cond(system) > 1e3:  # one camera, or all look the same way
        return np.asarray((places + 3.0 * axes).mean(axis=0))
    point = np.linalg.solve(system, (across @ places[:, :, None]).sum(axis=0))[:, 0]
    ahead = ((point - places) * axes).sum(axis=-1) > 0
    near = np.linalg.norm(point - places, axis=-1).max() < MOST_REACH_M
    return np.asarray(point if ahead.all() and near else (places + 3.0 * axes).mean(axis=0))


def floor_of(rig: CameraRig | None) -> Floor:
    """The floor below a rig; a small one around the origin without one."""
    if rig is None:
        return Floor(np.zeros(3), LEAST_FLOOR_M)
    focus = focus_of(rig)
    places = np.array([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    reach = np.linalg.norm(places[:, :2] - focus[:2], axis=-1)
    size = 2 * (np.ceil(reach[reach < MOST_REACH_M].max(initial=0) + MARGIN_M))
    return Floor(np.array([*np.round(focus[:2]), 0.0]), float(np.clip(size, LEAST_FLOOR_M, MOST_FLOOR_M)))


def overview(rig: CameraRig | None, aspect: float = 1.2) -> Eye:
    """From where the whole room is seen, from between two cameras. aspect: of the browser's picture."""
    floor = floor_of(rig)
    centre = np.array([*floor.centre_m[:2], CHEST_M])
    bearing = _free_bearing(rig, centre) if rig is not None else np.radians(-60.0)
    away = np.array([np.cos(bearing) * np.cos(RISE), np.sin(bearing) * np.cos(RISE), np.sin(RISE)])
    places = np.array([camera.T_world_cam[:3, 3] for camera in rig.cameras]) if rig is not None else NO_PLACES
    return _seen_from(centre, away, REACH * floor.size_m, aspect, places)


def wall_of(count: int) -> tuple[int, int]:
    """Columns and rows of so many pictures on the wall."""
    columns = int(np.ceil(np.sqrt(count))) or 1
    return columns, -(-count // columns)


def facing_wall(count: int, aspect: float = 1.2) -> Eye:
    """From where so many pictures on the wall are seen, and the people before it."""
    columns, rows = wall_of(count)
    width_m, height_m = columns * (WALL_M + WALL_GAP_M), rows * ROW_M
    centre = np.array([WALL_X_M, 0.0, WALL_FOOT_M + height_m / 2])
    reach_m = max(width_m / 2, height_m / 2 * aspect, LEAST_FLOOR_M / 2)
    return _seen_from(centre, np.array([-np.cos(0.1), 0, np.sin(0.1)]), 1.15 * reach_m, aspect)


def _seen_from(centre: Array, away: Array, reach_m: float, aspect: float, places: Array = NO_PLACES) -> Eye:
    """The view of what reaches so far to both sides of the centre, from the direction `away` (3,) of length 1; and of
    the places (N, 3) as far as they are not too far off."""
    distance = reach_m / (np.tan(FOV_RAD / 2) * min(aspect, 1.0))
    distance = max(distance, _distance_for(places - centre, away, aspect))
    if aspect > UPRIGHT:
        return Eye(centre + distance * away, centre)
    # On a phone the panel covers the lower part: what is looked at stands above the middle.
    up = np.array([0.0, 0.0, 1.0]) - away[2] * away
    lower = centre - PHONE_LIFT * distance * np.tan(FOV_RAD / 2) * up / np.linalg.norm(up)
    return Eye(lower + distance * away, lower)


def _distance_for(offsets: Array, away: Array, aspect: float) -> float:
    """From which distance on these (N, 3) are seen within the picture, and their names, too."""
    offsets = offsets[np.linalg.norm(offsets, axis=-1) < MOST_REACH_M]
    right = np.cross([0.0, 0.0, 1.0], away)
    right /= np.linalg.norm(right)
    tangent = NAMES_FIT * np.tan(FOV_RAD / 2)
    across = np.abs(offsets @ right) / (tangent * aspect)
    upwards = np.abs(offsets @ np.cross(away, right)) / tangent if aspect > UPRIGHT else 0.0
    return float((np.maximum(across, upwards) + offsets @ away).max(initial=0.0))


def _free_bearing(rig: CameraRig, centre: Array) -> float:
    """A direction from the centre in which no camera stands, but some near: their pictures are seen from behind them,
    where they are not mirrored. Radians."""
    away = np.array([camera.T_world_cam[:3, 3] for camera in rig.cameras])[:, :2] - centre[:2]
    bearings = np.sort(np.arctan2(away[:, 1], away[:, 0]))
    gaps = np.diff(bearings, append=bearings[0] + 2 * np.pi)
    between = np.flatnonzero(gaps < WIDE_GAP)
    if not len(between):
        return float(bearings[0] + BESIDE_CAMERA)
    widest = between[gaps[between].argmax()]
    return float(bearings[widest] + gaps[widest] / 2)


def frustum_of(camera: Camera, size_m: float) -> Frustum:
    """A camera drawn with a picture of about size_m across."""
    width, height = camera.size_wh
    fov = fov_of(camera)
    aspect = width / height
    tangent = np.tan(fov / 2)
    depth = size_m / (2 * tangent * np.sqrt(aspect))
    # Viser makes the volume of a frustum, not its depth, one third of the cube of its scale.
    scale = depth * np.cbrt(tangent * tangent * aspect / 3)
    T = camera.T_world_cam
    return Frustum(camera.name, T[:3, 3], wxyz_of(T[:3, :3]), fov, aspect, float(scale), float(depth))


def fov_of(camera: Camera) -> float:
    """The vertical field of view that is drawn for a camera; a fisheye's is cut where a plane picture would not end."""
    return float(np.clip(2 * np.arctan(camera.size_wh[1] / 2 / camera.K[1, 1]), 0.05, np.radians(120)))


def through(camera: Camera) -> Eye:
    """The view of a camera itself."""
    T = camera.T_world_cam
    up = -T[:3, 1]
    return Eye(T[:3, 3].copy(), T[:3, 3] + 3.0 * T[:3, 2], fov_of(camera), (float(up[0]), float(up[1]), float(up[2])))


def wxyz_of(R: Array) -> Array:
    """The quaternion (4,) of a rotation (3, 3); Shepperd's way, which has no weak spot."""
    diagonal = np.array([np.trace(R), R[0, 0], R[1, 1], R[2, 2]])
    largest = int(diagonal.argmax())
    if largest == 0:
        q = np.array([1 + diagonal[0], R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    else:
        i = largest - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q = np.zeros(4)
        q[0] = R[k, j] - R[j, k]
        q[1 + i] = 1 + 2 * R[i, i] - diagonal[0]
        q[1 + j] = R[j, i] + R[i, j]
        q[1 + k] = R[k, i] + R[i, k]
    norm = float(np.linalg.norm(q))
    return np.asarray(q / max(norm, TINY_M))
