"""The lifter without torch: what it computes, and what it refuses."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="tiny networks are made with the onnx package (the extra `train`)")
pytest.importorskip("onnxruntime", reason="the lifter runs on ONNX Runtime (the extra `fusion`)")

from lifter import runtime
from lifter.derive import derive, derive_known
from lifter.errors import LifterError
from lifter.normalise import normalise
from lifter.onnx_file import FORMAT, sealed
from lifter.skeleton import BODY17, COCO17, MEDIAPIPE33, Skeleton
from tests.lifter_weights import AWAY_M, UP, S, W, card, poses, tiny_network, write_weights


@pytest.fixture
def weights(tmp_path):
    """Writes a weight file; returns its path."""
    return partial(write_weights, tmp_path)


@pytest.fixture
def frame(weights):
    return runtime.load(weights())


@pytest.fixture
def sequence(weights):
    return runtime.load(weights(kind="sequence"))


def test_results_are_turned_from_the_virtual_camera_into_each_rows_own(frame):
    rays, confidence = poses(5)
    lifts = frame.lift(rays, confidence, UP)
    views = normalise(rays, confidence, UP)
    for i in range(5):
        np.testing.assert_allclose(lifts.joints_cam_m[i], 2 * views.keypoints[i] @ views.R_cam_view[i].T, atol=1e-6)
        np.testing.assert_allclose(lifts.root_cam_m[i], views.R_cam_view[i] @ (views.context[i] + AWAY_M), atol=1e-6)
    np.testing.assert_allclose(lifts.sigma_m, confidence + 1, atol=1e-6)
    assert lifts.valid.all()


def test_a_view_without_anybody_is_invalid_and_changes_no_other(frame):
    rays, confidence = poses(6)
    whole = frame.lift(rays, confidence, UP)
    rays[1] = np.nan  # nobody
    confidence[2] = 0.0  # nobody, told the other way
    confidence[3, 3:] = np.nan  # too few joints
    rays[4] = np.inf
    lifts = frame.lift(rays, confidence, UP)
    assert lifts.valid.tolist() == [True, False, False, False, False, True]
    for name in ("joints_cam_m", "sigma_m", "root_cam_m"):
        found = getattr(lifts, name)
        assert np.isnan(found[1:5]).all()
        np.testing.assert_array_equal(found[[0, 5]], getattr(whole, name)[[0, 5]])


def test_absent_joints_leave_the_others_in_their_row_lifted(frame):
    rays, confidence = poses(2)
    rays[0, 4:9] = np.nan
    lifts = frame.lift(rays, confidence, UP)
    assert lifts.valid.all()
    assert np.isfinite(lifts.joints_cam_m).all()


def test_a_row_is_lifted_alike_alone_and_among_others_in_any_order(frame):
    rays, confidence = poses(9)
    up = np.random.default_rng(1).normal(size=(9, 3))
    together = frame.lift(rays, confidence, up).joints_cam_m
    order = np.random.default_rng(2).permutation(9)
    np.testing.assert_allclose(
        frame.lift(rays[order], confidence[order], up[order]).joints_cam_m, together[order], atol=1e-6
    )
    for i in range(9):
        alone = frame.lift(rays[i : i + 1], confidence[i : i + 1], up[i]).joints_cam_m
        np.testing.assert_allclose(alone, together[i : i + 1], atol=1e-6)


def test_any_number_of_rows_does_none_and_more_than_an_engine_takes_included(frame, sequence):
    none = frame.lift(np.zeros((0, 17, 2)), np.zeros((0, 17)))
    assert none.joints_cam_m.shape == (0, 17, 3)
    assert none.sigma_m.shape == (0, 17)
    assert none.valid.shape == (0,)
    rays, confidence = poses(600)
    many = frame.lift(rays, confidence, UP)
    np.testing.assert_allclose(
        many.joints_cam_m[500:], frame.lift(rays[500:], confidence[500:], UP).joints_cam_m, atol=1e-6
    )
    lifts, state = sequence.lift_stream(rays, confidence, UP, sequence.start(600))
    assert lifts.valid.all()
    assert state.shape == (600, S, W)


def test_a_stream_remembers_and_a_row_set_to_zero_begins_anew(sequence):
    rays, confidence = poses(2)
    state = sequence.start(2)
    roots = []
    for _ in range(4):
        lifts, state = sequence.lift_stream(rays, confidence, UP, state)
        roots.append(lifts.root_cam_m)
    assert not np.allclose(roots[0], roots[1])
    state[0] = 0.0
    lifts, _ = sequence.lift_stream(rays, confidence, UP, state)
    np.testing.assert_allclose(lifts.root_cam_m[0], roots[0][0], atol=1e-6)
    assert not np.allclose(lifts.root_cam_m[1], roots[0][1])


def test_a_gap_leaves_a_streams_state_as_it_was_and_the_given_state_is_not_changed(sequence):
    rays, confidence = poses(3)
    _, before = sequence.lift_stream(rays, confidence, UP, sequence.start(3))
    kept = before.copy()
    rays[1] = np.nan
    lifts, after = sequence.lift_stream(rays, confidence, UP, before)
    assert lifts.valid.tolist() == [True, False, True]
    np.testing.assert_array_equal(after[1], kept[1])
    assert not np.array_equal(after[0], kept[0])
    np.testing.assert_array_equal(before, kept)


def test_a_network_that_gives_no_numbers_makes_its_row_invalid(sequence):
    rays, confidence = poses(2)
    state = sequence.start(2)
    state[0] = np.nan
    lifts, after = sequence.lift_stream(rays, confidence, UP, state)
    assert lifts.valid.tolist() == [False, True]
    assert np.isnan(lifts.joints_cam_m[0]).all()
    assert np.isfinite(after[1]).all()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((np.zeros((4, 33, 2)), np.zeros((4, 33))), r"rays .*\(4, 33, 2\).*\(N, 17, 2\).*body17 has 17 joints"),
        ((np.zeros((17, 2)), np.zeros(17)), r"rays .*\(17, 2\)"),
        ((np.zeros((4, 17, 3)), np.zeros((4, 17))), r"rays .*\(4, 17, 3\)"),
        ((np.zeros((4, 17, 2)), np.zeros(17)), r"confidence .*\(17,\).*\(4, 17\)"),
        ((np.zeros((4, 17, 2)), np.zeros((4, 17)), np.zeros((3, 3))), r"up_cam .*\(3, 3\).*\(4, 3\)"),
        ((np.zeros((4, 17, 2)), np.zeros((4, 17)), np.zeros(2)), r"up_cam .*\(2,\)"),
    ],
)
def test_other_shapes_are_refused_with_both(frame, arguments, told):
    with pytest.raises(LifterError, match=told):
        frame.lift(*arguments)


def test_pixels_in_place_of_rays_are_refused_with_the_call_that_makes_rays(frame, sequence):
    rays, confidence = poses(3)
    keypoints_px = 900.0 * rays + [640.0, 360.0]
    keypoints_px[:, 3] = np.nan
    told = r"rays of more than 30 look like pixels: give calibration\.pinhole\.undistort\(K, dist8, keypoints_px\)"
    with pytest.raises(LifterError, match=told):
        frame.lift(keypoints_px, confidence, UP)
    with pytest.raises(LifterError, match=told):
        sequence.lift_stream(keypoints_px, confidence, UP, sequence.start(3))


def test_one_joint_where_undistorting_went_astray_does_not_stop_the_others(frame):
    rays, confidence = poses(3)
    whole = frame.lift(rays, confidence, UP)
    rays[1, 5] = 713.0
    np.testing.assert_array_equal(frame.lift(rays, confidence, UP).joints_cam_m[[0, 2]], whole.joints_cam_m[[0, 2]])


@pytest.mark.filterwarnings("error")
def test_a_percentage_is_refused_as_confidence_and_a_little_above_1_is_1(frame):
    rays, confidence = poses(3)
    confidence[0] = np.nan
    confidence[1] = 1.05
    rays[0] = np.nan
    np.testing.assert_allclose(frame.lift(rays, confidence, UP).sigma_m[1], 2.0, atol=1e-6)
    confidence[2, 4] = 90.0
    with pytest.raises(LifterError, match="confidence is 90; it is 0 to 1"):
        frame.lift(rays, confidence, UP)


def test_nothing_but_absent_joints_is_lifted_to_nothing_without_a_warning(frame, recwarn):
    lifts = frame.lift(np.full((2, 17, 2), np.nan), np.full((2, 17), np.nan), UP)
    assert not lifts.valid.any()
    assert not recwarn.list


def test_a_root_behind_the_camera_makes_its_row_invalid(sequence):
    rays, confidence = poses(2)
    state = sequence.start(2)
    state[0] = -20.0  # the tiny network adds its mean to the root, 9 m away
    lifts, after = sequence.lift_stream(rays, confidence, UP, state)
    assert lifts.valid.tolist() == [False, True]
    assert np.isnan(lifts.root_cam_m[0]).all()
    np.testing.assert_array_equal(after[0], state[0])


def test_a_state_of_other_streams_is_refused(sequence):
    with pytest.raises(LifterError, match=r"state .*\(3, 3, 4\).*\(2, 3, 4\).*start\(2\)"):
        sequence.lift_stream(*poses(2), UP, sequence.start(3))


def test_each_kind_tells_the_call_of_the_other(frame, sequence):
    with pytest.raises(LifterError, match=r"frame model: use lift\("):
        frame.start(1)
    with pytest.raises(LifterError, match=r"frame model: use lift\("):
        frame.lift_stream(*poses(1), UP, np.zeros((1, S, W), np.float32))
    with pytest.raises(LifterError, match=r"sequence model: use lift_stream\("):
        sequence.lift(*poses(1), UP)


def test_poses_of_another_skeleton_are_derived_when_they_can_be(weights, frame):
    lifter = runtime.load(weights(), skeleton=MEDIAPIPE33)
    rays, confidence = poses(4, 33)
    assert (lifter.given, lifter.skeleton) == (MEDIAPIPE33, BODY17)
    expected = frame.lift(*derive(rays, confidence, MEDIAPIPE33, BODY17), UP)
    np.testing.assert_array_equal(lifter.lift(rays, confidence, UP).joints_cam_m, expected.joints_cam_m)
    assert runtime.load(weights(), skeleton=COCO17).lift(*poses(2, 17), UP).valid.all()
    with pytest.raises(LifterError, match="mediapipe33 has 33 joints"):
        lifter.lift(*poses(4, 17))


def test_limb_joints_that_a_detector_lacks_are_lifted_unseen(weights, frame):
    upper = Skeleton(
        "upper9", ("nose", *(j for j in BODY17.joints if j.endswith(("shoulder", "elbow", "wrist", "hip")))), ()
    )
    rays, confidence = poses(3, len(upper.joints))
    lifts = runtime.load(weights(), skeleton=upper).lift(rays, confidence, UP)
    assert lifts.valid.all()
    assert np.isfinite(lifts.joints_cam_m).all()
    as_body17, sure = derive_known(rays, confidence, upper, BODY17)
    np.testing.assert_array_equal(lifts.joints_cam_m, frame.lift(as_body17, sure, UP).joints_cam_m)


def test_a_skeleton_with_too_few_limb_joints_is_refused_with_both_names_and_what_it_lacks(weights):
    hands = Skeleton("arms5", ("nose", "left_wrist", "right_wrist", "left_elbow", "right_elbow", "left_shoulder"), ())
    with pytest.raises(LifterError, match=r"body17.*arms5.*5 of its 12 limb joints.*6 are needed.*right_shoulder"):
        runtime.load(weights(), skeleton=hands)


def test_a_missing_file_is_told_with_what_there_is(tmp_path):
    with pytest.raises(LifterError, match=r"no\.onnx does not exist.*lifter\.export"):
        runtime.load(tmp_path / "no.onnx")
    with pytest.raises(LifterError, match="cannot be read"):
        runtime.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 1000, b"PK\x03\x04" * 40])
def test_a_file_that_is_no_model_is_refused(weights, content):
    with pytest.raises(LifterError, match="damaged or is no ONNX file"):
        runtime.load(weights(content))


def test_a_file_cut_off_anywhere_is_refused(weights):
    whole = sealed(tiny_network())
    for length in range(1, len(whole), 7):
        with pytest.raises(LifterError):
            runtime.load(weights(whole[:length]))


def test_a_flipped_bit_in_the_weights_is_noticed(weights):
    whole = bytearray(sealed(tiny_network()))
    place = whole.find(np.float32(2).tobytes())
    whole[place + 2] ^= 0x40
    with pytest.raises(LifterError, match="checksum"):
        runtime.load(weights(bytes(whole)))


def test_a_flipped_byte_anywhere_in_the_card_is_told_as_damage_or_another_file(weights):
    whole = sealed(tiny_network())
    first = min(whole.find(key.encode()) for key in card().properties())
    for place in range(first, len(whole), 3):
        for flip in (0x04, 0x80):
            flipped = bytearray(whole)
            flipped[place] ^= flip
            with pytest.raises(LifterError):
                runtime.load(weights(bytes(flipped)))


@pytest.mark.parametrize("entry", ["kind", "skeleton", "joints", "model", "data", "way", "commit", "metrics"])
def test_an_entry_of_the_card_that_is_no_json_is_told_with_its_name(weights, entry):
    with pytest.raises(LifterError, match=rf"is damaged: its metadata do not say {entry}\."):
        runtime.load(weights(properties=card().properties() | {entry: "{"}))


@pytest.mark.parametrize("properties", [{}, {"format": "yolo-9"}, {"format": '"yolo-9"'}, {"format": "3"}])
def test_a_model_of_another_program_is_refused(weights, properties):
    with pytest.raises(LifterError, match=r"another program.*lifter\.export"):
        runtime.load(weights(properties=properties))


def test_another_version_of_the_format_is_refused_with_both(weights):
    later = card().properties() | {"format": '"livepose3d-lifter-2"'}
    with pytest.raises(LifterError, match=f"livepose3d-lifter-2.*{FORMAT}.*update"):
        runtime.load(weights(properties=later))


def test_a_card_that_lacks_an_entry_is_refused_with_its_name(weights):
    properties = card().properties()
    del properties["way"]
    with pytest.raises(LifterError, match="lacks way"):
        runtime.load(weights(properties=properties))


@pytest.mark.parametrize("changes", [{"skeleton": "horse20"}, {"joints": BODY17.joints[::-1]}])
def test_an_unknown_skeleton_or_another_joint_order_is_refused(weights, changes):
    with pytest.raises(LifterError, match=r"is for the skeleton.*mediapipe33"):
        runtime.load(weights(properties=card(**changes).properties()))


def test_the_card_is_read_as_it_was_written(sequence):
    assert sequence.card == card("sequence")


def test_neither_torch_nor_onnx_is_loaded_to_lift(weights):
    program = (
        "import sys, numpy as np\n"
        "from lifter.runtime import load\n"
        f"lifter = load({str(weights())!r})\n"
        "assert lifter.lift(np.random.default_rng(0).normal(size=(2, 17, 2)), np.ones((2, 17))).valid.all()\n"
        "print([name for name in ('torch', 'onnx', 'onnxscript', 'pydantic', 'cv2') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(runtime.__file__).parents[1],
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
