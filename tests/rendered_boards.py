"""Pictures of a board by brute force, with the exact places of its corners: what the finder is measured with."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from nodes.sources.virtual.board_texture import board_texture

Array = npt.NDArray[np.float64]

TEXTURE_PX = 96
SAMPLES = 5


@dataclass(frozen=True)
class Shot:
    """How it is taken: metres away, blur of the lens (standard deviation) and of motion (length) in pixels, noise in
    grey levels."""

    away_m: float = 1.2
    blur_px: float = 0.6
    motion_px: float = 0.0
    noise: float = 2.0
    focal_px: float = 600.0
    size_wh: tuple[int, int] = (640, 480)
    k1: float = -0.1
    tilt: float = 0.5


def picture_of(board: CharucoBoard, shot: Shot, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], Array]:
    """Grey (H, W) and the true corners (K, 2); the board hangs before the camera, turned at random."""
    R, _ = cv2.Rodrigues(rng.uniform(-1, 1, 3) * [shot.tilt, shot.tilt, 0.5])
    aside = rng.uniform(-0.08, 0.08, 2) * shot.away_m
    t = np.array([*aside, shot.away_m]) - R @ [board.size_m[0] / 2, board.size_m[1] / 2, 0.0]
    w, h = shot.size_wh
    K = np.array([[shot.focal_px, 0, (w - 1) / 2], [0, shot.focal_px, (h - 1) / 2], [0, 0, 1]])
    true, _ = cv2.projectPoints(board.corners_m(), R, t, K, np.array([shot.k1, 0, 0, 0, 0]))
    low = np.floor(np.nanmin(true[:, 0], axis=0) - 0.8 * (np.ptp(true[:, 0], axis=0) + 20)).clip(0).astype(int)
    high = np.ceil(true[:, 0].max(0) + 0.8 * (np.ptp(true[:, 0], axis=0) + 20)).clip(None, shot.size_wh).astype(int)
    fine = _plate(board, np.stack([R[:, 0], R[:, 1], t], axis=1), K, shot, low, high)
    fine = cv2.GaussianBlur(_shaken(fine, shot.motion_px * SAMPLES, rng), (0, 0), shot.blur_px * SAMPLES)
    grey = np.full((h, w), 110.0)
    grey[low[1] : high[1], low[0] : high[0]] = _mean(_mean(fine).T).T
    grey += shot.noise * rng.standard_normal((h, w))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), np.asarray(true[:, 0], np.float64)


def _mean(fine: Array) -> Array:
    """Over every SAMPLES rows."""
    return fine.reshape(-1, SAMPLES, fine.shape[1]).mean(1)


def _plate(board: CharucoBoard, T_cam_plane: Array, K: Array, shot: Shot, low: Array, high: Array) -> Array:
    """The board on grey between the pixels low and high (2,), SAMPLES x SAMPLES samples a pixel."""
    n = TEXTURE_PX
    ink = board_texture(board, n).astype(np.float32)
    ink = np.pad(255 - ink if board.inverted else ink, n, constant_values=0 if board.inverted else 255)
    places = ((np.arange((high[a] - low[a]) * SAMPLES) + 0.5) / SAMPLES - 0.5 + low[a] for a in (0, 1))
    u, v = np.meshgrid(*places)
    bent = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]])
    straight = bent
    for _ in range(6):
        straight = bent / (1 + shot.k1 * (straight**2).sum(0))
    x, y, z = (row[0] * straight[0] + row[1] * straight[1] + row[2] for row in np.linalg.inv(T_cam_plane))
    column, row = (np.floor((a / z / board.square_m + 1) * n).astype(int) for a in (x, y))
    there = (row >= 0) & (column >= 0) & (row < ink.shape[0]) & (column < ink.shape[1])
    shown = ink[row.clip(0, ink.shape[0] - 1), column.clip(0, ink.shape[1] - 1)]
    return np.asarray(np.where(there, 25 + 0.75 * shown, 110.0), np.float64)


def _shaken(fine: Array, length: float, rng: np.random.Generator) -> Array:
    if length == 0:
        return fine
    angle, reach = rng.uniform(0, np.pi), int(length / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for along in np.linspace(-length / 2, length / 2, 8 * reach):
        kernel[round(reach + along * np.sin(angle)), round(reach + along * np.cos(angle))] += 1
    return np.asarray(cv2.filter2D(fine, -1, kernel / kernel.sum()))
