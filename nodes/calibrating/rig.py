"""`run_system.py calibrate rig`: from a recording of a board to a calibration, its report and a verdict."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.board_path import follow
from calibration.certainty import jackknife
from calibration.cross_validation import HeldOut, cross_validated
from calibration.errors import CalibrationError
from calibration.intrinsics import Intrinsics
from calibration.lens import Lens
from calibration.measure import Measures, measured
from calibration.mirrored import mirrored_cameras
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from calibration.rig_solution import RigOptions, RigSolution, solve_rig
from calibration.sightings import BoardSightings
from calibration.verdict import Finding
from calibration.world_frame import Level, from_up, level_of, moved
from nodes.calibrating.report import CameraTold, Report
from nodes.calibrating.report_of_board import report_of_board

Progress = Callable[[str, float], None]

SIMULTANEOUS = "frames taken as simultaneous"
FLOOR = (
    "The floor is not known: z is up, as the cameras stand, and z = 0 at the lowest place where the board was. Lay the "
    "board on the floor and let `run_system.py calibrate world` set it."
)
NO_UP = (
    "Up is not known, nor is the floor: however the others are mounted, {worst} is rolled by {off_deg:.0f} degrees, so "
    "z may lean or lie. Lay the board on the floor and let `run_system.py calibrate world` set it."
)
OTHER_FOCAL, WRONG_FOCAL = 0.02, 0.05  # of the focal length: far beyond what a hundred pictures leave open
MIRROR_OFF = "switch off the mirror (selfie) mode of the camera, or of its program, and record again"
APART_S = 0.7  # frames of one moment; of cameras at 2 Hz and more they are nearer
USUAL_HZ = 30.0  # of frames that nobody has timed
UNTIMED = (
    f"Nothing tells when frames were taken: they count as {USUAL_HZ:.0f} a second, the same number as the same moment. "
    "If that is not so, milliseconds below are not milliseconds, but clocks that differ are put right all the same."
)
TURN_IT = "turn the camera, or the picture in its own settings, and calibrate again: {names}"
LATE_S = 0.005  # a clock that is off by less is not worth a line
LATE_SIGMAS = 3.0


@dataclass(frozen=True)
class RigTask:
    """What is asked for. lens: of cameras that are no pinholes. intrinsics: known ones. refine: let these move, too.

    clocks: False takes the recording's times as they are. compare: other calibrations of the same cameras.
    """

    lens: Mapping[str, Lens] = field(default_factory=dict)
    intrinsics: Mapping[str, Intrinsics] = field(default_factory=dict)
    refine: bool = False
    clocks: bool = True
    compare: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class CalibratedRig:
    """rig: z up; see docs/calibrate-rig.md. report: of it. solution: as found, in the first camera's frame."""

    rig: CameraRig
    report: Report
    solution: RigSolution


def calibrated(
    board: CharucoBoard, sightings: BoardSightings, task: RigTask, what: str, progress: Progress
) -> CalibratedRig:
    """Solve, hold against frames left out, judge. Raises CalibrationError with cameras and remedies."""
    others = {path.name: load_rig(path).select(sightings.cameras) for path in task.compare}
    _refuse_unknown_names(sightings, task)
    _refuse_lying_times(sightings)
    untimed = not np.isfinite(sightings.captured_s).any()
    if untimed:
        sightings = replace(sightings, captured_s=np.where(sightings.frame >= 0, sightings.frame / USUAL_HZ, np.nan))
    options = RigOptions(task.lens, task.intrinsics, task.refine)
    try:
        solution, held_out = _solved(board, sightings, options, task.clocks, progress)
    except CalibrationError as error:
        progress("mirrored pictures", 0.0)
        told = [finding.reason for finding in _mirrored(board, sightings, options)]
        raise CalibrationError("\n".join((*told, *([MIRROR_OFF] if told else []), str(error)))) from error
    rig = levelled(solution.rig, solution.Ts_world_board[solution.known][:, :3, 3])
    found = _other_lenses(board, sightings, replace(options, offsets=held_out.offsets), progress)
    report = _report(board, sightings, rig, solution, held_out, others, what, found)
    if report.judgement.verdict == "redo":
        progress("mirrored pictures", 0.0)
        if mirrored := _mirrored(board, sightings, options):
            report = _report(board, sightings, rig, solution, held_out, others, what, (*mirrored, *found))
    if untimed:
        report = replace(report, notes=(UNTIMED, *report.notes))
    return CalibratedRig(rig, report, solution)


def _solved(
    board: CharucoBoard, sightings: BoardSightings, options: RigOptions, clocks: bool, progress: Progress
) -> tuple[RigSolution, HeldOut]:
    """Of all frames, and how well those without a part fit that part. Raises CalibrationError."""
    held_out = cross_validated(board, sightings, options, clocks, progress)
    if held_out is None:
        solution = solve_rig(board, sightings, options, progress)  # says what is wrong, if anything is
        raise CalibrationError(
            f"the recording is too short to be checked: leaving a fifth of its {len(solution.known)} moments out, "
            "the rest does not connect the cameras any more. Record the board for longer, in front of all cameras"
        )
    return solve_rig(board, sightings, replace(options, offsets=held_out.offsets), progress), held_out


def _mirrored(board: CharucoBoard, sightings: BoardSightings, options: RigOptions) -> tuple[Finding, ...]:
    """Of a rig that does not fit: whose picture is mirrored."""
    names = mirrored_cameras(board, sightings, options)
    one_of = "one of these is mirrored: " if len(names) > 1 else ""
    return tuple(
        Finding(
            "redo", f"{one_of}the picture of {name} is mirrored", f"{MIRROR_OFF}: {{names}}", name, explains_px=True
        )
        for name in names
    )


def _refuse_unknown_names(sightings: BoardSightings, task: RigTask) -> None:
    """What is said of cameras that are not in the recording would be passed over. Raises CalibrationError."""
    for what, names in (("--fisheye", task.lens), ("--intrinsics", task.intrinsics)):
        unknown = [name for name in names if name not in sightings.cameras]
        if unknown and (what == "--fisheye" or len(unknown) == len(names)):
            raise CalibrationError(
                f"{what} tells of {', '.join(unknown)}; the recording has {', '.join(sightings.cameras)}: "
                "give these names"
            )


def _other_lenses(
    board: CharucoBoard, sightings: BoardSightings, options: RigOptions, progress: Progress
) -> tuple[Finding, ...]:
    """Lenses that were given, and that these very pictures contradict: another zoom, focus, size or camera."""
    if not options.intrinsics or options.refine:
        return ()
    progress("the lenses that were given", 0.0)
    free = solve_rig(board, sightings, replace(options, refine=True)).intrinsics
    found = []
    for name, given in options.intrinsics.items():
        if name not in free:
            continue
        focal_px, seen_px = given.vector[:2].mean(), free[name].vector[:2].mean()
        off = abs(seen_px / focal_px - 1)
        if off > OTHER_FOCAL:
            told = (
                f"{name} was given with a focal length of {focal_px:.0f} px, and its pictures say {seen_px:.0f}: "
                "that is another zoom, focus or camera"
            )
            todo = "let the pictures decide, with --refine-intrinsics, or without --intrinsics: {names}"
            found.append(Finding("redo" if off > WRONG_FOCAL else "usable", told, todo, name))
    return tuple(found)


def _refuse_lying_times(sightings: BoardSightings) -> None:
    """Frames that are said to be of one moment, and by their times are not. Raises CalibrationError."""
    times_s = sightings.captured_s
    if not np.isfinite(times_s).any():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # instants and cameras without times
        off_s = np.nanmedian(np.abs(times_s - np.nanmedian(times_s, axis=0)), axis=1)
    worst = int(np.nanargmax(off_s))
    if off_s[worst] > APART_S:
        raise CalibrationError(
            f"camera {sightings.cameras[worst]!r}: its frames are {off_s[worst]:.1f} s away from those of the other "
            "cameras that are said to be of the same moment: correct its times in timestamps.csv, or remove that file"
        )


def levelled(rig: CameraRig, places_m: npt.NDArray[np.float64]) -> CameraRig:
    """The rig with z up, as far as the cameras tell, and z = 0 at the lowest of places (N, 3) where the board was.

    x is towards the first camera that does not hang above the middle.
    """
    up = level_of(rig).up
    for camera in rig.names:
        try:
            T_new_old = from_up(rig, up, camera, 0.0)
        except CalibrationError:
            continue
        T_new_old[2, 3] -= float(rigid.transform(T_new_old, places_m)[:, 2].min())
        return moved(rig, T_new_old)
    return rig


def _report(
    board: CharucoBoard,
    sightings: BoardSightings,
    rig: CameraRig,
    solution: RigSolution,
    held_out: HeldOut,
    others: Mapping[str, CameraRig],
    what: str,
    found: tuple[Finding, ...],
) -> Report:
    level = level_of(rig)
    path = follow(rig, board, sightings, solution.offset_s)
    timed = replace(sightings, corners_px=sightings.corners_px - path.shift_px)
    return report_of_board(
        "rig",
        rig,
        board,
        timed,
        held_out.instants,
        left_out=held_out.measures,
        told=_told(solution, held_out),
        compared={f"ours, {SIMULTANEOUS}": held_out.plain, **_compared(board, sightings, others, held_out)},
        found=(*found, *_blind(sightings), *_turned(level)),
        what=what,
        notes=(_floor(level), *_clock_notes(sightings, solution, held_out), *held_out.faults),
    )


def _told(solution: RigSolution, held_out: HeldOut) -> dict[str, CameraTold]:
    """What the fit knows of each camera; sigma by its covariance or by leaving parts out, whatever is larger."""
    sure = solution.certainty.or_worse(jackknife(solution.rig, held_out.rigs, solution.places_m))
    return {
        name: CameraTold(
            sigma_position_mm=1000 * float(sure.position_m[c]),
            sigma_rotation_deg=float(np.degrees(sure.rotation_rad[c])),
            sigma_aim_mm=1000 * float(sure.aim_m[c]),
            offset_ms=1000 * float(solution.offset_s[c]) if held_out.offsets else None,
        )
        for c, name in enumerate(solution.rig.names)
    }


def _compared(
    board: CharucoBoard, sightings: BoardSightings, others: Mapping[str, CameraRig], held_out: HeldOut
) -> dict[str, Measures]:
    """Another calibration on the same instants, with the clocks that suit it best, and with none."""
    told = {}
    for name, rig in others.items():
        path = follow(rig, board, sightings, None if held_out.offsets else np.zeros(len(rig.cameras)))
        instants = held_out.instants
        told[name] = measured(rig, board, sightings.at(instants), path.shift_px[:, instants])
        told[f"{name}, {SIMULTANEOUS}"] = measured(rig, board, sightings.at(instants))
    return told


def _floor(level: Level) -> str:
    return FLOOR if level.known else NO_UP.format(worst=level.worst, off_deg=level.off_deg)


def _turned(level: Level) -> tuple[Finding, ...]:
    """Cameras whose pictures are turned: geometry does not mind, detectors of people do."""
    if not level.known:
        return ()
    said = {
        "lies on its side": level.sideways,
        "stands on its head": level.upside_down,
    }
    return tuple(
        Finding(
            "usable",
            f"the picture of {name} {how}, in which people are hardly found (its place is right)",
            TURN_IT,
            name,
        )
        for how, names in said.items()
        for name in names
    )


def _clock_notes(sightings: BoardSightings, solution: RigSolution, held_out: HeldOut) -> tuple[str, ...]:
    """What the clocks are off by, where it matters; as `latency_ms`, of which only the differences are known."""
    if not held_out.offsets:
        return ()
    sigma_s = np.fmax(solution.sigma_offset_s, held_out.sigma_offset_s(solution.offset_s))
    off = np.abs(solution.offset_s) > np.maximum(LATE_S, LATE_SIGMAS * sigma_s)
    if not off.any():
        return ()
    late_ms = 1000 * (solution.offset_s.max() - solution.offset_s)
    told = ", ".join(
        f"{name} {value:.0f} ± {1000 * sigma:.0f}"
        for name, value, sigma in zip(sightings.cameras, late_ms, sigma_s, strict=True)
    )
    return (
        f"Clocks: frames were captured before their time stamps by (ms, perhaps all by more): {told}. So corrected, "
        f"held-out frames fit to {held_out.measures.whole.px_p50:.2f} px; without, to {held_out.px_p50_other:.2f} px. "
        "Where cameras are always so, write it into your configuration as `latency_ms` of each camera.",
    )


def _blind(sightings: BoardSightings) -> tuple[Finding, ...]:
    """Cameras whose picture was never looked at, or had no board."""
    return tuple(
        Finding("redo", f"{name} never saw the board", "show the board to {names}, and record again", name)
        for name, seen in zip(sightings.cameras, sightings.seen, strict=True)
        if not seen.any()
    )
