"""What the views alone say of a person's joints (numba), apart from all else: so an expectation that is wrong does not
make good views look like outliers, and something can be learnt from how far it was off.
"""

import math

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INLINE, INNER, Scratch, add3, put3, residual2, solve3
from nodes.stages.person_problem import TINY, Problem, Work, add_view_step
from nodes.stages.small_matrices import inverse3, quadratic

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SEE_STEPS = 2
MOST_SPREAD2 = 0.02  # m²: rays that are nearly parallel say too little to be taken by themselves
SPREAD_FREEDOM = 10.0  # weight of the assumed noise against the residuals seen, in degrees of freedom
LEAST_TRUST, MOST_TRUST = 0.1, 1.5  # of a joint's views, relative to the assumed noise
VIEW_HUBER = 2.0


@INNER
def see_views(p: Problem, m: int, x: Array, w: Work) -> None:
    """What the views alone say of each joint that two of them or more agree on: place, covariance and information.

    Apart from all other terms, so that an expectation that is wrong does not make views look like outliers.
    """
    T, gate2, s = p.views.Ts_cam_world, p.views.gate * p.views.gate, w.s
    for j in range(len(x)):
        w.seen[j] = w.sound[j] = False
        if w.agreeing[j] < 2:
            continue
        rays, weight = p.views.rays[m, j], p.views.weight[m, j]
        put3(w.seen_m[j], x[j])
        chi2, n_used = 0.0, 0
        for _ in range(SEE_STEPS):
            chi2, n_used = robust_views(T, rays, weight, gate2, w.seen_m[j], s)
            if not solve3(s.A, s.b, s.x):
                break
            add3(w.seen_m[j], s.x)
        mirror(s.A)
        if n_used < 2 or not inverse3(s.A, w.seen_covariance[j]):
            continue
        trust = (SPREAD_FREEDOM + 2 * n_used - 3) / (SPREAD_FREEDOM + chi2)  # this joint's own noise
        trust = min(max(trust, LEAST_TRUST), MOST_TRUST)
        spread = 0.0
        for i in range(3):
            w.seen_h[j, i] = 0.0
            for k in range(3):
                w.seen_covariance[j, i, k] /= trust
                w.seen_inverse[j, i, k] = trust * s.A[i, k]
                w.seen_h[j, i] += trust * s.A[i, k] * w.seen_m[j, k]
            spread += w.seen_covariance[j, i, i]
        w.seen[j] = spread < MOST_SPREAD2
        w.sound[j] = w.seen[j] and n_used == w.n_seen[j]


@INNER
def robust_views(T: Array, rays: Array, weight: Array, gate2: float, X: Array, s: Scratch) -> tuple[float, int]:
    """Normal equations s.A, s.b of the views at X with Geman and McClure's weights; their squared errors and number."""
    s.A[:] = 0.0
    s.b[:] = 0.0
    chi2, n_used = 0.0, 0
    for c in range(len(weight)):
        if weight[c] > 0.0:
            r2 = residual2(T, c, rays, X)
            if r2 <= gate2:
                share = gate2 / (gate2 + r2)
                chi2 += weight[c] * r2
                n_used += 1
                add_view_step(T, c, rays, weight[c] * share * share, X, s)
    return chi2, n_used


@INNER
def only_view(T: Array, rays: Array, weight: Array, X: Array, s: Scratch) -> None:
    """As `robust_views` for the one view that saw a joint: with Huber's weight, as it may be right, expectation not."""
    s.A[:] = 0.0
    s.b[:] = 0.0
    for c in range(len(weight)):
        if weight[c] > 0.0:
            off = math.sqrt(weight[c] * residual2(T, c, rays, X))
            add_view_step(T, c, rays, weight[c] * min(1.0, VIEW_HUBER / max(off, TINY)), X, s)


@INLINE
def mirror(A: Array) -> None:
    """Fill the lower half of a symmetric matrix."""
    A[1, 0], A[2, 0], A[2, 1] = A[0, 1], A[0, 2], A[1, 2]


@INNER
def see_middles(middle: Ints, w: Work) -> None:
    """Joints that are by definition the middle of two others, and that no detector tells, are seen where those are."""
    for j in range(len(middle)):
        a, b = middle[j, 0], middle[j, 1]
        if a >= 0 and not w.seen[j] and w.seen[a] and w.seen[b]:
            w.seen[j] = True
            w.sound[j] = w.sound[a] and w.sound[b]
            for i in range(3):
                w.seen_m[j, i] = (w.seen_m[a, i] + w.seen_m[b, i]) / 2
                for k in range(3):
                    w.seen_covariance[j, i, k] = (w.seen_covariance[a, i, k] + w.seen_covariance[b, i, k]) / 4


@INNER
def measure_bone(j: int, up: int, w: Work) -> tuple[float, float]:
    """A bone's length by the views alone, and its variance. Noise across the bone makes it look longer: taken off."""
    size2 = 0.0
    for i in range(3):
        w.u[i] = w.seen_m[j, i] - w.seen_m[up, i]
        size2 += w.u[i] * w.u[i]
    along, total = 0.0, 0.0
    for i in range(3):
        total += w.seen_covariance[j, i, i] + w.seen_covariance[up, i, i]
        for k in range(3):
            both = w.seen_covariance[j, i, k] + w.seen_covariance[up, i, k]
            along += w.u[i] * both * w.u[k] / max(size2, TINY)
    return math.sqrt(max(size2 - (total - along), 0.0)), along


@INNER
def surprise_of(p: Problem, m: int, j: int, up: int, w: Work) -> float:
    """Squared distance of a bone (of a root, its place) by the views from the expected one, over what it should be.

    About 1 when all is right; NaN where views or expectation are lacking.
    """
    if not w.sound[j] or (up >= 0 and not w.sound[up]):
        return math.nan
    information = p.expected.information[m, j] if up < 0 else p.expected.bone_information[m, j]
    expected = p.expected.joints_m[m, j] if up < 0 else p.expected.bone_m[m, j]
    if not information[0, 0] > 0.0 or not inverse3(information, w.E):
        return math.nan
    for i in range(3):
        w.u[i] = w.seen_m[j, i] - expected[i]
        for k in range(3):
            w.E[i, k] += w.seen_covariance[j, i, k]
            if up >= 0:
                w.E[i, k] += w.seen_covariance[up, i, k]
        if up >= 0:
            w.u[i] -= w.seen_m[up, i]
    if not inverse3(w.E, w.S):
        return math.nan
    return quadratic(w.S, w.u[0], w.u[1], w.u[2]) / 3.0
