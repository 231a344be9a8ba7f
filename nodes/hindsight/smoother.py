"""The path of one person's joints with the past and the future of every instant known. Pure.

Singer's model (1970): a joint's acceleration is random and forgotten after LASTS_S; so paths bend within a few frames
as little as bodies do, and over a gap they are led by the velocities on both sides. How much a joint is accelerated at
a time is measured on a first smoothed path: at rest noise goes, in a throw the motion stays. Every instant weighs as
much as its own sigma says, other than with a filter of fixed frequency. The constants were set on the validation
subjects of CMU's motion: docs/smoothing.md.
"""

import numpy as np
import numpy.typing as npt

from nodes.hindsight.smoother_kernel import smooth_paths

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

NS = 1e-9
LASTS_S = 0.06
FIRST_M_S2 = 16.0  # acceleration that is assumed for the first path, and where there is nothing to measure it on
GAIN = 2.0  # a first path has lost some of its acceleration
LEAST_M_S2, MOST_M_S2 = 3.0, 60.0
AROUND_S = 0.35  # in which acceleration is measured
SHARED_NOISE = 1.5  # times the variance told: neighbours in time err alike
TOLD = 1.7  # times the variance that comes out; errs as long as the model lasts
IN_GAPS = 0.1  # times the square of the acceleration: over a gap, bodies come back to where they were
LEAST_SIGMA_M = 0.001
# Gauss and Legendre's rule of five points
NODES = np.array([-0.9061798459386640, -0.5384693101056831, 0.0, 0.5384693101056831, 0.9061798459386640])
WEIGHTS = np.array([0.2369268850561891, 0.4786286704993665, 0.5688888888888889, 0.4786286704993665, 0.2369268850561891])


def smooth(times_ns: I64, joints_m: F64, sigma_m: F64) -> tuple[F64, F64]:
    """Joints (T, J, 3) and sigma (T, J) at all times (T,), rising, from what was known of each one alone.

    joints_m: NaN where nothing was. Between two that are known the path is filled, however far they are apart; before
    the first and after the last of a joint, and for joints never known, it is NaN.
    """
    known = np.isfinite(joints_m).all(-1) & np.isfinite(sigma_m)
    measured = np.where(known[..., None], joints_m, np.nan)
    variance = np.where(known, SHARED_NOISE * np.maximum(sigma_m, LEAST_SIGMA_M) ** 2, 1.0)
    F, Q = _steps(np.diff(times_ns, prepend=times_ns[:1]) * NS)
    first2 = np.full(sigma_m.shape, FIRST_M_S2**2)
    path, _ = smooth_paths(measured, variance, F, Q, first2, first2[0])
    noise2 = _accelerations2(times_ns, path, known)
    noise2 = np.where(known, noise2, IN_GAPS * noise2)
    path, path_variance = smooth_paths(measured, variance, F, Q, noise2, noise2[0])
    inside = np.maximum.accumulate(known, axis=0) & np.maximum.accumulate(known[::-1], axis=0)[::-1]
    return np.where(inside[..., None], path, np.nan), np.where(inside, np.sqrt(TOLD * path_variance), np.nan)


def _steps(dt_s: F64) -> tuple[F64, F64]:
    """(T, 3, 3) what becomes of a state in each time, and the covariance that unit acceleration adds to it."""
    length, which = np.unique(dt_s, return_inverse=True)
    decay = np.exp(-length / LASTS_S)
    F = np.zeros((len(length), 3, 3))
    F[:, 0, 0] = F[:, 1, 1] = 1.0
    F[:, 0, 1] = length
    F[:, :, 2] = _response(length)
    F[:, 2, 2] = decay
    when = length[:, None] / 2 * (NODES + 1)
    response = _response(when)  # (S, 5, 3)
    Q = np.einsum("s,n,sni,snk->sik", length / 2, WEIGHTS, response, response) * (2 / LASTS_S)
    return F[which], Q[which]


def _response(dt_s: F64) -> F64:
    """(…, 3) position, velocity and acceleration that a unit of acceleration has come to after a time."""
    decay = np.exp(-dt_s / LASTS_S)
    return np.stack([LASTS_S**2 * (decay - 1 + dt_s / LASTS_S), LASTS_S * (1 - decay), decay], axis=-1)


def _accelerations2(times_ns: I64, path_m: F64, known: npt.NDArray[np.bool_]) -> F64:
    """(T, J) square of the acceleration per axis around each time, by a first path at the known instants."""
    if len(times_ns) < 3:
        return np.full(known.shape, FIRST_M_S2**2)
    h = np.diff(times_ns)[:, None, None] * NS
    speed = np.diff(path_m, axis=0) / h
    squares = ((2 * np.diff(speed, axis=0) / (h[1:] + h[:-1])) ** 2).mean(-1)
    counted = known[1:-1] & known[:-2] & known[2:]
    sums = np.cumsum(np.where(counted, squares, 0.0), axis=0)
    counts = np.cumsum(counted, axis=0)
    around_ns = round(AROUND_S / NS)
    begin = np.searchsorted(times_ns[1:-1], times_ns - around_ns, side="left")
    end = np.searchsorted(times_ns[1:-1], times_ns + around_ns, side="right")
    total, count = (np.concatenate([np.zeros((1, known.shape[1])), each]) for each in (sums, counts))
    n = count[end] - count[begin]
    measured2 = (total[end] - total[begin]) / np.maximum(n, 1)
    clipped = np.clip(GAIN**2 * measured2, LEAST_M_S2**2, MOST_M_S2**2)
    return np.where(n >= 3, clipped, FIRST_M_S2**2)
