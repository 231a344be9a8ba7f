"""Calibration files of other programs: what is written comes back, what others wrote is read, nothing is lost."""

import contextlib
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.formats import kinds
from calibration.lens import Lens
from calibration.rig import Camera, CameraRig
from calibration.rig_file import load_rig, read_rig_file, save_rig

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
NAMES = {
    **{"toml": "rig.toml", "caliscope": "camera_array.toml", "qualisys": "rig.qca.txt", "opencv": "rig.yml"},
    **{"opencv-folder": "cameras", "panoptic": "calibration_walk.json", "easymocap": "mocap"},
}
EVERY_KIND = pytest.mark.parametrize("kind", NAMES)


def rig_of(seed: int, coefficients: int, skew: bool = False, fisheye: bool = False) -> CameraRig:
    """Twelve cameras of which every number differs; two of them turned by nearly half a turn or not at all."""
    rng = np.random.default_rng(seed)
    rotvecs = [np.zeros(3), np.array([0, 0, np.pi - 1e-7]), *rng.uniform(-1.7, 1.7, (10, 3))]
    cameras = []
    for index, rotvec in enumerate(rotvecs):
        fx, fy, cx, cy = rng.uniform([300, 300, 300, 200], [3000, 3000, 700, 500])
        K = np.array([[fx, rng.normal() if skew else 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        T_cam_world = rigid.from_rotation(rigid.rotation_from_rotvec(rotvec), rng.uniform(-20, 20, 3))
        dist = rng.normal(scale=10.0 ** rng.uniform(-9, 0), size=4 if fisheye else coefficients)
        lens: Lens = "fisheye" if fisheye else "pinhole"
        cameras.append(Camera(f"cam_{index}", (640 + index, 480 + 2 * index), K, dist, T_cam_world, lens))
    return CameraRig(tuple(cameras))


def refuse_difference(before: CameraRig, after: CameraRig) -> None:
    assert after.names == before.names
    for was, now in zip(before.cameras, after.cameras, strict=True):
        assert (now.size_wh, now.lens) == (was.size_wh, was.lens)
        np.testing.assert_allclose(now.K, was.K, rtol=1e-14, atol=1e-12)
        np.testing.assert_allclose(now.dist8, was.dist8, rtol=1e-14, atol=1e-16)
        np.testing.assert_allclose(now.T_cam_world, was.T_cam_world, atol=1e-9)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), skew=st.booleans(), model=st.sampled_from(["4", "5", "8", "fisheye"]))
@EVERY_KIND
def test_twelve_cameras_come_back_to_the_last_digit_or_are_refused(tmp_path, kind, seed, skew, model):
    rig = rig_of(seed, 4 if model == "fisheye" else int(model), skew, model == "fisheye")
    path, told = tmp_path / NAMES[kind], kinds.KINDS[kind]
    held = (told.fisheye or model != "fisheye") and (told.skew or not skew) and (told.coefficients == 8 or model != "8")
    if not held:
        with pytest.raises(CalibrationError, match=r"camera 'cam_0' has .* cannot hold: write one of .*toml"):
            save_rig(rig, path, kind)
        return
    save_rig(rig, path, kind)
    read = read_rig_file(path)
    assert read.kind.name == kind
    refuse_difference(rig, read.rig)


@EVERY_KIND
def test_the_name_tells_what_is_written_and_nothing_else_is_left(tmp_path, kind):
    path = tmp_path / NAMES[kind]
    if kind != "opencv-folder":
        assert kinds.kind_of_name(path) is kinds.KINDS[kind]
    save_rig(rig_of(1, 5), path, kind)
    save_rig(rig_of(2, 5), path, kind)
    refuse_difference(rig_of(2, 5), load_rig(path))
    assert not list(tmp_path.rglob("*.part"))
    assert [entry.name for entry in tmp_path.iterdir()] == [NAMES[kind]]


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind not in ("opencv-folder", "easymocap")])
def test_content_tells_the_kind_whatever_the_name(tmp_path, kind):
    save_rig(rig_of(3, 5), tmp_path / NAMES[kind], kind)
    (tmp_path / NAMES[kind]).rename(tmp_path / "calibration.txt")
    assert read_rig_file(tmp_path / "calibration.txt").kind.name == kind


@EVERY_KIND
def test_names_of_people_survive_or_are_refused(tmp_path, kind):
    rig = rig_of(4, 5)
    odd = CameraRig(tuple(replace(c, name=f'Küche "{i}" <&>' if i % 2 else f"0{i}") for i, c in enumerate(rig.cameras)))
    if kind in ("easymocap", "opencv-folder"):
        with pytest.raises(CalibrationError, match=r"camera 'Küche .*: rename it"):
            save_rig(odd, tmp_path / NAMES[kind], kind)
        return
    save_rig(odd, tmp_path / NAMES[kind], kind)
    assert load_rig(tmp_path / NAMES[kind]).names == odd.names


def test_eight_coefficients_that_are_five_fit_everywhere(tmp_path):
    rig = rig_of(5, 5)
    padded = CameraRig(tuple(replace(camera, dist=camera.dist8) for camera in rig.cameras))
    for kind, name in NAMES.items():
        save_rig(padded, tmp_path / name, kind)
        refuse_difference(padded, load_rig(tmp_path / name))


WORDS = (
    "nan",
    "-1e400",
    "inf",
    "null",
    "true",
    "[]",
    "{}",
    '"x"',
    "",
    "0",
    "1e308",
    "[[1]]",
    "- ",
    "\0",
    "&a",
    "%",
    "é",
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.randoms(use_true_random=False))
@EVERY_KIND
def test_a_damaged_file_is_refused_or_read_and_nothing_else(tmp_path, kind, draw):
    save_rig(CameraRig(rig_of(1, 5).cameras[:2]), tmp_path / NAMES[kind], kind)
    file = draw.choice(sorted(path for path in tmp_path.rglob("*") if path.is_file()))
    tokens = re.findall(r"\s+|[\w.+-]+|[^\w\s]", file.read_text())
    for _ in range(draw.choice([1, 3])):
        tokens[draw.randrange(len(tokens))] = draw.choice(WORDS)
    file.write_text("".join(tokens))
    with contextlib.suppress(CalibrationError):
        load_rig(tmp_path / NAMES[kind])


# --- OpenCV itself as the judge -----------------------------------------------------------------------------------


def test_opencv_reads_what_we_write(tmp_path):
    rig = rig_of(6, 8, skew=True)
    save_rig(rig, tmp_path / "rig.yml")
    storage = cv2.FileStorage(str(tmp_path / "rig.yml"), cv2.FILE_STORAGE_READ)
    nodes = storage.getNode("cameras")
    assert nodes.size() == 12
    for index, camera in enumerate(rig.cameras):
        node = nodes.at(index)
        assert node.getNode("name").string() == camera.name
        assert int(node.getNode("image_width").real()) == camera.size_wh[0]
        np.testing.assert_array_equal(node.getNode("camera_matrix").mat(), camera.K)
        np.testing.assert_array_equal(node.getNode("distortion_coefficients").mat()[0], camera.dist)
        np.testing.assert_array_equal(node.getNode("R").mat(), camera.T_cam_world[:3, :3])
        np.testing.assert_array_equal(node.getNode("T").mat()[:, 0], camera.T_cam_world[:3, 3])
    save_rig(rig, tmp_path / "folder", "opencv-folder")
    storage = cv2.FileStorage(str(tmp_path / "folder" / "cam_11.yml"), cv2.FILE_STORAGE_READ)
    np.testing.assert_array_equal(storage.getNode("camera_matrix").mat(), rig["cam_11"].K)
    assert storage.getNode("fisheye_model").real() == 0


@pytest.mark.parametrize("ending", ["yml", "xml", "json"])
@pytest.mark.parametrize("fisheye", [False, True])
def test_we_read_what_opencv_writes(tmp_path, ending, fisheye):
    rig = rig_of(7, 5, fisheye=fisheye)
    storage = cv2.FileStorage(str(tmp_path / f"rig.{ending}"), cv2.FILE_STORAGE_WRITE)
    storage.startWriteStruct("cameras", cv2.FileNode_SEQ)
    for camera in rig.cameras:
        storage.startWriteStruct("", cv2.FileNode_MAP)
        write_camera(storage, camera)
        storage.endWriteStruct()
    storage.endWriteStruct()
    storage.release()
    refuse_difference(rig, load_rig(tmp_path / f"rig.{ending}"))


def write_camera(storage, camera: Camera, rotation: str = "R") -> None:
    T = camera.T_cam_world
    storage.write("camera_name", camera.name)
    storage.write("image_width", camera.size_wh[0])
    storage.write("image_height", camera.size_wh[1])
    storage.write("fisheye_model", int(camera.lens == "fisheye"))
    storage.write("camera_matrix", camera.K)
    storage.write("distortion_coefficients", camera.dist[:, None])
    storage.write(rotation, T[:3, :3] if rotation == "R" else rigid.rotvec_from_rotation(T[:3, :3]))
    storage.write("T" if rotation == "R" else "tvec", T[:3, 3])


@pytest.mark.parametrize("ending", ["yml", "xml", "json"])
def test_a_folder_of_one_camera_each_keeps_two_before_ten(tmp_path, ending):
    rig = rig_of(8, 5)
    for camera in rig.cameras:
        storage = cv2.FileStorage(str(tmp_path / f"{camera.name}.{ending}"), cv2.FILE_STORAGE_WRITE)
        write_camera(storage, camera, "rvec")
        storage.release()
    refuse_difference(rig, load_rig(tmp_path))
    refuse_difference(CameraRig(rig.cameras[3:4]), load_rig(tmp_path / f"cam_3.{ending}"))


ONE = """%YAML:1.0
---
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 600., 0., 320., 0., 6.1e+02, 240., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ -1e-1, 0.01, 0., 0., 0. ]
R: !!opencv-matrix
   rows: 3
   cols: 3
   dt: f
   data: [ 1., 0., 0., 0., 1., 0., 0., 0., 1. ]
T: !!opencv-matrix
   rows: 3
   cols: 1
   dt: d
   data: [ 0., 0., 3. ]
"""


def test_a_camera_without_a_name_is_called_as_its_file_is(tmp_path):
    (tmp_path / "left.yml").write_text(ONE)
    camera = load_rig(tmp_path / "left.yml")["left"]
    np.testing.assert_array_equal(camera.dist, [-0.1, 0.01, 0, 0, 0])
    np.testing.assert_array_equal(camera.T_cam_world[:3, 3], [0, 0, 3])
    (tmp_path / "left.yml").write_text(ONE.replace("---\n", "---\nunit: mm\n"))
    np.testing.assert_array_equal(load_rig(tmp_path / "left.yml")["left"].T_cam_world[:3, 3], [0, 0, 0.003])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("T: !!", "tt: !!", "camera 'left' lacks `T` .its pose, world to camera"),
        ("image_width: 640\n", "", "camera 'left' lacks `image_width`"),
        ("distortion_coefficients", "blur", "camera 'left' lacks `distortion_coefficients`"),
        ("camera_matrix", "matrice", "no camera in it .`camera_matrix`"),
        ("rows: 5", "rows: 6", "camera 'left' has a value of the wrong kind: a matrix of 6x1 has 6 numbers, not 5"),
        ("-1e-1", "wide", "camera 'left' has a value of the wrong kind"),
        ("-1e-1", ".Nan", "camera 'left': distortion"),
        ("0.01, 0., 0., 0. ]", "0.01, 0., 0., 0. ", "this is not YAML of OpenCV"),
        ("image_width", "xi: 1.2\nimage_width", "camera 'left' has the model 'xi', which is not supported"),
        ("image_width", "camera_model: mei\nimage_width", "camera 'left' has the model 'mei', which is not supported"),
        ("image_width", "fisheye_model: 1\nimage_width", "camera 'left': a fisheye lens has 0 or 4 coefficients"),
        ("dt: f\n   data: [ 1.,", "dt: f\n   data: [ 2.,", "camera 'left' has .*not a rotation matrix"),
        ("image_width", "unit: foot\nimage_width", "`unit` is 'foot'"),
    ],
)
def test_a_fault_in_opencvs_file_names_the_camera(tmp_path, before, after, message):
    assert before in ONE
    (tmp_path / "left.yml").write_text(ONE.replace(before, after))
    with pytest.raises(CalibrationError, match=message) as refused:
        load_rig(tmp_path / "left.yml")
    assert str(refused.value).startswith(f"{tmp_path / 'left.yml'}: ")


@pytest.mark.parametrize("length", [12, 14])
def test_more_coefficients_than_we_have_are_refused(tmp_path, length):
    numbers = ", ".join(["0.01"] * length)
    text = ONE.replace("rows: 5", f"rows: {length}").replace("-1e-1, 0.01, 0., 0., 0.", numbers)
    (tmp_path / "left.yml").write_text(text)
    with pytest.raises(
        CalibrationError, match=f"camera 'left': a distortion of {length} coefficients is not supported"
    ):
        load_rig(tmp_path / "left.yml")


# --- EasyMocap ----------------------------------------------------------------------------------------------------


def test_easymocap_reads_what_we_write(tmp_path):
    """As its read_camera does: names, K_x, H_x, W_x, dist_x, R_x, T_x through OpenCV's FileStorage."""
    rig = rig_of(9, 5)
    save_rig(rig, tmp_path / "mocap", "easymocap")
    intri = cv2.FileStorage(str(tmp_path / "mocap" / "intri.yml"), cv2.FILE_STORAGE_READ)
    extri = cv2.FileStorage(str(tmp_path / "mocap" / "extri.yml"), cv2.FILE_STORAGE_READ)
    names = intri.getNode("names")
    assert [names.at(i).string() for i in range(names.size())] == list(rig.names)
    for camera in rig.cameras:
        np.testing.assert_array_equal(intri.getNode(f"K_{camera.name}").mat(), camera.K)
        np.testing.assert_array_equal(intri.getNode(f"dist_{camera.name}").mat(), camera.dist[None])
        assert int(intri.getNode(f"H_{camera.name}").real()) == camera.size_wh[1]
        R = cv2.Rodrigues(extri.getNode(f"R_{camera.name}").mat())[0]
        np.testing.assert_allclose(R, camera.T_cam_world[:3, :3], atol=1e-9)
        np.testing.assert_allclose(extri.getNode(f"Rot_{camera.name}").mat(), R, atol=1e-9)
        np.testing.assert_array_equal(extri.getNode(f"T_{camera.name}").mat(), camera.T_cam_world[:3, 3:])


def easymocaps_own(folder: Path, rig: CameraRig) -> None:
    """As its write_camera writes: six digits, carriage returns, names in quotes."""
    texts = {"intri.yml": ["%YAML:1.0", "---", "names:"], "extri.yml": ["%YAML:1.0", "---", "names:"]}

    def matrix(key: str, values: npt.NDArray[np.float64]) -> list[str]:
        data = ", ".join(f"{value:.6f}" for value in values.reshape(-1))
        rows, cols = values.shape
        return [f"{key}: !!opencv-matrix", f"  rows: {rows}", f"  cols: {cols}", "  dt: d", f"  data: [{data}]"]

    for lines in texts.values():
        lines += [f'  - "{camera.name}"' for camera in rig.cameras]
    for camera in rig.cameras:
        name, T = camera.name, camera.T_cam_world
        texts["intri.yml"] += [*matrix(f"K_{name}", camera.K), *matrix(f"dist_{name}", camera.dist[None])]
        texts["intri.yml"] += [f"H_{name}: {camera.size_wh[1]}", f"W_{name}: {camera.size_wh[0]}"]
        texts["extri.yml"] += matrix(f"R_{name}", rigid.rotvec_from_rotation(T[:3, :3])[:, None])
        texts["extri.yml"] += [*matrix(f"Rot_{name}", T[:3, :3]), *matrix(f"T_{name}", T[:3, 3:])]
    folder.mkdir(exist_ok=True)
    for name, lines in texts.items():
        (folder / name).write_bytes("\r\n".join([*lines, ""]).encode())


def test_a_folder_of_easymocap_loads_by_folder_or_by_either_file(tmp_path):
    rig = CameraRig(tuple(replace(camera, name=f"{i:02d}") for i, camera in enumerate(rig_of(10, 5).cameras)))
    easymocaps_own(tmp_path, rig)
    for path in (tmp_path, tmp_path / "intri.yml", tmp_path / "extri.yml"):
        loaded = load_rig(path)
        assert loaded.names == rig.names
        for was, now in zip(rig.cameras, loaded.cameras, strict=True):
            np.testing.assert_allclose(now.T_cam_world, was.T_cam_world, atol=2e-6)
            np.testing.assert_allclose(now.K, was.K, atol=1e-6)
    (tmp_path / "extri.yml").write_bytes((tmp_path / "extri.yml").read_bytes().replace(b"R_03", b"Q_03"))
    np.testing.assert_allclose(load_rig(tmp_path)["03"].T_cam_world, rig["03"].T_cam_world, atol=2e-6)


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        ("intri.yml", "W_03", "V_03", "camera '03' lacks `W_03` .the picture's size"),
        ("intri.yml", "dist_03", "D_04", "camera '03' lacks `dist_03`"),
        ("extri.yml", "T_03", "S_03", "camera '03' lacks `T_03` in extri.yml"),
        ("intri.yml", "names:", "all:", "no camera in it .`names` in intri.yml"),
        ("extri.yml", "%YAML:1.0", "%YAML:1.0\r\n- [", "extri.yml: this is not YAML"),
    ],
)
def test_a_fault_in_easymocaps_files_is_named(tmp_path, file, before, after, message):
    easymocaps_own(tmp_path, CameraRig(tuple(replace(c, name=f"0{i}") for i, c in enumerate(rig_of(1, 5).cameras[:5]))))
    text = (tmp_path / file).read_bytes().decode()
    assert before in text
    (tmp_path / file).write_bytes(text.replace(before, after).encode())
    with pytest.raises(CalibrationError, match=message):
        load_rig(tmp_path)


def test_half_a_folder_of_easymocap_is_refused(tmp_path):
    easymocaps_own(tmp_path, rig_of(1, 5))
    (tmp_path / "extri.yml").rename(tmp_path / "other.yml")
    with pytest.raises(CalibrationError, match=r"extri\.yml is missing"):
        load_rig(tmp_path)
    with pytest.raises(CalibrationError, match="one of EasyMocap's two files"):
        load_rig(tmp_path / "other.yml")


# --- CMU Panoptic -------------------------------------------------------------------------------------------------

PANOPTIC = {
    "calibDataSource": "160422_calib_norm",
    "cameras": [
        {
            "name": "01_01", "type": "vga", "resolution": [640, 480], "panel": 1, "node": 1,
            "K": [[745.606, 0, 374.278], [0, 746.049, 226.198], [0, 0, 1]],
            "distCoef": [-0.319988, 0.0704167, -0.000648, 1.0e-4, -0.0144],
            "R": [[0.9634542, -0.01531, 0.267427], [0.0123, 0.99984, 0.01293], [-0.267581, -0.00916, 0.963491]],
            "t": [[-46.06], [135.7], [271.2]],
        },
        {
            "name": "00_00", "type": "hd", "resolution": [1920, 1080], "panel": 0, "node": 0,
            "K": [[1395.91, 0, 950.525], [0, 1392.24, 563.651], [0, 0, 1]],
            "distCoef": [-0.2818, 0.190994, 0.000409, 0.000461, 0.0131],
            "R": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "t": [[0], [100], [300]],
        },
    ],
}  # fmt: skip


def test_a_file_of_the_panoptic_studio_is_in_centimetres_and_has_rounded_rotations(tmp_path):
    (tmp_path / "calibration_160422.json").write_text(json.dumps(PANOPTIC))
    read = read_rig_file(tmp_path / "calibration_160422.json")
    assert read.kind.name == "panoptic"
    assert read.rig.names == ("01_01", "00_00")
    vga, hd = read.rig.cameras
    np.testing.assert_allclose(vga.T_cam_world[:3, 3], [-0.4606, 1.357, 2.712], atol=1e-12)
    np.testing.assert_allclose(vga.T_cam_world[:3, :3], PANOPTIC["cameras"][0]["R"], atol=1e-4)  # type: ignore[index]
    np.testing.assert_allclose(vga.T_cam_world[:3, :3] @ vga.T_cam_world[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(hd.dist, [-0.2818, 0.190994, 0.000409, 0.000461, 0.0131])
    save_rig(read.rig, tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())["cameras"]
    assert [(c["name"], c["type"], c["panel"], c["node"]) for c in again] == [
        ("01_01", "vga", 1, 1),
        ("00_00", "hd", 0, 0),
    ]
    np.testing.assert_allclose(again[0]["t"], PANOPTIC["cameras"][0]["t"], atol=1e-9)  # type: ignore[index]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("K", None, "camera '00_00' lacks `K`"),
        ("t", None, "camera '00_00' lacks `t`"),
        ("t", ["far", 0, 0], "camera '00_00' has a value of the wrong kind"),
        ("R", [[2, 0, 0], [0, 1, 0], [0, 0, 1]], "camera '00_00' has .*not a rotation matrix"),
        ("distCoef", [0.1] * 6, "camera '00_00': a distortion of 6 coefficients"),
        ("resolution", [0, 0], "camera '00_00': size 0x0"),
        ("t", [1e7, 0, 0], "cameras stand 10000. m apart"),
        ("name", "01_01", "two cameras are called '01_01'"),
    ],
)
def test_a_fault_in_a_panoptic_file_names_the_camera(tmp_path, key, value, message):
    document = json.loads(json.dumps(PANOPTIC))
    document["cameras"][1][key] = value
    if value is None:
        del document["cameras"][1][key]
    (tmp_path / "rig.json").write_text(json.dumps(document))
    with pytest.raises(CalibrationError, match=message):
        load_rig(tmp_path / "rig.json")


# --- anipose and Caliscope ----------------------------------------------------------------------------------------


def test_anipose_reads_our_fisheyes_in_our_order(tmp_path):
    cameras = pytest.importorskip("aniposelib.cameras", reason="a peer, installed for development")
    rig = rig_of(11, 4, fisheye=True)
    save_rig(rig, tmp_path / "ours.toml")
    theirs = cameras.CameraGroup.load(str(tmp_path / "ours.toml"))
    assert theirs.get_names() == list(rig.names)
    for ours, camera in zip(rig.cameras, theirs.cameras, strict=True):
        assert type(camera).__name__ == "FisheyeCamera"
        np.testing.assert_array_equal(camera.get_distortions(), ours.dist)
    theirs.dump(str(tmp_path / "theirs.toml"))
    refuse_difference(rig, load_rig(tmp_path / "theirs.toml"))


CALISCOPE = """
[cameras.7]
cam_id = 7
size = [1280, 720]
matrix = [[903.5, 0.0, 618.3], [0.0, 907.9, 394.2], [0.0, 0.0, 1.0]]
distortions = [-0.03, 0.01, 0.002, -0.001]
fisheye = true
translation = [[0.1], [-0.2], [0.6]]
rotation = [0.1, 0.2, 0.3]
exposure = "null"

[cameras.3]
cam_id = 3
size = [1280, 720]
matrix = [[760.3, 0.0, 630.0], [0.0, 761.0, 372.2], [0.0, 0.0, 1.0]]
distortions = [0.09, -0.2, 0.0004, -0.002, 0.08]
translation = [0.3, -0.1, 0.8]
rotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

[cameras.4]
cam_id = 4
size = [1280, 720]
matrix = [[760.3, 0.0, 630.0], [0.0, 761.0, 372.2], [0.0, 0.0, 1.0]]
distortions = [0.09, -0.2, 0.0004, -0.002, 0.08]
rotation = "null"
"""


def test_caliscopes_cameras_load_and_those_without_a_pose_are_told(tmp_path):
    path = tmp_path / "array.toml"
    path.write_text(CALISCOPE)
    read = read_rig_file(path)
    assert (read.kind.name, read.rig.names, read.without_pose) == ("caliscope", ("cam_7", "cam_3"), ("cam_4",))
    assert [camera.lens for camera in read.rig.cameras] == ["fisheye", "pinhole"]
    np.testing.assert_array_equal(read.rig["cam_7"].T_cam_world[:3, 3], [0.1, -0.2, 0.6])
    save_rig(read.rig, tmp_path / "camera_array.toml")
    refuse_difference(read.rig, load_rig(tmp_path / "camera_array.toml"))
    assert "[cameras.7]" in (tmp_path / "camera_array.toml").read_text()
    path.write_text(CALISCOPE.replace("rotation = [", "turn = ["))
    with pytest.raises(CalibrationError, match="none of its cameras has a place in the room"):
        load_rig(path)


def test_other_names_than_cam_n_survive_caliscope(tmp_path):
    rig = rig_of(12, 5)
    named = CameraRig(tuple(replace(c, name="front" if i == 3 else c.name) for i, c in enumerate(rig.cameras)))
    save_rig(named, tmp_path / "camera_array.toml")
    refuse_difference(named, load_rig(tmp_path / "camera_array.toml"))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings are not part of the project")
@pytest.mark.parametrize("file", ["caliscope/session_a/camera_array.toml", "caliscope/session_c/camera_array.toml"])
def test_real_calibrations_of_caliscope_load(file):
    read = read_rig_file(SHARED / file)
    assert (read.kind.name, len(read.rig.cameras), read.without_pose) == ("caliscope", 4, ())


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings are not part of the project")
@EVERY_KIND
def test_real_calibrations_pass_through_every_kind(tmp_path, kind):
    for file in ("caliscope/session_c/camera_array.toml", "pose2sim/calibration/Calib.qca.txt"):
        rig = load_rig(SHARED / file)
        save_rig(rig, tmp_path / NAMES[kind], kind)
        refuse_difference(rig, load_rig(tmp_path / NAMES[kind]))
        for path in tmp_path.rglob("*.yml"):
            path.unlink()
