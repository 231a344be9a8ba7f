"""The board in a picture: markers by OpenCV, from them where every corner should be, there the pattern laid over it.

A corner is found with a single marker anywhere on the board, not only between two of them. OpenCV gives marker corners
with the top-left pixel's own corner at (0, 0); pixels here have their centres at integers.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from nodes.calibrating.corner_fit import TEXTURE_PX, Fitted, Pattern, fit_corners, pattern_of
from nodes.calibrating.found import Found
from nodes.sources.virtual.board_texture import aruco_board

Array = npt.NDArray[np.float64]

LIKE_ENOUGH = 0.85  # correlation with the pattern: real ones reach 0.93 and more, a hand over it stays below
SIGMA_PX = 0.35  # a corner that is less sure is left out
ODD_PX, ODD_SHARE = 1.0, 0.03  # away from where its neighbours have it: pixels, or of a square's side
FEWEST_CORNERS = 4
REACH = 1.5  # squares: how far a corner counts where the lens bends the board
FAR_WEIGHT = 1e-3
SURE_WITHIN = 1.3  # squares from what is known: so far the place is foretold well enough
ROUNDS = 4
SMALLEST_PX = 48  # a picture with less on a side shows no board
LARGEST_DICTIONARY = 1000  # markers
MARKER_OFF = 0.3  # of a square: from where the other markers have it
SAME_MARKER = 0.5  # correlation of a marker's cells with the printed ones: another marker's are about 0 +- 0.25
FEWEST_MARKERS, MARKER_SHARE = 2, 0.5  # that must look as printed: one may be misread, as those of the back are
READINGS = 3  # of one picture, when the markers that agree most are misread ones


@dataclass(frozen=True, eq=False)
class _Known:
    """Places on the board (N, 2), in squares, with their pixels (N, 2) and weights (N,)."""

    at: Array
    px: Array
    weight: Array

    def __add__(self, other: "_Known") -> "_Known":
        return _Known(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in vars(self)))


class BoardFinder:
    """Finds one board. Raises CalibrationError when its markers are of no dictionary, or of one that is too small."""

    def __init__(self, board: CharucoBoard) -> None:
        if not (board.dictionary.startswith("DICT_") and hasattr(cv2.aruco, board.dictionary)):
            raise CalibrationError(
                f"OpenCV has no dictionary {board.dictionary!r}; DICT_4X4_1000 and DICT_5X5_250 are usual ones"
            )
        theirs = aruco_board(board, 1.0)
        dictionary = theirs.getDictionary()
        markers = board.columns * board.rows // 2
        if dictionary.bytesList.shape[0] < markers:
            remedy = "take DICT_4X4_1000" if markers <= LARGEST_DICTIONARY else "take fewer and larger squares"
            raise CalibrationError(
                f"a board of {board.columns}x{board.rows} squares has {markers} markers, {board.dictionary} only "
                f"{dictionary.bytesList.shape[0]}: {remedy}"
            )
        self.board = board
        self._pattern = pattern_of(board)
        self._at = board.corners_m()[:, :2] / board.square_m
        self._marker_at = {
            int(i): np.asarray(p)[:, :2] for i, p in zip(theirs.getIds(), theirs.getObjPoints(), strict=True)
        }
        self._cells = _Cells.of(self._pattern, list(self._marker_at.values()), dictionary.markerSize)
        parameters = cv2.aruco.DetectorParameters()
        parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
        self._detector = cv2.aruco.ArucoDetector(dictionary, parameters)

    def find(self, gray: npt.NDArray[np.uint8]) -> Found:
        """The board in gray (H, W); from the back too where it has two sides. Nothing under four corners."""
        straight = self._find(gray)
        if not self.board.two_sided or np.isfinite(straight).all(-1).sum() >= FEWEST_CORNERS:
            return Found(straight, False)
        behind = self._find(np.ascontiguousarray(gray[:, ::-1]))
        behind[:, 0] = gray.shape[1] - 1 - behind[:, 0]
        return Found(behind, bool(np.isfinite(behind).any()))

    def _find(self, gray: npt.NDArray[np.uint8]) -> Array:
        """(K, 2) corners of a board that is seen from its front."""
        if min(gray.shape) < SMALLEST_PX:
            return np.full((self.board.corner_count, 2), np.nan)
        grey = np.asarray(255 - gray if self.board.inverted else gray, np.uint8)
        nothing = np.full((self.board.corner_count, 2), np.nan)
        at, px = self._markers(grey)
        light = grey.astype(np.float32)
        for _ in range(READINGS):
            if not len(at):
                break
            agree = np.repeat(_agreeing(at, px), 4) if len(at) > 4 else np.ones(4, dtype=bool)
            if not agree.any():
                break
            markers = _Known(at[agree], px[agree], np.full(int(agree.sum()), 0.1))
            corners = self._corners(light, markers, nothing)
            if self._as_printed(light, markers, corners):
                return corners
            at, px = at[~agree], px[~agree]
        return nothing

    def _markers(self, grey: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """Corners (4 M, 2) of the markers that are read, on the board and in the picture; some are misread."""
        quads, ids, _ = self._detector.detectMarkers(grey)
        read = [] if ids is None else list(zip(quads, map(int, ids[:, 0]), strict=True))
        found = [(quad, i) for quad, i in read if i in self._marker_at]
        if not found:
            return np.empty((0, 2)), np.empty((0, 2))
        at = np.concatenate([self._marker_at[i] for _, i in found])
        return at, np.concatenate([np.asarray(q, np.float64)[0] for q, _ in found]) - 0.5

    def _as_printed(self, grey: npt.NDArray[np.float32], markers: _Known, corners: Array) -> bool:
        """Whether most markers beside the corners look as those that are printed there.

        The chess pattern cannot tell: it fits also where the board lies some squares aside, or turned over.
        """
        have = np.isfinite(corners[:, 0])
        if not have.any():
            return False
        beside = _distance(self._cells.middle, self._at[have]) < 0.8
        known = markers + self._known(corners)  # corners alone may be on one line
        Hs = local_homographies(known.at, known.px, known.weight, self._cells.middle[beside])
        like = self._cells.likeness(grey, Hs, beside)
        same = int((like > SAME_MARKER).sum())
        return same >= FEWEST_MARKERS and same > MARKER_SHARE * int(np.isfinite(like).sum())

    def _corners(self, grey: npt.NDArray[np.float32], markers: _Known, nothing: Array) -> Array:
        """Outwards from the markers, then all once more from one another's places."""
        corners = nothing.copy()
        known = markers
        for _ in range(ROUNDS):
            todo = np.flatnonzero(np.isnan(corners[:, 0]) & (_distance(self._at, known.at) < SURE_WITHIN))
            if not len(todo):
                break
            fitted = self._fit(grey, known, todo, steps=3)
            good = _good(fitted)
            corners[todo[good]] = fitted.px[good]
            if not good.any():
                break
            known = markers + self._known(corners)
        have = np.flatnonzero(np.isfinite(corners[:, 0]))
        if len(have) < FEWEST_CORNERS:
            return nothing
        fitted = self._fit(grey, known, have, steps=6)
        good = _good(fitted)
        corners = nothing.copy()
        corners[have[good]] = fitted.px[good]
        corners[self._odd(corners)] = np.nan
        return corners if np.isfinite(corners[:, 0]).sum() >= FEWEST_CORNERS else nothing

    def _fit(self, grey: npt.NDArray[np.float32], known: _Known, which: npt.NDArray[np.int64], steps: int) -> Fitted:
        at = self._at[which]
        return fit_corners(grey, self._pattern, local_homographies(known.at, known.px, known.weight, at), at, steps)

    def _known(self, corners: Array) -> _Known:
        have = np.isfinite(corners[:, 0])
        return _Known(self._at[have], corners[have], np.ones(int(have.sum())))

    def _odd(self, corners: Array) -> npt.NDArray[np.int64]:
        """Corners that are not where the others, the near ones above all, have them; from six corners on."""
        have = np.flatnonzero(np.isfinite(corners[:, 0]))
        if len(have) < 6:
            return have[:0]
        at, px = self._at[have], corners[have]
        Hs = local_homographies(at, px, np.ones(len(have)), at, without_self=True)
        foretold = _mapped(Hs, at)
        side = np.linalg.norm(_mapped(Hs, at + 0.5) - _mapped(Hs, at - 0.5), axis=1) / np.sqrt(2)
        off_px = np.linalg.norm(foretold - px, axis=1)
        return have[off_px > np.maximum(ODD_PX, ODD_SHARE * side) + 3 * np.median(off_px)]


@dataclass(frozen=True, eq=False)
class _Cells:
    """The cells of M markers, without their rims: at (M, P, 2) in squares, printed (M, P) ink. middle: (M, 2)."""

    at: Array
    printed: Array
    middle: Array

    @classmethod
    def of(cls, pattern: Pattern, markers: list[Array], cells: int) -> "_Cells":
        """markers: (4, 2) corners each, from the top left. cells: on a side."""
        along = (np.arange(cells) + 1.5) / (cells + 2)
        corners = np.stack(markers)
        across, down = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
        at = corners[:, None, None, 0] + along[:, None, None] * down[:, None, None]
        at = at + along[:, None] * across[:, None, None]
        at = at.reshape(len(markers), -1, 2)
        column, row = np.floor((at + 1) * TEXTURE_PX).astype(int).transpose(2, 0, 1)
        return cls(at, pattern.ink[row, column].astype(np.float64), corners.mean(1))

    def likeness(self, grey: npt.NDArray[np.float32], Hs: Array, which: npt.NDArray[np.bool_]) -> Array:
        """Correlation of which (M,) with the picture, seen by Hs, one for each of them; NaN where it is not whole."""
        at, printed = self.at[which], self.printed[which]
        h = np.concatenate([at, np.ones((*at.shape[:2], 1))], axis=2) @ Hs.swapaxes(1, 2)
        px = h[..., :2] / h[..., 2:]
        whole = ((px >= 0) & (px <= np.array(grey.shape[::-1]) - 1)).all((1, 2))
        px = np.where(whole[:, None, None], px, 0.0).astype(np.float32)
        seen = cv2.remap(grey, px[..., 0], px[..., 1], cv2.INTER_LINEAR).astype(np.float64).reshape(printed.shape)
        seen, printed = seen - seen.mean(1, keepdims=True), printed - printed.mean(1, keepdims=True)
        spread = np.sqrt((seen**2).sum(1) * (printed**2).sum(1))
        return np.where(whole, (seen * printed).sum(1) / np.maximum(spread, 1e-9), np.nan)


def local_homographies(at: Array, px: Array, weight: Array, where: Array, without_self: bool = False) -> Array:
    """(K, 3, 3) at → px around each of `where` (K, 2): near points count most, so that a bent lens does no harm.

    at, px: (N, 2). The smallest eigenvector of the weighted equations (Hartley and Zisserman, 4.1).
    """
    T_at, T_px = _centred(at), _centred(px)
    a, q = _mapped(T_at[None], at[None])[0], _mapped(T_px[None], px[None])[0]
    one, zero = np.ones(len(a)), np.zeros(len(a))
    homogeneous = np.stack([a[:, 0], a[:, 1], one], axis=1)
    nil = np.stack([zero, zero, zero], axis=1)
    rows = np.stack([np.concatenate([-homogeneous, nil, q[:, :1] * homogeneous], axis=1),
                     np.concatenate([nil, -homogeneous, q[:, 1:] * homogeneous], axis=1)], axis=1)  # fmt: skip
    squares = np.einsum("nri,nrj->nij", rows, rows)
    far = ((where[:, None] - at[None]) ** 2).sum(-1)
    w = (np.exp(-far / (2 * REACH**2)) + FAR_WEIGHT) * weight
    if without_self:
        w = np.where(far < 1e-9, 0.0, w)
    _, vectors = np.linalg.eigh(np.einsum("kn,nij->kij", w, squares))
    return np.asarray(np.linalg.inv(T_px) @ vectors[:, :, 0].reshape(-1, 3, 3) @ T_at)


def _agreeing(at: Array, px: Array) -> npt.NDArray[np.bool_]:
    """(M,) markers whose corners (4 M, 2) lie on one board with the most others; a wrongly read one does not."""
    H, _ = cv2.findHomography(at, px, cv2.RANSAC, MARKER_OFF * _side(px))
    if H is None:
        return np.zeros(len(at) // 4, dtype=bool)
    off = np.linalg.norm(_mapped(H[None], at[None])[0] - px, axis=1).reshape(-1, 4).max(1)
    return np.asarray(off < 2 * MARKER_OFF * _side(px))


def _side(px: Array) -> float:
    """Median side of markers (4 M, 2)."""
    quads = px.reshape(-1, 4, 2)
    return float(np.median(np.linalg.norm(quads - np.roll(quads, 1, axis=1), axis=-1)))


def _good(fitted: Fitted) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(fitted.px).all(-1) & (fitted.likeness > LIKE_ENOUGH) & (fitted.sigma_px < SIGMA_PX))


def _distance(places: Array, known: Array) -> Array:
    """(K,) to the nearest known place."""
    return np.asarray(np.linalg.norm(places[:, None] - known[None], axis=-1).min(1))


def _centred(points: Array) -> Array:
    """(3, 3) that brings points (N, 2) to the origin and to a usual size."""
    mean = points.mean(0)
    size = max(float(np.sqrt(((points - mean) ** 2).sum(1).mean() / 2)), 1e-9)
    return np.array([[1 / size, 0, -mean[0] / size], [0, 1 / size, -mean[1] / size], [0, 0, 1]])


def _mapped(Hs: Array, points: Array) -> Array:
    """(..., 2) points by homographies: one H for each point, or Hs (1, 3, 3) with points (1, N, 2)."""
    if points.ndim == 3:
        h = np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1) @ Hs.swapaxes(1, 2)
    else:
        h = (Hs @ np.concatenate([points, np.ones((len(points), 1))], axis=-1)[:, :, None])[:, :, 0]
    return np.asarray(h[..., :2] / h[..., 2:])
