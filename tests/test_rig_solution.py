from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration.board_path import instant_times, vector_of
from calibration.certainty import rigid_fit
from calibration.errors import CalibrationError
from calibration.intrinsics import Intrinsics
from calibration.measure import triangulated
from calibration.rig_solution import RigOptions, RigSolution, solve_rig
from calibration.sightings import BoardSightings
from calibration.twist import log_twist
from calibration.world_frame import moved
from tests.board_scene import BOARD, Scene, T_world_board, errors, ring, scene


def _known(rig) -> RigOptions:
    """With the true lenses given: fewer unknowns, and a fifth of the time."""
    lenses = {each.name: Intrinsics(each.name, each.size_wh, each.lens, vector_of(each)) for each in rig.cameras}
    return RigOptions(intrinsics=lenses)


def _cameras(seen: BoardSightings, order) -> BoardSightings:
    order = list(order)
    return BoardSightings(
        tuple(seen.cameras[c] for c in order),
        tuple(seen.sizes_wh[c] for c in order),
        seen.captured_s[order],
        seen.frame[order],
        seen.corners_px[order],
        seen.mirrored[order],
    )


def test_exact_corners_with_known_lenses_give_the_exact_rig():
    made = scene(4, 40, noise_px=0.0)
    found = solve_rig(made.board, made.seen, _known(made.rig))
    place_m, turn, focal = errors(made.rig, found.rig)
    assert place_m.max() < 1e-5
    assert turn.max() < 1e-5
    assert not focal.any()
    assert found.dropped == 0


@pytest.mark.slow
@pytest.mark.parametrize("n_cameras", [2, 4])
def test_everything_is_found_from_nothing(n_cameras):
    """0.3 px of noise, 15 s; benchmarks/calibrate_virtual.py has the aims, with more and better material."""
    made = scene(n_cameras, 150, seed=1)
    found = solve_rig(made.board, made.seen)
    place_m, turn, focal = errors(made.rig, found.rig)
    assert place_m.max() < 0.005
    assert np.degrees(turn).max() < 0.15
    assert np.abs(focal).max() < 0.003
    assert found.sigma_px == pytest.approx(0.3, rel=0.1)


def test_a_tenth_of_the_corners_wrong_changes_little():
    made, spoilt = scene(4, 50, seed=2), scene(4, 50, seed=2, wrong=0.1)
    clean, found = (solve_rig(each.board, each.seen, _known(each.rig)) for each in (made, spoilt))
    before, after = (errors(made.rig, each.rig)[0].max() for each in (clean, found))
    assert after < 1.5 * max(before, 0.0005)
    assert found.dropped > 0.05 * spoilt.seen.seen.sum()


def test_the_order_of_the_cameras_does_not_matter():
    made = scene(4, 40, seed=3)
    order = (2, 0, 3, 1)
    one = solve_rig(made.board, made.seen, _known(made.rig))
    other = solve_rig(made.board, _cameras(made.seen, order), _known(made.rig))
    assert other.rig.names == tuple(made.rig.names[c] for c in order)
    place_m, turn, _ = errors(one.rig, other.rig.select(one.rig.names))
    assert place_m.max() < 2e-5
    assert turn.max() < 2e-5


def test_twelve_cameras_keep_their_places():
    made = scene(12, 30, seed=4)
    found = solve_rig(made.board, made.seen, _known(made.rig))
    assert found.rig.names == made.rig.names
    place_m, turn, _ = errors(made.rig, found.rig)
    assert place_m.max() < 0.005
    assert np.degrees(turn).max() < 0.1


@pytest.mark.slow
def test_the_covariance_is_honest():
    """Mean square of error over sigma: 1 where sigma is right. Of 8 rigs of 3 cameras it lies in 0.4 to 2."""
    places, turns, shapes = [], [], []
    for seed in range(8):
        made = scene(3, 30, seed=10 + seed, noise_px=0.5)
        found = solve_rig(made.board, made.seen, _known(made.rig))
        off, shape_m = _laid_over(made, found)
        places.append(np.square(off[:, 3:]).sum(1) / np.square(found.certainty.position_m))
        turns.append(np.square(off[:, :3]).sum(1) / np.square(found.certainty.rotation_rad))
        shapes.append((shape_m / found.certainty.shape_m) ** 2)
    assert 0.4 < np.mean(places) < 2.0
    assert 0.4 < np.mean(turns) < 2.0
    assert 0.4 < np.mean(shapes) < 2.0


def _laid_over(made: Scene, found: RigSolution) -> tuple[npt.NDArray[np.float64], float]:
    """Cameras' twists (C, 6) to the truth, and how far points are off (median), laid over it where the board was."""
    T = T_world_board(instant_times(made.seen))[found.known]
    points_m = (BOARD.corners_m()[[0, -1]] @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3]).reshape(-1, 3)
    points_px = made.rig.project(points_m)
    size_wh = np.array([camera.size_wh for camera in made.rig.cameras])[:, None]
    inside = ((points_px > 0) & (points_px < size_wh)).all(-1, keepdims=True)
    measured_m = triangulated(found.rig, np.where(inside, points_px, np.nan))
    known = np.isfinite(measured_m).all(1)
    T_true_found = rigid_fit(measured_m[known], points_m[known])
    laid = moved(found.rig, T_true_found)
    off = [log_twist(a.T_cam_world @ b.T_world_cam) for a, b in zip(made.rig.cameras, laid.cameras, strict=True)]
    off_m = np.linalg.norm(rigid.transform(T_true_found, measured_m[known]) - points_m[known], axis=1)
    return np.stack(off), float(np.median(off_m))


def test_clocks_are_found():
    """One camera's times are 80 ms late, another's 30 ms early; nothing else is known of it."""
    late_s = np.array([0.0, 0.08, -0.03, 0.0])
    made = scene(4, 50, seed=5, late_s=late_s)
    found = solve_rig(made.board, made.seen, replace(_known(made.rig), offsets=True))
    np.testing.assert_allclose(found.offset_s, -late_s, atol=0.006)
    assert (np.abs(found.offset_s + late_s)[1:] < 5 * found.sigma_offset_s[1:] + 0.002).all()
    trusting = solve_rig(made.board, made.seen, _known(made.rig))
    assert errors(made.rig, found.rig)[0].max() < 0.2 * errors(made.rig, trusting.rig)[0].max()


def test_frames_that_are_not_simultaneous_are_no_harm_when_their_times_are_told():
    made = scene(4, 50, seed=6, jitter_s=0.03)
    timed = solve_rig(made.board, made.seen, _known(made.rig))
    nameless = replace(made.seen, captured_s=np.full_like(made.seen.captured_s, np.nan))
    plain = solve_rig(made.board, nameless, _known(made.rig))
    assert errors(made.rig, timed.rig)[0].max() < 0.5 * errors(made.rig, plain.rig)[0].max()
    assert timed.sigma_px < 0.6 * plain.sigma_px


def test_a_fisheye_among_pinholes():
    rig = ring(4)
    wide = replace(rig.cameras[1], dist=np.array([0.03, -0.01, 0.004, -0.001]), lens="fisheye")
    rig = type(rig)((rig.cameras[0], wide, *rig.cameras[2:]))
    made = scene(4, 40, rig=rig)
    found = solve_rig(made.board, made.seen, RigOptions({"right": "fisheye"}, _known(rig).intrinsics, refine=True))
    assert found.rig.cameras[1].lens == "fisheye"
    assert errors(rig, found.rig)[0].max() < 0.03


def test_known_lenses_stay_unless_they_may_move():
    made = scene(3, 30, seed=7)
    kept = solve_rig(made.board, made.seen, _known(made.rig))
    for camera, truth in zip(kept.rig.cameras, made.rig.cameras, strict=True):
        np.testing.assert_array_equal(camera.K, truth.K)
    moved = solve_rig(made.board, made.seen, replace(_known(made.rig), refine=True))
    assert all(
        camera.K[0, 0] != truth.K[0, 0] for camera, truth in zip(moved.rig.cameras, made.rig.cameras, strict=True)
    )
    assert not moved.lenses


def test_known_lenses_of_another_picture_size_are_refused():
    made = scene(2, 60)
    options = _known(made.rig)
    other = replace(options.intrinsics["right"], size_wh=(640, 360))
    with pytest.raises(CalibrationError, match="'right' delivers 1280x720, but its intrinsics are for 640x360"):
        solve_rig(made.board, made.seen, RigOptions(intrinsics={**options.intrinsics, "right": other}))


def test_all_cameras_that_cannot_be_solved_are_named_at_once():
    made = scene(4, 30)
    corners_px = made.seen.corners_px.copy()
    corners_px[[1, 3]] = np.nan
    with pytest.raises(CalibrationError, match=r"(?s)'right' saw the board well.*'left' saw the board well"):
        solve_rig(made.board, replace(made.seen, corners_px=corners_px))


def test_half_of_a_corner_is_no_corner():
    """NaN in x or y alone: not seen, and no harm."""
    made = scene(3, 30, seed=8)
    corners_px = made.seen.corners_px.copy()
    corners_px[0, ::3, 4, 0] = np.nan
    corners_px[1, ::4, 7, 1] = np.nan
    found = solve_rig(made.board, replace(made.seen, corners_px=corners_px), _known(made.rig))
    assert errors(made.rig, found.rig)[0].max() < 0.005
