"""Where a person's joints are looked for first (numba): the point of all views, of a pair of views, of one view or of
none that costs least, errors capped (MSAC, Torr and Zisserman 2000), with what is expected of it as one more witness.

Where views and expectation leave a joint open, a neighbour in the body and the lifts' bone place it.
"""

import math

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INNER, Scratch, add3, linear, linear_pair, put3, residual2, solve3
from nodes.stages.person_problem import (
    MIN_LENGTH_M,
    UNKNOWN_LENGTH_M,
    Lengths,
    Lifted,
    Problem,
    Work,
    add_anisotropic,
    add_view_step,
    line_of_sight,
)
from nodes.stages.small_matrices import inverse3, put33, quadratic

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

EXPECTED_CAP = 22.0  # most that leaving an expectation may cost: two agreeing views (24.5 at 3.5 sigma) beat it …
CAP_OF_TWO = 26.0  # … but where only two saw a joint, they agree by chance in one of ten cases, when one is wrong
UNSURPRISED = 9.0  # and are believed without a second look only within three sigmas of what was expected
NOBODY_RIGHT = 6.0  # more than two outliers that it costs to believe none of two views
NEIGHBOUR2 = 0.0004  # m², how wrong the neighbour's own place may be
PAIRS_UP_TO = 7  # with more views than this pairs are drawn among neighbours in the list: cost linear in views
PAIR_REACH = 3


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
    """X = what suits the expectation and the view `only`, all views when negative (Gauss-Newton, two steps)."""
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
                add_view_step(T, c, xy, weight[c], X, s)
        if not solve3(s.A, s.b, s.x):
            return False
        add3(X, s.x)
    return True


@INNER
def _place(  # noqa: PLR0912  # candidates in turn, and a cheap way out for the usual case
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
    """Information E and mean of the vector from the parent to joint j: by all lifts, from near x; else its length."""
    E[:] = 0.0
    w.s.b[:] = 0.0
    for c in range(len(centre)):
        along, across = lifted.along[m, c, j], lifted.across[m, c, j]
        if along > 0.0:
            line_of_sight(centre[c], x, w.u)
            bone = lifted.bone_m[m, c, j]
            dot = w.u[0] * bone[0] + w.u[1] * bone[1] + w.u[2] * bone[2]
            for i in range(3):
                w.s.b[i] += across * bone[i] + (along - across) * dot * w.u[i]
            add_anisotropic(E, w.u, along, across)
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
def find_start(p: Problem, m: int, x: Array, w: Work) -> None:
    """A start (N, 3) for each joint of person m; w.agreeing: how many views agree with it, -1 where there is none."""
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
