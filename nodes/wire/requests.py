"""Messages by which somebody asks the running system for something, and the states of those who obey.

Like `messages.py`, whose rules hold here, too: only ever extended. A request never names a file by its path, since
a stranger on the bus shall not choose what is read or written: names are of files in folders of the configuration.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nodes.wire.codec import Part, Record
from nodes.wire.fields import Array, Flag, Integer, Real, Sequence, Table, Text, wire
from nodes.wire.messages import MAX_CAMERAS, NAME, PICTURE_WH, TIME_NS, Message

NAN = float("nan")
FILE_NAME = Text(100)
BOARD = Text(4096)  # the text of a board file


@dataclass(frozen=True, eq=False, kw_only=True)
class Mark(Message):
    """Somebody marks the instant captured_ns with a word; recorded, and shown when the recording is played."""

    text: str = wire(Text(200), default="")


@dataclass(frozen=True, eq=False, kw_only=True)
class PlayRequest(Message):
    """To the player of a recording. value: seconds since the recording's begin (seek), ticks to go on, also negative
    (step), times the recording's pace (speed); NaN else."""

    action: str = wire(Text(choices=("play", "pause", "seek", "step", "speed")))
    value: float = wire(Real(), default=NAN)


@dataclass(frozen=True, eq=False, kw_only=True)
class PlayMark(Record):
    """A mark in the recording that is played, at_s after its begin."""

    at_s: float = wire(Real())
    text: str = wire(Text(200), default="")


@dataclass(frozen=True, eq=False, kw_only=True)
class PlayState(Message):
    """The player of a recording about itself, ten times a second.

    position_s, duration_s: since the recording's begin. speed: NaN: as fast as fusion takes it. shift_ns: what was
    added to the recorded times of the messages sent now. fuses: whether fusion makes the poses anew. beside: file
    whose poses are sent, too, as those of the source BESIDE; "" without one. timely: what is sent now is stamped as of
    the present, so that poses made of it tell a latency; not so after a pause, until it is sent to another place.
    """

    path: str = wire(Text(1000))
    position_s: float = wire(Real())
    duration_s: float = wire(Real())
    speed: float = wire(Real(), default=1.0)
    playing: bool = wire(Flag(), default=True)
    shift_ns: int = wire(Integer(), default=0)
    fuses: bool = wire(Flag(), default=True)
    beside: str = wire(Text(1000), default="")
    marks: tuple[PlayMark, ...] = wire(Sequence(Part(PlayMark), 1000), default=())
    note: str = wire(Text(), default="")
    timely: bool = wire(Flag(), default=True)


BESIDE = "beside"  # source of the poses of a second result, which a player sends with those of the first
CALIBRATOR = "calibrator"  # source of the states that cameras obey
LOOK_PERIOD_NS = 125_000_000  # cameras look for the board in the first picture of each such part of the common time


@dataclass(frozen=True, eq=False, kw_only=True)
class BoardSeen(Message):
    """What one camera sees of the calibration board in one picture, while the calibrator asks for it.

    corners_px: (K, 2) in the order of the board's corners, NaN where not seen. mirrored: seen from behind.
    """

    size_wh: tuple[int, ...] = wire(PICTURE_WH)
    corners_px: npt.NDArray[np.float32] = wire(Array("<f4", ("K", 2)))
    mirrored: bool = wire(Flag(), default=False)
    frame_id: int = wire(Integer(0), default=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationRequest(Message):
    """To the calibrator. look: the cameras look for the board from now on; stop: no longer; solve: make a calibration
    of what was seen; use: let the system use it; discard: forget what was seen; floor_board: the world's floor and
    origin are where the board lies now; floor_person: below the person with this id, x the way they look.

    board_toml: text of a board file, with `look`; "": the one of the configuration, else the default board.
    """

    action: str = wire(Text(choices=("look", "stop", "solve", "use", "discard", "floor_board", "floor_person")))
    board_toml: str = wire(BOARD, default="")
    person: int = wire(Integer(-1), default=-1)


@dataclass(frozen=True, eq=False, kw_only=True)
class BoardCoverage(Record):
    """How far a calibration take is for one camera. useful of wanted pictures were taken; in_sight: corners seen now;
    covered: (rows, columns) 1 where in the picture the board was; together: other camera → moments both saw it."""

    useful: int = wire(Integer(0), default=0)
    wanted: int = wire(Integer(0), default=0)
    in_sight: int = wire(Integer(0), default=0)
    covered: npt.NDArray[np.uint8] = wire(Array("|u1", ("R", "C")))
    together: dict[str, int] = wire(Table(Integer(0)), default_factory=dict)
    note: str = wire(Text(), default="")


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationState(Message):
    """The calibrator about itself, four times a second. While state is `looking`, cameras look for the board.

    todo: what the person with the board should do next, the most pressing first; empty: enough was seen. doing, share:
    what is computed, and how much of it is done. verdict, headline, report: of the last calibration made; `report` and
    `calibration` are paths on the calibrator's machine, calibration: the file written, "" without one. note: what went
    wrong, or was done, in plain words.
    """

    state: str = wire(Text(choices=("idle", "looking", "seen", "solving", "solved", "failed")))
    board_toml: str = wire(BOARD, default="")
    cameras: dict[str, BoardCoverage] = wire(Table(Part(BoardCoverage)), default_factory=dict)
    todo: tuple[str, ...] = wire(Sequence(Text(), MAX_CAMERAS * 4), default=())
    doing: str = wire(Text(), default="")
    share: float = wire(Real(), default=NAN)
    verdict: str = wire(Text(choices=("", "good", "usable", "redo")), default="")
    headline: str = wire(Text(8000), default="")
    calibration: str = wire(Text(1000), default="")
    report: str = wire(Text(1000), default="")
    note: str = wire(Text(1000), default="")


@dataclass(frozen=True, eq=False, kw_only=True)
class SystemRequest(Message):
    """To whoever runs the system: other settings for fusion, which is started again with them. "": as they are.

    calibration: name of a file in the folder of calibrations that the configuration names.
    """

    lift: str = wire(Text(choices=("", "on", "off")), default="")
    smoothing: str = wire(Text(choices=("", "kalman", "one_euro", "none")), default="")
    calibration: str = wire(FILE_NAME, default="")


@dataclass(frozen=True, eq=False, kw_only=True)
class ProcessState(Record):
    """One process of the system. state: waiting: not started yet."""

    state: str = wire(Text(choices=("waiting", "running", "restarting", "ended", "refused", "by_hand")))
    restarts: int = wire(Integer(0), default=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class SystemState(Message):
    """Whoever runs the system about it, twice a second and whenever something happens.

    began_ns: start of the session, 0 before. lift, smoothing, calibration: the settings in force; calibration: path,
    "" without one. said: the last lines that processes and supervisor said, oldest first, `name: line`. note: what
    became of the last request, in plain words.
    """

    processes: dict[str, ProcessState] = wire(Table(Part(ProcessState)), default_factory=dict)
    began_ns: int = wire(TIME_NS, default=0)
    fuses: bool = wire(Flag(), default=True)
    lift: bool = wire(Flag(), default=True)
    smoothing: str = wire(NAME, default="kalman")
    calibration: str = wire(Text(1000), default="")
    config: str = wire(Text(1000), default="")
    said: tuple[str, ...] = wire(Sequence(Text(1000), 100), default=())
    note: str = wire(Text(1000), default="")
