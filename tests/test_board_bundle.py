from typing import Any

import numpy as np
import pytest

from calibration.board_bundle import INTRINSICS, N_UNKNOWNS, OFFSET, POSE, BoardProblem, BoardState
from calibration.twist import exp_twist
from tests.board_scene import BOARD, FOCAL_PX, T_world_board, ring

C, T = 3, 4
STEP = 1e-5  # f'''·h² and rounding, 1e-16 / h, are both below 1e-8 of what is differentiated
LENSES = [("pinhole",) * C, ("pinhole", "fisheye", "pinhole")]


def _problem(lenses, cauchy: float = 3.0) -> tuple[BoardProblem, BoardState]:
    rng = np.random.default_rng(0)
    Ts_cam_world = np.stack([camera.T_cam_world for camera in ring(C).cameras])
    # fx - fy is small: the prior of square pixels is linear in it but for a term in (fx - fy)²
    intrinsics = np.tile(
        [FOCAL_PX, FOCAL_PX + 0.1, 640.0, 355.0, -0.1, 0.05, 0.001, -0.001, 0.02, 0.01, -0.01, 0.003], (C, 1)
    )
    for c, lens in enumerate(lenses):
        if lens == "fisheye":
            intrinsics[c, 4:] = (0.05, -0.02, 0.006, -0.001, 0, 0, 0, 0)
    boards = T_world_board(np.linspace(0, 9, T))
    free = np.ones((C, N_UNKNOWNS), dtype=bool)
    free[0, POSE] = False
    free[1, OFFSET] = False
    for c, lens in enumerate(lenses):
        free[c, INTRINSICS.start + 8 : INTRINSICS.stop] = lens == "pinhole"
    problem = BoardProblem(
        board_m=BOARD.corners_m(),
        corners_px=np.full((C, T, BOARD.corner_count, 2), 600.0),
        lenses=lenses,
        free=free,
        prior=intrinsics + rng.normal(0, 0.02, intrinsics.shape),
        prior_sigma=rng.uniform(0.05, 0.5, intrinsics.shape),
        time_s=rng.normal(0, 0.02, (C, T)),
        velocity=rng.normal(0, 0.5, (T, 6)),
        cauchy=cauchy,
        square_sigma=0.002,
    )
    state = BoardState(Ts_cam_world, intrinsics, rng.normal(0, 0.01, C), boards @ exp_twist(np.full(6, 0.002)))
    corners_px = problem.projected_px(state) + rng.normal(0, 1.0, problem.corners_px.shape)
    corners_px[rng.random(corners_px.shape[:3]) < 0.2] = np.nan
    corners_px[2, 1] = np.nan  # a camera that sees nothing at one instant
    return BoardProblem(**{**_fields(problem), "corners_px": corners_px}), state


def _fields(problem: BoardProblem) -> dict[str, Any]:
    return {name: value for name, value in vars(problem).items() if not name.startswith("_")}


def _steps(problem: BoardProblem):
    """Every unknown, one at a time: its name, and the step of it."""
    G = int(problem.free.sum())
    for g in range(G):
        yield f"global {g}", np.eye(G)[g], np.zeros((T, 6))
    for t in range(T):
        for i in range(6):
            steps = np.zeros((T, 6))
            steps[t, i] = 1.0
            yield f"board {t}, {i}", np.zeros(G), steps


@pytest.mark.parametrize("lenses", LENSES)
def test_the_gradient_of_everything_is_that_of_finite_differences(lenses):
    """Of the robust cost with all priors, by poses, all intrinsics, clocks and boards."""
    problem, state = _problem(lenses)
    normal = problem.linearised(state)
    for name, step_g, steps_l in _steps(problem):
        told = normal.g_g @ step_g + (normal.g_l * steps_l).sum()
        scale = np.sqrt(step_g @ normal.H_gg @ step_g + np.einsum("ti,tij,tj->", steps_l, normal.H_ll, steps_l))
        step = 1e-4 / scale  # no residual moves by more than 1e-4 sigmas: Cauchy's loss is straight within that
        ahead = problem.cost(problem.moved(state, step * step_g, step * steps_l))
        back = problem.cost(problem.moved(state, -step * step_g, -step * steps_l))
        assert told == pytest.approx((ahead - back) / (2 * step), abs=1e-5 * scale), name


@pytest.mark.parametrize("lenses", LENSES)
def test_the_normal_matrix_is_that_of_finite_differences_of_residuals(lenses):
    problem, state = _problem(lenses, cauchy=1e6)  # so that all weights are 1
    normal = problem.linearised(state)
    columns = []
    for _, step_g, steps_l in _steps(problem):
        ahead = problem.residual_px(problem.moved(state, STEP * step_g, STEP * steps_l))
        back = problem.residual_px(problem.moved(state, -STEP * step_g, -STEP * steps_l))
        columns.append(np.nan_to_num((ahead - back) / (2 * STEP * problem.sigma_px)).ravel())
    J = np.stack(columns, axis=1)
    H, G = J.T @ J, len(normal.g_g)
    scale = np.sqrt(np.outer(H.diagonal(), H.diagonal()))
    prior = normal.H_gg - H[:G, :G]
    off_gl = normal.H_gl.transpose(1, 0, 2).reshape(G, -1) - H[:G, G:]
    assert np.abs(off_gl / scale[:G, G:]).max() < 1e-6
    for t in range(T):
        own = slice(G + 6 * t, G + 6 * t + 6)
        assert np.abs((normal.H_ll[t] - H[own, own]) / scale[own, own]).max() < 1e-6
    # what is left of the global block are the priors: the intrinsics' own, square pixels, clocks
    expected = np.zeros((C, N_UNKNOWNS))
    expected[:, INTRINSICS] = 1 / problem.prior_sigma**2
    expected[:, OFFSET] = 1 / problem.offset_sigma_s**2
    rest = prior - np.diag(expected[problem.free])
    index = np.cumsum(problem.free).reshape(problem.free.shape) - 1
    squares = {(index[c, a], index[c, b]) for c in range(C) for a in (6, 7) for b in (6, 7)}
    for i, j in np.ndindex(G, G):
        if (i, j) not in squares:
            assert abs(rest[i, j]) < 1e-5 * scale[i, j] + 1e-6


def test_what_is_not_free_does_not_move():
    problem, state = _problem(LENSES[0])
    moved = problem.moved(state, np.ones(int(problem.free.sum())) * 0.01, np.zeros((T, 6)))
    np.testing.assert_array_equal(moved.Ts_cam_world[0], state.Ts_cam_world[0])
    assert moved.offset_s[1] == state.offset_s[1]


def test_a_board_at_rest_does_not_care_for_times():
    problem, state = _problem(LENSES[0])
    at_rest = problem.at_rest()
    later = BoardProblem(**{**_fields(at_rest), "time_s": problem.time_s + 1.0})
    np.testing.assert_array_equal(at_rest.residual_px(state), later.residual_px(state))


def test_frames_without_a_time_are_taken_at_the_instant():
    problem, state = _problem(LENSES[0])
    without = BoardProblem(**{**_fields(problem), "time_s": np.full((C, T), np.nan)})
    with_zero = BoardProblem(**{**_fields(problem), "time_s": np.zeros((C, T))})
    np.testing.assert_array_equal(without.residual_px(state), with_zero.residual_px(state))


def test_a_moving_board_is_where_it_is_at_the_frame_s_own_moment():
    """Frames that are late by dt see the board where its velocity has carried it."""
    problem, state = _problem(LENSES[0])
    later = state.Ts_world_board @ exp_twist(problem.velocity * 0.05)
    moved = BoardProblem(**{**_fields(problem), "time_s": np.full((C, T), 0.05)})
    still = BoardState(state.Ts_cam_world, state.intrinsics, np.zeros(C), later)
    timed = BoardState(state.Ts_cam_world, state.intrinsics, np.zeros(C), state.Ts_world_board)
    np.testing.assert_allclose(moved.residual_px(timed), problem.at_rest().residual_px(still), atol=1e-9)
