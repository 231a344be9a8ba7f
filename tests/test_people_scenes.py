"""What the benchmark of several people films, and how it counts."""

import numpy as np

from benchmarks.people import median_mm, share_near
from benchmarks.people_scenes import FPS, LANDMARKS, PELVIS, PERIOD_S, film, gaps_m, rig, scenes

TOUCHING_M = 0.3  # between two pelvises: nearer, bodies would be in one another


def test_people_meet_and_part_and_never_walk_through_one_another() -> None:
    t_s = np.arange(0.0, PERIOD_S, 0.05)
    for name, scene in scenes().items():
        nearest_m = gaps_m(scene.joints_at(t_s)[:, :, PELVIS]).min(axis=1)
        assert TOUCHING_M < nearest_m.min() < 0.7, name
        assert nearest_m.max() > 1.5, name


def test_every_camera_sees_everybody_whole() -> None:
    t_s = np.arange(0.0, PERIOD_S, 0.25)
    for name, scene in scenes().items():
        for camera in rig().cameras:
            joints_px = camera.project(scene.joints_at(t_s)[:, :, LANDMARKS])
            inside = ((joints_px > 0) & (joints_px < camera.size_wh)).all(axis=-1)
            assert inside.mean() > 0.98, (name, camera.name)


def test_the_loops_close() -> None:
    for name, scene in scenes().items():
        begin_m, end_m = scene.joints_at([0.0, PERIOD_S])
        np.testing.assert_allclose(begin_m, end_m, atol=1e-9, err_msg=name)


def test_a_film_has_its_frames_in_order_and_its_truth_at_the_ticks() -> None:
    scene = scenes()["two pass"]
    filmed = film(scene, rig(), seconds=2 / FPS)
    times_ns = [frame.captured_ns for _, frame in filmed.frames]
    assert times_ns == sorted(times_ns)
    assert len(set(times_ns)) == len(times_ns) == 2 * len(filmed.rig.cameras)
    assert len(filmed.ticks_ns) == 1
    assert times_ns[0] < filmed.ticks_ns[0] <= times_ns[-1]
    np.testing.assert_allclose(filmed.truth_m, scene.joints_at([1 / FPS])[:, :, LANDMARKS], atol=1e-6)


def test_the_gap_is_to_the_nearest_other() -> None:
    pelvis_m = np.array([[[0.0, 0, 1], [3.0, 4, 1], [0.0, 1, 1]]])
    np.testing.assert_allclose(gaps_m(pelvis_m), [[1.0, np.hypot(3, 3), 1.0]])
    assert gaps_m(pelvis_m[:, :1]) == np.inf


def test_an_unreported_joint_is_not_near_and_has_no_error() -> None:
    error_m = np.array([[[0.05, np.nan, 0.15, 0.01]], [[0.0, 0.0, 0.0, 0.0]]])
    of = np.array([[True], [False]])
    assert share_near(error_m, of) == 0.5
    assert median_mm(error_m, of) == 50.0
    assert np.isnan(share_near(error_m, np.zeros((2, 1), dtype=np.bool_)))
    assert np.isnan(median_mm(error_m, np.zeros((2, 1), dtype=np.bool_)))
