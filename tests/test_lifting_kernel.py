"""What lifts say bone by bone against a slow twin in numpy."""

import numpy as np
import pytest

from calibration.synthetic import ring_rig
from calibration.triangulate import RigArrays
from calibration.triangulate_kernel import MIN_DEPTH_M
from lifter.merge import SIGMA_RAY
from nodes.stages import lifting_kernel as kernel
from nodes.stages.person_problem import Expected, Lengths

PEOPLE, CAMERAS, N, LIFTED = 2, 3, 6, 5
OF_LIFT = np.array([[1, 0], [2, 1], [3, 0], [4, 3]])
OF_TREE = np.array([1, 2, 4, 5])


@pytest.fixture
def scene():
    rng = np.random.default_rng(3)
    arrays = RigArrays.of(ring_rig(CAMERAS, 4.0, 2.0, (1280, 720), 900.0))
    R = np.ascontiguousarray(arrays.Ts_cam_world[:, :, :3])
    centre_m = np.ascontiguousarray(-np.einsum("cji,cj->ci", R, arrays.Ts_cam_world[:, :, 3]))
    witness = np.broadcast_to(np.eye(3), (PEOPLE, N, 3, 3)) * rng.uniform(100.0, 1e4, (PEOPLE, N, 1, 1))
    witness[:, 3] = 0.0  # nothing is known of it
    nothing = np.zeros((PEOPLE, N, 3, 3))
    expected = Expected(rng.normal(0, 0.4, (PEOPLE, N, 3)), witness, nothing, np.zeros((PEOPLE, N, 3)), nothing)
    return rng, R, centre_m, expected


def twin_far_off(rays, expected, sigma, outlier_sigmas, R, centre_m):
    in_cam = np.einsum("cik,mcjk->mcji", R, expected.joints_m[:, None] - centre_m[:, None])
    depth = np.maximum(in_cam[..., 2], MIN_DEPTH_M)
    off = np.linalg.norm(in_cam[..., :2] / depth[..., None] - rays, axis=-1)
    trace = np.einsum("mjii->mj", expected.witness)
    sigma_m = np.sqrt(kernel.LOOSE2 / np.maximum(trace, 1e-9))
    return (trace > 0)[:, None] & (off > outlier_sigmas * np.hypot(sigma_m[:, None] / depth, sigma))


def twin_bones(joints_m, sigma_m, confidence, expected, lengths, noise_scale, R, centre_m):
    known = expected.witness[..., :1, 0] > 0
    middle = np.where(known, expected.joints_m, 0).sum(1) / np.maximum(known.sum(1), 1)
    distance = np.maximum(np.linalg.norm(middle[:, None] - centre_m, axis=-1), kernel.NEAREST_M)
    child, parent = OF_LIFT.T
    vectors = (joints_m @ R)[:, :, child] - (joints_m @ R)[:, :, parent]
    length = np.linalg.norm(vectors, axis=-1)
    weight = lengths.information[:, None, OF_TREE] / np.maximum(length, kernel.SHORT_M) ** 2
    ratio = (weight * lengths.length_m[:, None, OF_TREE] * length).sum(-1) / np.maximum((weight * length**2).sum(-1), 1)
    ratio = np.where(weight.sum(-1) > 0, np.clip(ratio, kernel.LEAST_SCALE, kernel.MOST_SCALE), 1.0)
    added = np.maximum(
        sigma_m[..., child] ** 2 - sigma_m[..., parent] ** 2, (kernel.LEAST_BONE * sigma_m[..., child]) ** 2
    )
    by_lift = 1 / (kernel.BONE_VARIANCE * added)
    sure = np.minimum(confidence[..., child], confidence[..., parent])
    by_2d = (sure / (kernel.ACROSS * SIGMA_RAY * noise_scale * distance[..., None])) ** 2
    unseen = by_lift / kernel.UNSEEN**2
    return vectors * ratio[..., None, None], np.where(sure > 0, by_lift, unseen), np.where(sure > 0, by_2d, unseen)


def test_joints_far_from_where_they_are_expected_are_those_of_the_slow_twin(scene):
    rng, R, centre_m, expected = scene
    rays = rng.normal(0, 0.1, (PEOPLE, CAMERAS, N, 2))
    rays[0, 1, 2] = np.nan
    far = kernel.far_off(rays, expected, 0.004, 3.0, R, centre_m)
    assert far.any()
    assert not far.all()
    assert not far[0, 1, 2], "what is not seen is nowhere"
    np.testing.assert_array_equal(far, twin_far_off(rays, expected, 0.004, 3.0, R, centre_m))


@pytest.mark.parametrize("known", [True, False])
def test_bones_of_lifts_are_those_of_the_slow_twin(scene, known):
    rng, R, centre_m, expected = scene
    joints_m = rng.normal(0, 0.4, (PEOPLE, CAMERAS, LIFTED, 3))
    sigma_m = rng.uniform(0.02, 0.1, (PEOPLE, CAMERAS, LIFTED))
    confidence = rng.choice([0.0, 0.5, 1.0], (PEOPLE, CAMERAS, LIFTED))
    lengths = Lengths(rng.uniform(0.2, 0.6, (PEOPLE, N)), np.full((PEOPLE, N), 1e4 * known))
    args = joints_m, sigma_m, confidence, expected, lengths
    got = kernel.bones(*args, OF_LIFT, OF_TREE, 1.5, R, centre_m)
    for mine, twins in zip(got, twin_bones(*args, 1.5, R, centre_m), strict=True):
        np.testing.assert_allclose(mine[:, :, OF_TREE], twins, rtol=1e-9)
        assert not mine[:, :, [0, 3]].any(), "the root and what no lift tells"


def test_a_view_that_was_not_lifted_says_nothing(scene):
    _, R, centre_m, expected = scene
    joints_m = np.full((PEOPLE, CAMERAS, LIFTED, 3), np.nan)
    lengths = Lengths(np.full((PEOPLE, N), 0.3), np.full((PEOPLE, N), 1e4))
    blank = np.full(joints_m.shape[:3], np.nan)
    for said in kernel.bones(joints_m, blank, blank, expected, lengths, OF_LIFT, OF_TREE, 1.0, R, centre_m):
        assert not said.any()
