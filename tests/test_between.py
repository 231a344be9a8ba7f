"""Between two frames of a camera everybody is interpolated with himself, under his own labels."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifter.skeleton import MEDIAPIPE33
from nodes.stages.between import between
from nodes.stages.sides import sides_of
from nodes.wire.messages import Keypoints2D
from tests.crowd import actors, crossing, rig_of

PERIOD_NS = 33_333_333
MIRROR = list(MEDIAPIPE33.mirror)


def frame(joints_m, captured_ns=0, order=None, camera=None, **changes):
    """What one camera's detector says of these people (K, 33, 3), in an order."""
    camera = camera or rig_of(4).cameras[0]
    shown = joints_m if order is None else joints_m[order]
    keypoints_px = camera.project(shown).astype(np.float32).reshape(-1, 33, 2)
    content = {
        "captured_ns": captured_ns,
        "published_ns": captured_ns,
        "source": camera.name,
        "seq": 0,
        "skeleton": "mediapipe33",
        "size_wh": camera.size_wh,
        "keypoints_px": keypoints_px,
        "confidence": np.ones(keypoints_px.shape[:2], dtype=np.float32),
    }
    return Keypoints2D(**{**content, **changes})


def at(cast, t_s):
    return np.stack([actor.joints_m(t_s)[0] for actor in cast])


def mixed_up(keypoints, part=-1, person=0):
    """The same with left and right of a person's part mixed up."""
    px = keypoints.keypoints_px.copy()
    px[person] = np.where(sides_of(MEDIAPIPE33).parts[part][:, None], px[person, MIRROR], px[person])
    return replace(keypoints, keypoints_px=px)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n_people=st.integers(1, 6),
    share=st.floats(0.02, 0.98),
    order=st.randoms(use_true_random=False),
)
def test_slots_do_not_matter(seed, n_people, share, order):
    cast = actors(n_people, 0.9, seed)
    before = frame(at(cast, 1.0))
    shuffled = order.sample(range(n_people), n_people)
    after = frame(at(cast, 1.0 + PERIOD_NS * 1e-9), PERIOD_NS, shuffled)
    people = between(before, after, round(share * PERIOD_NS))
    exact = frame(at(cast, 1.0 + share * PERIOD_NS * 1e-9)).keypoints_px
    assert len(people.confidence) == n_people
    np.testing.assert_allclose(people.keypoints_px, exact, atol=1.5)
    assert (people.confidence == 1).all()


def test_two_who_pass_each_other_in_the_picture_stay_themselves():
    cast = crossing(0.6)
    for t_s in np.arange(1.5, 2.5, 0.1):
        before = frame(at(cast, t_s))
        after = frame(at(cast, t_s + PERIOD_NS * 1e-9), PERIOD_NS, [1, 0])
        people = between(before, after, PERIOD_NS // 2)
        exact = frame(at(cast, t_s + PERIOD_NS * 0.5e-9)).keypoints_px
        np.testing.assert_allclose(people.keypoints_px, exact, atol=4)


@pytest.mark.parametrize("part", range(1, 6))
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_left_and_right_mixed_up_in_one_frame_are_taken_as_in_the_nearer_one(part, share):
    cast = actors(1, seed=3)  # seen from the side, arms apart
    before = frame(at(cast, 3.0))
    after = frame(at(cast, 3.0 + PERIOD_NS * 1e-9), PERIOD_NS)
    exact = frame(at(cast, 3.0 + share * PERIOD_NS * 1e-9))
    apart = np.linalg.norm(exact.keypoints_px[0] - exact.keypoints_px[0, MIRROR], axis=-1) > 20
    instant_ns = round(share * PERIOD_NS)
    people = between(before, mixed_up(after, part), instant_ns)
    wanted = mixed_up(exact, part) if share > 0.5 else exact
    off_px = np.linalg.norm(people.keypoints_px - wanted.keypoints_px, axis=-1)[0]
    assert off_px[apart].max() < 3 or (apart & sides_of(MEDIAPIPE33).parts[part]).sum() < 4


@pytest.mark.parametrize("t_s", np.arange(0.0, 4.0, 0.2))
def test_legs_that_pass_each_other_are_not_mixed_up(t_s):
    """A walker at 30 frames a second, from four sides."""
    for camera in rig_of(4).cameras:
        before = frame(at(crossing()[:1], t_s), camera=camera)
        after = frame(at(crossing()[:1], t_s + PERIOD_NS * 1e-9), PERIOD_NS, camera=camera)
        people = between(before, after, PERIOD_NS // 2)
        exact = (before.keypoints_px + after.keypoints_px) / 2
        np.testing.assert_allclose(people.keypoints_px, exact, atol=0.01)


def test_who_is_in_one_frame_only_is_in_neither():
    joints_m = at(actors(3), 0.0)
    people = between(frame(joints_m), frame(joints_m[[2, 0]], PERIOD_NS), PERIOD_NS // 2)
    np.testing.assert_allclose(people.keypoints_px, frame(joints_m[[0, 2]]).keypoints_px, atol=1e-3)
    elsewhere = between(frame(joints_m[:1]), frame(joints_m[:1] + 1.5, PERIOD_NS), PERIOD_NS // 2)
    assert len(elsewhere.confidence) == 0


def test_a_joint_that_one_frame_lacks_is_absent_however_it_lacks_it():
    joints_m = at(actors(1), 0.0)
    for what in ("confidence", "position"):
        after = frame(joints_m, PERIOD_NS)
        if what == "confidence":
            after.confidence[0, 7] = 0.0
        else:
            after.keypoints_px[0, 7] = np.nan
        people = between(frame(joints_m), after, PERIOD_NS // 2)
        assert np.isnan(people.keypoints_px[0, 7]).all() or people.confidence[0, 7] == 0
        assert (np.delete(people.confidence[0], 7) == 1).all()


def test_who_was_looked_for_twice_and_found_goes_together():
    """Two who stand so close that the nearest would be the other."""
    one = at(actors(1), 0.0)
    both = np.concatenate([one, one + np.array([0.05, 0.05, 0.0])])
    later = both + np.array([0.06, 0.06, 0.0])
    before = replace(frame(both), asked_ids=(7, 8))
    after = replace(frame(later, PERIOD_NS, [1, 0]), asked_ids=(8, 7))
    people = between(before, after, PERIOD_NS // 2)
    assert people.asked_ids == (7, 8)
    np.testing.assert_allclose(people.keypoints_px, frame((both + later) / 2).keypoints_px, atol=0.5)


def test_whom_it_was_found_for_is_told_by_the_nearer_frame_that_knows():
    joints_m = at(actors(2), 0.0)
    before = replace(frame(joints_m), asked_ids=(3, -1))
    after = replace(frame(joints_m, PERIOD_NS), asked_ids=(4, 5))
    assert between(before, after, PERIOD_NS // 4).asked_ids == (3, 5)
    assert between(before, after, 3 * PERIOD_NS // 4).asked_ids == (4, 5)
    unasked = replace(before, asked_ids=())
    assert between(unasked, after, PERIOD_NS // 4).asked_ids == (4, 5)
    assert between(unasked, replace(after, asked_ids=()), PERIOD_NS // 4).asked_ids == ()


@pytest.mark.parametrize(("n_before", "n_after"), [(0, 0), (0, 2), (2, 0)])
def test_nobody_in_a_frame_is_nobody_between(n_before, n_after):
    joints_m = at(actors(2), 0.0)
    people = between(frame(joints_m[:n_before]), frame(joints_m[:n_after], PERIOD_NS), PERIOD_NS // 2)
    assert people.keypoints_px.shape == (0, 33, 2)
    assert people.confidence.shape == (0, 33)


def test_frames_from_the_bus_and_skeletons_without_a_name_are_fine():
    joints_m = at(actors(2), 0.0)
    before, after = (replace(frame(joints_m, t), skeleton="somebody's own") for t in (0, PERIOD_NS))
    for x in (before, after):
        x.keypoints_px.flags.writeable = False
        x.confidence.flags.writeable = False
    people = between(before, after, PERIOD_NS // 2)
    np.testing.assert_allclose(people.keypoints_px, before.keypoints_px, atol=1e-3)
