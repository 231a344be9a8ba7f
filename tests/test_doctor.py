"""The doctor: what it says, and that it says it where half of everything is missing."""

import errno
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.ports import free_port_pair
from nodes.system import v4l2
from nodes.system.doctor_config import check_config
from nodes.system.doctor_packages import mend_import
from nodes.system.finding import Finding
from nodes.system.v4l2 import Mode, read_modes
from tests.numbered_clips import SIZE_WH
from tests.test_network_stream import http_server, send_mjpeg

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
    port, page_port = free_port_pair(), free_port_pair()
    demo = ROOT / "configs" / "demo"
    document = {
        "calibration": str(demo / "rig.toml"),
        "truth": str(demo / "truth.npz"),
        "cameras": {"front": {"source": "video", "path": str(demo / "front.mp4")}},
        "hub": {"inner": f"tcp://127.0.0.1:{port}", "outer": f"tcp://127.0.0.1:{port + 1}"},
        "viewer": {"port": page_port},
    }
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(document | changes))
    return path


def test_a_good_configuration_has_no_fault(tmp_path):
    path = config(tmp_path)
    assert faults(path) == []
    about = [finding.about for finding in check_config(path)]
    assert about == ["config", "port", "port", "page", "calibration", "truth", "front"]


def test_one_camera_without_calibration_is_news_and_no_fault(tmp_path):
    path = tmp_path / "one.yaml"
    clip = ROOT / "configs" / "demo" / "front.mp4"
    path.write_text(yaml.safe_dump({"cameras": {"front": {"source": "video", "path": str(clip)}}}))
    (finding,) = [finding for finding in check_config(path) if finding.about == "calibration"]
    assert finding.mark == "--"
    assert "relative to the hips" in finding.text


@pytest.mark.parametrize(
    ("changes", "about", "said"),
    [
        ({"calibration": "none.toml"}, "calibration", "does not exist"),
        ({"truth": "none.npz"}, "truth", "does not exist"),
        ({"cameras": {"front": {"source": "video", "path": "none.mp4"}}}, "front", "correct `path`"),
        ({"cameras": {"front": {"source": "device", "device": "/dev/none"}}}, "front", "plug the camera in"),
        ({"cameras": {"garage": {"source": "virtual"}}}, "calibration", "no camera 'garage'"),
        ({"cameras": {"front": {"source": "device", "device": "/dev/null"}}}, "front", "does not answer as a camera"),
        ({"cameras": {"front": {"source": "virtual", "motion": "fly"}}}, "front", "no motion 'fly': choose one of"),
        ({"viewer": {"host": "0.0.0.0"}}, "page", "ssh -L 8080:127.0.0.1:8080"),
        ({"viewer": {"host": "::1234"}}, "page", "shown on this machine alone"),
        ({"viewer": {"host": "localhost.example.com"}}, "page", "shown on this machine alone"),
        ({"viewer": {"host": "127.evil.example"}}, "page", "shown on this machine alone"),
        ({"camras": {}}, "config", "did you mean `cameras`?"),
    ],
)
def test_each_fault_of_a_configuration_is_a_line(tmp_path, changes, about, said):
    (fault,) = faults(config(tmp_path, **changes))
    assert fault.about == about
    assert said in fault.text


def test_a_port_that_the_page_cannot_have_is_a_fault_with_its_holder(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        (fault,) = faults(config(tmp_path, viewer={"port": holder.getsockname()[1]}))
    assert fault.about == "page"
    assert f"process {os.getpid()} (" in fault.text
    assert "--page-port 8081" in fault.text


def line_of(path: Path, about: str) -> Finding:
    (line,) = (finding for finding in check_config(path) if finding.about == about)
    return line


@pytest.mark.skipif(sys.platform != "linux", reason="device paths")
@pytest.mark.parametrize("device", [97, "97"])
def test_a_number_means_the_same_device_as_to_the_camera_node(tmp_path, device):
    line = line_of(config(tmp_path, cameras={"front": {"source": "device", "device": device}}), "front")
    assert "/dev/video97 is not there" in line.text


@pytest.mark.skipif(sys.platform != "linux", reason="character devices")
@pytest.mark.parametrize(
    ("asked", "mark", "said"),
    [
        ({"size_wh": [1280, 720], "fps": 30}, "ok", "Fine Cam 2: MJPG 1280x720 @ 30"),
        ({"size_wh": [1280, 720], "fps": 50}, "!!", "does not grant MJPG 1280x720 @ 50: set"),
        ({"size_wh": [1920, 1080]}, "!!", "does not grant MJPG 1920x1080 @ 30: set"),
        ({"size_wh": [1280, 720], "pixel_format": "YUYV"}, "!!", "to what it does: MJPG 1280x720 @ 60/29.97, YUYV 640"),
    ],
)
def test_what_is_asked_of_a_camera_is_held_against_what_it_grants(tmp_path, monkeypatch, asked, mark, said):
    monkeypatch.setattr("nodes.system.doctor_cameras.camera_modes", lambda _: read_modes(0, Webcam()))
    line = line_of(config(tmp_path, cameras={"front": {"source": "device", "device": "/dev/null", **asked}}), "front")
    assert line.mark == mark
    assert said in line.text


def test_a_range_of_sizes_and_rates_grants_what_is_inside():
    mode = Mode("YUYV", (1920, 1080), (60.0,), any_smaller=True, any_slower=True)
    assert mode.grants("YUYV", (640, 480), 25)
    assert not mode.grants("YUYV", (640, 1200), 25)
    assert not mode.grants("YUYV", (640, 480), 90)
    assert not mode.grants("MJPG", (640, 480), 25)
    assert not Mode("YUYV", (1920, 1080), (60.0,)).grants("YUYV", (640, 480), 60)


def test_a_network_camera_is_opened_once(tmp_path):
    with http_server(send_mjpeg) as port:
        url = f"http://admin:secret@127.0.0.1:{port}/cam"
        line = line_of(config(tmp_path, cameras={"front": {"source": "stream", "url": url}}), "front")
    assert line.mark == "ok"
    assert f"http://127.0.0.1:{port}/cam: mjpeg" in line.text
    assert f"{SIZE_WH[0]}x{SIZE_WH[1]}" in line.text


def test_a_network_camera_that_is_not_there_is_a_fault_with_what_to_try(tmp_path):
    url = f"http://admin:secret@127.0.0.1:{free_port_pair()}/cam"
    line = line_of(config(tmp_path, cameras={"front": {"source": "stream", "url": url}}), "front")
    assert line.mark == "!!"
    assert "check that the server runs" in line.text
    assert "secret" not in line.text


def test_a_camera_of_another_machine_is_not_looked_for(tmp_path):
    line = line_of(config(tmp_path, cameras={"front": {"source": "device", "device": 97, "start": False}}), "front")
    assert line.mark == "--"


def test_a_port_in_use_is_a_line(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        hub = {"inner": f"tcp://127.0.0.1:{port}", "outer": f"tcp://127.0.0.1:{free_port_pair()}"}
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
