"""A camera's eye for the board: when it looks, at which pictures, and that it harms nobody."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from calibration.board import text_of_board
from nodes.calibrating.board_looker import BoardLooker, Looks
from nodes.sources.source import Frame
from nodes.wire.bus import Publisher
from nodes.wire.requests import CALIBRATOR, LOOK_PERIOD_NS, BoardSeen, CalibrationState
from tests.board_videos import BOARD, pictures
from tests.hub import PATIENCE_S, Hub

BEGIN_NS = 1_700_000_000_000_000_000 // LOOK_PERIOD_NS * LOOK_PERIOD_NS
TOML = text_of_board(BOARD)


@pytest.fixture(scope="module")
def shown():
    """A picture of the board, RGB, and its true corners."""
    greys, true = pictures(1)
    return np.repeat(greys[0][:, :, None], 3, axis=2), true[0]


def frame(rgb, number: int, after_ns: int) -> Frame:
    return Frame(rgb, BEGIN_NS + after_ns, number)


def found_by(looks: Looks, count: int) -> list[BoardSeen]:
    found: list[BoardSeen] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < deadline_s:
        found += looks.found()
        time.sleep(0.01)
    return found


@pytest.fixture
def looks() -> Iterator[Looks]:
    looks = Looks("left", TOML)
    yield looks
    looks.end()


def test_what_is_seen_is_told_with_the_pictures_own_time(looks, shown) -> None:
    rgb, true = shown
    looks.offer(frame(rgb, 7, 1_000_000))
    (seen,) = found_by(looks, 1)
    assert (seen.source, seen.frame_id, seen.captured_ns, seen.size_wh) == ("left", 7, BEGIN_NS + 1_000_000, (320, 240))
    assert np.nanmedian(np.linalg.norm(seen.corners_px - true, axis=1)) < 0.3
    looks.offer(frame(np.zeros_like(rgb), 8, LOOK_PERIOD_NS))
    (seen,) = found_by(looks, 1)
    assert np.isnan(seen.corners_px).all(), "a picture without a board is told of, too: the camera is alive"


def test_the_first_picture_of_each_part_of_the_common_time_is_looked_at(looks, shown, monkeypatch) -> None:
    monkeypatch.setattr(looks, "_keep_up", lambda _: None)
    looks.offer(frame(shown[0], 0, 0))
    assert len(found_by(looks, 1)) == 1  # what it looks with is loaded
    numbers = []
    for number in range(1, 13):
        looks.offer(frame(shown[0], number, number * LOOK_PERIOD_NS // 4))
        numbers += [seen.frame_id for seen in found_by(looks, 1)] if number % 4 == 0 else []
    assert numbers == [4, 8, 12]


def test_a_slow_machine_looks_more_rarely_and_at_the_same_moments(looks) -> None:
    for _ in range(20):
        looks._keep_up(3 * LOOK_PERIOD_NS)
    assert looks._period_ns == 4 * LOOK_PERIOD_NS
    for _ in range(40):
        looks._keep_up(LOOK_PERIOD_NS // 10)
    assert looks._period_ns == LOOK_PERIOD_NS


def test_a_picture_is_never_waited_for(looks, shown) -> None:
    rgb = shown[0]
    began_s = time.monotonic()
    for number in range(2000):
        looks.offer(frame(rgb, number, number * 64 * LOOK_PERIOD_NS))
    assert time.monotonic() - began_s < 1.0
    newest = found_by(looks, 1)
    deadline_s = time.monotonic() + PATIENCE_S
    while newest[-1].frame_id != 1999 and time.monotonic() < deadline_s:
        newest += looks.found()
    assert newest[-1].frame_id == 1999, "the newest one is looked at, those between are passed over"
    assert len(newest) < 200


@pytest.mark.parametrize("toml", ["", "columns = 3", "[[", TOML.replace("DICT_4X4_1000", "ArucoDetector")])
def test_a_board_that_cannot_be_is_said_and_not_looked_for(toml, shown, capsys) -> None:
    looks = Looks("left", toml)
    looks.offer(frame(shown[0], 0, 0))
    deadline_s, said = time.monotonic() + PATIENCE_S, ""
    while "does not look for the board" not in said and time.monotonic() < deadline_s:
        said += capsys.readouterr().err
        time.sleep(0.01)
    assert "does not look for the board" in said
    assert looks.found() == []


def state(words: str, seq: int, board_toml: str = TOML) -> CalibrationState:
    return CalibrationState(
        captured_ns=BEGIN_NS, published_ns=0, source=CALIBRATOR, seq=seq, state=words, board_toml=board_toml
    )


def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_it_follows_the_calibrator_and_stops_when_that_falls_silent(hub: Hub, shown, monkeypatch) -> None:
    monkeypatch.setattr("nodes.calibrating.board_looker.SILENT_NS", 400_000_000)
    looker = BoardLooker("left", hub.outer)
    count = 0

    def sees(word: str) -> bool:
        nonlocal count
        count += 1
        if word:
            bus.send(state(word, count))
        looker.offer(frame(shown[0], count, count * LOOK_PERIOD_NS))
        return bool(looker.follow())

    with Publisher(hub.inner) as bus:
        assert not until(lambda: sees("idle"), 0.5), "nobody asks"
        assert until(lambda: sees("looking"))
        assert not until(lambda: sees("seen") and count > 1_000_000, 0.3)
        assert not sees("seen"), "asked to stop"
        assert until(lambda: sees("looking")), "and asked again"
        time.sleep(0.5)
        looker.follow()
        assert not sees(""), "the calibrator is gone"
    looker.close()
