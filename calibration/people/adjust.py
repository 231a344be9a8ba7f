"""Rounds of looking again at the instants with the clocks found so far, judging the noise, and adjusting everything.

The noise is told by joint and not by camera: cameras that agree with few others would be believed more and more, and
all joints within a factor, as a joint that two cameras alone see seems to have next to none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.people.beginning import body_size
from calibration.people.body import Body
from calibration.people.bundle import Problem, State, adjusted
from calibration.people.points import off_by, points_of
from calibration.people.track import Straightened, Views

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FIRST_SIGMA_OF_BODY = 0.015  # of the person's height in the picture, before anything is known of the noise
LEAST_SIGMA_PX = 0.5
MAD_TO_SIGMA = 1.177  # the median of |e| of two axes is 1.177 standard deviations (Rayleigh)
SWAP_GAIN = 0.5  # left and right are changed back when that leaves less than this of the distances
SWAP_ROUND = 2  # from this round on: before, the cameras are too wrong to tell
LEAST_ROUNDS, SETTLED_S = 5, 0.0003  # the clocks are what settles last
ITERATIONS = 12  # of each round
LEAST_NOISE, MOST_NOISE = 0.8, 2.0  # of a joint, over the typical one


@dataclass(frozen=True, eq=False)
class Poses:
    """C cameras: T_cam_world (C, 4, 4), offsets_s (C,), zoom (C,)."""

    T_cam_world: Array
    offsets_s: Array
    zoom: Array


@dataclass(frozen=True, eq=False)
class Adjusted:
    """poses, and what they were found with: joints (T, J, 3) at the instants, sigma_px (C, J), log_bone (L,)."""

    poses: Poses
    state: State
    problem: Problem
    cost: float


def adjust(
    straight: Straightened,
    focal_px: Array,
    body: Body,
    instants_s: Array,
    poses: Poses,
    *,
    rounds: int = 6,
    free_time: bool = True,
    free_focal: bool = False,
    iterations: int = ITERATIONS,
    after: "Adjusted | None" = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> Adjusted:
    """Adjust in rounds: the first with the noise guessed and without bones, the others with all that is known.

    after: what was found of nearly the same instants; its noise is taken over, and all rounds are full ones.
    """
    views = straight.views(instants_s, poses.offsets_s)
    sizes = body_size(views)
    sigma_px = np.tile((FIRST_SIGMA_OF_BODY * sizes * focal_px)[:, None], (1, len(body.joints)))
    if after is not None:
        sigma_px = after.problem.sigma_px
    found = None
    swapped = np.zeros((len(focal_px), len(instants_s)), dtype=np.bool_)
    for turn in range(rounds):
        views = sides_changed(straight.views(instants_s, poses.offsets_s), body, swapped)
        gate = float(np.mean(sizes) * 3 * FIRST_SIGMA_OF_BODY)
        joints = points_of(poses.T_cam_world, views.xy / poses.zoom[:, None, None, None], views.confidence, gate)
        log_bone = bones_of(joints, body)
        problem = Problem(
            views, focal_px, sigma_px, body, 0, free_time, free_focal, float(turn > 0 or after is not None)
        )
        state = State(poses.T_cam_world, poses.zoom, np.zeros(len(focal_px)), log_bone, joints)
        state, cost = adjusted(problem, state, iterations=iterations)
        poses = Poses(state.T_cam_world, poses.offsets_s + state.shift_s, state.zoom)
        found = Adjusted(poses, state, problem, cost)
        sigma_px = noise_of(problem, state)
        if turn + 1 >= SWAP_ROUND:
            swapped ^= sides_wrong(problem, state, gate)
        progress((turn + 1) / rounds)
        if turn + 1 >= LEAST_ROUNDS and np.abs(state.shift_s).max() < SETTLED_S:
            break
    progress(1.0)
    assert found is not None
    return found


def sides_changed(views: Views, body: Body, swapped: Bools) -> Views:
    """Left and right joints exchanged in the views (C, T) that are marked."""
    other = body.swapped
    marked = swapped[:, :, None]
    return Views(
        np.where(marked[..., None], views.xy[:, :, other], views.xy),
        np.where(marked[..., None], views.velocity[:, :, other], views.velocity),
        np.where(marked, views.confidence[:, :, other], views.confidence),
    )


def sides_wrong(problem: Problem, state: State, gate: float) -> Bools:
    """Views (C, T) in which a detector took left for right: with sides exchanged they are far nearer to the others'."""
    views = problem.views

    def distance(of: Views) -> Array:
        off = np.linalg.norm(off_by(state.T_cam_world, state.joints, of.xy / state.zoom[:, None, None, None]), axis=-1)
        known = np.isfinite(off)
        return np.asarray(np.where(known, np.minimum(off, 3 * gate), 0.0).sum(-1) / np.maximum(known.sum(-1), 1))

    every = np.ones(views.confidence.shape[:2], dtype=np.bool_)
    as_it_is, changed = distance(views), distance(sides_changed(views, problem.body, every))
    return (as_it_is > gate) & (changed < SWAP_GAIN * as_it_is)


def bones_of(joints: Array, body: Body) -> Array:
    """Logarithms of the median lengths (L,), 0 of bones that were never seen."""
    first, second = body.ends.T
    length = np.log(np.maximum(np.linalg.norm(joints[:, second] - joints[:, first], axis=-1), 1e-6))
    return np.array([
        float(np.median(known)) if len(known := of[np.isfinite(of)]) else 0.0
        for of in (length[:, body.length == n].ravel() for n in range(len(body.names)))
    ])  # fmt: skip


def noise_of(problem: Problem, state: State) -> Array:
    """Noise (C, J) in pixels: of each joint in all cameras, in proportion to how large the person is in each."""
    zoomed = problem.views.xy - problem.views.velocity * state.shift_s[:, None, None, None]
    off = off_by(state.T_cam_world, state.joints, zoomed / state.zoom[:, None, None, None])
    off_px = np.linalg.norm(off, axis=-1) * problem.focal_px[:, None, None] * np.sqrt(problem.views.confidence)
    n_views = problem.views.seen.sum(0)
    fitted_away = np.sqrt(2 * n_views / np.maximum(2 * n_views - 3, 1))  # three of the numbers became the point
    off_px = np.where(problem.views.seen, off_px * fitted_away, np.nan)
    sizes = body_size(problem.views) * problem.focal_px
    share = off_px / sizes[:, None, None]
    of_joint = share.transpose(2, 0, 1).reshape(share.shape[2], -1)
    sigma = np.array([np.median(of[np.isfinite(of)]) if np.isfinite(of).any() else np.nan for of in of_joint])
    sigma, typical = sigma / MAD_TO_SIGMA, np.nanmedian(sigma) / MAD_TO_SIGMA
    sigma = np.clip(np.where(np.isfinite(sigma), sigma, typical), LEAST_NOISE * typical, MOST_NOISE * typical)
    sigma = np.broadcast_to(sigma, (len(sizes), len(problem.body.joints)))
    return np.maximum(sigma * sizes[:, None], LEAST_SIGMA_PX)
