"""Recordings of the virtual actor and the files that others would have written of them; for tests of the data sets."""

import json
import pickle
import zipfile
from io import BytesIO

import numpy as np

from calibration.synthetic import ring_rig
from lifter.datasets.recording import Recording
from lifter.skeleton import H36M17
from lifter.synthetic import MOTIONS, SYNTHETIC_JOINTS, joints_at

ELSEWHERE = {
    **{"spine": ("pelvis", "chest"), "thorax": ("chest", "chest"), "hip": ("pelvis", "pelvis")},
    **{"upper_neck": ("neck", "head"), "head_top": ("head", "head")},
    **{
        f"{side}_{joint}": (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for joint, a, b in (
            *(("toe", "foot_index", "foot_index"), ("big_toe", "foot_index", "foot_index")),
            *(("small_toe", "foot_index", "heel"), ("hand", "index", "index")),
        )
    },
}


def truth_m(skeleton, n_frames=12, fps=30.0):
    """(T, J, 3): the walking actor; joints that it does not have are middles of others, so that no two are the same."""
    joints_m = joints_at(MOTIONS["walk"], np.arange(n_frames) / fps)
    pairs = [ELSEWHERE.get(joint, (joint, joint)) for joint in skeleton.joints]
    first, second = ([SYNTHETIC_JOINTS.index(pair[i]) for pair in pairs] for i in (0, 1))
    return ((joints_m[:, first] + joints_m[:, second]) / 2).astype(np.float32)


def actor_recording(skeleton=H36M17, n_frames=12, n_cameras=3, fps=30.0, noise_px=0.0):
    rig = ring_rig(n_cameras, 4.0, 2.0, (1280, 720), 900.0, dist=(-0.1, 0.02, 0.001, -0.001, 0.003))
    joints_m = truth_m(skeleton, n_frames, fps)
    keypoints_px = np.moveaxis(rig.project(joints_m.astype(np.float64)), 0, 1)
    rng = np.random.default_rng(3)
    return Recording(
        name="actor",
        skeleton=skeleton,
        rig=rig,
        keypoints_px=(keypoints_px + noise_px * rng.standard_normal(keypoints_px.shape)).astype(np.float32),
        confidence=rng.uniform(0.5, 1.0, keypoints_px.shape[:-1]).astype(np.float32),
        joints_m=joints_m,
        action=np.array(["Walking"] * (n_frames // 2) + ["Boxing"] * (n_frames - n_frames // 2)),
        chunk=np.zeros(n_frames, np.int64),
        fps=fps,
    )


def neutral_arrays(recording):
    """What a neutral file of the recording holds, written by the format's table and not by our code."""
    keypoints = np.concatenate([recording.keypoints_px, recording.confidence[..., None]], axis=-1)
    keypoints[np.isnan(keypoints).any(-1)] = np.nan
    poses = np.stack([camera.T_cam_world for camera in recording.rig.cameras])
    return {
        "cameras": np.array(recording.rig.names),
        "K": np.stack([camera.K for camera in recording.rig.cameras]),
        "dist": np.stack([camera.dist for camera in recording.rig.cameras]),
        "R": poses[:, :3, :3],
        "t": poses[:, :3, 3],
        "image_size": np.array([camera.size_wh for camera in recording.rig.cameras]),
        "fps": recording.fps,
        "joints": np.array(recording.skeleton.joints),
        "keypoints2d": keypoints[:, :, None],
        "person_id_2d": True,
        "gt_joints": np.array(recording.skeleton.joints),
        "gt3d": recording.joints_m[:, None],
        "meta": json.dumps({"source": "test"}),
    }


def save(path, arrays, **changes):
    """A .npz of these arrays; a change to None leaves one out."""
    arrays = {key: value for key, value in {**arrays, **changes}.items() if value is not None}
    np.savez_compressed(path, **arrays)
    return path


def known(joints_m):
    """The truth that a recording must have."""
    assert joints_m is not None
    return joints_m


def assert_same(a, b, atol=0.0):
    assert a.skeleton == b.skeleton
    assert a.rig.names == b.rig.names
    for one, other in zip(a.rig.cameras, b.rig.cameras, strict=True):
        assert one.size_wh == other.size_wh
        np.testing.assert_array_equal(one.K, other.K)
        np.testing.assert_array_equal(one.dist8, other.dist8)
        np.testing.assert_array_equal(one.T_cam_world, other.T_cam_world)
    for field in ("keypoints_px", "confidence", "joints_m"):
        np.testing.assert_allclose(getattr(a, field), getattr(b, field), rtol=0, atol=atol, err_msg=field)


def save_pickled(path, protocol=3, **objects):
    """As `np.savez(path, key=dictionary)` writes it: each a pickled array of one object."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in objects.items():
            member = BytesIO()
            array = np.array(value, dtype=object)
            np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(array))
            pickle.dump(array, member, protocol=protocol)
            archive.writestr(f"{key}.npy", member.getvalue())
    return path
