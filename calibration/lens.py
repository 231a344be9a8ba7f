"""The lens models by name: what every camera does, whichever of `pinhole` and `fisheye` it is.

Both take eight numbers (`Camera.dist8`): OpenCV's k1 k2 p1 p2 k3 k4 k5 k6, or fisheye's k1 k2 k3 k4 and four zeros.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from calibration import fisheye, pinhole
from calibration.errors import CalibrationError

Array = npt.NDArray[np.float64]

Lens = Literal["pinhole", "fisheye"]
LENSES: tuple[Lens, ...] = get_args(Lens)


def pad_distortion(lens: Lens, dist: npt.ArrayLike) -> Array:
    """Coefficients (8,) with absent ones zero. Raises CalibrationError on an unknown lens or number of them."""
    if lens not in LENSES:
        raise CalibrationError(f"lens {lens!r} is not known: it is one of {', '.join(LENSES)}")
    return fisheye.pad_distortion(dist) if lens == "fisheye" else pinhole.pad_distortion(dist)


def unpadded(lens: Lens, dist: Array) -> Array:
    """The coefficients of a lens out of a row that is as long as another camera's in the same array.

    Raises CalibrationError for a fisheye lens with more than its four.
    """
    if lens == "pinhole":
        return dist
    if np.any(dist[fisheye.N_COEFFICIENTS :]):
        raise CalibrationError(f"a fisheye lens has 4 coefficients (k1 k2 k3 k4), not {dist}")
    return dist[: fisheye.N_COEFFICIENTS]


def distort(lens: Lens, dist8: Array, normalised: Array) -> Array:
    """Distorted normalised coordinates (..., 2) of ideal ones (..., 2)."""
    return fisheye.distort(dist8, normalised) if lens == "fisheye" else pinhole.distort(dist8, normalised)


def project(lens: Lens, K: Array, dist8: Array, points_cam_m: Array) -> Array:
    """Pixels (..., 2) of points (..., 3) in the camera frame; NaN for points that are not in front of the camera."""
    if lens == "pinhole":
        return pinhole.project(K, dist8, points_cam_m)
    z = points_cam_m[..., 2]
    safe_z = np.where(z > 1e-6, z, np.nan)
    distorted = fisheye.distort(dist8, points_cam_m[..., :2] / safe_z[..., None])
    return np.asarray(distorted @ K[:2, :2].T + K[:2, 2])


def undistort(lens: Lens, K: Array, dist8: Array, keypoints_px: Array) -> Array:
    """Ideal normalised coordinates (..., 2) of pixels (..., 2); the inverse of `project` up to depth. NaN stays NaN."""
    if lens == "pinhole":
        return pinhole.undistort(K, dist8, keypoints_px)
    return fisheye.undistort(dist8, pinhole.undistort(K, np.zeros(8), keypoints_px))
