"""What the calibrator is at: from nothing to a calibration, by one request after the other. No sockets here.

States: idle; looking; seen (looked enough, for now); solving; solved; failed. Cameras look while it says `looking`,
also for a moment when the floor is to be set by a board.
"""

import contextlib
import math
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.board import CharucoBoard, board_of_text, load_board, text_of_board
from calibration.errors import CalibrationError
from configs.schema import Calibrating
from nodes.calibrating.live_take import LiveTake
from nodes.calibrating.solving import Solved, Solving
from nodes.calibrating.take_folder import TakeFolder, free_name, last_kept, new_folder
from nodes.wire.bus import now_ns as wall_ns
from nodes.wire.messages import About, Message, Pose3D
from nodes.wire.requests import CALIBRATOR, BoardSeen, CalibrationRequest, CalibrationState, SystemRequest

if TYPE_CHECKING:
    from calibration.rig import CameraRig

DEFAULT_BOARD = CharucoBoard(5, 7, 0.03, 0.0225, two_sided=False)  # what `calibrate board` makes when told nothing
KEEP_EVERY_NS = 5_000_000_000
KEEPING_SHARE = 20  # so much longer than writing took is waited for the next time
FLOOR_NS = 2_500_000_000  # the board, or somebody, is looked at for so long
FIRST_LOOK_NS = 8_000_000_000  # a camera loads what it looks with
STILL_LOOKS = 8  # of each camera, of a lying board
MOST_TODO = 4
WORDS, MOST_WORDS, LONGEST_HEADLINE = 500, 1000, 8000


@dataclass
class _Floor:
    """The floor being set: by the board of a take, or by who stands there, -1: the only one. seen: the board was."""

    take: LiveTake | None
    person: int
    began_ns: int
    until_ns: int
    seen: bool = False
    poses: list[Pose3D] = field(default_factory=list)


class Sitting:
    """Times `now_ns` are monotonic."""

    def __init__(self, cameras: tuple[str, ...], settings: Calibrating, now_ns: int) -> None:
        self._cameras = cameras
        self._settings = settings
        self._folder = settings.folder.resolve()
        self._state = "idle"
        self._note = ""
        self._take: LiveTake | None = None
        self._place: TakeFolder | None = None
        self._solving: Solving | None = None
        self._solved = Solved("", "", "", None, None)
        self._floor: _Floor | None = None
        self._about: About | None = None
        self._keep_due_ns = 0
        self._asks: list[SystemRequest] = []
        self._seq = 0
        self._usual_toml = self._usual_board()
        self._go_on(now_ns)

    @property
    def is_busy(self) -> bool:
        return self._state in {"looking", "solving"} or self._floor is not None

    @property
    def wants_poses(self) -> bool:
        return self._floor is not None and self._floor.take is None

    def hear(self, message: Message, now_ns: int) -> None:
        """A message off the bus."""
        match message:
            case CalibrationRequest():
                self._obey(message, now_ns)
            case BoardSeen():
                if self._take is not None and self._state == "looking":
                    self._take.take(message, now_ns)
                if self._floor is not None and self._floor.take is not None and self._floor.take is not self._take:
                    self._floor.take.take(message, now_ns)
            case About():
                self._about = message
            case Pose3D():
                if self._floor is not None:
                    self._floor.poses.append(message)

    def turn(self, now_ns: int) -> list[SystemRequest]:
        """Once in a while; what is to be asked of the system."""
        if self._take is not None and self._state == "looking":
            self._take.settle(now_ns)
            if self._take.is_full:
                self._stop("enough was seen for any calibration: the cameras look no longer", now_ns)
            elif now_ns >= self._keep_due_ns:
                self._keep(now_ns)
        if self._solving is not None and (solved := self._solving.result()) is not None:
            self._end_solving(solved)
        if self._floor is not None and self._is_ready(self._floor, now_ns):
            self._set_floor(self._floor)
            self._floor = None
        asks, self._asks = self._asks, []
        return asks

    def state(self, now_ns: int) -> CalibrationState:
        """What it says about itself."""
        take, floor = self._take, self._floor
        looks = self._state == "looking"
        doing, share = self._doing()
        coverage = {} if take is None else take.coverage(now_ns) if looks else take.paused()
        self._seq += 1
        return CalibrationState(
            captured_ns=wall_ns(),
            published_ns=0,
            source=CALIBRATOR,
            seq=self._seq,
            state="looking" if floor is not None and floor.take is not None else self._state,
            board_toml=self._board_toml(),
            cameras=coverage,
            todo=() if take is None else tuple(word[:WORDS] for word in take.tally.missing()[:MOST_TODO]),
            doing=doing[:WORDS],
            share=share,
            verdict=self._solved.verdict,
            headline=self._solved.said[:LONGEST_HEADLINE],
            calibration=_path(self._solved.calibration),
            report=_path(self._solved.report),
            note=self._note[:MOST_WORDS],
        )

    def close(self) -> None:
        """Keep what was seen and end what was begun."""
        if self._solving is not None:
            self._solving.end()
        if self._state == "looking" and self._take is not None and self._place is not None:
            with contextlib.suppress(OSError):
                self._place.keep(self._take, "looking")

    # -------------------------------------------------------------------------------------------------------- requests

    def _obey(self, request: CalibrationRequest, now_ns: int) -> None:
        self._note = ""
        try:
            match request.action:
                case "look":
                    self._look(request.board_toml, now_ns)
                case "stop":
                    self._stop(self._give_up_floor(), now_ns)
                case "solve":
                    self._solve()
                case "use":
                    self._use()
                case "discard":
                    self._discard()
                case "floor_board":
                    self._begin_floor(self._floor_take(request.board_toml, now_ns), -1, now_ns)
                case "floor_person":
                    self._begin_floor(None, request.person, now_ns)
        except (CalibrationError, OSError) as error:
            self._note = _told(error)

    def _look(self, board_toml: str, now_ns: int) -> None:
        self._refuse_while_solving()
        board = self._board(board_toml)
        if self._state == "looking" and self._take is not None and self._take.board == board:
            return
        if self._take is None or self._take.board != board:
            self._set_aside()
            self._take, self._place = LiveTake(self._cameras, board, now_ns), new_folder(self._folder)
        self._take.go_on(now_ns)
        self._state = "looking"
        self._keep_due_ns = now_ns + KEEP_EVERY_NS

    def _stop(self, note: str, now_ns: int) -> None:
        if self._solving is not None:
            self._solving.end()
            self._solving = None
            note = "the calibration was given up; what was seen is kept"
        if self._take is not None and self._place is not None and self._state in {"looking", "solving"}:
            self._state = "idle" if self._take.is_empty else "seen"
            self._note = note
            if not self._take.is_empty:
                self._keep(now_ns)

    def _solve(self) -> None:
        self._refuse_while_solving()
        if self._floor is not None:
            raise CalibrationError("the floor is just being set: calibrate in a moment")
        take, place = self._take, self._place
        if take is None or place is None or take.is_empty:
            raise CalibrationError("nothing was seen yet: let the cameras look for the board first")
        seen = [name for name, each in take.tally.of.items() if each.useful]
        if len(seen) < 2:
            raise CalibrationError(f"only {seen[0]} has seen the board: two cameras have to see it together, often")
        place.keep(take, "solving")
        self._solving = Solving(place)
        self._solved = Solved("", "", "", None, None)
        self._state = "solving"

    def _end_solving(self, solved: Solved) -> None:
        self._solving, self._solved = None, solved
        self._state = "failed" if solved.reason else "solved"
        self._note = solved.reason
        if self._place is not None and self._take is not None:
            with contextlib.suppress(OSError):
                self._place.tell("seen" if solved.reason else "solved", self._take.first_ns)

    def _use(self) -> None:
        path = self._solved.calibration
        if path is None or not path.is_file():
            raise CalibrationError("there is no new calibration to be used: make one first")
        self._ask_for(path)

    def _discard(self) -> None:
        if self._solving is not None:
            self._solving.end()
            self._solving = None
        self._set_aside()
        self._take, self._place, self._state = None, None, "idle"
        self._solved = Solved("", "", "", None, None)

    def _ask_for(self, calibration: Path) -> None:
        self._seq += 1
        stamps = {"captured_ns": wall_ns(), "published_ns": 0, "source": CALIBRATOR, "seq": self._seq}
        self._asks.append(SystemRequest(calibration=calibration.name, **stamps))  # type: ignore[arg-type]

    def _refuse_while_solving(self) -> None:
        if self._solving is not None:
            raise CalibrationError("a calibration is being computed: wait for it, or stop it first")

    def _set_aside(self) -> None:
        """What was seen stays on the disk, and is not gone on with."""
        if self._take is not None and self._place is not None and self._place.path.is_dir():
            self._place.keep(self._take, "discarded")

    # ----------------------------------------------------------------------------------------------------------- floor

    def _floor_take(self, board_toml: str, now_ns: int) -> LiveTake:
        """What cameras see of the lying board; of the take, where its board is looked for at the moment."""
        if self._state == "looking" and self._take is not None:
            return self._take
        board = self._take.board if self._take is not None and not board_toml else self._board(board_toml)
        return LiveTake(self._cameras, board, now_ns)

    def _begin_floor(self, take: LiveTake | None, person: int, now_ns: int) -> None:
        self._refuse_while_solving()
        self._rig()
        wait_ns = FLOOR_NS if take is None else FIRST_LOOK_NS
        self._floor = _Floor(take, person, now_ns, now_ns + wait_ns)

    def _give_up_floor(self) -> str:
        """What is to be said of it; "" where no floor was being set."""
        if self._floor is None:
            return ""
        self._floor, self._note = None, "the floor was not set: it was stopped"
        return self._note

    def _is_ready(self, floor: _Floor, now_ns: int) -> bool:
        """A board is looked at from the first word about it on."""
        if floor.take is not None and not floor.seen:
            floor.seen = any(each.seen.any() for each in floor.take.sightings(1, floor.began_ns))
            floor.until_ns = now_ns + FLOOR_NS if floor.seen else floor.until_ns
        return now_ns >= floor.until_ns

    def _set_floor(self, floor: _Floor) -> None:
        from calibration.rig_file import save_rig
        from calibration.world_frame import moved
        from nodes.calibrating.floor import by_board, by_person

        try:
            rig = self._rig()
            if floor.take is not None:
                lying = floor.take.sightings(STILL_LOOKS, floor.began_ns)
                how, T_new_old = "where the board lies", by_board(rig, floor.take.board, lying)
            else:
                how, T_new_old = "below the person's feet", by_person(floor.poses, floor.person)
            name = f"floor-{datetime.now():%Y%m%d-%H%M%S}"
            self._folder.mkdir(parents=True, exist_ok=True)
            path = free_name(self._folder, name)
            save_rig(moved(rig, T_new_old), path, notes=(f"z = 0 and origin {how}, as set on the live page.",))
        except (CalibrationError, OSError) as error:
            self._note = f"the floor was not set: {_told(error)}"
            return
        self._note = f"floor and origin are {how} now; {path.name} says so"
        self._ask_for(path)

    def _rig(self) -> "CameraRig":
        """The system's calibration. Raises CalibrationError."""
        from nodes.sessions.about import rig_of
        from nodes.sessions.errors import SessionError

        if self._about is None:
            raise CalibrationError("the system has not told its calibration yet: try again in a moment")
        try:
            rig = rig_of(self._about)
        except SessionError as error:
            raise CalibrationError(f"the system's calibration cannot be read: {error}") from error
        if rig is None:
            raise CalibrationError("there is no calibration yet whose floor could be set: make one, and use it")
        return rig

    # ------------------------------------------------------------------------------------------------- what it rests on

    def _usual_board(self) -> str:
        """The board that is meant where none is told; "" when the configuration's cannot be read."""
        try:
            board = DEFAULT_BOARD if self._settings.board is None else load_board(self._settings.board)
        except CalibrationError as error:
            self._note = _told(error)
            return ""
        return text_of_board(board)

    def _board(self, board_toml: str) -> CharucoBoard:
        """Raises CalibrationError for one that cannot be looked for."""
        if not board_toml and not self._usual_toml:
            self._usual_toml = self._usual_board()  # mended meanwhile, perhaps
            if not self._usual_toml:
                raise CalibrationError(self._note)
        board = board_of_text(board_toml or self._usual_toml)
        from nodes.calibrating.board_finder import BoardFinder

        BoardFinder(board)
        return board

    def _board_toml(self) -> str:
        if self._floor is not None and self._floor.take is not None:
            return text_of_board(self._floor.take.board)
        return self._usual_toml if self._take is None else text_of_board(self._take.board)

    def _doing(self) -> tuple[str, float]:
        """What is under way, and how much of it is done, NaN where that is not known."""
        if self._floor is not None:
            by = "board lies" if self._floor.take is not None else "person stands"
            return f"looks where the {by}", math.nan
        return ("", math.nan) if self._solving is None else self._solving.doing()

    def _keep(self, now_ns: int) -> None:
        """What was seen, to the disk."""
        assert self._take is not None
        assert self._place is not None
        began_ns = time.monotonic_ns()
        try:
            self._place.keep(self._take, self._state)
        except OSError as error:
            self._note = f"what is seen cannot be kept on the disk: {_told(error)}"
        took_ns = time.monotonic_ns() - began_ns
        self._keep_due_ns = now_ns + max(KEEP_EVERY_NS, KEEPING_SHARE * took_ns)

    def _go_on(self, now_ns: int) -> None:
        """With what a former life has left."""
        kept = last_kept(self._folder, self._cameras, now_ns)
        if kept is None or kept.take.is_empty:
            return
        self._take, self._place, self._state = kept.take, kept.folder, "looking" if kept.looks else "seen"
        self._keep_due_ns = now_ns + KEEP_EVERY_NS
        self._note = "the calibrator was started again; what was seen before is still here"


def _told(error: CalibrationError | OSError) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)


def _path(path: Path | None) -> str:
    return "" if path is None else str(path)
