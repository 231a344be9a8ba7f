"""The laws of rigid transforms: inverse, associativity, round trips; in batches, near the identity and half a turn."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid

Array = npt.NDArray[np.float64]

IDENTITY = np.eye(4)


def random_transforms(count: int, seed: int = 0) -> Array:
    """(count, 4, 4): rotations by 0 to π about any axis, within ten metres."""
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = rng.uniform(0, np.pi, size=count)
    return np.stack(
        [
            rigid.from_rotation(rigid.rotation_from_rotvec(axis * angle), rng.uniform(-10, 10, 3))
            for axis, angle in zip(axes, angles, strict=True)
        ]
    )


def unit_axes() -> list[Array]:
    rng = np.random.default_rng(1)
    axes = [*np.eye(3), -np.eye(3)[0], np.array([1, 1, 0]), np.array([-1, 1, 1e-9]), *rng.normal(size=(10, 3))]
    return [axis / np.linalg.norm(axis) for axis in axes]


def test_the_inverse_undoes_on_both_sides_and_in_batches():
    Ts = random_transforms(60).reshape(3, 20, 4, 4)
    inverses = rigid.inverse(Ts)
    assert inverses.shape == Ts.shape
    np.testing.assert_allclose(Ts @ inverses, np.broadcast_to(IDENTITY, Ts.shape), atol=1e-12)
    np.testing.assert_allclose(inverses @ Ts, np.broadcast_to(IDENTITY, Ts.shape), atol=1e-12)
    np.testing.assert_allclose(inverses[1, 7], rigid.inverse(Ts[1, 7]), atol=0)
    np.testing.assert_allclose(inverses, np.linalg.inv(Ts), atol=1e-12)


def test_the_inverse_of_the_inverse_is_the_transform_itself():
    Ts = random_transforms(20)
    np.testing.assert_allclose(rigid.inverse(rigid.inverse(Ts)), Ts, atol=1e-14)


def test_carrying_points_in_two_steps_or_in_one_is_the_same():
    T_a_b, T_b_c, T_c_d = random_transforms(3)
    points_d_m = np.random.default_rng(2).normal(size=(4, 5, 3))
    in_steps = rigid.transform(T_a_b, rigid.transform(T_b_c, rigid.transform(T_c_d, points_d_m)))
    np.testing.assert_allclose(rigid.transform((T_a_b @ T_b_c) @ T_c_d, points_d_m), in_steps, atol=1e-12)
    np.testing.assert_allclose(rigid.transform(T_a_b @ (T_b_c @ T_c_d), points_d_m), in_steps, atol=1e-12)
    assert in_steps.shape == points_d_m.shape


def test_points_go_there_and_back_and_keep_their_distances():
    T = random_transforms(1)[0]
    points_m = np.random.default_rng(3).normal(size=(50, 3))
    carried = rigid.transform(T, points_m)
    np.testing.assert_allclose(rigid.transform(rigid.inverse(T), carried), points_m, atol=1e-12)
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(carried, axis=0), axis=1), np.linalg.norm(np.diff(points_m, axis=0), axis=1), atol=1e-12
    )
    assert np.isnan(rigid.transform(T, np.full((2, 3), np.nan))).all()


def test_the_origin_of_the_inner_frame_is_the_translation():
    R = rigid.rotation_from_rotvec([0.3, -0.2, 0.1])
    T_to_from = rigid.from_rotation(R, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(rigid.transform(T_to_from, np.zeros(3)), [1.0, 2.0, 3.0])


@pytest.mark.parametrize("axis", unit_axes(), ids=str)
def test_rotation_vectors_there_and_back(axis):
    for angle in (1e-14, 1e-9, 1e-7, 1e-5, 1e-3, 0.5, 1.5, 3.0, np.pi - 1e-3, np.pi - 1e-6, np.pi - 1e-9):
        rotvec = axis * angle
        R = rigid.rotation_from_rotvec(rotvec)
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-14)
        np.testing.assert_allclose(rigid.rotvec_from_rotation(R), rotvec, atol=1e-9 if angle > 3.1 else 1e-14)


@pytest.mark.parametrize("axis", unit_axes(), ids=str)
def test_half_a_turn_comes_back_as_one_of_its_two_names(axis):
    R = rigid.rotation_from_rotvec(axis * np.pi)
    rotvec = rigid.rotvec_from_rotation(R)
    assert np.linalg.norm(rotvec) == pytest.approx(np.pi, abs=1e-12)
    np.testing.assert_allclose(rigid.rotation_from_rotvec(rotvec), R, atol=1e-12)
    assert abs(rotvec @ axis) == pytest.approx(np.pi, abs=1e-9)


def test_no_rotation_is_the_zero_vector():
    np.testing.assert_array_equal(rigid.rotation_from_rotvec(np.zeros(3)), np.eye(3))
    np.testing.assert_allclose(rigid.rotvec_from_rotation(np.eye(3)), np.zeros(3), atol=1e-15)


def test_more_than_half_a_turn_comes_back_as_the_shorter_way():
    rotvec = np.array([0.0, 0.0, 1.5 * np.pi])
    np.testing.assert_allclose(
        rigid.rotvec_from_rotation(rigid.rotation_from_rotvec(rotvec)), [0, 0, -0.5 * np.pi], atol=1e-12
    )


def test_rotations_agree_with_opencv():
    rng = np.random.default_rng(4)
    for rotvec in [*rng.uniform(-2, 2, size=(50, 3)), *rng.uniform(-1e-6, 1e-6, size=(10, 3))]:
        R, _ = cv2.Rodrigues(rotvec)
        np.testing.assert_allclose(rigid.rotation_from_rotvec(rotvec), R, atol=1e-12)


def test_what_is_no_rotation_is_refused():
    for wrong in (np.diag([1.0, 1.0, -1.0]), 2 * np.eye(3), np.eye(4), np.zeros((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="not a rotation"):
            rigid.from_rotation(wrong, np.zeros(3))


def test_a_camera_looks_at_its_target_and_stands_upright():
    T_world_cam = rigid.look_at([3.0, -2.0, 2.5], [0.1, 0.2, 0.9])
    T_cam_world = rigid.inverse(T_world_cam)
    np.testing.assert_allclose(T_world_cam[:3, 3], [3.0, -2.0, 2.5])
    target_cam_m = rigid.transform(T_cam_world, np.array([0.1, 0.2, 0.9]))
    np.testing.assert_allclose(target_cam_m[:2], 0.0, atol=1e-12)
    assert target_cam_m[2] > 0
    assert T_world_cam[2, 0] == pytest.approx(0.0, abs=1e-12), "the camera's x axis is level"
    assert T_world_cam[2, 1] < 0, "the camera's y axis points down"
    assert np.linalg.det(T_world_cam[:3, :3]) == pytest.approx(1.0)


def test_a_camera_that_looks_straight_down_or_nowhere_is_refused():
    for target in ([1.0, 1.0, 0.0], [1.0, 1.0, 2.0]):
        with pytest.raises(ValueError, match="choose another position or target"):
            rigid.look_at([1.0, 1.0, 2.0], target)
