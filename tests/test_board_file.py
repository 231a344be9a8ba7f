"""Board files: ours and Caliscope's, and what is said where something is missing."""

from pathlib import Path

import pytest

from calibration.board import CharucoBoard, load_board, save_board
from calibration.errors import CalibrationError

CALISCOPE = (
    'columns = 4\nrows = 5\nboard_height = 11.0\nboard_width = 8.5\ndictionary = "DICT_4X4_50"\naruco_scale = 0.75\n'
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "board.toml"
    path.write_text(text)
    return path


def test_a_board_is_read_as_it_was_written(tmp_path: Path):
    board = CharucoBoard(5, 7, 0.03, 0.02, "DICT_5X5_100", inverted=True, two_sided=False)
    save_board(board, tmp_path / "board.toml")
    assert load_board(tmp_path / "board.toml") == board


@pytest.mark.parametrize(
    ("more", "square_m"),
    [
        ('units = "inch"\nsquare_size_override_cm = 5.4\n', 0.054),
        ('units = "inch"\n', 2.125 * 0.0254),
        ('units = "cm"\n', 0.02125),
    ],
    ids=["measured", "inch", "cm"],
)
def test_caliscopes_board_is_read(tmp_path: Path, more: str, square_m: float):
    board = load_board(written(tmp_path, CALISCOPE + more))
    assert board.square_m == pytest.approx(square_m)
    assert board.marker_m == pytest.approx(0.75 * square_m)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lacks 'square_m'; a board has columns"),
        (CALISCOPE + 'units = "feet"\n', "units = 'feet' is none of inch, cm"),
        (CALISCOPE.replace("rows = 5", "rows = 0"), "4x0 squares"),
        (CALISCOPE.replace("aruco_scale = 0.75", ""), "lacks 'marker_m'"),
    ],
    ids=["empty", "unit", "no rows", "no marker"],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, text: str, words: str):
    with pytest.raises(CalibrationError, match=words):
        load_board(written(tmp_path, text))
