"""`run_system.py calibrate people`: from a recording of somebody who walks to a calibration, its report and verdict."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.evidence import pairs_of, widest_angles_deg
from calibration.intrinsics_file import load_intrinsics
from calibration.limits import PEOPLE_MM, Limit
from calibration.measure import middles, triangulated
from calibration.people.held_out import Fit, Spread
from calibration.people.solve import Options, PeopleSolution, solve_from_people
from calibration.people.track import PersonTrack, between_frames
from calibration.rig import Camera, CameraRig
from calibration.rig_file import load_rig
from calibration.sightings import BoardSightings
from calibration.verdict import CameraEvidence, Evidence, Finding, judged
from calibration.world_frame import level_of, mounted
from nodes.calibrating.people_tracks import Walk, rig_of_sequence, walk_of
from nodes.calibrating.report import CameraTold, Compared, Figures, Report, Seen

F64 = npt.NDArray[np.float64]
Progress = Callable[[str, float], None]

SAME_SHAPE = 0.01  # share by which the proportions of two picture sizes may differ
# Of the rig's size, and degrees: how far it comes out differently when parts of the recording are left out.
POSITION_SHARE = Limit(0.01, 0.05)
ROTATION_DEG = Limit(0.5, 2.5)
WALKED = 0.6  # own heights. Of somebody who moved by 0.27, a rig known from a board to 0.6 px was bent to 10 px off it
THROUGH = "let one person walk through the whole room, near and far, for a minute"
LONGER = "let one person walk through the whole room for a minute or longer, near and far, in front of {names}"
STEADIER = (
    "check that nothing moves the cameras, that their lenses are those of the calibration, and that the whole person "
    "is in the pictures; then record again: {names}"
)
TURNED_DEG = 30.0  # from where a calibration has it: who bumps a camera turns it by less
LATE_S, LATE_SIGMAS = 0.005, 3.0  # a clock that is off by less is not worth a line


@dataclass(frozen=True)
class PeopleTask:
    """recording: a session or a neutral .npz. calibration: with the lenses, and, to `options.start` from, the poses."""

    recording: Path
    calibration: Path
    options: Options


@dataclass(frozen=True, eq=False)
class CalibratedPeople:
    """The rig that was found, its report, and everything that was."""

    rig: CameraRig
    report: Report
    solution: PeopleSolution


def calibrated(task: PeopleTask, progress: Progress) -> CalibratedPeople:
    """Raises CalibrationError, SessionError."""
    walk = walk_of(task.recording)
    given = _given(task.calibration, task.options.start == "given")
    cameras, notes = _cameras(walk, given, task.calibration)
    solution = solve_from_people(walk.tracks, cameras, task.options, progress)
    turned = _hanging(solution.rig, z_up=task.options.start == "nothing")
    solution = replace(solution, notes=(*notes, *solution.notes, *_clocks(solution), *turned))
    return CalibratedPeople(solution.rig, _report(task, walk, solution), solution)


def _given(path: Path, with_poses: bool) -> CameraRig:
    """The cameras of a calibration file, a file of lenses, or a neutral .npz. Raises CalibrationError, SessionError."""
    if path.suffix.lower() == ".npz":
        return rig_of_sequence(path)
    if with_poses:
        return load_rig(path)
    lenses = load_intrinsics(path).values()
    return CameraRig(
        tuple(Camera(one.camera, one.size_wh, one.K, one.dist, np.eye(4), lens=one.lens) for one in lenses)
    )


def _cameras(walk: Walk, given: CameraRig, path: Path) -> tuple[tuple[Camera, ...], list[str]]:
    """The given camera of each track, for pictures of its size. Raises CalibrationError."""
    chosen = []
    for track, size_wh in zip(walk.tracks, walk.sizes_wh, strict=True):
        if track.camera not in given.names:
            raise CalibrationError(
                f"camera {track.camera!r} of the recording is not in {path}, which has {', '.join(given.names)}: give "
                "a calibration with its lens (run_system.py calibrate intrinsics makes one), or rename cameras with "
                "run_system.py calibrate convert --names"
            )
        camera = given[track.camera]
        (w, h), (width, height) = camera.size_wh, size_wh
        if abs(width * h / (height * w) - 1) > SAME_SHAPE:
            raise CalibrationError(
                f"camera {track.camera!r} is calibrated for pictures of {w}x{h}, but the recording's are "
                f"{width}x{height}: record at the calibrated size, or calibrate the lens at this one"
            )
        chosen.append(camera if (w, h) == size_wh else camera.resized(size_wh))
    absent = [name for name in given.names if name not in [camera.name for camera in chosen]]
    notes = [f"not calibrated, as nobody is seen by: {', '.join(walk.unseen)}"] if walk.unseen else []
    absent = [name for name in absent if name not in walk.unseen]
    if absent:
        notes.append(f"in {path.name} but not in the recording, and so left out: {', '.join(absent)}")
    return tuple(chosen), notes


def _clocks(solution: PeopleSolution) -> list[str]:
    """What the clocks are off by, where it matters; as `latency_ms`, of which only the differences are known."""
    off = np.abs(solution.offsets_s) > np.maximum(LATE_S, LATE_SIGMAS * solution.sigma_offset_s)
    if not off.any():
        return []
    late_ms = 1000 * (solution.offsets_s.max() - solution.offsets_s)
    told = ", ".join(f"{name} {value:.0f}" for name, value in zip(solution.rig.names, late_ms, strict=True))
    return [
        f"clocks: frames were captured before their time stamps by (ms, perhaps all by more): {told}. Where cameras "
        "are always so, write it into your configuration as `latency_ms` of each camera"
    ]


def _hanging(rig: CameraRig, z_up: bool) -> list[str]:
    """Pictures that are turned; the world of a given calibration may lie, and up is then told by level cameras."""
    level = level_of(rig)
    if not z_up and not level.known:
        return []
    sideways, upside_down = mounted(rig, np.array([0.0, 0.0, 1.0]) if z_up else level.up)
    told = {"pictures that lie on their side": sideways, "upside down": upside_down}
    return [
        f"{how}: {', '.join(names)}; their places are right, but people are hardly found in such pictures"
        for how, names in told.items()
        if names
    ]


def _report(task: PeopleTask, walk: Walk, solution: PeopleSolution) -> Report:
    seen = _sightings(walk, solution)
    points_m = triangulated(solution.rig, seen.corners_px)
    residual_px = seen.corners_px - solution.rig.project(points_m)
    cameras = {
        name: CameraTold(
            frames=int((walk.tracks[c].seen.sum(1) >= 4).sum()),
            train=_figures(solution.train, name),
            held_out=_figures(solution.held_out, name),
            sigma_position_mm=1000 * float(solution.sigma_position_m[c]),
            sigma_rotation_deg=float(solution.sigma_rotation_deg[c]),
            offset_ms=1000 * float(solution.offsets_s[c]),
            seen=_pictured(seen, residual_px, c),
        )
        for c, name in enumerate(solution.rig.names)
    }
    how = "poses refined" if task.options.start == "given" else "from nothing"
    return Report(
        kind="people",
        judgement=judged(_evidence(solution, seen, points_m), _findings(solution)),
        rig=solution.rig,
        cameras=cameras,
        what=f"A person who walks, in {task.recording.name}; lenses of {task.calibration.name}, {how}; "
        f"scale by {solution.scale_from}.",
        train=_figures(solution.train),
        held_out=_figures(solution.held_out),
        pairs=pairs_of(seen),
        path_m=middles(points_m),
        compared={} if solution.before is None else {"before": Compared(_figures(solution.before))},
        notes=(*solution.notes, f"By this calibration the person is {solution.stature_m:.2f} m tall."),
    )


def _sightings(walk: Walk, solution: PeopleSolution) -> BoardSightings:
    """What all cameras saw at the same moments, their clocks put right; joints as corners."""
    at_s = solution.instants_s
    px = np.stack([_at(track, at_s - offset_s) for track, offset_s in
                   zip(walk.tracks, solution.offsets_s, strict=True)])  # fmt: skip
    shape = px.shape[:2]
    return BoardSightings(
        cameras=solution.rig.names,
        sizes_wh=walk.sizes_wh,
        captured_s=np.broadcast_to(at_s, shape),
        frame=np.broadcast_to(np.arange(len(at_s)), shape),
        corners_px=px,
        mirrored=np.zeros(shape, dtype=bool),
    )


def _at(track: PersonTrack, own_s: F64) -> F64:
    return between_frames(track.captured_s, track.keypoints_px, np.where(track.seen, track.confidence, 0.0), own_s)[0]


def _pictured(seen: BoardSightings, residual_px: F64, c: int) -> Seen:
    there = seen.seen[c]
    return Seen(seen.corners_px[c][there], residual_px[c][there], np.zeros(int(there.sum()), dtype=bool))


def _evidence(solution: PeopleSolution, seen: BoardSightings, points_m: F64) -> Evidence:
    """Figures at a focal length of 1000 px; the limit is one of millimetres beside the person."""
    places = np.stack([camera.T_world_cam[:3, 3] for camera in solution.rig.cameras])
    away_m = float(np.nanmedian(np.linalg.norm(points_m - places[:, None, None], axis=-1)))
    angles = widest_angles_deg(solution.rig, points_m, seen.seen)
    together = (seen.seen & (seen.seen.sum(0) >= 2)).sum(-1) >= 4  # (C, T)
    return Evidence(
        cameras={
            name: CameraEvidence(
                px=solution.held_out.cameras[name].p50_at_1000,
                instants=int(together[c].sum()),
                angle_deg=angles[c],
            )
            for c, name in enumerate(solution.rig.names)
        },
        px=solution.held_out.whole.p50_at_1000,
        px_limit=PEOPLE_MM.times(1 / max(away_m, 0.3)),
        pairs=pairs_of(seen),
        stature_m=solution.stature_m if np.isfinite(solution.stature_m) else None,
        what="the person",
        px_advice=STEADIER,
    )


def _findings(solution: PeopleSolution) -> list[Finding]:
    """Cameras that come out differently when parts of the recording are left out, and what these parts do not show."""
    found = []
    before, after = solution.before, solution.held_out
    if solution.walked < WALKED:
        told = (
            f"the person moves by only {solution.walked:.0%} of the own height: where a detector sees joints "
            "differently from each side, that cannot be told from cameras that stand elsewhere, however well it fits"
        )
        surely_better = before is not None and after.whole.p50 < before.whole.p50 and after.whole.p95 < before.whole.p95
        found.append(Finding("usable" if surely_better else "redo", told, THROUGH))
    for c, name in enumerate(solution.rig.names):
        share, degrees = solution.sigma_position_m[c] / solution.size_m, solution.sigma_rotation_deg[c]
        if (verdict := POSITION_SHARE.verdict(float(share))) != "good":
            told = f"the place of {name} is known to {1000 * solution.sigma_position_m[c]:.0f} mm"
            found.append(Finding(verdict, f"{told} (good: up to {POSITION_SHARE.good:.0%} of the rig)", LONGER, name))
        if (verdict := ROTATION_DEG.verdict(float(degrees))) != "good":
            told = f"the direction of {name} is known to {degrees:.1f} degrees (good: up to {ROTATION_DEG.good:g})"
            found.append(Finding(verdict, told, LONGER, name))
    if before is not None and not after.whole.p50 < before.whole.p50:
        told = f"it fits no better than before: {after.whole.p50:.2f} px, and {before.whole.p50:.2f} px before"
        found.append(Finding("redo", told, "keep the calibration that was given, or record longer"))
    return [*found, *_turned(solution)]


def _turned(solution: PeopleSolution) -> list[Finding]:
    """Cameras that look elsewhere than they are given: a mirrored person fits, as seen by a camera at another place."""
    if solution.turned_deg is None:
        return []
    return [
        Finding(
            "redo",
            f"{name} comes out turned by {degrees:.0f} degrees against the given calibration",
            "check that the picture is not mirrored, upside down or another camera's; if it was turned on purpose, "
            "write the result with --keep, or begin from nothing with --intrinsics: {names}",
            name,
        )
        for name, degrees in zip(solution.rig.names, solution.turned_deg, strict=True)
        if degrees > TURNED_DEG
    ]


def _figures(fit: Fit, camera: str | None = None) -> Figures:
    spread: Spread = fit.whole if camera is None else fit.cameras[camera]
    return Figures(fit.instants, spread.count, spread.p50, spread.p95)
