"""What speaks for and against a calibration, gathered from what its cameras saw of a board."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from calibration.coverage import coverage_share
from calibration.measure import Measures, spread_without
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.verdict import CameraEvidence, Evidence

Array = npt.NDArray[np.float64]

FEWEST_INSTANTS = 5  # together with others: below, one blurred frame decides on a camera
CORNERS_TOGETHER = 4  # of one board in both pictures, for two cameras to have seen it together


def pairs_of(sightings: BoardSightings) -> dict[tuple[str, str], int]:
    """Instants at which two cameras saw CORNERS_TOGETHER or more of the same corners, for every pair."""
    seen = sightings.seen
    return {
        (sightings.cameras[a], sightings.cameras[b]): int(((seen[a] & seen[b]).sum(-1) >= CORNERS_TOGETHER).sum())
        for a, b in combinations(range(len(sightings.cameras)), 2)
    }


def evidence_of(rig: CameraRig, sightings: BoardSightings, whole: Measures, held_out: Measures) -> Evidence:
    """What one recording tells of a rig. whole: measured on all these sightings; held_out: where the fit did not look.

    Pixels and spacing are held_out's, all else is of the whole. Cameras are matched by name. What only a fit knows
    (covariance) is added by who made it.
    """
    rig = rig.select(sightings.cameras)
    angle_deg = widest_angles_deg(rig, whole.points_m, sightings.seen)
    without = spread_without(rig, sightings.corners_px) if len(rig.cameras) > 2 else {}
    together = (sightings.seen & (sightings.seen.sum(0) >= 2)).sum(-1) >= CORNERS_TOGETHER  # (C, T)
    cameras = {}
    for c, camera in enumerate(rig.cameras):
        evidence = CameraEvidence(
            px=held_out.cameras[camera.name].px_p50_at_1000,
            frames=int((sightings.seen[c].sum(-1) >= CORNERS_TOGETHER).sum()),
            instants=int(together[c].sum()),
            coverage_share=coverage_share(sightings.corners_px[c], camera.size_wh),
            angle_deg=angle_deg[c],
        )
        if camera.name in without:
            evidence = replace(evidence, px_without=without[camera.name].px_p50_at_1000)
        cameras[camera.name] = evidence
    return Evidence(
        cameras=cameras,
        px=held_out.whole.px_p50_at_1000,
        square_mm=held_out.spacing.square_mm,
        spacing_mm=held_out.spacing.mm,
        pairs=pairs_of(sightings),
    )


def of_check(evidence: Evidence) -> Evidence:
    """Of a recording that a calibration is held against, not made from: seeing little there speaks for no redo.

    A camera that saw too little together with others has no px.
    """
    cameras = {}
    for name, camera in evidence.cameras.items():
        too_few = camera.instants is not None and camera.instants < FEWEST_INSTANTS
        px = np.nan if too_few else camera.px
        cameras[name] = replace(camera, px=px, frames=None, instants=None, coverage_share=None)
    return replace(evidence, cameras=cameras, pairs=None)


def widest_angles_deg(rig: CameraRig, points_m: Array, seen: npt.NDArray[np.bool_]) -> list[float]:
    """Per camera the median, over the points it saw, of the widest angle there to another camera that saw it.

    points_m: (..., 3) world; seen: (C, ...). NaN for a camera that saw none with another. Beyond 90 degrees the angle
    is counted from the other side: rays that are opposite fix depth as badly as parallel ones.
    """
    rays = np.stack([points_m - camera.T_world_cam[:3, 3] for camera in rig.cameras])
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    told = []
    for c in range(len(rays)):
        sine = np.linalg.norm(np.cross(rays[c], rays), axis=-1)
        sine[~(seen & seen[c])] = np.nan
        sine[c] = np.nan
        known = np.isfinite(sine).any(0)
        widest = np.nanmax(sine[:, known], axis=0)
        told.append(float(np.degrees(np.arcsin(min(1.0, np.median(widest))))) if len(widest) else np.nan)
    return told
