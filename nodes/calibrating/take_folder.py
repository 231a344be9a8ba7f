"""Where a calibration from the live page keeps what was seen, so that nothing is lost when its process ends.

FOLDER/NAME/ has board.toml, corners.npz, take.json and, once solved, the report; the calibration is FOLDER/NAME.toml.
"""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from calibration.board import load_board, save_board
from calibration.errors import CalibrationError
from nodes.calibrating.corners_file import load_corners, save_corners
from nodes.calibrating.live_take import LiveTake

GOES_ON_S = 3600.0  # a take that was kept longer ago is another day's
LOOKS_ON_S = 60.0  # cameras look again at once when the process was gone for no longer


@dataclass(frozen=True)
class TakeFolder:
    """One take's place."""

    path: Path

    @property
    def board(self) -> Path:
        return self.path / "board.toml"

    @property
    def corners(self) -> Path:
        return self.path / "corners.npz"

    @property
    def told(self) -> Path:
        return self.path / "take.json"

    @property
    def report(self) -> Path:
        return self.path / "report"

    def calibration(self) -> Path:
        """The next free name for what is solved."""
        return free_name(self.path.parent, self.path.name)

    def keep(self, take: LiveTake, state: str) -> None:
        """Write all that was seen. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        save_board(take.board, self.board)
        save_corners(take.sightings(), self.corners)
        self.tell(state, take.first_ns)

    def tell(self, state: str, first_ns: int) -> None:
        """Write how far it is. Raises OSError."""
        partial = self.told.with_name(self.told.name + ".part")
        partial.write_text(json.dumps({"state": state, "first_ns": first_ns}), encoding="utf-8")
        partial.replace(self.told)


@dataclass(frozen=True)
class Kept:
    """A take that a former life of the process has left. looks: it was still under way."""

    folder: TakeFolder
    take: LiveTake
    looks: bool


def new_folder(folder: Path) -> TakeFolder:
    """For a take that begins now; made when something is kept."""
    name = f"calibration-{datetime.now():%Y%m%d-%H%M%S}"
    return TakeFolder(free_name(folder, name).with_suffix(""))


def free_name(folder: Path, stem: str) -> Path:
    """FOLDER/STEM.toml, or with the next free number."""
    number, path = 1, folder / f"{stem}.toml"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.toml"
    return path


def last_kept(folder: Path, cameras: tuple[str, ...], now_ns: int) -> Kept | None:
    """The take that was under way a short time ago and not solved; None without one. now_ns: monotonic."""
    takes = sorted(folder.glob("calibration-*/take.json"), key=lambda path: path.stat().st_mtime)
    if not takes:
        return None
    age_s = time.time() - takes[-1].stat().st_mtime
    place = TakeFolder(takes[-1].parent)
    try:
        told = json.loads(place.told.read_text(encoding="utf-8"))
        if age_s > GOES_ON_S or told["state"] not in {"looking", "seen", "solving"}:
            return None
        take = LiveTake(cameras, load_board(place.board), now_ns)
        take.restore(load_corners(place.corners), int(told["first_ns"]))
    except (OSError, ValueError, KeyError, TypeError, CalibrationError):
        return None  # half written, or somebody else's: what is there stays there
    return Kept(place, take, told["state"] == "looking" and age_s < LOOKS_ON_S)
