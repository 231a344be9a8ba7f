import numpy as np
import pytest

from calibration import rigid
from configs.training import Bodies, Faults, Motion, Rigs
from lifter.datasets.bodies import _random_turns, vary
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion import MotionSource, observe
from lifter.datasets.motion_file import Clip, read_clips
from lifter.skeleton import BODY17, BODY25B, COCO17, MEDIAPIPE33, SKELETONS
from tests.lifter_data import body17_motion_m, write_motion_file

AS_THEY_ARE = Bodies(stature=0, bones=0, mirrored=0, legs_of_another=0, arms_of_another=0, tilted=0)


def a_clip(frames=40):
    return Clip("s/1", "s", "walk", 30.0, body17_motion_m("walk", frames).astype(np.float32))


def test_the_cameras_see_the_truth_from_where_they_are_said_to_be():
    """What the batch says of cameras, rays and truth belongs together: rays through all joints meet there."""
    joints_m = body17_motion_m("walk", 6)[None]
    batch = observe(joints_m, BODY17, Rigs(), Faults(noise_px=(0, 0)), np.random.default_rng(0))
    from_cam = joints_m[:, None] - batch.centre_m[:, :, None, None]
    in_cam = np.einsum("bcij,bclkj->bclki", batch.R_cam_world, from_cam)
    np.testing.assert_allclose(in_cam[..., :2] / in_cam[..., 2:], batch.rays, atol=1e-5)


def test_the_network_input_turned_back_is_what_the_camera_saw():
    joints_m = body17_motion_m("reach", 3)[None]
    batch = observe(joints_m, BODY17, Rigs(), Faults(noise_px=(0, 0)), np.random.default_rng(1))
    view = batch.keypoints[..., :2] * np.exp(batch.context[..., None, :1])
    homogeneous = np.concatenate([view, np.ones((*view.shape[:-1], 1))], axis=-1)
    world = np.einsum("bclij,bclkj->bclki", batch.R_world_view, homogeneous)
    towards = joints_m[:, None] - batch.centre_m[:, :, None, None]
    cosine = (world * towards).sum(-1) / np.linalg.norm(world, axis=-1) / np.linalg.norm(towards, axis=-1)
    assert cosine.min() > 1 - 1e-6


def test_noise_has_the_size_that_was_asked_for():
    joints_m = body17_motion_m("walk", 30)[None].repeat(20, 0)
    rigs = Rigs(focal_px=1000.0)
    clean, noisy = (observe(joints_m, BODY17, rigs, Faults(noise_px=(s, s)), np.random.default_rng(2)) for s in (0, 3))
    assert (1000 * (noisy.rays - clean.rays)).std() == pytest.approx(3.0, rel=0.02)


def test_missing_joints_have_no_weight_and_low_confidence_means_noise():
    joints_m = body17_motion_m("walk", 32)[None].repeat(20, 0)
    faults = Faults(detector=1.0, missing=0.1, legs_hidden=0.0)
    clean = observe(joints_m, BODY17, Rigs(), Faults(noise_px=(0, 0)), np.random.default_rng(3))
    batch = observe(joints_m, BODY17, Rigs(), faults, np.random.default_rng(3))
    assert (batch.weight == 0).mean() == pytest.approx(0.1, abs=0.02)
    off = np.linalg.norm(batch.rays - clean.rays, axis=-1)
    assert off[(batch.weight > 0) & (batch.weight < 0.4)].mean() > 2 * off[batch.weight > 0.7].mean()
    assert (batch.keypoints[batch.weight == 0] == 0).all()


@pytest.mark.parametrize("skeleton", [s for s in SKELETONS.values() if s not in (COCO17, MEDIAPIPE33, BODY25B)])
def test_bodies_stay_as_they_are_when_nothing_varies(skeleton):
    x, other = np.random.default_rng(10).normal(size=(2, 3, 2, len(skeleton.joints), 3))
    np.testing.assert_allclose(vary(x, other, skeleton, AS_THEY_ARE, np.random.default_rng(11)), x, atol=1e-12)


@pytest.mark.parametrize(
    ("skeleton", "roots"),
    [(COCO17, "nose, left_shoulder"), (MEDIAPIPE33, "nose, left_shoulder"), (BODY25B, "neck")],
)
def test_bodies_whose_bones_hang_from_no_root_are_refused(skeleton, roots):
    clip = Clip("s/1", "s", "walk", 30.0, np.zeros((4, len(skeleton.joints), 3), dtype=np.float32))
    with pytest.raises(DatasetError, match=f"bodies of {skeleton.name} cannot be varied: {roots} hang"):
        MotionSource([clip], skeleton, Motion(), window=1)


def test_bodies_keep_their_directions_when_resized_and_sides_stay_alike():
    x = body17_motion_m("walk", 5)[None]
    y = vary(x, x, BODY17, AS_THEY_ARE.model_copy(update={"bones": 0.2}), np.random.default_rng(4))
    for parent, child in BODY17.bones:
        before, after = x[..., child, :] - x[..., parent, :], y[..., child, :] - y[..., parent, :]
        share = np.linalg.norm(after, axis=-1) / np.linalg.norm(before, axis=-1)
        np.testing.assert_allclose(after, before * share[..., None], atol=1e-9)
        np.testing.assert_allclose(share, share[0, 0])

    def length(z, a, b):
        return np.linalg.norm(z[0, 0, BODY17.index(a)] - z[0, 0, BODY17.index(b)])

    ratio = [length(y, f"{s}_hip", f"{s}_knee") / length(x, f"{s}_hip", f"{s}_knee") for s in ("left", "right")]
    assert ratio[0] == pytest.approx(ratio[1])


def test_borrowed_limbs_keep_their_bones_and_stay_attached():
    x, other = body17_motion_m("walk", 4)[None], body17_motion_m("reach", 4)[None]
    y = vary(
        x,
        other,
        BODY17,
        AS_THEY_ARE.model_copy(update={"legs_of_another": 1.0, "arms_of_another": 1.0}),
        np.random.default_rng(5),
    )
    at = BODY17.index
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
        theirs = np.linalg.norm(other[..., at(f"left_{a}"), :] - other[..., at(f"left_{b}"), :], axis=-1)
        np.testing.assert_allclose(
            np.linalg.norm(y[..., at(f"left_{a}"), :] - y[..., at(f"left_{b}"), :], axis=-1), theirs
        )
    np.testing.assert_allclose(y[..., at("left_shoulder"), :], x[..., at("left_shoulder"), :])
    np.testing.assert_allclose(y[..., at("pelvis"), :], x[..., at("pelvis"), :], atol=1e-9)


def test_mirrored_bodies_are_bodies():
    x = body17_motion_m("reach", 3)[None]
    y = vary(x, x, BODY17, AS_THEY_ARE.model_copy(update={"mirrored": 1.0}), np.random.default_rng(6))
    np.testing.assert_allclose(
        y[..., BODY17.index("left_wrist"), :], x[..., BODY17.index("right_wrist"), :] * [1, -1, 1]
    )


def test_the_same_generator_gives_the_same_batch():
    source = MotionSource([a_clip()], BODY17, Motion(), window=8)
    one, other = (source.draw(5, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    assert one.keypoints.shape == (5, 4, 8, 17, 3)
    assert source.labelled
    assert source.fewest_cameras == source.cameras == 4


def test_windows_never_cross_from_one_clip_to_the_next():
    near, far = a_clip(20), a_clip(20)
    far.joints_m[..., 2] += 100.0
    source = MotionSource([near, far], BODY17, Motion(bodies=AS_THEY_ARE), window=15)
    for _ in range(20):
        heights = source.draw(8, np.random.default_rng()).joints_m[..., 2]
        assert (np.ptp((heights > 50).astype(int), axis=(1, 2)) == 0).all()


def test_clips_shorter_than_the_window_are_told():
    with pytest.raises(DatasetError, match="no clip has 100 frames"):
        MotionSource([a_clip(40)], BODY17, Motion(), window=100)


def test_a_motion_file_is_read_back_and_split_by_subject(tmp_path):
    path = write_motion_file(tmp_path, {"anna": body17_motion_m("walk", 12), "bert": body17_motion_m("reach", 9)})
    clips = read_clips(path, BODY17)
    assert [(clip.subject, len(clip.joints_m), clip.fps) for clip in clips] == [("anna", 12, 30.0), ("bert", 9, 30.0)]
    limbs = BODY17.limb_indices()
    np.testing.assert_allclose(clips[0].joints_m[:, limbs], body17_motion_m("walk", 12)[:, limbs], atol=6e-4)
    assert [clip.subject for clip in read_clips(path, BODY17, "test")] == ["bert"]
    with pytest.raises(DatasetError, match="no split 'tset'; it has test, train"):
        read_clips(path, BODY17, "tset")


def test_files_that_are_none_are_refused_by_name(tmp_path):
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(DatasetError, match=r"torn\.npz: cannot be read as a motion file"):
        read_clips(tmp_path / "torn.npz")
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    with pytest.raises(DatasetError, match="its format is None, expected joints-int16"):
        read_clips(tmp_path / "foreign.npz")


def test_a_skeleton_that_the_file_does_not_have_is_refused(tmp_path):
    path = write_motion_file(tmp_path, {"anna": body17_motion_m("walk", 3)})
    with pytest.raises(DatasetError, match="skeleton mediapipe33 needs nose"):
        read_clips(path, MEDIAPIPE33)


def test_bent_limbs_keep_their_lengths_and_leave_the_trunk():
    x = body17_motion_m("walk", 4)[None].repeat(6, 0)
    y = vary(x, x, BODY17, AS_THEY_ARE.model_copy(update={"bent": 1.0}), np.random.default_rng(8))
    trunk = [BODY17.index(joint) for joint in ("pelvis", "left_hip", "thorax", "head", "right_shoulder")]
    np.testing.assert_allclose(y[:, :, trunk], x[:, :, trunk], atol=1e-12)
    for parent, child in BODY17.bones:
        before, after = (np.linalg.norm(z[:, :, child] - z[:, :, parent], axis=-1) for z in (x, y))
        np.testing.assert_allclose(after, before)
    assert np.linalg.norm(y - x, axis=-1)[..., BODY17.index("left_wrist")].mean() > 0.05


def test_random_turns_turn_by_their_rotation_vectors():
    turns = _random_turns(5, 0.4, np.random.default_rng(9))
    vectors = np.random.default_rng(9).normal(0.0, 0.4, (5, 3))
    np.testing.assert_allclose(turns, [rigid.rotation_from_rotvec(v) for v in vectors], atol=1e-12)
