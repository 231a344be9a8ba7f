"""Robust triangulation of all joints of a person at once, from any number of calibrated views.

Per joint: a weighted linear solution over all views (direct linear transform, Hartley and Zisserman 12.2, with the
algebraic error divided by depth). Where a view disagrees, the points of pairs of views compete by the MSAC cost (Torr
and Zisserman 2000); where only two views agree, the body that the other joints show decides between them. Then
Gauss-Newton on the reprojection error over the views that agree. Rays are undistorted first, so errors and gates are
angles: one setting suits every focal length.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import triangulate_kernel as kernel
from calibration.fisheye import widest_rad
from calibration.rig import CameraRig

Array = npt.NDArray[np.float64]

REFERENCE_FOCAL_PX = 1000.0  # settings in pixels are meant at this focal length


@dataclass(frozen=True)
class Triangulated:
    """One person's joints.

    points_m: (J, 3) world, NaN where fewer than two views agree. sigma_m: (J,) per axis, inf there.

    residual_px: (C, J) reprojection error in each view that saw the joint, else NaN. used: (C, J) views that count.
    """

    points_m: Array
    sigma_m: Array
    residual_px: Array
    used: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RigArrays:
    """A rig as arrays for the kernel: K (C, 3, 3), dist8 (C, 8), Ts_cam_world (C, 3, 4), focal_px (C,).

    fisheye: the widest angle, radians, of each camera (by index) that has a fisheye lens.
    """

    K: Array
    dist8: Array
    Ts_cam_world: Array
    focal_px: Array
    fisheye: tuple[tuple[int, float], ...] = ()

    @staticmethod
    def of(rig: CameraRig) -> "RigArrays":
        return RigArrays(
            K=np.stack([camera.K for camera in rig.cameras]),
            dist8=np.stack([camera.dist8 for camera in rig.cameras]),
            Ts_cam_world=np.ascontiguousarray(np.stack([camera.T_cam_world[:3] for camera in rig.cameras])),
            focal_px=np.array([(camera.K[0, 0] + camera.K[1, 1]) / 2 for camera in rig.cameras]),
            fisheye=tuple(
                (c, widest_rad(camera.dist8)) for c, camera in enumerate(rig.cameras) if camera.lens == "fisheye"
            ),
        )

    def rays(self, keypoints_px: Array) -> Array:
        """Ideal normalised coordinates (C, N, 2) of pixels (C, N, 2), contiguous; not finite where there are none."""
        rays: Array = kernel.undistort(self.K, self.dist8, keypoints_px)
        for c, widest in self.fisheye:
            kernel.undistort_fisheye(self.K[c], self.dist8[c], widest, keypoints_px[c], rays[c])
        return rays

    def seen_as_pinhole(self) -> Array:
        """K (C, 3, 3) of pinhole cameras that see as far: without distortion, a fisheye's picture reaches farther."""
        if not self.fisheye:
            return self.K
        K = self.K.copy()
        for c, widest in self.fisheye:
            principal = self.K[c, :2, 2]
            edges_px = np.array([[0.0, principal[1]], [principal[0], 0.0]])
            rays = np.empty((2, 2))
            kernel.undistort_fisheye(self.K[c], self.dist8[c], widest, edges_px, rays)
            reach = np.nan_to_num(np.abs(np.diagonal(rays)), nan=np.tan(widest))
            K[c, [0, 1], [0, 1]] = principal / reach
        return K


def triangulate(
    rig: RigArrays,
    keypoints_px: npt.NDArray[np.float32 | np.float64],
    confidence: npt.NDArray[np.float32 | np.float64],
    *,
    sigma_px: float = 3.0,
    outlier_sigmas: float = 3.5,
    min_confidence: float = 0.0,
) -> Triangulated:
    """Triangulate one person.

    keypoints_px: (C, J, 2) as detected (distorted), NaN where absent. confidence: (C, J); noise is taken as
    sigma_px / confidence, and joints at or below min_confidence are not used. sigma_px: noise of a sure joint at
    1000 px focal length. outlier_sigmas: a view farther off than so many sigma_px is out-voted. Raises
    ValueError on other shapes.
    """
    n_cameras = len(rig.K)
    if keypoints_px.ndim != 3 or keypoints_px.shape[0] != n_cameras or keypoints_px.shape[2] != 2:
        raise ValueError(f"keypoints_px must be ({n_cameras}, J, 2), not {keypoints_px.shape}")
    if confidence.shape != keypoints_px.shape[:2]:
        raise ValueError(f"confidence must be {keypoints_px.shape[:2]}, not {confidence.shape}")
    sigma = sigma_px / REFERENCE_FOCAL_PX
    keypoints = np.ascontiguousarray(keypoints_px, dtype=np.float64)
    rays = rig.rays(keypoints)  # not finite far outside the picture of a strong lens
    seen = (confidence > min_confidence) & np.isfinite(rays).all(axis=2)
    weight = np.where(seen, (np.clip(confidence, 0.0, 1.0) / sigma) ** 2, 0.0).astype(np.float64)
    by_joint = np.ascontiguousarray(rays.transpose(1, 0, 2)), np.ascontiguousarray(weight.T)
    points, sigma_m, residual, used = kernel.triangulate(rig.Ts_cam_world, *by_joint, outlier_sigmas * sigma)
    return Triangulated(points, sigma_m, residual * rig.focal_px[:, None], used)
