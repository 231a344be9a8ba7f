"""All views of a moment become one pose, with the calibration alone: `merge(joints_cam_m, sigma_m, rays, …)`.

A lift says across the line of sight what the 2D says, and along it what the network has learnt, which is several times
worse; so views from different sides mend each other. Three steps, each in closed form:

1. One view does not know a body's size: a lift that is larger and farther away gives the same picture. Each is placed
   by its own 2D; where the views together place the body says how far each camera is, and so each lift's true scale.
2. The scaled lifts, each standing in its camera, are averaged joint by joint, weighted by precision matrices: across,
   what noise of the 2D leaves at that distance; along, the lift's own sigma. No joint has to be seen twice.
3. Again, with the weight of what lies far off reduced (Student's t): an outlier of one view does not move the pose.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

SIGMA_RAY = 0.004  # across, in radians: 3 px of 2D noise at 1000 px, and what a lift adds; 0.004 to 0.005 measured best
DEPTH_SHARE = 0.05  # standard deviation of a lift's own depth, as a share of it: 0.04 measured on captured motion
UNSEEN = 4.0  # times sigma: guesses of views that miss a joint err alike, so they must not outvote one that sees it
FREEDOM = 8.0  # of Student's t; 8 costs 0.1 mm on clean 2D, and of what 5 % of outliers do leaves a quarter
ROUNDS = 5


@dataclass(frozen=True)
class Merged:
    """N poses in world axes: joints_m (N, J, 3) relative to the root joint, root_m (N, 3). NaN without any lift."""

    joints_m: F64
    root_m: F64


def merge(
    joints_cam_m: F64, sigma_m: F64, rays: F64, confidence: F64, R_cam_world: F64, centre_m: F64, root: int
) -> Merged:
    """Merge N moments of C views.

    joints_cam_m (N, C, J, 3), sigma_m (N, C, J): the lifts, root-relative, in each camera; NaN where a view has none.
    rays (N, C, J, 2), confidence (N, C, J): the 2D they were made from, NaN and 0 where absent. R_cam_world (C, 3, 3),
    centre_m (C, 3): the calibration. root: index of the joint that lifts are relative to.
    """
    lifted = np.isfinite(joints_cam_m).all((-2, -1)) & np.isfinite(sigma_m).all(-1)
    seen = np.isfinite(rays).all(-1) & (confidence > 0) & lifted[..., None]
    weight = np.where(seen, confidence, 0.0)
    lifts = np.where(lifted[..., None, None], joints_cam_m, 0.0) @ R_cam_world  # from the right: world axes
    placed = _placed(lifts, _world_rays(rays, seen, R_cam_world), weight)
    lifted &= np.isfinite(placed).all(-1)
    lifts, from_cam = _rescaled(lifts, np.where(lifted[..., None], placed, 1.0), lifted, centre_m)
    bodies = from_cam[..., None, :] + lifts
    sigma = np.where(lifted[..., None], sigma_m, 1.0)
    by_2d = SIGMA_RAY * np.linalg.norm(bodies, axis=-1) / np.where(seen, confidence, 1.0)
    across = np.where(seen, np.minimum(by_2d, sigma), UNSEEN * sigma)
    along = np.where(
        seen, np.sqrt(np.maximum(3.0 * sigma**2 - 2.0 * across**2, sigma**2)), across
    )  # sigma: mean of axes
    precision = _precision(bodies, across, along) * lifted[..., None, None, None]
    merged = _robust_mean(bodies + centre_m[:, None], precision)
    root_m = merged[..., root, :]
    return Merged(merged - root_m[..., None, :], root_m)


def _world_rays(rays: F64, seen: npt.NDArray[np.bool_], R_cam_world: F64) -> F64:
    """Unit vectors (N, C, J, 3), world axes, towards each joint; any where it is not seen."""
    flat = np.where(seen[..., None], rays, 0.0)
    directions = np.concatenate([flat, np.ones((*flat.shape[:-1], 1))], axis=-1) @ R_cam_world
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def _placed(lifts: F64, directions: F64, weight: F64) -> F64:
    """Root (N, C, 3) from its camera where each lift lies nearest to its own rays (least squares); NaN for too few."""
    across = weight[..., None, None] * (np.eye(3) - _outer(directions))
    A, b = across.sum(2), -(across @ lifts[..., None])[..., 0].sum(2)
    return _solved(A, b)


def _rescaled(lifts: F64, placed: F64, lifted: npt.NDArray[np.bool_], centre_m: F64) -> tuple[F64, F64]:
    """Lifts and their roots from their cameras, scaled to the distance where all views together place the body."""
    depth_m = np.linalg.norm(placed, axis=-1)
    precision = _precision(placed, SIGMA_RAY * depth_m, DEPTH_SHARE * depth_m) * lifted[..., None, None]
    together = _robust_mean((placed + centre_m)[:, :, None], precision[:, :, None])
    towards = together - centre_m
    factor = np.where(lifted, (towards * placed).sum(-1) / depth_m**2, 1.0)
    factor = np.clip(factor, 0.5, 2.0)  # nobody is half or twice as tall as the network thinks
    return lifts * factor[..., None, None], placed * factor[..., None]


def _robust_mean(points: F64, precision: F64) -> F64:
    """Precision-weighted mean (N, J, 3) over views of points (N, C, J, 3); what is far off counts less each round."""
    trust = np.ones(points.shape[:-1])
    for _ in range(ROUNDS):
        weighted = precision * trust[..., None, None]
        mean = _solved(weighted.sum(1), (weighted @ points[..., None])[..., 0].sum(1))
        off = points - mean[:, None]
        distance2 = np.einsum("...i,...ij,...j->...", off, precision, off)
        trust = (FREEDOM + 3) / (FREEDOM + np.nan_to_num(distance2))
    return mean


def _precision(towards: F64, across: F64, along: F64) -> F64:
    """Inverse covariances (…, 3, 3) of standard deviations across and along the direction of `towards` (…, 3)."""
    line = _outer(towards / np.maximum(np.linalg.norm(towards, axis=-1, keepdims=True), 1e-9))
    precision: F64 = (np.eye(3) - line) / np.square(across)[..., None, None] + line / np.square(along)[..., None, None]
    return precision


def _outer(unit: F64) -> F64:
    return unit[..., :, None] * unit[..., None, :]


def _solved(A: F64, b: F64) -> F64:
    """A⁻¹ b for many symmetric (3, 3) A; NaN where A is as good as singular."""
    size = np.trace(A, axis1=-2, axis2=-1)[..., None, None]
    regular = np.linalg.det(A / np.where(size > 0, size, 1.0)) > 1e-9
    safe = np.where(regular[..., None, None], A, np.eye(3))
    solution: F64 = np.linalg.solve(safe, b[..., None])[..., 0]
    return np.where(regular[..., None], solution, np.nan)
