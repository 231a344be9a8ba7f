"""Any calibration against any recording of a board: does it fit, and if not, what is wrong."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from calibration.board_path import follow
from calibration.errors import CalibrationError
from calibration.evidence import FEWEST_INSTANTS, pairs_of
from calibration.measure import Measures, measured
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.suspects import findings, suspicions
from nodes.calibrating.report import Report
from nodes.calibrating.report_of_board import report_of_board
from nodes.stages.delivered import delivered

ONE_PLACE_M = 0.2
CLOCKS_PAY = 0.8  # of the error that is left when clocks are corrected: with more, they are not what is wrong
MOST_FOLLOWED = 2500  # instants: a minute's work
SIMULTANEOUS = "frames taken as simultaneous"


def check_board(rig: CameraRig, board: CharucoBoard, sightings: BoardSightings, what: str) -> Report:
    """Cameras are matched by name; those of the calibration alone, or of the recording alone, are told of.

    Raises CalibrationError when it cannot be judged, with the reason and the remedy.
    """
    rig, sightings, notes = of_both(rig, sightings)
    together = max(pairs_of(sightings).values(), default=0)
    if together < FEWEST_INSTANTS:
        raise CalibrationError(
            f"it cannot be judged: the board was seen by two cameras together at {together} moments only, and "
            f"{FEWEST_INSTANTS} are needed: record it where the pictures of two cameras overlap, and check that the "
            "board's file says what is printed"
        )
    found = findings(suspicions(rig, sightings.corners_px))
    compared = {}
    if not found:
        plain = measured(rig, board, sightings)
        timed, told = _with_clocks(rig, board, sightings, plain)
        if timed is not sightings:
            sightings, compared = timed, {SIMULTANEOUS: plain}
        notes += told
    everything = np.ones(sightings.frame.shape[1], dtype=bool)
    report = report_of_board(
        "check", rig, board, sightings, everything, found=found, compared=compared, what=what, notes=notes
    )
    return replace(report, notes=(*report.notes, *one_place(report.path_m)))


def one_place(path_m: npt.NDArray[np.float64] | None) -> tuple[str, ...]:
    """A note where what was seen, at path_m (T, 3), hardly moved: a calibration may fit there, and nowhere else."""
    if path_m is None or not np.isfinite(path_m).all(-1).any():
        return ()
    low, high = np.nanpercentile(path_m, (5, 95), axis=0)
    apart_m = float(np.linalg.norm(high - low))
    if apart_m > ONE_PLACE_M:
        return ()
    return (
        f"What was seen stayed within {100 * apart_m:.0f} cm: this tells of that place only. Go about the whole room.",
    )


def of_both(
    rig: CameraRig, sightings: BoardSightings, fewest: int = 2
) -> tuple[CameraRig, BoardSightings, tuple[str, ...]]:
    """The cameras that are in both, by the recording's names and its pictures' sizes, and notes of those that are not.

    `cam01` is `cam_01`. Raises CalibrationError when fewer than `fewest` are, or pictures have another shape.
    """
    pairs = {name: ours for name in sightings.cameras if (ours := _called(name, rig)) is not None}
    pairs = dict(sorted(pairs.items(), key=lambda pair: rig.names.index(pair[1])))
    if len(pairs) < fewest:
        raise CalibrationError(
            f"the calibration is of {', '.join(rig.names)}, the recording of {', '.join(sightings.cameras)}: name the "
            "videos as the cameras are called, or rename the cameras: python run_system.py calibrate convert IN OUT "
            f"--names {rig.names[0]}={sightings.cameras[0]},…"
        )
    unseen = [name for name in rig.names if name not in pairs.values()]
    unknown = [name for name in sightings.cameras if name not in pairs]
    notes = [f"Not in the recording, and so not checked: {', '.join(unseen)}."] if unseen else []
    notes += [f"Not in the calibration, and so left out: {', '.join(unknown)}."] if unknown else []
    seen = sightings_of(sightings, list(pairs))
    both = CameraRig(tuple(replace(rig[ours], name=name) for name, ours in pairs.items()))
    return as_recorded(both, seen), seen, tuple(notes)


def _called(name: str, rig: CameraRig) -> str | None:
    """What the calibration calls the camera; None when it has no such, or several."""
    if name in rig.names:
        return name
    alike = [ours for ours in rig.names if _plain(ours) == _plain(name)]
    return alike[0] if len(alike) == 1 else None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def sightings_of(sightings: BoardSightings, names: list[str]) -> BoardSightings:
    """Those of these cameras."""
    rows = [sightings.cameras.index(name) for name in names]
    return BoardSightings(
        tuple(names),
        tuple(sightings.sizes_wh[row] for row in rows),
        sightings.captured_s[rows],
        sightings.frame[rows],
        sightings.corners_px[rows],
        sightings.mirrored[rows],
    )


def as_recorded(rig: CameraRig, sightings: BoardSightings) -> CameraRig:
    """The cameras of the sightings at the size of their pictures. Raises CalibrationError for another shape."""
    cameras = []
    for name, size_wh in zip(sightings.cameras, sightings.sizes_wh, strict=True):
        try:
            cameras.append(rig[name] if rig[name].size_wh == size_wh else delivered(rig[name], size_wh, None))
        except CalibrationError as error:
            raise CalibrationError(f"camera {name!r} {error}") from error
    return CameraRig(tuple(cameras))


def _with_clocks(
    rig: CameraRig, board: CharucoBoard, sightings: BoardSightings, plain: Measures
) -> tuple[BoardSightings, tuple[str, ...]]:
    """Corners as they were at one time, where that tells what the board's motion hides; and a note."""
    if np.isfinite(sightings.captured_s).all(0).sum() < FEWEST_INSTANTS or sightings.frame.shape[1] > MOST_FOLLOWED:
        return sightings, ()
    path = follow(rig, board, sightings, None)
    timed = replace(sightings, corners_px=sightings.corners_px - path.shift_px)
    px = measured(rig, board, timed).whole.px_p50
    if not px <= CLOCKS_PAY * plain.whole.px_p50:
        return sightings, ()
    late = ", ".join(
        f"{name} {-1000 * offset_s:+.0f} ms" for name, offset_s in zip(sightings.cameras, path.offset_s, strict=True)
    )
    return timed, (
        f"The frames of one moment were not taken at once. With the board's motion between them taken off, they fit to "
        f"{px:.2f} px, else to {plain.whole.px_p50:.2f}; the cameras' clocks are late by {late}.",
    )
