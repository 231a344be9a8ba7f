"""Where a flat board is, from one picture of it: by its homography, then refined; both answers where two fit.

A flat thing seen with little perspective has two poses that explain its picture about equally (its tilt turned round):
Schweighofer and Pinz 2006. Several pictures together tell which is meant, so both are handed on.
"""

import numpy as np
import numpy.typing as npt

from calibration.twist import exp_twist

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_CORNERS = 4  # of a homography
STEPS = 10
DAMPING = 1e-6
ODD_RAY = 0.02  # corners farther off than this angle count less
NEAREST_M = 1e-3


def board_poses(board_m: Array, rays: Array) -> tuple[Array, Array]:
    """T_cam_board (2, N, 4, 4) and root mean square error (2, N) as an angle, of rays (N, K, 2) of the board's corners.

    board_m: (K, 3) with z = 0. rays: (x/z, y/z) with NaN where a corner is not seen. First the likelier pose, then
    the other; NaN and inf for pictures with fewer than four corners or with all of them on a line.
    """
    seen = np.isfinite(rays).all(-1)
    H = homographies(board_m[:, :2], rays)
    first = _refined(_pose_of(H), board_m, rays, seen)
    second = _refined(_tilted_back(first, board_m, seen), board_m, rays, seen)
    errors = np.stack([_error(first, board_m, rays, seen), _error(second, board_m, rays, seen)])
    order = np.argsort(errors, axis=0)
    both = np.stack([first, second])
    index = np.arange(both.shape[1])
    return both[order, index], errors[order, index]


def homographies(plane: Array, rays: Array) -> Array:
    """(N, 3, 3) from points (K, 2) of a plane to rays (N, K, 2); NaN where four do not tell.

    Normalised direct linear transform (Hartley and Zisserman 2004, algorithm 4.2).
    """
    seen = np.isfinite(rays).all(-1)
    count = np.maximum(seen.sum(1), 1)[:, None]
    middle = np.where(seen[..., None], rays, 0.0).sum(1) / count
    spread = np.sqrt(np.where(seen[..., None], (rays - middle[:, None]) ** 2, 0.0).sum((1, 2)) / count[:, 0] + 1e-18)
    target = np.where(seen[..., None], (rays - middle[:, None]) / spread[:, None, None], 0.0)
    own_middle, own_spread = plane.mean(0), plane.std() + 1e-18
    source = np.concatenate([(plane - own_middle) / own_spread, np.ones((len(plane), 1))], axis=1)
    rows = np.zeros((*rays.shape[:2], 2, 9))
    rows[..., 0, 0:3], rows[..., 1, 3:6] = source, source
    rows[..., 6:9] = -target[..., None] * source[:, None, :]
    rows *= seen[..., None, None]
    flat = rows.reshape(len(rays), -1, 9)
    values, vectors = np.linalg.eigh(flat.swapaxes(1, 2) @ flat)
    H = vectors[..., 0].reshape(-1, 3, 3)
    known = (seen.sum(1) >= LEAST_CORNERS) & (values[:, 1] > 1e-7 * np.maximum(values[:, -1], 1e-18))
    back = np.zeros((len(rays), 3, 3))
    back[:, 0, 0] = back[:, 1, 1] = spread
    back[:, :2, 2], back[:, 2, 2] = middle, 1.0
    into = np.diag([1 / own_spread, 1 / own_spread, 1.0])
    into[:2, 2] = -own_middle / own_spread
    return np.where(known[:, None, None], back @ H @ into, np.nan)


def _pose_of(H: Array) -> Array:
    """(N, 4, 4) of homographies of rays: columns are two axes of the board and its origin, up to scale (Zhang 2000)."""
    scale = 0.5 * (np.linalg.norm(H[:, :, 0], axis=1) + np.linalg.norm(H[:, :, 1], axis=1))
    H = H / np.where(H[:, 2, 2] < 0, -scale, scale)[:, None, None]
    R = np.stack([H[:, :, 0], H[:, :, 1], np.cross(H[:, :, 0], H[:, :, 1])], axis=2)
    U, _, Vt = np.linalg.svd(np.nan_to_num(R))
    flip = np.ones((len(H), 3))
    flip[:, 2] = np.linalg.det(U @ Vt)
    T = np.zeros((len(H), 4, 4))
    T[:, :3, :3] = (U * flip[:, None, :]) @ Vt
    T[:, :3, 3] = H[:, :, 2]
    T[:, 3, 3] = 1.0
    return T


def _tilted_back(T_cam_board: Array, board_m: Array, seen: Bools) -> Array:
    """The pose with the tilt turned round, about the middle of what is seen."""
    weight = seen / np.maximum(seen.sum(1), 1)[:, None]
    middle_board = weight @ board_m
    middle_cam = (T_cam_board[:, :3, :3] @ middle_board[..., None])[..., 0] + T_cam_board[:, :3, 3]
    line = middle_cam / np.linalg.norm(middle_cam, axis=1, keepdims=True)
    mirror = np.eye(3) - 2 * line[:, :, None] * line[:, None, :]
    T = T_cam_board.copy()
    T[:, :3, :3] = mirror @ T_cam_board[:, :3, :3] @ np.diag([1.0, 1.0, -1.0])
    T[:, :3, 3] = middle_cam - (T[:, :3, :3] @ middle_board[..., None])[..., 0]
    return T


def _refined(T: Array, board_m: Array, rays: Array, seen: Bools) -> Array:
    """Gauss-Newton on all poses at once, with robust weights."""
    for _ in range(STEPS):
        q = board_m @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3]
        usable = seen & (q[..., 2] > NEAREST_M)
        q = np.where(usable[..., None], q, (0.0, 0.0, 1.0))
        residual = np.where(usable[..., None], rays - q[..., :2] / q[..., 2:], 0.0)
        weight = np.where(usable, 1.0 / (1.0 + (residual**2).sum(-1) / ODD_RAY**2), 0.0)[..., None, None]
        x, y, z = q[..., 0] / q[..., 2], q[..., 1] / q[..., 2], q[..., 2]
        J = np.zeros((*q.shape[:2], 2, 6))
        J[..., 0, 0], J[..., 0, 1], J[..., 0, 2], J[..., 0, 3], J[..., 0, 5] = -x * y, 1 + x * x, -y, 1 / z, -x / z
        J[..., 1, 0], J[..., 1, 1], J[..., 1, 2], J[..., 1, 4], J[..., 1, 5] = -1 - y * y, x * y, x, 1 / z, -y / z
        Jt = (J * weight).swapaxes(-1, -2)
        H = (Jt @ J).sum(1)
        H = H + (DAMPING * np.einsum("nii->ni", H) + 1e-12)[..., None] * np.eye(6)
        step = np.linalg.solve(H, (Jt @ residual[..., None]).sum(1))[..., 0]
        step *= np.minimum(1.0, 0.5 / np.maximum(np.linalg.norm(step[:, :3], axis=1), 1e-9))[:, None]
        T = exp_twist(np.nan_to_num(step)) @ T
    return T


def _error(T: Array, board_m: Array, rays: Array, seen: Bools) -> Array:
    q = board_m @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = rays - np.where(q[..., 2:] > NEAREST_M, q[..., :2] / q[..., 2:], np.nan)
    square = np.where(seen, (residual**2).sum(-1), 0.0).sum(1) / np.maximum(seen.sum(1), 1)
    return np.where(np.isfinite(square) & (seen.sum(1) >= LEAST_CORNERS), np.sqrt(square), np.inf)
