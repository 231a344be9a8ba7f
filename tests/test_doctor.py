"""The doctor: what it says, and that it says it where half of everything is missing."""

import errno
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nodes.system import v4l2
from nodes.system.doctor_config import check_config
from nodes.system.doctor_packages import mend_import
from nodes.system.finding import Finding
from nodes.system.v4l2 import Mode, read_modes
from tests.test_live import free_port

ROOT = Path(__file__).parents[1]


class Webcam:
    """The kernel's side of the four questions, with the layouts of linux/videodev2.h."""

    def __init__(self, capabilities: int = v4l2.CAN_CAPTURE, of_this_node: int = v4l2.CAN_CAPTURE) -> None:
        self._capabilities = (capabilities, of_this_node)
        self._sizes = {b"MJPG": [(1280, 720), (640, 480)], b"YUYV": [(640, 480)]}

    def __call__(self, handle: int, request: int, block: bytearray) -> None:
        index, second = struct.unpack_from("<II", block, 0)
        pixel_format = struct.pack("<I", second)
        if request == v4l2.QUERYCAP:
            block[16:26] = b"Fine Cam 2"
            struct.pack_into("<II", block, 84, *self._capabilities)
        elif request == v4l2.ENUM_FMT and index < 2 and second == v4l2.CAPTURE_TYPE:
            block[44:48] = (b"MJPG", b"YUYV")[index]
        elif request == v4l2.ENUM_FRAMESIZES and index < len(self._sizes[pixel_format]):
            struct.pack_into("<III", block, 8, v4l2.DISCRETE, *self._sizes[pixel_format][index])
        elif request == v4l2.ENUM_FRAMEINTERVALS and index < 2:
            struct.pack_into("<III", block, 16, v4l2.DISCRETE, *((1001, 30000), (1, 60))[index])
        else:
            raise OSError(errno.EINVAL, "no more")


def test_a_webcam_tells_its_modes():
    name, modes = read_modes(0, Webcam()) or ("", [])
    assert name == "Fine Cam 2"
    assert modes == [
        Mode("MJPG", (1280, 720), (60.0, 29.97)),
        Mode("MJPG", (640, 480), (60.0, 29.97)),
        Mode("YUYV", (640, 480), (60.0, 29.97)),
    ]
    assert str(modes[0]) == "MJPG 1280x720 @ 60/29.97"


def test_the_metadata_node_of_a_webcam_is_no_camera():
    assert read_modes(0, Webcam(of_this_node=0x00A00000)) is None  # metadata capture, streaming


def test_an_unplugged_camera_is_a_fault_and_no_end_of_a_list():
    def gone(handle: int, request: int, block: bytearray) -> None:
        raise OSError(errno.ENODEV, "No such device")

    with pytest.raises(OSError, match="No such device"):
        read_modes(0, gone)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("ModuleNotFoundError: No module named 'cv2'", 'not installed: pip install "livepose3d[live]"'),
        ("ImportError: libGL.so.1: cannot open shared object file", "libGL.so.1 is missing: apt install libgl1"),
        ("ImportError: numpy.core.multiarray failed to import", "in a fresh virtual environment"),
    ],
)
def test_a_package_that_does_not_load_is_told_with_its_remedy(error, remedy):
    assert remedy in mend_import("cv2", error)


def faults(path: Path) -> list[Finding]:
    return [finding for finding in check_config(path) if finding.mark == "!!"]


def config(tmp_path: Path, **changes: object) -> Path:
    port = free_port()
    demo = ROOT / "configs" / "demo"
    document = {
        "calibration": str(demo / "rig.toml"),
        "truth": str(demo / "truth.npz"),
        "cameras": {"front": {"source": "video", "path": str(demo / "front.mp4")}},
        "hub": {"inner": f"tcp://127.0.0.1:{port}", "outer": f"tcp://127.0.0.1:{port + 1}"},
    }
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(document | changes))
    return path


def test_a_good_configuration_has_no_fault(tmp_path):
    path = config(tmp_path)
    assert faults(path) == []
    about = [finding.about for finding in check_config(path)]
    assert about == ["config", "port", "port", "calibration", "truth", "front"]


@pytest.mark.parametrize(
    ("changes", "about", "said"),
    [
        ({"calibration": "none.toml"}, "calibration", "does not exist"),
        ({"truth": "none.npz"}, "truth", "does not exist"),
        ({"cameras": {"front": {"source": "video", "path": "none.mp4"}}}, "front", "correct `path`"),
        ({"cameras": {"front": {"source": "device", "device": "/dev/none"}}}, "front", "plug the camera in"),
        ({"cameras": {"garage": {"source": "stream", "url": "rtsp://x"}}}, "calibration", "no camera 'garage'"),
        ({"camras": {}}, "config", "did you mean `cameras`?"),
    ],
)
def test_each_fault_of_a_configuration_is_a_line(tmp_path, changes, about, said):
    (fault,) = faults(config(tmp_path, **changes))
    assert fault.about == about
    assert said in fault.text


def test_a_port_in_use_is_a_line(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        hub = {"inner": f"tcp://127.0.0.1:{port}", "outer": f"tcp://127.0.0.1:{free_port()}"}
        (fault,) = faults(config(tmp_path, hub=hub))
    assert fault.about == "port"
    assert f"port {port}" in fault.text


def test_it_runs_where_no_package_is_installed():
    """-S: without site-packages."""
    code = "import sys; from nodes.system.doctor_config import check_config; print(*check_config(None))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import nodes.system.doctor; {code}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert "cannot be checked before the packages above are there" in done.stdout


@pytest.mark.slow
def test_the_whole_doctor_speaks_in_lines():
    done = subprocess.run(
        [sys.executable, "run_system.py", "doctor", "--config", "configs/demo.yaml"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    *lines, verdict = done.stdout.splitlines()
    assert all(line[:3] in ("ok ", "!! ", "-- ") for line in lines)
    assert verdict == "all well" or done.returncode == 1
    for about in ("python", "mediapipe", "detector", "machine", "gpu", "clock", "calibration"):
        assert any(line[3:].startswith(about) for line in lines), about
    assert done.stderr == ""


def test_a_camera_of_another_machine_is_no_fault(tmp_path):
    source = {"source": "video", "path": "none.mp4", "start": False}
    assert faults(config(tmp_path, cameras={"front": source})) == []
