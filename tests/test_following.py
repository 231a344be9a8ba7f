"""Association from tick to tick: ids through crossings, absences, misses, false detections and mix-ups."""

import numpy as np
import pytest

from calibration.triangulate import RigArrays
from lifter.skeleton import MEDIAPIPE33
from nodes.stages import between_kernel, matching_kernel, newcomers_kernel, swaps_kernel
from nodes.stages.warming import warm_up
from tests.crowd import Actor, actors, crossing, look, rig_of
from tests.following import Follower, follow


@pytest.mark.parametrize(("n_cameras", "apart_m"), [(2, 0.6), (4, 0.6), (4, 0.35), (16, 0.6)])
def test_two_cross_and_keep_their_ids_with_every_fifth_detection_missed(n_cameras, apart_m):
    score = follow(rig_of(n_cameras), crossing(apart_m), 4.0, hz=25.0, missed=0.2)
    assert score.switches == 0
    assert len(score.ids) == 2
    assert score.found >= 0.95 * score.expected
    assert not score.ghost_ticks


def test_ten_people_before_sixteen_cameras():
    score = follow(rig_of(16), actors(10), 1.0, hz=20.0, missed=0.2)
    assert (score.switches, score.found, len(score.ghost_ticks)) == (0, score.expected, 0)


@pytest.mark.parametrize("kind", ["people", "anywhere"])
@pytest.mark.parametrize(("n_cameras", "n_people"), [(2, 0), (3, 0), (4, 2)])
def test_forty_false_people_in_every_view_make_nobody_who_lasts(kind, n_cameras, n_people):
    """Drawn anew in each tick, bodies that stand within 2 m of the middle, or joints anywhere in the picture."""
    cast = actors(n_people)
    score = follow(rig_of(n_cameras), cast, 1.0, hz=15.0, missed=0.1, false=40, false_joints=kind)
    assert max(score.ghost_ticks.values(), default=0) <= 3
    assert score.switches == 0
    assert score.found >= 0.9 * score.expected


def test_who_is_away_for_a_second_comes_back_as_the_same():
    score = follow(rig_of(4), actors(2), 3.5, hz=25.0, missed=0.1, away=lambda k, t_s: k == 0 and 1.2 < t_s < 2.2)
    assert score.switches == 0
    assert sum(score.ghost_ticks.values()) <= 8  # carried on for a quarter of a second after leaving


def test_who_takes_the_place_of_somebody_of_another_size_is_somebody_else():
    tall, small = Actor(stature_m=1.95, after_s=2.0), Actor(stature_m=1.25, after_s=2.0)
    rng, rig, follower = np.random.default_rng(0), rig_of(4), Follower()
    for i in range(80):
        there = [] if 30 <= i < 45 else [(tall if i < 30 else small).joints_m(0.0)[0]]
        follower.tick(i * 40_000_000, look(rig, np.array(there).reshape(-1, 33, 3), rng))
        if i == 29:
            before = set(follower.shown)
    assert len(before) == 1
    assert len(follower.shown) == 1
    assert not before & set(follower.shown)


def test_views_with_left_and_right_mixed_up_now_and_then_change_nobody():
    rng = np.random.default_rng(1)

    def mix_up(seen, t_s):
        rays = seen.detected.rays
        for c, p in np.argwhere(rng.random(rays.shape[:2]) < 0.2):
            rays[c, p] = rays[c, p, list(MEDIAPIPE33.mirror)]
            seen.keypoints_px[c, p] = seen.keypoints_px[c, p, list(MEDIAPIPE33.mirror)]

    score = follow(rig_of(6), actors(3), 1.6, hz=25.0, missed=0.1, see=mix_up)
    assert score.switches == 0
    assert score.found >= 0.95 * score.expected


def test_one_camera_alone_keeps_ids_too():
    rng, rig, follower = np.random.default_rng(2), rig_of(1), Follower()
    cast = [Actor(place_m=(0.0, -1.0)), Actor(place_m=(0.0, 1.0), after_s=3.0)]
    ids = []
    for i in range(40):
        seen = look(rig, np.stack([actor.joints_m(0.02 * i)[0] for actor in cast]), rng)
        follower.tick(i * 20_000_000, seen)
        ids.append(tuple(follower.shown))
    assert ids[5] == ()
    assert len(set(ids[12:])) == 1
    assert len(ids[-1]) == 2


def test_the_same_again_gives_the_same_again():
    one, other = (follow(rig_of(3), crossing(), 0.5, hz=20.0, missed=0.2, false=2) for _ in range(2))
    assert (one.found, one.ids, one.ghost_ticks) == (other.found, other.ids, other.ghost_ticks)


def test_after_warming_up_nothing_is_left_to_compile():
    kernels = (matching_kernel, newcomers_kernel, swaps_kernel, between_kernel)

    def compiled():
        return {
            (kernel.__name__, name): len(f.signatures)
            for kernel in kernels
            for name, f in vars(kernel).items()
            if hasattr(f, "signatures")
        }

    warm_up(RigArrays.of(rig_of(4)), MEDIAPIPE33)
    before = compiled()
    follow(rig_of(4), actors(2), 0.5, hz=20.0, missed=0.2, false=1)
    assert compiled() == before
