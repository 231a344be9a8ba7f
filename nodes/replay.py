"""Plays a recording on the bus in place of the cameras. `python -m nodes.replay S.mcap --hub … --hub-outer …`.

Messages are sent as they were, in their order and at their pace; with --stamps now (default) all their times are moved
by one span, so that they speak of the present. Fusion judges by the stamps alone, and so makes the same poses of them.
Whoever asks on the bus (`PlayRequest`) can stop it, and send it to another place; then the span is another one.
"""

import argparse
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nodes.playback import wait_for_start
from nodes.sessions.errors import SessionError
from nodes.sessions.logged import Logged
from nodes.sessions.play_head import SILENCE_NS, PlayHead
from nodes.sessions.play_options import FASTEST, SLOWEST, Play, add_options, play_of
from nodes.sessions.play_report import PlayReport
from nodes.sessions.reader import SessionReader
from nodes.sessions.sending import Sending
from nodes.sessions.tape import Came, Tape
from nodes.wire.bus import DEFAULT_HUB_IN, DEFAULT_HUB_OUT, Publisher, every, now_ns
from nodes.wire.errors import WireError
from nodes.wire.messages import Keypoints2D, Pose3D
from nodes.wire.requests import PlayRequest

if TYPE_CHECKING:
    from nodes.played_pictures import PlayedPictures

PAUSE_AT_MAX_S = 0.1
LEAD_NS = 300_000_000  # for the word to reach everybody; one that was started again is late for the session
STATE_S = 0.1
LEAD_IN_NS = 700_000_000  # before a place that fusion is sent to, so that it knows everybody there
LONE_LEAD_IN_NS = 1_500_000_000  # ten frames of a single camera are refused before its new stamps are believed
LATE_NS = 200_000_000  # a camera slower than that is not waited for when ticks are stepped
FIRST_TICKS_NS = 300_000_000  # before that, fusion has nothing to show
MOST_STEPS = 1000
LONGEST_S = 1e9
TURN_S = 0.02  # of sending, before requests are looked at


class Player:
    """Sends what a session holds, as it is asked to."""

    def __init__(self, session: SessionReader, play: Play, publisher: Publisher, hub_out: str) -> None:
        self._session = session
        self._play = play
        self._publisher = publisher
        self._sending = Sending(session, play, publisher, hub_out)
        self._requests = every(PlayRequest, hub_out=hub_out)
        self._tape = Tape(session, play)
        self._report = PlayReport(session, play, self._tape.marks(), self._sending.note)
        self._tick_ns = round(1e9 / session.config().fusion.synchroniser.rate_hz) if not play.poses else 0
        self._head = PlayHead(self._tape.first_ns, 0.0, play.speed)
        self._rest: Iterator[Came] = iter(())
        self._next: Came | None = None
        self._frame_ns: dict[str, int] = {}  # by camera: when its last frame came
        self._last_ns = self._tape.first_ns  # log time of the last message sent
        self._said_s = float("-inf")
        self._pictures: PlayedPictures | None = None

    def show_pictures(self, hub_in: str) -> None:
        """Send small pictures from the recorded videos, too."""
        from nodes.played_pictures import PlayedPictures  # knows videos, which is slow to import

        self._pictures = PlayedPictures(self._session, hub_in)

    def wait_for_start(self, hub_out: str) -> int:
        """Say that all is ready until the running system names the session's start; that."""
        start_ns = None
        while start_ns is None:
            self._sending.say_ready()
            self._report_now(time.monotonic())
            start_ns = wait_for_start(hub_out)
        return start_ns

    def play(self, start_ns: int) -> None:
        """Play it all, the first message at start_ns; then say that the cameras have ended, and perhaps stay."""
        self._sending.stamps.begin(self._tape.first_ns, start_ns)
        self._follow(self._tape.from_start())
        self._head.move(self._tape.first_ns, time.monotonic() + max(0.0, (start_ns - now_ns()) * 1e-9))
        while self._next is not None or not self._head.playing or self._goes_on():
            self._rest_until_due()
            self._talk()
            turn_ends_s = time.monotonic() + TURN_S
            while self._due_s() == 0.0 and time.monotonic() < turn_ends_s:
                self._send_next()

    def close(self) -> None:
        self._sending.close()
        self._requests.close()
        if self._pictures is not None:
            self._pictures.close()

    def _follow(self, rest: Iterator[Came]) -> None:
        """These come next."""
        self._rest = rest
        self._next = next(rest, None)

    def _due_s(self) -> float | None:
        """How long until the next message is due; None: not before somebody asks for it."""
        return None if self._next is None else self._head.wait_s(self._next.at_ns, time.monotonic())

    def _rest_until_due(self) -> None:
        """Wait for the next message, or for a request, or until it is time to say something."""
        due_s = self._due_s()
        wait_s = max(0.0, min(STATE_S if due_s is None else due_s, self._said_s + STATE_S - time.monotonic()))
        self._obey(int(1000 * wait_s))
        due_s = self._due_s()
        if due_s is not None and due_s < 0.001:  # finer than a socket waits
            time.sleep(due_s)

    def _send_next(self) -> None:
        """The next message, late or not; the one behind it is the next."""
        assert self._next is not None
        came = self._next
        self._sending.send(came.logged)
        self._last_ns = came.logged.log_ns
        if came.logged.kind is Keypoints2D:
            self._frame_ns[came.logged.source] = came.at_ns
        if self._head.speed is None and self._head.playing:
            self._head.at_ns = came.at_ns
        self._next = next(self._rest, None)

    def _goes_on(self) -> bool:
        """What becomes of the end: False when that was all."""
        if self._play.loop:
            first_ns, speed = self._tape.first_ns, self._head.speed
            pause_s = SILENCE_NS * 1e-9 / speed if speed else PAUSE_AT_MAX_S
            self._sending.stamps.shift_ns += self._last_ns - first_ns + SILENCE_NS
            self._head.move(first_ns, time.monotonic() + pause_s)
            self._follow(self._tape.from_start())
            return True
        self._sending.say_ended()
        if self._play.stays:
            self._head.pause(time.monotonic())
            self._head.at_ns = self._tape.to_ns
        return self._play.stays

    def _obey(self, timeout_ms: int) -> None:
        """Do what was asked for; of several places only the last."""
        asked: list[PlayRequest] = []
        request = self._requests.receive(timeout_ms)
        while request is not None:
            asked = [other for other in asked if not other.action == request.action == "seek"]
            asked.append(request)
            request = self._requests.receive(0)
        for request in asked:
            self._do(request, time.monotonic())
            self._said_s = float("-inf")

    def _do(self, request: PlayRequest, now_s: float) -> None:
        value = request.value
        if request.action == "play":
            if self._next is None:
                self._jump(self._tape.first_ns)
            self._head.go(time.monotonic())
        elif request.action == "pause":
            self._head.pause(now_s)
        elif not math.isfinite(value):
            return
        elif request.action == "seek":
            self._jump(self._session.start_ns + round(min(max(value, 0.0), LONGEST_S) * 1e9))
        elif request.action == "step":
            self._head.pause(now_s)
            self._step(round(min(max(value, -MOST_STEPS), MOST_STEPS)))
        else:
            self._head.set_speed(min(max(value, SLOWEST), FASTEST), now_s)

    def _jump(self, at_ns: int) -> None:
        """Go on from another moment. What was there is shown at once, also while the head stands."""
        at_ns = min(max(at_ns, self._tape.from_ns), self._tape.to_ns)
        if self._play.poses:
            self._show(*self._tape.at(at_ns), at_ns)
            if self._sending.pose is None and not self._head.playing and self._tape.has_pose_soon(at_ns):
                self._send_poses(1)
            return
        lead_in_ns = LEAD_IN_NS if len(self._session.cameras) > 1 else LONE_LEAD_IN_NS
        begin_ns = at_ns - lead_in_ns
        self._follow(self._tape.from_start() if begin_ns <= self._tape.first_ns else self._tape.behind(begin_ns))
        self._sending.jump(at_ns, None if self._next is None else self._next.logged.publish_ns)
        self._report.jumped_s = time.monotonic()
        earliest_ns = self._tape.first_ns + (0 if self._head.playing else FIRST_TICKS_NS)
        self._head.move(max(at_ns, min(earliest_ns, self._tape.to_ns)), self._report.jumped_s)

    def _show(self, newest: list[Logged], rest: Iterator[Came], at_ns: int) -> None:
        """These messages are those of a moment; the rest comes behind them."""
        self._sending.pose = None
        self._follow(rest)
        published_ns = [logged.publish_ns for logged in newest]
        if not newest and self._next is not None:
            published_ns = [self._next.logged.publish_ns]
        self._sending.jump(at_ns, max(published_ns, default=None))
        for logged in newest:
            self._sending.send(logged)
        self._head.move(at_ns, time.monotonic())

    def _step(self, ticks: int) -> None:
        """Some ticks on or, negative, back."""
        if not self._play.poses:
            if ticks < 0:
                self._jump(self._head.at_ns + ticks * self._tick_ns)
            for _ in range(ticks):
                self._send_tick()
        elif ticks < 0:
            pose = self._tape.pose_before(self._sending.pose, self._head.at_ns, -ticks)
            if pose is None:
                self._jump(self._tape.from_ns)
            else:
                self._show(*self._tape.at_pose(pose), self._tape.came_ns(pose))
        else:
            self._send_poses(ticks)

    def _send_tick(self) -> None:
        """What fusion makes a tick of: a frame of every camera that speaks, and all that came meanwhile."""
        until_ns = self._head.at_ns + self._tick_ns
        lacking = {camera for camera, at_ns in self._frame_ns.items() if self._head.at_ns - at_ns < LATE_NS}
        reached_ns = until_ns
        while self._next is not None and self._next.at_ns <= until_ns + (LATE_NS if lacking else 0):
            came = self._next
            if came.logged.kind is Keypoints2D:
                lacking.discard(came.logged.source)
            self._send_next()
            reached_ns = max(reached_ns, came.at_ns)
        self._head.at_ns = min(reached_ns, self._tape.to_ns)

    def _send_poses(self, count: int) -> None:
        """All messages up to the pose so many further on."""
        while count > 0 and self._next is not None:
            came = self._next
            self._send_next()
            count -= came.logged.kind is Pose3D
            self._head.at_ns = max(self._head.at_ns, came.at_ns)

    def _talk(self) -> None:
        """Say where it is, and what cameras would say."""
        now_s = time.monotonic()
        if now_s - self._said_s >= STATE_S:
            self._said_s = now_s
            self._report_now(now_s)
            if self._pictures is not None:
                self._pictures.show(self._head.position_ns(now_s), self._sending.stamps.shift_ns)
        self._sending.speak(self._head.playing)

    def _report_now(self, now_s: float) -> None:
        self._publisher.send(self._report.state(self._head, self._sending.stamps, now_s, now_ns()))


def main(arguments: list[str] | None = None) -> int:
    """Play; 0 at the end or when interrupted, 2 when something must be mended first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        given = _parser().parse_args(arguments)
        play = play_of(given)
        with SessionReader(given.session) as session, Publisher(given.hub) as publisher:
            player = Player(session, play, publisher, given.hub_outer)
            if play.previews:
                player.show_pictures(given.hub)
            try:
                start_ns = player.wait_for_start(given.hub_outer) if given.wait_for_start else 0
                player.play(max(start_ns, now_ns() + LEAD_NS))
            finally:
                player.close()
            for damage in session.damaged:
                print(f"replay: {damage}", file=sys.stderr)
    except (SessionError, WireError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m nodes.replay", description=__doc__)
    parser.add_argument("session", type=Path, metavar="S.mcap", help="the recording")
    add_options(parser)
    parser.add_argument("--wait-for-start", action="store_true", help="let the running system say when it begins")
    parser.add_argument("--hub", default=DEFAULT_HUB_IN, help="the hub's inner address (default %(default)s)")
    parser.add_argument("--hub-outer", default=DEFAULT_HUB_OUT, help="its outer address (default %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
