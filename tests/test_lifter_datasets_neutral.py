"""Neutral multi-view files: round trips, joint orders of others, what is optional, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lifter.datasets.errors import DatasetError
from lifter.datasets.joint_names import recognise, skeleton_of
from lifter.datasets.neutral import load_neutral, load_neutral_truth, save_neutral
from lifter.skeleton import BODY25, BODY25B, CMU22, COCO17, H36M17, HUMANEVA15, MEDIAPIPE33, MPII16, SKELETONS
from tests.multiview_files import actor_recording, assert_same, known, neutral_arrays, save

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
LIMB_NAMES = {"shoulder", "elbow", "wrist", "hip", "knee", "ankle"}


@pytest.mark.parametrize("skeleton", [H36M17, HUMANEVA15, MEDIAPIPE33], ids=lambda skeleton: skeleton.name)
def test_what_is_saved_comes_back(tmp_path, skeleton):
    recording = replace(actor_recording(skeleton), chunk=np.repeat([0, 1, 2], 4))
    save_neutral(recording, tmp_path / "walk.npz")
    (loaded,) = load_neutral(tmp_path / "walk.npz")
    assert_same(loaded, recording)
    assert loaded.name == "walk"
    assert loaded.fps == 30.0
    np.testing.assert_array_equal(loaded.action, recording.action)
    np.testing.assert_array_equal(loaded.chunk, recording.chunk)
    assert [path.name for path in tmp_path.iterdir()] == ["walk.npz"]


def test_absent_joints_and_a_missing_truth_survive_saving(tmp_path):
    good = actor_recording()
    confidence = good.confidence.copy()
    confidence[3, 1] = 0.0
    recording = replace(good, confidence=confidence, joints_m=None, fps=float("nan"))
    save_neutral(recording, tmp_path / "walk.npz")
    (loaded,) = load_neutral(tmp_path / "walk.npz")
    np.testing.assert_array_equal(loaded.keypoints_px, recording.keypoints_px)
    np.testing.assert_array_equal(loaded.confidence, recording.confidence)
    assert loaded.joints_m is None
    assert np.isnan(loaded.fps)
    with np.load(tmp_path / "walk.npz") as arrays:
        assert np.isnan(arrays["keypoints2d"][3, 1]).all(), "as the format has absent joints"
        assert arrays["dist"].shape == (3, 5)


def test_rational_distortion_survives_saving(tmp_path):
    recording = actor_recording()
    camera = recording.rig.cameras[0]
    lens = replace(camera, dist=np.arange(1, 9) / 100)
    recording = replace(recording, rig=replace(recording.rig, cameras=(lens, *recording.rig.cameras[1:])))
    save_neutral(recording, tmp_path / "walk.npz")
    assert_same(load_neutral(tmp_path / "walk.npz")[0], recording)


def test_a_file_by_the_table_loads(tmp_path):
    recording = actor_recording()
    (loaded,) = load_neutral(save(tmp_path / "a.npz", neutral_arrays(recording)))
    assert_same(loaded, recording)


@pytest.mark.parametrize("skeleton", [H36M17, HUMANEVA15, MEDIAPIPE33], ids=lambda skeleton: skeleton.name)
def test_another_joint_order_is_put_right(tmp_path, skeleton):
    recording = actor_recording(skeleton)
    arrays = neutral_arrays(recording)
    of_2d, of_3d = (np.random.default_rng(seed).permutation(len(skeleton.joints)) for seed in (1, 2))
    path = save(
        tmp_path / "a.npz",
        arrays,
        joints=arrays["joints"][of_2d],
        keypoints2d=arrays["keypoints2d"][..., of_2d, :],
        gt_joints=arrays["gt_joints"][of_3d],
        gt3d=arrays["gt3d"][..., of_3d, :],
    )
    assert_same(load_neutral(path)[0], recording)


PELVIS_TO_FEET = "RHip RKnee RFoot LHip LKnee LFoot"
ARMS = "LShoulder LElbow LWrist RShoulder RElbow RWrist"


@pytest.mark.parametrize(
    ("joints", "skeleton"),
    [
        (f"Hip {PELVIS_TO_FEET} Spine Thorax Neck/Nose Head {ARMS}", H36M17),
        (f"Pelvis {PELVIS_TO_FEET} Spine Thorax Nose Head {ARMS}", H36M17),
        (f"root {PELVIS_TO_FEET} torso neck nose head_top {ARMS}", H36M17),
        (f"root {PELVIS_TO_FEET} Spine Neck Head Site {ARMS}", H36M17),
        (
            "root rhip rkne rank lhip lkne lank belly neck nose head lsho lelb lwri rsho relb rwri",
            H36M17,
        ),
        (
            "pelvis r_hip r_knee r_ankle l_hip l_knee l_ankle spine thorax neck head l_shoulder l_elbow l_wrist "
            "r_shoulder r_elbow r_wrist",
            H36M17,
        ),
        (
            "root neck l_shoulder l_elbow l_wrist r_shoulder r_elbow r_wrist l_hip l_knee l_ankle r_hip r_knee r_ankle "
            "head",
            HUMANEVA15,
        ),
        (
            "torsoDistal torsoProximal upperLArmProximal upperLArmDistal lowerLArmDistal upperRArmProximal "
            "upperRArmDistal lowerRArmDistal upperLLegProximal upperLLegDistal lowerLLegDistal upperRLegProximal "
            "upperRLegDistal lowerRLegDistal headProximal",
            HUMANEVA15,
        ),
        (
            "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle REye "
            "LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
            BODY25,
        ),
        (
            "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle "
            "RAnkle UpperNeck HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
            BODY25B,
        ),
        (
            "rank rkne rhip lhip lkne lank pelvis thorax upper_neck head_top rwri relb rsho lsho lelb lwri",
            MPII16,
        ),
        (
            "r_ankle r_knee r_hip l_hip l_knee l_ankle root thorax neck head r_wrist r_elbow r_shoulder l_shoulder "
            "l_elbow l_wrist",
            MPII16,
        ),
        (
            "pelvis r_hip r_knee r_ankle r_toe l_hip l_knee l_ankle l_toe spine thorax neck head head_top l_shoulder "
            "l_elbow l_wrist l_hand r_shoulder r_elbow r_wrist r_hand",
            CMU22,
        ),
    ],
)
def test_joints_may_be_spelt_otherwise(joints, skeleton):
    """Each list is in the skeleton's own order, so every joint must be found at its own place."""
    assert recognise(joints.split()) == (skeleton, list(range(len(skeleton.joints))))


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_every_skeleton_is_known_by_its_own_names(skeleton):
    assert recognise(skeleton.joints) == (skeleton, list(range(len(skeleton.joints))))
    assert recognise(skeleton.joints[::-1])[0] == skeleton


def test_coco_may_have_feet_and_a_neck_besides():
    body_25b = [*COCO17.joints, "neck", "head", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe"]
    assert recognise(["neck", *COCO17.joints]) == (COCO17, list(range(1, 18)))
    assert recognise(body_25b)[0] == COCO17


def test_of_any_joints_a_skeleton_can_be_made():
    shelf = "Right-Ankle Right-Knee Right-Hip Left-Hip Left-Knee Left-Ankle Right-Wrist Right-Elbow Right-Shoulder "
    shelf += "Left-Shoulder Left-Elbow Left-Wrist Bottom-Head Top-Head"
    skeleton, order = skeleton_of([*shelf.split(), "膝", "tail", "Tail"])
    assert order == list(range(17))
    assert skeleton.joints[-5:] == ("upper_neck", "head_top", "膝", "tail", "tail_16")
    assert (skeleton.index("right_knee"), skeleton.index("right_ankle")) in skeleton.bones
    assert skeleton_of(COCO17.joints[::-1]) == (COCO17, list(range(17))[::-1])
    assert skeleton_of([*COCO17.joints, "neck"])[0].joints == (*COCO17.joints, "neck"), "nothing is left out"


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (["left_hip", "nose", *"abcd"], r"of its 6 joints \(left_hip, nose, a, b, c, …\) 1 are known limb joints, and"),
        ([*COCO17.joints, "LHip"], "two joints are the same: LHip, left_hip"),
    ],
)
def test_joints_of_nobody_are_refused(joints, message):
    with pytest.raises(DatasetError, match=message):
        skeleton_of(joints)


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        ([*H36M17.joints[:-1], "tail"], "of no known skeleton .*h36m17.*nearest, h36m17, it lacks right_wrist, .*tail"),
        (H36M17.joints[:-1], "its 16 joints .*lacks right_wrist, and has besides none"),
        (["corner0", "corner1"], "has besides corner0, corner1"),
        (["left_hip", "l_hip", "nose"], "two joints are the same: l_hip, left_hip"),
        ([f"joint{i}" for i in range(17)], "its 17 joints"),
    ],
)
def test_unknown_joints_are_named(tmp_path, joints, message):
    arrays = neutral_arrays(actor_recording())
    keypoints = np.zeros((12, 3, 1, len(joints), 3))
    with pytest.raises(DatasetError, match=f"a.npz: .*{message}"):
        load_neutral(save(tmp_path / "a.npz", arrays, joints=np.array(joints), keypoints2d=keypoints))


def test_a_truth_of_fewer_joints_is_unknown_elsewhere(tmp_path):
    recording = actor_recording()
    arrays = neutral_arrays(recording)
    few = [12, 3, 5]
    path = save(tmp_path / "a.npz", arrays, gt_joints=arrays["gt_joints"][few], gt3d=arrays["gt3d"][:, :, few])
    (loaded,) = load_neutral(path)
    np.testing.assert_array_equal(known(loaded.joints_m)[:, few], known(recording.joints_m)[:, few])
    assert np.isnan(np.delete(known(loaded.joints_m), few, axis=1)).all()


def test_of_another_skeletons_truth_only_joints_of_the_same_place_are_taken(tmp_path):
    """Human3.6M's neck and head are not where HumanEva's and others' are."""
    recording, other = actor_recording(HUMANEVA15), actor_recording(H36M17)
    path = save(
        tmp_path / "a.npz", neutral_arrays(recording), gt_joints=np.array(H36M17.joints), gt3d=other.joints_m[:, None]
    )
    (loaded,) = load_neutral(path)
    has = np.isfinite(known(loaded.joints_m)).all((0, 2))
    joints = {joint.split("_")[-1] for joint, there in zip(HUMANEVA15.joints, has, strict=True) if there}
    assert joints == LIMB_NAMES | {"pelvis"}
    place = HUMANEVA15.index("left_wrist"), H36M17.index("left_wrist")
    np.testing.assert_array_equal(known(loaded.joints_m)[:, place[0]], other.joints_m[:, place[1]])


def test_labels_rate_and_truth_are_optional(tmp_path):
    arrays = neutral_arrays(actor_recording())
    (loaded,) = load_neutral(save(tmp_path / "a.npz", arrays, gt3d=None, gt_joints=None, fps=None, meta=None))
    assert loaded.joints_m is None
    assert np.isnan(loaded.fps)
    assert set(loaded.action) == {""}
    assert (loaded.chunk == 0).all()


def test_chunks_are_as_given_or_follow_actions_and_frame_numbers(tmp_path):
    arrays = neutral_arrays(actor_recording())
    action = np.array(["Walking"] * 6 + ["Boxing"] * 6)

    def chunks(**changes):
        return load_neutral(save(tmp_path / "a.npz", arrays, **changes))[0].chunk.tolist()

    assert chunks(action=action) == [0] * 6 + [1] * 6
    assert chunks(frames=np.r_[0:40:5, 100:120:5]) == [0] * 8 + [1] * 4
    assert chunks(chunk=np.array([3, 3, 8, 8, 8, 8, 3, 3, 3, 3, 3, 3])) == [0] * 2 + [1] * 4 + [2] * 6
    assert chunks(chunk=np.repeat(["Walking 1 chunk0", "Walking 1 chunk1"], 6), action=action) == [0] * 6 + [1] * 6
    assert chunks(chunk=np.zeros(12, int), frames=np.r_[0:8, 20:24]) == [0] * 12, "what the file says counts"


def test_several_people_become_several_recordings(tmp_path):
    one, other = actor_recording(), actor_recording(noise_px=3.0)
    arrays = neutral_arrays(one)
    both = np.concatenate([arrays["keypoints2d"], neutral_arrays(other)["keypoints2d"]], axis=2)
    path = save(tmp_path / "a.npz", arrays, keypoints2d=both, gt3d=np.repeat(arrays["gt3d"], 2, axis=1))
    first, second = load_neutral(path)
    assert (first.name, second.name) == ("a/person1", "a/person2")
    assert_same(first, one)
    assert_same(second, other)


def test_mere_detections_of_several_people_are_refused(tmp_path):
    arrays = neutral_arrays(actor_recording())
    two = np.repeat(arrays["keypoints2d"], 2, axis=2)
    path = save(tmp_path / "a.npz", arrays, keypoints2d=two, person_id_2d=False)
    with pytest.raises(DatasetError, match=r"its 2 slots are detections, not people \(person_id_2d is false\)"):
        load_neutral(path)
    assert len(load_neutral_truth(path)) == 1, "the truth needs nobody to be told apart"
    one = save(tmp_path / "b.npz", arrays, person_id_2d=False)
    assert len(load_neutral(one)) == 1, "neither does a single slot"


def test_the_projected_truth_needs_no_detections(tmp_path):
    recording = actor_recording()
    (loaded,) = load_neutral_truth(
        save(tmp_path / "a.npz", neutral_arrays(recording), keypoints2d=None, joints=None, person_id_2d=None)
    )
    assert_same(loaded, replace(recording, confidence=np.ones_like(recording.confidence)), atol=1e-3)
    arrays = neutral_arrays(recording)
    with pytest.raises(DatasetError, match=r"no truth to project.*set `keypoints: detected`"):
        load_neutral_truth(save(tmp_path / "b.npz", arrays, gt3d=None))
    with pytest.raises(DatasetError, match="there is no array 'keypoints2d'"):
        load_neutral(save(tmp_path / "c.npz", arrays, keypoints2d=None))


def test_one_camera_is_a_rig(tmp_path):
    recording = actor_recording(n_cameras=1)
    (loaded,) = load_neutral(save(tmp_path / "a.npz", neutral_arrays(recording)))
    assert_same(loaded, recording)


def test_nan_and_confidences_beyond_one_are_taken(tmp_path):
    arrays = neutral_arrays(actor_recording())
    keypoints = arrays["keypoints2d"].copy()
    keypoints[0, 0] = np.nan
    keypoints[1, 1, 0, 2, 2] = 1.07
    keypoints[2, 2, 0, 3] = 0.0
    (loaded,) = load_neutral(save(tmp_path / "a.npz", arrays, keypoints2d=keypoints))
    assert (loaded.confidence[0, 0] == 0).all()
    assert loaded.confidence[1, 1, 2] == 1.0
    assert np.isnan(loaded.keypoints_px[2, 2, 3]).all(), "confidence 0 is absent, wherever it claims to be"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": None}, "there is no array 'K'"),
        ({"K": np.eye(3)[None]}, "K has the shape .*`cameras` names 3"),
        ({"R": np.tile(2 * np.eye(3), (3, 1, 1))}, "camera 'cam_0': its rotation is not a rotation"),
        ({"cameras": np.array(["a", "a", "b"])}, "two cameras are called 'a'"),
        ({"keypoints2d": np.zeros((12, 3, 17, 3))}, "keypoints2d has the shape .*5 axes"),
        ({"keypoints2d": np.zeros((12, 2, 1, 17, 3))}, "keypoints2d is of 2 cameras and 17 joints"),
        ({"keypoints2d": np.zeros((12, 3, 1, 16, 3))}, "keypoints2d is of 3 cameras and 16 joints"),
        ({"gt3d": np.zeros((11, 1, 17, 3))}, "gt3d has 11 frames .*must be 12"),
        ({"gt3d": np.zeros((12, 1, 16, 3))}, "gt3d has 12 frames of 16 joints"),
        ({"gt3d": np.zeros((12, 2, 17, 3))}, "keypoints2d has 1 people and gt3d 2"),
        ({"gt_joints": None}, "there is no array 'gt_joints'"),
        ({"gt_joints": np.array([f"marker{i}" for i in range(17)])}, "none is a joint of h36m17"),
        ({"action": np.array(["Walking"] * 5)}, r"action has the shape \(5,\)"),
        ({"joints": np.array(H36M17.joints, dtype=object)}, "pickles are not read"),
    ],
)
def test_faults_name_file_and_array(tmp_path, changes, message):
    path = save(tmp_path / "a.npz", neutral_arrays(actor_recording()), **changes)
    with pytest.raises(DatasetError, match=f"a.npz: .*{message}"):
        load_neutral(path)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "flipped", "npy"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = save(tmp_path / "a.npz", neutral_arrays(actor_recording()))
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "cut": whole[:middle],
            "text": b"this is no archive",
            "empty": b"",
            "flipped": whole[:middle]
            + bytes(255 - byte for byte in whole[middle : middle + 400])
            + whole[middle + 400 :],
            "npy": b"",
        }[damage]
    )
    if damage == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    with pytest.raises(DatasetError, match=r"a.npz: "):
        load_neutral(path)
    with pytest.raises(DatasetError, match=r"b.npz does not exist"):
        load_neutral(tmp_path / "b.npz")


def _shared(name):
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the project")
    return path


@pytest.mark.shared
def test_a_session_of_caliscope_loads_as_mediapipe():
    (recording,) = load_neutral(_shared("caliscope/caliscope_4cam_mediapipe.npz"))
    assert recording.skeleton == MEDIAPIPE33
    assert recording.keypoints_px.shape == (267, 4, 33, 2)
    assert recording.joints_m is None
    assert recording.fps == pytest.approx(30.37, abs=0.01)
    assert 0.5 < (recording.confidence > 0).mean() < 1


@pytest.mark.shared
def test_openpose_of_pose2sim_loads_as_body25b_and_its_truth_projects_near_it():
    path = _shared("pose2sim/pose2sim_single.npz")
    (detected,), (truth,) = load_neutral(path), load_neutral_truth(path)
    assert detected.skeleton == truth.skeleton == BODY25B
    apart_px = np.linalg.norm(detected.keypoints_px - truth.keypoints_px, axis=-1)
    assert np.nanmedian(apart_px[..., BODY25B.limb_indices()]) < 15, "the supplied calibration fits to about 10 px"
    assert np.isnan(known(truth.joints_m)[:, BODY25B.index("left_ear")]).all()


@pytest.mark.shared
def test_detections_of_two_people_are_refused_and_corners_are_no_person():
    with pytest.raises(DatasetError, match="its 4 slots are detections"):
        load_neutral(_shared("pose2sim/pose2sim_two.npz"))
    assert [recording.name for recording in load_neutral_truth(_shared("pose2sim/pose2sim_two.npz"))] == [
        "pose2sim_two/person1",
        "pose2sim_two/person2",
    ]
    with pytest.raises(DatasetError, match="corner0"):
        load_neutral(_shared("caliscope/charuco_session_a.npz"))
