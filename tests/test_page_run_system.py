"""The whole: `run_system.py`, its page in a real browser, a camera killed for real, a recording made by clicking."""

import time
from pathlib import Path

import pytest
import yaml

from benchmarks.page_reader import PageReader
from nodes.commands.live import demo_config
from nodes.sessions.reader import SessionReader
from nodes.wire.messages import Keypoints2D, Pose3D
from tests import browser
from tests.live_system import running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOLD_WITHIN_S = 2.0


@pytest.fixture
def two_cameras(tmp_path: Path) -> Path:
    """Two of the demo's cameras, so that software drawing finds some of the processor left."""
    demo = yaml.safe_load(demo_config().read_text())
    folder = demo_config().parent
    cameras = {name: {**demo["cameras"][name], "path": str(folder / demo["cameras"][name]["path"])} for name in CAMERAS}
    document = {
        "calibration": str(folder / demo["calibration"]),
        "cameras": cameras,
        "recording": {"folder": str(tmp_path / "takes")},
        "preview": {"enabled": True, "rate_hz": 2},
    }
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


CAMERAS = ("front", "right")


@pytest.mark.timeout(300)
def test_a_camera_killed_is_told_and_comes_back_and_clicks_make_a_recording(two_cameras, tmp_path):
    with running(tmp_path, "live", "--config", str(two_cameras), page=True) as system:
        assert system.page_port is not None
        system.wait_for(lambda message: isinstance(message, Pose3D) and bool(message.people))
        with browser.opened(f"http://127.0.0.1:{system.page_port}", size=(1024, 700)) as shown:
            shown.wait_for("1 person")
            with PageReader(system.page_port) as reader:  # what a browser is sent, however slowly software draws it
                reader.wait_for("1 person")
                system.node("front").kill()
                killed_s = time.monotonic()
                reader.wait_for("front: its process has ended")
                told_s = time.monotonic() - killed_s
            shown.wait_for("front: its process has ended")
            back_ns = system.wait_for(lambda m: isinstance(m, Keypoints2D) and m.source == "front" and m.seq < 5)
            shown.type_into("Name", "clicked")
            shown.page.get_by_role("button", name="Record", exact=True).evaluate("button => button.click()")
            shown.wait_for("Stop recording")
            system.listen(2.0)
            shown.press("Stop recording")
            shown.wait_for("Record")
            take = tmp_path / "takes" / "clicked.mcap"
            system.wait_for(lambda _: take.exists() and is_whole(take))
            system.node("nodes.viewer").kill()
            system.wait_for(lambda message: isinstance(message, Pose3D) and message.captured_ns > back_ns)
            assert [error for error in shown.errors if "WebSocket" not in error and "ERR_" not in error] == []
    assert told_s < TOLD_WITHIN_S
    with SessionReader(take) as session:
        assert session.counts["pose/fusion"] > 10


def is_whole(take: Path) -> bool:
    """Whether it has been ended in order."""
    with SessionReader(take) as session:
        return not session.is_cut
