"""The pinhole camera with OpenCV's distortion: pixels from points and back.

Model: OpenCV 4 "Camera Calibration" documentation, coefficients k1 k2 p1 p2 [k3 [k4 k5 k6]]. Pixel (0, 0) is the
centre of the top-left pixel. Normalised coordinates are (x/z, y/z) of the undistorted ray in the camera frame.
"""

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError

Array = npt.NDArray[np.float64]

N_COEFFICIENTS = 8  # k1 k2 p1 p2 k3 k4 k5 k6; longer OpenCV models (thin prism, tilt) are refused
ALLOWED_LENGTHS = (0, 4, 5, 8)


def pad_distortion(dist: npt.ArrayLike) -> Array:
    """Coefficients (8,) with absent ones zero. Raises CalibrationError on a length that OpenCV does not have."""
    d = np.asarray(dist, dtype=np.float64).reshape(-1)
    if len(d) not in ALLOWED_LENGTHS:
        raise CalibrationError(
            f"a distortion of {len(d)} coefficients is not supported: "
            "give 0, 4 (k1 k2 p1 p2), 5 (… k3) or 8 (… k4 k5 k6)"
        )
    return np.concatenate([d, np.zeros(N_COEFFICIENTS - len(d))])


def distort(dist8: Array, normalised: Array) -> Array:
    """Distorted normalised coordinates (..., 2) of ideal ones (..., 2)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = dist8
    x, y = normalised[..., 0], normalised[..., 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    x_d = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    y_d = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([x_d, y_d], axis=-1)


def project(K: Array, dist8: Array, points_cam_m: Array) -> Array:
    """Pixels (..., 2) of points (..., 3) in the camera frame; NaN for points that are not in front of the camera."""
    z = points_cam_m[..., 2]
    safe_z = np.where(z > 1e-6, z, np.nan)
    distorted = distort(dist8, points_cam_m[..., :2] / safe_z[..., None])
    x = K[0, 0] * distorted[..., 0] + K[0, 1] * distorted[..., 1] + K[0, 2]
    y = K[1, 1] * distorted[..., 1] + K[1, 2]
    return np.stack([x, y], axis=-1)


def undistort(K: Array, dist8: Array, keypoints_px: Array, iterations: int = 20) -> Array:
    """Ideal normalised coordinates (..., 2) of pixels (..., 2); the inverse of `project` up to depth.

    Fixed-point iteration on the distortion (Heikkilä and Silvén 1997, as OpenCV does); twenty steps reach 1e-9 within
    the image for the lenses that the pinhole model suits. NaN stays NaN.
    """
    y = (keypoints_px[..., 1] - K[1, 2]) / K[1, 1]
    x = (keypoints_px[..., 0] - K[0, 2] - K[0, 1] * y) / K[0, 0]
    observed = np.stack([x, y], axis=-1)
    if not dist8.any():
        return observed
    k1, k2, p1, p2, k3, k4, k5, k6 = dist8
    ideal = observed
    for _ in range(iterations):
        x, y = ideal[..., 0], ideal[..., 1]
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        tangential = np.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=-1)
        ideal = (observed - tangential) / radial[..., None]
    return ideal
