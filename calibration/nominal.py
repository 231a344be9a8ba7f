"""A camera that nobody calibrated: as most are, held upright at the origin, looking along the horizon."""

import numpy as np

from calibration import rigid
from calibration.rig import Camera

FOCAL_PER_SIDE = 0.9  # of the longer side: a view of 58 degrees, as webcams and phones have 50 to 70


def nominal_camera(name: str, size_wh: tuple[int, int]) -> Camera:
    """It looks along the world's x axis, z is up, and there is no distortion."""
    width, height = size_wh
    focal_px = FOCAL_PER_SIDE * max(size_wh)
    K = np.array([[focal_px, 0.0, (width - 1) / 2], [0.0, focal_px, (height - 1) / 2], [0.0, 0.0, 1.0]])
    T_cam_world = rigid.inverse(rigid.look_at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)))
    return Camera(name, (width, height), K, np.zeros(5), T_cam_world)
