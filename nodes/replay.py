"""Plays a recording on the bus in place of the cameras. `python -m nodes.replay S.mcap --hub … --hub-outer …`.

Messages are sent as they were, in their order and at their pace; with --stamps now (default) all their times are moved
by one span, so that they speak of the present. Fusion judges by the stamps alone, and so makes the same poses of them.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from nodes.playback import wait_for_start
from nodes.sessions.errors import SessionError
from nodes.sessions.logged import Logged
from nodes.sessions.play_options import Play, add_options, play_of
from nodes.sessions.playing import Flow, Pace, began_with, shifted
from nodes.sessions.reader import SessionReader
from nodes.wire.bus import DEFAULT_HUB_IN, DEFAULT_HUB_OUT, Publisher, every, now_ns
from nodes.wire.errors import WireError
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D

KEYPOINTS_IN: tuple[type[Message], ...] = (Keypoints2D, CameraHealth)
POSES_OUT: tuple[type[Message], ...] = (Keypoints2D, CameraHealth, FusionHealth, Pose3D)
BETWEEN_LOOPS_S = 3.0  # longer than fusion bridges: it begins anew
PAUSE_AT_MAX_S = 0.1
LEAD_NS = 300_000_000  # for the word to reach everybody; one that was started again is late for the session
HELD_UP_S = 0.002


class Player:
    """Sends what a session holds."""

    def __init__(self, session: SessionReader, play: Play, publisher: Publisher, hub_out: str) -> None:
        self._session = session
        self._play = play
        self._publisher = publisher
        self._flow = Flow()
        self._inbox = every(FusionHealth, hub_out=hub_out, source="fusion")
        self._ended: set[str] = set()
        self._seq = dict.fromkeys(session.cameras, 0)

    def wait_for_start(self, hub_out: str) -> int:
        """Say that all is ready until the running system names the session's start; that."""
        start_ns = None
        while start_ns is None:
            for camera in self._session.cameras:
                self._say(camera, "ready")
            if self._play.poses:
                self._publisher.send(_silent_fusion())
            start_ns = wait_for_start(hub_out)
        return start_ns

    def play(self, start_ns: int) -> None:
        """Play it all, the first message at start_ns; then say that the cameras have ended."""
        first_ns = self._first_ns()
        shift_ns = 0 if self._play.keeps_stamps else start_ns - first_ns
        begin_s = time.monotonic() + max(0.0, (start_ns - now_ns()) * 1e-9)
        while True:
            last_ns = self._play_once(first_ns, shift_ns, begin_s)
            if not self._play.loop:
                break
            pause_s = BETWEEN_LOOPS_S / self._play.speed if self._play.speed else PAUSE_AT_MAX_S
            begin_s = time.monotonic() + pause_s
            shift_ns += last_ns - first_ns + round(BETWEEN_LOOPS_S * 1e9)
        for camera in set(self._session.cameras) - self._ended:
            self._say(camera, "ended")

    def close(self) -> None:
        self._inbox.close()

    def _play_once(self, first_ns: int, shift_ns: int, begin_s: float) -> int:
        """Log time of the last message."""
        last_ns, pace = first_ns, Pace()
        for logged in self._records():
            last_ns = logged.log_ns
            if self._play.speed is not None:
                after_s = (pace.came_ns(logged) - first_ns) * 1e-9 / self._play.speed
                time.sleep(max(0.0, begin_s + after_s - time.monotonic()))
            try:
                data = shifted(logged, shift_ns)
            except WireError:
                continue
            self._wait_for_fusion(logged)
            if logged.kind is CameraHealth:
                self._note_end(logged)
            self._publisher.send_bytes(logged.topic.encode() + b"\0" + data)
        return last_ns

    def _records(self) -> Iterator[Logged]:
        """What is played: from the message on that fusion began with, if it is known and the start is played."""
        play = self._play
        kinds = POSES_OUT if play.poses else KEYPOINTS_IN
        records = self._session.logged(*kinds, from_s=play.from_s, to_s=play.to_s)
        if play.poses or play.from_s is not None:
            return records
        return began_with(self._session, records)

    def _first_ns(self) -> int:
        first = next(self._records(), None)
        if first is None:
            raise SessionError(f"{self._session.path}: there is nothing to play in it, or between --from and --to")
        return first.log_ns

    def _wait_for_fusion(self, logged: Logged) -> None:
        """What fusion has not taken in yet waits in queues, and these overflow."""
        if self._play.poses or logged.kind is not Keypoints2D:
            return
        self._flow.sent += 1
        while self._flow.is_ahead(time.monotonic()):
            self._listen(HELD_UP_S)
        if self._flow.sent % 64 == 0:
            self._listen(0.0)

    def _listen(self, timeout_s: float) -> None:
        health = self._inbox.receive(round(1000 * timeout_s))
        while isinstance(health, FusionHealth):
            taken = sum(c.frames + sum(c.rejected.values()) for c in health.cameras.values())
            self._flow.heard(health.seq, taken, time.monotonic())
            health = self._inbox.receive(0)

    def _note_end(self, logged: Logged) -> None:
        health = logged.message()
        if isinstance(health, CameraHealth) and health.state == "ended":
            self._ended.add(health.source)
        else:
            self._ended.discard(logged.source)
        self._seq[logged.source] = logged.seq + 1

    def _say(self, camera: str, state: str) -> None:
        seq = self._seq.get(camera, 0)
        self._publisher.send(CameraHealth(captured_ns=now_ns(), published_ns=0, source=camera, seq=seq, state=state))


def main(arguments: list[str] | None = None) -> int:
    """Play; 0 at the end or when interrupted, 2 when something must be mended first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        given = _parser().parse_args(arguments)
        play = play_of(given)
        with SessionReader(given.session) as session, Publisher(given.hub) as publisher:
            player = Player(session, play, publisher, given.hub_outer)
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


def _silent_fusion() -> FusionHealth:
    """Word of a fusion that does not run, for those who wait for it: the recording speaks in its place."""
    return FusionHealth(
        captured_ns=now_ns(),
        published_ns=0,
        source="fusion",
        seq=0,
        cameras={},
        ticks=0,
        rate_hz=float("nan"),
        people=0,
        reprojection_px_p50=float("nan"),
        fused_until_ns=0,
    )


if __name__ == "__main__":
    sys.exit(main())
