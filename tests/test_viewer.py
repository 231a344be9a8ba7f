"""The viewer's loop: what it takes from the bus, what it asks for, and that one failing part does not end the page."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.acting_people import SIZE_WH, Cast
from nodes.page.asks import Asks
from nodes.page.opening import open_page
from nodes.page.seen import Seen
from nodes.viewer import Viewer, main
from nodes.wire.bus import Publisher, every
from nodes.wire.codec import pack
from nodes.wire.messages import Keypoints2D, Message, Pose3D
from nodes.wire.requests import Mark
from nodes.wire.topics import BY_MESSAGE, envelope
from tests import messages as sample
from tests.hub import PATIENCE_S, Hub, free_ports, hub, meet, running_hub
from tests.page_seen import acting

__all__ = ["hub"]

S = 1_000_000_000
KINDS = [kind for kind in BY_MESSAGE if kind in Seen.KINDS]


class Watching:
    """A part that counts."""

    every_s = 0.0

    def __init__(self) -> None:
        self.shown = 0

    def show(self, seen: Seen, now_ns: int) -> None:
        self.shown += 1


class Failing(Watching):
    """Does so five times."""

    def show(self, seen: Seen, now_ns: int) -> None:
        super().show(seen, now_ns)
        if self.shown <= 5:
            raise ZeroDivisionError("a part's own fault")


class Bus:
    """A viewer on a hub, and somebody who speaks to it."""

    def __init__(self, hub: Hub, *parts: Watching) -> None:
        self.seen, self.asks = Seen(hub=hub.outer), Asks()
        self.others = Publisher(hub.inner)
        inbox = every(*KINDS, hub_out=hub.outer)
        self.publisher = Publisher(hub.inner)
        meet(self.others, inbox, sample.session())
        self.viewer = Viewer(self.seen, parts, self.asks, inbox, self.publisher)
        self._turns = 0

    def turn_until(self, condition: Callable[[], bool], watched: bool = True) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s
            self.turn(watched)
            time.sleep(0.002)

    def turn(self, watched: bool = True) -> None:
        self._turns += 1
        self.viewer.turn(self._turns * 1_000_000, sample.START_NS, watched)


def test_shows_what_is_said_and_draws_only_for_somebody(hub: Hub) -> None:
    part = Watching()
    bus = Bus(hub, part)
    bus.others.send(sample.pose())
    bus.turn_until(lambda: bus.seen.pose is not None, watched=False)
    assert part.shown == 0
    bus.turn()
    assert part.shown == 1


def test_a_part_that_fails_is_told_of_once_and_the_others_go_on(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    failing, part = Failing(), Watching()
    bus = Bus(hub, failing, part)
    for _ in range(5):
        bus.turn()
    assert (failing.shown, part.shown) == (5, 5)
    assert "a part's own fault" in bus.seen.trouble
    assert capsys.readouterr().err.count("Traceback") == 1
    bus.turn()
    assert bus.seen.trouble == ""


def test_what_fails_on_the_way_in_ends_nothing_and_is_forgotten(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = Watching()
    bus = Bus(hub, watching)
    taken: list[Message] = []

    def feed(message: Message, now_ns: int) -> None:
        taken.append(message)
        if isinstance(message, Mark):
            raise ZeroDivisionError("a message of a kind that nobody thought of")

    monkeypatch.setattr(bus.seen, "feed", feed)
    bus.others.send(Mark(**sample.stamps("somebody"), text="jump"))
    bus.turn_until(lambda: bool(taken))
    assert "Seen: ZeroDivisionError" in bus.seen.trouble
    assert watching.shown
    bus.others.send(sample.pose())
    bus.turn_until(lambda: len(taken) == 2)
    assert bus.seen.trouble == ""
    assert capsys.readouterr().err.count("Traceback") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"config_yaml": "[" * 3000},
        {"config_yaml": "{a: 2001-99-99}"},
        {"config_yaml": "a: &a [x, x]\nb: [*a, *a]"},
        {"rig_name": "rig.toml", "rig_text": "a = " + "[" * 20_000},
    ],
    ids=["lists without end", "a day that is none", "a short text for an endless one", "a calibration without end"],
)
def test_an_about_that_cannot_be_read_is_a_trouble(changes: dict[str, Any]) -> None:
    seen = Seen()
    seen.feed(sample.about(**changes), 0)
    assert seen.trouble.startswith("what the system says about itself cannot be read")
    told = acting(Cast(1, 1)).about
    assert told is not None
    seen.feed(told, 1)
    assert seen.trouble == ""


def test_other_settings_leave_the_room_and_its_figures_as_they_are() -> None:
    seen = acting(Cast(1, 2))
    about, monitor, previews = seen.about, seen.monitor, dict(seen.previews)
    assert about is not None
    changed = seen.changed
    other = replace(about, config_yaml=about.config_yaml.replace("lift: true", "lift: false"))
    assert other.config_yaml != about.config_yaml
    seen.feed(replace(other, facts_json='{"lifter": "off"}'), 1)
    assert seen.config is not None
    assert not seen.config.fusion.lift
    assert seen.facts == {"lifter": "off"}
    assert (seen.changed, seen.monitor, seen.previews) == (changed, monitor, previews)
    less = acting(Cast(1, 1)).about
    assert less is not None
    seen.feed(less, 2)
    assert seen.changed == changed + 1
    assert seen.monitor is not monitor
    assert not seen.previews


@pytest.mark.parametrize("facts_json", ["[1]", "3", "{", "[" * 30_000, '{"skeleton": {"bones": [[0, 1e999]]}}'])
def test_facts_that_are_none_are_no_facts(facts_json: str) -> None:
    seen = acting(Cast(1, 1))
    assert seen.about is not None
    seen.feed(replace(seen.about, facts_json=facts_json), 1)
    assert isinstance(seen.facts, dict)
    assert seen.skeleton is None
    assert seen.trouble == ""


STATES = {
    "play": sample.play_state,
    "recorder": sample.recorder_health,
    "system": sample.system_state,
    "calibration": sample.calibration_state,
    "fusion": sample.fusion_health,
}


@pytest.mark.parametrize("name", STATES)
def test_what_somebody_said_of_itself_is_forgotten_when_they_are_gone(name: str) -> None:
    seen = Seen()
    said = STATES[name]()
    seen.feed(said, 0)
    seen.expire(1 * S)
    assert getattr(seen, name) is said
    for second in range(2, 20):
        seen.feed(sample.pose(), second * S)
        seen.expire(second * S)
    assert getattr(seen, name) is None
    assert seen.spoke(type(said))
    seen.feed(said, 20 * S)
    seen.expire(22 * S)
    assert getattr(seen, name) is said
    seen.feed(sample.pose(), 24 * S)  # after a silence: another run
    assert getattr(seen, name) is None
    assert not seen.spoke(type(said))


@pytest.mark.parametrize("name", STATES)
def test_nobody_else_tells_the_state_of_somebody(name: str) -> None:
    seen = Seen()
    seen.feed(STATES[name](source="x"), 0)
    assert getattr(seen, name) is None


def test_browsers_are_woken_by_their_own_loop_alone() -> None:
    """Else viser's buffer fails at times when somebody comes while the page is drawn."""
    page = open_page("127.0.0.1", free_ports(1)[0], Asks())
    try:
        buffer = page.server._websock_server._broadcast_buffer
        page.server.gui.add_html("new")
        deadline_s = time.monotonic() + PATIENCE_S
        while not buffer.message_event.is_set():  # viser asks its loop to set it
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
        buffer.message_event.clear()
        buffer.message_event.set()  # here is not its thread
        assert not buffer.message_event.is_set()
    finally:
        page.server.stop()


def test_messages_of_another_version_and_garbage_are_counted(hub: Hub) -> None:
    bus = Bus(hub)
    bus.others.send_bytes(b"pose/fusion\0" + pack({**sample.pose().to_wire(), "schema": 2}))
    bus.others.send_bytes(b"camera_health/left\0\xc1\xc1")
    bus.others.send(sample.pose())
    bus.turn_until(lambda: bus.seen.pose is not None)
    bus.turn_until(lambda: bus.seen.undecodable == 2)
    assert bus.seen.refusal


def test_keypoints_of_cameras_that_nobody_looks_at_are_not_decoded(hub: Hub) -> None:
    bus = Bus(hub)
    about = acting(Cast(1, 2)).about
    assert about is not None
    bus.seen.feed(about, 0)
    camera = bus.seen.cameras[0]
    bus.others.send_bytes(f"keypoints/{camera}".encode() + b"\0no keypoints at all")
    bus.others.send_bytes(b"keypoints/stranger\0of another system")
    bus.turn_until(lambda: (Keypoints2D, camera) in bus.seen.arrived_ns)
    assert bus.seen.undecodable == 0
    bus.others.send(sample.keypoints(camera))
    bus.turn_until(lambda: bus.seen.keypoints.newest(camera) is not None)
    assert bus.seen.undecodable == 1


def test_a_held_picture_stands_and_the_system_goes_on() -> None:
    seen = acting(Cast(1, 2))
    camera = seen.cameras[0]
    pose, preview = seen.pose, seen.previews[camera]
    seen.held = True
    for message in (sample.pose(seq=8), sample.preview(camera), sample.keypoints(camera)):
        seen.hear(envelope(message), 2)
    assert seen.pose is pose
    assert seen.previews[camera] is preview
    newest = seen.keypoints.newest(camera)
    assert newest is not None
    assert newest.size_wh == SIZE_WH
    assert seen.arrived_ns[Pose3D, "fusion"] == 2


def test_names_without_end_do_not_fill_the_memory() -> None:
    seen = Seen()
    for number in range(2000):
        seen.feed(sample.camera_health(f"camera{number}"), number)
        seen.feed(sample.preview(f"camera{number}"), number)
    assert len(seen.arrived_ns) <= 500
    assert not seen.previews


def test_requests_of_the_page_go_over_the_bus(hub: Hub) -> None:
    bus = Bus(hub)
    with every(Mark, hub_out=hub.outer) as inbox:
        marks: list[Message] = []
        deadline_s = time.monotonic() + PATIENCE_S
        while not marks and time.monotonic() < deadline_s:
            bus.asks.put(Mark, text="jump")
            bus.turn()
            message = inbox.receive(20)
            marks += [message] if message is not None else []
        mark = marks[0]
    assert isinstance(mark, Mark)
    assert (mark.text, mark.source, mark.captured_ns) == ("jump", "viewer", sample.START_NS)


def test_page_is_served_to_its_own_machine_and_says_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with running_hub() as one:
        port = free_ports(1)[0]
        command = [
            sys.executable,
            "-m",
            "nodes.viewer",
            "--port",
            str(port),
            "--hub",
            one.inner,
            "--hub-outer",
            one.outer,
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"viewer: the live page is at http://localhost:{port}\n"
            assert b"viser" in urllib.request.urlopen(f"http://127.0.0.1:{port}").read().lower()
            assert _socket_answer(port, f"http://localhost:{port}") == 101
            assert _socket_answer(port, "http://attacker.example") == 403
            assert main(command[3:]) == 2
            assert f"port {port}" in capsys.readouterr().err
        finally:
            process.terminate()
            said, complained = process.communicate(timeout=PATIENCE_S)
    assert (said, complained, process.returncode) == ("", "", 0)


def _socket_answer(port: int, origin: str) -> int:
    """The status with which a page of this origin is let into the page's web socket."""
    request = (
        f"GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {origin}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Protocol: viser-v1.1.1\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(100).split()[1])
