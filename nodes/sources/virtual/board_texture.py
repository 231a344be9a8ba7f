"""The picture of a ChArUco board as it is printed, to half a pixel of the texture.

OpenCV's own `generateImage` rounds the margin around markers to whole pixels and stretches all markers to what is left:
1 % of a square too far out at 64 pixels a square, which draws corners outwards that are found beside them.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard


def aruco_board(board: CharucoBoard, square: float) -> Any:
    """OpenCV's board with squares of `square` units; black on white, as markers are looked for."""
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    theirs = cv2.aruco.CharucoBoard(
        (board.columns, board.rows), square, square * board.marker_m / board.square_m, dictionary
    )
    theirs.setLegacyPattern(board.legacy_pattern)
    return theirs


def board_texture(board: CharucoBoard, px_per_square: int) -> npt.NDArray[np.uint8]:
    """(rows · px_per_square, columns · px_per_square), black on white whether or not the board is inverted."""
    n = px_per_square
    theirs = aruco_board(board, 1.0)
    picture = np.zeros((board.rows * n, board.columns * n), np.uint8)
    for marker, quad in zip(theirs.getIds(), theirs.getObjPoints(), strict=True):
        low, high = np.asarray(quad)[:, :2].min(0), np.asarray(quad)[:, :2].max(0)
        column, row = (np.floor(0.5 * (low + high)) * n).astype(int)
        picture[row : row + n, column : column + n] = 255
        (left, top), (right, bottom) = np.rint(low * n).astype(int), np.rint(high * n).astype(int)
        cells = theirs.getDictionary().markerSize + 2
        drawn = cv2.aruco.generateImageMarker(theirs.getDictionary(), int(marker.item()), cells)
        picture[top:bottom, left:right] = cv2.resize(
            drawn, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST_EXACT
        )
    return picture
