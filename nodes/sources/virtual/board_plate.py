"""A ChArUco board that sweeps the volume: texture by OpenCV, pose as a function of time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard, load_board
from configs.errors import ConfigError
from nodes.sources.virtual.board_texture import board_texture

Floats = npt.NDArray[np.float64]

TEXTURE_PX_PER_SQUARE = 120
USUAL = CharucoBoard(columns=5, rows=7, square_m=0.09, marker_m=0.75 * 0.09)


@dataclass(frozen=True)
class BoardPlate:
    """A printed board on a plate with an edge of half a square; the plate's back is plain. The frame is the board's.

    period_s: after which its way begins anew. reach_m: half the size of the volume that it sweeps.
    """

    board: CharucoBoard = USUAL
    period_s: float = 24.0
    reach_m: float = 0.5

    @property
    def size_m(self) -> tuple[float, float]:
        return self.board.size_m

    @property
    def square_m(self) -> float:
        return self.board.square_m

    @property
    def edge_m(self) -> float:
        return 0.5 * self.square_m

    @property
    def plate_size_m(self) -> Floats:
        return np.array(self.size_m) + 2 * self.edge_m

    @cached_property
    def texture(self) -> npt.NDArray[np.uint8]:
        """Grey picture of the plate, TEXTURE_PX_PER_SQUARE pixels a square."""
        n = TEXTURE_PX_PER_SQUARE
        picture = board_texture(self.board, n)
        if self.board.inverted:
            picture = np.asarray(255 - picture, np.uint8)
        return np.pad(picture, n // 2, constant_values=0 if self.board.inverted else 255)

    def corners_m(self) -> Floats:
        """Inner corners (N, 3) in the board frame, in OpenCV's order."""
        return self.board.corners_m()

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
    """A board from TOML, ours or Caliscope's. Raises CalibrationError with the file and the key, ConfigError."""
    board = load_board(path)
    if not hasattr(cv2.aruco, board.dictionary):
        raise ConfigError(f"board {path}: OpenCV has no dictionary {board.dictionary!r}; DICT_4X4_1000 is a usual one")
    return BoardPlate(board, reach_m=reach_m)
