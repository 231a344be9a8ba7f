"""The compiled heart of fusion (numba): one robust least-squares problem per person, solved exactly on the body's tree.

Unknown: the places of a person's N joints (`body_tree.BodyTree`). Terms: reprojection in each view that saw a joint
(Geman and McClure's weights); the bone vectors of each view's lift, and the prediction (Student's t weights); the
lengths of bones. Each term binds a joint alone or with its parent, so every Gauss-Newton step is solved exactly by
passing 3x3 messages from the leaves to the root and back (Gaussian elimination on a tree: cost linear in joints), and
the same pass gives each joint's covariance.

Before the steps every joint gets a place to start from: the point of all views, of a pair of views, of one view or of
none that costs least, errors capped (MSAC, Torr and Zisserman 2000), with what is expected of it as one more witness.

Axes: M people, N joints, C cameras. Metres and normalised coordinates; an information is an inverse covariance, 0 where
there is none.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import (
    INLINE,
    INNER,
    JIT,
    MIN_DEPTH_M,
    Scratch,
    accumulate,
    add3,
    depth,
    linear,
    linear_pair,
    put3,
    residual2,
    solve3,
)
from nodes.stages.small_matrices import inverse3, multiply3, put33, quadratic

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

STEPS = 4  # Gauss-Newton; the fourth moves joints by less than 0.1 mm
EXPECTED_CAP = 22.0  # most that leaving an expectation may cost: two agreeing views (24.5 at 3.5 sigma) beat it …
CAP_OF_TWO = 26.0  # … but where only two saw a joint, they agree by chance in one of ten cases, when one is wrong
UNSURPRISED = 9.0  # and are believed without a second look only within three sigmas of what was expected
NOBODY_RIGHT = 6.0  # more than two outliers that it costs to believe none of two views
LIFT_HUBER = 2.5  # sigmas beyond which a lift's pull grows no more; it never lets go: with one view it is all there is
PRIOR_FREEDOM = 6.0
NEIGHBOUR2 = 0.0004  # m², how wrong the neighbour's own place may be
PAIRS_UP_TO = 7  # with more views than this pairs are drawn among neighbours in the list: cost linear in views
PAIR_REACH = 3
SEE_STEPS = 2
MOST_SPREAD2 = 0.02  # m²: rays that are nearly parallel say too little to be taken by themselves
SPREAD_FREEDOM = 10.0  # weight of the assumed noise against the residuals seen, in degrees of freedom
LEAST_TRUST, MOST_TRUST = 0.1, 1.5  # of a joint's views, relative to the assumed noise
LENGTH_HUBER = 3.0
VIEW_HUBER = 2.0
MISFIT_CAP = 30.0
UNKNOWN_LENGTH_M = 0.3
MIN_LENGTH_M = 0.03  # of a shorter bone the direction is noise
TINY = 1e-9


class Views(NamedTuple):
    """What is seen. weight is 1/variance, 0 where a view did not see the joint."""

    Ts_cam_world: Array  # (C, 3, 4)
    centre_m: Array  # (C, 3)
    rays: Array  # (M, N, C, 2)
    weight: Array  # (M, N, C)
    gate: float  # errors beyond it are outliers


class Expected(NamedTuple):
    """What was expected before looking. Errors of neighbours go together, those of bones do not: so a followed person is
    expected as a root and bones; the places of joints that follow from them only help to find where to start.
    """

    joints_m: Array  # (M, N, 3)
    witness: Array  # (M, N, 3, 3) information about these places, for the start alone
    information: Array  # (M, N, 3, 3) information about them, for the solution: roots, or all joints of a new person
    bone_m: Array  # (M, N, 3) from the parent
    bone_information: Array  # (M, N, 3, 3)


class Lifted(NamedTuple):
    """Vectors from the parent joint in world axes, and information along the line of sight and across it."""

    bone_m: Array  # (M, C, N, 3)
    along: Array  # (M, C, N)
    across: Array  # (M, C, N)
    news: Array  # (M,) share that counts for bones that are triangulated: a lift errs alike from tick to tick


class Lengths(NamedTuple):
    """What is known of the bones' lengths."""

    length_m: Array  # (M, N)
    information: Array  # (M, N)


class Tree(NamedTuple):
    """As in BodyTree."""

    parent: Ints  # (N,)
    order: Ints  # (N,)
    middle: Ints  # (N, 2)


class Problem(NamedTuple):
    """All of a tick."""

    views: Views
    expected: Expected
    lifted: Lifted
    lengths: Lengths
    tree: Tree


class Solved(NamedTuple):
    """joints_m NaN where nothing places the joint; residual2: squared error, NaN where not seen; used: views that count."""

    joints_m: Array  # (M, N, 3)
    covariance: Array  # (M, N, 3, 3)
    bone_covariance: Array  # (M, N, 3, 3) of the vector from the parent; of a root, its own
    residual2: Array  # (M, N, C)
    used: Flags  # (M, N, C)
    bone_m: Array  # (M, N) length of the bone to the parent by the views alone, NaN where an end is not triangulated
    bone_variance: Array  # (M, N) of that
    surprise: Array  # (M, N) mean squared distance of expectation and views, in sigmas per axis; NaN where one lacks


class Work(NamedTuple):
    """Working memory, made once a call."""

    s: Scratch
    agreeing: Ints  # (N,) views that agree with a joint's start, -1 where it has none
    n_seen: Ints  # (N,) views that saw it
    settled: Flags  # (N,)
    seen: Flags  # (N,) whether two views or more count
    sound: Flags  # (N,) and none of those that saw it disagrees: something can be learnt from it
    seen_m: Array  # (N, 3) place by the views alone
    seen_covariance: Array  # (N, 3, 3)
    seen_A: Array  # (N, 3, 3) its inverse
    seen_h: Array  # (N, 3) seen_A seen_m
    U: Array  # (N, 3, 3) information of a joint, then also of the joints below it
    h: Array  # (N, 3)
    E_of: Array  # (N, 3, 3) information of the bone to the parent
    e: Array  # (N, 3)
    S_of: Array  # (N, 3, 3)
    G_of: Array  # (N, 3, 3)
    trust: Array  # (C,)
    misfit: Array  # (C,)
    n_bones: Array  # (C,)
    E: Array  # (3, 3)
    S: Array  # (3, 3)
    u: Array  # (3,)
    mean: Array  # (3,)


@INNER
def make_work(n: int, c: int) -> Work:
    """Memory for N joints and C cameras."""
    s = Scratch(np.empty((3, 3)), np.empty(3), np.empty(3), np.empty(3), np.empty(c), np.empty(c))
    return Work(
        s,
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.bool_),
        np.zeros(n, np.bool_),
        np.zeros(n, np.bool_),
        np.zeros((n, 3)),
        np.zeros((n, 3, 3)),
        np.zeros((n, 3, 3)),
        np.zeros((n, 3)),
        np.zeros((n, 3, 3)),
        np.zeros((n, 3)),
        np.zeros((n, 3, 3)),
        np.zeros((n, 3)),
        np.zeros((n, 3, 3)),
        np.zeros((n, 3, 3)),
        np.ones(c),
        np.zeros(c),
        np.zeros(c),
        np.zeros((3, 3)),
        np.zeros((3, 3)),
        np.zeros(3),
        np.zeros(3),
    )


@INLINE
def _add_anisotropic(A: Array, u: Array, along: float, across: float) -> None:
    """A += across (1 - u uᵀ) + along u uᵀ."""
    more = along - across
    for i in range(3):
        A[i, i] += across
        for k in range(3):
            A[i, k] += more * u[i] * u[k]


@INNER
def _line_of_sight(centre: Array, x: Array, u: Array) -> None:
    """u = unit vector from a camera to x."""
    size = 0.0
    for i in range(3):
        u[i] = x[i] - centre[i]
        size += u[i] * u[i]
    size = 1.0 / math.sqrt(max(size, TINY))
    for i in range(3):
        u[i] *= size


@INNER
def _cost(
    T: Array, xy: Array, weight: Array, gate2: float, mean: Array, information: Array, cap: float, X: Array
) -> float:
    """Capped squared errors of X in the views, and capped distance from what was expected."""
    total = min(quadratic(information, X[0] - mean[0], X[1] - mean[1], X[2] - mean[2]), cap)
    for c in range(len(xy)):
        if weight[c] > 0.0:
            total += weight[c] * min(residual2(T, c, xy, X), gate2)
    return total


@INNER
def _expected_and_views(
    T: Array, xy: Array, weight: Array, only: int, mean: Array, information: Array, X: Array, s: Scratch
) -> bool:
    """X = the place that suits the expectation and the view `only` (all views when negative): Gauss-Newton, two steps."""
    put3(X, mean)
    for _ in range(2):
        put33(s.A, information)
        for i in range(3):
            s.b[i] = (
                information[i, 0] * (mean[0] - X[0])
                + information[i, 1] * (mean[1] - X[1])
                + information[i, 2] * (mean[2] - X[2])
            )
        for c in range(len(xy)):
            if weight[c] > 0.0 and only in (-1, c):
                _add_view_step(T, c, xy, weight[c], X, s)
        if not solve3(s.A, s.b, s.x):
            return False
        add3(X, s.x)
    return True


@INLINE
def _add_view_step(T: Array, c: int, xy: Array, w: float, X: Array, s: Scratch) -> None:
    """Add a view's JᵀJ to s.A and Jᵀr to s.b, of the reprojection error at X."""
    z = depth(T, c, X)
    if z >= MIN_DEPTH_M:
        for axis in range(2):
            u = (T[c, axis, 0] * X[0] + T[c, axis, 1] * X[1] + T[c, axis, 2] * X[2] + T[c, axis, 3]) / z
            a0 = (T[c, axis, 0] - u * T[c, 2, 0]) / z
            a1 = (T[c, axis, 1] - u * T[c, 2, 1]) / z
            a2 = (T[c, axis, 2] - u * T[c, 2, 2]) / z
            accumulate(s.A, s.b, w, a0, a1, a2, xy[c, axis] - u)


@INNER
def _place(
    T: Array, xy: Array, weight: Array, gate2: float, mean: Array, information: Array, X: Array, s: Scratch
) -> int:
    """Put the start of one joint into X; how many views agree with it, -1 when there is no place for it.

    The common case, everybody agrees, is tried first.
    """
    n = len(xy)
    n_seen = 0
    for c in range(n):
        n_seen += weight[c] > 0.0
    expected = information[0, 0] + information[1, 1] + information[2, 2] > 0.0
    if n_seen >= 2 and linear(T, xy, weight, X, s) and _agreeing(T, xy, weight, gate2, X) == n_seen:
        near = UNSURPRISED if n_seen == 2 else EXPECTED_CAP
        if not expected or quadratic(information, X[0] - mean[0], X[1] - mean[1], X[2] - mean[2]) < near:
            return n_seen
    if n_seen == 0 and not expected:
        return -1
    best = math.inf
    cap = CAP_OF_TWO if n_seen == 2 else EXPECTED_CAP
    if expected:
        for only in range(-2 if n_seen != 1 else -1, n):
            if only >= 0 and weight[only] <= 0.0:
                continue
            if only == -2:
                put3(s.candidate, mean)
            elif not _expected_and_views(T, xy, weight, only, mean, information, s.candidate, s):
                continue
            cost = _cost(T, xy, weight, gate2, mean, information, cap, s.candidate)
            if only == -2 and n_seen == 2:
                cost += NOBODY_RIGHT
            if cost < best:
                best = cost
                put3(X, s.candidate)
    for i in range(n):
        for k in range(i + 1, n):
            if weight[i] <= 0.0 or weight[k] <= 0.0:
                continue
            if n_seen > PAIRS_UP_TO and min(k - i, n - (k - i)) > PAIR_REACH:
                continue
            if linear_pair(T, xy, i, k, s.candidate, s):
                cost = _cost(T, xy, weight, gate2, mean, information, cap, s.candidate)
                if cost < best:
                    best = cost
                    put3(X, s.candidate)
    return _agreeing(T, xy, weight, gate2, X) if best < math.inf else -1


@INNER
def _agreeing(T: Array, xy: Array, weight: Array, gate2: float, X: Array) -> int:
    """How many views that saw the joint lie within the gate."""
    n = 0
    for c in range(len(xy)):
        if weight[c] > 0.0 and residual2(T, c, xy, X) <= gate2:
            n += 1
    return n


@INNER
def _bone(
    lifted: Lifted, lengths: Lengths, m: int, j: int, centre: Array, x: Array, E: Array, mean: Array, w: Work
) -> None:
    """Information E and mean of the vector from the parent to joint j: by all lifts, seen from near x; else its length."""
    E[:] = 0.0
    w.s.b[:] = 0.0
    for c in range(len(centre)):
        along, across = lifted.along[m, c, j], lifted.across[m, c, j]
        if along > 0.0:
            _line_of_sight(centre[c], x, w.u)
            bone = lifted.bone_m[m, c, j]
            dot = w.u[0] * bone[0] + w.u[1] * bone[1] + w.u[2] * bone[2]
            for i in range(3):
                w.s.b[i] += across * bone[i] + (along - across) * dot * w.u[i]
            _add_anisotropic(E, w.u, along, across)
    length = max(lengths.length_m[m, j] if lengths.information[m, j] > 0.0 else UNKNOWN_LENGTH_M, MIN_LENGTH_M)
    for i in range(3):
        E[i, i] += 1.0 / (length * length)
    solve3(E, w.s.b, mean)


@INNER
def _expect_by_neighbour(
    p: Problem, m: int, j: int, other: int, x: Array, mean: Array, information: Array, w: Work
) -> None:
    """What is expected of joint j when a neighbour in the tree has a place: added to what was expected anyhow."""
    child, sign = (j, 1.0) if p.tree.parent[j] == other else (other, -1.0)
    _bone(p.lifted, p.lengths, m, child, p.views.centre_m, x[other], w.E, w.mean, w)
    inverse3(w.E, w.S)
    for i in range(3):
        w.S[i, i] += NEIGHBOUR2
    inverse3(w.S, w.E)
    known, place = p.expected.witness[m, j], p.expected.joints_m[m, j]
    for i in range(3):
        w.s.b[i] = 0.0
        for k in range(3):
            information[i, k] = known[i, k] + w.E[i, k]
            w.s.b[i] += w.E[i, k] * (x[other, k] + sign * w.mean[k])
            if known[i, k] != 0.0:
                w.s.b[i] += known[i, k] * place[k]
    solve3(information, w.s.b, mean)


@INNER
def _start(p: Problem, m: int, x: Array, w: Work) -> None:
    """A start (N, 3) for each joint of person m; w.agreeing says how many views agree with it, -1 where there is none."""
    T, gate2 = p.views.Ts_cam_world, p.views.gate * p.views.gate
    n_joints = len(p.tree.parent)
    mean, information = np.empty(3), np.empty((3, 3))
    for j in range(n_joints):
        rays, weight = p.views.rays[m, j], p.views.weight[m, j]
        expected = p.expected.witness[m, j]
        w.agreeing[j] = _place(T, rays, weight, gate2, p.expected.joints_m[m, j], expected, x[j], w.s)
        w.n_seen[j] = 0
        for c in range(len(weight)):
            w.n_seen[j] += weight[c] > 0.0
        w.settled[j] = w.agreeing[j] >= 3 or w.agreeing[j] == w.n_seen[j]
    for sweep in range(3):
        for index in range(n_joints):
            j = p.tree.order[index if sweep != 1 else n_joints - 1 - index]
            if w.settled[j]:
                continue
            other = _neighbour(p.tree.parent, j, w)
            if other >= 0:
                _expect_by_neighbour(p, m, j, other, x, mean, information, w)
                rays, weight = p.views.rays[m, j], p.views.weight[m, j]
                w.agreeing[j] = _place(T, rays, weight, gate2, mean, information, x[j], w.s)
                w.settled[j] = w.agreeing[j] >= 0


@INNER
def _neighbour(parent: Ints, j: int, w: Work) -> int:
    """A joint beside j in the tree that has a settled place, the parent before the children; -1 when there is none."""
    if parent[j] >= 0 and w.settled[parent[j]]:
        return parent[j]
    for child in range(len(parent)):
        if parent[child] == j and w.settled[child]:
            return child
    return -1


@INNER
def _see(p: Problem, m: int, x: Array, w: Work) -> None:
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
            chi2, n_used = _robust_views(T, rays, weight, gate2, w.seen_m[j], s)
            if not solve3(s.A, s.b, s.x):
                break
            add3(w.seen_m[j], s.x)
        _mirror(s.A)
        if n_used < 2 or not inverse3(s.A, w.seen_covariance[j]):
            continue
        trust = (SPREAD_FREEDOM + 2 * n_used - 3) / (SPREAD_FREEDOM + chi2)  # this joint's own noise
        trust = min(max(trust, LEAST_TRUST), MOST_TRUST)
        spread = 0.0
        for i in range(3):
            w.seen_h[j, i] = 0.0
            for k in range(3):
                w.seen_covariance[j, i, k] /= trust
                w.seen_A[j, i, k] = trust * s.A[i, k]
                w.seen_h[j, i] += trust * s.A[i, k] * w.seen_m[j, k]
            spread += w.seen_covariance[j, i, i]
        w.seen[j] = spread < MOST_SPREAD2
        w.sound[j] = w.seen[j] and n_used == w.n_seen[j]


@INNER
def _robust_views(T: Array, rays: Array, weight: Array, gate2: float, X: Array, s: Scratch) -> tuple[float, int]:
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
                _add_view_step(T, c, rays, weight[c] * share * share, X, s)
    return chi2, n_used


@INNER
def _only_view(T: Array, rays: Array, weight: Array, X: Array, s: Scratch) -> None:
    """As `_robust_views` for the one view that saw a joint: with Huber's weight, as it may be right, and expectation not."""
    s.A[:] = 0.0
    s.b[:] = 0.0
    for c in range(len(weight)):
        if weight[c] > 0.0:
            off = math.sqrt(weight[c] * residual2(T, c, rays, X))
            _add_view_step(T, c, rays, weight[c] * min(1.0, VIEW_HUBER / max(off, TINY)), X, s)


@INLINE
def _mirror(A: Array) -> None:
    """Fill the lower half of a symmetric matrix."""
    A[1, 0], A[2, 0], A[2, 1] = A[0, 1], A[0, 2], A[1, 2]


@INNER
def _joint_terms(p: Problem, m: int, x: Array, w: Work) -> None:
    """Each joint's own terms at x: information w.U (N, 3, 3) and w.h (N, 3), so that U x = h without the others."""
    s = w.s
    for j in range(len(x)):
        w.U[j] = 0.0
        w.h[j] = 0.0
        if w.agreeing[j] < 0:
            continue
        if w.seen[j]:
            put33(w.U[j], w.seen_A[j])
            put3(w.h[j], w.seen_h[j])
        elif w.agreeing[j] > 0 or w.n_seen[j] == 1:
            if w.n_seen[j] == 1:
                _only_view(p.views.Ts_cam_world, p.views.rays[m, j], p.views.weight[m, j], x[j], s)
            else:
                _robust_views(p.views.Ts_cam_world, p.views.rays[m, j], p.views.weight[m, j], p.views.gate**2, x[j], s)
            _mirror(s.A)
            for i in range(3):
                w.h[j, i] = s.b[i]
                for k in range(3):
                    w.U[j, i, k] = s.A[i, k]
                    w.h[j, i] += s.A[i, k] * x[j, k]
        information, mean = p.expected.information[m, j], p.expected.joints_m[m, j]
        if information[0, 0] > 0.0:
            d2 = quadratic(information, x[j, 0] - mean[0], x[j, 1] - mean[1], x[j, 2] - mean[2])
            t = min((PRIOR_FREEDOM + 3) / (PRIOR_FREEDOM + d2), 1.0)
            for i in range(3):
                for k in range(3):
                    w.U[j, i, k] += t * information[i, k]
                    w.h[j, i] += t * information[i, k] * mean[k]


@INNER
def _bone_terms(p: Problem, m: int, x: Array, w: Work) -> None:
    """Each bone's terms at x: information w.E_of (N, 3, 3) and w.e (N, 3), so that E (x_j - x_parent) = e."""
    centre = p.views.centre_m
    for c in range(len(centre)):
        w.misfit[c], w.n_bones[c] = 0.0, 0.0
    for j in range(len(x)):
        up = p.tree.parent[j]
        E, e = w.E_of[j], w.e[j]
        E[:] = 0.0
        e[:] = 0.0
        if up < 0 or w.agreeing[j] < 0 or w.agreeing[up] < 0:
            continue
        size2 = 0.0
        for i in range(3):
            w.mean[i] = x[j, i] - x[up, i]
            size2 += w.mean[i] * w.mean[i]
        news = p.lifted.news[m] if w.seen[j] and w.seen[up] else 1.0
        for c in range(len(centre)):
            along, across = p.lifted.along[m, c, j], p.lifted.across[m, c, j]
            if along <= 0.0:
                continue
            _line_of_sight(centre[c], x[j], w.u)
            bone = p.lifted.bone_m[m, c, j]
            dot, off_dot, off2 = 0.0, 0.0, 0.0
            for i in range(3):
                dot += w.u[i] * bone[i]
                off_dot += w.u[i] * (bone[i] - w.mean[i])
                off2 += (bone[i] - w.mean[i]) ** 2
            d2 = along * off_dot * off_dot + across * (off2 - off_dot * off_dot)
            w.misfit[c] += min(d2, MISFIT_CAP)
            w.n_bones[c] += 1.0
            t = min(LIFT_HUBER / math.sqrt(max(d2, TINY)), 1.0) * w.trust[c] * news
            _add_anisotropic(E, w.u, t * along, t * across)
            for i in range(3):
                e[i] += t * (across * bone[i] + (along - across) * dot * w.u[i])
        was_expected = _add_expected_bone(p.expected.bone_m[m, j], p.expected.bone_information[m, j], w.mean, E, e)
        _add_length(
            not was_expected, p.lengths.length_m[m, j], p.lengths.information[m, j], math.sqrt(size2), w.mean, E, e
        )
    n_lifts = 0
    for c in range(len(centre)):
        n_lifts += w.n_bones[c] > 0.0
    for c in range(len(centre)):
        if n_lifts >= 2 and w.n_bones[c] > 0.0:
            w.trust[c] = min(1.0, 3.0 * (w.n_bones[c] + 1.0) / (w.misfit[c] + 3.0))


@INLINE
def _add_expected_bone(expected: Array, information: Array, bone: Array, E: Array, e: Array) -> bool:
    """Where the bone was expected to point; whether it was."""
    is_expected = information[0, 0] > 0.0
    if is_expected:
        d2 = quadratic(information, bone[0] - expected[0], bone[1] - expected[1], bone[2] - expected[2])
        t = min((PRIOR_FREEDOM + 3) / (PRIOR_FREEDOM + d2), 1.0)
        for i in range(3):
            for k in range(3):
                E[i, k] += t * information[i, k]
                e[i] += t * information[i, k] * expected[k]
    return is_expected


@INLINE
def _add_length(is_new: bool, length: float, information: float, size: float, bone: Array, E: Array, e: Array) -> None:
    """The bone's length, along the direction that it has now; and a weak pull on a new one, that it has some hold."""
    known = information > 0.0
    weak = 0.25 / max(length if known else UNKNOWN_LENGTH_M, MIN_LENGTH_M) ** 2
    for i in range(3):
        E[i, i] += weak if is_new else 0.0
    if known and size > 0.01 and length > MIN_LENGTH_M:
        r2 = information * (size - length) ** 2
        t = information * min(LENGTH_HUBER / math.sqrt(max(r2, TINY)), 1.0)
        for i in range(3):
            e[i] += t * length * bone[i] / size
            for k in range(3):
                E[i, k] += t * bone[i] * bone[k] / (size * size)


@INNER
def _eliminate(tree: Tree, x: Array, covariance: Array, bone_covariance: Array, w: Work) -> None:
    """The minimum of all terms: messages from the leaves to the root, and back with places and covariances."""
    n = len(x)
    for index in range(n - 1, -1, -1):
        j = tree.order[index]
        up = tree.parent[j]
        if w.agreeing[j] < 0 or up < 0 or w.agreeing[up] < 0:
            continue
        E, S, G = w.E_of[j], w.S_of[j], w.G_of[j]
        for i in range(3):
            for k in range(3):
                w.E[i, k] = E[i, k] + w.U[j, i, k]
        inverse3(w.E, S)
        multiply3(S, E, G)
        for i in range(3):
            w.h[j, i] += w.e[j, i]  # from here on with the bone's share
        for i in range(3):
            for k in range(3):
                w.U[up, i, k] += E[i, k] - (E[i, 0] * G[0, k] + E[i, 1] * G[1, k] + E[i, 2] * G[2, k])
            w.h[up, i] += G[0, i] * w.h[j, 0] + G[1, i] * w.h[j, 1] + G[2, i] * w.h[j, 2] - w.e[j, i]
    for index in range(n):
        j = tree.order[index]
        up = tree.parent[j]
        if w.agreeing[j] < 0:
            continue
        if up < 0 or w.agreeing[up] < 0:
            if not inverse3(w.U[j], w.S_of[j]):
                w.agreeing[j] = -1
                continue
            put33(covariance[j], w.S_of[j])
            put33(bone_covariance[j], w.S_of[j])
            for i in range(3):
                x[j, i] = w.S_of[j, i, 0] * w.h[j, 0] + w.S_of[j, i, 1] * w.h[j, 1] + w.S_of[j, i, 2] * w.h[j, 2]
            continue
        S, G = w.S_of[j], w.G_of[j]
        multiply3(G, covariance[up], w.E)
        for i in range(3):
            x[j, i] = S[i, 0] * w.h[j, 0] + S[i, 1] * w.h[j, 1] + S[i, 2] * w.h[j, 2]
            for k in range(3):
                x[j, i] += G[i, k] * x[up, k]
                covariance[j, i, k] = S[i, k] + w.E[i, 0] * G[k, 0] + w.E[i, 1] * G[k, 1] + w.E[i, 2] * G[k, 2]
        for i in range(3):
            for k in range(3):  # of x_j - x_parent: S + (G - 1) C (G - 1)ᵀ
                mixed = w.E[i, k] + w.E[k, i]
                bone_covariance[j, i, k] = covariance[j, i, k] + covariance[up, i, k] - mixed


@INNER
def _measure_bone(j: int, up: int, w: Work) -> tuple[float, float]:
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
def _surprise(p: Problem, m: int, j: int, up: int, w: Work) -> float:
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


@INNER
def _see_middles(middle: Ints, w: Work) -> None:
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


@JIT
def solve(p: Problem) -> Solved:
    """Solve all people of a tick, one after another."""
    n_people, n_joints, n_cameras = p.views.weight.shape
    joints = np.full((n_people, n_joints, 3), np.nan)
    covariance = np.full((n_people, n_joints, 3, 3), np.nan)
    bone_covariance = np.full((n_people, n_joints, 3, 3), np.nan)
    squared = np.full((n_people, n_joints, n_cameras), np.nan)
    used = np.zeros((n_people, n_joints, n_cameras), np.bool_)
    bone_m = np.full((n_people, n_joints), np.nan)
    bone_variance = np.full((n_people, n_joints), np.inf)
    surprise = np.full((n_people, n_joints), np.nan)
    gate2 = p.views.gate * p.views.gate
    w = make_work(n_joints, n_cameras)
    for m in range(n_people):
        x = np.zeros((n_joints, 3))
        w.settled[:] = False
        w.trust[:] = 1.0
        _start(p, m, x, w)
        _see(p, m, x, w)
        for _ in range(STEPS):
            _joint_terms(p, m, x, w)
            _bone_terms(p, m, x, w)
            _eliminate(p.tree, x, covariance[m], bone_covariance[m], w)
        _see_middles(p.tree.middle, w)
        for j in range(n_joints):
            up = p.tree.parent[j]
            if up >= 0 and w.sound[j] and w.sound[up]:
                bone_m[m, j], bone_variance[m, j] = _measure_bone(j, up, w)
            surprise[m, j] = _surprise(p, m, j, up, w)
            if w.agreeing[j] < 0:
                covariance[m, j] = np.nan
                bone_covariance[m, j] = np.nan
                continue
            put3(joints[m, j], x[j])
            for c in range(n_cameras):
                if p.views.weight[m, j, c] > 0.0:
                    squared[m, j, c] = residual2(p.views.Ts_cam_world, c, p.views.rays[m, j], x[j])
                    used[m, j, c] = squared[m, j, c] <= gate2 or (w.n_seen[j] == 1 and squared[m, j, c] < math.inf)
    return Solved(joints, covariance, bone_covariance, squared, used, bone_m, bone_variance, surprise)
