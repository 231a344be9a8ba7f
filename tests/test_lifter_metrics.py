"""The measures against cases worked out by hand and against scipy; merging against its laws and exact lifts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calibration import rigid
from calibration.synthetic import ring_rig
from lifter import merge as merging
from lifter.merge import merge
from lifter.metrics import Tally, aligned, distances_m, rescaled, root_relative


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def poses(rng, *shape):
    return rng.normal(0.0, 0.4, (*shape, 3))


def test_mpjpe_of_one_moved_joint_is_its_distance_over_the_number_of_joints(rng):
    truth = poses(rng, 6, 5)
    predicted = truth.copy()
    predicted[:, 2] += [0.03, 0.0, 0.04]  # 50 mm
    tally = Tally.of(predicted, truth, root=0)
    assert_allclose(tally.figures()["mpjpe_mm"], 50 / 5)
    assert_allclose(tally.mpjpe_mm_per_joint(), [0, 0, 50, 0, 0], atol=1e-9)


def test_where_the_pose_stands_does_not_matter_but_a_wrong_root_moves_all_joints(rng):
    truth = poses(rng, 4, 5)
    assert Tally.of(truth + np.array([5.0, -2.0, 1.0]), truth, root=3).figures()["mpjpe_mm"] < 1e-9
    predicted = truth.copy()
    predicted[:, 3, 0] += 0.02
    assert_allclose(Tally.of(predicted, truth, root=3).mpjpe_mm_per_joint(), [20, 20, 20, 0, 20])


def test_joints_that_are_not_known_are_left_out(rng):
    truth = poses(rng, 3, 4)
    predicted = truth.copy()
    predicted[:, 1, 2] += 0.06
    predicted[0, 2] = np.nan  # not given: counts against `given` only
    truth[2, 1] = np.nan  # not known: counts nowhere
    figures = Tally.of(predicted, truth, root=0).figures()
    assert_allclose(figures["mpjpe_mm"], (60 + 60) / 10)
    assert_allclose(figures["given"], 10 / 11)


def test_a_pose_without_its_root_is_left_out(rng):
    truth = poses(rng, 2, 4)
    truth[0, 0] = np.nan
    tally = Tally.of(truth + 0.1, truth, root=0)
    assert_array_equal(tally.asked, [1, 1, 1, 1])


def test_nothing_known_is_nan_and_not_zero():
    nothing = np.full((2, 4, 3), np.nan)
    assert all(np.isnan(value) for value in Tally.of(nothing, nothing, root=0).figures().values())


def test_the_share_within_150_mm(rng):
    truth = np.zeros((1, 4, 3))
    predicted = np.array([[[0, 0, 0], [0.149, 0, 0], [0, 0.151, 0], [0, 0, 0.5]]])
    assert Tally.of(predicted, truth, root=0).figures()["pck_150"] == 0.5


def test_n_mpjpe_forgives_size_and_nothing_else(rng):
    truth = root_relative(poses(rng, 3, 5), 0)
    assert_allclose(rescaled(1.25 * truth, truth), truth)
    one = np.array([[[0.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]]])
    other = np.array([[[0.0, 0, 0], [2.0, 0, 0], [0, 0, 0]]])
    # the factor is <one, other> / <one, one> = 2 / 2
    assert_allclose(rescaled(one, other), one)
    assert_allclose(Tally.of(one, other, root=0).figures()["n_mpjpe_mm"], 2000 / 3)


def test_alignment_undoes_any_similarity(rng):
    truth = poses(rng, 20, 9)
    turns = np.array([rigid.rotation_from_rotvec(v) for v in rng.normal(0, 1.5, (20, 3))])
    moved = 0.7 * truth @ turns + rng.normal(size=(20, 1, 3))
    assert_allclose(aligned(moved, truth), truth, atol=1e-12)


def test_alignment_does_not_mirror(rng):
    truth = poses(rng, 10, 9)
    assert (distances_m(aligned(truth * [1, 1, -1], truth), truth).mean(-1) > 0.05).all()


def test_alignment_is_that_of_scipy(rng):
    scipy_spatial = pytest.importorskip("scipy.spatial")
    truth = poses(rng, 30, 9)
    predicted = truth + rng.normal(0, 0.1, truth.shape)
    squared = (distances_m(aligned(predicted, truth), truth) ** 2).sum(-1)
    size = ((truth - truth.mean(1, keepdims=True)) ** 2).sum((1, 2))
    disparity = [scipy_spatial.procrustes(t, p)[2] for t, p in zip(truth, predicted, strict=True)]
    assert_allclose(squared / size, disparity, rtol=1e-9)


def test_alignment_turns_as_scipy_does_where_mirroring_would_be_nearer(rng):
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    truth = poses(rng, 9)
    predicted = truth * [1, 1, -1] + rng.normal(0, 0.02, truth.shape)
    p, t = predicted - predicted.mean(0), truth - truth.mean(0)
    turned = rotation.align_vectors(t, p)[0].apply(p)
    expected = turned * (turned * t).sum() / (p * p).sum() + truth.mean(0)
    assert_allclose(aligned(predicted, truth), expected, atol=1e-9)


def test_alignment_uses_the_known_joints_only(rng):
    truth, predicted = poses(rng, 9), poses(rng, 9)
    known = [0, 1, 3, 4, 7]
    expected = aligned(predicted[known], truth[known])
    hole = truth.copy()
    hole[[2, 5, 6, 8]] = np.nan
    assert_allclose(aligned(predicted, hole)[known], expected, atol=1e-12)


def test_two_joints_cannot_be_aligned(rng):
    truth = poses(rng, 4)
    truth[2:] = np.nan
    figures = Tally.of(poses(rng, 4), truth, root=0).figures()
    assert np.isnan(figures["p_mpjpe_mm"])
    assert figures["mpjpe_mm"] > 0


def test_honest_sigmas_give_one_and_halved_ones_four(rng):
    truth, sigma_m = np.zeros((20_000, 3, 3)), np.broadcast_to([0.001, 0.05, 0.1], (20_000, 3))
    predicted = truth + sigma_m[..., None] * rng.standard_normal(truth.shape) * [[0.0], [1.0], [1.0]]
    # 80,000 squared normal variables that count: the mean has a standard deviation of 0.4 %
    assert_allclose(Tally.of(predicted, truth, 0, sigma_m).figures()["sigma_calibration"], 1, rtol=0.03)
    assert_allclose(Tally.of(predicted, truth, 0, sigma_m / 2).figures()["sigma_calibration"], 4, rtol=0.03)


def test_tallies_of_parts_add_up_to_the_tally_of_all(rng):
    truth, predicted, sigma_m = poses(rng, 8, 4, 5), poses(rng, 8, 4, 5), rng.uniform(0.1, 0.5, (8, 4, 5))
    predicted[3, 1, 2] = np.nan
    whole = Tally.of(predicted, truth, 0, sigma_m)
    parts = Tally.of(predicted[:3], truth[:3], 0, sigma_m[:3]) + Tally.of(predicted[3:], truth[3:], 0, sigma_m[3:])
    assert_allclose(list(parts.figures().values()), list(whole.figures().values()), rtol=1e-12)


# ---- merging -----------------------------------------------------------------------------------------------------


class Scene:
    """Exact lifts of random bodies (N, J) in a rig: what `merge` takes, to be spoilt by the tests."""

    def __init__(self, rng, n_cameras=4, n=3, joints=9):
        cameras = ring_rig(n_cameras, 4.0, 2.0, (1280, 720), 900.0).cameras
        self.R_cam_world = np.stack([camera.T_cam_world[:3, :3] for camera in cameras])
        self.centre_m = np.stack([camera.T_world_cam[:3, 3] for camera in cameras])
        self.truth_m = poses(rng, n, joints) + np.array([0.3, -0.2, 1.0])
        in_cam = np.einsum("cij,ncpj->ncpi", self.R_cam_world, self.truth_m[:, None] - self.centre_m[:, None])
        self.rays = in_cam[..., :2] / in_cam[..., 2:]
        self.confidence = np.ones(self.rays.shape[:-1])
        self.lifts = root_relative(in_cam, 0)
        self.sigma_m = np.full(self.confidence.shape, 0.06)

    def merged(self, order=slice(None)):
        lifts, sigma_m = self.lifts[:, order], self.sigma_m[:, order]
        rays, confidence = self.rays[:, order], self.confidence[:, order]
        return merge(lifts, sigma_m, rays, confidence, self.R_cam_world[order], self.centre_m[order], 0)


def relative(scene):
    return root_relative(scene.truth_m, 0)


@pytest.mark.parametrize("n_cameras", [1, 2, 4, 7])
def test_exact_lifts_merge_into_the_truth(rng, n_cameras):
    scene = Scene(rng, n_cameras)
    merged = scene.merged()
    assert_allclose(merged.joints_m, relative(scene), atol=1e-9)
    assert_allclose(merged.root_m, scene.truth_m[:, 0], atol=1e-9)


def test_the_calibration_mends_lifts_of_wrong_size(rng):
    scene = Scene(rng)
    scene.lifts *= np.array([0.93, 1.04, 1.07, 0.95])[:, None, None]
    # what is left is that views along one line of sight disagree a little about where the body is
    assert distances_m(scene.merged().joints_m, relative(scene)).mean() < 0.002
    assert distances_m(scene.lifts[:, 0], Scene(np.random.default_rng(7)).lifts[:, 0]).mean() > 0.03


def test_errors_along_one_view_are_mended_by_the_others(rng):
    scene = Scene(rng, n=40)
    along = np.concatenate([scene.rays, np.ones((*scene.rays.shape[:-1], 1))], axis=-1)
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    off = 0.08 * rng.standard_normal(along.shape[:-1])
    off[..., 0] = 0
    scene.lifts += off[..., None] * along
    plain = np.einsum("cji,ncpj->npi", scene.R_cam_world, scene.lifts) / 4
    error, of_plain = (distances_m(pose, relative(scene)).mean() for pose in (scene.merged().joints_m, plain))
    assert error < of_plain / 3
    assert error < 0.008


def test_a_rig_moved_rigidly_moves_the_result(rng):
    scene = Scene(rng)
    scene.lifts += rng.normal(0, 0.03, scene.lifts.shape)
    before = scene.merged()
    turn, shift = rigid.rotation_from_rotvec([0.3, -1.0, 0.4]), np.array([2.0, 3.0, -1.0])
    scene.R_cam_world, scene.centre_m = scene.R_cam_world @ turn.T, scene.centre_m @ turn.T + shift
    after = scene.merged()
    assert_allclose(after.joints_m, before.joints_m @ turn.T, atol=1e-9)
    assert_allclose(after.root_m, before.root_m @ turn.T + shift, atol=1e-9)


def test_the_order_of_cameras_does_not_matter(rng):
    scene = Scene(rng)
    scene.lifts += rng.normal(0, 0.03, scene.lifts.shape)
    assert_allclose(scene.merged([2, 0, 3, 1]).joints_m, scene.merged().joints_m, atol=1e-9)


def test_a_view_that_could_not_be_lifted_is_as_if_it_were_not_there(rng):
    scene = Scene(rng)
    scene.lifts += rng.normal(0, 0.03, scene.lifts.shape)
    for array in (scene.lifts, scene.sigma_m, scene.rays):
        array[:, 1] = np.nan
    scene.confidence[:, 1] = 0
    assert_allclose(scene.merged().joints_m, scene.merged([0, 2, 3]).joints_m, atol=1e-12)


def test_a_moment_that_no_view_lifted_is_nan_and_the_others_are_not(rng):
    scene = Scene(rng)
    scene.lifts[1] = np.nan
    merged = scene.merged()
    assert np.isnan(merged.joints_m[1]).all()
    assert np.isnan(merged.root_m[1]).all()
    assert np.isfinite(merged.joints_m[[0, 2]]).all()


def test_a_joint_that_one_view_alone_sees_is_that_views(rng):
    scene = Scene(rng)
    unseen = (slice(None), slice(1, None), 5)
    scene.rays[unseen], scene.confidence[unseen] = np.nan, 0.0
    scene.lifts[unseen] += rng.normal(0, 0.3, (3, 3, 3))
    scene.sigma_m[unseen] = 0.3
    error = distances_m(scene.merged().joints_m, relative(scene))
    assert error[:, 5].max() < 0.02


def test_an_outlier_of_one_view_is_out_voted(rng, monkeypatch):
    scene = Scene(rng)
    scene.rays[:, 0, 4] += 60 / 1100
    scene.lifts[:, 0, 4, 0] += 4 * 60 / 1100  # the lift follows its 2D
    robust = distances_m(scene.merged().joints_m, relative(scene))[:, 4].mean()
    monkeypatch.setattr(merging, "ROUNDS", 1)
    plain = distances_m(scene.merged().joints_m, relative(scene))[:, 4].mean()
    assert robust < 0.02
    assert plain > 0.05
