"""What is printed is the board, at its true size: found in the picture, and read from the PDF's numbers."""

import argparse
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.board import CharucoBoard, load_board
from calibration.errors import CalibrationError
from nodes.calibrating.board_finder import BoardFinder
from nodes.calibrating.board_page import page_with, paper_mm
from nodes.calibrating.board_print import pdf_of, raster_of
from nodes.commands import calibrate_board
from nodes.sources.virtual.board_texture import aruco_board

BOARDS = [
    CharucoBoard(5, 7, 0.030, 0.0225, two_sided=False),
    CharucoBoard(4, 5, 0.0333, 0.02, "DICT_6X6_250", inverted=True, two_sided=False),
    CharucoBoard(8, 6, 0.025, 0.019, "DICT_5X5_100", legacy_pattern=True, two_sided=False),
]


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    calibrate_board.add(parser.add_subparsers())
    options = parser.parse_args(["board", *words])
    return int(options.run(options))


def square_px(board: CharucoBoard, grey) -> float:
    """Mean side of the squares that are found in a picture of the page; all have to be."""
    found = BoardFinder(board).find(grey)
    assert found.count == board.corner_count
    a, b = board.neighbours().T
    sides = np.linalg.norm(found.corners_px[a] - found.corners_px[b], axis=1)
    assert np.ptp(sides) < 0.2
    return float(sides.mean())


@pytest.mark.parametrize("board", BOARDS, ids=["usual", "inverted", "legacy"])
def test_the_picture_shows_the_board_at_its_size(board: CharucoBoard) -> None:
    grey = raster_of(page_with(board, "A4"), 150)
    assert square_px(board, grey) / 150 * 0.0254 == pytest.approx(board.square_m, rel=1e-3)


@pytest.mark.parametrize("board", BOARDS, ids=["usual", "inverted", "legacy"])
def test_the_pattern_is_opencvs(board: CharucoBoard) -> None:
    page = page_with(board, "A4")
    ours = raster_of(page, 25.4 * 8)
    first = page.boxes[0]
    size = (round(first.w * 8), round(first.h * 8))
    x, y = round(first.x * 8), round(first.y * 8)
    theirs = aruco_board(board, 1.0).generateImage(size, marginSize=0)
    theirs = 255 - theirs if board.inverted else theirs
    differ = np.abs(ours[y : y + size[1], x : x + size[0]].astype(int) - theirs) > 128
    assert differ.mean() < 0.03  # theirs is on whole pixels
    assert (cv2.erode(differ.astype(np.uint8), np.ones((4, 4))) == 0).all()


def test_the_pdf_in_its_numbers() -> None:
    page = page_with(BOARDS[0], "letter")
    content = pdf_of([page])
    stream = zlib.decompress(content.split(b"stream\n")[1].split(b"\nendstream")[0]).decode()
    scale = float(stream.split()[0])
    boxes = np.array([line.split()[:4] for line in stream.splitlines() if line.endswith(" re")], float)
    sides_mm = boxes[(boxes[:, 2] == boxes[:, 3]) & (boxes[:, 2] > 25)][:, 2] * scale / 72 * 25.4
    np.testing.assert_allclose(sides_mm, 30.0, rtol=1e-4)
    media = [float(n) for n in re.search(rb"MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content).groups()]  # type: ignore[union-attr]
    assert media == pytest.approx([8.5 * 72, 11 * 72], abs=0.01)
    assert b"/PrintScaling /None" in content
    for match in re.finditer(rb"(\d{10}) 00000 n", content):
        assert re.match(rb"\d+ 0 obj", content[int(match[1]) :])
    ruler = boxes[np.isclose(boxes[:, 2], 100.3)]
    assert len(ruler) == 1


@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="needs poppler's pdftoppm")
def test_the_pdf_drawn_by_another_program(tmp_path: Path) -> None:
    (tmp_path / "board.pdf").write_bytes(pdf_of([page_with(BOARDS[0], "A4")]))
    command = ["pdftoppm", "-r", "150", "-gray", "-png", "-singlefile", "board.pdf", "board"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    grey = np.asarray(cv2.imread(str(tmp_path / "board.png"), cv2.IMREAD_GRAYSCALE), np.uint8)
    assert square_px(BOARDS[0], grey) / 150 * 0.0254 == pytest.approx(0.030, rel=1e-3)


def test_the_command_writes_page_and_board_and_says_what_is_next(tmp_path: Path, capsys) -> None:
    assert run("--out", str(tmp_path / "b.pdf")) == 0
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF-1.4")
    board = load_board(tmp_path / "b.toml")
    assert (board.columns, board.rows, board.square_m, board.marker_m) == (5, 7, 0.03, 0.0225)
    assert not board.two_sided
    told = capsys.readouterr().out
    assert "print at 100 %" in told
    assert "square_m" in told
    assert not list(tmp_path.glob("*.part"))
    assert run("--out", str(tmp_path / "b.pdf")) == 2
    assert "give another --out, or --force" in capsys.readouterr().err
    assert run("--out", str(tmp_path / "b.pdf"), "--force", "--two-sided") == 0
    assert b"/Count 2" in (tmp_path / "b.pdf").read_bytes()


def test_a_png_says_its_resolution(tmp_path: Path) -> None:
    assert run("--out", str(tmp_path / "b.png"), "--dpi", "100") == 0
    content = (tmp_path / "b.png").read_bytes()
    at = content.index(b"pHYs")
    assert int.from_bytes(content[at + 4 : at + 8], "big") == 3937
    assert cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_GRAYSCALE).shape == (1169, 827)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--square-mm", "50"], "needs 266 x 382 mm.*--square-mm 37.*--paper A3"),
        (["--square-mm", "300"], "give --square-mm 37"),
        (["--paper", "A9"], "paper 'A9' is unknown: give A5, A4"),
        (["--marker-mm", "40"], "does not fit into a square"),
        (["--columns", "2"], "3 to 64"),
        (["--dictionary", "DICT_4X4_5"], "no dictionary"),
        (["--dictionary", "DICT_4X4_50", "--columns", "16", "--rows", "16", "--square-mm", "8"], "128 markers"),
        (["--out", "b.svg"], r"written as \.pdf or \.png"),
        (["--out", "b.png", "--dpi", "9000"], "at most 20000 pixels"),
        (["--out", "b.png", "--two-sided"], "a picture has no back"),
    ],
)
def test_what_cannot_be_printed_is_told(tmp_path: Path, monkeypatch, capsys, words: list[str], told: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--out", "b.pdf", *words) == 2
    assert re.search(told, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_the_paper_lies_as_suits_the_board() -> None:
    wide = CharucoBoard(9, 5, 0.028, 0.02)
    assert page_with(wide, "A4").size_mm == (297.0, 210.0)
    assert page_with(wide, "500x400").size_mm == (500.0, 400.0)
    assert paper_mm("a3") == (297.0, 420.0)
    with pytest.raises(CalibrationError, match="paper '0x9' is unknown"):
        paper_mm("0x9")


def test_the_back_has_corner_behind_corner() -> None:
    board = CharucoBoard(5, 7, 0.030, 0.0225)
    from nodes.calibrating.board_page import mirrored

    page = page_with(board, "A4")
    front, back = BoardFinder(board).find(raster_of(page, 100)), BoardFinder(board).find(raster_of(mirrored(page), 100))
    assert back.mirrored
    width = 210 / 25.4 * 100
    np.testing.assert_allclose(width - 1 - back.corners_px[:, 0], front.corners_px[:, 0], atol=0.1)
