"""A ChArUco board that sweeps the volume: texture by OpenCV, pose as a function of time."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from configs.errors import ConfigError

Floats = npt.NDArray[np.float64]

TEXTURE_PX_PER_SQUARE = 120
BOARD_KEYS = "a board has columns, rows, square_m, marker_m and dictionary"


@dataclass(frozen=True)
class BoardPlate:
    """A printed board of `columns` x `rows` squares on a plate with a white edge of half a square.

    Board frame: origin at the outer corner of the top-left square, x right, y down, z into the board, metres.
    """

    columns: int = 5
    rows: int = 7
    square_m: float = 0.09
    marker_share: float = 0.75
    dictionary: str = "DICT_4X4_1000"
    legacy_pattern: bool = False
    inverted: bool = False
    period_s: float = 24.0
    reach_m: float = 0.5  # half the size of the volume that it sweeps

    @property
    def size_m(self) -> tuple[float, float]:
        return self.columns * self.square_m, self.rows * self.square_m

    @property
    def edge_m(self) -> float:
        return 0.5 * self.square_m

    @property
    def plate_size_m(self) -> Floats:
        return np.array(self.size_m) + 2 * self.edge_m

    @cached_property
    def charuco(self) -> cv2.aruco.CharucoBoard:
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))
        board = cv2.aruco.CharucoBoard(
            (self.columns, self.rows), self.square_m, self.marker_share * self.square_m, dictionary
        )
        board.setLegacyPattern(self.legacy_pattern)
        return board

    @cached_property
    def texture(self) -> npt.NDArray[np.uint8]:
        """Grey picture of the plate, TEXTURE_PX_PER_SQUARE pixels a square."""
        n = TEXTURE_PX_PER_SQUARE
        picture = np.asarray(self.charuco.generateImage((self.columns * n, self.rows * n), marginSize=0), np.uint8)
        if self.inverted:
            picture = np.asarray(255 - picture, np.uint8)
        return np.pad(picture, n // 2, constant_values=0 if self.inverted else 255)

    def corners_m(self) -> Floats:
        """Inner corners (N, 3) in the board frame, in OpenCV's order."""
        return np.asarray(self.charuco.getChessboardCorners(), dtype=np.float64)

    def T_world_board(self, t_s: float) -> Floats:
        """Pose (4, 4) at a time: the middle wanders through the volume, the face turns to all sides and tilts."""
        a = 2 * np.pi * t_s / self.period_s
        middle = np.array([self.reach_m * np.sin(3 * a), self.reach_m * np.cos(2 * a), 1.15 + 0.35 * np.sin(5 * a)])
        facing = a + 0.3 * np.sin(4 * a)
        tilt, roll = 0.35 * np.sin(3 * a + 1.0), 0.4 * np.sin(2 * a)
        outward = np.array([np.cos(facing) * np.cos(tilt), np.sin(facing) * np.cos(tilt), np.sin(tilt)])
        side = np.array([-np.sin(facing), np.cos(facing), 0.0])  # to the right of who looks at the board
        up = np.cross(outward, side)
        right = np.cos(roll) * side + np.sin(roll) * up
        T = np.eye(4)
        T[:3, :3] = np.stack([right, -np.cross(outward, right), -outward], axis=1)
        T[:3, 3] = middle - T[:3, :3] @ np.array([0.5 * self.size_m[0], 0.5 * self.size_m[1], 0.0])
        return T

    def corners_world_m(self, t_s: float) -> Floats:
        """Inner corners (N, 3) in the world at a time."""
        T = self.T_world_board(t_s)
        return np.asarray(self.corners_m() @ T[:3, :3].T + T[:3, 3])


def load_board_plate(path: Path, reach_m: float) -> BoardPlate:
    """A board from TOML, ours (square_m, marker_m) or Caliscope's (square_size_override_cm, aruco_scale).

    Raises ConfigError with the file and the key.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"board {path} cannot be read: {error}; {BOARD_KEYS}") from error
    try:
        square_m = float(table["square_m"] if "square_m" in table else table["square_size_override_cm"] / 100)
        marker_share = float(table["marker_m"]) / square_m if "marker_m" in table else float(table["aruco_scale"])
        columns, rows, dictionary = int(table["columns"]), int(table["rows"]), str(table["dictionary"])
    except KeyError as error:
        raise ConfigError(f"board {path} lacks {error}; {BOARD_KEYS}") from error
    if not hasattr(cv2.aruco, dictionary):
        raise ConfigError(f"board {path}: OpenCV has no dictionary {dictionary!r}; DICT_4X4_1000 is a usual one")
    return BoardPlate(columns, rows, square_m, marker_share, dictionary, bool(table.get("legacy_pattern", False)),
                      bool(table.get("inverted", False)), reach_m=reach_m)  # fmt: skip
