"""Exponential and logarithm of rigid motions, batched: twists (..., 6) are a turn in radians, then a shift in metres.

exp: T = [R(turn), shift-with-V; 0 1] of se(3) (Murray, Li and Sastry 1994, proposition 2.9).
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SMALL = 1e-6  # radians, below which series are used


def cross_matrix(v: Array) -> Array:
    """(..., 3, 3) with cross_matrix(v) @ w = v x w."""
    out = np.zeros((*v.shape, 3))
    out[..., 0, 1], out[..., 0, 2] = -v[..., 2], v[..., 1]
    out[..., 1, 0], out[..., 1, 2] = v[..., 2], -v[..., 0]
    out[..., 2, 0], out[..., 2, 1] = -v[..., 1], v[..., 0]
    return out


def exp_twist(twist: Array) -> Array:
    """Rigid motions (..., 4, 4)."""
    turn = twist[..., :3]
    angle = np.linalg.norm(turn, axis=-1)[..., None, None]
    safe = np.where(angle < SMALL, 1.0, angle)
    a = np.where(angle < SMALL, 1.0 - angle**2 / 6, np.sin(safe) / safe)
    b = np.where(angle < SMALL, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    c = np.where(angle < SMALL, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    W = cross_matrix(turn)
    W2 = W @ W
    T = np.zeros((*twist.shape[:-1], 4, 4))
    T[..., :3, :3] = np.eye(3) + a * W + b * W2
    T[..., :3, 3] = ((np.eye(3) + b * W + c * W2) @ twist[..., 3:, None])[..., 0]
    T[..., 3, 3] = 1.0
    return T


def log_twist(T: Array) -> Array:
    """Twists (..., 6) of rigid motions (..., 4, 4) with turns below pi."""
    R = T[..., :3, :3]
    axis = 0.5 * np.stack(
        [R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], axis=-1
    )
    sine = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sine, 0.5 * (np.einsum("...ii->...", R) - 1.0))
    turn = axis * np.where(sine < SMALL, 1.0, angle / np.where(sine < SMALL, 1.0, sine))[..., None]
    a2 = np.where(angle < SMALL, 1.0, angle**2)[..., None, None]
    half = np.where(angle < SMALL, 1.0, 0.5 * angle)[..., None, None]
    W = cross_matrix(turn)
    d = np.where(angle[..., None, None] < SMALL, 1 / 12, (1 - half / np.tan(half)) / a2)
    V_inverse = np.eye(3) - 0.5 * W + d * (W @ W)
    return np.concatenate([turn, (V_inverse @ T[..., :3, 3:])[..., 0]], axis=-1)
