"""The compiled inner loops of triangulation (numba). Plain loops over joints and views; see `triangulate` for the why.

Axes: C cameras, J joints; in `triangulate` joints come first, so that what belongs to one lies together. Lengths are
metres, image quantities normalised coordinates (x/z, y/z): one gate and one noise hold for every focal length. A weight
is 1/variance, 0 where the view did not see the joint.
"""

import math
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

Flags = npt.NDArray[np.bool_]

MIN_DEPTH_M = 0.05  # nearer than this to a camera is behind or inside it
MIN_DETERMINANT = 1e-12  # of the unit-trace normal matrix: below, the rays are as good as parallel
ALL_PAIRS_UP_TO = 7  # with more views than this …
NEIGHBOURS = 3  # … pairs are drawn among so many neighbours in the list only: cost linear in views
CLEAR_MAJORITY = 0.6  # … and a point that such a share of them agrees on ends the search; refining does the rest
FAST = {"reassoc", "contract", "arcp", "nsz"}  # NaN and infinity keep their meaning here
UNDISTORT_STEPS = 12  # fixed point; 1e-7 of the focal length within the image
FISHEYE_STEPS = 10  # Newton's method; 1e-12
REFINE_STEPS = 3
CONVERGED_M2 = 1e-10  # a step shorter than 10 µm is the last one
MIN_BODY_JOINTS = 4  # fewer agreed joints say nothing about where the body is
BODY_WIDENING = 1.25  # hands reach farther than the joints that three views agree on
MIN_BODY_STD_M = 0.1
MAX_BODY_DISTANCE2 = 16.0  # four standard deviations: a disputed joint out there is a chance crossing of two wrong rays
SPREAD_PRIOR_FREEDOM = 4.0  # weight of the assumed noise against the residuals seen, in degrees of freedom


def _can_keep() -> bool:
    """Whether there is a folder for what is compiled: without one, numba refuses even to define what it should keep."""
    try:
        nb.njit(cache=True)(_can_keep)
    except RuntimeError:
        return False
    return True


IS_KEPT = _can_keep()
# numpy's errors: a point in the very plane of a camera has depth 0 and infinite residual, and must not raise
_OPTIONS = {"cache": IS_KEPT, "nogil": True, "fastmath": FAST, "error_model": "numpy"}
JIT = nb.njit(**_OPTIONS)
# Called by other kernels alone: what Python would need to call it is a tenth of the time that it takes to compile.
INNER = nb.njit(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)
INLINE = nb.njit(**_OPTIONS, inline="always")


class Scratch(NamedTuple):
    """Working memory, made once a call: an allocation costs as much as the arithmetic of a view."""

    A: Array  # (3, 3) normal matrix
    b: Array  # (3,) right-hand side
    x: Array  # (3,) a solution or a step
    candidate: Array  # (3,)
    r2: Array  # (C,) squared errors
    weight: Array  # (C,) weights made from the given ones


@JIT
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


@JIT
def undistort_fisheye(K: Array, dist8: Array, widest_rad: float, keypoints_px: Array, ideal: Array) -> None:
    """Put one fisheye camera's ideal coordinates of pixels (J, 2) into ideal (J, 2); twin of lens.undistort."""
    k1, k2, k3, k4 = dist8[0], dist8[1], dist8[2], dist8[3]
    for j in range(len(keypoints_px)):
        y0 = (keypoints_px[j, 1] - K[1, 2]) / K[1, 1]
        x0 = (keypoints_px[j, 0] - K[0, 2] - K[0, 1] * y0) / K[0, 0]
        theta_d = math.sqrt(x0 * x0 + y0 * y0)
        theta = min(theta_d, widest_rad)
        off = 0.0
        for _ in range(FISHEYE_STEPS + 1):
            t2 = theta * theta
            off = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) - theta_d
            slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
            theta = min(max(theta - off / max(slope, 1e-9), 0.0), widest_rad)
        scale = math.tan(theta) / theta_d if theta_d > 0.0 else 1.0
        if not abs(off) <= 1e-9:
            scale = math.nan
        ideal[j, 0] = x0 * scale
        ideal[j, 1] = y0 * scale


@INNER
def put3(x: Array, of: Array) -> None:
    """x = of, (3,). By hand: for `x[:] = of` numba compiles also the words of its error message, half a second each."""
    for i in range(3):
        x[i] = of[i]


@INNER
def add3(x: Array, step: Array) -> None:
    """x += step, (3,)."""
    for i in range(3):
        x[i] += step[i]


@INNER
def solve3(A: Array, b: Array, x: Array) -> bool:
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


@INLINE
def accumulate(A: Array, b: Array, w: float, a0: float, a1: float, a2: float, r: float) -> None:
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


@INLINE
def depth(T: Array, c: int, X: Array) -> float:
    """Depth of X in camera c."""
    return T[c, 2, 0] * X[0] + T[c, 2, 1] * X[1] + T[c, 2, 2] * X[2] + T[c, 2, 3]


@INLINE
def _add_view(T: Array, c: int, x: float, y: float, w: float, s: Scratch) -> None:
    """Add one view's two linear equations, x·r₃X = r₁X and y·r₃X = r₂X, with weight w."""
    for axis in range(2):
        u = x if axis == 0 else y
        a0 = u * T[c, 2, 0] - T[c, axis, 0]
        a1 = u * T[c, 2, 1] - T[c, axis, 1]
        a2 = u * T[c, 2, 2] - T[c, axis, 2]
        accumulate(s.A, s.b, w, a0, a1, a2, T[c, axis, 3] - u * T[c, 2, 3])


@INNER
def linear_pair(T: Array, xy: Array, i: int, k: int, X: Array, s: Scratch) -> bool:
    """Linear point of the views i and k, equally weighted, the algebraic error divided by depth (two rounds)."""
    z_i, z_k = 1.0, 1.0
    for _ in range(2):
        s.A[:] = 0.0
        s.b[:] = 0.0
        _add_view(T, i, xy[i, 0], xy[i, 1], 1.0 / (z_i * z_i), s)
        _add_view(T, k, xy[k, 0], xy[k, 1], 1.0 / (z_k * z_k), s)
        if not solve3(s.A, s.b, X):
            return False
        z_i, z_k = max(depth(T, i, X), MIN_DEPTH_M), max(depth(T, k, X), MIN_DEPTH_M)
    return True


@INNER
def linear(T: Array, xy: Array, weight: Array, X: Array, s: Scratch) -> bool:
    """Weighted linear point of all views with weight > 0, the algebraic error divided by depth (two rounds)."""
    for turn in range(2):
        s.A[:] = 0.0
        s.b[:] = 0.0
        for c in range(len(xy)):
            if weight[c] > 0.0:
                z = 1.0 if turn == 0 else max(depth(T, c, X), MIN_DEPTH_M)
                _add_view(T, c, xy[c, 0], xy[c, 1], weight[c] / (z * z), s)
        if not solve3(s.A, s.b, X):
            return False
    return True


@INLINE
def residual2(T: Array, c: int, xy: Array, X: Array) -> float:
    """Squared reprojection error in camera c, infinite behind it."""
    z = depth(T, c, X)
    dx = (T[c, 0, 0] * X[0] + T[c, 0, 1] * X[1] + T[c, 0, 2] * X[2] + T[c, 0, 3]) / z - xy[c, 0]
    dy = (T[c, 1, 0] * X[0] + T[c, 1, 1] * X[1] + T[c, 1, 2] * X[2] + T[c, 1, 3]) / z - xy[c, 1]
    return dx * dx + dy * dy if z >= MIN_DEPTH_M else math.inf


@JIT
def _residuals(T: Array, xy: Array, X: Array, r2: Array) -> None:
    """Squared reprojection error per view."""
    for c in range(len(xy)):
        r2[c] = residual2(T, c, xy, X)


@INNER
def _count(weight: Array, r2: Array, gate2: float) -> int:
    """How many views that saw the joint lie within the gate."""
    n = 0
    for c in range(len(weight)):
        if weight[c] > 0.0 and r2[c] <= gate2:
            n += 1
    return n


@INNER
def _normal_equations(T: Array, xy: Array, weight: Array, X: Array, s: Scratch) -> None:
    """Gauss-Newton's A = Σ w·JᵀJ and b = Σ w·Jᵀr of the reprojection error at X, over the views with weight > 0."""
    s.A[:] = 0.0
    s.b[:] = 0.0
    for c in range(len(xy)):
        z = depth(T, c, X)
        if weight[c] <= 0.0 or z < MIN_DEPTH_M:
            continue
        for axis in range(2):
            u = (T[c, axis, 0] * X[0] + T[c, axis, 1] * X[1] + T[c, axis, 2] * X[2] + T[c, axis, 3]) / z
            a0 = (T[c, axis, 0] - u * T[c, 2, 0]) / z
            a1 = (T[c, axis, 1] - u * T[c, 2, 1]) / z
            a2 = (T[c, axis, 2] - u * T[c, 2, 2]) / z
            accumulate(s.A, s.b, weight[c], a0, a1, a2, xy[c, axis] - u)


@INNER
def _distance2(X: Array, centre: Array, precision: Array) -> float:
    """Squared Mahalanobis distance of X from the body; 0 where nothing is known of it (precision all zero)."""
    total = 0.0
    for row in range(3):
        for column in range(3):
            total += (X[row] - centre[row]) * precision[row, column] * (X[column] - centre[column])
    return total


@INNER
def _best_pair(
    T: Array, xy: Array, weight: Array, gate2: float, centre: Array, precision: Array, X: Array, s: Scratch
) -> bool:
    """Put the point that most views and the body agree on into X, out of the points of pairs of views.

    The cost is MSAC's (Torr and Zisserman 2000): squared errors, each capped at the gate.
    """
    n = len(xy)
    n_seen = _count(weight, weight, math.inf)
    best = math.inf
    for i in range(n):
        for k in range(i + 1, n):
            if weight[i] <= 0.0 or weight[k] <= 0.0:
                continue
            if n_seen > ALL_PAIRS_UP_TO and min(k - i, n - (k - i)) > NEIGHBOURS:
                continue
            if not linear_pair(T, xy, i, k, s.candidate, s):
                continue
            cost = _distance2(s.candidate, centre, precision)
            n_agree = 0
            for c in range(n):
                if weight[c] > 0.0:
                    r2 = residual2(T, c, xy, s.candidate)
                    n_agree += r2 <= gate2
                    cost += weight[c] * min(r2, gate2)
            if cost < best:
                best = cost
                put3(X, s.candidate)
            if n_seen > ALL_PAIRS_UP_TO and n_agree > CLEAR_MAJORITY * n_seen:
                put3(X, s.candidate)
                return True
    return best < math.inf


@INNER
def _body(points: Array, sure: Flags, centre: Array, precision: Array) -> None:
    """Where the joints lie that are sure: their mean, and the inverse of their widened covariance."""
    n = np.sum(sure)
    if n < MIN_BODY_JOINTS:
        return
    for j in range(len(points)):
        if sure[j]:
            centre += points[j] / n
    covariance = np.eye(3) * MIN_BODY_STD_M**2
    for j in range(len(points)):
        if sure[j]:
            for row in range(3):
                for column in range(3):
                    spread = (points[j, row] - centre[row]) * (points[j, column] - centre[column])
                    covariance[row, column] += BODY_WIDENING**2 * spread / n
    precision[:] = np.linalg.inv(covariance)


@INNER
def _refine(T: Array, xy: Array, weight: Array, gate2: float, X: Array, s: Scratch) -> None:
    """Gauss-Newton on the reprojection error with Geman and McClure's weights; views beyond the gate count nothing."""
    for _ in range(REFINE_STEPS):
        _residuals(T, xy, X, s.r2)
        for c in range(len(xy)):
            share = gate2 / (gate2 + s.r2[c])
            s.weight[c] = weight[c] * share * share if s.r2[c] <= gate2 else 0.0
        _normal_equations(T, xy, s.weight, X, s)
        if not solve3(s.A, s.b, s.x):
            return
        add3(X, s.x)
        if s.x[0] * s.x[0] + s.x[1] * s.x[1] + s.x[2] * s.x[2] < CONVERGED_M2:
            return


@INNER
def _spread(T: Array, xy: Array, weight: Array, r2: Array, X: Array, s: Scratch) -> float:
    """Standard deviation per axis, metres: root of the mean variance of A⁻¹, scaled by how well views agree."""
    _normal_equations(T, xy, weight, X, s)
    chi2 = 0.0
    n_used = 0
    for c in range(len(xy)):
        if weight[c] > 0.0:
            chi2 += weight[c] * r2[c]
            n_used += 1
    trace = 0.0
    for axis in range(3):
        s.b[:] = 0.0
        s.b[axis] = 1.0
        if not solve3(s.A, s.b, s.x):
            return math.inf
        trace += s.x[axis]
    freedom = 2 * n_used - 3
    return math.sqrt(trace / 3.0 * (SPREAD_PRIOR_FREEDOM + chi2) / (SPREAD_PRIOR_FREEDOM + freedom))


@INNER
def _decide(T: Array, rays: Array, weight: Array, gate2: float, points: Array, s: Scratch) -> Flags:
    """Points (J, 3) to refine from, and which joints (J,) have one.

    All views agree: their linear solution. Else the point most views agree on; where these are only two, the body that
    the other joints show helps to tell them from a chance crossing of wrong rays, and may refuse them.
    """
    n_joints = len(weight)
    found = np.zeros(n_joints, np.bool_)
    sure = np.zeros(n_joints, np.bool_)
    centre, precision = np.zeros(3), np.zeros((3, 3))
    for turn in range(2):
        for j in range(n_joints):
            xy, w, X = rays[j], weight[j], points[j]
            n_seen = _count(w, w, math.inf)
            if n_seen < 2 or sure[j]:
                continue
            if turn == 0 and linear(T, xy, w, X, s):
                _residuals(T, xy, X, s.r2)
                found[j] = _count(w, s.r2, gate2) == n_seen
            if n_seen >= 3 and (turn == 1 or not found[j]):
                found[j] = _best_pair(T, xy, w, gate2, centre, precision, X, s)
                _residuals(T, xy, X, s.r2)
            sure[j] = found[j] and _count(w, s.r2, gate2) >= 3
            if turn == 1 and _distance2(X, centre, precision) > MAX_BODY_DISTANCE2:
                found[j] = False
        if turn == 0:
            _body(points, sure, centre, precision)
    return found


@JIT
def triangulate(Ts_cam_world: Array, rays: Array, weight: Array, gate: float) -> tuple[Array, Array, Array, Flags]:
    """Points (J, 3), sigma (J,), residuals (C, J), views that count (C, J), of rays (J, C, 2) and weights (J, C)."""
    n_joints, n_cameras = weight.shape
    points = np.full((n_joints, 3), np.nan)
    sigma = np.full(n_joints, np.inf)
    residual = np.full((n_cameras, n_joints), np.nan)
    used = np.zeros((n_cameras, n_joints), np.bool_)
    gate2 = gate * gate
    s = Scratch(np.empty((3, 3)), np.empty(3), np.empty(3), np.empty(3), np.empty(n_cameras), np.empty(n_cameras))
    start = np.zeros((n_joints, 3))
    found = _decide(Ts_cam_world, rays, weight, gate2, start, s)
    for j in range(n_joints):
        if not found[j]:
            continue
        xy, w, X = rays[j], weight[j], start[j]
        _refine(Ts_cam_world, xy, w, gate2, X, s)
        _residuals(Ts_cam_world, xy, X, s.r2)
        if _count(w, s.r2, gate2) < 2:
            continue
        put3(points[j], X)
        for c in range(n_cameras):
            used[c, j] = w[c] > 0.0 and s.r2[c] <= gate2
            s.weight[c] = w[c] if used[c, j] else 0.0
            if w[c] > 0.0:
                residual[c, j] = math.sqrt(s.r2[c])
        sigma[j] = _spread(Ts_cam_world, xy, s.weight, s.r2, X, s)
    return points, sigma, residual, used
