"""What whoever runs the system says on the bus: when it is due, when it has changed, and whatever names may hold."""

from pathlib import Path
from typing import TypeVar, cast

import pytest

from configs.load import load_config
from nodes.commands.live import demo_config
from nodes.sessions.about import about_of
from nodes.system.announcer import LINES_KEPT, LONGEST_LINE, Announcer, KeptLines
from nodes.system.status_table import PlainLines
from nodes.system.steering import Steering
from nodes.wire.bus import Publisher
from nodes.wire.messages import About, Message, Session, decode, encode
from nodes.wire.requests import ProcessState, SystemState

MS = 1_000_000
M = TypeVar("M", bound=Message)
RUNS = {"hub": ProcessState(state="running")}


class Bus:
    """Keeps what is sent, as it would come out at the other end."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(decode(type(message), encode(message)))

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.sent if isinstance(message, kind)]


@pytest.fixture
def steering() -> Steering:
    config = load_config(demo_config())
    return Steering(config, about_of(config, config.calibration), Path("/home/\udcff/my.yaml"), lambda _: None)  # type: ignore[arg-type, return-value]


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def kept() -> KeptLines:
    return KeptLines(PlainLines())


@pytest.fixture
def announcer(bus, steering, kept) -> Announcer:
    return Announcer(cast(Publisher, bus), steering, kept)


def test_the_state_is_said_twice_a_second_and_when_something_happens(announcer, bus, kept):
    for turn in range(20):
        announcer.say_state(RUNS, None, turn * 50 * MS)
    assert len(bus.of(SystemState)) == 2
    kept.say("left", "no frames")
    announcer.say_state(RUNS, None, 1001 * MS)
    announcer.say_state({"hub": ProcessState(state="restarting", restarts=1)}, None, 1002 * MS)
    announcer.say_state({"hub": ProcessState(state="restarting", restarts=1)}, 7, 1003 * MS)
    states = bus.of(SystemState)[2:]
    assert [state.said for state in states] == [("left: no frames",)] * 3
    assert [state.processes["hub"].state for state in states] == ["running", "restarting", "restarting"]
    assert [state.began_ns for state in states] == [0, 0, 7]
    assert [state.seq for state in bus.of(SystemState)] == [1, 2, 3, 4, 5]
    assert (states[0].lift, states[0].smoothing, states[0].fuses) == (True, "kalman", True)


def test_names_that_are_no_text_and_endless_lines_do_not_stop_it(announcer, bus, kept):
    for number in range(2 * LINES_KEPT):
        kept.say("left", f"{number} \udcff" + "x" * 10_000)
    announcer.say_state(RUNS, None, 0)
    (state,) = bus.of(SystemState)
    assert len(state.said) == LINES_KEPT
    assert state.said[-1].startswith(f"left: {2 * LINES_KEPT - 1} ?")
    assert len(state.said[-1]) == LONGEST_LINE
    assert state.config == "/home/?/my.yaml"


def test_what_the_system_is_made_with_is_said_again_at_once_when_it_changes(announcer, bus, steering):
    announcer.say_about(0)
    announcer.say_about(10 * MS)
    steering._now = steering._now.__class__(steering.config, about_of(steering.config, None))
    announcer.say_about(20 * MS)
    assert [about.rig_name for about in bus.of(About)] == ["rig.toml", ""]


def test_time_zero_is_said_once_it_is_known(announcer, bus):
    announcer.say_session(None, 0)
    announcer.say_session(5, 1)
    announcer.say_session(5, 2)
    assert [session.start_ns for session in bus.of(Session)] == [5]
