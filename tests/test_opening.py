"""From the configuration to an open source, and which faults are for the user to mend."""

import math
from pathlib import Path

import pytest

from calibration.rig_file import load_rig
from configs.errors import ConfigError
from configs.schema import DeviceSource, StreamSource, VideoSource, VirtualSource
from nodes.sources.opening import open_source
from nodes.sources.source import SourceError
from tests.numbered_clips import number_in, write_clip

DEMO_RIG = Path(__file__).parents[1] / "configs" / "demo" / "rig.toml"


def test_a_video_starts_when_it_is_told(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=3)
    source = open_source("left", VideoSource(source="video", path=path, pace="pipeline", loop=True), None, 5_000)
    frames = [source.read() for _ in range(4)]
    source.close()
    assert frames[0] is not None
    assert frames[0].captured_ns == 5_000
    assert [frame and number_in(frame.image_rgb) for frame in frames] == [0, 1, 2, 0]


def test_a_virtual_camera_sees_with_its_own_calibration_late_by_its_phase():
    rig = load_rig(DEMO_RIG)
    virtual = VirtualSource(source="virtual", fps=10, pace="pipeline", phase_ms=7)
    source = open_source(rig.names[1], virtual, rig, 1_000_000_000)
    frame = source.read()
    source.close()
    assert frame is not None
    assert math.isclose(frame.captured_ns, 1_007_000_000, abs_tol=1)
    assert frame.image_rgb.shape[1::-1] == source.granted.size_wh == rig[rig.names[1]].size_wh


def test_what_only_the_user_can_mend_names_the_camera(tmp_path):
    with pytest.raises(ConfigError, match=r"cameras\.left\.path: .*does not exist"):
        open_source("left", VideoSource(source="video", path=tmp_path / "clip.mp4"), None, 0)
    with pytest.raises(ConfigError, match=r"cameras\.left: .*needs the calibration"):
        open_source("left", VirtualSource(source="virtual"), None, 0)


def test_what_may_mend_itself_is_a_lost_source(tmp_path):
    with pytest.raises(SourceError):
        open_source("left", DeviceSource(source="device", device=str(tmp_path / "video9")), None, 0)
    with pytest.raises(SourceError):
        open_source("left", StreamSource(source="stream", url="http://127.0.0.1:1/cam", timeout_s=1), None, 0)
