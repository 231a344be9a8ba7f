"""`run_system.py calibrate intrinsics`: each camera's lens by itself, and a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.clean_corners import clean
from calibration.intrinsics import Intrinsics, IntrinsicsSolution, solve_intrinsics
from calibration.lens import Lens
from calibration.lens_check import fitted_px, left_out_px
from calibration.rig import Camera, CameraRig
from calibration.sightings import CameraSightings
from calibration.triangulate import REFERENCE_FOCAL_PX
from calibration.verdict import CameraEvidence, Evidence, judged
from nodes.calibrating.report import CameraTold, Figures, Report, Seen

Array = npt.NDArray[np.float64]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Lenses:
    """lenses: by camera, in the order of what was seen."""

    lenses: dict[str, Intrinsics]
    report: Report


def lenses_of(
    board: CharucoBoard, seen: Sequence[CameraSightings], models: Mapping[str, Lens], what: str, progress: Progress
) -> Lenses:
    """All cameras. Raises CalibrationError that names the camera and the remedy."""
    found: dict[str, IntrinsicsSolution] = {}
    told: dict[str, CameraTold] = {}
    evidence: dict[str, CameraEvidence] = {}
    notes = []
    for n, each in enumerate(seen):
        progress("lenses", n / len(seen))
        corners_px, odd = clean(board.corners_m()[:, :2], each.corners_px)
        cleaned, name = replace(each, corners_px=corners_px), each.camera
        model = models.get(name, "pinhole")
        found[name] = solve_intrinsics(board, cleaned, model)
        off_px = left_out_px(board, cleaned, model)
        told[name], evidence[name] = _camera(board, cleaned, found[name], off_px)
        notes += _notes(name, found[name], odd)
    progress("lenses", 1.0)
    lenses = {name: solution.intrinsics for name, solution in found.items()}
    rig = CameraRig(tuple(_placeless(lens) for lens in lenses.values()))
    report = Report(
        kind="intrinsics",
        judgement=judged(Evidence(cameras=evidence)),
        rig=rig,
        cameras=told,
        what=what,
        has_poses=False,
        board=board,
        notes=tuple(notes),
    )
    return Lenses(lenses, report)


def _camera(
    board: CharucoBoard, seen: CameraSightings, solution: IntrinsicsSolution, off_px: Array
) -> tuple[CameraTold, CameraEvidence]:
    train = _figures(solution.residual_px)
    held_out = _figures(off_px)
    all_px = fitted_px(board, solution.intrinsics, seen.corners_px)
    known = seen.seen
    told = CameraTold(
        frames=solution.usable,
        coverage_share=solution.coverage_share,
        train=train,
        held_out=held_out,
        seen=Seen(seen.corners_px[known], all_px[known], np.isfinite(off_px).all(-1)[known]),
    )
    scale = REFERENCE_FOCAL_PX / solution.intrinsics.vector[0]
    evidence = CameraEvidence(
        px=held_out.px_p50 * scale, frames=solution.usable, coverage_share=solution.coverage_share
    )
    return told, evidence


def _figures(residual_px: Array) -> Figures:
    off_px = np.linalg.norm(residual_px, axis=-1)
    known = np.isfinite(off_px)
    p50, p95 = np.percentile(off_px[known], (50, 95))
    return Figures(int(known.any(1).sum()), int(known.sum()), float(p50), float(p95))


def _notes(camera: str, solution: IntrinsicsSolution, odd: int) -> list[str]:
    fx, fy = solution.intrinsics.vector[:2]
    used = (
        f"{len(solution.pictures)} pictures of {solution.usable} were used, chosen for where and how the board was held"
    )
    left = f"; {solution.dropped} did not fit and were left out" if solution.dropped else ""
    wrong = f"; {odd} corners were read wrongly" if odd else ""
    return [f"{camera}: focal length {fx:.1f}, {fy:.1f} px ± {100 * solution.sigma_focal:.2f} %; {used}{left}{wrong}."]


def _placeless(lens: Intrinsics) -> Camera:
    nowhere = rigid.from_rotation(np.eye(3), np.zeros(3))
    return Camera(lens.camera, lens.size_wh, lens.K, lens.dist, nowhere, lens=lens.lens)
