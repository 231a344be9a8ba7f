"""The live run around stand-in nodes on a real hub: session, ends, refusals, frozen processes."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from benchmarks.ports import free_port_pair
from configs.load import load_config
from nodes.commands.live import demo_config
from nodes.sessions.about import about_of
from nodes.system import live as live_module
from nodes.system import restart
from nodes.system.live import LiveRun
from nodes.system.process_table import Process
from nodes.system.steering import Steering
from nodes.system.supervisor import Supervisor
from nodes.watching.monitor import Monitor, Status
from nodes.wire.messages import Message
from nodes.wire.requests import ProcessState, SystemRequest
from tests import messages as make


class Paper:
    """A screen that keeps what it is told; `when_shown` is called with every status."""

    def __init__(self, when_shown: Callable[[Status], None] = lambda _: None) -> None:
        self.lines: list[tuple[str, str]] = []
        self.last: Status | None = None
        self._when_shown = when_shown

    def __enter__(self) -> "Paper":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def show(self, status: Status, seconds: float) -> None:
        self.last = status
        self._when_shown(status)


def steering() -> Steering:
    """Of a system whose settings nobody changes."""
    config = load_config(demo_config())
    return Steering(config, about_of(config, config.calibration), demo_config(), None)


def live(
    seconds: float | None = None, fusion: str = "steady", by_hand: str = "", page: str = "", **cameras: str
) -> LiveRun:
    """A run of a real hub, a stand-in fusion and stand-in cameras `name=behaviour`; by_hand: one not to be started.

    page: behaviour of one that the system can do without; "" without it.
    """
    port = free_port_pair()
    hub_in, hub_out = f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 1}"
    stub = (sys.executable, "-m", "tests.stub_nodes")
    processes = [
        Process("hub", (sys.executable, "-m", "nodes.hub", "--inner", hub_in, "--outer", hub_out)),
        Process("fusion", (*stub, "fusion", "fusion", hub_in, hub_out, fusion)),
        *(
            Process(name, (*stub, "camera", name, hub_in, hub_out, how), wanted=name != by_hand)
            for name, how in cameras.items()
        ),
        *([Process("page", (*stub, "camera", "page", hub_in, hub_out, page), aside=True)] if page else []),
    ]
    return LiveRun(processes, Monitor(tuple(cameras), by_hand={by_hand}), (hub_in, hub_out), seconds, steering())


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    left = [child for child in psutil.Process().children(recursive=True) if "pytest" not in child.name()]
    left_commands = [" ".join(child.cmdline()) for child in left if child.status() != psutil.STATUS_ZOMBIE]
    assert not [command for command in left_commands if "nodes" in command]


def test_a_run_of_some_seconds_counts_from_the_session():
    run, paper = live(seconds=1.0, left="steady", right="steady"), Paper()
    assert run.run(paper) == 0
    assert run.seconds == pytest.approx(1.0, abs=0.5)
    assert paper.last is not None
    assert [camera.state for camera in paper.last.cameras] == ["streaming", "streaming"]
    assert paper.last.ticks > 0
    assert run.restarts == {"hub": 0, "fusion": 0, "left": 0, "right": 0}
    assert ("hub", f"publishers to {run._hub_in}, subscribers to {run._hub_out}") in paper.lines


class Told:
    """A subscription to what was said already."""

    def __init__(self, *said: Message) -> None:
        self._said = list(said)

    def receive(self, timeout_ms: int) -> Message | None:
        return self._said.pop(0) if self._said else None


def test_who_asks_for_a_recording_and_for_other_settings_at_once_gets_the_recording():
    run = live(left="steady")
    other = SystemRequest(**make.stamps("viewer"), smoothing="none")
    run._listen(Told(make.record_request(action="start"), other))  # type: ignore[arg-type]
    run._steering.turn(Supervisor([], print), run._monitor, time.monotonic_ns())
    assert "a recording runs" in run._steering.note


def test_fusion_is_waited_for_until_it_runs_with_the_settings_that_were_asked_for(monkeypatch):
    run, supervisor = live(left="steady"), Supervisor([], print)
    told = {"fusion": ProcessState(state="running")}
    monkeypatch.setattr(supervisor, "states", lambda _: dict(told))
    assert run._states(supervisor, set())["fusion"].state == "running"
    monkeypatch.setattr(Steering, "on_trial", True)
    assert run._states(supervisor, set())["fusion"].state == "waiting"


def test_the_run_ends_when_all_recordings_have_ended(monkeypatch):
    monkeypatch.setattr(live_module, "QUIET_END_NS", 300_000_000)
    run, paper = live(left="short", right="short", fusion="idle"), Paper()
    assert run.run(paper) == 0
    assert paper.last is not None
    assert [camera.state for camera in paper.last.cameras] == ["ended", "ended"]
    assert run.restarts["left"] == 0  # the end of a recording is no crash


def test_one_ended_recording_does_not_end_the_run():
    run, paper = live(seconds=2.0, left="short", right="steady"), Paper()
    assert run.run(paper) == 0
    assert paper.last is not None
    assert [camera.state for camera in paper.last.cameras] == ["ended", "streaming"]


def test_a_refusal_at_the_start_ends_the_run_with_its_reason():
    run, paper = live(left="refuse", right="steady"), Paper()
    assert run.run(paper) == 2
    assert ("left", "/dev/video9 is no camera: choose another") in paper.lines


def test_what_the_system_can_do_without_ends_nothing_by_refusing():
    run, paper = live(seconds=1.0, left="steady", page="refuse"), Paper()
    assert run.run(paper) == 0
    assert any(name == "page" and line.startswith("refused to start") for name, line in paper.lines)
    assert paper.last is not None
    assert paper.last.cameras[0].state == "streaming"


def test_an_ordinary_stop_signal_ends_the_run_in_order():
    interrupter = threading.Timer(0.0, os.kill, (os.getpid(), signal.SIGTERM))

    def stop(status: Status) -> None:
        if status.ticks > 3 and interrupter.ident is None:
            interrupter.start()

    before = signal.getsignal(signal.SIGTERM)
    assert live(left="steady").run(Paper(stop)) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_frozen_camera_is_started_afresh(monkeypatch, tmp_path):
    monkeypatch.setattr(restart, "FROZEN_NS", 1_000_000_000)
    recovered = threading.Event()

    def stop_when_back(status: Status) -> None:
        restarted = any("SIGKILL" in line for _, line in paper.lines)
        if restarted and status.cameras[0].state == "streaming" and not recovered.is_set():
            recovered.set()
            os.kill(os.getpid(), signal.SIGTERM)

    run, paper = live(seconds=20.0, left=f"mute:{tmp_path / 'marker'}", right="steady"), Paper(stop_when_back)
    assert run.run(paper) == 0
    assert recovered.is_set()
    assert any(name == "left" and line.startswith("alive but silent") for name, line in paper.lines)
    assert run.restarts == {"hub": 0, "fusion": 0, "left": 1, "right": 0}


def test_time_in_messages_is_the_wall_clock_of_this_machine():
    run, paper = live(seconds=0.5, left="steady"), Paper()
    run.run(paper)
    start_ns = run._monitor.session_start_ns
    assert start_ns is not None
    assert abs(start_ns - time.time_ns()) < 60e9


def test_a_camera_to_be_started_by_hand_is_not_waited_for_and_not_started(monkeypatch):
    monkeypatch.setattr(live_module, "QUIET_END_NS", 300_000_000)
    run, paper = live(left="short", right="steady", fusion="idle", by_hand="right"), Paper()
    assert run.run(paper) == 0  # ends with the recording that was started
    assert paper.last is not None
    assert [camera.state for camera in paper.last.cameras] == ["ended", "awaited"]
    assert run.restarts["right"] == 0
