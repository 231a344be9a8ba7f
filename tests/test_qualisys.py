"""Qualisys calibrations: a small file by hand whose numbers can be followed, and the one of a real recording."""

from pathlib import Path

import numpy as np
import pytest

from calibration.errors import CalibrationError
from calibration.rig_file import load_rig

SHARED = Path(__file__).parent.parent.parent / "shared" / "data" / "pose2sim"
SINGLE = SHARED / "pose2sim_single.npz"

# A camera at (3, 0, 1.5) m that looks along -x. Its axes in Qualisys' way, in rows: x right, y up, z backwards.
BY_HAND = """<?xml version='1.0' encoding='ASCII'?>
<calibration created="today" source="by hand" type="regular">
  <cameras>
    <camera active="1" model="none" serial="cam01" viewrotation="0">
      <fov_video bottom="1079" left="0" right="1919" top="0"/>
      <transform r11="0" r12="1" r13="0" r21="0" r22="0" r23="1" r31="1" r32="0" r33="0" x="3000" y="0" z="1500"/>
      <intrinsic centerPointU="61440" centerPointV="34560" focalLengthU="64000" focalLengthV="65280" skew="0"
        radialDistortion1="-0.05" radialDistortion2="0.14" radialDistortion3="0.25"
        tangentalDistortion1="0.0006" tangentalDistortion2="0.0007"/>
    </camera>
    <camera serial="cam02">
      <fov_video bottom="1069" left="100" right="1819" top="10"/>
      <transform r11="0" r12="1" r13="0" r21="0" r22="0" r23="1" r31="1" r32="0" r33="0" x="3000" y="500" z="1500"/>
      <intrinsic centerPointU="61440" centerPointV="34560" focalLengthU="64000" focalLengthV="65280"
        radialDistortion1="0" radialDistortion2="0" radialDistortion3="0"
        tangentalDistortion1="0" tangentalDistortion2="0"/>
    </camera>
  </cameras>
</calibration>
"""


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    path = tmp_path / "small.qca.txt"
    path.write_text(BY_HAND)
    return path


def test_lengths_are_in_64ths_of_a_pixel_and_in_millimetres(by_hand):
    camera = load_rig(by_hand)["cam01"]
    assert camera.size_wh == (1920, 1080)
    np.testing.assert_array_equal(camera.K, [[1000, 0, 960], [0, 1020, 540], [0, 0, 1]])
    np.testing.assert_array_equal(camera.dist, [-0.05, 0.14, 0.0006, 0.0007, 0.25])
    np.testing.assert_allclose(camera.T_world_cam[:3, 3], [3.0, 0.0, 1.5], atol=1e-12)


def test_the_camera_sees_what_is_before_it_upright(by_hand):
    camera = load_rig(by_hand)["cam01"]
    np.testing.assert_allclose(camera.project(np.array([0.0, 0.0, 1.5])), [960, 540], atol=1e-9)
    right, above = camera.project(np.array([[0.0, 0.3, 1.5], [0.0, 0.0, 1.8]]))
    assert right[0] > 960, "it looks along -x, so +y is on its right"
    assert above[1] < 540, "pixels count downwards"
    assert np.isnan(camera.project(np.array([4.0, 0.0, 1.5]))).all(), "that is behind it"


def test_a_cut_out_of_the_sensor_shifts_the_principal_point(by_hand):
    camera = load_rig(by_hand)["cam02"]
    assert camera.size_wh == (1720, 1060)
    np.testing.assert_array_equal(camera.K[:2, 2], [860, 530])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("focalLengthU", "focalLength", "camera 'cam01' lacks 'focalLengthU'"),
        ('r23="1"', "", "camera 'cam01' lacks 'r23'"),
        ('x="3000"', 'x="far"', "camera 'cam01' lacks 'x'"),
        ('x="3000"', 'x="nan"', "camera 'cam01'"),
        ('r11="0"', 'r11="1"', "camera 'cam01': not a rotation matrix"),
        ("<transform", "<transformation", "camera 'cam01' lacks <transform>"),
        ("<fov_video", "<fov", "camera 'cam01' lacks <fov_video>"),
        ("cam02", "cam01", "two cameras are called 'cam01'"),
        ("<camera ", "<kamera ", "this is not a Qualisys calibration"),
        ("</calibration>", "", "this is not a Qualisys calibration"),
        ("<cameras>", "<cameras/><others>", "this is not a Qualisys calibration"),
    ],
)
def test_a_fault_names_file_and_camera(by_hand, before, after, message):
    text = BY_HAND.replace(before, after)
    assert text != BY_HAND
    by_hand.write_text(text)
    with pytest.raises(CalibrationError) as refused:
        load_rig(by_hand)
    assert str(refused.value).startswith(f"{by_hand}: ")
    assert message in str(refused.value)


def test_a_file_without_cameras_is_refused(by_hand):
    by_hand.write_text("<calibration><cameras/></calibration>")
    with pytest.raises(CalibrationError, match="no <camera> in it"):
        load_rig(by_hand)


@pytest.mark.shared
@pytest.mark.skipif(not SINGLE.is_file(), reason="the recordings are not part of the project")
def test_a_real_calibration_agrees_with_what_others_read_from_it():
    rig = load_rig(SHARED / "calibration" / "Calib.qca.txt")
    with np.load(SINGLE) as arrays:
        assert len(rig.cameras) == len(arrays["K"])
        for index, camera in enumerate(rig.cameras):
            assert camera.size_wh == tuple(arrays["image_size"][index])
            np.testing.assert_allclose(camera.K, arrays["K"][index], atol=1e-6)
            np.testing.assert_allclose(camera.dist, arrays["dist"][index], atol=1e-9)
            np.testing.assert_allclose(camera.T_cam_world[:3, :3], arrays["R"][index], atol=1e-6)
            np.testing.assert_allclose(camera.T_cam_world[:3, 3], arrays["t"][index], atol=1e-5)
