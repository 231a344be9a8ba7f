from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from calibration import arrow
from calibration.arrow import Normal


def _normal(
    G: int = 7, T: int = 5, L: int = 3, seed: int = 0
) -> tuple[Normal, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """With its dense matrix and right side: global unknowns first, then the blocks."""
    rng = np.random.default_rng(seed)
    rows = 4 * (G + L)
    H, g = np.zeros((G + T * L, G + T * L)), np.zeros(G + T * L)
    H_gl, H_ll, g_l = np.zeros((T, G, L)), np.zeros((T, L, L)), np.zeros((T, L))
    for t in range(T):
        J, r = rng.normal(size=(rows, G + L)), rng.normal(size=rows)
        own = np.concatenate([np.arange(G), G + t * L + np.arange(L)])
        H[np.ix_(own, own)] += J.T @ J
        g[own] += J.T @ r
        H_gl[t], H_ll[t], g_l[t] = J[:, :G].T @ J[:, G:], J[:, G:].T @ J[:, G:], J[:, G:].T @ r
    return Normal(H[:G, :G], H_gl, H_ll, g[:G], g_l, 1.0), H, g


def test_eliminating_the_blocks_gives_the_dense_step():
    normal, H, g = _normal()
    for damping in (0.0, 1e-4, 1.0, 1e3):
        dense = -np.linalg.solve(H + damping * np.diag(H.diagonal()), g)
        step_g, steps_l = arrow.solved(normal, damping)
        np.testing.assert_allclose(np.concatenate([step_g, steps_l.ravel()]), dense, rtol=1e-7, atol=1e-9)


def test_the_covariance_is_the_block_of_the_dense_inverse():
    normal, H, _ = _normal()
    np.testing.assert_allclose(arrow.covariance(normal), np.linalg.inv(H)[:7, :7], rtol=1e-6, atol=1e-12)


def test_without_global_unknowns_each_block_is_solved_alone():
    normal, _, _ = _normal()
    alone = Normal(np.zeros((0, 0)), np.zeros((5, 0, 3)), normal.H_ll, np.zeros(0), normal.g_l, 1.0)
    step_g, steps_l = arrow.solved(alone, 0.0)
    assert step_g.shape == (0,)
    np.testing.assert_allclose(steps_l, -np.linalg.solve(normal.H_ll, normal.g_l[..., None])[..., 0], atol=1e-10)


def test_what_nothing_tells_of_stays_where_it_is():
    normal, _, _ = _normal()
    H_gg, H_gl, g_g = normal.H_gg.copy(), normal.H_gl.copy(), normal.g_g.copy()
    H_gg[2], H_gg[:, 2], H_gl[:, 2], g_g[2] = 0.0, 0.0, 0.0, 0.0
    step_g, _ = arrow.solved(Normal(H_gg, H_gl, normal.H_ll, g_g, normal.g_l, 1.0), 1e-6)
    assert step_g[2] == 0.0
    assert np.isfinite(step_g).all()


@dataclass(frozen=True)
class Decays:
    """y_t = amplitude_t · exp(-rate · x): one rate for all, an amplitude for each row. State: (rate, amplitudes)."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]

    def residual(self, state):
        return self.y - state[1][:, None] * np.exp(-state[0] * self.x)

    def cost(self, state):
        return 0.5 * float((self.residual(state) ** 2).sum())

    def linearised(self, state):
        decay = np.exp(-state[0] * self.x) + 0 * self.y
        by_rate, by_own, r = state[1][:, None] * self.x * decay, -decay, self.residual(state)
        return Normal(
            np.array([[(by_rate**2).sum()]]),
            (by_rate * by_own).sum(1)[:, None, None],
            (by_own**2).sum(1)[:, None, None],
            np.array([(by_rate * r).sum()]),
            (by_own * r).sum(1)[:, None],
            self.cost(state),
        )

    def moved(self, state, step_g, steps_l):
        return state[0] + step_g[0], state[1] + steps_l[:, 0]


def _decays() -> Decays:
    rng = np.random.default_rng(0)
    x, amplitudes = np.linspace(0, 3, 30), rng.uniform(1, 5, 8)
    return Decays(x, amplitudes[:, None] * np.exp(-1.3 * x) + rng.normal(0, 0.05, (8, 30)))


def test_the_least_is_that_of_a_dense_solver():
    problem, start = _decays(), (0.2, np.ones(8))
    found = arrow.minimise(problem, start, iterations=100, tolerance=1e-14)
    dense = least_squares(lambda v: problem.residual((v[0], v[1:])).ravel(), np.append(0.2, np.ones(8)), xtol=1e-14)
    assert found.converged
    np.testing.assert_allclose(np.append(found.state[0], found.state[1]), dense.x, rtol=1e-6)


def test_it_never_ends_worse_than_it_began():
    problem = _decays()
    best = arrow.minimise(problem, (0.2, np.ones(8)), iterations=100).state
    for n in range(1, 6):
        start = (3.0, -np.ones(8))
        assert arrow.minimise(problem, start, iterations=n).cost <= problem.cost(start)
    assert arrow.minimise(problem, best).cost <= problem.cost(best)


def test_progress_tells_of_every_step():
    told = []
    found = arrow.minimise(_decays(), (0.2, np.ones(8)), progress=lambda i, cost: told.append((i, cost)))
    assert [i for i, _ in told] == list(range(found.iterations))
    assert (np.diff([cost for _, cost in told]) <= 0).all()
