"""Nonlinear least squares whose unknowns are a few global ones and many independent local blocks.

The normal matrix has the shape of an arrow: global (cameras), and one block for each instant (a board's pose, a
person's joints) that meets the global ones alone. The blocks are eliminated first (the Schur complement of bundle
adjustment: Triggs et al. 2000, section 6), so time and memory are linear in the number of instants.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
State = TypeVar("State")

FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-4, 1e-9, 1e9
CALMER, BOLDER = 5.0, 0.1  # factors of the damping after a step that failed, that succeeded


@dataclass(frozen=True, eq=False)
class Normal:
    """Normal equations JᵀWJ · step = -JᵀWr, with G global unknowns, T blocks of L local ones.

    H_gg (G, G), H_gl (T, G, L), H_ll (T, L, L), g_g (G,) and g_l (T, L): JᵀWr. cost: half the robust sum of squares.
    """

    H_gg: Array
    H_gl: Array
    H_ll: Array
    g_g: Array
    g_l: Array
    cost: float


class Problem(Protocol[State]):
    """What is minimised. Pure; a state is never changed."""

    def linearised(self, state: State) -> Normal:
        """The normal equations at a state, with the robust weights that it gives."""

    def cost(self, state: State) -> float:
        """The same cost as `linearised(state).cost`."""

    def moved(self, state: State, step_g: Array, steps_l: Array) -> State:
        """The state after a step: step_g (G,), steps_l (T, L)."""


@dataclass(frozen=True)
class Solution(Generic[State]):
    """state: the best found. cost: there. iterations: steps tried. converged: before the most that were allowed."""

    state: State
    cost: float
    iterations: int
    converged: bool


def minimise(
    problem: Problem[State],
    state: State,
    *,
    iterations: int = 50,
    tolerance: float = 1e-7,
    progress: Callable[[int, float], None] = lambda _i, _cost: None,
) -> Solution[State]:
    """Levenberg-Marquardt with the diagonal scaled (Marquardt 1963). Ends when a step gains less than the tolerance.

    tolerance: relative to the cost. progress: called with the step's number and the cost. It never ends worse than it
    began.
    """
    damping = FIRST_DAMPING
    normal = problem.linearised(state)
    for turn in range(iterations):
        progress(turn, normal.cost)
        while True:
            step_g, steps_l = solved(normal, damping)
            candidate = problem.moved(state, step_g, steps_l)
            cost = problem.cost(candidate)
            if cost <= normal.cost:  # NaN compares false
                break
            damping *= CALMER
            if damping > MOST_DAMPING:
                return Solution(state, normal.cost, turn, True)
        gain = normal.cost - cost
        state, damping = candidate, max(damping * BOLDER, LEAST_DAMPING)
        normal = problem.linearised(state)
        if gain <= tolerance * cost:
            return Solution(state, normal.cost, turn + 1, True)
    return Solution(state, normal.cost, iterations, False)


def solved(normal: Normal, damping: float) -> tuple[Array, Array]:
    """The damped step: (G,) and (T, L)."""
    H_ll, H_gg = _damped(normal.H_ll, damping), _damped(normal.H_gg, damping)
    G = len(H_gg)
    both = np.concatenate([normal.H_gl.swapaxes(1, 2), normal.g_l[:, :, None]], axis=2)  # (T, L, G + 1)
    eliminated = np.linalg.solve(H_ll, both)
    T, L = normal.g_l.shape
    W = normal.H_gl.transpose(1, 0, 2).reshape(G, T * L)
    reduced = W @ eliminated.reshape(T * L, G + 1)
    step_g = -np.linalg.solve(H_gg - reduced[:, :G], normal.g_g - reduced[:, G]) if G else np.zeros(0)
    steps_l = -(eliminated[:, :, G] + eliminated[:, :, :G] @ step_g)
    return step_g, steps_l


def covariance(normal: Normal) -> Array:
    """(G, G) of the global unknowns, per unit of noise variance, by the pseudo-inverse: a free gauge has no say."""
    eliminated = np.linalg.solve(_damped(normal.H_ll, LEAST_DAMPING), normal.H_gl.swapaxes(1, 2))
    return np.asarray(np.linalg.pinv(normal.H_gg - (normal.H_gl @ eliminated).sum(0), rcond=1e-12, hermitian=True))


def _damped(H: Array, damping: float) -> Array:
    """The diagonal raised by its share; unknowns that nothing tells of stay where they are."""
    diagonal = np.einsum("...ii->...i", H)
    raised = np.where(diagonal > 0, damping * diagonal + 1e-12, 1.0)
    return np.asarray(H + raised[..., None] * np.eye(H.shape[-1]))
