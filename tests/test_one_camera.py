"""One camera: without any calibration the limbs relative to the hips, with one the place in the room, too."""

from dataclasses import replace

import numpy as np
import pytest

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.nominal import nominal_camera
from calibration.rig import Camera, CameraRig
from configs import schema
from lifter.runtime import load
from lifter.skeleton import MEDIAPIPE33
from nodes.stages.people import Estimate
from nodes.stages.pipeline import FusionPipeline
from nodes.stages.root_relative import LEAST_SIGMA_M, root_relative
from nodes.wire.messages import Origin
from tests.keypoints import rig_of, stream, truth_m

HIPS = [MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]
LIMBS = MEDIAPIPE33.limb_indices()


@pytest.fixture(scope="module")
def lifter():
    return load(skeleton=MEDIAPIPE33)


def webcam(size_wh=(1280, 720), focal_px=900.0, height_m=1.2):
    """A camera that looks at the actor, all but level."""
    K = np.array([[focal_px, 0, (size_wh[0] - 1) / 2], [0, focal_px, (size_wh[1] - 1) / 2], [0, 0, 1.0]])
    T_world_cam = rigid.look_at((4.0, 0.5, height_m), (0.0, 0.0, 1.0))
    return Camera("webcam", size_wh, K, np.zeros(5), rigid.inverse(T_world_cam))


def fused(camera, rig, lifter, seconds=2.0, motion="walk"):
    pipeline = FusionPipeline(rig, ("webcam",), schema.Fusion(), MEDIAPIPE33, lifter=lifter)
    messages = stream(CameraRig((camera,)), seconds, noise_px=3.0, motion=motion)
    return pipeline, [pose for message in messages for pose in pipeline.push(message)]


def as_seen_by(camera, joints_m):
    """World joints in the frame of a level camera: x away from it, z up."""
    forward = camera.T_world_cam[:3, 2] * [1.0, 1.0, 0.0]
    forward /= np.linalg.norm(forward)
    left = np.array([-forward[1], forward[0], 0.0])
    return joints_m @ np.stack([forward, left, [0.0, 0.0, 1.0]]).T


def relative_errors_m(camera, poses, motion="walk"):
    errors = []
    for pose in poses:
        truth = as_seen_by(camera, truth_m(pose.captured_ns, motion)[0])
        truth = truth - truth[HIPS].mean(axis=0)
        errors += [np.linalg.norm(person.joints_m - truth, axis=1) for person in pose.people]
    return np.array(errors)


@pytest.mark.parametrize("motion", ["walk", "demo"])
@pytest.mark.parametrize("size_wh", [(1280, 720), (640, 480), (720, 1280)])
def test_without_calibration_the_limbs_are_right_relative_to_the_hips(lifter, motion, size_wh):
    camera = webcam(size_wh, focal_px=0.75 * max(size_wh))  # nobody knows that it is not 0.9
    _, poses = fused(camera, None, lifter, motion=motion)
    seen = [pose for pose in poses if pose.people]
    assert len(seen) > 0.75 * len(poses)
    assert {pose.frame for pose in poses} == {"root_relative"}
    assert len({person.id for pose in seen for person in pose.people}) == 1
    errors_m = relative_errors_m(camera, seen, motion)
    assert np.isfinite(errors_m[:, LIMBS]).all()
    assert errors_m[:, LIMBS].mean() < 0.08  # 0.038 to 0.05 measured; 0.12 is the aim
    last = seen[-1].people[0]
    np.testing.assert_allclose(last.joints_m[HIPS].mean(axis=0), 0.0, atol=1e-6)
    assert (last.origin[LIMBS] == Origin.LIFTED).all()
    in_sigmas = errors_m[:, LIMBS] ** 2 / 3 / np.square([pose.people[0].sigma_m[LIMBS] for pose in seen])
    assert 0.3 < in_sigmas.mean() < 3.0


def test_when_its_pictures_change_size_the_camera_is_taken_anew(lifter):
    pipeline, _ = fused(webcam(), None, lifter, seconds=1.0)
    small = webcam((640, 360), focal_px=450.0)
    later = [
        replace(m, captured_ns=m.captured_ns + 10**9, published_ns=m.published_ns + 10**9)
        for m in stream(CameraRig((small,)), 1.5, noise_px=1.0)
    ]
    poses = [pose for message in later for pose in pipeline.push(message)]
    assert poses[-1].people
    assert poses[-1].left_out == {}
    assert not pipeline.health(poses[-1].captured_ns).notes


def test_with_its_calibration_one_camera_places_people_in_the_room(lifter):
    camera = webcam()
    _, poses = fused(camera, CameraRig((camera,)), lifter)
    seen = [pose for pose in poses if pose.people]
    assert {pose.frame for pose in poses} == {"world"}
    errors_m = [np.linalg.norm(p.people[0].joints_m - truth_m(p.captured_ns)[0], axis=1)[LIMBS] for p in seen]
    assert np.mean(errors_m) < 0.25  # the distance is as good as the body's size is guessed
    assert (seen[-1].people[0].origin[LIMBS] == Origin.LIFTED).all()


def test_several_cameras_are_refused_without_a_calibration():
    names = rig_of(2).names
    with pytest.raises(CalibrationError, match=r"2 cameras \(cam_0, cam_1\) and no calibration"):
        FusionPipeline(None, names, schema.Fusion(), MEDIAPIPE33)


def test_the_nominal_camera_is_level_and_looks_along_x():
    camera = nominal_camera("webcam", (641, 481))
    np.testing.assert_allclose(camera.project(np.array([5.0, 0.0, 0.0])), (320.0, 240.0), atol=1e-9)
    right, above = camera.project(np.array([[5.0, -1.0, 0.0], [5.0, 0.0, 1.0]]))
    assert right[0] > 400
    assert above[1] < 160


def test_sigma_relative_to_the_hips_leaves_out_what_all_joints_share():
    joints_m = np.random.default_rng(0).normal(0, 1, (33, 3))
    own_m = np.linspace(0.0, 0.2, 33)
    own_m[HIPS] = 0.0
    relative = root_relative(Estimate(joints_m, np.hypot(0.5, own_m), np.zeros(33)), MEDIAPIPE33)
    np.testing.assert_allclose(relative.sigma_m, np.hypot(own_m, LEAST_SIGMA_M), atol=1e-9)
    unknown = joints_m.copy()
    unknown[HIPS[0]] = np.nan
    assert np.isnan(root_relative(Estimate(unknown, np.full(33, 0.1), np.zeros(33)), MEDIAPIPE33).joints_m).all()
