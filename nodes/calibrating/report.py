"""What is told of a calibration: filled by the words of `calibrate`, written as report.json and report.html."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from calibration.measure import Spacing
from calibration.rig import Camera, CameraRig
from calibration.verdict import Judgement

F64 = npt.NDArray[np.float64]
Kind = Literal["rig", "intrinsics", "check", "people"]


@dataclass(frozen=True)
class Figures:
    """Distances in pixels between what was seen and what the calibration says, of frames (instants) and corners."""

    frames: int
    corners: int
    px_p50: float
    px_p95: float


@dataclass(frozen=True, eq=False)
class Seen:
    """What one camera saw, for the pictures: all its points, over all frames.

    points_px: (N, 2). residual_px: (N, 2) seen minus reprojected, NaN where not known. held_out: (N,) those that were
    left out of the fit.
    """

    points_px: F64
    residual_px: F64
    held_out: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CameraTold:
    """One camera; None where nothing is known. frames: with a board (or person). offset_ms: of its clock.

    sigma_aim_mm: how far its lines of sight pass beside what they show; sigma_position_mm and sigma_rotation_deg are of
    its place and direction by themselves, larger where a lens makes good for them.
    """

    frames: int | None = None
    coverage_share: float | None = None
    train: Figures | None = None
    held_out: Figures | None = None
    sigma_position_mm: float | None = None
    sigma_rotation_deg: float | None = None
    sigma_aim_mm: float | None = None
    offset_ms: float | None = None
    seen: Seen | None = None


@dataclass(frozen=True)
class Compared:
    """Another calibration, on the same held-out frames."""

    held_out: Figures
    spacing: Spacing | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """rig: the cameras as calibrated; None when none could be. cameras: told of, by name, also those not in the rig.

    has_poses: False where the cameras' places mean nothing (intrinsics). pairs: instants that two cameras share.
    path_m: (T, 3) where the board (or person) was, world, NaN where not known. compared: by name of the other
    calibration, such as "before". what: was looked at, one sentence. notes: what else the reader should know.
    """

    kind: Kind
    judgement: Judgement
    rig: CameraRig | None
    cameras: Mapping[str, CameraTold]
    what: str = ""
    has_poses: bool = True
    board: CharucoBoard | None = None
    spacing: Spacing | None = None
    train: Figures | None = None
    held_out: Figures | None = None
    pairs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    path_m: F64 | None = None
    compared: Mapping[str, Compared] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def calibrated(self) -> tuple[Camera, ...]:
        """The cameras of the rig; none when there is none."""
        return () if self.rig is None else self.rig.cameras


def measured_on(report: Report) -> str:
    """What the figures called held_out are of."""
    return "this recording" if report.kind == "check" else "held-out frames"


def made_with() -> str:
    """Name and version of this program."""
    try:
        return f"livepose3d {version('livepose3d')}"
    except PackageNotFoundError:
        return "livepose3d"


def write_report(folder: Path, report: Report) -> tuple[Path, Path]:
    """report.json and report.html in the folder, which is made; atomic. Returns both paths.

    The page's pictures are by matplotlib; without it the page has none, and says so.
    """
    from nodes.calibrating.report_json import json_text
    from nodes.calibrating.report_page import page_text

    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "report.json", folder / "report.html"
    for path, text in zip(told, (json_text(report), page_text(report)), strict=True):
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    return told
