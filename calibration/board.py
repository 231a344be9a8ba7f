"""The ChArUco board: a chess board with ArUco markers in its white squares. Geometry and file, no pictures.

Board frame: origin at the outer corner of the top-left square of the printed front, x right, y down, z into the board;
metres. Its corners are the inner ones, row by row from the top left, as OpenCV numbers them.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tomli_w

from calibration.errors import CalibrationError

Array = npt.NDArray[np.float64]

KEYS = "a board has columns, rows, square_m, marker_m and dictionary"
LARGEST = 64  # squares on a side
UNITS_M = {"inch": 0.0254, "cm": 0.01}  # Caliscope's
DEFAULT_DICTIONARY = "DICT_4X4_1000"


@dataclass(frozen=True)
class CharucoBoard:
    """A board of `columns` x `rows` squares, the top-left one black (white when `inverted`).

    square_m, marker_m: sides in metres. dictionary: OpenCV's name. inverted: black and white are exchanged.
    legacy_pattern: of OpenCV before 4.6, even rows begin with a marker. two_sided: the back shows the same corners at
    the same places, seen through the board (a mirrored print). Raises CalibrationError on an impossible board.
    """

    columns: int
    rows: int
    square_m: float
    marker_m: float
    dictionary: str = DEFAULT_DICTIONARY
    inverted: bool = False
    legacy_pattern: bool = False
    two_sided: bool = True

    def __post_init__(self) -> None:
        if not (3 <= self.columns <= LARGEST and 3 <= self.rows <= LARGEST):
            raise CalibrationError(
                f"a board of {self.columns}x{self.rows} squares is not possible: 3 to {LARGEST} on a side"
            )
        if not 0.001 <= self.square_m <= 2.0:
            raise CalibrationError(
                f"squares of {self.square_m} m are not plausible: give square_m in metres, as 0.054 for 54 mm"
            )
        if not 0.0 < self.marker_m < self.square_m:
            raise CalibrationError(
                f"a marker of {self.marker_m} m does not fit into a square of {self.square_m} m: it is smaller"
            )

    @property
    def corner_grid(self) -> tuple[int, int]:
        """Inner corners: columns, rows."""
        return self.columns - 1, self.rows - 1

    @property
    def corner_count(self) -> int:
        return (self.columns - 1) * (self.rows - 1)

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of all squares."""
        return self.columns * self.square_m, self.rows * self.square_m

    def corners_m(self) -> Array:
        """Inner corners (K, 3) in the board frame."""
        across, down = self.corner_grid
        x, y = np.meshgrid(np.arange(1, across + 1), np.arange(1, down + 1))
        return self.square_m * np.stack([x.ravel(), y.ravel(), np.zeros(self.corner_count)], axis=1)

    def neighbours(self) -> npt.NDArray[np.int64]:
        """(E, 2) corners that are one square apart."""
        across, down = self.corner_grid
        index = np.arange(self.corner_count).reshape(down, across)
        right = np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], axis=1)
        below = np.stack([index[:-1].ravel(), index[1:].ravel()], axis=1)
        return np.concatenate([right, below])


def load_board(path: str | Path) -> CharucoBoard:
    """A board from TOML: ours (square_m, marker_m), or Caliscope's charuco.toml (aruco_scale; square_size_override_cm,
    or squares as large as they fit into board_width and board_height).

    Raises CalibrationError with the file and the key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"board {path} cannot be read: {error}; {KEYS}") from error
    return board_of_text(text, f"board {path}")


def board_of_text(text: str, what: str = "board") -> CharucoBoard:
    """The same of the text of a file, which errors call `what`. Raises CalibrationError."""
    try:
        return _board_of(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CalibrationError(f"{what} cannot be read: {error}; {KEYS}") from error
    except KeyError as error:
        raise CalibrationError(f"{what} lacks {error}; {KEYS}") from error
    except (CalibrationError, TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{what}: {error}") from error


def text_of_board(board: CharucoBoard) -> str:
    """What a file of it says."""
    return tomli_w.dumps(vars(board))


def save_board(board: CharucoBoard, path: str | Path) -> None:
    """Write the board as TOML; atomic."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text_of_board(board), encoding="utf-8")
    temporary.replace(path)


def _board_of(table: dict[str, Any]) -> CharucoBoard:
    square_m = _square_m(table)
    marker_m = float(
        table["aruco_scale"] * square_m if "aruco_scale" in table and "marker_m" not in table else table["marker_m"]
    )
    return CharucoBoard(
        columns=int(table["columns"]),
        rows=int(table["rows"]),
        square_m=square_m,
        marker_m=marker_m,
        dictionary=str(table["dictionary"]),
        inverted=bool(table.get("inverted", False)),
        legacy_pattern=bool(table.get("legacy_pattern", False)),
        two_sided=bool(table.get("two_sided", True)),
    )


def _square_m(table: dict[str, Any]) -> float:
    """Ours, or Caliscope's. Raises KeyError with our key where there is neither, CalibrationError on a strange unit."""
    if "square_m" not in table and "square_size_override_cm" in table:
        return float(table["square_size_override_cm"]) / 100
    if "square_m" in table or not {"board_width", "board_height"} <= set(table):
        return float(table["square_m"])
    unit = table.get("units", "cm")
    if unit not in UNITS_M:
        raise CalibrationError(f"units = {unit!r} is none of {', '.join(UNITS_M)}: give square_m in metres instead")
    across, down = table["board_width"] / max(table["columns"], 1), table["board_height"] / max(table["rows"], 1)
    return float(min(across, down) * UNITS_M[unit])
