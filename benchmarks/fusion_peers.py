"""What others do with several views, over many points at once: linear triangulation, RANSAC, Pose2Sim's rule, one lift.

All take the same observations. Rebuilt from their descriptions: RANSAC as Fischler and Bolles 1981, with Torr and
Zisserman's cost (MSAC, 2000) and every pair tried; Pose2Sim's rule from its documentation.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration import pinhole
from calibration.rig import CameraRig
from lifter.runtime import Lifter
from lifter.skeleton import Skeleton

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RANSAC_THRESHOLD_PX = 15.0  # five times the noise; of 8 to 30 the one with the least error where 10 % are outliers
POSE2SIM_THRESHOLD_PX = 15.0


@dataclass(frozen=True)
class Sightings:
    """N points, each seen by some of C views: rays (N, C, 2), confidence (N, C), 0 where it is not seen."""

    Ts_cam_world: F64  # (C, 3, 4)
    focal_px: F64  # (C,)
    rays: F64
    confidence: F64

    @staticmethod
    def of(rig: CameraRig, keypoints_px: F64, confidence: F64) -> "Sightings":
        """From pixels (N, C, 2) and confidence (N, C)."""
        rays = [pinhole.undistort(each.K, each.dist8, keypoints_px[:, c]) for c, each in enumerate(rig.cameras)]
        rays_of_all = np.stack(rays, axis=1)
        usable = np.isfinite(rays_of_all).all(-1) & (confidence > 0)
        return Sightings(
            np.stack([camera.T_cam_world[:3] for camera in rig.cameras]),
            np.array([(camera.K[0, 0] + camera.K[1, 1]) / 2 for camera in rig.cameras]),
            np.where(usable[..., None], rays_of_all, 0.0),
            np.where(usable, confidence, 0.0),
        )

    @property
    def seen(self) -> Bools:
        return self.confidence > 0

    def some(self, which: Bools) -> "Sightings":
        """Those points alone."""
        return replace(self, rays=self.rays[which], confidence=self.confidence[which])

    def errors_px(self, points_m: F64) -> F64:
        """Reprojection errors (N, C) of points (N, 3), also in views that do not see them; inf behind a camera."""
        in_cam = np.einsum("cij,nj->nci", self.Ts_cam_world[:, :, :3], points_m) + self.Ts_cam_world[:, :, 3]
        depth = np.where(in_cam[..., 2] > 1e-6, in_cam[..., 2], np.nan)
        off = np.linalg.norm(in_cam[..., :2] / depth[..., None] - self.rays, axis=-1)
        return np.where(np.isfinite(off), off * self.focal_px, np.inf)


def dlt(sightings: Sightings, weight: F64 | None = None) -> F64:
    """Linear triangulation (Hartley and Zisserman 12.2), rows weighted by confidence or by `weight` (N, C).

    (N, 3); NaN for points that fewer than two views see.
    """
    w = sightings.confidence if weight is None else weight
    T = sightings.Ts_cam_world
    rows = sightings.rays[..., None] * T[:, None, 2] - T[:, :2]  # (N, C, 2, 4)
    rows = rows * (w * sightings.focal_px)[..., None, None]
    flat = rows.reshape(len(rows), 2 * len(T), 4)
    homogeneous = np.linalg.eigh(flat.swapaxes(1, 2) @ flat)[1][..., 0]
    points_m: F64 = homogeneous[:, :3] / np.where(homogeneous[:, 3:] == 0, np.nan, homogeneous[:, 3:])
    return np.where(((w > 0).sum(axis=1) >= 2)[:, None], points_m, np.nan)


def ransac(sightings: Sightings, threshold_px: float = RANSAC_THRESHOLD_PX) -> F64:
    """Every pair of views proposes a point; the one that fits best is fitted again to all views that agree with it.

    (N, 3); NaN where no two views agree: linear triangulation of all views was worse there than nothing.
    """
    n, n_views = sightings.confidence.shape
    least, agreeing = np.full(n, np.inf), np.zeros((n, n_views), dtype=np.bool_)
    for pair in itertools.combinations(range(n_views), 2):
        in_pair = np.isin(np.arange(n_views), pair) & sightings.seen[:, pair].all(axis=1, keepdims=True)
        off_px = sightings.errors_px(dlt(sightings, np.where(in_pair, 1.0, 0.0)))
        cost = np.where(sightings.seen, np.minimum(off_px, threshold_px) ** 2, 0.0).sum(axis=1)
        agree = sightings.seen & (off_px < threshold_px)
        better = (agree.sum(axis=1) >= 2) & (cost < least)
        least, agreeing = np.where(better, cost, least), np.where(better[:, None], agree, agreeing)
    return dlt(sightings, np.where(agreeing, sightings.confidence, 0.0))


def pose2sim_rule(sightings: Sightings) -> F64:
    """Drop cameras, one more each time, until the mean reprojection error of the best subset is below the threshold.

    (N, 3); NaN where two views are left and still disagree, and for fewer than two views.
    """
    n, n_views = sightings.confidence.shape
    best_px, best = np.full(n, np.inf), np.full((n, 3), np.nan)
    for n_off in range(n_views - 1):
        todo = best_px > POSE2SIM_THRESHOLD_PX
        for off in itertools.combinations(range(n_views), n_off):
            kept = sightings.seen & ~np.isin(np.arange(n_views), off)
            which = todo & sightings.seen[:, off].all(axis=1) & (kept.sum(axis=1) >= 2)
            some = sightings.some(which)
            points_m = dlt(some, np.where(kept[which], some.confidence, 0.0))
            off_px = np.where(kept[which], some.errors_px(points_m), 0.0).sum(axis=1) / kept[which].sum(axis=1)
            better = off_px < best_px[which]
            at = np.flatnonzero(which)[better]
            best_px[at], best[at] = off_px[better], points_m[better]
    return np.where((best_px <= POSE2SIM_THRESHOLD_PX)[:, None], best, np.nan)


@dataclass(frozen=True)
class BestLifts:
    """For each moment the lift, of all views', that is nearest to the truth: chosen by who knows the truth.

    placed_m: (T, J, 3) standing where its own view places it, the one with the least absolute error. at_root_m:
    (T, J, 3) standing at the true root, the one with the least root-relative error. NaN where no view could be lifted.
    """

    placed_m: F64
    at_root_m: F64


def best_lifts(
    lifter: Lifter, rig: CameraRig, keypoints_px: F64, confidence: F64, truth_m: F64, skeleton: Skeleton
) -> BestLifts:
    """From keypoints (T, C, J, 2) and confidence (T, C, J); truth (T, J, 3)."""
    T, C, J = confidence.shape
    by_view = [pinhole.undistort(each.K, each.dist8, keypoints_px[:, c]) for c, each in enumerate(rig.cameras)]
    R_cam_world = np.stack([camera.T_cam_world[:3, :3] for camera in rig.cameras])
    centre_m = np.stack([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    up_cam = np.broadcast_to(R_cam_world[:, :, 2], (T, C, 3)).reshape(-1, 3)
    lifts = lifter.lift(np.stack(by_view, axis=1).reshape(-1, J, 2), confidence.reshape(-1, J), up_cam)
    bodies = lifts.joints_cam_m.reshape(T, C, J, 3) @ R_cam_world  # from the right: world axes
    roots = (lifts.root_cam_m.reshape(T, C, 1, 3) @ R_cam_world) + centre_m[:, None]
    return BestLifts(_nearest(bodies + roots, truth_m), _nearest(bodies + truth_m[:, None, [skeleton.root]], truth_m))


def _nearest(poses_m: F64, truth_m: F64) -> F64:
    """Of poses (T, C, J, 3) the one (T, J, 3) with the least mean error."""
    error_m = np.linalg.norm(poses_m - truth_m[:, None], axis=-1).mean(axis=-1)
    best = np.where(np.isnan(error_m), np.inf, error_m).argmin(axis=1)
    return poses_m[np.arange(len(poses_m)), best]
