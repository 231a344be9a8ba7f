"""How much better all views of a rig would agree if single cameras stood, or ticked, otherwise. Pure.

Joints are triangulated from all views; for small moves of all cameras the normal equations are summed up with the
joints eliminated (the score of a bundle adjustment at the poses that are believed, Triggs et al. 2000, section 6). A
move has SIX + 1 numbers: a turn about the camera itself (radians) and a shift (metres), both in its own axes, and how
much later its frames were captured than their stamps say (seconds). C cameras, S joints seen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import rigid

F64 = npt.NDArray[np.float64]

SIX = 6  # numbers of a pose
MOVE = SIX + 1  # and the clock
NEAREST_M = 0.1  # to a camera
ODD_RAY = 0.05  # disagreement beyond this angle counts less: a swapped limb, somebody else
LEAST_INFORMATION = 1e-6  # on a point: of lines of sight that are parallel; one camera at 4 m gives 0.06


@dataclass(frozen=True)
class Sums:
    """Of looks at a rig of C cameras: H (C, MOVE, C, MOVE) and g (C, MOVE); weight (C,) of each camera's rays.

    disagreement: weighted sum of squares of all views, as angles.
    """

    H: F64
    g: F64
    weight: F64
    disagreement: float
    looks: int = 1

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.H + other.H,
            self.g + other.g,
            self.weight + other.weight,
            self.disagreement + other.disagreement,
            self.looks + other.looks,
        )

    def own(self, n: int = SIX) -> F64:
        """(C, n, n): what each camera's move alone changes."""
        cameras = np.arange(len(self.weight))
        return self.H[cameras, :n, cameras, :n]

    def after(self, moves: F64) -> "Sums":
        """The same looks as if the cameras were believed to stand elsewhere: moves (C, MOVE)."""
        Hm = np.tensordot(self.H, moves, 2)
        less = float((moves * (2 * self.g - Hm)).sum())
        return Sums(self.H, self.g - Hm, self.weight, self.disagreement - less, self.looks)


def total(sums: list[Sums]) -> Sums:
    """Of one look at least."""
    added = sums[0]
    for each in sums[1:]:
        added = added + each
    return added


def look_at(Ts_cam_world: F64, rays: F64, weight: F64, velocity_m_s: F64) -> Sums:
    """One look: rays (S, C, 2), weight (S, C), 0 where not seen; velocity_m_s (S, 3) of the joints, 0 if unknown."""
    points_m = _meeting(Ts_cam_world, rays, weight)
    for _ in range(2):
        residual, A, _, w = _linearised(Ts_cam_world, rays, weight, points_m)
        points_m = points_m + _step(residual, A, w)[0]
    residual, A, q, w = _linearised(Ts_cam_world, rays, weight, points_m)
    step, inverse = _step(residual, A, w)
    residual = residual - (A @ step[:, None, :, None])[..., 0]
    B = _by_move(q, velocity_m_s @ Ts_cam_world[:, :, :3].swapaxes(-1, -2))
    wB = w[..., None, None] * B
    AB = (A.swapaxes(-1, -2) @ wB).transpose(0, 2, 1, 3).reshape(len(rays), 3, -1)
    bound = (np.linalg.cholesky(inverse).swapaxes(-1, -2) @ AB).reshape(-1, AB.shape[-1])
    n = rays.shape[1]
    H = -(bound.T @ bound).reshape(n, MOVE, n, MOVE)
    cameras = np.arange(n)
    H[cameras, :, cameras, :] += (B.swapaxes(-1, -2) @ wB).sum(0)
    g = (wB.swapaxes(-1, -2) @ residual[..., None])[..., 0].sum(0)
    return Sums(H, g, w.sum(0), float((w * (residual**2).sum(-1)).sum()))


def pose_after(T_cam_world: F64, move: F64) -> F64:
    """The pose (4, 4) of a camera that has made a move (at least SIX,) from a pose."""
    T_new_old = rigid.from_rotation(rigid.rotation_from_rotvec(move[:3]), move[3:SIX])
    return np.asarray(T_new_old @ T_cam_world)


def between(T_cam_world: F64, T_new_world: F64) -> tuple[float, float]:
    """By how much two poses of a camera differ: turn in radians, way of its centre in metres."""
    T_new_old = T_new_world @ rigid.inverse(T_cam_world)
    turn = float(np.linalg.norm(rigid.rotvec_from_rotation(T_new_old[:3, :3])))
    return turn, float(np.linalg.norm(T_new_old[:3, 3]))


def _meeting(Ts_cam_world: F64, rays: F64, weight: F64) -> F64:
    """(S, 3): the points nearest to all lines of sight."""
    R = Ts_cam_world[:, :, :3]
    centres = -(R.swapaxes(1, 2) @ Ts_cam_world[:, :, 3:])[..., 0]
    direction = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], -1)[..., None, :] @ R  # (S, C, 1, 3)
    direction = direction[..., 0, :] / np.linalg.norm(direction[..., 0, :], axis=-1, keepdims=True)
    across = weight[..., None, None] * (np.eye(3) - direction[..., None] * direction[..., None, :])
    normal = across.sum(1) + LEAST_INFORMATION * np.eye(3)
    return np.linalg.solve(normal, (across @ centres[:, :, None]).sum(1))[..., 0]


def _linearised(Ts_cam_world: F64, rays: F64, weight: F64, points_m: F64) -> tuple[F64, F64, F64, F64]:
    """Residuals (S, C, 2), their derivative (S, C, 2, 3) by the point, points q_cam (S, C, 3), weights (S, C)."""
    R = Ts_cam_world[:, :, :3]
    q = (R @ points_m[:, None, :, None])[..., 0] + Ts_cam_world[:, :, 3]
    weight = np.where(q[..., 2] > NEAREST_M, weight, 0.0)
    q = np.where(weight[..., None] > 0, q, (0.0, 0.0, 1.0))
    residual = np.where(weight[..., None] > 0, rays - q[..., :2] / q[..., 2:], 0.0)
    w = weight / (1.0 + (residual**2).sum(-1) / ODD_RAY**2)
    return residual, _by_point(q) @ R, q, w


def _by_point(q: F64) -> F64:
    """(…, 2, 3) derivative of a ray by its point (…, 3) in the camera."""
    D = np.zeros((*q.shape[:-1], 2, 3))
    D[..., 0, 0] = D[..., 1, 1] = 1.0 / q[..., 2]
    D[..., :, 2] = -q[..., :2] / q[..., 2:] ** 2
    return D


def _by_move(q: F64, velocity_cam_m_s: F64) -> F64:
    """(S, C, 2, MOVE) derivative of a ray by a move of the camera; velocities (C, S, 3) in its own axes."""
    move = np.zeros((*q.shape[:-1], 3, MOVE))
    x, y, z = q[..., 0], q[..., 1], q[..., 2]
    move[..., 0, 1], move[..., 0, 2] = z, -y
    move[..., 1, 0], move[..., 1, 2] = -z, x
    move[..., 2, 0], move[..., 2, 1] = y, -x
    move[..., 0, 3] = move[..., 1, 4] = move[..., 2, 5] = 1.0
    move[..., :, SIX] = velocity_cam_m_s.swapaxes(0, 1)
    return _by_point(q) @ move


def _step(residual: F64, A: F64, w: F64) -> tuple[F64, F64]:
    """Gauss-Newton step (S, 3) of the points, and the inverse (S, 3, 3) of their normal matrices."""
    At = (w[..., None, None] * A).swapaxes(-1, -2)
    inverse = np.linalg.inv((At @ A).sum(1) + LEAST_INFORMATION * np.eye(3))
    return (inverse @ (At @ residual[..., None]).sum(1))[..., 0], inverse
