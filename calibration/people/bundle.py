"""Cameras, clocks, bone lengths and a person's joints at many instants, all at once, by least squares.

Views are ideal normalised coordinates, so any lens will do; a focal length is a factor on them. Shifting a camera's
clock shifts what it saw along its velocity. Errors are in pixels over the noise of that joint; Cauchy's loss.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.arrow import Normal, minimise
from calibration.people.body import Body
from calibration.people.track import Views
from calibration.twist import cross_matrix, exp_twist

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LOSS_SIGMAS = 2.0  # where Cauchy's loss bends, in standard deviations
LEAST_DEPTH = 1e-2
SECONDS = 0.1  # the unit of offsets as unknowns, so that they weigh like radians
FOCAL_SPREAD = 0.05  # what is believed of the given focal lengths, when they are free at all


@dataclass(frozen=True, eq=False)
class State:
    """T_cam_world (C, 4, 4), zoom (C,) factors of the focal lengths, shift_s (C,) of the clocks, log_bone (L,),
    joints (T, J, 3) world, NaN where fewer than two cameras saw one."""

    T_cam_world: Array
    zoom: Array
    shift_s: Array
    log_bone: Array
    joints: Array


@dataclass(frozen=True, eq=False)
class Problem:
    """views: of C cameras at T instants. focal_px: (C,). sigma_px: (C, J) noise. fixed: camera that stays where it is.

    free_time, free_focal: whether clocks and focal lengths are unknowns. Unknowns: per camera 6 of its pose, its
    clock, its focal length; then the bones' lengths.
    """

    views: Views
    focal_px: Array
    sigma_px: Array
    body: Body
    fixed: int
    free_time: bool = True
    free_focal: bool = False
    bone_weight: float = 1.0

    def cost(self, state: State) -> float:
        """Half the robust sum of squares."""
        off, _, _, _ = self._off(state)
        seen = np.isfinite(off).all(-1)
        cost = _cauchy_cost((off[seen] ** 2).sum(-1))
        if len(self.body.ends) and self.bone_weight:
            bones, _, _ = self._bones(state)
            cost += _cauchy_cost(bones[np.isfinite(bones)] ** 2)
        return float(cost + self._prior(state)[2])

    def linearised(self, state: State) -> Normal:
        """Normal equations; the local unknowns are the joints of an instant."""
        C, T, J = self.views.confidence.shape
        off, in_cam, z, scale = self._off(state)
        seen = np.isfinite(off).all(-1)
        off = np.where(seen[..., None], off, 0.0)
        weight = np.where(seen, 1 / (1 + (off**2).sum(-1) / LOSS_SIGMAS**2), 0.0)
        cost = _cauchy_cost((off[seen] ** 2).sum(-1))
        in_cam = np.where(seen[..., None], in_cam, 1.0)
        z = np.where(seen, z, 1.0)
        xy = in_cam[..., :2] / z[..., None]
        by_point = np.zeros((C, T, J, 2, 3))
        by_point[..., 0, 0] = by_point[..., 1, 1] = 1 / z
        by_point[..., 2] = -xy / z[..., None]
        by_point *= (scale * state.zoom[:, None, None])[..., None, None]
        by_camera = np.zeros((C, T, J, 2, 8))
        turned = in_cam - state.T_cam_world[:, None, None, :3, 3]
        by_camera[..., :3] = -by_point @ cross_matrix(turned)
        by_camera[..., 3:6] = by_point
        by_camera[..., 6] = SECONDS * np.where(seen[..., None], self.views.velocity, 0.0) * scale[..., None]
        by_camera[..., 7] = (scale * state.zoom[:, None, None])[..., None] * xy
        by_camera *= self._free()[:, None, None, None, :]
        by_joint = by_point @ state.T_cam_world[:, None, None, :3, :3]

        weighted = weight[..., None, None] * by_joint
        H_jj = np.einsum("ctjra,ctjrb->tjab", weighted, by_joint, optimize=True)
        g_j = np.einsum("ctjra,ctjr->tja", weighted, off, optimize=True)
        H_cj = (by_camera.swapaxes(-1, -2) @ weighted).transpose(1, 0, 3, 2, 4)
        tall = (by_camera * np.sqrt(weight)[..., None, None]).reshape(C, -1, 8)
        H_cc = tall.swapaxes(1, 2) @ tall
        g_c = np.einsum("cna,cn->ca", tall, (off * np.sqrt(weight)[..., None]).reshape(C, -1))
        return self._assembled(state, H_jj, g_j, H_cj, H_cc, g_c, cost)

    def moved(self, state: State, step_g: Array, steps_l: Array) -> State:
        """After a step."""
        C, T, J = self.views.confidence.shape
        by_camera = step_g[: 8 * C].reshape(C, 8)
        turn = np.concatenate([by_camera[:, :3], np.zeros((C, 3))], axis=1)
        T_cam_world = state.T_cam_world.copy()
        T_cam_world[:, :3, :3] = exp_twist(turn)[:, :3, :3] @ T_cam_world[:, :3, :3]
        T_cam_world[:, :3, 3] += by_camera[:, 3:6]
        return State(
            T_cam_world,
            state.zoom * np.exp(np.clip(by_camera[:, 7], -0.5, 0.5)),
            state.shift_s + SECONDS * by_camera[:, 6],
            state.log_bone + step_g[8 * C :],
            state.joints + steps_l.reshape(T, J, 3),
        )

    def _free(self) -> Array:
        """(C, 8): 1 for unknowns, 0 for what is given."""
        free = np.ones((len(self.focal_px), 8))
        free[self.fixed, :7] = 0.0
        free[:, 6] *= self.free_time
        free[:, 7] = self.free_focal
        return free

    def _off(self, state: State) -> tuple[Array, Array, Array, Array]:
        """Reprojected minus seen (C, T, J, 2) over its noise, points in the cameras, depths, factor to noise units."""
        R, t = state.T_cam_world[:, :3, :3], state.T_cam_world[:, :3, 3]
        in_cam = np.einsum("cij,tnj->ctni", R, state.joints) + t[:, None, None]
        z = np.where(in_cam[..., 2] > LEAST_DEPTH, in_cam[..., 2], np.nan)
        seen_xy = self.views.xy - self.views.velocity * state.shift_s[:, None, None, None]
        scale = np.sqrt(self.views.confidence) * (self.focal_px[:, None] / self.sigma_px)[:, None, :]
        off = (in_cam[..., :2] / z[..., None] * state.zoom[:, None, None, None] - seen_xy) * scale[..., None]
        return np.where(self.views.seen[..., None], off, np.nan), in_cam, z, scale

    def _bones(self, state: State) -> tuple[Array, Array, Array]:
        """Errors (T, N) of the logarithms of lengths over their spread, directions (T, N, 3) and lengths (T, N)."""
        first, second = self.body.ends.T
        along = state.joints[:, second] - state.joints[:, first]
        length = np.maximum(np.linalg.norm(along, axis=-1), 1e-6)
        off = (np.log(length) - state.log_bone[self.body.length]) / self.body.spread * np.sqrt(self.bone_weight)
        return off, along / length[..., None], length

    def _prior(self, state: State) -> tuple[Array, Array, float]:
        """Of the focal lengths: gradient (C,), curvature (C,), cost."""
        if not self.free_focal:
            return np.zeros(len(self.focal_px)), np.zeros(len(self.focal_px)), 0.0
        off = np.log(state.zoom) / FOCAL_SPREAD
        return off / FOCAL_SPREAD, np.full(len(off), FOCAL_SPREAD**-2), float(0.5 * (off**2).sum())

    def _assembled(
        self, state: State, H_jj: Array, g_j: Array, H_cj: Array, H_cc: Array, g_c: Array, cost: float
    ) -> Normal:
        T, C, _, J, _ = H_cj.shape
        G, L = 8 * C + len(state.log_bone), 3 * J
        H_ll, H_gl = np.zeros((T, J, 3, J, 3)), np.zeros((T, G, L))
        each = np.arange(J)
        H_ll[:, each, :, each, :] = H_jj.swapaxes(0, 1)
        H_gl[:, : 8 * C] = H_cj.reshape(T, 8 * C, L)
        H_gg, g_g = np.zeros((G, G)), np.zeros(G)
        for c in range(C):
            H_gg[8 * c : 8 * c + 8, 8 * c : 8 * c + 8] = H_cc[c]
        g_g[: 8 * C] = g_c.ravel()
        gradient, curvature, prior = self._prior(state)
        zooms = 8 * np.arange(C) + 7
        H_gg[zooms, zooms] += curvature
        g_g[zooms] += gradient
        g_l = g_j.reshape(T, L).copy()
        if len(self.body.ends) and self.bone_weight:
            cost += self._add_bones(state, H_ll, H_gl, H_gg, g_g, g_l.reshape(T, J, 3), 8 * C)
        return Normal(H_gg, H_gl, H_ll.reshape(T, L, L), g_g, g_l, float(cost + prior))

    def _add_bones(
        self, state: State, H_ll: Array, H_gl: Array, H_gg: Array, g_g: Array, g_l: Array, first_bone: int
    ) -> float:
        """The bones' part, added in place; their cost is returned."""
        off, along, length = self._bones(state)
        seen = np.isfinite(off)
        off, along = np.where(seen, off, 0.0), np.where(seen[..., None], along, 0.0)
        weight = np.where(seen, 1 / (1 + off**2 / LOSS_SIGMAS**2), 0.0)
        factor = np.sqrt(self.bone_weight) / self.body.spread
        J_end = along * (factor / np.where(seen, length, 1.0))[..., None]  # by the second end; minus, by the first
        H_joints = H_gl.reshape(len(H_gl), H_gl.shape[1], -1, 3)
        for n, (first, second) in enumerate(self.body.ends):
            block = weight[:, n, None, None] * J_end[:, n, :, None] * J_end[:, n, None, :]
            H_ll[:, first, :, first] += block
            H_ll[:, second, :, second] += block
            H_ll[:, first, :, second] -= block
            H_ll[:, second, :, first] -= block
            pull = (weight[:, n] * off[:, n])[:, None] * J_end[:, n]
            g_l[:, second] += pull
            g_l[:, first] -= pull
            g = first_bone + int(self.body.length[n])
            meets = -factor[n] * weight[:, n, None] * J_end[:, n]
            H_joints[:, g, second] += meets
            H_joints[:, g, first] -= meets
            H_gg[g, g] += factor[n] ** 2 * weight[:, n].sum()
            g_g[g] -= factor[n] * (weight[:, n] * off[:, n]).sum()
        return _cauchy_cost(off[seen] ** 2)


def _cauchy_cost(squares: Array) -> float:
    return float(0.5 * LOSS_SIGMAS**2 * np.log1p(squares / LOSS_SIGMAS**2).sum())


def adjusted(
    problem: Problem,
    state: State,
    iterations: int,
    progress: Callable[[int, float], None] = lambda _turn, _cost: None,
) -> tuple[State, float]:
    """The best state, and its cost."""
    found = minimise(problem, state, iterations=iterations, tolerance=1e-6, progress=progress)
    return found.state, found.cost
