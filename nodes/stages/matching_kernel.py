"""The compiled inner loops of association (numba): how well detections fit people in 3D, and each other.

Axes: K tracks, C cameras, P detections of a view, J joints. Rays are undistorted normalised coordinates (x/z, y/z);
differences are told in metres at the person's depth, so that one gate holds for every lens and distance. A weight is
the confidence of a usable joint, else 0. A detection may have left and right mixed up: each fit is the better one of
its labels as they are and mirrored.
"""

import math

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INLINE, INNER, JIT, MIN_DEPTH_M

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

FLOOR_M = 0.05  # detectors put joints so far off the bones' true ends, alike in no two views
RAY_SIGMA = 0.006  # and so far off in the picture: 6 px at 1000 px focal length, calibration's faults included
GATE = 3.0  # standard deviations within which a joint agrees
CAP = GATE * GATE / 2  # what a joint beyond the gate costs: as much as one at the gate
MIN_SHARE = 0.5  # of the common joints must agree: a crop with two people in it gives half a body of each
MIN_COMMON = 4  # fewer joints say nothing about who it is
FIRST_LOOK, FIRST_AGREE = 8, 3  # what agrees on fewer of so many joints is given up: 1 in 1000 true ones is
GOLDEN = 0.382  # stepping through the joints by this share of them visits all the body early
SAME_SHARE = 0.05  # detections nearer than this share of the body's size are one person found twice


@INLINE
def is_number(x: float) -> bool:
    """Whether it is finite. Not math.isfinite, which numba makes from x - x: `reassoc` turns that into 0 for sums."""
    return abs(x) < math.inf


@INNER
def project_person(Ts_cam_world: F64, c: int, joints_m: F64, sigma_m: F64, xy: F64, depth: F64, scale: F64) -> float:
    """Fill xy (J, 2), depth (J,) and scale (J,), metres, 0 where it cannot be judged; the mean of 2·ln(scale/floor)."""
    T = Ts_cam_world[c]
    n = 0
    spread = 0.0
    for j in range(len(joints_m)):
        X, Y, Z = joints_m[j, 0], joints_m[j, 1], joints_m[j, 2]
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
        scale[j] = 0.0
        if not (z >= MIN_DEPTH_M and is_number(sigma_m[j])):  # NaN fails, too
            continue
        depth[j] = z
        xy[j, 0] = (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]) / z
        xy[j, 1] = (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]) / z
        floor = math.sqrt(FLOOR_M * FLOOR_M + RAY_SIGMA * RAY_SIGMA * z * z)
        scale[j] = math.sqrt(floor * floor + sigma_m[j] * sigma_m[j])
        spread += 2.0 * math.log(scale[j] / floor)
        n += 1
    return spread / n if n else 0.0


@INNER
def joint_step(n_joints: int) -> int:
    """By how much to step through the joints (modulo their number) so that each is far from the one before."""
    step = max(1, round(GOLDEN * n_joints))
    while math.gcd(step, n_joints) != 1:
        step += 1
    return step


@INNER
def fit(rays: F64, weight: F64, xy: F64, depth: F64, scale: F64, labels: Ints, min_share: float) -> float:
    """Weighted mean over common joints of half the squared difference in sigmas, capped; inf beyond the gate.

    labels (J,): the joint of the person that each joint of the detection is taken for.
    """
    total, agreeing, cost = 0.0, 0.0, 0.0
    n, n_agreeing = 0, 0
    step = joint_step(len(weight))
    j = 0
    for _ in range(len(weight)):
        j = (j + step) % len(weight)
        of = labels[j]
        if not (weight[j] > 0.0 and scale[of] > 0.0):
            continue
        dx, dy = rays[j, 0] - xy[of, 0], rays[j, 1] - xy[of, 1]
        in_sigmas = depth[of] / scale[of]
        half2 = 0.5 * (dx * dx + dy * dy) * in_sigmas * in_sigmas
        total += weight[j]
        n += 1
        if half2 <= CAP:
            n_agreeing += 1
            agreeing += weight[j]
            cost += weight[j] * half2
        else:
            cost += weight[j] * CAP
        if n == FIRST_LOOK and n_agreeing < FIRST_AGREE:
            return math.inf
    if n < MIN_COMMON or agreeing < min_share * total:
        return math.inf
    return cost / total


@JIT
def track_costs(
    Ts_cam_world: F64, rays: F64, weight: F64, joints_m: F64, sigma_m: F64, mirror: Ints
) -> tuple[F64, F64]:
    """Costs (K, C, P) of taking detection p of camera c for track k, inf beyond the gate; and of a perfect fit (K, C).

    A negative log-likelihood per joint: a track whose place is known badly does not win for its wide gate.
    """
    n_tracks, n_joints = sigma_m.shape
    n_cameras, n_found = weight.shape[:2]
    cost = np.full((n_tracks, n_cameras, n_found), math.inf)
    plain = np.arange(n_joints)
    spread = np.zeros((n_tracks, n_cameras))
    xy, depth, scale = np.empty((n_joints, 2)), np.empty(n_joints), np.empty(n_joints)
    for k in range(n_tracks):
        for c in range(n_cameras):
            spread[k, c] = project_person(Ts_cam_world, c, joints_m[k], sigma_m[k], xy, depth, scale)
            for p in range(n_found):
                as_is = fit(rays[c, p], weight[c, p], xy, depth, scale, plain, MIN_SHARE)
                mirrored = fit(rays[c, p], weight[c, p], xy, depth, scale, mirror, MIN_SHARE)
                cost[k, c, p] = min(as_is, mirrored) + spread[k, c]
    return cost, spread


@INNER
def _is_same(one: F64, weight_one: F64, other: F64, weight_other: F64) -> bool:
    """Whether two detections of a view are one person found twice: their common joints nearly coincide."""
    low_x, low_y, high_x, high_y = math.inf, math.inf, -math.inf, -math.inf
    n_one, n_other, n, apart = 0, 0, 0, 0.0
    for j in range(len(one)):
        n_one += weight_one[j] > 0.0
        n_other += weight_other[j] > 0.0
        if weight_one[j] > 0.0 and weight_other[j] > 0.0:
            n += 1
            apart += math.hypot(one[j, 0] - other[j, 0], one[j, 1] - other[j, 1])
            low_x, high_x = min(low_x, one[j, 0]), max(high_x, one[j, 0])
            low_y, high_y = min(low_y, one[j, 1]), max(high_y, one[j, 1])
    if n < MIN_COMMON or 2 * n < min(n_one, n_other):
        return False
    return apart / n < SAME_SHARE * max(high_x - low_x, high_y - low_y)


@JIT
def distinct(rays: F64, weight: F64) -> Ints:
    """Per detection (C, P) the one of its view that stands for it: itself, or the surer one that it repeats.

    -1 for a detection with too few joints to say who it is.
    """
    n_cameras, n_found = weight.shape[:2]
    stands_for = np.full((n_cameras, n_found), -1)
    for c in range(n_cameras):
        sureness = np.zeros(n_found)
        for p in range(n_found):
            sureness[p] = np.sum(weight[c, p])
        for p in np.argsort(-sureness, kind="mergesort"):
            if np.sum(weight[c, p] > 0.0) < MIN_COMMON:
                continue
            stands_for[c, p] = p
            for q in range(n_found):
                if q != p and stands_for[c, q] == q and _is_same(rays[c, p], weight[c, p], rays[c, q], weight[c, q]):
                    stands_for[c, p] = q
                    break
    return stands_for


@JIT
def doubtful(cost: F64, who: Ints, margin: float) -> Flags:
    """Which of the assignments who (K,) of one view, costs (K, P), could nearly as well be another.

    One is in doubt when exchanging two people's detections, taking a detection that is nobody's, or giving the
    detection to somebody who has none costs less than the margin.
    """
    n_tracks, n_found = cost.shape
    owner = np.full(n_found, -1)
    for k in range(n_tracks):
        if who[k] >= 0:
            owner[who[k]] = k
    doubt = np.zeros(n_tracks, np.bool_)
    for k in range(n_tracks):
        if who[k] < 0:
            continue
        own = cost[k, who[k]]
        for p in range(n_found):
            if p == who[k] or not is_number(cost[k, p]):
                continue
            if owner[p] < 0:
                doubt[k] |= cost[k, p] - own < margin
            elif is_number(cost[owner[p], who[k]]):
                other = owner[p]
                worse = cost[k, p] + cost[other, who[k]] - own - cost[other, p]
                doubt[k] |= worse < margin
                doubt[other] |= worse < margin
        for other in range(n_tracks):
            if other != k and who[other] < 0 and cost[other, who[k]] - own < margin:
                doubt[k] = True
    return doubt
