"""A page with the board at its true size: black and white rectangles, a ruler and words, in millimetres.

x to the right and y down from the page's top-left corner.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from nodes.sources.virtual.board_texture import aruco_board

PAPERS_MM = {
    "A5": (148.0, 210.0),
    "A4": (210.0, 297.0),
    "letter": (215.9, 279.4),
    "legal": (215.9, 355.6),
    "A3": (297.0, 420.0),
    "tabloid": (279.4, 431.8),
    "A2": (420.0, 594.0),
    "A1": (594.0, 841.0),
    "A0": (841.0, 1189.0),
}
MARGIN_MM = 8.0  # what home printers leave white, and more
FOOT_MM = 16.0  # under the board: ruler and words
RULER_MM = 100.0
LINE_MM = 0.3
TEXT_MM = 3.0


@dataclass(frozen=True)
class Box:
    """x, y: the top-left corner; w, h: its size; black or white."""

    x: float
    y: float
    w: float
    h: float
    black: bool


@dataclass(frozen=True)
class Words:
    """A line of text whose baseline begins at x, y."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Page:
    """One side of paper: boxes over one another in their order, and words."""

    size_mm: tuple[float, float]
    boxes: tuple[Box, ...]
    words: tuple[Words, ...]


def page_with(board: CharucoBoard, paper: str) -> Page:
    """The board in the middle of the paper, which lies as suits it. Raises CalibrationError when it does not fit."""
    size_mm = _lying(board, paper)
    w, h = board.size_m[0] * 1000, board.size_m[1] * 1000
    x, y = (size_mm[0] - w) / 2, max(MARGIN_MM, (size_mm[1] - FOOT_MM - h) / 2)
    foot_y = size_mm[1] - MARGIN_MM - FOOT_MM + 6
    boxes = (*board_boxes(board, x, y), *_ruler(x, foot_y))
    return Page(size_mm, boxes, _words(board, x, foot_y))


def mirrored(page: Page) -> Page:
    """The back: its boxes as seen through the paper, without words and ruler."""
    board = tuple(Box(page.size_mm[0] - b.x - b.w, b.y, b.w, b.h, b.black) for b in page.boxes if b.h > 4 * LINE_MM)
    return Page(page.size_mm, board, ())


def board_boxes(board: CharucoBoard, x: float, y: float) -> list[Box]:
    """The board's squares and markers with its top-left corner at x, y."""
    side, marker = board.square_m * 1000, board.marker_m * 1000
    theirs = aruco_board(board, 1.0)
    places = [np.floor(np.asarray(corners)[:, :2].mean(0)).astype(int) for corners in theirs.getObjPoints()]
    white = {(int(column), int(row)) for column, row in places}
    ink = not board.inverted
    boxes = [Box(x, y, board.columns * side, board.rows * side, not ink)]
    boxes += [
        Box(x + column * side, y + row * side, side, side, ink)
        for row in range(board.rows)
        for column in range(board.columns)
        if (column, row) not in white
    ]
    gap = (side - marker) / 2
    for number, (column, row) in zip(theirs.getIds().ravel(), places, strict=True):
        left, top = x + column * side + gap, y + row * side + gap
        boxes.append(Box(left, top, marker, marker, ink))
        boxes += _bits(theirs.getDictionary(), int(number), left, top, marker, not ink)
    return boxes


def _bits(dictionary: cv2.aruco.Dictionary, number: int, x: float, y: float, marker: float, black: bool) -> list[Box]:
    """The light cells of a marker, those side by side in one box."""
    n = dictionary.markerSize
    cell = marker / (n + 2)
    light = cv2.aruco.Dictionary.getBitsFromByteList(dictionary.bytesList[number : number + 1], n) > 0
    boxes = []
    for row in range(n):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], light[row].astype(int), [0]])))
        for first, behind in edges.reshape(-1, 2):
            boxes.append(Box(x + (1 + first) * cell, y + (1 + row) * cell, (behind - first) * cell, cell, black))
    return boxes


def _lying(board: CharucoBoard, paper: str) -> tuple[float, float]:
    """Width and height of the paper, upright if it fits so."""
    need = (board.size_m[0] * 1000 + 2 * MARGIN_MM, board.size_m[1] * 1000 + 2 * MARGIN_MM + FOOT_MM)
    upright = paper_mm(paper)
    for size_mm in (upright, upright[::-1]):
        if need[0] <= size_mm[0] and need[1] <= size_mm[1]:
            return size_mm
    raise CalibrationError(
        f"a board of {board.columns}x{board.rows} squares of {board.square_m * 1000:g} mm needs {need[0]:.0f} x "
        f"{need[1]:.0f} mm with margins and ruler, {paper} has {upright[0]:g} x {upright[1]:g}: "
        f"{_what_fits(board, need, upright)}"
    )


def _what_fits(board: CharucoBoard, need: tuple[float, float], upright: tuple[float, float]) -> str:
    squares = [
        min((w - 2 * MARGIN_MM) / board.columns, (h - 2 * MARGIN_MM - FOOT_MM) / board.rows)
        for w, h in (upright, upright[::-1])
    ]
    fits = [name for name, (w, h) in PAPERS_MM.items() if min(need) <= min(w, h) and max(need) <= max(w, h)]
    larger = f", or --paper {fits[0]}" if fits else ""
    return f"give --square-mm {np.floor(2 * max(squares)) / 2:g}{larger}"


def paper_mm(paper: str) -> tuple[float, float]:
    """Width and height, upright, of A4, letter, …, or of millimetres such as 600x900. Raises CalibrationError."""
    by_name = {name.lower(): size for name, size in PAPERS_MM.items()}
    if paper.lower() in by_name:
        return by_name[paper.lower()]
    try:
        w, h = (float(part) for part in paper.lower().split("x"))
    except ValueError:
        w = h = 0.0
    if not (20 <= w <= 5000 and 20 <= h <= 5000):
        raise CalibrationError(f"paper {paper!r} is unknown: give {', '.join(PAPERS_MM)}, or millimetres as 600x900")
    return w, h


def _ruler(x: float, y: float) -> list[Box]:
    """RULER_MM from the middle of the first tick to that of the last."""
    half = LINE_MM / 2
    ticks = [
        Box(x + at - half, y - (3 if at % 50 == 0 else 2), LINE_MM, 3 if at % 50 == 0 else 2, True)
        for at in range(0, int(RULER_MM) + 1, 10)
    ]
    return [Box(x - half, y - half, RULER_MM + LINE_MM, LINE_MM, True), *ticks]


def _words(board: CharucoBoard, x: float, y: float) -> tuple[Words, ...]:
    kind = ", ".join(
        [f"ChArUco {board.columns} x {board.rows}", f"squares {board.square_m * 1000:g} mm",
         f"markers {board.marker_m * 1000:g} mm", board.dictionary]
        + ["inverted"] * board.inverted + ["legacy pattern"] * board.legacy_pattern
    )  # fmt: skip
    return (
        Words(x + RULER_MM + 3, y, "100 mm"),
        Words(x, y + 4.5, kind),
        Words(
            x,
            y + 8.5,
            "Print at 100 %, not fitted to the page. Measure the squares; write the measured size to the .toml.",
        ),
    )
