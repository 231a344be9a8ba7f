"""Where the corners of a board come from: videos, a recording, cameras now, or an earlier run."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.instants import together
from calibration.sightings import BoardSightings, CameraSightings
from nodes.calibrating.board_diagnosis import described_wrongly, diagnosed
from nodes.calibrating.board_input import read_sightings
from nodes.calibrating.corners_file import load_corners, save_corners
from nodes.calibrating.progress import Progress

FEWEST_PICTURES = 5  # with a board in them, of a camera: below, it is looked what may be wrong


@dataclass(frozen=True)
class Source:
    """One of these is given."""

    videos: Path | None = None
    session: Path | None = None
    config: Path | None = None
    corners: Path | None = None

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.videos, self.session, self.config, self.corners) if path is not None]

    @property
    def what(self) -> str:
        """For the report."""
        return f"A board in {self.files[0].name}."


def sightings_of(source: Source, board: CharucoBoard, out: Path, progress: Progress) -> BoardSightings:
    """What all cameras saw, moment by moment. What was found in pictures is kept beside `out`, as OUT.corners.npz.

    Raises CalibrationError that names cameras and remedies when too little was found.
    """
    seen = each_camera(source, board, out, progress)
    if len(seen) < 2:
        raise CalibrationError(
            f"{source.files[0]} is of one camera, {seen[0].camera!r}: a rig has two and more; "
            "`run_system.py calibrate intrinsics` finds the lens of one"
        )
    return together(seen)


def kept_beside(out: Path) -> Path:
    """Where the corners are kept that were found for this calibration."""
    return out.with_suffix(".corners.npz")


def each_camera(source: Source, board: CharucoBoard, out: Path, progress: Progress) -> Sequence[CameraSightings]:
    """What each camera saw. Raises CalibrationError where one hardly saw the board, with what may be wrong."""
    if source.corners is not None:
        return load_corners(source.corners)
    where = source.videos or source.session
    if where is not None:
        seen: Sequence[CameraSightings] = read_sightings(where, board, progress, keep=partial(_keep, out))
    else:
        from nodes.calibrating.live_capture import capture

        assert source.config is not None
        seen = capture(source.config, board)
    save_corners(seen, kept_beside(out))
    poor = [each for each in seen if (each.seen.sum(1) >= 4).sum() < FEWEST_PICTURES]
    if poor and where is not None:
        raise CalibrationError("\n".join(diagnosed(seen, board, where)))
    return seen


@contextmanager
def doubting(board: CharucoBoard, source: Source) -> Iterator[None]:
    """When what is done here raises CalibrationError and pictures are at hand: first what is wrong with the board."""
    try:
        yield
    except CalibrationError as error:
        where = source.videos or source.session
        wrong = described_wrongly(board, where) if where is not None else []
        if not wrong:
            raise
        raise CalibrationError("\n".join([*wrong, f"and therefore, perhaps: {error}"])) from error


def _keep(out: Path, seen: Sequence[CameraSightings], missing: Sequence[str]) -> None:
    """Save what there is after Ctrl-C, and say what it is good for."""
    if not seen:
        return
    path = kept_beside(out)
    save_corners(seen, path)
    found = ", ".join(f"{(each.seen.sum(1) > 0).sum()} pictures of {each.camera}" for each in seen)
    more = f"; {', '.join(missing)} had not been looked at, go on without or start again" if missing else ""
    print(f"\ncorners found so far are kept ({found}{more}): go on with --corners {path}", file=sys.stderr)
