"""Recorded detections through the live stages: every detector's joints, times, and what is refused."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import run_system
from calibration.synthetic import ring_rig
from configs.errors import ConfigError
from configs.schema import Fusion
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion_file import read_clips
from lifter.skeleton import BODY17, BODY25, BODY25B, CMU22, COCO17, HALPE26, MEDIAPIPE33, MPII16
from nodes import evaluate
from nodes.offline.messages import messages_of, stream_of
from nodes.offline.pairing import pair
from nodes.offline.result_file import load_result, result_of, save_result
from nodes.offline.scores import scores
from nodes.offline.sequence import load_sequence, load_truth, nominal_times_ns
from nodes.reprocess import load_fusion, offline, run
from nodes.wire.messages import CameraHealth, Keypoints2D, Origin, Person3D, Pose3D
from tests.lifter_data import body17_motion_m, write_motion_file
from tests.multiview_files import actor_recording, neutral_arrays, save

MS = 1_000_000
SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def arrays_of(skeleton=COCO17, n_frames=20, n_cameras=4, **options):
    arrays = neutral_arrays(actor_recording(skeleton, n_frames, n_cameras, **options))
    arrays["keypoints2d"][..., 2] = 0.9
    return arrays


def fused(path, **options):
    return run(load_sequence(path), Fusion(), use_lifter=False, **options).result


def errors_mm(result, arrays):
    """(T, J) of the first person; NaN where a joint was not reported."""
    order = [list(arrays["gt_joints"]).index(joint) for joint in arrays["joints"]]
    return 1000 * np.linalg.norm(result.joints_m[:, 0] - arrays["gt3d"][:, 0, order], axis=-1)


def taken(arrays, order):
    """The same detections with some of the joints, in another order."""
    return {**arrays, "joints": arrays["joints"][order], "keypoints2d": arrays["keypoints2d"][..., order, :]}


@pytest.mark.parametrize(
    "skeleton", [COCO17, BODY17, BODY25, BODY25B, MPII16, CMU22, HALPE26, MEDIAPIPE33], ids=lambda s: s.name
)
def test_every_detectors_joints_come_out_by_their_names(tmp_path, skeleton):
    arrays = arrays_of(skeleton)
    arrays = taken(arrays, np.random.default_rng(1).permutation(len(skeleton.joints)))
    result = fused(save(tmp_path / "a.npz", arrays))
    assert result.joints == tuple(arrays["joints"])
    assert result.skeleton == skeleton.name
    assert result.joints_m.shape == (20, 1, len(skeleton.joints), 3)
    off_mm = errors_mm(result, arrays)[3:]
    assert np.isfinite(off_mm).all()
    assert off_mm.mean() < 20, "exact detections, and a smoother that has to catch up"
    assert (result.sigma_m[3:] > 0).all()
    assert (result.views[3:] == 0b1111).all()
    assert not (result.origin[3:] == Origin.ABSENT).any()


@pytest.mark.parametrize("skeleton", [BODY17, COCO17, BODY25, MPII16], ids=lambda s: s.name)
def test_some_of_the_joints_do_and_unknown_ones_are_fused_too(tmp_path, skeleton):
    arrays = arrays_of(skeleton)
    kept = [k for k, joint in enumerate(skeleton.joints) if joint not in ("left_ankle", "nose", "right_wrist")]
    few = taken(arrays, kept)
    names = [joint.title().replace("_", "") for joint in few["joints"]]  # LeftShoulder
    names[-1] = "Sensor 7"
    path = save(tmp_path / "a.npz", few, joints=np.array(names))
    result = fused(path)
    assert result.joints == tuple(names)
    assert result.skeleton == f"unnamed{len(names)}"
    assert np.isfinite(result.joints_m[3:]).all()
    assert errors_mm(result, few)[3:].mean() < 20


def test_the_command_writes_a_file_that_loads(tmp_path, capsys):
    path = save(tmp_path / "a.npz", arrays_of())
    out = tmp_path / "out.npz"
    out.write_text("an older one")
    assert run_system.main(["reprocess", str(path), "--out", str(out), "--no-lifter", "--force"]) == 0
    told = capsys.readouterr().out
    assert "out.npz: 20 rows, 1 person, somebody in 100% of the rows" in told
    assert told.count("\n") == 1
    with np.load(out, allow_pickle=False) as written:
        assert {key: (written[key].dtype.kind, written[key].shape) for key in written.files} == {
            "captured_ns": ("i", (20,)),
            "person_id": ("i", (20, 1)),
            "joints": ("U", (17,)),
            "joints_m": ("f", (20, 1, 17, 3)),
            "sigma_m": ("f", (20, 1, 17)),
            "views": ("u", (20, 1, 17)),
            "origin": ("u", (20, 1, 17)),
            "reprojection_px": ("f", (20, 1, 17)),
            "skeleton": ("U", ()),
            "cameras": ("U", (4,)),
        }
    loaded = load_result(out)
    np.testing.assert_array_equal(loaded.joints_m, fused(path).joints_m, "the same again, bit for bit")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.npz", "out.npz"]


def test_the_lifter_is_loaded_for_what_it_can_lift(tmp_path):
    pytest.importorskip("onnxruntime")
    path = save(tmp_path / "a.npz", arrays_of(n_frames=4))
    assert re.match("ONNX Runtime|TensorRT", run(load_sequence(path), Fusion()).lifter)


def test_help_costs_nothing():
    code = (
        "import sys, run_system\ntry: run_system.main(['reprocess', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'numba', 'onnxruntime', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.rstrip().endswith("[]")
    assert "--no-lifter" in done.stdout


# Times


def test_rows_stand_at_frame_number_over_rate():
    frames = np.array([100, 101, 104])
    np.testing.assert_array_equal(nominal_times_ns(3, 50.0, frames, None), [2000 * MS, 2020 * MS, 2080 * MS])


def test_rows_stand_at_the_middle_of_their_cameras_times():
    nan = np.nan
    captured_s = np.array([[nan, nan, nan], [1.0, 1.01, nan], [nan, nan, nan], [1.2, 1.21, 1.29], [nan, nan, nan]])
    told = nominal_times_ns(5, 10.0, np.arange(5), captured_s)
    np.testing.assert_array_equal(told, [905 * MS, 1005 * MS, 1107_500_000, 1210 * MS, 1310 * MS])


@pytest.mark.parametrize("frames", [[0, 1, 1], [5, 4, 6]])
def test_time_that_does_not_go_on_is_refused_with_the_row(frames):
    with pytest.raises(DatasetError, match=r"by frames / fps, row [12] is at .* s and row [01] before it at"):
        nominal_times_ns(3, 10.0, np.array(frames), None)


def sent(path, max_gap_ns=300 * MS):
    sequence = load_sequence(path)
    stream = stream_of(sequence)
    return stream, list(messages_of(sequence, stream, max_gap_ns))


def test_messages_come_in_the_order_of_their_capture_with_what_was_seen(tmp_path):
    arrays = arrays_of(n_frames=2, n_cameras=2)
    keypoints = np.repeat(arrays["keypoints2d"], 3, axis=2)
    keypoints[1, 0, 0] = np.nan  # nobody in this slot
    keypoints[1, 0, 1, 3, 2] = np.nan  # no confidence
    keypoints[1, 0, 1, 4] = [0, 0, 0]
    keypoints[1, 0, 1, 5] = [np.inf, 3, 1]
    keypoints[1, 0, 1, 6, 2] = 1.4
    keypoints[0, 1] = np.nan  # nobody at all
    captured_s = np.array([[10.02, 10.0], [10.05, 10.03]])
    path = save(tmp_path / "a.npz", arrays, keypoints2d=keypoints, frame_time=captured_s, frames=[7, 8])
    _, messages = sent(path)
    one, two = arrays["cameras"]
    frames = [message for message in messages if isinstance(message, Keypoints2D)]
    assert [(m.source, m.captured_ns // MS, m.frame_id) for m in frames] == [
        (two, 10_000, 7), (one, 10_020, 7), (two, 10_030, 8), (one, 10_050, 8),
    ]  # fmt: skip
    assert [m.seq for m in frames] == [0, 0, 1, 1]
    assert [len(m.confidence) for m in frames] == [0, 3, 3, 2], "a frame without anybody is a message"
    last = frames[-1]
    assert last.confidence[0, 3:7].tolist() == [0, 0, 0, 1]
    assert np.isnan(last.keypoints_px[0, 3:6]).all()
    np.testing.assert_array_equal(last.keypoints_px[1], arrays["keypoints2d"][1, 0, 0, :, :2])
    assert last.size_wh == (1280, 720)


def test_a_camera_that_took_no_frame_sends_none_and_says_so_when_silent(tmp_path):
    arrays = arrays_of(n_frames=30, n_cameras=3)
    captured_s = np.repeat((np.arange(30) / 30)[:, None], 3, axis=1)
    arrays["keypoints2d"][5:25, 0] = np.nan
    captured_s[4:25, 0] = np.nan  # row 4: somebody is seen, at the row's time
    arrays["keypoints2d"][10:, 1] = np.nan  # nobody is seen, but at known times
    captured_s[:, 2], arrays["keypoints2d"][:, 2] = np.nan, np.nan  # never
    stream, messages = sent(save(tmp_path / "a.npz", arrays, frame_time=captured_s))
    of = {f"cam{c + 1}": [m for m in messages if m.source == name] for c, name in enumerate(arrays["cameras"])}
    rows = {int(at): row for row, at in enumerate(stream.ticks_ns)}
    assert [rows[m.captured_ns] for m in of["cam1"] if isinstance(m, Keypoints2D)] == [*range(5), *range(25, 30)]
    assert len([m for m in of["cam2"] if isinstance(m, Keypoints2D)]) == 30
    assert [rows[m.captured_ns] for m in of["cam1"] if isinstance(m, CameraHealth)] == [4, 29]
    assert [type(m) for m in of["cam3"]] == [CameraHealth]
    assert messages[0] is of["cam3"][0], "before anybody would wait for it"
    assert [m.captured_ns for m in messages] == sorted(m.captured_ns for m in messages)


def test_nobody_waits_for_a_camera_that_was_never_there(tmp_path):
    arrays = arrays_of(n_frames=700)  # more than the synchroniser keeps
    captured_s = np.repeat((np.arange(700) / 30)[:, None], 4, axis=1)
    captured_s[:, 3], arrays["keypoints2d"][:, 3] = np.nan, np.nan
    result = fused(save(tmp_path / "a.npz", arrays, frame_time=captured_s))
    assert np.isfinite(result.joints_m[3:]).all()
    assert (result.views[3:] == 0b111).all()


def test_cameras_out_of_phase_are_fused_at_the_rows_moment(tmp_path):
    arrays = arrays_of(n_frames=40)
    phase_ms = np.array([-12.0, 9.0, 0.0, 3.0])
    rig = actor_recording(COCO17, 2, 4).rig
    between = (np.arange(40)[:, None] * 1000 / 30 + phase_ms).clip(0) / 1000 * 30
    for c, camera in enumerate(rig.cameras):
        at = between[:, c]
        low = np.minimum(at.astype(int), 38)
        share = (at - low)[:, None, None]
        moved = (1 - share) * arrays["gt3d"][low, 0] + share * arrays["gt3d"][low + 1, 0]
        arrays["keypoints2d"][:, c, 0, :, :2] = camera.project(moved.astype(float))
    path = save(tmp_path / "a.npz", arrays, frame_time=between / 30 + 1000.0)
    result = fused(path)
    nominal = fused(save(tmp_path / "b.npz", arrays))
    assert errors_mm(result, arrays)[4:36].mean() < 0.8 * errors_mm(nominal, arrays)[4:36].mean()


def test_times_before_zero_and_of_today_come_out_as_they_went_in(tmp_path):
    for start_s in (-100.0, 0.0, 1.78e9):
        captured_s = start_s + np.repeat((np.arange(20) / 30)[:, None], 4, axis=1)
        result = fused(save(tmp_path / "a.npz", arrays_of(), frame_time=captured_s))
        np.testing.assert_allclose(result.captured_ns * 1e-9, captured_s[:, 0], atol=1e-6)
        assert np.isfinite(result.joints_m[3:]).all()


def test_one_camera_and_nobody_and_no_rate_are_fine(tmp_path):
    arrays = arrays_of(n_cameras=1)
    assert fused(save(tmp_path / "a.npz", arrays)).captured_ns.shape == (20,)
    arrays = arrays_of()
    path = save(tmp_path / "a.npz", arrays, keypoints2d=np.full_like(arrays["keypoints2d"], np.nan), fps=float("nan"))
    result = fused(path)
    assert result.joints_m.shape == (20, 0, 17, 3)
    assert result.captured_ns[3] == 100 * MS
    arrays = arrays_of()
    path = save(tmp_path / "a.npz", arrays, keypoints2d=arrays["keypoints2d"][:, :, :0])
    assert fused(path).joints_m.shape == (20, 0, 17, 3)


def test_geometry_may_be_written_otherwise(tmp_path):
    arrays = arrays_of()
    exact = load_sequence(save(tmp_path / "a.npz", arrays)).rig
    changes = {"R": arrays["R"].round(3), "t": arrays["t"][..., None], "dist": arrays["dist"][:, None]}
    rig = load_sequence(save(tmp_path / "a.npz", arrays, **changes)).rig
    for one, other in zip(rig.cameras, exact.cameras, strict=True):
        np.testing.assert_allclose(one.T_cam_world, other.T_cam_world, atol=1e-3)
        np.testing.assert_allclose(one.T_cam_world[:3, :3] @ one.T_cam_world[:3, :3].T, np.eye(3), atol=1e-12)
        np.testing.assert_array_equal(one.dist8, other.dist8)


def test_slow_recordings_are_interpolated_too():
    assert offline(Fusion(), 2.0).synchroniser.max_gap_ms == 1250
    fast = offline(Fusion(), 500.0).synchroniser
    assert (fast.rate_hz, fast.max_gap_ms, fast.deadline_ms) == (240, 300, None)


# Results


def test_each_id_has_a_column_and_each_pose_its_row(tmp_path):
    def person(number, x):
        joints_m = np.full((2, 3), x, dtype=np.float32)
        origin = np.array([Origin.FUSED, Origin.ABSENT], dtype=np.uint8)
        return Person3D(
            id=number, joints_m=joints_m, sigma_m=np.full(2, 0.01, np.float32), origin=origin,
            reprojection_px=np.zeros(2, np.float32), views=np.array([3, 3], np.uint32),
        )  # fmt: skip

    def pose(at, *people):
        return Pose3D(
            captured_ns=at, published_ns=0, source="fusion", seq=0, skeleton="s", people=people, cameras=("a",),
            valid=True,
        )  # fmt: skip

    poses = [pose(1010, person(7, 1.0)), pose(1030, person(3, 2.0), person(7, 3.0))]
    whole = load_sequence(save(tmp_path / "a.npz", arrays_of(n_frames=4)))
    result = result_of(poses, replace(whole, times_ns=np.array([0, 10, 20, 30]), joints=("b", "a"), order=[1, 0]), 1000)
    np.testing.assert_array_equal(result.person_id, [[-1, -1], [7, -1], [-1, -1], [7, 3]])
    np.testing.assert_array_equal(result.joints_m[3, :, 1, 0], [3.0, 2.0], "the first joint is the file's second")
    assert np.isnan(result.joints_m[:, :, 0]).all()
    assert np.isnan(result.sigma_m[3, 0, 0])
    assert result.views[3, 0].tolist() == [0, 3]


def test_a_result_of_another_program_needs_little(tmp_path):
    joints_m = np.zeros((3, 2, 1, 3))
    joints_m[1, 1] = np.nan
    np.savez(tmp_path / "o.npz", captured_ns=np.arange(3), joints=["left_hip"], joints_m=joints_m)
    result = load_result(tmp_path / "o.npz")
    np.testing.assert_array_equal(result.person_id, [[0, 1], [0, -1], [0, 1]])
    assert np.isnan(result.sigma_m).all()


# What is refused


def test_nothing_is_overwritten_by_mistake(tmp_path, capsys):
    path = save(tmp_path / "a.npz", arrays_of(n_frames=2))
    before = path.read_bytes()
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    for out, why in ((path, "is what is read"), (link, "is what is read"), (tmp_path, "is a folder")):
        assert run_system.main(["reprocess", str(path), "--out", str(out)]) == 2
        assert why in capsys.readouterr().err
    assert run_system.main(["reprocess", str(path), "--out", str(tmp_path / "no" / "o.npz")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    mine = tmp_path / "mine.npz"
    mine.write_text("precious")
    assert run_system.main(["reprocess", str(path), "--out", str(mine)]) == 2
    assert "exists already: give another name, or --force" in capsys.readouterr().err
    assert mine.read_text() == "precious"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "option", [["--smooth"], ["--calibration", "c.toml"], ["--lifter", "l.onnx"], ["--from-video"]]
)
def test_what_is_for_sessions_alone_is_refused_and_not_passed_over(tmp_path, capsys, option):
    path = save(tmp_path / "a.npz", arrays_of(n_frames=2))
    assert run_system.main(["reprocess", str(path), "--out", str(tmp_path / "o.npz"), *option]) == 2
    assert f"{option[0]} is for sessions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints2d": None}, "there is no array 'keypoints2d' in it"),
        ({"K": None}, "there is no array 'K' in it"),
        ({"joints": None}, "there is no array 'joints' in it"),
        ({"keypoints2d": np.zeros((2, 4, 17, 3))}, "expected .frames, cameras, detections, joints, 3"),
        ({"keypoints2d": np.zeros((0, 4, 1, 17, 3))}, r"\(0, 4, 1, 17, 3\), expected"),
        ({"keypoints2d": np.zeros((2, 3, 1, 17, 3))}, "has 3 cameras and `cameras` 4 names"),
        ({"keypoints2d": np.zeros((2, 4, 1, 16, 3))}, "has 16 joints and `joints` 17 names"),
        ({"keypoints2d": np.zeros((2, 4, 1, 17, 3), dtype="U3")}, "keypoints2d holds <U3, expected numbers"),
        ({"joints": np.arange(17)}, "joints is an array int64"),
        ({"joints": np.array([f"corner{i}" for i in range(17)])}, "0 are known limb joints, and 6 are needed"),
        ({"K": np.eye(3)}, r"K has the shape \(3, 3\), expected \(4, 3, 3\)"),
        ({"K": np.full((4, 3, 3), np.nan)}, "camera 'front': the matrix must be 3x3, finite"),
        ({"R": np.zeros((4, 3, 3))}, "its rotation is not a rotation"),
        ({"t": np.full((4, 3), np.inf)}, "the pose must be a finite"),
        ({"dist": np.zeros((4, 7))}, "dist has the shape"),
        ({"image_size": np.zeros((4, 2))}, "size 0x0 is not a picture size"),
        ({"image_size": np.full((4, 2), np.nan)}, "size 0x0 is not a picture size"),
        ({"cameras": np.array(["a", "a", "b", "c"])}, "two cameras are called 'a'"),
        ({"cameras": np.array(["a" * 61, "a", "b", "c"])}, "has 61 characters"),
        ({"fps": 0.0}, r"fps is \[0.0\]"),
        ({"fps": np.array([30.0, 25.0])}, "fps is"),
        ({"frames": np.array([1, 1])}, "row 1 is at 0.03.* s and row 0 before it"),
        ({"frames": np.array([1, 2, 3])}, "frames has the shape"),
        ({"frame_time": np.zeros((2, 3))}, r"frame_time has the shape \(2, 3\), expected \(2, 4\)"),
        ({"frame_time": np.full((2, 4), 1.7e12)}, "it is in seconds"),
        ({"frame_time": np.array([[2.0] * 4, [1.0] * 4])}, "by frame_time"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused_in_one_line(tmp_path, capsys, change, message):
    path = save(tmp_path / "a.npz", arrays_of(n_frames=2), **change)
    assert run_system.main(["reprocess", str(path), "--out", str(tmp_path / "o.npz"), "--no-lifter"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    with pytest.raises(DatasetError, match=message):
        raise DatasetError(told)
    assert not (tmp_path / "o.npz").exists()


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _turned(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not numbers"),
        lambda path: np.save(path.open("wb"), np.zeros(3)),
        lambda path: np.savez(path, keypoints2d=np.array([{}], dtype=object), joints=["a"], cameras=["a"]),
        _cut,
        _turned,
    ],
    ids=["gone", "empty", "text", "npy", "pickle", "cut", "one byte"],
)
def test_what_is_no_such_file_is_refused_in_one_line(tmp_path, capsys, damage):
    path = save(tmp_path / "a.npz", arrays_of(n_frames=40))
    damage(path)
    assert run_system.main(["reprocess", str(path), "--out", str(tmp_path / "o.npz"), "--no-lifter"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "a.npz" in told


def test_settings_are_those_under_fusion(tmp_path):
    path = tmp_path / "s.yaml"
    for text in (
        "fusion: {smoothing: {kind: none}}",
        "smoothing: {kind: none}",
        "cameras: {}\nfusion: {smoothing: {kind: none}}",
    ):
        path.write_text(text)
        assert load_fusion(path).smoothing.kind == "none"
    path.write_text("cameras: {}")
    assert load_fusion(path) == Fusion()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fusion: {smothing: {kind: none}}", "s.yaml: fusion.smothing: unknown key, did you mean `smoothing`"),
        ("smoothing: {kind: some}", "s.yaml: fusion.smoothing.kind: "),
        ("[1, 2]", "s.yaml: expected the key `fusion:`, found list"),
        ("a: [", "s.yaml: this is not YAML"),
    ],
)
def test_wrong_settings_are_refused_by_key(tmp_path, text, message):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_fusion(tmp_path / "s.yaml")
    with pytest.raises(ConfigError, match=r"t.yaml cannot be read: No such file"):
        load_fusion(tmp_path / "t.yaml")


def test_a_result_that_cannot_be_written_leaves_nothing(tmp_path):
    result = fused(save(tmp_path / "a.npz", arrays_of(n_frames=2)))
    (tmp_path / "o.npz").mkdir()
    with pytest.raises(OSError, match="directory"):
        save_result(replace(result), tmp_path / "o.npz")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.npz", "o.npz"]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["caliscope/caliscope_4cam_mediapipe", "pose2sim/pose2sim_two"])
def test_recordings_of_others_run_through(name):
    path = SHARED / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    result = fused(path)
    assert (result.person_id >= 0).any(axis=1).mean() > 0.9


def seen_clip(clip, rig, rng, noise_px=3.0):
    """A neutral file's arrays of a captured motion (T, J, 3), each joint seen by every camera, 3 px off."""
    seen = np.moveaxis(rig.project(clip.joints_m.astype(np.float64)), 0, 1)
    seen += noise_px * rng.standard_normal(seen.shape)
    keypoints = np.concatenate([seen, np.full((*seen.shape[:-1], 1), 0.9)], axis=-1)[:, :, None]
    return {
        "cameras": np.array(rig.names),
        "K": np.stack([camera.K for camera in rig.cameras]),
        "dist": np.zeros((len(rig.cameras), 5)),
        "R": np.stack([camera.T_cam_world[:3, :3] for camera in rig.cameras]),
        "t": np.stack([camera.T_cam_world[:3, 3] for camera in rig.cameras]),
        "image_size": np.array([camera.size_wh for camera in rig.cameras]),
        "fps": clip.fps,
        "joints": np.array(BODY17.joints),
        "keypoints2d": keypoints.astype(np.float32),
        "gt_joints": np.array(BODY17.joints),
        "gt3d": clip.joints_m[:, None],
    }


def test_captured_motion_is_fused_and_scored(tmp_path):
    motion = write_motion_file(tmp_path, {"one": body17_motion_m("walk", 60)})
    (clip,) = read_clips(motion)
    rig = ring_rig(4, 4.0, 2.0, (1920, 1080), 1100.0)
    path = save(tmp_path / "a.npz", seen_clip(clip, rig, np.random.default_rng(0)))
    out, told = tmp_path / "o.npz", tmp_path / "s.json"
    assert run_system.main(["reprocess", str(path), "--out", str(out)]) == 0
    assert evaluate.main([str(out), str(path), "--json", str(told)]) == 0
    score = json.loads(told.read_text())
    assert score["joints_compared"] == list(BODY17.joints)
    assert score["mpjpe_mm"] < 25, "3 px at 4 m and 1100 px are 11 mm, of four views 8"
    assert score["reported"] > 0.95
    assert (score["id_switches"], score["false_people"]) == (0, 0)
    assert score["pcp3d"]["average"] > 0.9


@pytest.mark.shared
def test_captured_motion_of_others_is_fused(tmp_path):
    motion = SHARED / "cmu" / "cmu_motion.npz"
    if not motion.is_file():
        pytest.skip(f"{motion} is not here")
    clip = read_clips(motion, BODY17, "test")[0]
    middle = clip.joints_m[:90].mean((0, 1)) * [1, 1, 0]
    clip = replace(clip, joints_m=(clip.joints_m[:90] - middle).astype(np.float32))
    rig = ring_rig(4, 4.0, 2.0, (1920, 1080), 1100.0)
    path = save(tmp_path / "a.npz", seen_clip(clip, rig, np.random.default_rng(0)))
    score = scores(pair(run(load_sequence(path), Fusion()).result, load_truth(path)))
    assert score["mpjpe_mm"] < 30
    assert score["reported"] > 0.95
