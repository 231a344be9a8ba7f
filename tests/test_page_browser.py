"""The live page in a real browser, with a made-up system: what is drawn, what is said, what can be done.

One page of usual size serves most tests, since software draws slowly; each of these also shows that it outlived the
others. Those with a page of their own come first, before there are two to draw.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser

from benchmarks.acting_system import ActingSystem
from benchmarks.page_reader import PageReader
from nodes.sessions.reader import SessionReader
from tests import browser
from tests.browser import Shown
from tests.hub import running
from tests.page_process import PageProcess, running_page
from tests.test_page_bad_input import DISTORTIONS, hostile

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.slow]

WIDE, PHONE = (1280, 800), (390, 844)
TABS = ("Cameras", "Timing", "Calibrate", "Replay", "Live")
ROOM = np.s_[60:740, 60:880]  # of the wide page: where nothing but the room is drawn
TRAIL_MS = 4000  # until it has gone by
LOOKS = 20  # at the page, until it stands still
CHANGED = 40  # grey levels in one of the three colours


@pytest.fixture(scope="module")
def page(hub, tmp_path_factory) -> Iterator[PageProcess]:
    with running_page(hub, tmp_path_factory.mktemp("page")) as process:
        yield process


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.browser() as started:
        yield started


@pytest.fixture(scope="module")
def wide(chromium, page) -> Iterator[Shown]:
    with browser.shown_in(chromium, page.url, WIDE) as shown:
        yield shown


@pytest.fixture
def shown(wide):
    """The page of usual size; in the end nothing has been complained of."""
    yield wide
    wide.page.wait_for_timeout(50)  # what is still to be told
    assert wide.errors == []


def test_on_a_phone(hub, page, chromium):
    with (
        ActingSystem(hub.inner, hub.outer, people=2, preview_hz=5),
        browser.shown_in(chromium, page.url, PHONE, mobile=True) as shown,
    ):
        shown.wait_for("2 people")
        for tab in TABS:
            shown.open_tab(tab)
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert shown.errors == []


def test_a_page_whose_server_was_killed_comes_back_by_itself(hub, chromium, tmp_path):
    with (
        ActingSystem(hub.inner, hub.outer, preview_hz=0),
        running_page(hub, tmp_path) as first,
        browser.shown_in(chromium, first.url, PHONE) as shown,
    ):
        shown.wait_for("All is well")
        first.process.kill()
        first.process.wait()
        frames = shown.frames
        with served_again(first.process):
            while shown.frames < frames + 20:
                shown.page.wait_for_timeout(100)
            shown.wait_for("All is well")


@contextmanager
def served_again(before: "subprocess.Popen[str]") -> Iterator[None]:
    process = subprocess.Popen(before.args, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def changed(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """(height, width) of the room, where two pictures differ."""
    return np.asarray((np.abs(before[ROOM].astype(int) - after[ROOM]) > CHANGED).any(-1))


def standing_picture(shown: Shown) -> npt.NDArray[np.uint8]:
    """What is seen once nothing changes any more: software draws names and trails late. Whoever stands still must be
    drawn in one place."""
    shown.page.wait_for_timeout(TRAIL_MS)
    before = shown.screenshot()
    for _ in range(LOOKS):
        shown.page.wait_for_timeout(700)
        after = shown.screenshot()
        if changed(before, after).sum() < 20:
            return after
        before = after
    raise AssertionError("whoever stands still is not drawn in one place")


def test_the_skeleton_moves_and_nothing_else(hub, shown):
    with ActingSystem(hub.inner, hub.outer, preview_hz=5, keypoints_hz=10) as acting:
        shown.wait_for("All is well")
        acting.stand_still()
        still = standing_picture(shown)
        acting.stand_still(False)
        shown.page.wait_for_timeout(500)
        acting.stand_still()
        moved = standing_picture(shown)
    assert np.median(still[ROOM]) < 80, "the room is dark"
    there = changed(still, moved)
    assert there.sum() > 200, "the skeleton is elsewhere"
    assert there.mean() < 0.1, "and the room is as it was"
    left, right = np.percentile(np.nonzero(there)[1], (10, 90))  # what else moves: joints in the cameras' pictures
    assert right - left < 0.6 * there.shape[1]


def test_a_killed_camera_is_told_within_two_seconds_and_its_picture_is_grey(hub, page, shown):
    with (
        ActingSystem(hub.inner, hub.outer, system=False, keypoints_hz=10, preview_hz=5) as acting,
        PageReader(page.port) as reader,
    ):
        shown.wait_for("All is well")
        began_s = time.monotonic()
        acting.kill_camera("left")
        shown.page.locator(".lp .head", has_text=re.compile("left: no (frames|word)")).first.wait_for()
        told_s = time.monotonic() - began_s
        shown.page.wait_for_timeout(max(1.0, 1000 * (began_s + 2.0 - time.monotonic())))
        colours = {name: frustum(reader, name) for name in ("left", "right")}
        acting.revive_camera("left")
        shown.wait_for("All is well")
    assert told_s < 2.0
    assert colours["left"] != colours["right"]
    assert is_grey(colours["left"])


def frustum(reader: PageReader, camera: str) -> tuple[int, ...]:
    """Its colour, as the browser was told it last."""
    return tuple(reader.scene()[f"/cameras/{camera}"]["color"])


def is_grey(colour: tuple[int, ...]) -> bool:
    return max(colour) - min(colour) < 30


def test_record_and_stop_make_a_file_that_opens(hub, shown, tmp_path):
    recorder = [sys.executable, "-m", "nodes.recorder", "--folder", str(tmp_path), "--hub", hub.inner]
    with (
        ActingSystem(hub.inner, hub.outer, recorder=False, preview_hz=0),
        running([*recorder, "--hub-outer", hub.outer]) as process,
    ):
        shown.wait_for("Nothing is being recorded.")
        shown.type_into("Name", "walk")
        shown.press("Record")
        shown.wait_for("recording begins")
        shown.wait_for("walk.mcap")
        shown.page.wait_for_timeout(500)
        shown.press("Stop recording")
        shown.wait_for("walk.mcap is whole")
        assert process.poll() is None
    with SessionReader(tmp_path / "walk.mcap") as session:
        assert session.counts["pose/fusion"] > 3
        assert not session.is_cut


def test_five_browsers_at_once_and_one_that_loads_again(hub, page, shown):
    with ActingSystem(hub.inner, hub.outer, preview_hz=5):
        others = [PageReader(page.port) for _ in range(4)]
        for other in others:
            other.wait_for("All is well")
        before = [other.frames for other in others]
        shown.reload()
        shown.wait_for("All is well")
        came = [other.frames - old for other, old in zip(others, before, strict=True)]
        assert min(came) > 0.7 * max(came) > 10
        assert page.is_well(others[0])
        for other in others:
            other.close()


def test_whatever_comes_the_browser_neither_obeys_nor_complains(hub, shown):
    with ActingSystem(hub.inner, hub.outer, people=2, preview_hz=0) as acting:
        for distort in DISTORTIONS.values():
            acting.distort = distort
            shown.page.wait_for_timeout(150)
        for _ in range(3):
            for message in hostile():
                acting.inject(message)
            shown.page.wait_for_timeout(200)
        for tab in TABS:
            shown.open_tab(tab)
            shown.page.wait_for_timeout(50)
        assert shown.page.evaluate("window.hacked") is None
        assert shown.page.locator("img[src=x]").count() == 0
        acting.distort = lambda pose: pose
        shown.wait_for("Person 2")
