"""Any calibration against any recording of somebody who walks about: does it fit, and if not, what is wrong."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.evidence import evidence_of, of_check, pairs_of
from calibration.limits import PEOPLE_MM, STATURE_M, Limit
from calibration.measure import Measures, Spacing, middles, spread_of, triangulated
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.stature import limb_lengths_m, stature_m
from calibration.suspects import findings, suspicions
from calibration.verdict import judged
from nodes.calibrating.check_board import of_both, one_place
from nodes.calibrating.person_input import PersonSeen
from nodes.calibrating.person_instants import INSTANTS_PER_S, at_instants, lateness_s
from nodes.calibrating.report import CameraTold, Figures, Report, Seen

F64 = npt.NDArray[np.float64]

FEWEST_INSTANTS = 15  # with the person in two cameras' pictures
STEADIER = (
    "check that nothing has moved them and that their clocks agree, and calibrate again, or refine what is there from "
    "this very recording: python run_system.py calibrate people --refine …: {names}"
)
USUAL_STATURE_M = 1.7
NEAREST_M = 0.3
NO_SPACING = Spacing(0, np.nan, np.nan, np.nan, np.nan)


def check_people(rig: CameraRig, person: PersonSeen, what: str) -> Report:
    """As `check_board`, with joints in place of corners. Raises CalibrationError when it cannot be judged."""
    rig, seen, notes = of_both(rig, at_instants(person))
    together = max(pairs_of(seen).values(), default=0)
    if together < FEWEST_INSTANTS:
        raise CalibrationError(
            f"it cannot be judged: two cameras saw the person together at {together} moments only, {INSTANTS_PER_S:g} "
            f"of which make a second, and {FEWEST_INSTANTS} are needed: record somebody who walks where the pictures "
            "of the cameras overlap"
        )
    measures = _measured(rig, seen)
    limit = _limit(rig, person, measures)
    found = findings(suspicions(rig, seen.corners_px, limit))
    late_s: dict[str, float] = {}
    if not found and any(limit.verdict(spread.px_p50_at_1000) != "good" for spread in measures.cameras.values()):
        late_s = lateness_s(rig, person, seen)
    if late_s:
        before, (_, seen, _) = measures.whole.px_p50, of_both(rig, at_instants(person, late_s))
        measures = _measured(rig, seen)
        notes += (_late_note(late_s, measures.whole.px_p50, before),)
    lengths, limit = limb_lengths_m(person.tracks[0].joints, measures.points_m), _limit(rig, person, measures)
    evidence = replace(
        of_check(evidence_of(rig, seen, measures, measures)),
        px_limit=limit,
        stature_m=stature_m(lengths),
        what="the person",
        px_advice=STEADIER,
    )
    path_m, px = middles(measures.points_m), measures.whole.px_p50_at_1000
    return Report(
        kind="check",
        judgement=judged(evidence, found),
        rig=rig,
        cameras={name: _camera(person, seen, measures, late_s, c) for c, name in enumerate(seen.cameras)},
        what=what,
        held_out=_figures(measures),
        pairs=pairs_of(seen),
        path_m=path_m,
        notes=(*notes, *one_place(path_m), *(_body_notes(lengths) if limit.verdict(px) != "redo" else ())),
    )


def _late_note(late_s: Mapping[str, float], px: float, before: float) -> str:
    told = ", ".join(f"{name} {1000 * value:+.0f} ms" for name, value in late_s.items())
    return f"The cameras' clocks are late by {told}. With that mended it fits to {px:.1f} px, else to {before:.1f}."


def _measured(rig: CameraRig, seen: BoardSightings) -> Measures:
    points_m = triangulated(rig, seen.corners_px)
    residual_px = seen.corners_px - rig.project(points_m)
    return Measures(
        points_m=points_m,
        residual_px=residual_px,
        instants=int(np.isfinite(points_m).all(-1).any(1).sum()),
        whole=spread_of(rig, residual_px),
        cameras={name: spread_of(rig.select((name,)), residual_px[c : c + 1]) for c, name in enumerate(rig.names)},
        spacing=NO_SPACING,
    )


def _camera(
    person: PersonSeen, seen: BoardSightings, measures: Measures, late_s: Mapping[str, float], c: int
) -> CameraTold:
    track = next(track for track in person.tracks if track.camera == seen.cameras[c])
    there = seen.seen[c]
    return CameraTold(
        frames=len(track.captured_s),
        offset_ms=None if not late_s else -1000 * late_s[track.camera],
        held_out=_figures(measures, c),
        seen=Seen(seen.corners_px[c][there], measures.residual_px[c][there], np.ones(int(there.sum()), dtype=bool)),
    )


def _figures(measures: Measures, camera: int | None = None) -> Figures:
    spread = measures.whole if camera is None else list(measures.cameras.values())[camera]
    residual_px = measures.residual_px if camera is None else measures.residual_px[camera : camera + 1]
    instants = int(np.isfinite(residual_px).all(-1).any((0, 2)).sum())
    return Figures(instants, spread.count, spread.px_p50, spread.px_p95)


def _body_notes(lengths: dict[str, tuple[float, float]]) -> tuple[str, ...]:
    if not lengths:
        return ()
    told = ", ".join(f"{limb} {100 * middle:.1f} cm ± {spread:.0%}" for limb, (middle, spread) in lengths.items())
    return (f"By this calibration the person is about {stature_m(lengths):.2f} m tall ({told}).",)


def _limit(rig: CameraRig, person: PersonSeen, measures: Measures) -> Limit:
    """PEOPLE_MM in pixels at the recording's distance; in a wrong unit, as if the person were of usual size."""
    stature = stature_m(limb_lengths_m(person.tracks[0].joints, measures.points_m))
    low, high = STATURE_M
    scale = 1.0 if low <= stature <= high or not stature > 0 else USUAL_STATURE_M / stature
    places = np.stack([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    apart_m = np.linalg.norm(measures.points_m - places[:, None, None], axis=-1)
    return PEOPLE_MM.times(1 / max(NEAREST_M, scale * float(np.nanmedian(apart_m))))
