"""The capture thread, with sources that do what they are told."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from configs.errors import ConfigError
from nodes.capture import Capture, CaptureStatus, Patience
from nodes.sources.source import Frame, Granted, Source, SourceError

BLACK = np.zeros((2, 2, 3), np.uint8)
IMPATIENT = Patience(first_wait_s=0.01, longest_wait_s=0.05, frozen_after_s=0.1, abandon_after_s=0.2)
LONG_S = 20.0  # more than any of these tests takes on a busy machine


class Scripted:
    """Plays its script: a number is a frame, an exception is raised, None ends, an event is waited for."""

    granted = Granted((2, 2), 0.0, "script")

    def __init__(self, *script: int | Exception | threading.Event | None, close_wakes: bool = True) -> None:
        self._script = iter(script)
        self._events = [step for step in script if isinstance(step, threading.Event) and close_wakes]
        self.closed = threading.Event()

    def read(self) -> Frame | None:
        while isinstance(step := next(self._script), threading.Event):
            step.wait()
        if isinstance(step, Exception):
            raise step
        return None if step is None else Frame(BLACK, 1000 + step, step)

    def close(self) -> None:
        self.closed.set()
        for event in self._events:
            event.set()


@pytest.fixture
def start() -> Iterator[Callable[..., Capture]]:
    """Starts captures that open the given sources one after the other; an exception in their place is raised."""
    started: list[Capture] = []

    def _start(*sources: Source | Exception, lossless: bool = False, patience: Patience = IMPATIENT) -> Capture:
        waiting = iter(sources)

        def open_source() -> Source:
            source = next(waiting)
            if isinstance(source, Exception):
                raise source
            return source

        started.append(Capture(open_source, lossless, patience))
        return started[-1]

    yield _start
    for capture in started:
        capture.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came to that"
        time.sleep(0.002)


def take_all(capture: Capture) -> list[int]:
    ids = []
    while (frame := capture.take(LONG_S)) is not None:
        ids.append(frame.frame_id)
    return ids


def test_a_slow_taker_gets_the_newest_frame_and_the_others_are_counted(start):
    capture = start(Scripted(0, 1, 2, 3, None))
    wait_until(lambda: capture.snapshot().state == "ended")
    assert take_all(capture) == [3]
    status = capture.snapshot()
    assert (status.captured, status.dropped) == (4, 3)


def test_a_frame_is_handed_out_once(start):
    wait = threading.Event()
    capture = start(Scripted(0, wait, None))
    first = capture.take(LONG_S)
    assert first is not None
    assert first.captured_ns == 1000
    assert capture.take(0.01) is None
    wait.set()


def test_losslessly_every_frame_comes_in_order_however_slow_the_taker(start):
    capture = start(Scripted(*range(20), None), lossless=True)
    time.sleep(0.05)
    assert capture.snapshot().captured <= 2, "it must not run ahead of the taker"
    assert take_all(capture) == list(range(20))
    assert capture.snapshot().dropped == 0


def test_a_lost_source_is_opened_again_and_closed_before(start):
    sources = [Scripted(0, SourceError("cable")), Scripted(1, SourceError("cable")), Scripted(2, None)]
    capture = start(*sources)
    wait_until(lambda: capture.snapshot().state == "ended")
    status = capture.snapshot()
    assert (status.captured, status.reconnects, status.granted) == (3, 2, Scripted.granted)
    assert all(source.closed.is_set() for source in sources)


def test_while_it_is_lost_the_status_says_why(start):
    capture = start(Scripted(0, SourceError("the cable is out")), patience=Patience(first_wait_s=LONG_S))
    wait_until(lambda: capture.snapshot().state == "reconnecting")
    assert capture.snapshot().note == "the cable is out"
    assert capture.snapshot().granted == Scripted.granted


def test_a_camera_that_is_plugged_in_later_is_found(start):
    wait = threading.Event()
    capture = start(SourceError("no camera"), SourceError("no camera"), Scripted(7, wait, None))
    frame = capture.take(LONG_S)
    assert frame is not None
    assert frame.frame_id == 7
    assert capture.snapshot() == CaptureStatus("streaming", Scripted.granted, 1, 0, 0, "")
    wait.set()


def test_before_the_first_frame_it_is_starting_and_says_what_is_missing(start):
    capture = start(SourceError("no camera"), patience=Patience(first_wait_s=LONG_S))
    wait_until(lambda: capture.snapshot().note != "")
    status = capture.snapshot()
    assert (status.state, status.note, status.granted) == ("starting", "no camera", None)


def test_a_mistake_in_the_configuration_is_raised_to_the_taker(start):
    capture = start(ConfigError("clip.mp4 does not exist"))
    with pytest.raises(ConfigError, match=r"clip\.mp4"):
        capture.take(LONG_S)
    assert capture.snapshot().state == "ended"


def test_losslessly_a_fault_is_raised_after_the_frames_before_it(start):
    """Opening again would hand the same frames over twice."""
    capture = start(Scripted(0, 1, SourceError("damaged at frame 2")), lossless=True)
    assert [capture.take(LONG_S).frame_id for _ in range(2)] == [0, 1]
    with pytest.raises(SourceError, match="frame 2"):
        capture.take(LONG_S)


def test_a_frozen_source_is_noticed_and_comes_back_when_it_wakes(start):
    thaw = threading.Event()
    capture = start(Scripted(0, thaw, 1, threading.Event(), None), patience=Patience(frozen_after_s=0.05))
    capture.take(LONG_S)
    wait_until(lambda: capture.snapshot().state == "reconnecting")
    assert capture.snapshot().note.startswith("no frame for ")
    thaw.set()
    frame = capture.take(LONG_S)
    assert frame is not None
    assert frame.frame_id == 1


def test_a_read_that_hangs_is_left_behind_and_its_late_frame_is_refused(start):
    thaw = threading.Event()
    hanging = Scripted(0, thaw, 1, None, close_wakes=False)
    wait = threading.Event()
    others = [Scripted(wait, None) for _ in range(3)]  # a busy machine takes longer than this patience lasts
    capture = start(hanging, Scripted(10, wait, None), *others)
    assert [capture.take(LONG_S).frame_id for _ in range(2)] == [0, 10]
    thaw.set()
    assert hanging.closed.wait(LONG_S)
    assert capture.take(0.05) is None
    assert capture.snapshot().captured == 2
    wait.set()


def test_hanging_readers_do_not_pile_up_without_end(start):
    thaw = threading.Event()
    opened: list[Scripted] = []

    def open_source() -> Source:
        opened.append(Scripted(thaw, None, close_wakes=False))
        return opened[-1]

    capture = Capture(open_source, False, Patience(frozen_after_s=0.01, abandon_after_s=0.02))
    deadline_s = time.monotonic() + 0.5
    while time.monotonic() < deadline_s or len(opened) < 2:
        capture.take(0.01)
    capture.close()
    thaw.set()
    assert 2 <= len(opened) <= 4


def test_close_does_not_wait_for_a_read_that_blocks_for_ever(start):
    never = threading.Event()
    source = Scripted(0, never, None, close_wakes=False)
    capture = start(source)
    capture.take(LONG_S)
    capture.close()
    assert capture.snapshot().state == "ended"
    assert capture.take(LONG_S) is None
    assert source.closed.is_set(), "a sleeping source is woken by closing it"
    never.set()


def test_waits_double_up_to_the_longest():
    assert [Patience().wait_s(n) for n in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert Patience().wait_s(10_000) == 8.0


def test_a_source_that_delivered_for_a_while_starts_with_the_shortest_wait_again():
    assert Patience().count(failures=4, streamed_s=4.9) == 5
    assert Patience().count(failures=4, streamed_s=5.0) == 1


def test_a_time_lapse_camera_is_not_frozen():
    assert Patience().silence_s(fps=0.1) == 50.0
    assert Patience().silence_s(fps=30.0) == Patience().silence_s(fps=0.0) == 3.0
