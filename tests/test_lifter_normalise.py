import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import rigid
from lifter.normalise import normalise


def a_person(rng):
    return rng.normal([0.0, 0.0, 1.0], [0.3, 0.3, 0.5], (17, 3))


def seen_from(position, person_m, roll_rad=0.0, target=(0.0, 0.0, 1.0)):
    """Rays (1, 17, 2) and up in a camera that is turned about its own axis by roll_rad."""
    T_cam_world = rigid.inverse(rigid.look_at(position, target))
    R_roll = rigid.rotation_from_rotvec([0.0, 0.0, roll_rad])
    in_cam = rigid.transform(T_cam_world, person_m) @ R_roll.T
    return (in_cam[:, :2] / in_cam[:, 2:])[None], R_roll @ T_cam_world[:3, 2]


def test_the_person_is_in_the_middle_and_of_unit_size():
    rays, up_cam = seen_from((4.0, 1.0, 2.0), a_person(np.random.default_rng(0)))
    views = normalise(rays, np.ones((1, 17)), up_cam)
    assert np.sqrt((views.keypoints[0, :, :2] ** 2).sum(-1).mean()) == pytest.approx(1.0, rel=1e-5)
    assert np.abs(views.keypoints[0, :, :2].mean(0)).max() < 0.05
    assert views.context[0, 0] == pytest.approx(np.log(views.scale[0]), rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(-3.0, 3.0), st.integers(0, 1000))
def test_a_camera_mounted_turned_gives_the_same_view(roll_rad, seed):
    person_m = a_person(np.random.default_rng(seed))
    upright = normalise(*with_ones(seen_from((4, 1, 2), person_m)))
    turned = normalise(*with_ones(seen_from((4, 1, 2), person_m, roll_rad)))
    np.testing.assert_allclose(turned.keypoints, upright.keypoints, atol=1e-5)
    np.testing.assert_allclose(turned.context, upright.context, atol=1e-5)


def test_a_camera_that_pans_gives_the_same_view():
    """The virtual camera shares the centre of the real one, and a rotation about the centre loses nothing."""
    person_m = a_person(np.random.default_rng(1))
    straight = normalise(*with_ones(seen_from((4.0, 1.0, 2.0), person_m)))
    aside = normalise(*with_ones(seen_from((4.0, 1.0, 2.0), person_m, target=(0.0, 1.2, 0.4))))
    np.testing.assert_allclose(aside.keypoints, straight.keypoints, atol=1e-5)


def with_ones(seen):
    rays, up_cam = seen
    return rays, np.ones(rays.shape[:2]), up_cam


def test_gravity_points_down_in_the_view_and_is_told():
    rays, up_cam = seen_from((4.0, 1.0, 2.5), a_person(np.random.default_rng(2)), roll_rad=0.4)
    views = normalise(rays, np.ones((1, 17)), up_cam)
    up_view = views.R_cam_view[0].T @ up_cam
    assert up_view[0] == pytest.approx(0.0, abs=1e-9)
    assert up_view[1] < 0
    np.testing.assert_allclose(views.context[0, 1:], up_view[1:], atol=1e-6)
    np.testing.assert_allclose(views.R_cam_view[0].T @ views.R_cam_view[0], np.eye(3), atol=1e-12)


def test_unknown_gravity_is_told_as_zeros_and_an_upright_camera_is_assumed():
    rays, _ = seen_from((4.0, 1.0, 2.5), a_person(np.random.default_rng(3)))
    for up_cam in (None, [np.nan] * 3):
        views = normalise(rays, np.ones((1, 17)), up_cam)
        assert (views.context[0, 1:] == 0).all()
        assert (views.R_cam_view[0].T @ [0.0, -1.0, 0.0])[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("height_sign", [1.0, -1.0])
def test_a_camera_straight_above_or_below_still_gives_a_rotation(height_sign):
    xy = np.random.default_rng(4).normal(0.0, 0.1, (1, 17, 2))
    views = normalise(xy - xy.mean(1), np.ones((1, 17)), [0.0, 0.0, height_sign])
    np.testing.assert_allclose(np.linalg.det(views.R_cam_view), 1.0)


def test_missing_joints_are_zeros_and_do_not_depend_on_what_stood_there():
    rays, up_cam = seen_from((4.0, 1.0, 2.0), a_person(np.random.default_rng(5)))
    confidence = np.ones((1, 17))
    confidence[0, [3, 9]] = 0.0
    one = normalise(rays, confidence, up_cam)
    rays[0, 3], rays[0, 9] = np.nan, 1e9
    other = normalise(rays, confidence, up_cam)
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    assert (one.keypoints[0, [3, 9]] == 0).all()
    rays[0, 5] = np.nan  # a NaN counts as absent whatever its confidence
    assert (normalise(rays, np.ones((1, 17)), up_cam).keypoints[0, 5] == 0).all()


def test_views_with_too_little_are_invalid_and_harm_no_other():
    rays, up_cam = seen_from((4.0, 1.0, 2.0), a_person(np.random.default_rng(6)))
    rows = np.concatenate([rays, np.full_like(rays, np.nan), rays, np.zeros_like(rays)])
    confidence = np.ones((4, 17))
    confidence[2, 3:] = 0.0
    views = normalise(rows, confidence, up_cam)
    assert views.valid.tolist() == [True, False, False, False]
    assert (views.keypoints[1:] == 0).all()
    assert np.isfinite(views.context).all()
    np.testing.assert_array_equal(views.keypoints[0], normalise(rays, np.ones((1, 17)), up_cam).keypoints[0])
