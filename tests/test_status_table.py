"""What stands in the terminal: complete at eighty columns, and never a NaN."""

import math
from dataclasses import replace

import pytest
from rich.console import Console

from nodes.system.status_table import plain_line, render
from nodes.watching.camera_figures import CameraStatus
from nodes.watching.monitor import Monitor, Status

LONG = "rtsp://192.168.1.23/stream1: connection refused; trying again in 1.6 s"


@pytest.fixture
def status() -> Status:
    cameras = (
        CameraStatus("front", "streaming", 7.6, 1520, 3400, 118.2, 3.1, ""),
        CameraStatus("back", "reconnecting", math.nan, 880, 900, 119.0, math.nan, LONG),
        CameraStatus("left_corner_2", "silent", math.nan, 312, 7, math.nan, math.nan, "no word from it for 4 s"),
    )
    return Status(
        cameras=cameras,
        fusion_state="running",
        ticks=100,
        rate_hz=14.8,
        latency_p50_ms=182.4,
        latency_p95_ms=260.3,
        reprojection_px=4.21,
        people=1,
        error_mm=21.4,
        has_truth=True,
        notes=("2 of 3 cameras contribute",),
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_says_everything_and_fits(status, width):
    console = Console(width=width, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(render(status, 12.0, "http://localhost:8080", width))
    lines = capture.get().splitlines()
    text = " ".join(capture.get().split())
    assert max(len(line.rstrip()) for line in lines) <= width
    front = next(line for line in lines if line.strip().startswith("front"))
    figures = ["7.6", "3400", "3.1"] if width == 60 else ["7.6", "1520", "3400", "118.2", "3.1"]
    assert front.split() == ["front", "streaming", *figures]
    assert any(line.split()[:2] == ["left_corner_2", "silent"] for line in lines)
    assert text.startswith("left_corner_2: no word from it for 4 s. 1 of 3 cameras goes on")
    assert text.count("no word from it for 4 s") == 1, "what stands in the first line is not said again"
    assert text.endswith("page: http://localhost:8080 12 s Ctrl-C stops")
    assert "fusion running 14.8 Hz latency p50 182 p95 260 ms" in text
    assert "people 1 reprojection 4.2 px error 21.4 mm" in text
    assert "2 of 3 cameras contribute" in text
    assert LONG in text
    assert "nan" not in text


def test_the_plain_line_names_what_is_wrong(status):
    text = plain_line(status, 12.0)
    assert "\n" not in text
    assert text.startswith(
        "  12.0 s | left_corner_2: no word from it for 4 s. 1 of 3 cameras goes on | fusion running  "
    )
    assert "front 7.6 fps," in text
    assert f"back - fps (reconnecting: {LONG})" in text
    assert "left_corner_2 - fps (no word from it for 4 s)" in text


def test_a_recording_that_stands_still_is_no_fault(status):
    still = replace(status, cameras=status.cameras[:1], standing=True, notes=("front: no frames for 5.0 s",))
    console = Console(width=80)
    with console.capture() as capture:
        console.print(render(still, 12.0))
    assert capture.get().startswith("Paused")
    assert "no frames" not in capture.get()
    assert "front 7.6 fps (paused)" in plain_line(still, 12.0)


def test_before_the_first_pose_and_without_truth_nothing_is_claimed():
    text = plain_line(Monitor(("left",)).status(0), 0.0)
    assert "fusion starting  no pose yet" in text
    assert "error" not in text
    assert "left - fps (is starting)" in text


def test_why_no_latency_is_told_stands_there(status):
    played = replace(status, latency_p50_ms=math.nan, latency_p95_ms=math.nan, no_latency="the poses are old")
    console = Console(width=80)
    with console.capture() as capture:
        console.print(render(played, 12.0))
    assert "no latency is told: the poses are old" in capture.get()
    assert "p50" not in capture.get() + plain_line(played, 12.0)
