"""Sends recorded messages, moved in time: no more at once than fusion takes, and a second result's poses, too."""

import contextlib
import time

from nodes.sessions.beside import Beside
from nodes.sessions.logged import Logged
from nodes.sessions.play_head import Stamps
from nodes.sessions.play_options import Play
from nodes.sessions.playing import Flow, shifted
from nodes.sessions.reader import SessionReader
from nodes.sessions.voices import Voices
from nodes.wire.bus import Publisher, every, now_ns
from nodes.wire.errors import WireError
from nodes.wire.messages import FusionHealth, Keypoints2D, Pose3D
from nodes.wire.requests import BESIDE
from nodes.wire.topics import prefix

HELD_UP_S = 0.002
LISTEN_EVERY = 64  # messages


class Sending:
    """stamps: by how much times are moved now. pose: the last one sent, for whoever forgets it at a jump. note: in what
    the second result differs, "" without one."""

    def __init__(self, session: SessionReader, play: Play, publisher: Publisher, hub_out: str) -> None:
        self.stamps = Stamps(play.keeps_stamps, fuses=not play.poses)
        self.pose: Logged | None = None
        self._beside = Beside(play.beside, session) if play.beside is not None else None
        self.note = "" if self._beside is None else self._beside.note
        self._fuses = not play.poses
        self._voices = Voices(session.cameras, with_fusion=play.poses)
        self._flow = Flow()
        self._publisher = publisher
        self._inbox = every(FusionHealth, hub_out=hub_out, source="fusion")

    def send(self, logged: Logged) -> None:
        """One message; what is none is passed over."""
        try:
            data = shifted(logged, self.stamps.shift_ns)
        except WireError:
            return
        if self._fuses and logged.kind is Keypoints2D:
            self._wait_for_fusion()
        sealed = logged.topic.encode() + b"\0" + data
        self._publisher.send_bytes(sealed)
        self._voices.sent(logged, sealed, time.monotonic())
        self.stamps.sent(logged.publish_ns)
        if logged.kind is Pose3D:
            self.pose = logged
            self._send_beside(logged)

    def jump(self, at_ns: int, publish_ns: int | None) -> None:
        """It goes on with a place logged at at_ns; publish_ns: of the first message there, None without one."""
        self._voices.jumped()
        if publish_ns is not None:
            self.stamps.jump(at_ns, publish_ns, now_ns())

    def say_ready(self) -> None:
        """Before it begins."""
        self._say(self._voices.all_ready(time.monotonic(), now_ns()))

    def say_ended(self) -> None:
        """The cameras have ended."""
        self._say(self._voices.all_ended(time.monotonic(), now_ns()))

    def speak(self, playing: bool) -> None:
        """Say for cameras and fusion what they do not say themselves; as often as one likes."""
        self._say(self._voices.again(playing, time.monotonic(), now_ns()))

    def close(self) -> None:
        self._inbox.close()
        if self._beside is not None:
            self._beside.close()

    def _say(self, words: list[bytes]) -> None:
        for word in words:
            self._publisher.send_bytes(word)

    def _send_beside(self, logged: Logged) -> None:
        """What the second result has at the instant of a pose."""
        if self._beside is None:
            return
        with contextlib.suppress(WireError):
            near = self._beside.near(logged.message().captured_ns)
            if near is not None:
                data = shifted(near, self.stamps.shift_ns, BESIDE)
                self._publisher.send_bytes(prefix(Pose3D, BESIDE) + data)

    def _wait_for_fusion(self) -> None:
        """What fusion has not taken in yet waits in queues, and these overflow."""
        self._flow.sent += 1
        while self._flow.is_ahead(time.monotonic()):
            self._listen(HELD_UP_S)
        if self._flow.sent % LISTEN_EVERY == 0:
            self._listen(0.0)

    def _listen(self, timeout_s: float) -> None:
        health = self._inbox.receive(round(1000 * timeout_s))
        while isinstance(health, FusionHealth):
            taken = sum(c.frames + sum(c.rejected.values()) for c in health.cameras.values())
            self._flow.heard(health.seq, taken, time.monotonic())
            health = self._inbox.receive(0)
