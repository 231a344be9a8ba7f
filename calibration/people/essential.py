"""Two calibrated views of the same points: the essential matrix and the pose that it stands for.

x_bᵀ E x_a = 0 for normalised coordinates; E = [t]× R with p_b = R p_a + t, |t| = 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.twist import cross_matrix

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Monomials = Sequence[tuple[int, ...]]

# Monomials of x, y, z up to the third degree, in the order of Stewénius: the first ten are of degree three.
CUBIC = [(3, 0, 0), (2, 1, 0), (2, 0, 1), (1, 2, 0), (1, 1, 1), (1, 0, 2), (0, 3, 0), (0, 2, 1), (0, 1, 2), (0, 0, 3),
         (2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 2, 0), (0, 1, 1), (0, 0, 2), (1, 0, 0), (0, 1, 0), (0, 0, 1),
         (0, 0, 0)]  # fmt: skip
QUADRATIC, LINEAR = CUBIC[10:], CUBIC[16:]
REAL = 1e-6  # of a root's imaginary part: below, it is rounding


def _products(first: Monomials, second: Monomials, into: Monomials) -> Array:
    """(A, B, K): which monomial the product of two is."""
    table = np.zeros((len(first), len(second), len(into)))
    for a, one in enumerate(first):
        for b, other in enumerate(second):
            table[a, b, list(into).index(tuple(i + j for i, j in zip(one, other, strict=True)))] = 1.0
    return table


LINEAR_TWICE = _products(LINEAR, LINEAR, QUADRATIC)
QUADRATIC_LINEAR = _products(QUADRATIC, LINEAR, CUBIC)


def five_point(a: Array, b: Array) -> Array:
    """Essential matrices (N, 3, 3) of H samples of five points (H, 5, 2): all solutions of all samples, |E| = 1.

    Stewénius, Engels and Nistér 2006, "Recent developments on direct relative orientation".
    """
    one = np.ones((*a.shape[:2], 1))
    rows = np.einsum("hni,hnj->hnij", np.concatenate([b, one], 2), np.concatenate([a, one], 2)).reshape(len(a), 5, 9)
    basis = np.linalg.svd(rows)[2][:, 5:].reshape(-1, 4, 3, 3).transpose(0, 2, 3, 1)  # (H, 3, 3, x y z 1)
    constraints = _constraints(basis)
    try:
        reduced = np.linalg.solve(constraints[:, :, :10], constraints[:, :, 10:])
    except np.linalg.LinAlgError:  # one sample twice the same point: nudge all, it will be outvoted
        reduced = np.linalg.solve(constraints[:, :, :10] + 1e-12 * np.eye(10), constraints[:, :, 10:])
    action = np.zeros_like(reduced)  # multiplies by x, on the monomials of degree two and less
    action[:, :6] = -reduced[:, :6]
    action[:, 6, 0] = action[:, 7, 1] = action[:, 8, 2] = action[:, 9, 6] = 1.0
    good = np.isfinite(action).all((1, 2))
    values, vectors = np.linalg.eig(action[good])
    basis = basis[good]
    sample, root = np.nonzero(np.abs(values.imag) < REAL * (1 + np.abs(values.real)))
    solution = vectors[sample, 6:10, root].real
    E = np.einsum("nija,na->nij", basis[sample], solution)
    norm = np.linalg.norm(E, axis=(1, 2), keepdims=True)
    return np.asarray((E / np.maximum(norm, 1e-300))[norm[:, 0, 0] > 1e-12])


def _constraints(basis: Array) -> Array:
    """(H, 10, 20): det E = 0 and 2 E Eᵀ E = tr(E Eᵀ) E as polynomials."""
    EEt = np.einsum("hija,hkjb,abq->hikq", basis, basis, LINEAR_TWICE, optimize=True)
    trace = np.einsum("hiiq->hq", EEt)
    cubic = 2 * np.einsum("hikq,hkjb,qbc->hijc", EEt, basis, QUADRATIC_LINEAR, optimize=True)
    cubic -= np.einsum("hq,hijb,qbc->hijc", trace, basis, QUADRATIC_LINEAR, optimize=True)
    minor = np.stack([_cross(basis[:, 1, (i + 1) % 3], basis[:, 2, (i + 2) % 3], basis[:, 1, (i + 2) % 3],
                             basis[:, 2, (i + 1) % 3]) for i in range(3)], axis=1)  # fmt: skip
    determinant = np.einsum("hiq,hib,qbc->hc", minor, basis[:, 0], QUADRATIC_LINEAR, optimize=True)
    return np.concatenate([cubic.reshape(len(basis), 9, 20), determinant[:, None]], axis=1)


def _cross(a: Array, b: Array, c: Array, d: Array) -> Array:
    return np.einsum("ha,hb,abq->hq", a, b, LINEAR_TWICE) - np.einsum("ha,hb,abq->hq", c, d, LINEAR_TWICE)


def sampson2(E: Array, a: Array, b: Array) -> Array:
    """Squared distances (H, N) of N pairs of points (N, 2) from the constraint, first order (Sampson)."""
    ha, hb = np.concatenate([a, np.ones((len(a), 1))], 1), np.concatenate([b, np.ones((len(b), 1))], 1)
    Ea = E @ ha.T  # (H, 3, N)
    Eb = E.swapaxes(1, 2) @ hb.T
    value = np.einsum("hin,ni->hn", Ea, hb)
    return np.asarray(value**2 / np.maximum((Ea[:, :2] ** 2).sum(1) + (Eb[:, :2] ** 2).sum(1), 1e-18))


@dataclass(frozen=True, eq=False)
class Relative:
    """T_b_a (4, 4) up to scale, |t| = 1. cost: mean squared distance, each capped at the gate, over the gate: 0 to 1.

    inliers: (N,) pairs within the gate and in front of both.
    """

    T_b_a: Array
    cost: float
    inliers: Bools


def ransac(a: Array, b: Array, gate: float, samples: int, rng: np.random.Generator) -> tuple[Array, float]:
    """The essential matrix with the least MSAC cost (Torr and Zisserman 2000), and that cost, 0 to 1."""
    picks = rng.integers(0, len(a), (samples, 5))
    E = five_point(a[picks], b[picks])
    if not len(E):
        return np.zeros((3, 3)), 1.0
    costs = np.minimum(sampson2(E, a, b) / gate**2, 1.0).mean(1)
    best = int(np.argmin(costs))
    return polished(E[best], a, b, gate)


def polished(E: Array, a: Array, b: Array, gate: float, steps: int = 8) -> tuple[Array, float]:
    """The same matrix after reweighted steps on its five degrees of freedom."""
    R, t = _one_pose(E)
    best, cost = E, float(np.minimum(sampson2(E[None], a, b)[0] / gate**2, 1.0).mean())
    damping = 1e-3
    for _ in range(steps):
        residual, J = _sampson_jacobian(R, t, a, b)
        weight = 1 / (1 + (residual / gate) ** 2 * 4) ** 2  # Geman and McClure, half the gate
        normal = (J * weight[:, None]).T @ J
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)) + 1e-12 * np.eye(5),
                               -(J * weight[:, None]).T @ residual)  # fmt: skip
        R_new, t_new = _moved(R, t, step)
        E_new = cross_matrix(t_new) @ R_new
        new = float(np.minimum(sampson2(E_new[None], a, b)[0] / gate**2, 1.0).mean())
        if new < cost:
            R, t, best, cost, damping = R_new, t_new, E_new, new, damping * 0.3
        else:
            damping *= 10
    return best, cost


def _sampson_jacobian(R: Array, t: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Signed Sampson distances (N,) and their derivatives (N, 5), by central differences."""

    def signed(step: Array) -> Array:
        R_s, t_s = _moved(R, t, step)
        E = cross_matrix(t_s) @ R_s
        ha, hb = np.concatenate([a, np.ones((len(a), 1))], 1), np.concatenate([b, np.ones((len(b), 1))], 1)
        Ea, Eb = ha @ E.T, hb @ E
        return np.asarray((Ea * hb).sum(1) / np.sqrt((Ea[:, :2] ** 2).sum(1) + (Eb[:, :2] ** 2).sum(1) + 1e-18))

    h = 1e-6
    J = np.stack([(signed(h * e) - signed(-h * e)) / (2 * h) for e in np.eye(5)], axis=1)
    return signed(np.zeros(5)), J


def _moved(R: Array, t: Array, step: Array) -> tuple[Array, Array]:
    across = np.linalg.svd(t[None])[2][1:]  # (2, 3) at right angles to t
    t_new = t + step[3:] @ across
    return rigid.rotation_from_rotvec(step[:3]) @ R, t_new / np.linalg.norm(t_new)


def _one_pose(E: Array) -> tuple[Array, Array]:
    """Any of the four poses: for derivatives all are the same."""
    return poses(E)[0]


def poses(E: Array) -> list[tuple[Array, Array]]:
    """The four (R, t) of an essential matrix (Hartley and Zisserman, 9.6.2)."""
    U, _, Vt = np.linalg.svd(E)
    U, Vt = U * np.sign(np.linalg.det(U)), Vt * np.sign(np.linalg.det(Vt))
    W = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return [(U @ turn @ Vt, sign * U[:, 2]) for turn in (W, W.T) for sign in (1.0, -1.0)]


def depths(R: Array, t: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Depths (N,) in a and in b of the points that pairs of rays meet in, by least squares along both rays."""
    ra = np.concatenate([a, np.ones((len(a), 1))], 1) @ R.T
    rb = np.concatenate([b, np.ones((len(b), 1))], 1)
    aa, bb, ab = (ra * ra).sum(1), (rb * rb).sum(1), (ra * rb).sum(1)
    at, bt = ra @ t, rb @ t
    det = aa * bb - ab * ab
    det = np.where(det > 1e-12, det, np.nan)
    return (ab * bt - bb * at) / det, (aa * bt - ab * at) / det


def relative(E: Array, cost: float, a: Array, b: Array, gate: float) -> Relative:
    """The pose that has most points in front of both cameras."""
    near = sampson2(E[None], a, b)[0] <= gate**2
    best, most, front_of_both = None, -1, near
    for R, t in poses(E):
        za, zb = depths(R, t, a, b)
        front = near & (za > 0) & (zb > 0)
        if front.sum() > most:
            best, most, front_of_both = (R, t), int(front.sum()), front
    assert best is not None
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = best
    return Relative(T, cost, front_of_both)
