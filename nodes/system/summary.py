"""The figures of a whole run as JSON; docs/summary.md says what each means. What is unknown is null."""

import json
import math
import os
from pathlib import Path
from typing import Any

from nodes.machine import machine, versions
from nodes.watching.camera_figures import CameraFigures
from nodes.watching.figures import Samples
from nodes.watching.monitor import Monitor

SUMMARY_VERSION = 1


def summarise(monitor: Monitor, seconds: float, restarts: dict[str, int]) -> dict[str, Any]:
    """The summary. seconds: from the session's start to the end of the run."""
    poses = monitor.poses
    summary = {
        "version": SUMMARY_VERSION,
        "seconds": round(seconds, 3),
        "cameras": {name: _camera(camera) for name, camera in monitor.cameras.items()},
        "fusion": {
            "ticks": poses.ticks,
            "valid_ticks": poses.valid_ticks,
            "occupied_ticks": poses.occupied_ticks,
            "rate_hz": poses.rate_hz,
            "longest_gap_ms": poses.longest_gap_ns / 1e6 if poses.ticks > 1 else math.nan,
            "reprojection_px_p50": poses.reprojection_px.percentile(50),
        },
        "people": {
            "mean": poses.people_total / poses.ticks if poses.ticks else math.nan,
            "most": poses.people_most,
        },
        "latency_ms": {stage: _percentiles(samples) for stage, samples in poses.latency_ms.items()},
        "restarts": dict(restarts),
        "machine": machine(),
        "versions": versions(),
    }
    if monitor.recorder is not None and monitor.recorder.path:
        told = ("path", "state", "messages", "bytes", "lost", "note")
        summary["recording"] = {name: getattr(monitor.recorder, name) for name in told}
    if monitor.accuracy is not None:
        accuracy = monitor.accuracy
        summary["accuracy"] = {
            "mpjpe_mm": accuracy.mpjpe_mm,
            "error_mm_p50": accuracy.error_mm.percentile(50),
            "error_mm_p95": accuracy.error_mm.percentile(95),
            "pck_150mm": accuracy.pck,
            "reported": accuracy.reported,
            "ticks": accuracy.ticks,
        }
    return summary


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Write it so that a reader sees the old file or the new one, never half of it. OSError when it cannot."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(json.dumps(_plain(summary), indent=2, allow_nan=False) + "\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _camera(camera: CameraFigures) -> dict[str, Any]:
    return {
        "fps": camera.fps,
        "frames": camera.frames,
        "dropped": camera.dropped,
        "detect_ms_p50": camera.detect_ms.percentile(50),
    }


def _percentiles(samples: Samples) -> dict[str, float]:
    return {f"p{percent}": samples.percentile(percent) for percent in (50, 95, 99)}


def _plain(value: Any) -> Any:
    """JSON knows no NaN: null. Floats to six digits, which is more than any figure here is worth."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
