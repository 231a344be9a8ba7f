"""Recordings: what they refuse, and what selecting frames, cameras and joints leaves of them."""

from dataclasses import replace

import numpy as np
import pytest

from lifter.datasets.errors import DatasetError
from lifter.datasets.recording import projected
from lifter.derive import DeriveError
from lifter.skeleton import BODY17, COCO17, H36M17, HUMANEVA15, MEDIAPIPE33
from tests.multiview_files import actor_recording, known


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("keypoints_px", np.zeros((12, 2, 17, 2)), r"keypoints_px has the shape \(12, 2, 17, 2\).*\(12, 3, 17, 2\)"),
        ("keypoints_px", np.zeros((12, 3, 15, 2)), "17 joints of h36m17"),
        ("keypoints_px", np.zeros((12, 17, 2)), r"frames × cameras × joints × 2, got \(12, 17, 2\)"),
        ("confidence", np.zeros((12, 3)), "confidence has the shape"),
        ("confidence", np.full((12, 3, 17), 1.5), "a confidence is 1.5; it is 0 to 1"),
        ("joints_m", np.zeros((11, 17, 3)), "joints_m has the shape"),
        ("action", np.array(["Walking"]), "action has the shape"),
        ("chunk", np.zeros(3), "chunk has the shape"),
        ("chunk", np.arange(12) % 2, "a chunk's frames do not follow each other"),
    ],
)
def test_what_does_not_belong_together_is_refused(field, value, message):
    with pytest.raises(DatasetError, match=f"actor: .*{message}"):
        replace(actor_recording(), **{field: value})


def test_what_is_half_absent_is_wholly_absent():
    good = actor_recording()
    keypoints, confidence, joints_m = good.keypoints_px.copy(), good.confidence.copy(), good.joints_m.copy()
    keypoints[0, 0, 0, 1] = np.nan
    confidence[1, 1, 1] = 0.0
    confidence[2, 2, 2] = np.nan
    joints_m[3, 4, 2] = np.inf
    recording = replace(good, keypoints_px=keypoints, confidence=confidence, joints_m=joints_m)
    for place in ((0, 0, 0), (1, 1, 1), (2, 2, 2)):
        assert np.isnan(recording.keypoints_px[place]).all()
        assert recording.confidence[place] == 0.0
    assert np.isnan(recording.joints_m[3, 4]).all()
    assert np.isnan(recording.keypoints_px).sum() == 6
    assert np.isnan(recording.joints_m).sum() == 3
    assert np.isfinite(good.keypoints_px).all(), "the arrays of others are not written to"


def test_frames_that_are_left_out_end_a_chunk():
    recording = replace(actor_recording(), chunk=np.repeat([4, 9], 6))
    mask = np.ones(12, bool)
    mask[[0, 3]] = False
    some = recording.frames(mask)
    np.testing.assert_array_equal(some.chunk, [0, 0, 1, 1, *[2] * 6])
    np.testing.assert_array_equal(some.joints_m, recording.joints_m[mask])
    np.testing.assert_array_equal(some.action, recording.action[mask])
    assert some.fps == 30.0
    assert len(recording.frames(np.zeros(12, bool)).chunk) == 0


@pytest.mark.parametrize("mask", [np.ones(11, bool), np.arange(12), slice(3)])
def test_frames_are_chosen_by_one_boolean_each(mask):
    with pytest.raises(DatasetError, match="frames wants 12 booleans"):
        actor_recording().frames(mask)


def test_every_nth_frame_begins_anew_in_each_chunk():
    recording = replace(actor_recording(), chunk=np.repeat([7, 2], [5, 7]))
    third = recording.every(3)
    np.testing.assert_array_equal(third.keypoints_px, recording.keypoints_px[[0, 3, 5, 8, 11]])
    np.testing.assert_array_equal(third.chunk, [7, 7, 2, 2, 2])
    assert third.fps == pytest.approx(10.0)
    assert len(recording.every(100).chunk) == 2
    with pytest.raises(DatasetError, match="at least 1, got 0"):
        recording.every(0)


def test_cameras_are_chosen_by_name_in_the_order_asked_for():
    recording = actor_recording()
    two = recording.select_cameras(["cam_2", "cam_0"])
    assert two.rig.names == ("cam_2", "cam_0")
    np.testing.assert_array_equal(two.keypoints_px, recording.keypoints_px[:, [2, 0]])
    np.testing.assert_array_equal(two.confidence, recording.confidence[:, [2, 0]])
    with pytest.raises(DatasetError, match="actor: no camera 'left' in the calibration; it has cam_0, cam_1, cam_2"):
        recording.select_cameras(["left"])


def test_another_skeleton_takes_2d_and_truth_along():
    recording = actor_recording(MEDIAPIPE33)
    body = recording.as_skeleton(BODY17)
    hips = [MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]
    np.testing.assert_allclose(body.joints_m[:, 0], recording.joints_m[:, hips].mean(1), atol=1e-6)
    knee = BODY17.index("left_knee"), MEDIAPIPE33.index("left_knee")
    np.testing.assert_array_equal(body.keypoints_px[:, :, knee[0]], recording.keypoints_px[:, :, knee[1]])
    assert body.as_skeleton(BODY17) is body


def test_what_another_skeleton_has_besides_is_absent():
    coco = actor_recording(H36M17).as_skeleton(COCO17)
    assert np.isnan(coco.joints_m[:, COCO17.index("nose")]).all()
    assert (coco.confidence[:, :, COCO17.index("nose")] == 0).all()
    assert np.isfinite(coco.joints_m[:, COCO17.limb_indices()]).all()


def test_the_truth_projects_to_where_the_cameras_see_it():
    noisy = actor_recording(noise_px=5.0)
    clean = projected(noisy)
    np.testing.assert_allclose(clean.keypoints_px, actor_recording().keypoints_px, atol=1e-3)
    assert (clean.confidence == 1.0).all()
    np.testing.assert_array_equal(known(clean.joints_m), known(noisy.joints_m))


def test_unknown_truth_projects_to_absent_joints():
    recording = actor_recording()
    joints_m = recording.joints_m.copy()
    joints_m[2, 5] = np.nan
    joints_m[3, 6] = 2 * recording.rig.cameras[1].T_world_cam[:3, 3]  # behind that camera
    clean = projected(replace(recording, joints_m=joints_m))
    assert np.isnan(clean.keypoints_px[2, :, 5]).all()
    assert (clean.confidence[2, :, 5] == 0).all()
    assert np.isnan(clean.keypoints_px[3, 1, 6]).all()
    assert np.isfinite(clean.keypoints_px[3, 2, 6]).all()


@pytest.mark.parametrize("joints_m", [None, np.full((12, 17, 3), np.nan)])
def test_without_truth_nothing_projects(joints_m):
    with pytest.raises(DatasetError, match="no 3D truth to project; set `keypoints: detected`"):
        projected(replace(actor_recording(), joints_m=joints_m))


def test_a_skeleton_that_cannot_be_had_is_refused():
    legless = replace(actor_recording(HUMANEVA15).skeleton, name="legless", joints=HUMANEVA15.joints[:8], bones=())
    recording = actor_recording(HUMANEVA15)
    top = replace(
        recording,
        skeleton=legless,
        keypoints_px=recording.keypoints_px[:, :, :8],
        confidence=recording.confidence[:, :, :8],
        joints_m=None,
    )
    with pytest.raises(DeriveError, match=r"legless, which has no .*left_knee"):
        top.as_skeleton(COCO17)
