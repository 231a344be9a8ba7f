"""The compiled heart of fusion (numba): one robust least-squares problem per person, solved exactly on the body's tree.

Unknown: the places of a person's N joints (`body_tree.BodyTree`). Terms: reprojection in each view that saw a joint
(Geman and McClure's weights); the bone vectors of each view's lift, and the prediction (Student's t weights); the
lengths of bones. Each term binds a joint alone or with its parent, so every Gauss-Newton step is solved exactly by
passing 3x3 messages from the leaves to the root and back (Gaussian elimination on a tree: cost linear in joints), and
the same pass gives each joint's covariance.

`person_start` finds where to begin, `person_views` what the views alone say.

Axes: M people, N joints, C cameras. Metres and normalised coordinates; an information is an inverse covariance, 0 where
there is none.
"""

import math

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INLINE, INNER, JIT, put3, residual2
from nodes.stages.person_problem import (
    MIN_LENGTH_M,
    TINY,
    UNKNOWN_LENGTH_M,
    Problem,
    Solved,
    Tree,
    Work,
    add_anisotropic,
    line_of_sight,
    make_work,
)
from nodes.stages.person_start import find_start
from nodes.stages.person_views import measure_bone, mirror, only_view, robust_views, see_middles, see_views, surprise_of
from nodes.stages.small_matrices import inverse3, multiply3, put33, quadratic

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

STEPS = 4  # Gauss-Newton; the fourth moves joints by less than 0.1 mm
LIFT_HUBER = 2.5  # sigmas beyond which a lift's pull grows no more; it never lets go: with one view it is all there is
PRIOR_FREEDOM = 6.0
LENGTH_HUBER = 3.0
MISFIT_CAP = 30.0


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
            put33(w.U[j], w.seen_inverse[j])
            put3(w.h[j], w.seen_h[j])
        elif w.agreeing[j] > 0 or w.n_seen[j] == 1:
            if w.n_seen[j] == 1:
                only_view(p.views.Ts_cam_world, p.views.rays[m, j], p.views.weight[m, j], x[j], s)
            else:
                robust_views(p.views.Ts_cam_world, p.views.rays[m, j], p.views.weight[m, j], p.views.gate**2, x[j], s)
            mirror(s.A)
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
            line_of_sight(centre[c], x[j], w.u)
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
            add_anisotropic(E, w.u, t * along, t * across)
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
def _eliminate(  # noqa: PLR0912  # plain loops over 3x3: a call costs more than the arithmetic
    tree: Tree, x: Array, covariance: Array, bone_covariance: Array, w: Work
) -> None:
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
        find_start(p, m, x, w)
        see_views(p, m, x, w)
        for _ in range(STEPS):
            _joint_terms(p, m, x, w)
            _bone_terms(p, m, x, w)
            _eliminate(p.tree, x, covariance[m], bone_covariance[m], w)
        see_middles(p.tree.middle, w)
        for j in range(n_joints):
            up = p.tree.parent[j]
            if up >= 0 and w.sound[j] and w.sound[up]:
                bone_m[m, j], bone_variance[m, j] = measure_bone(j, up, w)
            surprise[m, j] = surprise_of(p, m, j, up, w)
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
