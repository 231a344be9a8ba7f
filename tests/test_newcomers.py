"""New people from views that agree: all of them, whole, and nobody who is not there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import rigid
from calibration.rig import Camera, CameraRig
from calibration.triangulate import RigArrays
from lifter.skeleton import COCO17, MEDIAPIPE33
from nodes.stages.matching import Detected
from nodes.stages.newcomers import find_newcomers
from tests.crowd import actors, crossing, detected, look, rig_of


def at(cast, t_s):
    return np.stack([actor.joints_m(t_s)[0] for actor in cast])


def found(seen, skeleton=MEDIAPIPE33, present=None):
    free = np.isfinite(seen.detected.rays).all(axis=(-1, -2))
    return find_newcomers(seen.arrays, seen.detected, free, skeleton, present)


def members(newcomers, seen):
    """Per newcomer, who its detections really are, -1 for false ones."""
    return [{int(seen.who[c, p]) for c, p in enumerate(who) if p >= 0} for who in newcomers.who]


@pytest.mark.parametrize(("n_people", "n_cameras"), [(1, 2), (2, 2), (3, 3), (4, 4), (5, 8), (10, 16)])
def test_everybody_is_found_once_in_all_views(n_people, n_cameras):
    rng = np.random.default_rng(0)
    rig, joints_m = rig_of(n_cameras), at(actors(n_people), 0.0)
    seen = look(rig, joints_m, rng)
    newcomers = found(seen)
    assert sorted(min(group) for group in members(newcomers, seen)) == list(range(n_people))
    assert all(len(group) == 1 for group in members(newcomers, seen))
    there = np.array([(seen.who == min(group)).any(axis=1).sum() for group in members(newcomers, seen)])
    assert (newcomers.n_views == there).all()
    assert not newcomers.mirrored.any()
    assert (newcomers.misfit < 0.5).all()
    order = [min(group) for group in members(newcomers, seen)]
    # 3 px at 900 px focal length and 5 m are 17 mm in a view; two views at an acute angle make it three times as much
    error_m = np.linalg.norm(newcomers.joints_m - joints_m[order], axis=-1)
    assert np.sqrt(np.mean(error_m**2)) < 0.08


@pytest.mark.parametrize("n_cameras", [4, 8, 16])
def test_while_two_pass_each_other_they_are_two(n_cameras):
    rng = np.random.default_rng(1)
    rig, cast = rig_of(n_cameras), crossing(0.6)
    n_found = 0
    for t_s in np.arange(1.4, 2.6, 0.1):
        seen = look(rig, at(cast, t_s), rng, missed=0.1)
        groups = members(found(seen), seen)
        assert all(len(group) == 1 for group in groups)
        n_found += len(groups)
    assert n_found >= 22


def test_a_view_with_left_and_right_mixed_up_belongs_to_its_person_and_is_told():
    rng = np.random.default_rng(2)
    rig, joints_m = rig_of(4), at(actors(2), 0.0)
    seen = look(rig, joints_m, rng, keep_order=True)
    seen.detected.rays[1, 0] = seen.detected.rays[1, 0, list(MEDIAPIPE33.mirror)]
    newcomers = found(seen)
    assert newcomers.n_views.tolist() == [4, 4]
    (first,) = (n for n, group in enumerate(members(newcomers, seen)) if group == {0})
    assert newcomers.mirrored[first].tolist() == [False, True, False, False]
    assert not newcomers.mirrored[1 - first].any()


@pytest.mark.parametrize("kind", ["people", "anywhere"])
@pytest.mark.parametrize("n_cameras", [3, 4])
def test_forty_false_ones_in_each_view_give_few_who_fit_well(kind, n_cameras):
    """People standing alike at forty places do agree by chance now and then; what tells is how badly."""
    rng = np.random.default_rng(3)
    rig = rig_of(n_cameras)
    n_well = 0
    for _ in range(5):
        seen = look(rig, np.zeros((0, 33, 3)), rng, false=40, false_joints=kind)
        newcomers = found(seen)
        n_well += int(((newcomers.misfit < 0.3) & (newcomers.n_views >= 3)).sum())
        assert (newcomers.crowd > 1).all()
        assert kind == "people" or not len(newcomers.who)
    assert n_well <= 1


def test_real_people_are_found_among_false_ones():
    rng = np.random.default_rng(4)
    rig, cast = rig_of(6), actors(3)
    n_found = 0
    for t_s in range(5):
        seen = look(rig, at(cast, float(t_s)), rng, false=3)
        n_found += sum(group <= {k, -1} and k in group for group in members(found(seen), seen) for k in range(3))
    assert n_found == 15


def test_what_one_view_of_several_sees_is_nobody_yet():
    rng = np.random.default_rng(5)
    rig, joints_m = rig_of(4), at(actors(1), 0.0)
    seen = look(rig, joints_m, rng)
    seen.detected.rays[1:] = np.nan
    assert len(found(seen).who) == 0


@pytest.mark.parametrize("n_cameras", [1, 3])
def test_with_one_view_each_detection_is_somebody(n_cameras):
    rng = np.random.default_rng(6)
    rig, joints_m = rig_of(n_cameras), at(actors(2), 0.0)
    seen = look(rig, joints_m, rng)
    seen.detected.rays[1:] = np.nan
    present = np.arange(n_cameras) == 0
    newcomers = found(seen, present=present)
    assert newcomers.n_views.tolist() == [1, 1]
    assert sorted(newcomers.who[:, 0]) == [0, 1]
    assert np.isnan(newcomers.joints_m).all()
    assert (newcomers.crowd > 1).all()


def test_a_child_or_half_a_body_is_somebody_a_doll_or_a_giant_is_not():
    rng = np.random.default_rng(7)
    rig = rig_of(4)
    person = at(actors(1), 0.0)
    middle = person.mean(axis=1, keepdims=True)
    for factor, wanted in ((0.15, 0), (0.6, 1), (1.0, 1), (2.2, 0)):
        seen = look(rig, middle + factor * (person - middle), rng, noise_px=1.0)
        assert len(found(seen).who) == wanted, factor
    seen = look(rig, person, rng)
    seen.detected.rays[:, :, 23:] = np.nan  # no hips, no legs
    free = np.isfinite(seen.detected.rays).all(-1).any(-1)
    assert len(find_newcomers(seen.arrays, seen.detected, free, MEDIAPIPE33).who) == 1


@pytest.mark.parametrize("n_found", [0, 2])
def test_nobody_anywhere_is_no_newcomer(n_found):
    rig = rig_of(3)
    nothing = detected(rig, np.full((3, n_found, 33, 2), np.nan))
    for free in (np.zeros((3, n_found), dtype=bool), np.ones((3, n_found), dtype=bool)):
        newcomers = find_newcomers(RigArrays.of(rig), nothing, free, MEDIAPIPE33)
        assert newcomers.who.shape == (0, 3)
        assert newcomers.joints_m.shape == (0, 33, 3)


def test_confidences_of_zero_say_nothing():
    rng = np.random.default_rng(8)
    rig, joints_m = rig_of(3), at(actors(2), 0.0)
    seen = look(rig, joints_m, rng)
    blind = Detected(seen.detected.rays, np.zeros_like(seen.detected.confidence), seen.detected.asked_ids)
    assert len(find_newcomers(seen.arrays, blind, np.ones((3, 2), dtype=bool), MEDIAPIPE33).who) == 0


def test_other_skeletons_have_other_joints():
    rng = np.random.default_rng(9)
    kept = [MEDIAPIPE33.joints.index(joint) for joint in COCO17.joints]
    rig, joints_m = rig_of(4), at(actors(3), 0.0)[:, kept]
    seen = look(rig, joints_m, rng)
    assert found(seen, COCO17).n_views.tolist() == [4, 4, 4]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_people=st.integers(0, 4),
    n_cameras=st.integers(2, 5),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_cameras_and_detections_and_the_place_of_the_world_do_not_matter(seed, n_people, n_cameras, order):
    rng = np.random.default_rng(seed)
    rig = rig_of(n_cameras)
    joints_m = at(actors(n_people, 1.0, seed), 0.0) if n_people else np.zeros((0, 33, 3))
    seen = look(rig, joints_m, rng, missed=0.2, false=1)
    plain = found(seen).who
    cameras = order.sample(range(n_cameras), n_cameras)
    slots = order.sample(range(n_people + 1), n_people + 1)
    T_new_world = rigid.from_rotation(rigid.rotation_from_rotvec(rng.normal(size=3)), rng.normal(0, 9, 3))
    moved = CameraRig(
        tuple(
            Camera(camera.name, camera.size_wh, camera.K, camera.dist, camera.T_cam_world @ rigid.inverse(T_new_world))
            for camera in (rig.cameras[c] for c in cameras)
        )
    )
    shuffled = Detected(*(x[cameras][:, slots] for x in vars(seen.detected).values()))
    free = np.isfinite(shuffled.rays).all(axis=(-1, -2))
    who = find_newcomers(RigArrays.of(moved), shuffled, free, MEDIAPIPE33).who
    who = np.where(who >= 0, np.array(slots)[who], -1)
    assert sorted(map(tuple, who)) == sorted(map(tuple, plain[:, cameras]))
