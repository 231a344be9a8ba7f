"""What happened, told from what changed: once, in plain words, and not too often."""

from typing import Any

from nodes.watching.events import Events, Look
from nodes.watching.verdict import ALL_WELL, Verdict
from nodes.watching.words import Level
from nodes.wire.requests import ProcessState
from tests import messages as make

S = 1_000_000_000
GONE = Verdict(Level.BAD, "no frames", "no frames for 0.8 s")
RECONNECTING = Verdict(Level.WARN, "reconnecting", "no frames for 1.2 s, reconnecting")
LEFT_OUT = Verdict(Level.WARN, "left out", "left out: late")


class Watched:
    """A system that goes on as it is told, looked at five times a second."""

    def __init__(self, *names: str, **changes: Any) -> None:
        self.events = Events()
        self.content: dict[str, Any] = {
            **{"heard": True, "hub": "tcp://here", "fusion_state": "running"},
            "cameras": dict.fromkeys(names or ("left", "right", "back", "front"), ALL_WELL),
        }
        self.now_ns = 100 * S
        self.told: list[str] = []
        self.goes_on(0.2, **changes)
        self.told.clear()

    def goes_on(self, seconds: float = 0.2, **changes: Any) -> list[str]:
        """What is told meanwhile."""
        self.content |= {key: value for key, value in changes.items() if key != "camera"}
        self.content["cameras"] = {**self.content["cameras"], **changes.get("camera", {})}
        before = len(self.told)
        for _ in range(round(seconds / 0.2)):
            self.now_ns += S // 5
            self.told += [told.words for told in self.events.take(Look(**self.content), self.now_ns, self.now_ns)]
            self.content["marks"] = ()
        return self.told[before:]


def test_a_camera_is_told_of_when_it_is_lost_and_when_it_is_back():
    watched = Watched()
    assert watched.goes_on(camera={"left": GONE}) == ["left: no frames for 0.8 s"]
    assert watched.goes_on(3.0) == []
    assert watched.goes_on(1.0, camera={"left": RECONNECTING}) == ["left: no frames for 1.2 s, reconnecting"]
    assert watched.goes_on(1.0, camera={"left": ALL_WELL}) == ["left: back after 4.2 s"]
    assert watched.goes_on(5.0) == []


def test_cameras_lost_at_once_are_told_of_together():
    watched = Watched()
    assert watched.goes_on(camera={"left": GONE, "right": GONE}) == ["left and right: no frames for 0.8 s"]
    assert watched.goes_on(camera=dict.fromkeys(("back", "front"), GONE)) == ["back and front: no frames for 0.8 s"]
    assert watched.goes_on(1.0, camera=dict.fromkeys(watched.content["cameras"], ALL_WELL)) == [
        "all 4 cameras: back after 0.4 s"
    ]


def test_what_lasts_a_moment_is_told_only_when_it_stays():
    watched = Watched()
    assert watched.goes_on(1.0, camera={"left": LEFT_OUT}) == []
    assert watched.goes_on(1.0, camera={"left": ALL_WELL}) == []
    assert watched.goes_on(3.0, camera={"left": LEFT_OUT}) == ["left: left out: late"]
    assert watched.goes_on(1.0, camera={"left": ALL_WELL}) == ["left: well again"]


def test_what_comes_and_goes_is_not_told_for_ever():
    watched = Watched()
    for _ in range(50):
        watched.goes_on(1.0, camera={"left": GONE})
        watched.goes_on(1.0, camera={"left": ALL_WELL})
    assert 5 < len(watched.told) < 16
    assert sum("comes and goes" in words for words in watched.told) >= 1
    watched.goes_on(120.0)
    assert watched.goes_on(camera={"left": GONE}) == ["left: no frames for 0.8 s"]


def test_starting_is_no_news_and_neither_is_the_first_sight():
    starting = Verdict(Level.WARN, "starting", "is starting")
    watched = Watched("left", cameras={"left": starting})
    assert watched.goes_on(5.0) == []
    assert watched.goes_on(5.0, camera={"left": ALL_WELL}) == []


def test_a_system_that_comes_and_goes():
    watched = Watched(heard=None, cameras={})
    assert watched.goes_on(heard=True) == []  # it has not said what it consists of
    assert watched.goes_on(cameras={"left": ALL_WELL}) == ["the system at tcp://here speaks: 1 camera"]
    assert watched.goes_on(heard=False, camera={"left": GONE}) == [
        "the system at tcp://here says nothing any more: it was ended, or its hub"
    ]
    assert "is back" in watched.goes_on(1.0, heard=True, camera={"left": ALL_WELL})[0]


def test_recordings():
    idle = make.recorder_health(state="idle", path="", note="", lost=0)
    watched = Watched(recorder=idle)
    runs = make.recorder_health(path="takes/walk.mcap", video=False, note="", lost=0)
    assert watched.goes_on(1.0, recorder=runs) == ["recording walk.mcap has begun"]
    ended = make.recorder_health(state="stopped", messages=4310, bytes=2_100_000, lost=0, note="")
    assert watched.goes_on(1.0, recorder=ended) == ["recording walk.mcap ended: 4,310 messages, 2.1 MB"]
    refused = make.recorder_health(state="stopped", note="a recording called '..' was refused")
    assert watched.goes_on(1.0, recorder=refused) == ["recording: a recording called '..' was refused"]
    watched.goes_on(1.0, recorder=runs)
    full = make.recorder_health(state="failed", messages=9, bytes=10**6, lost=2, note="the disk is full")
    assert watched.goes_on(1.0, recorder=full) == [
        "recording walk.mcap ended early: 9 messages, 1.0 MB, 2 messages lost: the disk is full"
    ]
    watched.goes_on(1.0, recorder=runs)
    assert "was cut" in watched.goes_on(1.0, recorder=idle)[0]


def test_fusion_and_other_processes():
    watched = Watched("left", system=make.system_state(processes={"hub": ProcessState(state="running")}, note=""))
    assert watched.goes_on(fusion_state="restarting") == ["fusion: its process has ended; it starts again by itself"]
    assert watched.goes_on(1.0, fusion_state="running") == ["fusion: is running"]
    again = make.system_state(processes={"hub": ProcessState(state="running", restarts=1)}, note="")
    assert watched.goes_on(system=again) == ["hub: its process has ended; it starts again by itself"]
    refused = {"hub": ProcessState(state="refused", restarts=1)}
    said = ("left: opened", "hub: port 5555 is in use", "left: closed")
    assert watched.goes_on(system=make.system_state(processes=refused, note="", said=said)) == [
        "hub: port 5555 is in use. It is not started again"
    ]


def test_settings_calibration_and_playing():
    state = make.system_state(note="")
    watched = Watched("left", system=state, calibration=make.calibration_state(), play=make.play_state())
    changed = make.system_state(lift=True, smoothing="kalman", calibration="b/rig-2.toml", note="done")
    assert watched.goes_on(1.0, system=changed) == [
        "the lifter is switched on",
        "smoothing is now kalman",
        "calibration rig-2.toml is used from now on",
        "done",
    ]
    assert watched.goes_on(1.0, calibration=make.calibration_state(state="solved")) == ["calibration made: usable"]
    assert watched.goes_on(1.0, calibration=make.calibration_state(state="failed", note="too few")) == [
        "calibration failed: too few"
    ]
    assert watched.goes_on(1.0, play=make.play_state(note="its end")) == ["recording walk.mcap: its end"]


def test_a_moved_camera_its_repair_and_marks():
    watched = Watched("left")
    moved = "camera left moved at 12:00:00 by 3.0° and 20 mm"
    assert watched.goes_on(1.0, moved={"left": moved}) == [moved]
    repaired = f"{moved}, and was put right"
    assert watched.goes_on(1.0, moved={"left": repaired}) == [repaired]
    assert watched.goes_on(1.0, marks=("jump", "")) == ["marked: jump", "marked"]


def test_what_cannot_be_read_is_told_at_first_and_each_tenfold():
    watched = Watched("left")
    told = [watched.goes_on(undecodable=count, refusal="schema 2") for count in (1, 9, 10, 99, 5000)]
    assert [len(each) for each in told] == [1, 0, 1, 0, 1]
    assert told[-1] == ["5,000 messages on the bus could not be read, the last one: schema 2"]
