"""A recording on the live page: its controls, how two results differ, and all of it in a browser."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import viser

from lifter.skeleton import COCO17, MEDIAPIPE33
from nodes.page.asks import Asks
from nodes.page.difference import difference
from nodes.page.opening import open_page
from nodes.page.part import Page
from nodes.page.play_controls import HANDS_OFF_NS, SEEK_EVERY_FUSED_NS, SEEK_EVERY_NS, clock
from nodes.page.replay_part import Replay
from nodes.page.seen import Seen
from nodes.sessions.about import about_of
from nodes.sessions.writer import new_session
from nodes.wire.bus import Publisher, every, now_ns
from nodes.wire.messages import Message, Person3D, Pose3D
from nodes.wire.requests import BESIDE, Mark, PlayMark, PlayRequest, PlayState
from tests import messages as make
from tests.browser import PATIENCE_MS, U8, Shown, opened
from tests.crowd import Actor
from tests.hub import Hub, free_ports, hub, running
from tests.page_process import running_page
from tests.session_files import config_of, rig_of
from tests.takes import CAMERAS, START_NS, Part, Take

__all__ = ["hub"]

F64 = npt.NDArray[np.float64]
S = 1_000_000_000
EVIL = '<img src=x onerror="alert(1)">'


def person(person_id: int, joints_m: Any) -> Person3D:
    n_joints = len(joints_m)
    return Person3D(
        id=person_id,
        joints_m=np.asarray(joints_m, np.float32),
        sigma_m=np.full(n_joints, 0.01, np.float32),
        reprojection_px=np.full(n_joints, 1.0, np.float32),
        views=np.full(n_joints, 3, np.uint32),
        origin=np.full(n_joints, 1, np.uint8),
    )


def pose(*people: Person3D, **changes: Any) -> Pose3D:
    return make.pose(people=people, skeleton="mediapipe33", **changes)


def body(x_m: float = 0.0) -> F64:
    """(33, 3) somebody who stands at x."""
    joints_m = Actor().joints_m(0.0)[0]
    return joints_m + np.array([x_m, 0.0, 0.0])


def test_people_of_two_results_are_compared_with_whom_they_are_nearest_to():
    made = difference(
        pose(person(1, body()), person(2, body(1.0))), pose(person(7, body(1.03)), person(8, body(0.01))), None
    )
    assert [(each.id, each.beside_id) for each in made.people] == [(1, 8), (2, 7)]
    assert [each.mean_mm for each in made.people] == pytest.approx([10, 30], abs=0.1)
    assert made.mean_mm == pytest.approx(20, abs=0.1)
    assert made.largest_mm == pytest.approx(30, abs=0.1)
    assert (made.alone, made.beside_alone, made.why_not) == ((), (), "")


def test_the_farthest_joint_is_named_and_absent_ones_are_left_out():
    moved = body()
    moved[16] += 0.2
    moved[15] = math.nan
    made = difference(pose(person(1, body())), pose(person(1, moved)), None)
    assert made.people[0].joint == "right wrist"
    assert made.people[0].largest_mm == pytest.approx(1000 * 0.2 * math.sqrt(3), rel=1e-4)
    assert made.people[0].n_joints == 32


def test_who_is_in_one_result_alone_is_told():
    made = difference(pose(person(1, body()), person(2, body(3.0))), pose(person(5, body(9.0))), None)
    assert (made.people, made.alone, made.beside_alone) == ((), (1, 2), (5,))
    assert math.isnan(made.mean_mm)
    assert math.isnan(made.largest_mm)


@pytest.mark.parametrize("joints_m", [np.full((33, 3), np.nan), np.full((33, 3), 1e38), np.zeros((5, 3))])
def test_what_cannot_be_compared_is_nobody(joints_m):
    made = difference(pose(person(1, body())), pose(person(1, joints_m)), None)
    assert made.people == ()
    assert difference(pose(), pose(), None).people == ()


def test_other_joints_are_matched_by_their_names():
    same = [MEDIAPIPE33.index(joint) for joint in COCO17.joints]
    seventeen = replace(pose(person(1, body()[same])), skeleton="coco17")
    made = difference(pose(person(1, body())), seventeen, None)
    assert made.people[0].n_joints == 17
    assert made.people[0].largest_mm == pytest.approx(0, abs=1e-3)
    strange = replace(pose(person(1, np.zeros((4, 3)))), skeleton="starfish")
    assert difference(pose(person(1, body())), strange, None).why_not == (
        "mediapipe33 and starfish have no joint in common"
    )


def test_poses_of_other_instants_are_not_compared():
    ours = pose(person(1, body()))
    assert "nothing at this instant" in difference(ours, replace(ours, captured_ns=ours.captured_ns + S), None).why_not


def test_seconds_are_told_as_on_a_clock():
    assert [clock(at_s) for at_s in (0.0, 59.4, 61.0, 3600.0, math.nan, -3.0)] == [
        *("0:00", "0:59", "1:01", "60:00", "0:00", "0:00")
    ]


@pytest.fixture(scope="module")
def server_page() -> Iterator[Page]:
    page = open_page("127.0.0.1", free_ports(1)[0], Asks())
    yield page
    page.server.stop()


class Tab:
    """The tab of replays, fed by hand; its elements are found by their labels."""

    def __init__(self, page: Page) -> None:
        self.asks = Asks()
        self.page = page
        self.part = Replay(replace(page, asks=self.asks))
        self.seen = Seen()
        self.now_ns = 1000 * S

    def hear(self, *messages: Message, after_s: float = 0.1) -> None:
        self.now_ns += round(after_s * S)
        for message in messages:
            self.seen.feed(message, self.now_ns)
        self.seen.expire(self.now_ns)
        self.part.show(self.seen, self.now_ns)

    def asked(self) -> list[tuple[str, float]]:
        return [(ask.action, ask.value) for ask in self.asks.drain(now_ns()) if isinstance(ask, PlayRequest)]

    def elements(self, kind: type) -> list[Any]:
        return [each for each in self.page.tabs.replay._children.values() if isinstance(each, kind)]

    def element(self, kind: type, label: str) -> Any:
        return next(each for each in self.elements(kind) if each.label == label)

    def words(self) -> str:
        return " ".join(each.content for each in self.elements(viser.GuiHtmlHandle))

    def slide(self, to_s: float) -> None:
        """Somebody moves the slider."""
        slider = self.element(viser.GuiSliderHandle, "Second")
        slider._impl.value = to_s
        for callback in slider._impl.update_cb:
            callback(viser.GuiEvent(client=None, client_id=1, target=slider))
        self.now_ns = max(self.now_ns, time.monotonic_ns())

    def press(self, label: str) -> None:
        button = self.element(viser.GuiButtonHandle, label)
        for callback in button._impl.update_cb:
            callback(viser.GuiEvent(client=None, client_id=1, target=button))


@pytest.fixture
def tab(server_page) -> Iterator[Tab]:
    made = Tab(server_page)
    yield made
    for element in list(server_page.tabs.replay._children.values()):
        element.remove()


def playing(**changes: Any) -> PlayState:
    fields = {
        "path": "/takes/walk.mcap",
        "position_s": 2.0,
        "duration_s": 20.0,
        "fuses": False,
        "beside": "",
        "note": "",
    }
    return make.play_state(**{**fields, "speed": 1.0, "playing": True, "marks": (), **changes})


def test_without_a_recording_the_tab_says_how_to_see_one(tab):
    tab.hear()
    assert "replay NAME.mcap" in tab.words()
    assert tab.elements(viser.GuiSliderHandle) == []
    tab.hear(playing())
    assert "walk.mcap: playing, 0:02 of 0:20" in tab.words()
    tab.hear(after_s=6.0)
    assert "The player has ended" in tab.words()
    assert tab.elements(viser.GuiSliderHandle) == []
    tab.hear(playing(playing=False, position_s=20.0))
    assert "at the end" in tab.words()


def test_the_slider_follows_the_recording_and_asks_for_nothing_by_that(tab):
    for position_s in (2.0, 3.456, 7.0):
        tab.hear(playing(position_s=position_s))
    slider = tab.element(viser.GuiSliderHandle, "Second")
    assert slider.value == pytest.approx(7.0)
    assert tab.asked() == []


@pytest.mark.parametrize(("fuses", "every_ns"), [(False, SEEK_EVERY_NS), (True, SEEK_EVERY_FUSED_NS)])
def test_a_slider_that_is_drawn_asks_for_the_last_place_not_too_often(tab, fuses, every_ns):
    tab.hear(playing(fuses=fuses))
    for hundredth in range(50):
        tab.slide(5 + hundredth / 100)
    tab.hear(playing(fuses=fuses))
    assert tab.asked() == [("seek", 5.49)]
    tab.slide(6.0)
    tab.hear(playing(fuses=fuses), after_s=every_ns / 2 / S)
    assert tab.asked() == []
    tab.slide(7.0)
    tab.hear(playing(fuses=fuses), after_s=every_ns / S)
    assert tab.asked() == [("seek", 7.0)]


def test_the_recording_does_not_pull_the_slider_from_under_the_hand(tab):
    tab.hear(playing())
    tab.slide(12.0)
    tab.hear(playing(position_s=2.1))
    slider = tab.element(viser.GuiSliderHandle, "Second")
    assert slider.value == 12.0
    tab.hear(playing(position_s=12.8), after_s=HANDS_OFF_NS / S)
    assert slider.value == pytest.approx(12.8)


def test_what_buttons_ask_for(tab):
    tab.hear(playing(marks=(PlayMark(at_s=7.25, text="jumps"), PlayMark(at_s=9.0))))
    tab.press("Pause")
    tab.press("7.2 s  jumps")
    tab.press("9.0 s  marked")
    tab.hear(playing(playing=False))
    tab.hear(playing(playing=False))
    assert tab.asked() == [("pause", pytest.approx(math.nan, nan_ok=True)), ("seek", 7.25), ("seek", 9.0)]
    tab.press("Play")
    assert [action for action, _ in tab.asked()] == ["play"]


def test_a_mark_that_is_clicked_counts_more_than_the_slider_before(tab):
    tab.hear(playing(marks=(PlayMark(at_s=7.25, text="jumps"),)))
    tab.slide(12.0)
    tab.press("7.2 s  jumps")
    tab.hear(playing(marks=(PlayMark(at_s=7.25, text="jumps"),)), after_s=1.0)
    assert tab.asked() == [("seek", 7.25)]


def test_pictures_of_a_recording_are_said_to_be_its_own(tab):
    tab.hear(playing())
    assert "pictures" not in tab.words()
    tab.seen.previews["left"] = make.preview("left")
    tab.hear(playing())
    assert "pictures are those that the recording holds" in tab.words()


def test_words_from_outside_stay_words(tab):
    tab.hear(playing(path=f"/takes/{EVIL}.mcap", beside=EVIL, note=EVIL, marks=(PlayMark(at_s=1.0, text=EVIL),)))
    assert "<img" not in tab.words()
    assert EVIL in tab.elements(viser.GuiButtonHandle)[-1].label  # labels are no HTML


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e300, 1e300])
def test_figures_that_are_none_do_no_harm(tab, value):
    tab.hear(playing(position_s=value, duration_s=value, speed=value, marks=(PlayMark(at_s=value),)))
    tab.hear(playing(position_s=1.0, duration_s=value, speed=value, marks=(PlayMark(at_s=value),)))
    assert len(tab.elements(viser.GuiSliderHandle)) == 1


def test_two_results_are_told_apart_and_their_difference_told(tab):
    for tick in range(4):
        stamps = {"captured_ns": START_NS + tick * S // 10}
        tab.hear(
            pose(person(1, body()), source="fusion", **stamps),
            pose(person(4, body(0.05)), source=BESIDE, **stamps),
            playing(position_s=2.0 + tick / 10, beside="/takes/better.mcap"),
        )
    words = tab.words()
    for told in ("in colour: walk.mcap", "thin and white: better.mcap", "person 1 (there 4)", "50.0", "50 mm at most"):
        assert told in words
    assert len(tab.elements(viser.GuiUplotHandle)[0].data[0]) == 4
    tab.hear(playing())
    assert tab.elements(viser.GuiUplotHandle) == []


class Watched:
    """What is said on a hub while a page is looked at."""

    def __init__(self, outer: str) -> None:
        self.inbox = every(PlayState, hub_out=outer)
        self.play: PlayState | None = None

    def until(self, done: Callable[[PlayState], bool]) -> PlayState:
        give_up_s = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < give_up_s:
            message = self.inbox.receive(100)
            if message is not None:
                self.play = message
                if done(message):
                    return message
        raise AssertionError(f"not within {PATIENCE_MS / 1000} s; the player says {self.play}")


@contextmanager
def played(hub: Hub, folder: Path) -> Iterator[str]:
    """A take with a mark, beside another result, is played on a hub; the page's address."""
    take = Take(4.0, (Part(1, Actor()),))
    other = replace(take, wrong=lambda _part, joints_m, _at_s: joints_m + np.array([0.0, 0.0, 0.05]))
    about = about_of(config_of(CAMERAS), rig_of(CAMERAS))
    mark = Mark(captured_ns=START_NS + 2 * S, published_ns=START_NS, source="viewer", seq=0, text="turns about")
    with new_session(folder / "walk.mcap", about, force=True, at_ns=START_NS) as writer:
        for message, log_ns in sorted([*take.messages(), (mark, START_NS + 2 * S)], key=itemgetter(1)):
            writer.write(message, log_ns)
    addresses = ["--hub", hub.inner, "--hub-outer", hub.outer]
    beside = ["--beside", str(other.write(folder / "better.mcap"))]
    command = [sys.executable, "-m", "nodes.replay", str(folder / "walk.mcap"), "--stay", *beside, *addresses]
    with running_page(hub, folder) as page, Publisher(hub.inner) as bus, running(command):
        ends = threading.Event()

        def say_about() -> None:
            while not ends.wait(0.5):
                bus.send(replace(about, captured_ns=now_ns(), source="run_system"))

        saying = threading.Thread(target=say_about)
        saying.start()
        try:
            yield page.url
        finally:
            ends.set()
            saying.join()


def until_changed(shown: Shown, before: U8) -> float:
    """The share of the room that looks otherwise than before, when it does; a picture takes its time without a GPU."""
    room = (slice(100, 780), slice(20, 860))
    give_up_s = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < give_up_s:
        change = np.abs(shown.screenshot()[room].astype(int) - before[room]).max(axis=-1)
        if (change > 30).mean() > 0.002:
            return float((change > 30).mean())
    raise AssertionError("the skeleton stands where it stood")


@pytest.mark.browser
@pytest.mark.live
def test_the_slider_moves_the_skeleton(hub, tmp_path):
    with played(hub, tmp_path) as url, opened(url) as shown:
        watched = Watched(hub.outer)
        watched.until(lambda play: not play.playing)  # it stands at its end
        shown.open_tab("Replay")
        shown.wait_for("walk.mcap: at the end")
        shown.page.get_by_role("button", name="turns about").click()
        watched.until(lambda play: abs(play.position_s - 1.97) < 0.01)
        shown.wait_for("paused")
        before = shown.screenshot()
        slider = shown.page.get_by_role("slider").first
        slider.focus()
        slider.press("Home")
        watched.until(lambda play: play.position_s < 0.1)
        shown.wait_for("paused, 0:00 of 0:04")
        share = until_changed(shown, before)
        assert share < 0.3, "the skeleton stands elsewhere, the room where it was"
        assert "50.0" in shown.text(), "the other result is 50 mm higher"
        shown.page.get_by_role("button", name="Play").click()
        watched.until(lambda play: play.playing and play.position_s > 0.5)
        assert shown.errors == []
