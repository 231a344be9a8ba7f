"""The summary of a run: every key that docs/summary.md promises, no NaN, never half a file."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nodes.system.summary import summarise, write_summary
from nodes.watching.accuracy import Truth
from nodes.watching.monitor import Monitor
from tests.test_monitor import MS, S, health, person, pose

DOCUMENT = Path(__file__).parents[1] / "docs" / "summary.md"


def monitor_of_a_run() -> Monitor:
    truth = Truth(np.array([0.0, 100.0]), np.zeros((2, 1, 12, 3)), None)
    monitor = Monitor(("left", "right"), truth)
    monitor.session_start_ns = pose().captured_ns
    for second in range(11):
        monitor.feed(health("left", seq=second, frames=1 + 7 * second, detect_ms_p50=90.0), second * S)
        monitor.feed(pose(second * S, people=(person(4.0),), stages_ns={"fuse": MS, "detect": 80 * MS}), second * S)
    return monitor


def test_summary_of_a_run(tmp_path):
    write_summary(summarise(monitor_of_a_run(), 10.0, {"left": 1, "fusion": 0}), tmp_path / "s.json")
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["cameras"]["left"] == {"fps": 7.0, "frames": 71, "dropped": 0, "detect_ms_p50": 90.0}
    assert summary["cameras"]["right"] == {"fps": None, "frames": 0, "dropped": 0, "detect_ms_p50": None}
    assert summary["fusion"]["ticks"] == 11
    assert summary["fusion"]["rate_hz"] == 1.0
    assert summary["fusion"]["reprojection_px_p50"] == 4.0
    assert summary["latency_ms"]["total"] == {"p50": 100.0, "p95": 100.0, "p99": 100.0}
    assert summary["latency_ms"]["detect"]["p50"] == 80.0
    assert summary["accuracy"]["mpjpe_mm"] == 0.0
    assert summary["accuracy"]["pck_150mm"] == 1.0
    assert summary["restarts"] == {"left": 1, "fusion": 0}
    assert summary["people"] == {"mean": 1.0, "most": 1}
    assert summary["machine"]["cores"] >= 1
    assert "numpy" in summary["versions"]


def test_a_run_in_which_nothing_came_is_still_json(tmp_path):
    write_summary(summarise(Monitor(("left",)), 0.0, {}), tmp_path / "s.json")
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["fusion"]["rate_hz"] is None
    assert summary["latency_ms"]["total"]["p50"] is None
    assert "accuracy" not in summary  # no truth, no claim


def test_every_key_is_documented():
    summary = summarise(monitor_of_a_run(), 10.0, {})
    text = DOCUMENT.read_text()
    keys = set(summary) | {key for part in summary.values() if isinstance(part, dict) for key in part}
    keys |= set(summary["cameras"]["left"])
    free = {"left", "right", *summary["latency_ms"], *summary["versions"]}  # names of cameras, stages and packages
    assert {key for key in keys - free if not re.search(rf"`[\w.{{}}]*\b{key}[.`]", text)} == set()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "s.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_summary({"fusion": object()}, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
