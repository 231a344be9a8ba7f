"""What a camera node says about itself."""

import math

import pytest

from configs import schema
from nodes.camera_ledger import CameraLedger
from nodes.capture import CaptureStatus
from nodes.sources.source import Granted

MS = 1_000_000


def status(granted, state="streaming", note=""):
    return CaptureStatus(state, granted, captured=100, dropped=7, reconnects=2, note=note)


def ledger(**asked):
    return CameraLedger("left", schema.DeviceSource(source="device", device=0, **asked))


def test_rate_detector_time_and_counts():
    made = ledger()
    for k in range(31):
        made.detected(k * 40 * MS, (10 + k % 3) * MS, (1280, 720))
    health = made.health(0, status(Granted((1280, 720), 30.0, "MJPG")))
    assert health.fps == pytest.approx(25)
    assert health.detect_ms_p50 == pytest.approx(11)
    assert (health.frames, health.dropped, health.reconnects) == (31, 7, 2)
    assert (health.asked_size_wh, health.asked_fps) == ((1280, 720), 30.0)
    assert (health.granted_size_wh, health.granted_fps, health.granted_format) == ((1280, 720), 30.0, "MJPG")
    assert health.note == ""


def test_another_size_and_rate_than_asked_are_named_with_both_numbers():
    made = ledger(size_wh=(1920, 1080), fps=60)
    made.detected(0, MS, (1280, 720))
    note = made.health(0, status(Granted((1280, 720), 30.0, "YUYV"))).note
    assert "asked for 1920x1080, gives 1280x720" in note
    assert "asked for 60 frames per second, gives 30" in note


def test_what_a_lost_source_says_comes_first():
    note = ledger(fps=60).health(0, status(Granted((1280, 720), 30.0, "MJPG"), "reconnecting", "unplugged")).note
    assert note == "unplugged"


def test_before_anything_is_known():
    health = ledger().health(5, None, state="ready")
    assert (health.state, health.frames) == ("ready", 0)
    assert math.isnan(health.fps)
    made = ledger()
    assert [made.health(0, None).seq for _ in range(3)] == [0, 1, 2]


def test_no_rate_is_told_where_time_stands_still_or_goes_back():
    made = ledger()
    for captured_ns in (5, 5, 5, 4):
        made.detected(captured_ns, MS, (1280, 720))
        assert math.isnan(made.health(0, None).fps)
