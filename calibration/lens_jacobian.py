"""Projection with its derivatives, for both lens models; checked against finite differences in the tests.

Intrinsics are one vector of 12: fx fy cx cy, then distortion as OpenCV orders it: pinhole k1 k2 p1 p2 k3 k4 k5 k6,
fisheye k1 k2 k3 k4 and four that stay zero. Sources: OpenCV 4 "Camera Calibration" and "Fisheye camera model".
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Lens = Literal["pinhole", "fisheye"]

FX, FY, CX, CY = range(4)
FIRST_DISTORTION = 4
N_INTRINSICS = 12
LEAST_DEPTH = 1e-6
ON_AXIS = 1e-9  # distance from the axis below which a fisheye is taken as a pinhole


def project_with_jacobians(lens: Lens, intrinsics: Array, points_cam_m: Array) -> tuple[Array, Array, Array]:
    """Pixels (..., 2) of points (..., 3), with derivatives by the point (..., 2, 3) and by the intrinsics (..., 2, 12).

    NaN, all three, for points that are not in front of the camera.
    """
    z = points_cam_m[..., 2]
    z = np.where(z > LEAST_DEPTH, z, np.nan)
    ideal = points_cam_m[..., :2] / z[..., None]
    model = _fisheye if lens == "fisheye" else _pinhole
    distorted, by_ideal, by_coefficient = model(intrinsics[FIRST_DISTORTION:], ideal)
    focal = intrinsics[:2]
    pixels = focal * distorted + intrinsics[2:4]

    ideal_by_point = np.zeros((*ideal.shape, 3))
    ideal_by_point[..., 0, 0] = ideal_by_point[..., 1, 1] = 1.0 / z
    ideal_by_point[..., :, 2] = -ideal / z[..., None]
    by_point = focal[:, None] * (by_ideal @ ideal_by_point)

    by_intrinsics = np.zeros((*ideal.shape, N_INTRINSICS))
    by_intrinsics[..., 0, FX], by_intrinsics[..., 1, FY] = distorted[..., 0], distorted[..., 1]
    by_intrinsics[..., 0, CX] = by_intrinsics[..., 1, CY] = 1.0
    by_intrinsics[..., FIRST_DISTORTION:] = focal[:, None] * by_coefficient
    return pixels, by_point, by_intrinsics


def _pinhole(coefficients: Array, ideal: Array) -> tuple[Array, Array, Array]:
    """Distorted coordinates (..., 2), by the ideal ones (..., 2, 2), by the coefficients (..., 2, 8)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    x, y = ideal[..., 0], ideal[..., 1]
    r2 = x * x + y * y
    above = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    below = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    slope = ((k1 + r2 * (2 * k2 + 3 * r2 * k3)) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / below  # by r2
    distorted = np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )
    by_ideal = np.empty((*ideal.shape, 2))
    by_ideal[..., 0, 0] = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    by_ideal[..., 0, 1] = by_ideal[..., 1, 0] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    by_ideal[..., 1, 1] = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x

    powers = np.stack([r2, r2**2, r2**3], axis=-1)
    up, down = powers / below[..., None], -powers * (radial / below)[..., None]
    by_coefficient = np.empty((*ideal.shape, 8))
    for axis in range(2):
        along = ideal[..., axis, None]
        by_coefficient[..., axis, [0, 1, 4]] = along * up
        by_coefficient[..., axis, [5, 6, 7]] = along * down
    by_coefficient[..., 0, 2], by_coefficient[..., 0, 3] = 2 * x * y, r2 + 2 * x * x
    by_coefficient[..., 1, 2], by_coefficient[..., 1, 3] = r2 + 2 * y * y, 2 * x * y
    return distorted, by_ideal, by_coefficient


def _fisheye(coefficients: Array, ideal: Array) -> tuple[Array, Array, Array]:
    """The same of OpenCV's equidistant model (Kannala and Brandt 2006): the last four coefficients mean nothing."""
    k1, k2, k3, k4 = coefficients[:4]
    r = np.linalg.norm(ideal, axis=-1)
    central = r < ON_AXIS
    safe = np.where(central, 1.0, r)
    angle = np.arctan(safe)
    a2 = angle * angle
    bent = angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))
    bent_by_angle = 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))
    scale = np.where(central, 1.0, bent / safe)
    slope = np.where(central, 0.0, (bent_by_angle / (1 + safe * safe) - scale) / safe)  # of the scale, by r
    direction = ideal / safe[..., None]
    by_ideal = scale[..., None, None] * np.eye(2) + (
        slope[..., None, None] * ideal[..., :, None] * direction[..., None, :]
    )
    by_coefficient = np.zeros((*ideal.shape, 8))
    powers = np.stack([angle ** (3 + 2 * i) for i in range(4)], axis=-1)
    by_coefficient[..., :4] = np.where(central[..., None, None], 0.0, direction[..., :, None] * powers[..., None, :])
    return scale[..., None] * ideal, by_ideal, by_coefficient
