"""The words, figures and buttons of the live page, by what is handed to the browsers; no browser here."""

import html
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import viser

from configs.schema import Config
from nodes.page.actions_part import Actions
from nodes.page.asks import Asks
from nodes.page.calibrate_part import _why_not
from nodes.page.cameras_part import Cameras
from nodes.page.countdown import Countdown
from nodes.page.opening import open_page
from nodes.page.part import Page
from nodes.page.reporter import Reporter
from nodes.page.seen import Seen
from nodes.page.status_part import Status
from nodes.page.timing_part import Timing
from nodes.sessions.about import about_of
from nodes.wire.messages import About, FusionHealth, Message, Origin, RecordRequest
from nodes.wire.requests import Mark, ProcessState, SystemRequest
from tests import messages as make
from tests.hub import free_ports

S = 1_000_000_000
EVIL = '<img src=x onerror="alert(1)">'
KINDS = ("html", "button", "text", "dropdown", "checkbox", "uplot")


@pytest.fixture(scope="module")
def server_page() -> Iterator[Page]:
    page = open_page("127.0.0.1", free_ports(1)[0], Asks())
    yield page
    page.server.stop()


class Panels:
    """All four parts on a page, fed by hand; time goes on as one likes."""

    def __init__(self, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, Any]] = []
        for kind in KINDS:
            self._note_what_is_made(page.server.gui, kind, monkeypatch)
        self.asks = Asks()
        self.parts = [kind(replace(page, asks=self.asks)) for kind in (Status, Actions, Cameras, Timing)]
        self.seen, self.reporter = Seen(hub="tcp://here"), Reporter()
        self.now_ns = 1000 * S

    def _note_what_is_made(self, gui: viser.GuiApi, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        make_one = getattr(gui, f"add_{kind}")

        def noted(*arguments: Any, **options: Any) -> Any:
            made = make_one(*arguments, **options)
            self.made.append((kind, made))
            return made

        monkeypatch.setattr(gui, f"add_{kind}", noted)

    def hear(self, *messages: Message, after_s: float = 0.3) -> str:
        """These come, time goes on, all is shown; the words on the page."""
        for message in messages:
            self.seen.feed(message, self.now_ns)
        self.now_ns += round(after_s * S)
        self.seen.expire(self.now_ns)
        self.reporter.turn(self.seen, self.now_ns, time.time_ns())
        for part in self.parts:
            part.show(self.seen, self.now_ns)
        return self.words()

    def markup(self) -> str:
        return "\n".join(made.content for kind, made in self.made if kind == "html")

    def words(self) -> str:
        plain = re.sub(r"<style>.*?</style>", "", self.markup(), flags=re.DOTALL)
        return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]*>", " ", plain)))

    def control(self, label: str) -> Any:
        return next(made for kind, made in self.made if kind not in ("html", "uplot") and made.label == label)

    def click(self, label: str) -> list[Message]:
        """What is asked for."""
        self.control(label).value = True
        return self.asked()

    def asked(self) -> list[Message]:
        return list(self.asks.drain(make.START_NS))


@pytest.fixture
def panels(server_page, monkeypatch) -> Panels:
    return Panels(server_page, monkeypatch)


def config(*names: str) -> Config:
    cameras = {name: {"source": "device", "device": k} for k, name in enumerate(names)}
    return Config.model_validate({"cameras": cameras, "keypoints_only": True})


def about(*names: str) -> About:
    return replace(about_of(config(*names), None, "ONNX Runtime CPU"), captured_ns=make.START_NS)


def fusing(*names: str) -> Message:
    """The same with fusion, whose calibration nobody needs here."""
    told = about(*names)
    return replace(told, config_yaml=told.config_yaml.replace("keypoints_only: true", "keypoints_only: false"))


def well(name: str, **changes: Any) -> Message:
    return make.camera_health(name, note="", asked_size_wh=(640, 480), asked_fps=25.0, reconnects=0, **changes)


def person(n_joints: int = 33, **changes: Any) -> Any:
    return make.person(n_joints, **changes)


def pose(**changes: Any) -> Message:
    content = {"published_ns": make.START_NS + 118_000_000, "people": (person(id=1),), "left_out": {}}
    return make.pose(**{**content, **changes})


def all_well(name: str = "webcam") -> list[Message]:
    inputs = {name: make.camera_input(on_time=True, note="", rejected={}, late=0, reprojection_px=2.5)}
    health = make.fusion_health(cameras=inputs, notes=(), undecodable=0, lifter="ONNX Runtime CPU: no GPU")
    return [fusing(name), well(name), make.keypoints(name), health, pose(cameras=(name,))]


def test_nothing_is_heard(panels):
    words = panels.hear()
    assert "Waiting for a system at tcp://here" in words
    assert "python run_system.py" in words
    assert "No camera is known yet" in words
    assert "No pose has come" in words
    assert "no system now that could be recorded" in words
    assert "its first run" not in words
    assert panels.control("Mark this instant").disabled


def test_all_is_well(panels):
    panels.hear(*all_well())
    words = panels.hear(*(pose(seq=seq) for seq in range(30)))
    assert "All is well: 1 camera, 1 person" in words
    assert "118 ms behind" in words
    assert "Person 1 32 of 33 joints" in words
    assert "seen by two cameras or more 33" in words
    assert "Lifter: ONNX Runtime CPU" in words
    assert "nothing faster, because: no GPU" in panels.markup()
    assert "nothing faster" not in words  # a hint, no error
    assert "24.5 / 25" in words
    assert "31" in words  # ms of the detector
    assert "2.5" in words  # px off
    assert "640×480 MJPG" in words


def test_a_lost_camera_is_told_of_at_once_and_the_system_that_is_gone_too(panels):
    panels.hear(*all_well())
    words = panels.hear(*all_well()[1:2], after_s=1.0)
    assert "webcam: no frames for 1.3 s" in words or "webcam: no frames for 1.0 s" in words
    assert "What happened" in words
    words = panels.hear(after_s=4.0)
    assert "The system at tcp://here has said nothing for 5.0 s" in words
    assert "says nothing any more" in words


def test_people_with_nan_joints_of_other_skeletons_and_many(panels):
    nobody = person(joints_m=np.full((33, 3), np.nan, np.float32), origin=np.zeros(33, np.uint8))
    panels.hear(*all_well())
    assert "0 of 33 joints" in panels.hear(pose(people=(nobody,)))
    assert "16 of 17 joints" in panels.hear(pose(people=(make.person(17),)))
    assert "and 4 more" in panels.hear(pose(people=tuple(person(id=k) for k in range(10))))
    assert "Nobody in view" in panels.hear(pose(people=()))
    assert "One camera without calibration" in panels.hear(pose(frame="root_relative"))


def test_sixteen_cameras_and_what_is_asked_and_granted(panels):
    names = [f"cam_{k}" for k in range(16)]
    healths = [well(name) for name in names[1:]]
    odd = make.camera_health(names[0], reconnects=2, video_dropped=3)
    words = panels.hear(about(*names), odd, *healths)
    assert all(name in words for name in names)
    assert "640×480 MJPG · asked for 1280×720 · asked for 30 fps" in words
    assert "opened again 2 times" in words
    assert "3 pictures missing in its video" in words


def test_foreign_words_stay_words(panels):
    panels.hear(*all_well())
    evil = [
        make.camera_health("webcam", note=EVIL, granted_format=EVIL),
        make.recorder_health(path=f"a/{EVIL}.mcap", note=EVIL),
        make.system_state(note=EVIL),
        Mark(**make.stamps("viewer"), text=EVIL),
        make.fusion_health(cameras={}, lifter=f"x{EVIL}: {EVIL}", notes=(EVIL,)),
        make.play_state(path=EVIL, note=EVIL),
    ]
    words = panels.hear(*evil)
    assert EVIL in words
    assert "<img" not in panels.markup()
    panels.seen.refusal, panels.seen.undecodable = EVIL, 3
    assert EVIL in panels.hear()
    assert "<img" not in panels.markup()


def test_what_is_the_same_is_not_sent_again(panels, monkeypatch):
    panels.hear(*all_well())
    panels.hear(*all_well(), after_s=0.0)
    sent: list[Any] = []
    interface = panels.made[0][1]._impl.gui_api._websock_interface
    monkeypatch.setattr(interface, "queue_message", sent.append)
    for part in panels.parts[:3]:
        part.show(panels.seen, panels.now_ns)
    assert sent == []


def test_recording_is_asked_for_with_a_name_and_ended(panels):
    idle = make.recorder_health(state="idle", path="", note="", lost=0)
    assert "Nothing is being recorded" in panels.hear(*all_well(), idle)
    panels.control("Begins").value = "at once"
    panels.control("Name").value = "walk-1"
    panels.control("With video").value = True
    panels.click("Record")
    asked = wait_for(panels)
    assert [(each.action, each.name, each.video) for each in asked] == [("start", "walk-1", True)]
    runs = make.recorder_health(captured_ns=make.START_NS + 72 * S, lost=0, note="")
    words = panels.hear(runs)
    assert "● 1:12 walk.mcap 0.6 MB" in words
    assert "Kept in the recording" in words
    assert panels.control("Name").disabled
    assert [each.action for each in panels.click("Stop recording")] == ["stop"]
    words = panels.hear(make.recorder_health(state="stopped", lost=0, note=""))
    assert "walk.mcap is whole: 0.6 MB" in words
    assert "takes/walk.mcap · 1,200 messages" in words
    assert "recording walk.mcap ended" in words


def test_a_countdown_is_seen_and_can_be_cancelled(panels):
    panels.hear(*all_well(), make.recorder_health(state="idle"))
    panels.click("Record")
    assert "3 recording begins" in panels.hear()
    assert panels.click("Cancel") == []
    assert "recording begins" not in panels.hear()
    assert panels.asked() == []


@pytest.mark.parametrize("name", ["../../etc/x", "a b", ".hidden", "ü", "x" * 61])
def test_a_name_that_would_be_refused_is_not_asked_for(panels, name):
    panels.hear(*all_well(), make.recorder_health(state="idle"))
    panels.control("Begins").value = "at once"
    panels.control("Name").value = name
    assert "A name has letters" in panels.hear()
    assert panels.control("Record").disabled
    panels.click("Record")
    time.sleep(0.05)
    assert panels.asked() == []


def test_without_a_recorder_nothing_is_offered(panels):
    assert "Nobody here records" in panels.hear(*all_well())
    assert not panels.control("Record").visible


def test_a_mark_is_of_the_moment_of_the_click(panels):
    panels.hear(*all_well())
    panels.control("Word").value = "jump"
    before_ns = time.time_ns()
    (mark,) = panels.click("Mark this instant")
    assert isinstance(mark, Mark)
    assert mark.text == "jump"
    assert before_ns <= mark.captured_ns <= time.time_ns()
    assert "marked: jump" in panels.hear(mark)


def test_the_picture_is_held_and_that_is_said(panels):
    panels.hear(*all_well())
    panels.click("Hold the picture")
    panels.hear()
    words = panels.hear()
    assert panels.seen.held
    assert "The picture is held; the system goes on" in words
    panels.click("Go on with the picture")
    panels.hear()
    assert "is held" not in panels.hear()
    assert not panels.seen.held


def test_settings_follow_the_system_and_are_asked_for(panels):
    system = make.system_state(lift=True, smoothing="kalman", note="")
    assert "Fusion starts again with them" in panels.hear(*all_well(), system)
    assert panels.control("Apply").disabled
    panels.control("Smoothing").value = "one euro"
    panels.control("Lifter").value = "off"
    panels.hear(system)
    assert not panels.control("Apply").disabled
    (asked,) = panels.click("Apply")
    assert isinstance(asked, SystemRequest)
    assert (asked.lift, asked.smoothing, asked.calibration) == ("off", "one_euro", "")
    words = panels.hear(make.system_state(lift=False, smoothing="one_euro", note="fusion starts again"))
    assert "fusion starts again" in words
    assert "the lifter is switched off" in words
    assert panels.control("Apply").disabled
    panels.control("Lifter").value = "on"
    runs = make.recorder_health(note="")
    assert "Not while a recording runs" in panels.hear(make.system_state(lift=False, smoothing="one_euro"), runs)
    assert panels.control("Apply").disabled
    assert "Nobody here changes settings" in panels.hear(after_s=4.0)


def test_fusion_that_starts_with_other_settings_is_starting_and_not_lost(panels):
    panels.hear(*all_well())
    starting = make.system_state(processes={"fusion": ProcessState(state="waiting")}, note="")
    assert "fusion is starting" in panels.hear(starting)


def test_a_killed_process_is_told_of_before_it_is_missed(panels):
    panels.hear(*all_well())
    killed = make.system_state(processes={"webcam": ProcessState(state="restarting", restarts=1)}, note="")
    assert "webcam: its process has ended; it starts again by itself" in panels.hear(killed)


def test_a_recording_that_plays_and_stands(panels):
    play = make.play_state(playing=True, speed=1.0, fuses=True, note="")
    panels.hear(*all_well(), play)
    assert "walk.mcap plays: 1 camera, 1 person" in panels.hear(*all_well()[1:], play)
    stands = replace(play, playing=False)
    words = panels.hear(stands, after_s=2.0)
    words = panels.hear(stands, after_s=2.0)
    assert "walk.mcap stands at 12.5 of 60.0 s" in words
    assert "no frames" not in words
    words = panels.hear(*all_well()[1:], replace(play, timely=False), after_s=0.3)
    assert "ms behind" not in words
    assert "Not told here: the recording was stopped meanwhile" in words


def test_times_are_told_by_stage_and_over_the_minutes(panels):
    stages_ns = {"interpolate": 10_000_000, "queue": 5_000_000, "detect": 90_000_000, "send": 3_000_000}
    panels.hear(*all_well())
    for _ in range(3):
        words = panels.hear(*(pose(stages_ns={**stages_ns, "fuse": 10_000_000}) for _ in range(30)), after_s=1.0)
    assert "find the joints in 2D 90 90 90" in words
    assert "together 118 118 118" in words
    latency, rate = (made for kind, made in panels.made if kind == "uplot")
    assert latency.data[1][-1] == pytest.approx(118.0)
    assert rate.data[1][-1] == 30
    assert "% of a processor core" in words
    panels.hear(after_s=4.0)
    panels.hear(pose(), after_s=2.0)
    assert all(np.isfinite(values).all() for values in latency.data)  # else the browser draws nothing
    assert 0 in rate.data[1]


def test_a_clock_that_is_off_tells_no_latency(panels):
    panels.hear(*all_well()[:-1])
    words = panels.hear(*(pose(published_ns=make.START_NS - 5 * S) for _ in range(5)))
    assert "ms behind" not in words
    assert "not of this machine's clock" in words


def test_an_about_that_cannot_be_read_is_said(panels):
    words = panels.hear(make.about(config_yaml="cameras: [1]"))
    assert "What the system says about itself cannot be read" in words


def test_record_is_seen_without_scrolling_so_what_happened_is_short(panels):
    panels.hear(*all_well())
    for index in range(6):
        panels.hear(*all_well()[1:], Mark(**make.stamps("somebody"), text=f"number {index}"))
    newest = next(made.content for _, made in panels.made if "What happened" in getattr(made, "content", ""))
    assert newest.count("number") == 3
    assert "number 5" in newest


def test_a_lifter_is_told_of_without_fusion_s_word(panels):
    heard = [message for message in all_well() if not isinstance(message, FusionHealth)]
    assert "Lifter: ONNX Runtime CPU" in panels.hear(*heard)
    assert isinstance(heard[0], About)
    told = panels.hear(replace(heard[0], facts_json="[1]"), *heard[1:])
    assert "Lifter" not in told.replace("Lifter and smoothing", "")


def test_nothing_of_a_recording_stays_when_the_next_system_is_another(panels):
    panels.hear(*all_well(), make.recorder_health(state="recording"))
    assert "Kept in the recording" in panels.words()
    panels.hear(after_s=20.0)
    assert "Kept in the recording" not in panels.hear(*all_well())


def test_why_nobody_calibrates_is_said():
    seen = Seen(hub="tcp://here")
    assert "does not run here" in _why_not(seen)
    said = ("calibrator: board: none.toml does not exist.", "calibrator: refused to start; …", "fusion: up")
    refused = {"calibrator": ProcessState(state="refused")}
    seen.feed(make.system_state(processes=refused, said=said), S)
    assert _why_not(seen) == (
        "The calibrator refused to start: board: none.toml does not exist. Mend that, then start the system again."
    )
    seen.feed(make.system_state(processes=refused, said=()), S)
    assert "the terminal tells why" in _why_not(seen)


def test_messages_of_another_version_are_said(panels):
    panels.seen.undecodable, panels.seen.refusal = 12, "schema version 2, this program reads version 1"
    words = panels.hear()
    assert "A system at tcp://here cannot be understood: schema version 2" in words


def test_a_countdown_ends_though_nobody_looks():
    countdown, done = Countdown(), []
    countdown.begin(0.02, lambda: done.append("first"))
    countdown.begin(0.04, lambda: done.append("second"))
    assert countdown.left == 1
    time.sleep(0.3)
    assert done == ["second"]
    assert countdown.left == 0
    assert not countdown.cancel()


def wait_for(panels: Panels) -> list[RecordRequest]:
    """What a countdown of no time asks for."""
    for _ in range(200):
        if asked := panels.asked():
            return [each for each in asked if isinstance(each, RecordRequest)]
        time.sleep(0.01)
    return []


def test_origins_are_told_with_the_colours_of_the_room(panels):
    origin = np.array([Origin.TRIANGULATED] * 20 + [Origin.LIFTED] * 10 + [Origin.ABSENT] * 3, np.uint8)
    words = panels.hear(*all_well(), pose(people=(person(origin=origin),)))
    assert "seen by two cameras or more 20" in words
    assert "one camera and the lifter 10" in words
