"""Rigs that do not exist: cameras in a ring that look at a person in the middle."""

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.rig import Camera, CameraRig

FOUR_NAMES = ("front", "right", "back", "left")  # seen by an actor who faces +x
FIRST_AZIMUTH_DEG = 20.0  # nobody is seen exactly from the front or from the side
STAGGER_DEG = 8.0  # no two cameras lie on one line through the target: a point there could not be triangulated
STAGGER_HEIGHT = 0.14  # of the height, up and down in turn


def ring_rig(
    n_cameras: int,
    radius_m: float,
    height_m: float,
    size_wh: tuple[int, int],
    focal_px: float,
    target_m: npt.ArrayLike = (0.0, 0.0, 0.95),
    dist: npt.ArrayLike | None = None,
) -> CameraRig:
    """Cameras around target_m, clockwise from the front (+x), on staggered heights and azimuths.

    Radius in the floor plane and mean height in metres, focal length in pixels. Four are called front, right, back
    and left, any other number cam_0, cam_1, …
    """
    names = FOUR_NAMES if n_cameras == 4 else tuple(f"cam_{i}" for i in range(n_cameras))
    target = np.asarray(target_m, dtype=np.float64)
    turn = np.arange(n_cameras)
    alternate = np.where(turn % 2 == 0, 1.0, -1.0)
    half = np.where(turn < n_cameras / 2, 1.0, -1.0)  # opposite cameras are moved towards the same side
    azimuth = np.radians(FIRST_AZIMUTH_DEG - 360.0 * turn / n_cameras + STAGGER_DEG * half)
    height = height_m * (1.0 + STAGGER_HEIGHT * alternate)
    width_px, height_px = size_wh
    K = np.array([[focal_px, 0.0, (width_px - 1) / 2], [0.0, focal_px, (height_px - 1) / 2], [0.0, 0.0, 1.0]])
    cameras = []
    for i, name in enumerate(names):
        eye = (target[0] + radius_m * np.cos(azimuth[i]), target[1] + radius_m * np.sin(azimuth[i]), height[i])
        T_cam_world = rigid.inverse(rigid.look_at(eye, target))
        cameras.append(Camera(name, size_wh, K, np.zeros(5) if dist is None else np.asarray(dist), T_cam_world))
    return CameraRig(tuple(cameras))
