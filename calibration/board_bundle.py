"""Bundle adjustment over cameras, a moving board and, where asked, intrinsics and clocks.

Unknowns: each camera's pose, 12 intrinsics and clock offset as far as they are free, and the board's pose at every
instant. A board that is carried moves between the frames of one instant: frame times t_c (plus the camera's offset) put
each corner where the board is at that moment, T_world_board(t_k) · exp(velocity · (t_c - t_k)).
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from calibration.arrow import Normal
from calibration.lens_jacobian import N_INTRINSICS, Lens, project_with_jacobians
from calibration.twist import exp_twist

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

POSE = slice(0, 6)  # of a camera's unknowns: turn (radians) and shift (metres) in its own axes
INTRINSICS = slice(6, 6 + N_INTRINSICS)
OFFSET = 6 + N_INTRINSICS  # seconds
N_UNKNOWNS = OFFSET + 1
BEHIND = 1e3  # sigmas, for a corner that a candidate puts behind the camera


@dataclass(frozen=True, eq=False)
class BoardState:
    """Ts_cam_world (C, 4, 4), intrinsics (C, 12), offset_s (C,), Ts_world_board (T, 4, 4)."""

    Ts_cam_world: Array
    intrinsics: Array
    offset_s: Array
    Ts_world_board: Array


@dataclass(frozen=True, eq=False)
class BoardProblem:
    """What is known. Residuals are in units of sigma_px.

    board_m: (K, 3). corners_px: (C, T, K, 2), NaN where not seen. lenses: C. free: (C, 19) which unknowns of a camera
    are solved for. prior, prior_sigma: (C, 12) of the intrinsics, inf where nothing is known. time_s: (C, T) of each
    frame since the instant that the board's pose is for. velocity: (T, 6) of the board in its own axes, rad/s and m/s.
    cauchy: residuals of so many sigmas have half weight (Cauchy's loss).
    """

    board_m: Array
    corners_px: Array
    lenses: tuple[Lens, ...]
    free: Bools
    prior: Array
    prior_sigma: Array
    time_s: Array
    velocity: Array
    sigma_px: float = 0.5
    cauchy: float = 3.0
    square_sigma: float = np.inf  # of fx/fy
    offset_sigma_s: float = 0.03
    _seen: Bools = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_seen", np.isfinite(self.corners_px).all(-1))

    def linearised(self, state: BoardState) -> Normal:
        """See arrow.Problem."""
        columns = self._columns()
        G, T = int(self.free.sum()), len(state.Ts_world_board)
        H_gg, g_g = np.zeros((G, G)), np.zeros(G)
        H_gl, H_ll, g_l = np.zeros((T, G, 6)), np.zeros((T, 6, 6)), np.zeros((T, 6))
        cost = self._prior_cost(state)
        for c, own in enumerate(columns):
            there = np.flatnonzero(self._seen[c].any(1))
            A, B, r, own_cost = self._camera(state, c, there)
            cost += own_cost
            At = A.swapaxes(1, 2)
            H_ll[there] += At @ A
            g_l[there] += (At @ r[..., None])[..., 0]
            if len(own):
                H_gg[np.ix_(own, own)] += np.einsum("tng,tnh->gh", B, B, optimize=True)
                g_g[own] += np.einsum("tng,tn->g", B, r, optimize=True)
                H_gl[there[:, None], own] = B.swapaxes(1, 2) @ A
        self._add_priors(state, columns, H_gg, g_g)
        return Normal(H_gg, H_gl, H_ll, g_g, g_l, cost)

    def cost(self, state: BoardState) -> float:
        """See arrow.Problem."""
        cost = self._prior_cost(state)
        for c in range(len(self.lenses)):
            there = np.flatnonzero(self._seen[c].any(1))
            cost += self._robust(self._project(state, c, there)[0], c, there)[1]
        return cost

    def moved(self, state: BoardState, step_g: Array, steps_l: Array) -> BoardState:
        """See arrow.Problem."""
        step = np.zeros(self.free.shape)
        step[self.free] = step_g
        return BoardState(
            exp_twist(step[:, POSE]) @ state.Ts_cam_world,
            state.intrinsics + step[:, INTRINSICS],
            state.offset_s + step[:, OFFSET],
            state.Ts_world_board @ exp_twist(steps_l),
        )

    def residual_px(self, state: BoardState) -> Array:
        """(C, T, K, 2) observed minus projected, NaN where not seen."""
        every = np.arange(self.corners_px.shape[1])
        return np.stack([self._project(state, c, every)[0] for c in range(len(self.lenses))])

    def projected_px(self, state: BoardState) -> Array:
        """(C, T, K, 2) where the corners should be seen."""
        return self.corners_px - self.residual_px(state)

    def at_rest(self) -> "BoardProblem":
        """The same with a board that stands still within an instant."""
        return replace(self, velocity=np.zeros_like(self.velocity))

    def _columns(self) -> list[npt.NDArray[np.int64]]:
        """Of each camera, where its free unknowns stand among all."""
        index = np.cumsum(self.free).reshape(self.free.shape) - 1
        return [index[c][self.free[c]] for c in range(len(self.free))]

    def _board_at(self, state: BoardState, c: int, there: npt.NDArray[np.int64]) -> Array:
        """(T', K, 3) corners in the board frame of the instant, moved on to the frame's own time."""
        twist = self.velocity[there] * (np.nan_to_num(self.time_s[c, there]) + state.offset_s[c])[:, None]
        T_move = exp_twist(twist)
        return np.asarray(self.board_m @ T_move[:, :3, :3].swapaxes(1, 2) + T_move[:, None, :3, 3])

    def _project(self, state: BoardState, c: int, there: npt.NDArray[np.int64]) -> tuple[Array, Array, Array, Array]:
        """Residuals (T', K, 2), derivatives by the point and by intrinsics, and points in the camera (T', K, 3)."""
        T_cam_board = state.Ts_cam_world[c] @ state.Ts_world_board[there]
        points = self._board_at(state, c, there) @ T_cam_board[:, :3, :3].swapaxes(1, 2) + T_cam_board[:, None, :3, 3]
        pixels, by_point, by_intrinsics = project_with_jacobians(self.lenses[c], state.intrinsics[c], points)
        return self.corners_px[c, there] - pixels, by_point, by_intrinsics, points

    def _robust(self, residual: Array, c: int, there: npt.NDArray[np.int64]) -> tuple[Array, float]:
        """Weights (T', K) of residuals (T', K, 2), 0 where not seen, and their cost."""
        seen = self._seen[c, there]
        square = np.where(seen, np.nan_to_num((residual**2).sum(-1) / self.sigma_px**2, nan=BEHIND**2), 0.0)
        cost = 0.5 * self.cauchy**2 * float(np.log1p(square / self.cauchy**2).sum())
        return np.where(seen, 1.0 / (1.0 + square / self.cauchy**2), 0.0), cost

    def _prior_cost(self, state: BoardState) -> float:
        return 0.5 * sum(float((d * d).sum()) for d, _ in self._priors(state))

    def _camera(self, state: BoardState, c: int, there: npt.NDArray[np.int64]) -> tuple[Array, Array, Array, float]:
        """Weighted derivatives of a camera's residuals by the boards (T', 2K, 6), by its own free unknowns
        (T', 2K, g), the residuals (T', 2K), and their cost."""
        residual, by_point, by_intrinsics, points = self._project(state, c, there)
        usable = self._seen[c, there] & np.isfinite(by_point).all((-1, -2))
        weight, cost = self._robust(residual, c, there)
        weight = np.where(usable, weight, 0.0)
        scale = (np.sqrt(weight) / self.sigma_px)[..., None]
        residual = np.where(usable[..., None], residual, 0.0) * scale
        by_point = np.where(usable[..., None, None], by_point, 0.0) * scale[..., None]
        points = np.where(usable[..., None], points, 0.0)
        R = (state.Ts_cam_world[c] @ state.Ts_world_board[there])[:, None, :3, :3]
        board = self._board_at(state, c, there)
        A = by_point @ R @ _by_twist(board)
        B = np.zeros((*by_point.shape[:-1], N_UNKNOWNS))
        B[..., POSE] = by_point @ _by_twist(points)
        B[..., INTRINSICS] = np.where(usable[..., None, None], by_intrinsics, 0.0) * scale[..., None]
        moving = (_by_twist(board) @ self.velocity[there][:, None, :, None])[..., 0]
        B[..., OFFSET] = (by_point @ R @ moving[..., None])[..., 0]
        rows = (len(there), 2 * len(self.board_m))
        own = B[..., self.free[c]]
        return -A.reshape(*rows, 6), -own.reshape(*rows, own.shape[-1]), residual.reshape(rows), cost

    def _priors(self, state: BoardState) -> list[tuple[Array, Array]]:
        """Deviations in sigmas and 1/sigma: of the intrinsics (C, 12), of fy from fx (C,), of the offsets (C,)."""
        per_sigma = np.where(self.free[:, INTRINSICS], 1.0 / self.prior_sigma, 0.0)
        square = np.where(self.free[:, INTRINSICS][:, 0], 1.0 / self.square_sigma, 0.0)
        clock = np.where(self.free[:, OFFSET], 1.0 / self.offset_sigma_s, 0.0)
        return [
            ((state.intrinsics - np.nan_to_num(self.prior)) * per_sigma, per_sigma),
            (np.log(state.intrinsics[:, 0] / state.intrinsics[:, 1]) * square, square),
            (state.offset_s * clock, clock),
        ]

    def _add_priors(self, state: BoardState, columns: list[npt.NDArray[np.int64]], H_gg: Array, g_g: Array) -> None:
        (deviation, per_sigma), (skewed, square), (late, clock) = self._priors(state)
        for c, own in enumerate(columns):
            H, g = np.zeros((N_UNKNOWNS, N_UNKNOWNS)), np.zeros(N_UNKNOWNS)
            np.fill_diagonal(H[INTRINSICS, INTRINSICS], per_sigma[c] ** 2)
            g[INTRINSICS] = deviation[c] * per_sigma[c]
            equal = np.zeros(N_UNKNOWNS)
            equal[[6, 7]] = square[c] / state.intrinsics[c, 0], -square[c] / state.intrinsics[c, 1]
            H += np.outer(equal, equal)
            g += skewed[c] * equal
            H[OFFSET, OFFSET] += clock[c] ** 2
            g[OFFSET] += late[c] * clock[c]
            free = self.free[c]
            H_gg[np.ix_(own, own)] += H[np.ix_(free, free)]
            g_g[own] += g[free]


def _by_twist(points: Array) -> Array:
    """(..., 3, 6) derivative of points (..., 3) by a turn about the origin and a shift of them."""
    out = np.zeros((*points.shape, 6))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    out[..., 0, 1], out[..., 0, 2] = z, -y
    out[..., 1, 0], out[..., 1, 2] = -z, x
    out[..., 2, 0], out[..., 2, 1] = y, -x
    out[..., 0, 3] = out[..., 1, 4] = out[..., 2, 5] = 1.0
    return out
