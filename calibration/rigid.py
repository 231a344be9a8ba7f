"""Rigid transforms as 4x4 matrices named `T_to_from`: p_to = T_to_from @ p_from; neighbours cancel in products.

Frames: world right-handed, z up, metres, origin on the floor; camera x right, y down, z forward (OpenCV).
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def from_rotation(R_to_from: npt.ArrayLike, origin_m: npt.ArrayLike) -> Array:
    """T_to_from (4, 4) from a rotation (3, 3) and the position of `from`'s origin in `to`, metres.

    Raises ValueError when the matrix is not a proper rotation to 1e-6.
    """
    R = np.asarray(R_to_from, dtype=np.float64)
    if R.shape != (3, 3) or not np.allclose(R @ R.T, np.eye(3), atol=1e-6) or np.linalg.det(R) < 0:
        raise ValueError(f"not a rotation matrix (3, 3) with determinant +1:\n{R}")
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = np.asarray(origin_m, dtype=np.float64).reshape(3)
    return T


def inverse(T_to_from: Array) -> Array:
    """T_from_to (..., 4, 4), by transposing the rotation: exact, unlike a general inverse."""
    R_t = np.swapaxes(T_to_from[..., :3, :3], -1, -2)
    T = np.zeros_like(T_to_from)
    T[..., :3, :3] = R_t
    T[..., :3, 3] = -(R_t @ T_to_from[..., :3, 3:])[..., 0]
    T[..., 3, 3] = 1.0
    return T


def transform(T_to_from: Array, points_from_m: Array) -> Array:
    """Points (..., 3) metres carried from one frame to the other."""
    out: Array = points_from_m @ T_to_from[:3, :3].T + T_to_from[:3, 3]
    return out


def rotation_from_rotvec(rotvec: npt.ArrayLike) -> Array:
    """Rotation (3, 3) of a rotation vector (3,), radians (Rodrigues' formula)."""
    v = np.asarray(rotvec, dtype=np.float64).reshape(3)
    angle = float(np.linalg.norm(v))
    if angle < 1e-12:
        return np.eye(3) + _cross_matrix(v)
    axis = _cross_matrix(v / angle)
    return np.asarray(np.eye(3) + np.sin(angle) * axis + (1.0 - np.cos(angle)) * axis @ axis)


def rotvec_from_rotation(R: npt.ArrayLike) -> Array:
    """Rotation vector (3,), radians in [0, pi], of a rotation (3, 3); by the unit quaternion, stable at both ends."""
    m = np.asarray(R, dtype=np.float64)
    # K's largest eigenvector is the quaternion (x, y, z, w) (Bar-Itzhack, 2000): no branch on the trace.
    K = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    quaternion_xyzw = np.linalg.eigh(K)[1][:, -1]
    quaternion_xyzw = quaternion_xyzw * (1.0 if quaternion_xyzw[3] >= 0 else -1.0)
    sine = float(np.linalg.norm(quaternion_xyzw[:3]))
    if sine < 1e-12:
        return np.asarray(2.0 * quaternion_xyzw[:3])
    angle = 2.0 * np.arctan2(sine, quaternion_xyzw[3])
    return np.asarray(quaternion_xyzw[:3] / sine * angle)


def look_at(position_world_m: npt.ArrayLike, target_world_m: npt.ArrayLike) -> Array:
    """T_world_cam (4, 4) of an upright camera at a position that looks at a target (world z up).

    Raises ValueError when the two points coincide or the line of sight is vertical.
    """
    position = np.asarray(position_world_m, dtype=np.float64)
    forward = np.asarray(target_world_m, dtype=np.float64) - position
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-9:
        raise ValueError(f"no upright camera at {position} looks along {forward}: choose another position or target")
    forward = forward / np.linalg.norm(forward)
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    return from_rotation(np.stack([right, down, forward], axis=1), position)


def _cross_matrix(v: Array) -> Array:
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
