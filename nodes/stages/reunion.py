"""Newcomers who are somebody remembered: near where that one was expected, and of the same size."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from calibration.triangulate import RigArrays
from lifter.skeleton import Skeleton
from nodes.stages.matching import Detected
from nodes.stages.newcomers import Newcomers

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEAR_M = 0.4  # from where somebody was expected: what a prediction is off by after the gap that it is carried over …
WANDER_M_S = 1.5  # … and how much farther for each second unseen: walking speed
SIZE_SIGMA = 0.08  # of the logarithm of the ratio of sizes: triangulated once from two views, bones are off by 3 %
MIN_BONES = 4
IMPOSSIBLE = 1e3  # above all costs, so that as many as can be are reunited
MIN_DEPTH_M = 0.1


def reunite(
    rig: RigArrays, detected: Detected, newcomers: Newcomers, expected_m: F64, unseen_s: F64, skeleton: Skeleton
) -> Ints:
    """Per newcomer (N,) the index of the remembered person that it is, -1 for somebody new.

    expected_m (D, J, 3): where each of the remembered would be now, world, NaN where unknown. unseen_s: (D,).
    """
    n_new, n_old = len(newcomers.who), len(expected_m)
    if not n_new or not n_old:
        return np.full(n_new, -1)
    away_m, ratio = _differences(rig, detected, newcomers, expected_m, skeleton)
    gate_m = NEAR_M + WANDER_M_S * unseen_s
    size = np.log(np.where(ratio > 0, ratio, np.nan))
    cost = (away_m / gate_m) ** 2 + (size / (2 * SIZE_SIGMA)) ** 2
    possible = (away_m <= gate_m) & (np.abs(size) <= 2 * SIZE_SIGMA)  # NaN is not possible
    new, old = linear_sum_assignment(np.where(possible, cost, IMPOSSIBLE))
    result = np.full(n_new, -1)
    real = possible[new, old]
    result[new[real]] = old[real]
    return result


def _differences(
    rig: RigArrays, detected: Detected, newcomers: Newcomers, expected_m: F64, skeleton: Skeleton
) -> tuple[F64, F64]:
    """Distances (N, D) in metres and ratios of sizes (N, D), NaN where they cannot be told."""
    away_m, ratio = np.full((2, len(newcomers.who), len(expected_m)), np.nan)
    for n, who in enumerate(newcomers.who):
        if newcomers.n_views[n] >= 2:
            away_m[n], ratio[n] = _in_space(newcomers.joints_m[n], expected_m, skeleton)
        else:
            c = int(np.flatnonzero(who >= 0)[0])
            rays = np.where(detected.confidence[c, who[c], :, None] > 0, detected.rays[c, who[c]], np.nan)
            away_m[n], ratio[n] = _in_view(rig.Ts_cam_world[c], rays, expected_m)
    return away_m, ratio


def _in_space(joints_m: F64, expected_m: F64, skeleton: Skeleton) -> tuple[F64, F64]:
    """Distance (D,) of the middles of the common joints, and ratio (D,) of the summed lengths of common bones."""
    apart = joints_m - expected_m
    known = np.isfinite(apart).all(axis=-1)
    n = known.sum(axis=-1)
    middle = np.where(known[..., None], apart, 0.0).sum(axis=1) / np.where(n, n, np.nan)[:, None]
    bones = np.array(skeleton.bones)
    length = np.linalg.norm(joints_m[bones[:, 0]] - joints_m[bones[:, 1]], axis=-1)
    expected = np.linalg.norm(expected_m[:, bones[:, 0]] - expected_m[:, bones[:, 1]], axis=-1)
    both = np.isfinite(length) & np.isfinite(expected)
    total, total_expected = np.where(both, length, 0.0).sum(axis=1), np.where(both, expected, 0.0).sum(axis=1)
    enough = both.sum(axis=1) >= MIN_BONES
    return np.linalg.norm(middle, axis=-1), np.where(
        enough & (total > 0), total / np.where(enough, total_expected, 1.0), np.nan
    )


def _in_view(T_cam_world: F64, rays: F64, expected_m: F64) -> tuple[F64, F64]:
    """The same (D,), (D,) from one view's rays (J, 2): middles at the expected depth, and spread in the picture."""
    cam_m = expected_m @ T_cam_world[:, :3].T + T_cam_world[:, 3]
    depth = np.where(cam_m[..., 2] > MIN_DEPTH_M, cam_m[..., 2], np.nan)
    places = cam_m[..., :2] / depth[..., None]
    known = np.isfinite(places - rays).all(axis=-1)
    n = known.sum(axis=-1)
    count = np.where(n >= MIN_BONES, n, np.nan)

    def middle(xy: F64) -> F64:
        return np.asarray(np.where(known[..., None], xy, 0.0).sum(axis=1) / count[:, None])

    def spread(xy: F64) -> F64:
        off = np.where(known[..., None], xy - middle(xy)[:, None], 0.0)
        return np.asarray(np.sqrt(np.square(off).sum(axis=(1, 2)) / count))

    seen = np.broadcast_to(rays, places.shape)
    mean_depth = np.where(known, depth, 0.0).sum(axis=1) / count
    away_m = np.linalg.norm(middle(seen) - middle(places), axis=-1) * mean_depth
    return away_m, spread(seen) / spread(places)
