"""The compiled inner loops of triangulation (numba). Plain loops over joints and views; see `triangulate` for the why.

Axes: C cameras, J joints. All lengths in metres, all image quantities in normalised coordinates (x/z, y/z), so that one
gate and one noise hold for every focal length. A weight is 1/variance, 0 where the view did not see the joint.
"""

import math

import numba as nb
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MIN_DEPTH_M = 0.05  # nearer than this to a camera is behind or inside it
MIN_DETERMINANT = 1e-12  # of the unit-trace normal matrix: below, the rays are as good as parallel
ALL_PAIRS_UP_TO = 7  # with more views than this …
NEIGHBOURS = 3  # … pairs are drawn among so many neighbours in the list only: cost linear in views
UNDISTORT_STEPS = 12  # fixed point; 1e-7 of the focal length within the image
REFINE_STEPS = 3
MIN_BODY_JOINTS = 4  # fewer agreed joints say nothing about where the body is
BODY_WIDENING = 1.25  # hands reach farther than the joints that three views agree on
MIN_BODY_STD_M = 0.1
MAX_BODY_DISTANCE2 = 16.0  # four standard deviations: a disputed joint out there is a chance crossing of two wrong rays
SPREAD_PRIOR_FREEDOM = 4.0  # weight of the assumed noise against the residuals seen, in degrees of freedom


@nb.njit(cache=True, nogil=True)
def undistort(K: Array, dist8: Array, keypoints_px: Array) -> Array:
    """Ideal normalised coordinates (C, J, 2) of pixels (C, J, 2); twin of pinhole.undistort for all cameras at once."""
    n_cameras, n_joints = keypoints_px.shape[0], keypoints_px.shape[1]
    ideal = np.empty((n_cameras, n_joints, 2))
    for c in range(n_cameras):
        k1, k2, p1, p2, k3, k4, k5, k6 = dist8[c]
        straight = not np.any(dist8[c])
        for j in range(n_joints):
            y0 = (keypoints_px[c, j, 1] - K[c, 1, 2]) / K[c, 1, 1]
            x0 = (keypoints_px[c, j, 0] - K[c, 0, 2] - K[c, 0, 1] * y0) / K[c, 0, 0]
            x, y = x0, y0
            if not straight:
                for _ in range(UNDISTORT_STEPS):
                    r2 = x * x + y * y
                    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
                    dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
                    dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
                    x = (x0 - dx) / radial
                    y = (y0 - dy) / radial
            ideal[c, j, 0] = x
            ideal[c, j, 1] = y
    return ideal


@nb.njit(cache=True, nogil=True)
def _solve3(A: Array, b: Array, x: Array) -> bool:
    """x = A⁻¹ b for a symmetric (3, 3) A by its adjugate; False when A is as good as singular."""
    c00 = A[1, 1] * A[2, 2] - A[1, 2] * A[1, 2]
    c01 = A[0, 2] * A[1, 2] - A[0, 1] * A[2, 2]
    c02 = A[0, 1] * A[1, 2] - A[0, 2] * A[1, 1]
    det = A[0, 0] * c00 + A[0, 1] * c01 + A[0, 2] * c02
    scale = (A[0, 0] + A[1, 1] + A[2, 2]) / 3
    if not det > MIN_DETERMINANT * scale * scale * scale:
        return False
    c11 = A[0, 0] * A[2, 2] - A[0, 2] * A[0, 2]
    c12 = A[0, 1] * A[0, 2] - A[0, 0] * A[1, 2]
    c22 = A[0, 0] * A[1, 1] - A[0, 1] * A[0, 1]
    x[0] = (c00 * b[0] + c01 * b[1] + c02 * b[2]) / det
    x[1] = (c01 * b[0] + c11 * b[1] + c12 * b[2]) / det
    x[2] = (c02 * b[0] + c12 * b[1] + c22 * b[2]) / det
    return True


@nb.njit(cache=True, nogil=True)
def _linear(T: Array, xy: Array, weight: Array, X: Array, scratch: Array, rhs: Array) -> bool:
    """Weighted linear solution over the views with weight > 0, the algebraic error divided by depth (two rounds)."""
    for turn in range(2):
        scratch[:] = 0.0
        rhs[:] = 0.0
        for c in range(len(xy)):
            if weight[c] <= 0.0:
                continue
            w = weight[c]
            if turn > 0:
                z = T[c, 2, 0] * X[0] + T[c, 2, 1] * X[1] + T[c, 2, 2] * X[2] + T[c, 2, 3]
                w /= max(z * z, MIN_DEPTH_M * MIN_DEPTH_M)
            for axis in range(2):
                a0 = xy[c, axis] * T[c, 2, 0] - T[c, axis, 0]
                a1 = xy[c, axis] * T[c, 2, 1] - T[c, axis, 1]
                a2 = xy[c, axis] * T[c, 2, 2] - T[c, axis, 2]
                r = T[c, axis, 3] - xy[c, axis] * T[c, 2, 3]
                _accumulate(scratch, rhs, w, a0, a1, a2, r)
        if not _solve3(scratch, rhs, X):
            return False
    return True


@nb.njit(cache=True, nogil=True, inline="always")
def _accumulate(A: Array, b: Array, w: float, a0: float, a1: float, a2: float, r: float) -> None:
    """Add w·a·aᵀ to A and w·a·r to b, for the row a = (a0, a1, a2)."""
    A[0, 0] += w * a0 * a0
    A[0, 1] += w * a0 * a1
    A[0, 2] += w * a0 * a2
    A[1, 1] += w * a1 * a1
    A[1, 2] += w * a1 * a2
    A[2, 2] += w * a2 * a2
    b[0] += w * a0 * r
    b[1] += w * a1 * r
    b[2] += w * a2 * r


@nb.njit(cache=True, nogil=True)
def _residuals(T: Array, xy: Array, X: Array, r2: Array) -> None:
    """Squared reprojection error per view, infinite behind the camera."""
    for c in range(len(xy)):
        z = T[c, 2, 0] * X[0] + T[c, 2, 1] * X[1] + T[c, 2, 2] * X[2] + T[c, 2, 3]
        if z < MIN_DEPTH_M:
            r2[c] = math.inf
            continue
        dx = (T[c, 0, 0] * X[0] + T[c, 0, 1] * X[1] + T[c, 0, 2] * X[2] + T[c, 0, 3]) / z - xy[c, 0]
        dy = (T[c, 1, 0] * X[0] + T[c, 1, 1] * X[1] + T[c, 1, 2] * X[2] + T[c, 1, 3]) / z - xy[c, 1]
        r2[c] = dx * dx + dy * dy


@nb.njit(cache=True, nogil=True)
def _normal_equations(T: Array, xy: Array, weight: Array, X: Array, A: Array, b: Array) -> None:
    """Gauss-Newton's A = Σ w·JᵀJ and b = Σ w·Jᵀr of the reprojection error at X, over the views with weight > 0."""
    A[:] = 0.0
    b[:] = 0.0
    for c in range(len(xy)):
        if weight[c] <= 0.0:
            continue
        z = T[c, 2, 0] * X[0] + T[c, 2, 1] * X[1] + T[c, 2, 2] * X[2] + T[c, 2, 3]
        if z < MIN_DEPTH_M:
            continue
        for axis in range(2):
            u = (T[c, axis, 0] * X[0] + T[c, axis, 1] * X[1] + T[c, axis, 2] * X[2] + T[c, axis, 3]) / z
            a0 = (T[c, axis, 0] - u * T[c, 2, 0]) / z
            a1 = (T[c, axis, 1] - u * T[c, 2, 1]) / z
            a2 = (T[c, axis, 2] - u * T[c, 2, 2]) / z
            _accumulate(A, b, weight[c], a0, a1, a2, xy[c, axis] - u)


@nb.njit(cache=True, nogil=True)
def _robust_cost(weight: Array, r2: Array, gate2: float) -> float:
    """MSAC cost (Torr and Zisserman 2000): squared errors, each capped at the gate."""
    cost = 0.0
    for c in range(len(weight)):
        if weight[c] > 0.0:
            cost += weight[c] * min(r2[c], gate2)
    return cost


@nb.njit(cache=True, nogil=True)
def _distance2(X: Array, centre: Array, precision: Array) -> float:
    """Squared Mahalanobis distance of X from the body; 0 where nothing is known of it (precision all zero)."""
    total = 0.0
    for row in range(3):
        for column in range(3):
            total += (X[row] - centre[row]) * precision[row, column] * (X[column] - centre[column])
    return total


@nb.njit(cache=True, nogil=True)
def _best_pair(
    T: Array, xy: Array, weight: Array, gate2: float, centre: Array, precision: Array, X: Array, A: Array, b: Array
) -> bool:
    """Put the point that most views and the body agree on into X, out of the points of pairs of views."""
    n = len(xy)
    n_seen = np.sum(weight > 0.0)
    pair_weight = np.zeros(n)
    candidate = np.empty(3)
    r2 = np.empty(n)
    best = math.inf
    for i in range(n):
        for k in range(i + 1, n):
            if weight[i] <= 0.0 or weight[k] <= 0.0:
                continue
            if n_seen > ALL_PAIRS_UP_TO and min(k - i, n - (k - i)) > NEIGHBOURS:
                continue
            pair_weight[i] = weight[i]
            pair_weight[k] = weight[k]
            found = _linear(T, xy, pair_weight, candidate, A, b)
            pair_weight[i] = 0.0
            pair_weight[k] = 0.0
            if not found:
                continue
            _residuals(T, xy, candidate, r2)
            cost = _robust_cost(weight, r2, gate2) + _distance2(candidate, centre, precision)
            if cost < best:
                best = cost
                X[:] = candidate
    return best < math.inf


@nb.njit(cache=True, nogil=True)
def _body(points: Array, agreed: npt.NDArray[np.bool_], centre: Array, precision: Array) -> None:
    """Where the joints lie that the views agree on: their mean, and the inverse of their widened covariance."""
    precision[:] = 0.0
    n = np.sum(agreed)
    if n < MIN_BODY_JOINTS:
        return
    centre[:] = 0.0
    for j in range(len(points)):
        if agreed[j]:
            centre += points[j] / n
    covariance = np.eye(3) * MIN_BODY_STD_M**2
    for j in range(len(points)):
        if agreed[j]:
            for row in range(3):
                for column in range(3):
                    spread = (points[j, row] - centre[row]) * (points[j, column] - centre[column])
                    covariance[row, column] += BODY_WIDENING**2 * spread / n
    precision[:] = np.linalg.inv(covariance)


@nb.njit(cache=True, nogil=True)
def _refine(T: Array, xy: Array, weight: Array, gate2: float, X: Array, A: Array, b: Array, r2: Array) -> None:
    """Gauss-Newton on the reprojection error with Geman and McClure's weights; views beyond the gate count nothing."""
    robust = np.empty(len(xy))
    step = np.empty(3)
    for _ in range(REFINE_STEPS):
        _residuals(T, xy, X, r2)
        for c in range(len(xy)):
            share = gate2 / (gate2 + r2[c])
            robust[c] = weight[c] * share * share if r2[c] <= gate2 else 0.0
        _normal_equations(T, xy, robust, X, A, b)
        if not _solve3(A, b, step):
            return
        X += step


@nb.njit(cache=True, nogil=True)
def _spread(T: Array, xy: Array, weight: Array, r2: Array, X: Array, A: Array, b: Array) -> float:
    """Standard deviation per axis, metres: root of the mean variance of A⁻¹, scaled by how well views agree."""
    _normal_equations(T, xy, weight, X, A, b)
    chi2 = 0.0
    n_used = 0
    for c in range(len(xy)):
        if weight[c] > 0.0:
            chi2 += weight[c] * r2[c]
            n_used += 1
    column = np.empty(3)
    unit = np.zeros(3)
    trace = 0.0
    for axis in range(3):
        unit[:] = 0.0
        unit[axis] = 1.0
        if not _solve3(A, unit, column):
            return math.inf
        trace += column[axis]
    freedom = 2 * n_used - 3
    return math.sqrt(trace / 3.0 * (SPREAD_PRIOR_FREEDOM + chi2) / (SPREAD_PRIOR_FREEDOM + freedom))


@nb.njit(cache=True, nogil=True)
def _decide(T: Array, rays: Array, weight: Array, gate2: float, points: Array) -> npt.NDArray[np.bool_]:
    """Points (J, 3) to refine from, and which joints (J,) have one.

    All views agree: their linear solution. Else the point most views agree on; where these are only two, the body that
    the other joints show helps to tell them from a chance crossing of wrong rays, and may refuse them.
    """
    n_cameras, n_joints = weight.shape
    found = np.zeros(n_joints, np.bool_)
    sure = np.zeros(n_joints, np.bool_)
    centre, precision = np.zeros(3), np.zeros((3, 3))
    A, b, r2 = np.empty((3, 3)), np.empty(3), np.empty(n_cameras)
    for turn in range(2):
        for j in range(n_joints):
            xy = np.ascontiguousarray(rays[:, j])
            w = np.ascontiguousarray(weight[:, j])
            n_seen = np.sum(w > 0.0)
            if n_seen < 2 or sure[j]:
                continue
            if turn == 0 and _linear(T, xy, w, points[j], A, b):
                _residuals(T, xy, points[j], r2)
                found[j] = np.max(np.where(w > 0.0, r2, 0.0)) <= gate2
            if n_seen >= 3 and not (found[j] and turn == 0):
                found[j] = _best_pair(T, xy, w, gate2, centre, precision, points[j], A, b)
            _residuals(T, xy, points[j], r2)
            sure[j] = found[j] and np.sum((w > 0.0) & (r2 <= gate2)) >= 3
            if turn == 1 and _distance2(points[j], centre, precision) > MAX_BODY_DISTANCE2:
                found[j] = False
        if turn == 0:
            _body(points, sure, centre, precision)
    return found


@nb.njit(cache=True, nogil=True)
def triangulate(
    Ts_cam_world: Array, rays: Array, weight: Array, gate: float
) -> tuple[Array, Array, Array, npt.NDArray[np.bool_]]:
    """Points (J, 3), sigma (J,), residuals (C, J), views that count (C, J), of rays (C, J, 2) and weights (C, J)."""
    n_cameras, n_joints = weight.shape
    points = np.full((n_joints, 3), np.nan)
    sigma = np.full(n_joints, np.inf)
    residual = np.full((n_cameras, n_joints), np.nan)
    used = np.zeros((n_cameras, n_joints), np.bool_)
    gate2 = gate * gate
    b, A = np.empty(3), np.empty((3, 3))
    r2, counted = np.empty(n_cameras), np.empty(n_cameras)
    start = np.empty((n_joints, 3))
    found = _decide(Ts_cam_world, rays, weight, gate2, start)
    for j in range(n_joints):
        if not found[j]:
            continue
        X = start[j]
        xy = np.ascontiguousarray(rays[:, j])
        w = np.ascontiguousarray(weight[:, j])
        _refine(Ts_cam_world, xy, w, gate2, X, A, b, r2)
        _residuals(Ts_cam_world, xy, X, r2)
        counted[:] = np.where(r2 <= gate2, w, 0.0)
        if np.sum(counted > 0.0) < 2:
            continue
        points[j] = X
        sigma[j] = _spread(Ts_cam_world, xy, counted, r2, X, A, b)
        residual[:, j] = np.where(w > 0.0, np.sqrt(r2), np.nan)
        used[:, j] = counted > 0.0
    return points, sigma, residual, used
