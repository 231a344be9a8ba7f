"""The compiled inner loops of finding new people (numba): pairs of views that agree, and groups grown from them.

Axes: C cameras, P detections of a view, J joints. Directions are unit vectors in world axes, NaN where absent. A weight
is the confidence of a usable joint, else 0. As in `matching_kernel`, lengths are metres at the person's depth.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INLINE, INNER, JIT, MIN_DEPTH_M, add3, put3
from nodes.stages.matching_kernel import (
    FIRST_AGREE,
    FIRST_LOOK,
    GATE,
    RAY_SIGMA,
    fit,
    is_number,
    joint_step,
    project_person,
)

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

PAIR_FLOOR_M = 0.03  # of the gap between two lines of sight: an epipolar gap forgives whatever lies along the line
MIN_SINE = 0.05  # of the angle between two lines of sight: below 3 degrees their crossing is anywhere
PAIR_SHARE = 0.7  # of the common joints must meet …
LONE_PAIR_SHARE = 0.5  # … and so many where nobody else can be meant: a tenth of outliers in each view leaves 0.8
VIEW_SHARE = 0.6  # of a further view's joints must lie where the others say
# Mean of half the squared misfit in sigmas, per degree of freedom: 0.08 at 3 px of noise (1000 px focal length, 5 m),
# 1.0 at 11 px. Strangers who stand alike: below 1.4 one in twenty of three views.
MAX_MISFIT = 1.5
MAX_LONE_MISFIT = 5.0  # where nobody else can be meant: a tenth of outliers in each of two views makes 3.5
MAX_VIEW_MISFIT = 1.3  # of one view, not per degree of freedom
CLEARLY = 0.2  # so much better, in mean misfit or as a share of a score, must mirrored labels fit to be taken
MAX_TRIALS = (
    500  # groups grown a tick; ten people in sixteen views need ten, 40 strangers in each of eight would be 4000
)
MIN_PAIR_JOINTS = 6  # two strangers agree by chance on fewer
MIN_SPREAD_M, MAX_SPREAD_M = 0.12, 0.9  # root mean square distance from the middle: of half a metre, of 2.5 m
MAX_BONE_M = 0.8  # nobody has a longer one
BONE_SHARE = 0.8  # of the bones must be possible


class Group(NamedTuple):
    """Working memory for one candidate: its members and what they say together."""

    who: Ints  # (C,) detection of each view, -1 for none
    mirrored: Flags  # (C,) whether left and right of that detection are taken the other way round
    joints_m: F64  # (J, 3) world, NaN where fewer than two views see it
    sigma_m: F64  # (J,) inf there
    depth: F64  # (C,) mean distance of the body from each member's camera
    misfit: F64  # (1,) how badly the members fit together


class View(NamedTuple):
    """Working memory for a projection: xy (J, 2), depth (J,), scale (J,)."""

    xy: F64
    depth: F64
    scale: F64


class Scene(NamedTuple):
    """What does not change during the search."""

    Ts_cam_world: F64  # (C, 3, 4)
    K: F64  # (C, 3, 3)
    centres: F64  # (C, 3)
    directions: F64  # (C, P, J, 3)
    rays: F64  # (C, P, J, 2)
    weight: F64  # (C, P, J)
    mirror: Ints  # (J,)
    bones: Ints  # (B, 2)


@INLINE
def _cross(a: F64, b: F64) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@INNER
def _pair_score(
    base: F64, one: F64, weight_one: F64, other: F64, weight_other: F64, labels: Ints, is_lone: bool
) -> tuple[float, float, float]:
    """How well two detections of different views meet, in joints; 0 when they do not. And the mean distances.

    base (3,): from the first camera to the second. is_lone: there is nobody else in either view.
    """
    common, agreeing, score, z_one, z_other = 0, 0, 0.0, 0.0, 0.0
    step = joint_step(len(labels))
    j = 0
    for _ in range(len(labels)):
        j = (j + step) % len(labels)
        of = labels[j]
        if not (weight_one[j] > 0.0 and weight_other[of] > 0.0):
            continue
        d, e = one[j], other[of]
        nx, ny, nz = _cross(d, e)
        sine2 = nx * nx + ny * ny + nz * nz
        if sine2 < MIN_SINE * MIN_SINE:
            continue
        common += 1
        tx, ty, tz = _cross(base, e)
        sx, sy, sz = _cross(base, d)
        z_d = (tx * nx + ty * ny + tz * nz) / sine2
        z_e = (sx * nx + sy * ny + sz * nz) / sine2
        off = base[0] * nx + base[1] * ny + base[2] * nz
        variance = PAIR_FLOOR_M * PAIR_FLOOR_M + RAY_SIGMA * RAY_SIGMA * (z_d * z_d + z_e * z_e)
        in_sigmas2 = off * off / sine2 / variance
        if z_d > MIN_DEPTH_M and z_e > MIN_DEPTH_M and in_sigmas2 < GATE * GATE:
            agreeing += 1
            score += min(weight_one[j], weight_other[of]) * (1.0 - in_sigmas2 / (GATE * GATE))
            z_one += z_d
            z_other += z_e
        if not is_lone and common == FIRST_LOOK and agreeing < FIRST_AGREE:
            break
    if common < MIN_PAIR_JOINTS or agreeing < (LONE_PAIR_SHARE if is_lone else PAIR_SHARE) * common:
        return 0.0, 0.0, 0.0
    return score, z_one / agreeing, z_other / agreeing


@JIT
def pair_scores(scene: Scene, free: Flags) -> tuple[F64, F64]:
    """Agreeing pairs (N, 6): camera, detection, camera, detection, mirrored (0 or 1), score; and distances (N, 2)."""
    n_cameras, n_found, n_joints = scene.weight.shape
    plain = np.arange(n_joints)
    pairs = [(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0) for _ in range(0)]
    for a in range(n_cameras):
        for b in range(a + 1, n_cameras):
            base = scene.centres[b] - scene.centres[a]
            is_lone = np.sum(free[a]) <= 1 and np.sum(free[b]) <= 1
            for i in range(n_found):
                for k in range(n_found):
                    if not (free[a, i] and free[b, k]):
                        continue
                    one, w_one = scene.directions[a, i], scene.weight[a, i]
                    other, w_other = scene.directions[b, k], scene.weight[b, k]
                    score, z_a, z_b = _pair_score(base, one, w_one, other, w_other, plain, is_lone)
                    flipped, y_a, y_b = _pair_score(base, one, w_one, other, w_other, scene.mirror, is_lone)
                    if score > 0.0 and score >= flipped - CLEARLY * score:
                        pairs.append((float(a), float(i), float(b), float(k), 0.0, score, z_a, z_b))
                    elif flipped > 0.0:
                        pairs.append((float(a), float(i), float(b), float(k), 1.0, flipped, y_a, y_b))
    found = np.empty((len(pairs), 8))
    for n in range(len(pairs)):
        for m in range(8):
            found[n, m] = pairs[n][m]
    return found[:, :6], found[:, 6:]


@INNER
def consensus(scene: Scene, group: Group) -> None:
    """Put where the members' lines of sight meet, and how surely, into the group's joints_m and sigma_m."""
    n_cameras, n_joints = len(group.who), len(group.sigma_m)
    A, b = np.empty(6), np.empty(3)
    for j in range(n_joints):
        A[:] = 0.0
        b[:] = 0.0
        n = 0
        for c in range(n_cameras):
            p = group.who[c]
            if p < 0:
                continue
            of = scene.mirror[j] if group.mirrored[c] else j
            if not scene.weight[c, p, of] > 0.0:
                continue
            n += 1
            w = scene.weight[c, p, of] / (PAIR_FLOOR_M * PAIR_FLOOR_M + (RAY_SIGMA * group.depth[c]) ** 2)
            x, y, z = scene.directions[c, p, of]
            ox, oy, oz = scene.centres[c]
            along = x * ox + y * oy + z * oz
            A[0] += w * (1.0 - x * x)
            A[1] -= w * x * y
            A[2] -= w * x * z
            A[3] += w * (1.0 - y * y)
            A[4] -= w * y * z
            A[5] += w * (1.0 - z * z)
            b[0] += w * (ox - along * x)
            b[1] += w * (oy - along * y)
            b[2] += w * (oz - along * z)
        group.sigma_m[j] = math.inf
        group.joints_m[j] = math.nan
        if n >= 2:
            _solve(A, b, group.joints_m[j], group.sigma_m[j : j + 1])


@INNER
def _solve(A: F64, b: F64, x: F64, sigma: F64) -> None:
    """x = A⁻¹ b for the upper triangle A (6,) of a symmetric matrix; sigma: root of the inverse's mean diagonal."""
    c00 = A[3] * A[5] - A[4] * A[4]
    c01 = A[2] * A[4] - A[1] * A[5]
    c02 = A[1] * A[4] - A[2] * A[3]
    c11 = A[0] * A[5] - A[2] * A[2]
    c12 = A[1] * A[2] - A[0] * A[4]
    c22 = A[0] * A[3] - A[1] * A[1]
    det = A[0] * c00 + A[1] * c01 + A[2] * c02
    size = (A[0] + A[3] + A[5]) / 3.0
    if not det > MIN_SINE * MIN_SINE / 8.0 * size * size * size:
        return
    x[0] = (c00 * b[0] + c01 * b[1] + c02 * b[2]) / det
    x[1] = (c01 * b[0] + c11 * b[1] + c12 * b[2]) / det
    x[2] = (c02 * b[0] + c12 * b[1] + c22 * b[2]) / det
    sigma[0] = math.sqrt((c00 + c11 + c22) / det / 3.0)


@INNER
def _middle(joints_m: F64, middle: F64) -> int:
    """Put the mean of the known joints into middle (3,); how many are known."""
    n = 0
    middle[:] = 0.0
    for j in range(len(joints_m)):
        if is_number(joints_m[j, 0]):
            add3(middle, joints_m[j])
            n += 1
    for i in range(3):
        middle[i] /= max(n, 1)
    return n


@INNER
def _distance2(one: F64, other: F64) -> float:
    """Squared distance of two points (3,)."""
    x, y, z = one[0] - other[0], one[1] - other[1], one[2] - other[2]
    return x * x + y * y + z * z


@INNER
def is_body(joints_m: F64, bones: Ints) -> bool:
    """Whether the known joints (of (J, 3)) are as far apart as a person's."""
    middle = np.empty(3)
    n = _middle(joints_m, middle)
    if n < MIN_PAIR_JOINTS:
        return False
    square = 0.0
    for j in range(len(joints_m)):
        if is_number(joints_m[j, 0]):
            square += _distance2(joints_m[j], middle)
    if not MIN_SPREAD_M**2 <= square / n <= MAX_SPREAD_M**2:
        return False
    known, possible = 0, 0
    for bone in range(len(bones)):
        length2 = _distance2(joints_m[bones[bone, 0]], joints_m[bones[bone, 1]])
        if is_number(length2):
            known += 1
            possible += length2 <= MAX_BONE_M**2
    return possible >= BONE_SHARE * known


@INNER
def _best_in_view(scene: Scene, group: Group, c: int, free: Flags, plain: Ints, view: View) -> tuple[float, int, bool]:
    """The free detection of camera c that fits the group best: its cost (inf for none), its index, mirrored or not."""
    best, found, mirrored = math.inf, -1, False
    project_person(scene.Ts_cam_world, c, group.joints_m, group.sigma_m, view.xy, view.depth, view.scale)
    for p in range(free.shape[1]):
        if not free[c, p]:
            continue
        rays, weight = scene.rays[c, p], scene.weight[c, p]
        as_is = fit(rays, weight, view.xy, view.depth, view.scale, plain, VIEW_SHARE)
        flipped = fit(rays, weight, view.xy, view.depth, view.scale, scene.mirror, VIEW_SHARE)
        turned = flipped + CLEARLY < as_is  # edge-on, both fit
        misfit = flipped if turned else as_is
        if misfit < min(best, MAX_VIEW_MISFIT):
            best, found, mirrored = misfit, p, turned
    return best, found, mirrored


@INNER
def _adopt(scene: Scene, group: Group, c: int, p: int, mirrored: bool, view: View) -> None:
    """Make detection p of camera c a member."""
    group.who[c], group.mirrored[c] = p, mirrored
    project_person(scene.Ts_cam_world, c, group.joints_m, group.sigma_m, view.xy, view.depth, view.scale)
    total, n = 0.0, 0
    for j in range(len(view.scale)):
        if view.scale[j] > 0.0:
            total += view.depth[j]
            n += 1
    group.depth[c] = total / max(n, 1)


@INNER
def _grow(scene: Scene, group: Group, free: Flags, plain: Ints, view: View) -> None:
    """Add the view that fits the pair best, then all that fit the three, then all that fit these; drop who does not."""
    n_cameras = len(group.who)
    for turn in range(3):
        consensus(scene, group)
        best, best_c, best_p, best_mirrored = math.inf, -1, -1, False
        for c in range(n_cameras):
            if group.who[c] >= 0:
                continue
            cost, p, mirrored = _best_in_view(scene, group, c, free, plain, view)
            if p >= 0 and turn > 0:
                _adopt(scene, group, c, p, mirrored, view)
            elif cost < best:
                best, best_c, best_p, best_mirrored = cost, c, p, mirrored
        if turn == 0 and best_c < 0:
            break
        if turn == 0:
            _adopt(scene, group, best_c, best_p, best_mirrored, view)
    consensus(scene, group)
    _judge(scene, group, plain, view)


@INNER
def _judge(scene: Scene, group: Group, plain: Ints, view: View) -> None:
    """Drop the members that do not fit what all say together, and note how badly the others fit."""
    exact = np.zeros(len(plain))
    total, n = 0.0, 0
    for c in range(len(group.who)):
        p = group.who[c]
        if p < 0:
            continue
        project_person(scene.Ts_cam_world, c, group.joints_m, exact, view.xy, view.depth, view.scale)
        labels = scene.mirror if group.mirrored[c] else plain
        misfit = fit(scene.rays[c, p], scene.weight[c, p], view.xy, view.depth, view.scale, labels, VIEW_SHARE)
        if misfit > MAX_VIEW_MISFIT:
            group.who[c] = -1
        else:
            total += misfit
            n += 1
    group.misfit[0] = total * 2.0 / (2.0 * n - 3.0) if n >= 2 else math.inf


@INNER
def _should_see(scene: Scene, group: Group, free: Flags) -> int:
    """In how many views the group is, or should be: the body's middle is in the picture, and somebody free is there.

    The picture is taken to reach from 0 to twice the principal point.
    """
    middle = np.empty(3)
    _middle(group.joints_m, middle)
    n = 0
    for c in range(len(group.who)):
        T, K = scene.Ts_cam_world[c], scene.K[c]
        z = T[2, 0] * middle[0] + T[2, 1] * middle[1] + T[2, 2] * middle[2] + T[2, 3]
        inside = z > MIN_DEPTH_M
        if inside:
            x = (T[0, 0] * middle[0] + T[0, 1] * middle[1] + T[0, 2] * middle[2] + T[0, 3]) / z
            y = (T[1, 0] * middle[0] + T[1, 1] * middle[1] + T[1, 2] * middle[2] + T[1, 3]) / z
            inside = abs(K[0, 0] * x) <= K[0, 2] and abs(K[1, 1] * y) <= K[1, 2]
        if group.who[c] >= 0 or (inside and np.any(free[c])):
            n += 1
    return n


@INNER
def _settle_sides(scene: Scene, group: Group) -> None:
    """The labels that the surer half of the members has are the right ones."""
    balance = 0.0
    for c in range(len(group.who)):
        if group.who[c] >= 0:
            balance += np.sum(scene.weight[c, group.who[c]]) * (-1.0 if group.mirrored[c] else 1.0)
    if balance >= 0.0:
        return
    joints_m, sigma_m = group.joints_m.copy(), group.sigma_m.copy()
    for j in range(len(sigma_m)):
        put3(group.joints_m[j], joints_m[scene.mirror[j]])
        group.sigma_m[j] = sigma_m[scene.mirror[j]]
    for c in range(len(group.who)):
        group.mirrored[c] = group.who[c] >= 0 and not group.mirrored[c]


@JIT
def new_group(who: Ints, n_joints: int) -> Group:
    """A group of these detections (C,), none mirrored, that nothing is known of yet."""
    n_cameras = len(who)
    nowhere, unsure = np.full((n_joints, 3), math.nan), np.full(n_joints, math.inf)
    return Group(who, np.zeros(n_cameras, np.bool_), nowhere, unsure, np.zeros(n_cameras), np.empty(1))


@JIT
def agreement(scene: Scene, group: Group, free: Flags) -> tuple[int, int]:
    """Judge a given group: who of it does not fit is dropped from it. How many remain, and how many should see it."""
    plain = np.arange(len(group.sigma_m))
    view = View(np.empty((len(plain), 2)), np.empty(len(plain)), np.empty(len(plain)))
    consensus(scene, group)
    for c in range(len(group.who)):
        if group.who[c] >= 0:
            _adopt(scene, group, c, group.who[c], group.mirrored[c], view)
    consensus(scene, group)
    _judge(scene, group, plain, view)
    n_agree = 0
    for c in range(len(group.who)):
        n_agree += group.who[c] >= 0
    return n_agree, _should_see(scene, group, free)


@JIT
def groups(scene: Scene, free: Flags, pairs: F64, distances: F64) -> list[Group]:
    """Groups of detections, one a view, that are a person; from pairs in falling order of score.

    Those of three views and more come first, for two views agree by chance on what is a third one's.
    """
    n_cameras, _, n_joints = scene.weight.shape
    plain = np.arange(n_joints)
    left = free.copy()
    crowd = np.zeros(n_cameras, np.int64)
    for c in range(n_cameras):
        crowd[c] = np.sum(free[c])
    view = View(np.empty((n_joints, 2)), np.empty(n_joints), np.empty(n_joints))
    found = []
    trials = 0
    for least in (3, 2):
        for n in range(len(pairs)):
            a, i, b, k = int(pairs[n, 0]), int(pairs[n, 1]), int(pairs[n, 2]), int(pairs[n, 3])
            if not (left[a, i] and left[b, k]) or trials >= MAX_TRIALS:
                continue
            group = new_group(np.full(n_cameras, -1), n_joints)
            group.who[a], group.who[b] = i, k
            group.mirrored[b] = pairs[n, 4] > 0.0
            group.depth[a], group.depth[b] = distances[n, 0], distances[n, 1]
            consensus(scene, group)
            if not is_body(group.joints_m, scene.bones):
                continue
            trials += 1
            _grow(scene, group, left, plain, view)
            n_members, most = 0, MAX_LONE_MISFIT
            for c in range(n_cameras):
                if group.who[c] >= 0:
                    n_members += 1
                    most = MAX_MISFIT if crowd[c] > 1 else most
            if n_members < least or group.misfit[0] > most or 2 * n_members <= _should_see(scene, group, left):
                continue
            if not is_body(group.joints_m, scene.bones):
                continue
            _settle_sides(scene, group)
            found.append(group)
            for c in range(n_cameras):
                if group.who[c] >= 0:
                    left[c, group.who[c]] = False
    return found
