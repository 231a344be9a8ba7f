"""The fisheye camera: OpenCV's equidistant model (Kannala and Brandt 2006), coefficients k1 k2 k3 k4.

theta_d = theta · (1 + k1·theta² + k2·theta⁴ + k3·theta⁶ + k4·theta⁸), theta the angle off the optical axis. Ideal
coordinates are (x/z, y/z) as everywhere, so what lies 90 degrees or more off the axis has none: a lens of more than 180
degrees works up to there only. Beyond the angle at which the polynomial turns back there is no pixel either: NaN.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError

Array = npt.NDArray[np.float64]

N_COEFFICIENTS = 4
WIDEST_RAD = math.radians(89.9)  # tan(89.9°) = 573: farther out, coordinates x/z say nothing any more
NEWTON_STEPS = 10  # quadratic; six reach 1e-15 for lenses of 180 degrees


def pad_distortion(dist: npt.ArrayLike) -> Array:
    """Coefficients (8,) of which the last four are zero. Raises CalibrationError unless 0 or 4 are given."""
    d = np.asarray(dist, dtype=np.float64).reshape(-1)
    if len(d) not in (0, N_COEFFICIENTS):
        raise CalibrationError(f"a fisheye lens has 0 or 4 coefficients (k1 k2 k3 k4), not {len(d)}")
    return np.concatenate([d, np.zeros(8 - len(d))])


def distort(dist8: Array, normalised: Array) -> Array:
    """Distorted normalised coordinates (..., 2) of ideal ones (..., 2); NaN beyond the widest angle."""
    radius = np.hypot(normalised[..., 0], normalised[..., 1])
    theta = np.arctan(radius)
    theta = np.where(theta <= widest_rad(dist8), theta, np.nan)
    scale = np.where(radius > 0, _theta_d(dist8, theta) / np.where(radius > 0, radius, 1.0), 1.0)
    return np.asarray(normalised * scale[..., None])


def undistort(dist8: Array, distorted: Array) -> Array:
    """Ideal normalised coordinates (..., 2) of distorted ones (..., 2), by Newton's method; NaN where none are."""
    k1, k2, k3, k4 = dist8[:4]
    widest = widest_rad(dist8)
    theta_d = np.hypot(distorted[..., 0], distorted[..., 1])
    theta = np.minimum(theta_d, widest)
    for _ in range(NEWTON_STEPS):
        t2 = theta * theta
        slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
        step = (_theta_d(dist8, theta) - theta_d) / np.where(slope > 1e-9, slope, 1e-9)
        theta = np.clip(theta - step, 0.0, widest)
    met = np.abs(_theta_d(dist8, theta) - theta_d) <= 1e-9
    scale = np.where(theta_d > 0, np.tan(theta) / np.where(theta_d > 0, theta_d, 1.0), 1.0)
    return np.asarray(distorted * np.where(met, scale, np.nan)[..., None])


def widest_rad(dist8: Array) -> float:
    """The angle up to which the lens maps one to one: where theta_d stops growing, below 90 degrees in any case."""
    k1, k2, k3, k4 = (float(k) for k in dist8[:4])
    return _widest_rad(k1, k2, k3, k4)


@lru_cache(maxsize=64)
def _widest_rad(k1: float, k2: float, k3: float, k4: float) -> float:
    roots = np.roots([9 * k4, 7 * k3, 5 * k2, 3 * k1, 1.0])  # of the slope, in theta²
    turning = [root.real for root in roots if abs(root.imag) < 1e-12 and root.real > 0]
    return min([WIDEST_RAD, *(math.sqrt(root) for root in turning)])


def _theta_d(dist8: Array, theta: Array) -> Array:
    k1, k2, k3, k4 = dist8[:4]
    t2 = theta * theta
    return np.asarray(theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))))
