"""Triangulation against its ten-line twin, its laws, its votes, and the uncertainty it tells."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration import triangulate_kernel as kernel
from calibration.rig import Camera, CameraRig
from calibration.synthetic import ring_rig
from calibration.triangulate import RigArrays, Triangulated, triangulate

Array = npt.NDArray[np.float64]

SIZE_WH = (1280, 960)
FOCAL_PX = 1000.0
WEBCAM = [-0.3, 0.1, 1e-3, -5e-4, 0.0]
RATIONAL = [0.2, -0.1, 1e-3, -1e-3, 0.02, 0.1, 0.05, 0.01]


def rig_of(n_cameras: int, dist: Sequence[float] = WEBCAM, focal_px: float = FOCAL_PX) -> CameraRig:
    return ring_rig(n_cameras, 4.0, 1.6, SIZE_WH, focal_px, dist=dist)


def body(seed: int = 0, n_joints: int = 20) -> Array:
    """(J, 3) joints of somebody who stands in the middle, metres."""
    return np.random.default_rng(seed).uniform([-0.4, -0.4, 0.1], [0.4, 0.4, 1.8], (n_joints, 3))


def seen(rig: CameraRig, joints_m: Array, noise_px: float = 0.0, seed: int = 0) -> tuple[Array, Array]:
    """Keypoints (C, J, 2) and confidence (C, J) of joints that every camera sees."""
    keypoints_px = rig.project(joints_m)
    assert np.isfinite(keypoints_px).all()
    keypoints_px += np.random.default_rng(seed).normal(scale=1.0, size=keypoints_px.shape) * noise_px
    return keypoints_px, np.ones(keypoints_px.shape[:2])


def twin(rig: CameraRig, keypoints_px: Array) -> Array:
    """The textbook's direct linear transform over all views (Hartley, Zisserman 12.2), with OpenCV's undistortion."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-14)
    joints_m = []
    for j in range(keypoints_px.shape[1]):
        rows = []
        for camera, pixel in zip(rig.cameras, keypoints_px[:, j], strict=True):
            ideal = cv2.undistortPointsIter(pixel.reshape(1, 1, 2), camera.K, camera.dist8, None, None, criteria)
            x, y = ideal.reshape(2)
            P = camera.T_cam_world[:3]
            rows += [x * P[2] - P[0], y * P[2] - P[1]]
        homogeneous = np.linalg.svd(np.stack(rows))[2][-1]
        joints_m.append(homogeneous[:3] / homogeneous[3])
    return np.stack(joints_m)


def rms_m(errors_m: Array) -> float:
    return float(np.sqrt(np.mean(np.sum(errors_m**2, axis=-1))))


def solve(rig: CameraRig, keypoints_px: Array, confidence: Array | None = None, **settings) -> Triangulated:
    sure = np.ones(keypoints_px.shape[:2]) if confidence is None else confidence
    return triangulate(RigArrays.of(rig), keypoints_px, sure, **settings)


@pytest.mark.parametrize("dist", [[], WEBCAM, RATIONAL], ids=["straight", "webcam", "rational"])
@pytest.mark.parametrize("n_cameras", [2, 3, 4, 8])
def test_without_noise_it_equals_its_twin_and_the_truth(n_cameras, dist):
    """A micrometre: undistortion stops at 1e-7 of the focal length, times four metres."""
    rig, joints_m = rig_of(n_cameras, dist), body()
    keypoints_px, _ = seen(rig, joints_m)
    result = solve(rig, keypoints_px)
    np.testing.assert_allclose(result.points_m, twin(rig, keypoints_px), atol=1e-6)
    np.testing.assert_allclose(result.points_m, joints_m, atol=1e-6)
    assert result.used.all()
    assert np.nanmax(result.residual_px) < 1e-3


@pytest.mark.parametrize("n_cameras", [3, 4, 7])
def test_with_noise_it_is_no_worse_than_its_twin(n_cameras):
    """The twin minimises an algebraic error, ours the reprojection error: without a gate, ours is the better one.

    On purely Gaussian noise the robust weights cost accuracy, in theory and measured 1 to 4 %; 6 % is let pass.
    """
    rig = rig_of(n_cameras)
    joints_m = body(n_joints=1000)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=3.0)
    theirs_m = rms_m(twin(rig, keypoints_px) - joints_m)
    assert rms_m(solve(rig, keypoints_px, confidence, outlier_sigmas=100.0).points_m - joints_m) < theirs_m
    assert rms_m(solve(rig, keypoints_px, confidence).points_m - joints_m) < 1.06 * theirs_m


@pytest.mark.parametrize("n_cameras", [2, 4, 7])
def test_the_order_of_the_cameras_does_not_matter(n_cameras):
    """Up to seven views all pairs compete; with outliers, so that pairs have to."""
    rng = np.random.default_rng(3)
    rig, joints_m = rig_of(n_cameras), body(3)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=2.0, seed=3)
    keypoints_px[0, 4] += 150.0
    confidence[-1, 7] = 0.0
    expected = solve(rig, keypoints_px, confidence)
    for _ in range(5):
        order = rng.permutation(n_cameras)
        shuffled = CameraRig(tuple(rig.cameras[i] for i in order))
        result = solve(shuffled, keypoints_px[order], confidence[order])
        np.testing.assert_allclose(result.points_m, expected.points_m, atol=1e-7)
        np.testing.assert_allclose(result.sigma_m, expected.sigma_m, rtol=1e-6)
        np.testing.assert_array_equal(result.used, expected.used[order])
        np.testing.assert_allclose(result.residual_px, expected.residual_px[order], atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_rig_that_is_moved_moves_the_result(seed):
    rng = np.random.default_rng(seed)
    rig, joints_m = rig_of(4), body(seed)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=2.0, seed=seed)
    keypoints_px[1, 3] += 200.0
    T_new_old = rigid.from_rotation(rigid.rotation_from_rotvec(rng.uniform(-2, 2, 3)), rng.uniform(-5, 5, 3))
    moved = CameraRig(
        tuple(Camera(c.name, c.size_wh, c.K, c.dist, c.T_cam_world @ rigid.inverse(T_new_old)) for c in rig.cameras)
    )
    before, after = solve(rig, keypoints_px, confidence), solve(moved, keypoints_px, confidence)
    np.testing.assert_allclose(after.points_m, rigid.transform(T_new_old, before.points_m), atol=1e-6)
    np.testing.assert_allclose(after.sigma_m, before.sigma_m, rtol=1e-5)
    np.testing.assert_array_equal(after.used, before.used)


def test_a_view_of_no_confidence_is_an_absent_view():
    rig, joints_m = rig_of(4), body(1)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=2.0)
    keypoints_px[2] += 300.0  # where it points must not matter
    without = CameraRig(tuple(camera for i, camera in enumerate(rig.cameras) if i != 2))
    expected = solve(without, np.delete(keypoints_px, 2, axis=0), np.delete(confidence, 2, axis=0))
    absent = {
        "no confidence": (keypoints_px, np.where(np.arange(4)[:, None] == 2, 0.0, confidence)),
        "less than asked for": (keypoints_px, np.where(np.arange(4)[:, None] == 2, 0.2, confidence)),
        "NaN pixels": (np.where(np.arange(4)[:, None, None] == 2, np.nan, keypoints_px), confidence),
        "NaN in y alone": (
            np.where((np.arange(4)[:, None, None] == 2) & np.array([False, True]), np.nan, keypoints_px),
            confidence,
        ),
        "infinite pixels": (np.where(np.arange(4)[:, None, None] == 2, np.inf, keypoints_px), confidence),
        "NaN confidence": (keypoints_px, np.where(np.arange(4)[:, None] == 2, np.nan, confidence)),
    }
    for name, (pixels, sure) in absent.items():
        result = solve(rig, pixels, sure, min_confidence=0.2)
        np.testing.assert_allclose(result.points_m, expected.points_m, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(result.sigma_m, expected.sigma_m, rtol=1e-9, err_msg=name)
        assert not result.used[2].any()
        assert np.isnan(result.residual_px[2]).all()


@pytest.mark.parametrize("n_cameras", [3, 4, 6])
@pytest.mark.parametrize("offset_px", [60.0, 150.0, 400.0])
def test_one_wrong_view_is_out_voted_and_named(n_cameras, offset_px):
    """Every joint is wrong in one view, each in another one; some joints are right everywhere, as a body has them."""
    rng = np.random.default_rng(5)
    rig, joints_m = rig_of(n_cameras), body(5)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=1.0, seed=5)
    wrong = np.zeros((n_cameras, len(joints_m)), dtype=bool)
    for j in range(0, len(joints_m), 2):
        c = int(rng.integers(n_cameras))
        angle = rng.uniform(0, 2 * np.pi)
        # off its epipolar lines: a view that moves along one of them is not wrong to the other
        keypoints_px[c, j] += offset_px * np.array([np.cos(angle), np.sin(angle)])
        wrong[c, j] = True
    result = solve(rig, keypoints_px, confidence)
    found = np.isfinite(result.points_m[:, 0])
    errors_m = np.linalg.norm(result.points_m - joints_m, axis=1)
    right = ~wrong.any(axis=0)
    assert found[right].all()
    assert (errors_m[right] < 0.02).all()
    # with three views, a wrong one may by chance agree with one of the two others
    named = (result.used == ~wrong).all(axis=0)
    assert named[~right].mean() >= (0.8 if n_cameras == 3 else 1.0)
    assert (errors_m[named] < 0.02).all()


def test_a_whole_camera_that_is_wrong_is_out_voted():
    """As when it was bumped, or its person is somebody else."""
    rig, joints_m = rig_of(4), body(6)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=1.0)
    keypoints_px[3] += [180.0, 70.0]
    result = solve(rig, keypoints_px, confidence)
    np.testing.assert_allclose(result.points_m, joints_m, atol=0.02)
    assert not result.used[3].any()
    assert result.used[:3].all()
    assert (result.residual_px[3] > 100).all(), "what was left out still says how far it was off"


def test_two_views_that_disagree_give_nothing():
    rig, joints_m = rig_of(2), body(7)
    keypoints_px, confidence = seen(rig, joints_m)
    keypoints_px[1, 0, 1] += 150.0  # both cameras are nearly level: a vertical offset is off the epipolar line
    result = solve(rig, keypoints_px, confidence)
    assert np.isnan(result.points_m[0]).all()
    assert np.isinf(result.sigma_m[0])
    assert not result.used[:, 0].any()
    np.testing.assert_allclose(result.points_m[1:], joints_m[1:], atol=1e-5)


def test_one_view_or_none_gives_nothing():
    rig, joints_m = rig_of(4), body(8)
    keypoints_px, confidence = seen(rig, joints_m)
    confidence[1:, 0] = 0.0
    confidence[:, 1] = 0.0
    result = solve(rig, keypoints_px, confidence)
    assert np.isnan(result.points_m[:2]).all()
    assert np.isinf(result.sigma_m[:2]).all()
    assert not result.used[:, :2].any()
    assert np.isfinite(result.points_m[2:]).all()


def test_a_point_behind_a_camera_is_not_accepted():
    """Two parallel cameras whose rays part before them would meet behind them."""
    T_left = rigid.look_at([0.0, 0.0, 1.5], [4.0, 0.0, 1.5])
    T_right = rigid.look_at([0.0, -0.5, 1.5], [4.0, -0.5, 1.5])
    K = np.array([[1000.0, 0.0, 640.0], [0.0, 1000.0, 480.0], [0.0, 0.0, 1.0]])
    rig = CameraRig(
        tuple(
            Camera(name, SIZE_WH, K, np.zeros(0), rigid.inverse(T))
            for name, T in (("left", T_left), ("right", T_right))
        )
    )
    meeting_m = np.array([[4.0, -0.25, 1.5]])
    good = rig.project(meeting_m)
    np.testing.assert_allclose(solve(rig, good).points_m, meeting_m, atol=1e-9)
    result = solve(rig, good[::-1].copy())  # exchanged, the rays part
    assert np.isnan(result.points_m).all()
    assert not result.used.any()


def test_a_point_in_the_plane_of_a_camera_is_not_before_it():
    """Depth 0 must not be divided by."""
    T_cam_world = np.eye(4)[None, :3]
    residual2 = np.empty(1)
    kernel._residuals(T_cam_world, np.zeros((1, 2)), np.array([1.0, 0.0, 0.0]), residual2)
    assert residual2[0] == np.inf


def test_a_camera_that_has_the_point_behind_it_is_left_out():
    rig, joints_m = rig_of(4, dist=[]), body(9)
    keypoints_px, _ = seen(rig, joints_m)
    T_away = rig.cameras[1].T_world_cam @ np.diag([-1.0, 1.0, -1.0, 1.0])  # turned round on the spot
    turned = Camera("away", SIZE_WH, rig.cameras[1].K, np.zeros(0), rigid.inverse(T_away))
    result = solve(CameraRig((rig.cameras[0], turned, *rig.cameras[2:])), keypoints_px)
    np.testing.assert_allclose(result.points_m, joints_m, atol=1e-6)
    np.testing.assert_array_equal(result.used, np.array([True, False, True, True])[:, None].repeat(len(joints_m), 1))


def test_a_pixel_far_outside_the_picture_does_not_cost_the_other_views():
    """Out there the inverse of the distortion has no value; that is one view's loss, not the joint's."""
    rig, joints_m = rig_of(4, RATIONAL), body(10)
    keypoints_px, confidence = seen(rig, joints_m)
    for far in (4e3, 1e6, 1e30, -1e38):
        keypoints_px[2, 3] = far
        result = solve(rig, keypoints_px, confidence)
        np.testing.assert_allclose(result.points_m, joints_m, atol=1e-5)
        np.testing.assert_array_equal(result.used[:, 3], [True, True, False, True])


@pytest.mark.parametrize("n_cameras", [2, 3, 4, 8])
@pytest.mark.parametrize("focal_px", [500.0, 1000.0])
def test_sigma_is_as_large_as_the_error(n_cameras, focal_px):
    """Normalised error squared, 1 in theory. Noise is given at 1000 px focal length and scales with it.

    Measured 1.08 (2 views) to 1.18 (7 views): the robust weights cost accuracy that sigma does not count. 0.7 to 1.3
    is let pass.
    """
    sigma_px = 3.0
    rig = rig_of(n_cameras, focal_px=focal_px)
    joints_m = body(n_joints=3000)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=sigma_px * focal_px / 1000, seed=n_cameras)
    result = solve(rig, keypoints_px, confidence, sigma_px=sigma_px)
    found = np.isfinite(result.sigma_m)
    assert found.mean() > 0.99
    squared = np.sum((result.points_m - joints_m)[found] ** 2, axis=1) / (3 * result.sigma_m[found] ** 2)
    assert 0.7 < squared.mean() < 1.3


def test_a_view_that_is_less_sure_counts_less():
    """With confidence 1/4 its noise is taken for four times as large; then the spread grows, and it pulls less."""
    rig, joints_m = rig_of(3), body(11)
    keypoints_px, confidence = seen(rig, joints_m)
    keypoints_px[0] += [4.0, 3.0]
    sure = solve(rig, keypoints_px, confidence)
    confidence[0] = 0.25
    unsure = solve(rig, keypoints_px, confidence)
    error_m = [np.linalg.norm(result.points_m - joints_m, axis=1).mean() for result in (sure, unsure)]
    assert error_m[1] < error_m[0] / 4
    keypoints_px, confidence = seen(rig, joints_m)
    half = solve(rig, keypoints_px, confidence / 2)
    np.testing.assert_allclose(half.sigma_m, 2 * solve(rig, keypoints_px, confidence).sigma_m, rtol=1e-3)


def test_confidence_beyond_one_counts_as_one():
    rig, joints_m = rig_of(3), body(12)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=2.0)
    np.testing.assert_allclose(
        solve(rig, keypoints_px, confidence * 7).sigma_m, solve(rig, keypoints_px, confidence).sigma_m
    )


def test_residuals_are_pixels_of_their_own_camera():
    rig, joints_m = rig_of(8, dist=[]), body(13)
    keypoints_px, confidence = seen(rig, joints_m, noise_px=2.0)
    result = solve(rig, keypoints_px, confidence)
    again_px = np.linalg.norm(rig.project(result.points_m) - keypoints_px, axis=2)
    np.testing.assert_allclose(result.residual_px, again_px, rtol=1e-6)


def test_the_inputs_are_left_as_they_were_and_single_precision_will_do():
    rig, joints_m = rig_of(4), body(14)
    keypoints_px, confidence = seen(rig, joints_m)
    single, sure = keypoints_px.astype(np.float32), confidence.astype(np.float32)
    before = single.copy()
    single.flags.writeable = sure.flags.writeable = False
    np.testing.assert_allclose(triangulate(RigArrays.of(rig), single, sure).points_m, joints_m, atol=1e-5)
    np.testing.assert_array_equal(single, before)


def test_nobody_and_nothing_work():
    rig = rig_of(4)
    empty = solve(rig, np.zeros((4, 0, 2)))
    assert (empty.points_m.shape, empty.sigma_m.shape, empty.residual_px.shape) == ((0, 3), (0,), (4, 0))
    blind = solve(rig, np.full((4, 33, 2), np.nan))
    assert np.isnan(blind.points_m).all()
    assert np.isinf(blind.sigma_m).all()
    assert not blind.used.any()


@pytest.mark.parametrize(
    ("keypoints", "confidence"),
    [
        ((3, 5, 2), (3, 5)),
        ((4, 5, 3), (4, 5)),
        ((4, 5), (4, 5)),
        ((4, 5, 2), (4, 6)),
        ((4, 5, 2), (4, 5, 1)),
        ((4, 5, 2), (5, 4)),
    ],
)
def test_other_shapes_are_refused(keypoints, confidence):
    with pytest.raises(ValueError, match="must be"):
        triangulate(RigArrays.of(rig_of(4)), np.zeros(keypoints), np.ones(confidence))
