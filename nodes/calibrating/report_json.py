"""The report as JSON, for programs. docs/calibration-report.md explains every key."""

import json
import math
from typing import Any

from calibration.board import CharucoBoard
from calibration.measure import Spacing
from calibration.rig import Camera
from calibration.verdict import Judged
from nodes.calibrating.report import CameraTold, Figures, Report, made_with

SCHEMA = 1


def json_text(report: Report) -> str:
    """Never NaN: null where nothing is known."""
    return json.dumps(_finite(document(report)), indent=1, ensure_ascii=False) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    posed = {camera.name: camera for camera in report.calibrated}
    return {
        "schema": SCHEMA,
        "kind": report.kind,
        "made_with": made_with(),
        "what": report.what,
        **_judged(report.judgement.whole),
        "notes": list(report.notes),
        "board": _board(report.board, report.spacing),
        "train": _figures(report.train),
        "held_out": _figures(report.held_out),
        "cameras": {
            name: {
                **_camera(posed.get(name), report.has_poses),
                **_told(told),
                **_judged(report.judgement.cameras.get(name)),
            }
            for name, told in report.cameras.items()
        },
        "pairs": {f"{one}-{other}": instants for (one, other), instants in report.pairs.items()},
        "compared": {
            name: {"held_out": _figures(other.held_out), "board": _board(report.board, other.spacing)}
            for name, other in report.compared.items()
        },
    }


def _judged(judged: Judged | None) -> dict[str, Any]:
    if judged is None:
        return {"verdict": "unknown", "reasons": [], "advice": []}
    return {"verdict": judged.verdict, "reasons": list(judged.reasons), "advice": list(judged.advice)}


def _board(board: CharucoBoard | None, spacing: Spacing | None) -> dict[str, Any] | None:
    if board is None:
        return None
    return {
        "columns": board.columns,
        "rows": board.rows,
        "square_mm": 1000 * board.square_m,
        "spacing_mm": None if spacing is None else spacing.mm,
        "spacing_sd_mm": None if spacing is None else spacing.sd_mm,
        "spacing_error_p95_mm": None if spacing is None else spacing.error_p95_mm,
    }


def _figures(figures: Figures | None) -> dict[str, Any] | None:
    return None if figures is None else dict(vars(figures))


def _camera(camera: Camera | None, has_poses: bool) -> dict[str, Any]:
    if camera is None:
        return {"size_wh": None, "lens": None, "focal_px": None, "position_m": None}
    return {
        "size_wh": list(camera.size_wh),
        "lens": camera.lens,
        "focal_px": [float(camera.K[0, 0]), float(camera.K[1, 1])],
        "position_m": camera.T_world_cam[:3, 3].tolist() if has_poses else None,
    }


def _told(told: CameraTold) -> dict[str, Any]:
    return {
        "sigma_position_mm": told.sigma_position_mm,
        "sigma_rotation_deg": told.sigma_rotation_deg,
        "sigma_aim_mm": told.sigma_aim_mm,
        "offset_ms": told.offset_ms,
        "frames": told.frames,
        "coverage_share": told.coverage_share,
        "train": _figures(told.train),
        "held_out": _figures(told.held_out),
    }


def _finite(value: Any) -> Any:
    """Without NaN and infinity, which are not JSON."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
