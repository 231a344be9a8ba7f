"""A camera that does not stand where its calibration says is named, it alone, and within five seconds."""

import numpy as np
import pytest

from calibration.rig import Camera, CameraRig
from configs import schema
from lifter.skeleton import MEDIAPIPE33
from nodes.stages.delivered import DeliveredRig
from nodes.stages.pipeline import FusionPipeline
from nodes.stages.rig_watch import RigWatch
from tests.crowd import detected
from tests.keypoints import MS, START_NS, rig_of, stream, truth_m

AXES = {"sideways": (0.2, 0.0, 0.0), "along": (0.0, 0.0, 0.2), "up": (0.0, -0.2, 0.0)}
NOISE_PX = 3.0


def misplaced(rig, name, by_cam_m):
    """What the calibration says of a rig of which one camera stands elsewhere."""
    cameras = []
    for camera in rig.cameras:
        T_cam_world = camera.T_cam_world.copy()
        if camera.name == name:
            T_cam_world[:3, 3] -= by_cam_m
        cameras.append(Camera(camera.name, camera.size_wh, camera.K, camera.dist, T_cam_world))
    return CameraRig(tuple(cameras))


def check(rig, told, seconds=5.0, motion="walk", change=lambda name, t_s, keypoints_px: keypoints_px):
    """Notes over time: a list of (seconds, notes)."""
    rng = np.random.default_rng(0)
    checking, delivered, told_over_time = RigWatch(rig.names, schema.Drift()), DeliveredRig(told, {}), []
    for tick in range(round(30 * seconds)):
        joints_m = truth_m(START_NS + round(tick * 1e9 / 30), motion)
        keypoints_px = rig.project(joints_m) + rng.normal(0, NOISE_PX, (len(rig.names), 1, 33, 2))
        for c, name in enumerate(rig.names):
            keypoints_px[c] = change(name, tick / 30, keypoints_px[c])
        checking.take(START_NS + round(tick * 1e9 / 30), delivered, detected(told, keypoints_px), joints_m)
        told_over_time.append((tick / 30, dict(checking.notes)))
    return checking, told_over_time


@pytest.mark.parametrize("n_cameras", [3, 4, 6])
@pytest.mark.parametrize("direction", AXES)
def test_a_camera_20_cm_off_is_named_and_nobody_else(n_cameras, direction):
    rig = rig_of(n_cameras)
    for culprit in rig.names[:2]:
        checking, told = check(rig, misplaced(rig, culprit, AXES[direction]))
        assert all(set(notes) <= {culprit} for _, notes in told)
        assert set(told[-1][1]) == {culprit}
        assert "does not stand where its calibration says" in told[-1][1][culprit]
        assert checking.wrong == {culprit}


@pytest.mark.parametrize("n_cameras", [2, 3, 4, 6])
def test_nobody_is_named_where_all_stand_right(n_cameras):
    rig = rig_of(n_cameras)
    assert not any(notes for _, notes in check(rig, rig)[1])


def test_of_two_cameras_both_are_told_to_disagree_and_none_is_left_out():
    rig = rig_of(2)
    checking, told = check(rig, misplaced(rig, rig.names[0], AXES["up"]))
    assert set(told[-1][1]) == set(rig.names)
    assert all("one of the two was moved" in note for note in told[-1][1].values())
    assert checking.wrong == frozenset()


@pytest.mark.parametrize("aside_m", [(1.0, 1.0, 0.0), (0.0, 0.3, 0.0)])
def test_a_camera_that_sees_somebody_else_for_a_second_is_not_called_moved(aside_m):
    rig = rig_of(4)

    def other(name, t_s, keypoints_px):
        if name != "left" or not 2.0 <= t_s < 3.0:
            return keypoints_px
        return rig["left"].project(truth_m(START_NS + round(t_s * 1e9), "demo") + np.array(aside_m))

    assert not any(notes for _, notes in check(rig, rig, 6.0, change=other)[1])


def test_a_camera_that_is_put_back_is_forgiven():
    rig = rig_of(4)
    bumped = misplaced(rig, "back", (-0.2, 0.0, 0.0))["back"]

    def view(name, t_s, keypoints_px):
        if name != "back" or t_s > 5.0:
            return keypoints_px
        return bumped.project(truth_m(START_NS + round(t_s * 1e9)))

    _, told = check(rig, rig, 10.0, change=view)
    assert any("back" in notes for _, notes in told)
    assert told[-1][1] == {}


def test_two_people_and_a_limb_that_is_always_wrong_do_not_hide_a_moved_camera():
    rig = rig_of(4)
    told = misplaced(rig, "right", AXES["up"])
    checking, delivered, rng = RigWatch(rig.names, schema.Drift()), DeliveredRig(told, {}), np.random.default_rng(0)
    for tick in range(0, 150, 3):
        now_ns = START_NS + round(tick * 1e9 / 30)
        joints_m = np.concatenate([truth_m(now_ns), truth_m(now_ns, "demo") + np.array([1.2, 0.5, 0.0])])
        keypoints_px = rig.project(joints_m) + rng.normal(0, NOISE_PX, (4, 2, 33, 2))
        keypoints_px[0, :, 15] += 150.0
        keypoints_px[1] = keypoints_px[1, ::-1]
        checking.take(now_ns, delivered, detected(told, keypoints_px), joints_m)
    assert set(checking.notes) == {"right"}


def test_nothing_raises_on_nobody_nan_and_absent_cameras():
    rig = rig_of(3)
    delivered, checking = DeliveredRig(rig, {}), RigWatch(rig.names, schema.Drift())
    nobody = np.full((3, 1, 33, 2), np.nan)
    lone = rig.project(truth_m(START_NS))
    lone[1:] = np.nan
    for tick in range(100):
        keypoints_px = (nobody, lone)[tick % 2]
        people_m = (np.full((1, 33, 3), np.nan), np.zeros((0, 33, 3)))[tick % 2]
        checking.take(START_NS + tick * 200 * MS, delivered, detected(rig, keypoints_px), people_m)
    assert checking.notes == {}


def test_fusion_leaves_it_out_says_why_and_calls_it_invalid():
    rig = rig_of(4)
    told = misplaced(rig, "back", AXES["sideways"])
    pipeline = FusionPipeline(told, rig.names, schema.Fusion(), MEDIAPIPE33)
    poses = [pose for message in stream(rig, 5.0, noise_px=NOISE_PX) for pose in pipeline.push(message)]
    assert "does not stand where its calibration says" in poses[-1].left_out["back"]
    assert len({person.id for pose in poses for person in pose.people}) == 1
    bit = 1 << rig.names.index("back")
    assert not (poses[-1].people[0].views & bit).any()
    health = pipeline.health(poses[-1].captured_ns)
    assert {name for name, camera in health.cameras.items() if not camera.valid} == {"back"}
    assert any(note.startswith("back: does not stand") for note in health.notes)
    error_m = np.linalg.norm(poses[-1].people[0].joints_m - truth_m(poses[-1].captured_ns)[0], axis=1)
    assert np.nanmean(error_m) < 0.02
