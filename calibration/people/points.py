"""Points that several views agree on, for all instants and joints at once, in ideal normalised coordinates."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEAST_DETERMINANT = 1e-9  # of the normal matrix over its scale cubed: rays nearer to parallel give no point
LEAST_DEPTH = 1e-3
STEPS = 6


def points_of(T_cam_world: Array, xy: Array, weight: Array, gate: float | None = None) -> Array:
    """World points (..., 3) of views (C, ..., 2) with weights (C, ...), NaN where fewer than two have any.

    Linear, then Gauss-Newton on the distances in the views; with a gate (a distance in the views), views that are
    farther off than it count little (Geman and McClure).
    """
    xy = np.where(weight[..., None] > 0, xy, 0.0)
    known = (weight > 0).sum(0) >= 2
    depth = np.ones(weight.shape)
    X = np.zeros((*weight.shape[1:], 3))
    for _ in range(2):
        rows = xy[..., None] * T_cam_world[:, 2].reshape(-1, *([1] * (xy.ndim - 1)), 4)
        rows = rows - T_cam_world[:, :2].reshape(-1, *([1] * (xy.ndim - 2)), 2, 4)
        X, solved = _solved(rows[..., :3], -rows[..., 3], weight / depth**2)
        depth = np.maximum(_in_cameras(T_cam_world, X)[..., 2], 0.1 * LEAST_DEPTH)
    known &= solved
    for _ in range(STEPS if gate is not None else 2):
        seen_from = _in_cameras(T_cam_world, X)
        z = np.maximum(seen_from[..., 2:], LEAST_DEPTH)
        off = seen_from[..., :2] / z - xy
        R = T_cam_world[:, :3, :3].reshape(-1, *([1] * (xy.ndim - 2)), 3, 3)
        J = (R[..., :2, :] - (seen_from[..., :2] / z)[..., None] * R[..., 2:, :]) / z[..., None]
        robust = weight if gate is None else weight / (1 + (off**2).sum(-1) / gate**2) ** 2
        step, _ = _solved(J, -off, robust)
        X = X + np.clip(step, -1.0, 1.0)
    return np.where(known[..., None] & np.isfinite(X), X, np.nan)


def off_by(T_cam_world: Array, X: Array, xy: Array) -> Array:
    """Reprojected minus seen (C, ..., 2), NaN where either is unknown or the point is behind the camera."""
    seen_from = _in_cameras(T_cam_world, X)
    z = np.where(seen_from[..., 2:] > LEAST_DEPTH, seen_from[..., 2:], np.nan)
    return np.asarray(seen_from[..., :2] / z - xy)


def _in_cameras(T_cam_world: Array, X: Array) -> Array:
    R, t = T_cam_world[:, :3, :3], T_cam_world[:, :3, 3]
    return np.einsum("cij,...j->c...i", R, X) + t.reshape(-1, *([1] * (X.ndim - 1)), 3)


def _solved(J: Array, right: Array, weight: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Weighted least squares over cameras and both axes; where that is singular, zero and False."""
    A = np.einsum("c...ri,c...,c...rj->...ij", J, weight, J, optimize=True)
    b = np.einsum("c...ri,c...,c...r->...i", J, weight, right, optimize=True)
    scale = np.einsum("...ii->...", A) / 3
    regular = np.linalg.det(A) > LEAST_DETERMINANT * scale**3
    A = np.where(regular[..., None, None], A, np.eye(3))
    return np.where(regular[..., None], np.linalg.solve(A, b[..., None])[..., 0], 0.0), regular
