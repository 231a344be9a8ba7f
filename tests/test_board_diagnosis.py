"""Every usual mistake about a board is told by its name, with the camera and what to do."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.board import CharucoBoard
from nodes.calibrating.board_diagnosis import diagnosed
from nodes.calibrating.board_finder import BoardFinder
from nodes.calibrating.board_input import read_sightings
from tests.board_videos import pictures, write_images
from tests.rendered_boards import Shot

REAL = CharucoBoard(5, 7, 0.04, 0.03, two_sided=False)
SHOT = Shot(away_m=0.75, size_wh=(480, 360), focal_px=700.0, tilt=0.3)


@pytest.fixture(scope="module")
def greys():
    return pictures(6, 1, SHOT, REAL)[0]


def told(folder: Path, board: CharucoBoard, **cameras) -> list[str]:
    for name, of_camera in cameras.items():
        write_images(folder / "in" / name, of_camera)
    source = folder / "in"
    return diagnosed(read_sightings(source, board, lambda *_: None, jobs=1), board, source)


def test_the_right_board_is_fine(greys, tmp_path: Path) -> None:
    assert BoardFinder(REAL).find(greys[0]).count > 20
    assert told(tmp_path, REAL, a=greys) == []


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (replace(REAL, dictionary="DICT_5X5_250"), 'write dictionary = "DICT_4X4_1000"'),
        (
            replace(REAL, inverted=True),
            "is black on white, and said to be white on black: write inverted = false",
        ),
        (replace(REAL, columns=4, rows=5), "looks like 5x7 squares, given 4x5"),
        (replace(REAL, columns=7, rows=5), "looks like 5x7 squares, given 7x5"),
        (replace(REAL, columns=6, rows=8, legacy_pattern=True), "looks like 5x7 squares, given 6x8"),
    ],
    ids=["dictionary", "inverted", "smaller", "turned", "larger"],
)
def test_a_board_wrongly_described(greys, tmp_path: Path, given: CharucoBoard, word: str) -> None:
    (line,) = told(tmp_path, given, left=greys[:3], right=greys[3:])
    assert word in line
    assert line.startswith("cameras left, right: ")


def test_the_legacy_pattern(tmp_path: Path) -> None:
    legacy = CharucoBoard(4, 6, 0.05, 0.035, legacy_pattern=True, two_sided=False)
    greys, _ = pictures(3, 2, SHOT, legacy)
    (line,) = told(tmp_path, replace(legacy, legacy_pattern=False), a=greys)
    assert "write legacy_pattern = true" in line


def test_a_mirrored_camera(greys, tmp_path: Path) -> None:
    selfie = [np.ascontiguousarray(grey[:, ::-1]) for grey in greys]
    (line,) = told(tmp_path, REAL, straight=greys, selfie=selfie)
    assert line.startswith("camera selfie: the board is seen mirrored: turn off mirroring")
    (line,) = told(tmp_path / "two", replace(REAL, two_sided=True), straight=greys, other=greys, selfie=selfie)
    assert line.startswith("camera selfie: the board is only ever seen mirrored")


def test_no_board_at_all(greys, tmp_path: Path) -> None:
    empty = [np.random.default_rng(i).integers(90, 150, (360, 480)).astype(np.uint8) for i in range(3)]
    dark = [grey // 9 for grey in empty]
    lines = told(tmp_path, REAL, good=greys, blind=empty, dark=dark)
    assert any(line.startswith("camera blind: no board in any of 3 pictures: show it") for line in lines)
    assert any(line.startswith("camera dark: ") and "more light" in line for line in lines)
    assert not any("good" in line for line in lines)


def test_a_picture_that_stands_still(greys, tmp_path: Path) -> None:
    noise = [np.clip(greys[0] + np.random.default_rng(i).normal(0, 2, greys[0].shape), 0, 255) for i in range(6)]
    lines = told(tmp_path, REAL, frozen=[greys[0]] * 6, unmoved=[np.asarray(g, np.uint8) for g in noise], good=greys)
    assert (
        "camera frozen: all pictures are the same: the camera stood still or hung; move the board while it records"
        in lines
    )
    assert any(line.startswith("camera unmoved: the board did not move") for line in lines)


def test_found_too_seldom(greys, tmp_path: Path) -> None:
    blurred = [greys[0], *(cv2.GaussianBlur(grey, (0, 0), 6) for grey in greys[1:])]
    (line,) = told(tmp_path, REAL, a=blurred)
    assert "the right one, but found in 1 of 6 pictures only" in line
