"""VideoPose3D's files: their layout in small, real pickles of numpy, and pickles that want to run something."""

import os
import pickle
import zipfile
from io import BytesIO

import numpy as np
import pytest

from calibration.rig_file import save_rig
from lifter.datasets.errors import DatasetError
from lifter.datasets.h36m_cameras import POSES, h36m_rig
from lifter.datasets.pickled import load_pickled
from lifter.datasets.videopose3d import H36M17_OF_32, load_videopose3d, load_videopose3d_truth
from lifter.skeleton import COCO17, H36M17, HUMANEVA15
from tests.multiview_files import actor_recording, known, save_pickled, truth_m

METADATA = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [[4, 5, 6], [1, 2, 3]]}


def joints_of_32(joints_m):
    """As Human3.6M has them; the joints that are left out are far away."""
    all_joints = np.full((len(joints_m), 32, 3), 99.0, np.float32)
    all_joints[:, H36M17_OF_32] = joints_m
    return all_joints


def seen(subject, skeleton=H36M17, n_frames=12):
    """One array per camera, as `positions_2d` has them."""
    pixels = h36m_rig(subject).project(truth_m(skeleton, n_frames).astype(np.float64))
    return [view.astype(np.float32) for view in pixels]


@pytest.fixture
def h36m(tmp_path):
    truth = {s: {"Directions 1": joints_of_32(truth_m(H36M17))} for s in ("S1", "S9")}
    save_pickled(tmp_path / "data_3d_h36m.npz", positions_3d=truth)
    pixels = {s: {"Directions 1": seen(s)} for s in ("S1", "S9")}
    return save_pickled(tmp_path / "data_2d_h36m_gt.npz", positions_2d=pixels, metadata=METADATA)


def test_human36m_loads_with_its_own_cameras(h36m):
    first, second = load_videopose3d(h36m)
    assert (first.name, second.name) == ("h36m/S1/Directions 1", "h36m/S9/Directions 1")
    assert first.skeleton == H36M17
    assert first.rig.names == ("54138969", "55011271", "58860488", "60457274")
    assert first.fps == 50.0
    assert set(first.action) == {"Directions 1"}
    np.testing.assert_array_equal(known(first.joints_m), truth_m(H36M17))
    np.testing.assert_allclose(first.keypoints_px, np.stack(seen("S1"), axis=1), atol=1e-3)
    assert (first.confidence == 1).all()


def test_the_truth_projects_to_the_2d(h36m):
    for path in (h36m, h36m.with_name("data_3d_h36m.npz")):
        for recording, other in zip(load_videopose3d_truth(path), load_videopose3d(h36m), strict=True):
            np.testing.assert_allclose(recording.keypoints_px, other.keypoints_px, atol=1e-2)


def test_subjects_are_chosen_by_name(h36m):
    (recording,) = load_videopose3d(h36m, ["S9", "S11"])
    assert recording.name.startswith("h36m/S9")
    with pytest.raises(DatasetError, match="of the subjects S2 it has none; it has S1, S9"):
        load_videopose3d(h36m, ["S2"])


def test_the_cameras_of_human36m_are_those_of_its_calibration():
    """x_cam = R x_world + t of the data set's own calibration, from another copy of it."""
    for subject, serial, t_mm in (
        ("S1", "54138969", (-346.05078, 546.98078, 5474.48109)),
        ("S5", "55011271", (103.90282, 395.67169, 5767.97266)),
        ("S9", "58860488", (455.40107, 273.35893, 5657.81449)),
        ("S11", "60457274", (-155.13650, 422.16256, 4435.41622)),
    ):
        np.testing.assert_allclose(1000 * h36m_rig(subject)[serial].T_cam_world[:3, 3], t_mm, atol=1e-3)
    np.testing.assert_allclose(
        h36m_rig("S1")["54138969"].T_cam_world[:3, :3],
        [
            [-0.91536173, 0.40180837, 0.02574754],
            [0.05154812, 0.18037357, -0.98224649],
            [-0.39931903, -0.89778361, -0.18581953],
        ],
        atol=2e-7,
    )


@pytest.mark.parametrize("subject", POSES)
def test_the_cameras_of_human36m_stand_upright_around_the_room_and_look_into_it(subject):
    for camera in h36m_rig(subject).cameras:
        pixel = camera.project(np.array([0.0, 0.0, 1.0]))
        assert (np.abs(pixel - 500) < 250).all()
        head, feet = camera.project(np.array([[0.0, 0.0, 1.7], [0.0, 0.0, 0.0]]))
        assert head[1] < feet[1]
        assert 4 < np.linalg.norm(camera.T_world_cam[:2, 3]) < 6


def test_2d_beyond_the_truth_is_cut_and_missing_2d_absent(tmp_path):
    save_pickled(tmp_path / "data_3d_h36m.npz", positions_3d={"S1": {"Eating": joints_of_32(truth_m(H36M17))}})
    views = seen("S1", n_frames=14)
    views[2] = views[2][:10]
    path = save_pickled(tmp_path / "data_2d_h36m_x.npz", positions_2d={"S1": {"Eating": views}}, metadata=METADATA)
    (recording,) = load_videopose3d(path)
    assert recording.keypoints_px.shape == (12, 4, 17, 2)
    assert np.isnan(recording.keypoints_px[10:, 2]).all()
    assert (recording.confidence[10:, 2] == 0).all()
    assert np.isfinite(recording.keypoints_px[:10]).all()


def test_without_the_3d_file_there_is_no_truth(h36m):
    h36m.with_name("data_3d_h36m.npz").unlink()
    assert all(recording.joints_m is None for recording in load_videopose3d(h36m))
    with pytest.raises(DatasetError, match=r"data_3d_h36m.npz does not exist"):
        load_videopose3d_truth(h36m)


def test_coco_detections_keep_their_skeleton_and_confidence(h36m):
    views = [np.dstack([view, np.full(view.shape[:2], 0.7)]) for view in seen("S1", COCO17)]
    views[0][3] = np.nan
    path = save_pickled(
        h36m.with_name("data_2d_h36m_detectron.npz"),
        positions_2d={"S1": {"Directions 1": views}},
        metadata={"layout_name": "coco", "num_joints": 17},
    )
    (recording,) = load_videopose3d(path)
    assert recording.skeleton == COCO17
    assert np.isnan(recording.keypoints_px[3, 0]).all()
    np.testing.assert_allclose(recording.confidence[:, 1:], 0.7)
    wrist = COCO17.index("left_wrist"), H36M17.index("left_wrist")
    np.testing.assert_array_equal(known(recording.joints_m)[:, wrist[0]], truth_m(H36M17)[:, wrist[1]])
    assert np.isnan(known(recording.joints_m)[:, COCO17.index("nose")]).all()


@pytest.fixture
def humaneva(tmp_path):
    recording = actor_recording(HUMANEVA15)
    views = [recording.keypoints_px[:, camera].copy() for camera in range(3)]
    views[1][4:6] = np.nan
    actions = ("Walking 1 chunk0", "Walking 1 chunk1")
    truth = {"Train/S1": dict.fromkeys(actions, recording.joints_m)}
    save_pickled(tmp_path / "data_3d_humaneva15.npz", positions_3d=truth)
    return save_pickled(
        tmp_path / "data_2d_humaneva15_gt.npz",
        positions_2d={"Train/S1": dict.fromkeys(actions, views)},
        metadata={"layout_name": "humaneva15", "num_joints": 15},
    )


def test_humaneva_loads_with_the_calibration_beside_it(humaneva):
    rig = actor_recording(HUMANEVA15).rig
    save_rig(rig, humaneva.with_name("cameras_humaneva15_S1.toml"))
    first, second = load_videopose3d(humaneva)
    assert first.name == "humaneva15/Train/S1/Walking 1 chunk0"
    assert set(second.action) == {"Walking 1 chunk1"}
    assert first.skeleton == HUMANEVA15
    assert first.fps == 60.0
    assert first.rig.names == rig.names
    assert np.isnan(first.keypoints_px[4:6, 1]).all()
    np.testing.assert_array_equal(known(first.joints_m), truth_m(HUMANEVA15))


def test_missing_cameras_are_asked_for_by_file_name(humaneva, h36m):
    with pytest.raises(DatasetError, match=r"humaneva15's S1 are not known.*cameras_humaneva15_S1\.toml.*C1, C2, C3"):
        load_videopose3d(humaneva)
    save_pickled(h36m, positions_2d={"S2": {"Eating": seen("S1")}}, metadata=METADATA)
    with pytest.raises(DatasetError, match=r"h36m's S2 are not known.*cameras_h36m_S2\.toml"):
        load_videopose3d(h36m)
    h36m.with_name("cameras_h36m_S2.toml").write_text("not a calibration")
    with pytest.raises(DatasetError, match=r"cameras_h36m_S2.toml: this is not TOML"):
        load_videopose3d(h36m)


@pytest.mark.parametrize(
    ("positions_2d", "metadata", "message"),
    [
        ({"S1": {"Eating": seen("S1")[:3]}}, METADATA, "h36m/S1/Eating has 2D of 3 cameras, but 4"),
        ({"S1": {"Eating": None}}, METADATA, r"has 2D of no list \(NoneType\) cameras"),
        ({"S1": {"Eating": [view[:, :16] for view in seen("S1")]}}, METADATA, "has 2D of the shape"),
        ({"S1": {"Eating": ["view"] * 4}}, METADATA, "expected an array of numbers, found str"),
        ({"S1": seen("S1")}, METADATA, "not a dictionary of subjects"),
        (["S1"], METADATA, "not a dictionary of subjects"),
        ({"S1": {}}, {"layout_name": "mpii"}, "layout 'mpii'; known are h36m, coco, humaneva15"),
        ({"S1": {}}, {}, "layout None"),
    ],
)
def test_another_layout_is_refused(tmp_path, positions_2d, metadata, message):
    path = save_pickled(tmp_path / "data_2d_h36m_gt.npz", positions_2d=positions_2d, metadata=metadata)
    with pytest.raises(DatasetError, match=message):
        load_videopose3d(path)


def test_another_number_of_3d_joints_is_refused(h36m):
    save_pickled(h36m.with_name("data_3d_h36m.npz"), positions_3d={"S1": {"Directions 1": np.zeros((12, 20, 3))}})
    with pytest.raises(DatasetError, match=r"its 3D has the shape \(12, 20, 3\), not frames × 17"):
        load_videopose3d(h36m)


def test_file_names_say_what_a_file_is(h36m):
    with pytest.raises(DatasetError, match="not called as VideoPose3D's files are"):
        load_videopose3d(h36m.with_name("h36m_S1_10hz.npz"))
    with pytest.raises(DatasetError, match="has no 2D"):
        load_videopose3d(h36m.with_name("data_3d_h36m.npz"))


CONTENT = {
    "floats": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(5, dtype=">i4"),
    "empty": np.zeros((0, 17, 2)),
    "texts": np.array(["left", "right"]),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_numpy_pickles_is_read_as_numpy_would(tmp_path, protocol):
    """Protocol 2 is what numpy wrote when VideoPose3D's files were made."""
    path = save_pickled(tmp_path / "a.npz", protocol, content={**CONTENT, "scalar": np.float32(1.5), "list": [1, "a"]})
    loaded = load_pickled(path, "content")
    for name, array in CONTENT.items():
        np.testing.assert_array_equal(loaded[name].value, array)
        assert loaded[name].value.dtype == array.dtype
    assert loaded["scalar"] == np.float32(1.5)
    assert loaded["list"] == [1, "a"]
    assert load_pickled(path, "something else") is None


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_call_something_is_refused_before_it_does(tmp_path, protocol):
    trap = tmp_path / "trap"
    path = save_pickled(tmp_path / "data_2d_h36m_gt.npz", protocol, positions_2d={"S1": Evil(trap)}, metadata=METADATA)
    with pytest.raises(DatasetError, match=r"data_2d_h36m_gt.npz: positions_2d: it would call (posix|nt)\.mkdir"):
        load_videopose3d(path)
    assert not trap.exists()
    assert np.load(path, allow_pickle=True)["positions_2d"] is not None
    assert trap.exists(), "it would have worked"


def member(path, stream, key="content"):
    """A .npz whose object array is this stream of pickle opcodes."""
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{key}.npy", header.getvalue() + stream)
    return path


@pytest.mark.parametrize(
    "stream",
    [
        b"cbuiltins\neval\n(V1+1\ntR.",  # a function by name
        b"cnumpy\nload\n(Vx.npy\ntR.",  # of numpy, but not one of the few
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",  # an attribute of an allowed module
        b"cnumpy\nndarray\n}Vx\nI1\nsb.",  # sets state on a function
        b"cnumpy\nndarray\n(I1\nI2\nI3\nI4\nI5\ntb.",  # the same with a state of the right length
        b"cnumpy\nndarray\n)\x81.",  # makes an instance of what is no class
        b"cnumpy\ndtype\n(VV8\ntR.",  # a dtype of raw memory
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(VO8\ntRV12345678\ntR.",  # an object of raw memory
        b"Pwho\n.",  # a persistent id
        b"\x82\x01.",  # a registered extension
        b"(l" * 100000,  # ends in the middle
        b"",
    ],
)
def test_odd_pickles_are_refused(tmp_path, stream):
    with pytest.raises(DatasetError, match=r"a.npz: content: "):
        load_pickled(member(tmp_path / "a.npz", stream), "content")


def test_a_pickle_deeper_than_python_is_harmless(tmp_path):
    depth = 200_000
    path = member(tmp_path / "data_2d_h36m_gt.npz", b"]" * depth + b"a" * (depth - 1) + b".", "metadata")
    with pytest.raises(DatasetError, match="in the layout None"):
        load_videopose3d(path)


def test_arrays_are_not_built_of_made_up_memory(tmp_path):
    """Raw bytes taken for pointers would crash the interpreter."""
    opcodes = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR"
        b"(I1\n(I1\ntcnumpy\ndtype\n(VO8\nI0\nI1\ntR(I3\nV|\nNNNI-1\nI-1\nI63\ntbI00\nV12345678\ntb."
    )
    with pytest.raises(DatasetError, match="objects that are not listed"):
        load_pickled(member(tmp_path / "a.npz", opcodes), "content")


def test_a_damaged_archive_is_named(tmp_path, h36m):
    whole = h36m.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no archive"):
        h36m.write_bytes(content)
        with pytest.raises(DatasetError, match=r"data_2d_h36m_gt.npz: metadata: damaged, or no .npz"):
            load_videopose3d(h36m)
    np.savez(tmp_path / "plain.npz", content=np.zeros(3))
    with pytest.raises(DatasetError, match="an array of float64, where a dictionary was expected"):
        load_pickled(tmp_path / "plain.npz", "content")
