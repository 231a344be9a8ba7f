"""The report of a rig that looked at a board: out of what was seen, fitted and left out."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from calibration.coverage import coverage_share
from calibration.evidence import CORNERS_TOGETHER, evidence_of, pairs_of
from calibration.measure import Measures, Spread, measured, middles
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.triangulate import REFERENCE_FOCAL_PX
from calibration.verdict import Evidence, Finding, judged
from nodes.calibrating.report import CameraTold, Compared, Figures, Kind, Report, Seen

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def report_of_board(
    kind: Kind,
    rig: CameraRig,
    board: CharucoBoard,
    sightings: BoardSightings,
    held_out: Bools,
    *,
    told: Mapping[str, CameraTold] | None = None,
    compared: Mapping[str, Measures] | None = None,
    left_out: Measures | None = None,
    found: tuple[Finding, ...] = (),
    what: str = "",
    notes: tuple[str, ...] = (),
) -> Report:
    """held_out: (T,) instants that took no part in the fit; the headline is theirs alone. found: judged elsewhere.

    left_out: measured there with rigs that were not fitted to them, where `rig` was; None: with this one. compared:
    other rigs of the same cameras, measured on the same instants, by what they shall be called. told: by camera,
    what a fit knows (sigma, offset). Raises CalibrationError as `measured` does.
    """
    rig = rig.select(sightings.cameras)
    whole = measured(rig, board, sightings)
    fitted: Measures | None = whole
    if left_out is None:
        left_out = measured(rig, board, sightings.at(held_out))
        fitted = None if held_out.all() else measured(rig, board, sightings.at(~held_out))
    known = told or {}
    evidence = _with_fit(_with_tail(evidence_of(rig, sightings, whole, left_out), rig, left_out), kind, known)
    cameras = {
        name: replace(
            _camera(known.get(name, CameraTold()), sightings, whole, held_out, c),
            train=None if fitted is None else _figures(fitted, fitted.cameras[name], c),
            held_out=_figures(left_out, left_out.cameras[name], c),
        )
        for c, name in enumerate(sightings.cameras)
    }
    others = compared or {}
    return Report(
        kind=kind,
        judgement=judged(evidence, found),
        rig=rig,
        cameras=cameras,
        what=what,
        board=board,
        spacing=left_out.spacing,
        train=None if fitted is None else _figures(fitted, fitted.whole),
        held_out=_figures(left_out, left_out.whole),
        pairs=pairs_of(sightings),
        path_m=middles(whole.points_m),
        compared={name: Compared(_figures(other, other.whole), other.spacing) for name, other in others.items()},
        notes=notes,
    )


def _with_tail(evidence: Evidence, rig: CameraRig, held_out: Measures) -> Evidence:
    """With what 95 of 100 views of each camera are below, at a focal length of 1000 px."""
    cameras = {
        camera.name: replace(
            evidence.cameras[camera.name],
            px_p95=held_out.cameras[camera.name].px_p95 * REFERENCE_FOCAL_PX / ((camera.K[0, 0] + camera.K[1, 1]) / 2),
        )
        for camera in rig.cameras
    }
    return replace(evidence, cameras=cameras)


def _with_fit(evidence: Evidence, kind: Kind, known: Mapping[str, CameraTold]) -> Evidence:
    """With what a fit knows; of a mere check, how much of a picture was seen says nothing of the calibration."""
    cameras = {
        name: replace(
            camera,
            coverage_share=None if kind == "check" else camera.coverage_share,
            sigma_aim_mm=known[name].sigma_aim_mm if name in known else None,
        )
        for name, camera in evidence.cameras.items()
    }
    return replace(evidence, cameras=cameras)


def _camera(known: CameraTold, sightings: BoardSightings, whole: Measures, held_out: Bools, c: int) -> CameraTold:
    seen = sightings.seen[c]  # (T, K)
    corners_px = sightings.corners_px[c]
    return replace(
        known,
        frames=int((seen.sum(-1) >= CORNERS_TOGETHER).sum()),
        coverage_share=coverage_share(corners_px, sightings.sizes_wh[c]),
        seen=Seen(
            points_px=corners_px[seen],
            residual_px=whole.residual_px[c][seen],
            held_out=np.broadcast_to(held_out[:, None], seen.shape)[seen],
        ),
    )


def _figures(measures: Measures, spread: Spread, camera: int | None = None) -> Figures:
    """frames: instants at which the camera (any camera) saw a corner that has a point."""
    residual_px = measures.residual_px if camera is None else measures.residual_px[camera : camera + 1]
    instants = np.isfinite(residual_px).all(-1).any((0, 2)).sum()
    return Figures(int(instants), spread.count, spread.px_p50, spread.px_p95)
