"""Any calibration against any recording of a board: does it fit, and if not, what is wrong."""

import numpy as np

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.evidence import pairs_of
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.suspects import findings, suspicions
from nodes.calibrating.report import Report
from nodes.calibrating.report_of_board import report_of_board
from nodes.stages.delivered import delivered

FEWEST_INSTANTS = 5  # with the board in two cameras' pictures: below, one blurred frame decides
LATE_MS = 5.0  # between frames of one moment, median: a board carried at 0.5 m/s has moved by 2.5 mm


def check_board(rig: CameraRig, board: CharucoBoard, sightings: BoardSightings, what: str) -> Report:
    """Cameras are matched by name; those of the calibration alone, or of the recording alone, are told of.

    Raises CalibrationError when it cannot be judged, with the reason and the remedy.
    """
    sightings, notes = of_both(rig, sightings)
    rig = as_recorded(rig, sightings)
    together = max(pairs_of(sightings).values(), default=0)
    if together < FEWEST_INSTANTS:
        raise CalibrationError(
            f"it cannot be judged: the board was seen by two cameras together at {together} moments only, and "
            f"{FEWEST_INSTANTS} are needed: record it where the pictures of two cameras overlap, and check that the "
            "board's file says what is printed"
        )
    everything = np.ones(sightings.frame.shape[1], dtype=bool)
    found = findings(suspicions(rig, sightings.corners_px))
    notes += _not_simultaneous(sightings)
    return report_of_board("check", rig, board, sightings, everything, found=found, what=what, notes=notes)


def of_both(rig: CameraRig, sightings: BoardSightings) -> tuple[BoardSightings, tuple[str, ...]]:
    """What the cameras saw that are in both, and notes of those that are not. Raises CalibrationError: too few are."""
    both = [name in rig.names for name in sightings.cameras]
    if sum(both) < 2:
        raise CalibrationError(
            f"the calibration is of {', '.join(rig.names)}, the recording of {', '.join(sightings.cameras)}: name the "
            "videos as the cameras are called, or rename the cameras: python run_system.py calibrate convert IN OUT "
            f"--names {rig.names[0]}={sightings.cameras[0]},…"
        )
    unseen = [name for name in rig.names if name not in sightings.cameras]
    unknown = [name for name, known in zip(sightings.cameras, both, strict=True) if not known]
    notes = [f"Not in the recording, and so not checked: {', '.join(unseen)}."] if unseen else []
    notes += [f"Not in the calibration, and so left out: {', '.join(unknown)}."] if unknown else []
    return sightings_of(sightings, [name for name in sightings.cameras if name in rig.names]), tuple(notes)


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


def _not_simultaneous(sightings: BoardSightings) -> tuple[str, ...]:
    """How far apart the frames of one moment are, where that matters."""
    captured_s = np.where(sightings.seen.any(-1), sightings.captured_s, np.nan)
    shared = captured_s[:, np.isfinite(captured_s).sum(0) >= 2]
    if not shared.size:
        return ()
    apart_ms = 1000 * float(np.median(np.nanmax(shared, axis=0) - np.nanmin(shared, axis=0)))
    if apart_ms < LATE_MS:
        return ()
    return (
        f"Frames of one moment are {apart_ms:.0f} ms apart (median), and were taken as simultaneous: part of the "
        "pixels is the board's motion in between.",
    )
