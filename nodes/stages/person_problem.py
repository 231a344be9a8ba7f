"""What is solved for people: views, lifts, lengths and expectations in arrays, and working memory (numba).

Axes: M people, N joints, C cameras. Metres and normalised coordinates; an information is an inverse covariance, 0 where
there is none.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INLINE, INNER, MIN_DEPTH_M, Scratch, accumulate, depth

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

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
    """What was expected before looking.

    Errors of neighbours go together, those of bones do not: so a followed person is expected as a root and bones; the
    places of joints that follow from them only help to find where to start.
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
    """joints_m NaN where nothing places the joint; residual2: squared error, NaN where not seen; used: what counts."""

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
    seen_inverse: Array  # (N, 3, 3) its inverse
    seen_h: Array  # (N, 3) seen_inverse seen_m
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
def add_anisotropic(A: Array, u: Array, along: float, across: float) -> None:
    """A += across (1 - u uᵀ) + along u uᵀ."""
    more = along - across
    for i in range(3):
        A[i, i] += across
        for k in range(3):
            A[i, k] += more * u[i] * u[k]


@INNER
def line_of_sight(centre: Array, x: Array, u: Array) -> None:
    """u = unit vector from a camera to x."""
    size = 0.0
    for i in range(3):
        u[i] = x[i] - centre[i]
        size += u[i] * u[i]
    size = 1.0 / math.sqrt(max(size, TINY))
    for i in range(3):
        u[i] *= size


@INLINE
def add_view_step(T: Array, c: int, xy: Array, w: float, X: Array, s: Scratch) -> None:
    """Add a view's JᵀJ to s.A and Jᵀr to s.b, of the reprojection error at X."""
    z = depth(T, c, X)
    if z >= MIN_DEPTH_M:
        for axis in range(2):
            u = (T[c, axis, 0] * X[0] + T[c, axis, 1] * X[1] + T[c, axis, 2] * X[2] + T[c, axis, 3]) / z
            a0 = (T[c, axis, 0] - u * T[c, 2, 0]) / z
            a1 = (T[c, axis, 1] - u * T[c, 2, 1]) / z
            a2 = (T[c, axis, 2] - u * T[c, 2, 2]) / z
            accumulate(s.A, s.b, w, a0, a1, a2, xy[c, axis] - u)
