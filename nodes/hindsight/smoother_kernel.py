"""The compiled smoother of one joint's path (numba); `smoother` has the model and the why.

State: position, velocity, acceleration; three numbers per axis, one covariance (3, 3) for all three axes. Forward a
Kalman filter, backward Rauch, Tung and Striebel's recursion.
"""

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INNER, JIT
from nodes.stages.small_matrices import inverse3, multiply3, put33

Array = npt.NDArray[np.float64]

START_POSITION2, START_VELOCITY2 = 1e2, 9.0  # m², m²/s²


@INNER
def _carry_on(x: Array, P: Array, F: Array, Q: Array, noise2: float, x2: Array, P2: Array, FP: Array) -> None:
    """x2, P2 = a step later."""
    multiply3(F, x, x2)
    multiply3(F, P, FP)
    for i in range(3):
        for k in range(3):
            P2[i, k] = FP[i, 0] * F[k, 0] + FP[i, 1] * F[k, 1] + FP[i, 2] * F[k, 2] + noise2 * Q[i, k]


@INNER
def _take(x: Array, P: Array, z: Array, variance: float, K: Array) -> None:
    """x, P after a position was measured."""
    for i in range(3):
        K[i] = P[i, 0] / (P[0, 0] + variance)
    for axis in range(3):
        off = z[axis] - x[0, axis]
        for i in range(3):
            x[i, axis] += K[i] * off
    p00, p01, p02 = P[0, 0], P[0, 1], P[0, 2]
    for i in range(3):
        P[i, 0] -= K[i] * p00
        P[i, 1] -= K[i] * p01
        P[i, 2] -= K[i] * p02
    for i in range(3):
        for k in range(i):
            P[i, k] = P[k, i] = 0.5 * (P[i, k] + P[k, i])


@INNER
def _look_back(
    x: Array, P: Array, F: Array, x_foreseen: Array, P_foreseen: Array, x_next: Array, P_next: Array, w: Array
) -> None:
    """x, P with what came later, of which x_next, P_next is known. w: (4, 3, 3) working memory."""
    if not inverse3(P_foreseen, w[0]):
        return
    for i in range(3):
        for k in range(3):
            w[1, i, k] = P[i, 0] * F[k, 0] + P[i, 1] * F[k, 1] + P[i, 2] * F[k, 2]
    multiply3(w[1], w[0], w[2])  # the gain
    for i in range(3):
        for k in range(3):
            w[0, i, k] = P_next[i, k] - P_foreseen[i, k]
            w[3, i, k] = x_next[i, k] - x_foreseen[i, k]
    multiply3(w[2], w[3], w[1])
    for i in range(3):
        for k in range(3):
            x[i, k] += w[1, i, k]
    multiply3(w[2], w[0], w[1])
    for i in range(3):
        for k in range(3):
            P[i, k] += w[1, i, 0] * w[2, k, 0] + w[1, i, 1] * w[2, k, 1] + w[1, i, 2] * w[2, k, 2]


@JIT
def smooth_paths(
    measured: Array, variance: Array, F: Array, Q: Array, noise2: Array, start2: Array
) -> tuple[Array, Array]:
    """Positions (T, J, 3) and their variances per axis (T, J), from measured (T, J, 3), NaN where there is nothing.

    variance: (T, J). F, Q: (T, 3, 3), from the instant before to each one. noise2: (T, J) acceleration squared.
    start2: (J,) the same for the first instant.
    """
    T, J = variance.shape
    out, out_variance = np.empty((T, J, 3)), np.empty((T, J))
    x, P = np.empty((T, 3, 3)), np.empty((T, 3, 3))
    x_foreseen, P_foreseen = np.empty((T, 3, 3)), np.empty((T, 3, 3))
    K, w = np.empty(3), np.empty((4, 3, 3))
    for j in range(J):
        x_foreseen[0] = 0.0
        P_foreseen[0] = 0.0
        P_foreseen[0, 0, 0], P_foreseen[0, 1, 1], P_foreseen[0, 2, 2] = START_POSITION2, START_VELOCITY2, start2[j]
        for t in range(T):
            if t:
                _carry_on(x[t - 1], P[t - 1], F[t], Q[t], noise2[t, j], x_foreseen[t], P_foreseen[t], w[0])
            put33(x[t], x_foreseen[t])
            put33(P[t], P_foreseen[t])
            if not np.isnan(measured[t, j, 0]):
                _take(x[t], P[t], measured[t, j], variance[t, j], K)
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                _look_back(x[t], P[t], F[t + 1], x_foreseen[t + 1], P_foreseen[t + 1], x[t + 1], P[t + 1], w)
            out_variance[t, j] = P[t, 0, 0]
            for axis in range(3):
                out[t, j, axis] = x[t, 0, axis]
    return out, out_variance
