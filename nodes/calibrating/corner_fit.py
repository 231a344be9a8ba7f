"""Where exactly a corner of the board is: the printed pattern, drawn as the picture should show it, is laid over it.

Board positions are in squares from the outer corner of the top-left square; pixels have their centres at integers.
Only the chess pattern counts, not the markers: a marker that is printed a little larger than told shifts nothing. On
rendered boards this is right to 0.01 px where OpenCV's refinement, which sees a small window, is to 0.05.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from calibration.board import CharucoBoard
from nodes.sources.virtual.board_texture import aruco_board, board_texture

Array = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

TEXTURE_PX = 64  # a square in the pattern's picture
MARKER_RIM = 2  # of the texture, round markers: printed ones are not all where they should be
# Places in a pixel at which the pattern is looked up (Hammersley's), and how they are moved on from pixel to pixel:
# those of a grid would all be on one side of an edge that runs along the pixels, 0.2 px were lost by that.
SAMPLES = np.stack(
    [(np.arange(16) + 0.5) / 16, (np.array([0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15]) + 0.5) / 16]
)
NEXT_PX = (0.7548776662, 0.5698402910)  # of the plastic number: any run of pixels has them evenly
SIGMAS_PX = (0.7, 1.1, 1.7)  # blur of lens, sensor and video; the best of them is taken for each picture
WINDOW_SHARE = 0.45  # of a square's side: the edges up to nearly the next corner
WINDOW_PX = (4, 12)  # least and greatest half size of the window
EDGE = 2  # pixels round the window that the derivatives need
STEP_PX = 1.5  # a longer step is no refinement
WORST_CONDITION = 1e13  # of a homography to pixels; usual ones have less than 1e8, points on a line have infinity
STILL_PX = 0.003  # the last step: the video's noise is ten times as much


@dataclass(frozen=True, eq=False)
class Fitted:
    """K corners: px (K, 2), NaN where the window leaves the picture. likeness: (K,) correlation with the pattern, up to
    1. sigma_px: (K,) one standard deviation by the rest. moved_px: (K,) from where it was looked for."""

    px: Array
    likeness: Array
    sigma_px: Array
    moved_px: Array


@dataclass(frozen=True, eq=False)
class Pattern:
    """The board's picture with a white square around it, and where the chess pattern alone is."""

    ink: Singles
    chess: Singles


def pattern_of(board: CharucoBoard) -> Pattern:
    """Ink 0 to 1 and chess 0 or 1, TEXTURE_PX to a square."""
    n = TEXTURE_PX
    ink = np.pad(board_texture(board, n).astype(np.float32) / 255, n, constant_values=1.0)
    chess = np.ones_like(ink)
    half = round(n * board.marker_m / board.square_m / 2) + MARKER_RIM
    for marker in aruco_board(board, 1.0).getObjPoints():
        x, y = np.rint((np.asarray(marker)[:, :2].mean(0) + 1) * n).astype(int)
        chess[y - half : y + half, x - half : x + half] = 0
    return Pattern(ink, chess)


def fit_corners(grey: Singles, pattern: Pattern, Hs: Array, at: Array, steps: int) -> Fitted:
    """Corners at (K, 2) on the board near where Hs (K, 3, 3), board → pixels around each, has them.

    grey: (H, W), black on white. The least squares of pattern, brightness, its slope and the shift, `steps` times.
    """
    sound = np.linalg.cond(Hs) < WORST_CONDITION
    Hs = np.where(sound[:, None, None], Hs, np.eye(3))
    start, side = _start_and_side(Hs, at)
    half = int(np.clip(WINDOW_SHARE * np.median(side), *WINDOW_PX))
    window = _Window(pattern, np.linalg.inv(Hs), start, half)
    px, inside = start.copy(), sound & window.inside(start, grey.shape)
    middle = np.array([grey.shape[1], grey.shape[0]]) / 2
    sigma_px = SIGMAS_PX[0]
    best = None
    for step in range(steps):
        px = np.where(inside[:, None], px, middle)
        base = np.rint(px).astype(np.int64)
        ink, weight = window.drawn(px - base)
        seen = window.cut_out(grey, base)
        if step in (0, steps // 2):
            sigma_px = min(SIGMAS_PX, key=lambda s: float(_solved(ink, weight, seen, half, s).rest[inside].sum()))
        best = _solved(ink, weight, seen, half, sigma_px)
        px = px + np.clip(best.shift_px, -STEP_PX, STEP_PX)
        inside &= window.inside(px, grey.shape) & (np.linalg.norm(px - start, axis=1) < 0.25 * side + 1)
        if not inside.any() or np.abs(best.shift_px[inside]).max() < STILL_PX:
            break
    assert best is not None
    moved_px = np.where(inside, np.linalg.norm(px - start, axis=1), np.nan)
    return Fitted(np.where(inside[:, None], px, np.nan), np.where(inside, best.likeness, 0.0), best.sigma_px, moved_px)


def _start_and_side(Hs: Array, at: Array) -> tuple[Array, Array]:
    """Where the corners should be (K, 2), and the shorter side of a square there (K,), pixels."""
    h = (Hs @ np.concatenate([at, np.ones((len(at), 1))], axis=1)[:, :, None])[:, :, 0]
    w = np.where(np.abs(h[:, 2:]) < 1e-12, 1e-12, h[:, 2:])
    start = h[:, :2] / w
    along = (Hs[:, :2, :2] - start[:, :, None] * Hs[:, 2:, :2]) / w[:, :, None]
    return start, np.linalg.norm(along, axis=1).min(axis=1)


@dataclass(frozen=True, eq=False)
class _Window:
    """The pixels round each of K corners, and what the pattern would show there."""

    pattern: Pattern
    Hs_inverse: Array
    start: Array
    half: int

    @property
    def reach(self) -> int:
        return self.half + EDGE

    def inside(self, px: Array, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """(K,) whose window lies in the picture."""
        margin = self.reach + 1
        return np.asarray(
            (np.nan_to_num(px, nan=-1e9) >= margin).all(1) & (px < np.array([shape[1], shape[0]]) - margin - 1).all(1)
        )

    def cut_out(self, grey: Singles, base: npt.NDArray[np.int64]) -> Singles:
        """(K, P) of the picture around base (K, 2)."""
        offset = np.arange(-self.half, self.half + 1)
        rows, columns = base[:, 1, None] + offset, base[:, 0, None] + offset
        return np.asarray(grey[rows[:, :, None], columns[:, None, :]].reshape(len(base), -1))

    def drawn(self, rest: Array) -> tuple[Singles, Singles]:
        """Ink (K, L, L) of pixels around the corner's, which is `rest` (K, 2) before it, and weights (K, P)."""
        length = 2 * self.reach + 1
        ink = np.empty((len(rest), length, length), np.float32)
        chess = np.empty_like(ink)
        _draw(ink, chess, self.pattern.ink, self.pattern.chess, self.Hs_inverse, self.start - rest - self.reach)
        offset = np.arange(-self.half, self.half + 1)
        disc = offset[:, None] ** 2 + offset**2 <= (self.half + 0.5) ** 2
        return ink, _cut(chess) * disc.ravel()


@numba.njit(cache=True, nogil=True)
def _draw(ink, chess, pattern_ink, pattern_chess, Hs_inverse, first):  # type: ignore[no-untyped-def]
    """Fill ink (K, L, L) with the pattern's mean over each pixel, chess with 1 where none of it is a marker.

    Hs_inverse: (K, 3, 3) pixels → squares. first: (K, 2) the first pixel's centre, for Hs_inverse.
    """
    height, width = pattern_ink.shape
    count = SAMPLES.shape[1]
    for k in range(ink.shape[0]):
        H = Hs_inverse[k]
        for i in range(ink.shape[1]):
            for j in range(ink.shape[2]):
                total, whole = 0.0, 1.0
                right = (NEXT_PX[0] * j + NEXT_PX[1] * i) % 1.0
                down = (NEXT_PX[1] * j + NEXT_PX[0] * i) % 1.0
                for s in range(count):
                    a, b = SAMPLES[0, s] + right, SAMPLES[1, s] + down
                    u = first[k, 0] + j + (a - 0.5 if a < 1.0 else a - 1.5)
                    v = first[k, 1] + i + (b - 0.5 if b < 1.0 else b - 1.5)
                    w = H[2, 0] * u + H[2, 1] * v + H[2, 2]
                    x = ((H[0, 0] * u + H[0, 1] * v + H[0, 2]) / w + 1.0) * TEXTURE_PX
                    y = ((H[1, 0] * u + H[1, 1] * v + H[1, 2]) / w + 1.0) * TEXTURE_PX
                    column = int(min(max(x, 0.0), width - 1.0))
                    row = int(min(max(y, 0.0), height - 1.0))
                    total += pattern_ink[row, column]
                    whole = min(whole, pattern_chess[row, column])
                ink[k, i, j] = total / count
                chess[k, i, j] = whole


@dataclass(frozen=True, eq=False)
class _Solution:
    shift_px: Array
    likeness: Array
    sigma_px: Array
    rest: Array


def _solved(ink: Singles, weight: Singles, seen: Singles, half: int, sigma_px: float) -> _Solution:
    """seen ≈ gain · ink(p - shift) + level + slope · p, least squares of every window on its own."""
    ink = gaussian_filter(ink, (0, sigma_px, sigma_px))
    down, right = np.gradient(ink, axis=(1, 2))
    across = np.broadcast_to(np.arange(-half - EDGE, half + EDGE + 1, dtype=np.float32) / half, ink.shape)
    columns = (ink, np.ones_like(ink), across, across.swapaxes(1, 2), right, down)
    A = np.stack([_cut(column) for column in columns], axis=1)
    weighted = A * weight[:, None]
    AtA = (weighted @ A.swapaxes(1, 2)).astype(np.float64)
    AtA += 1e-7 * np.eye(6) * (np.trace(AtA, axis1=1, axis2=2)[:, None, None] + 1e-9)
    inverse = np.linalg.inv(AtA)
    x = (inverse @ (weighted @ seen[:, :, None]).astype(np.float64))[..., 0]
    residual = seen - (x[:, None, :].astype(np.float32) @ A)[:, 0]
    count = weight.sum(1)
    rest = (weight * residual**2).sum(1).astype(np.float64)
    mean = (weight * seen).sum(1) / np.maximum(count, 1)
    spread = np.maximum((weight * (seen - mean[:, None]) ** 2).sum(1), 1e-9)
    gain = np.where(np.abs(x[:, 0]) < 1.0, 1.0, x[:, 0])
    variance = rest / np.maximum(count - 6, 1) * 0.5 * (inverse[:, 4, 4] + inverse[:, 5, 5])
    likeness = np.sqrt(np.clip(1 - rest / spread, 0, 1)) * np.sign(x[:, 0])
    return _Solution(-x[:, 4:] / gain[:, None], likeness, np.sqrt(variance) / np.abs(gain), rest / spread)


def _cut(windows: Singles) -> Singles:
    """(K, L, L) → (K, P) without the edge."""
    return np.ascontiguousarray(windows[:, EDGE:-EDGE, EDGE:-EDGE]).reshape(len(windows), -1)
