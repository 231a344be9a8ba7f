"""Detections given to people who are followed: right ones, each once, none rather than a wrong one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import rigid
from calibration.rig import Camera, CameraRig
from calibration.triangulate import RigArrays
from lifter.skeleton import COCO17, MEDIAPIPE33
from nodes.stages.matching import Detected, Predicted, match_tracks
from tests.crowd import Actor, actors, crossing, detected, look, rig_of


def predicted(joints_m, rng, error_m=0.03, ids=None):
    """A prediction that is off as a whole and in each joint, and knows it."""
    n_people, n_joints = joints_m.shape[:2]
    off = rng.normal(0, error_m, (n_people, 1, 3)) + rng.normal(0, error_m / 2, joints_m.shape)
    numbers = np.arange(n_people) if ids is None else np.array(ids)
    return Predicted(joints_m + off, np.full((n_people, n_joints), error_m), numbers)


def at(cast, t_s):
    return np.stack([actor.joints_m(t_s)[0] for actor in cast])


def whom(matched, seen):
    """(K, C) which person each track was given in each view; -2 for nobody, -1 for a false detection."""
    given = np.take_along_axis(seen.who, np.maximum(matched.who.T, 0), axis=1).T
    return np.where(matched.who >= 0, given, -2)


@pytest.mark.parametrize(("n_people", "n_cameras", "missed"), [(1, 1, 0.0), (3, 4, 0.2), (10, 16, 0.2)])
def test_everybody_gets_his_own_detections(n_people, n_cameras, missed):
    rng = np.random.default_rng(0)
    rig, cast = rig_of(n_cameras), actors(n_people)
    for t_s in np.arange(0, 3, 0.5):
        joints_m = at(cast, t_s)
        seen = look(rig, joints_m, rng, missed=missed)
        given = whom(match_tracks(seen.arrays, seen.detected, predicted(joints_m, rng), MEDIAPIPE33), seen)
        own = np.arange(n_people)[:, None]
        assert np.all((given == own) | (given == -2))
        n_there = sum(int((seen.who == k).any(axis=1).sum()) for k in range(n_people))
        assert (given == own).sum() >= 0.98 * n_there


@pytest.mark.parametrize("n_cameras", [4, 8, 16])
def test_two_who_pass_each_other_are_not_mixed_up(n_cameras):
    """With 3 px of noise, every fifth detection missed and two false ones a view."""
    rng = np.random.default_rng(1)
    rig, cast = rig_of(n_cameras), crossing(0.6)
    n_right = n_there = 0
    for t_s in np.arange(1.2, 2.8, 0.04):
        joints_m = at(cast, t_s)
        seen = look(rig, joints_m, rng, missed=0.2, false=2)
        given = whom(match_tracks(seen.arrays, seen.detected, predicted(joints_m, rng), MEDIAPIPE33), seen)
        assert not (given == np.array([[1], [0]])).any()
        n_right += int((given == np.array([[0], [1]])).sum())
        n_there += int((seen.who >= 0).sum())
    assert n_right > 0.97 * n_there


def test_one_detection_that_fits_two_people_is_given_to_neither_where_others_suffice():
    rng = np.random.default_rng(2)
    rig = rig_of(4)
    camera = rig.cameras[0].T_world_cam[:3, 3]
    away = camera[:2] / np.linalg.norm(camera[:2])
    one = Actor(after_s=0.5).joints_m(0.0)[0]
    behind = one - np.array([*(0.7 * away), 0.0])  # hidden from the first camera by the one before
    seen = look(rig, np.stack([one, behind]), rng, keep_order=True)
    hidden = seen.detected.rays.copy()
    middle = (hidden[0, 0] + hidden[0, 1]) / 2
    hidden[0, 0], hidden[0, 1] = middle, np.nan
    confidence = np.isfinite(hidden).all(-1).astype(float)
    joints_m = np.stack([one, behind])
    matched = match_tracks(
        seen.arrays,
        Detected(hidden, confidence, seen.detected.asked_ids),
        Predicted(joints_m, np.full(joints_m.shape[:2], 0.08), np.array([5, 6])),
        MEDIAPIPE33,
    )
    assert (matched.who[:, 0] == -1).all()
    assert not matched.free[0].any()
    assert (matched.who[:, 1:] == [[0], [1]]).all()


def test_a_detection_with_left_and_right_mixed_up_is_still_its_persons():
    rng = np.random.default_rng(3)
    rig, joints_m = rig_of(4), at(actors(2), 0.0)
    seen = look(rig, joints_m, rng)
    mirrored = Detected(
        seen.detected.rays[:, :, list(MEDIAPIPE33.mirror)], seen.detected.confidence, seen.detected.asked_ids
    )
    matched = match_tracks(seen.arrays, mirrored, predicted(joints_m, rng), MEDIAPIPE33)
    assert (whom(matched, seen) == [[0], [1]]).all()


def test_the_same_person_found_twice_counts_once():
    rng = np.random.default_rng(4)
    rig, joints_m = rig_of(3), at(actors(1), 0.0)
    seen = look(rig, np.concatenate([joints_m, joints_m + 0.004]), rng, noise_px=1.0)
    matched = match_tracks(seen.arrays, seen.detected, predicted(joints_m, rng), MEDIAPIPE33)
    assert (matched.who >= 0).all()
    assert not matched.free.any()
    stranger = Predicted(joints_m + 5.0, np.full((1, 33), 0.03), np.array([0]))
    assert (match_tracks(seen.arrays, seen.detected, stranger, MEDIAPIPE33).free.sum(axis=1) == 1).all()


def test_having_been_asked_for_decides_between_two_that_fit_alike_but_proves_nothing():
    rig, one = rig_of(3), at(actors(1), 0.0)[0]
    low, high = one - np.array([0.0, 0.0, 0.1]), one + np.array([0.0, 0.0, 0.1])
    found_px = np.stack([rig.project(low), rig.project(high)], axis=1)
    track = Predicted(one[None], np.full((1, 33), 0.2), np.array([7]))
    for asked, wanted in (([[7, -1]] * 3, 0), ([[-1, 7]] * 3, 1)):
        matched = match_tracks(
            RigArrays.of(rig), detected(rig, found_px, asked_ids=np.array(asked)), track, MEDIAPIPE33
        )
        assert (matched.who[0] == wanted).all()
    far_px = np.stack([rig.project(one), rig.project(one + 1.0)], axis=1)
    lied = detected(rig, far_px, asked_ids=np.array([[-1, 7]] * 3))
    near = Predicted(one[None], np.full((1, 33), 0.03), np.array([7]))
    assert (match_tracks(RigArrays.of(rig), lied, near, MEDIAPIPE33).who[0] == 0).all()


@pytest.mark.parametrize("n_found", [0, 1, 3])
def test_nobody_and_nothing_are_fine(n_found):
    rig = rig_of(2)
    nothing = detected(rig, np.full((2, n_found, 33, 2), np.nan))
    nobody = Predicted(np.zeros((0, 33, 3)), np.zeros((0, 33)), np.zeros(0, dtype=int))
    unknown = Predicted(np.full((2, 33, 3), np.nan), np.full((2, 33), np.inf), np.arange(2))
    for tracks in (nobody, unknown):
        matched = match_tracks(RigArrays.of(rig), nothing, tracks, MEDIAPIPE33)
        assert matched.who.shape == (len(tracks.ids), 2)
        assert (matched.who == -1).all()
        assert not matched.free.any()


def test_confidences_of_zero_are_no_detections():
    rng = np.random.default_rng(6)
    rig, joints_m = rig_of(3), at(actors(2), 0.0)
    seen = look(rig, joints_m, rng)
    blind = Detected(seen.detected.rays, np.zeros_like(seen.detected.confidence), seen.detected.asked_ids)
    matched = match_tracks(seen.arrays, blind, predicted(joints_m, rng), MEDIAPIPE33)
    assert (matched.who == -1).all()
    assert not matched.free.any()


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="must be"):
        Detected(np.zeros((2, 1, 17, 2)), np.zeros((2, 1, 16)), np.zeros((2, 1), dtype=int))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_people=st.integers(1, 4),
    n_cameras=st.integers(2, 5),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_cameras_detections_and_people_and_the_place_of_the_world_do_not_matter(
    seed, n_people, n_cameras, order
):
    rng = np.random.default_rng(seed)
    rig, joints_m = rig_of(n_cameras), at(actors(n_people, 0.8, seed), 0.0)
    seen = look(rig, joints_m, rng, missed=0.2, false=1)
    tracks = predicted(joints_m, rng, 0.05)
    plain = match_tracks(seen.arrays, seen.detected, tracks, MEDIAPIPE33).who
    cameras, people = order.sample(range(n_cameras), n_cameras), order.sample(range(n_people), n_people)
    slots = order.sample(range(n_people + 1), n_people + 1)
    T_new_world = rigid.from_rotation(rigid.rotation_from_rotvec(rng.normal(size=3)), rng.normal(0, 9, 3))
    moved = CameraRig(tuple(moved_camera(rig.cameras[c], T_new_world) for c in cameras))
    shuffled = Detected(
        seen.detected.rays[cameras][:, slots],
        seen.detected.confidence[cameras][:, slots],
        seen.detected.asked_ids[cameras][:, slots],
    )
    elsewhere = Predicted(
        rigid.transform(T_new_world, tracks.joints_m[people]), tracks.sigma_m[people], tracks.ids[people]
    )
    who = match_tracks(RigArrays.of(moved), shuffled, elsewhere, MEDIAPIPE33).who
    np.testing.assert_array_equal(np.where(who >= 0, np.array(slots)[who], -1), plain[people][:, cameras])


def moved_camera(camera, T_new_world):
    return Camera(camera.name, camera.size_wh, camera.K, camera.dist, camera.T_cam_world @ rigid.inverse(T_new_world))


def test_other_skeletons_have_other_joints():
    """COCO's 17 of MediaPipe's 33."""
    rng = np.random.default_rng(8)
    kept = [MEDIAPIPE33.joints.index(joint) for joint in COCO17.joints]
    rig, joints_m = rig_of(4), at(actors(3), 0.0)[:, kept]
    seen = look(rig, joints_m, rng)
    given = whom(match_tracks(seen.arrays, seen.detected, predicted(joints_m, rng), COCO17), seen)
    assert (given == np.arange(3)[:, None]).all()
