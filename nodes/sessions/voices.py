"""Those whom a recording speaks for, and what they said last. Pure; `now_s` are monotonic seconds, and arguments.

Whoever listens takes cameras and fusion that say nothing for lost. So their word is said again while the recording
stands, and where it holds none for long: one that was imported knows keypoints, and of cameras no more than their end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nodes.sessions.logged import Logged
from nodes.wire.errors import WireError
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D
from nodes.wire.topics import envelope

FUSION = "fusion"
AGAIN_S = 0.5
QUIET_S = 1.0  # health is recorded four times a second
NEVER = float("-inf")
PASSED = {"", "ready", "ended"}  # words that frames behind them prove to be over


@dataclass
class _Speaker:
    """word: the last one, as it was sent. seq: of the next. did_s: when its last keypoints, or poses, were sent."""

    word: bytes = b""
    state: str = ""
    seq: int = 0
    said_s: float = NEVER
    did_s: float = NEVER

    def is_due(self, playing: bool, now_s: float) -> bool:
        """Whether its word is to be said again, or another one in its place."""
        if self.is_over:
            return True
        quiet = now_s - self.said_s >= QUIET_S
        return bool(self.word) and (not playing or (quiet and now_s - self.did_s < QUIET_S))

    @property
    def is_over(self) -> bool:
        """Whether it did something that its last word says nothing of."""
        return self.state in PASSED and self.did_s > self.said_s


class Voices:
    """The cameras and, where its poses are played, fusion."""

    def __init__(self, cameras: Sequence[str], with_fusion: bool) -> None:
        self._of = {name: _Speaker() for name in (*cameras, *([FUSION] if with_fusion else []))}
        self._due_s = NEVER

    def sent(self, logged: Logged, sealed: bytes, now_s: float) -> None:
        """A recorded message was sent."""
        speaker = self._of.get(logged.source)
        if speaker is None:
            return
        if logged.kind in (Keypoints2D, Pose3D):
            speaker.did_s = now_s
        elif logged.kind in (CameraHealth, FusionHealth):
            speaker.word, speaker.state = sealed, _state(logged)
            speaker.seq, speaker.said_s = logged.seq + 1, now_s

    def jumped(self) -> None:
        """It goes on from another place: nobody has ended there."""
        for speaker in self._of.values():
            if speaker.state == "ended":
                speaker.word, speaker.state = b"", ""

    def all_ready(self, now_s: float, wall_ns: int) -> list[bytes]:
        """Their words before it begins."""
        return [self._say(name, "ready", now_s, wall_ns) for name in self._of]

    def all_ended(self, now_s: float, wall_ns: int) -> list[bytes]:
        """The end of each camera that the recording has not told yet."""
        goes_on = [name for name, speaker in self._of.items() if name != FUSION and speaker.state != "ended"]
        return [self._say(name, "ended", now_s, wall_ns) for name in goes_on]

    def again(self, playing: bool, now_s: float, wall_ns: int) -> list[bytes]:
        """What is to be said in their place now, twice a second at most."""
        if now_s - self._due_s < AGAIN_S:
            return []
        self._due_s = now_s
        return [
            self._say(name, "streaming", now_s, wall_ns) if speaker.is_over else speaker.word
            for name, speaker in self._of.items()
            if speaker.is_due(playing, now_s)
        ]

    def _say(self, name: str, state: str, now_s: float, wall_ns: int) -> bytes:
        """A word that is not recorded, as it is sent."""
        speaker = self._of[name]
        word: Message
        if name == FUSION:
            word = _silent_fusion(wall_ns, speaker.seq)
        else:
            word = CameraHealth(captured_ns=wall_ns, published_ns=wall_ns, source=name, seq=speaker.seq, state=state)
        speaker.word, speaker.state, speaker.said_s = envelope(word), state, now_s
        return speaker.word


def _state(logged: Logged) -> str:
    """What a camera says of itself; of fusion, and of what cannot be read, nothing that frames could prove wrong."""
    try:
        health = logged.message()
    except WireError:
        return "unknown"
    return health.state if isinstance(health, CameraHealth) else "unknown"


def _silent_fusion(wall_ns: int, seq: int) -> FusionHealth:
    """Word of a fusion that does not run."""
    return FusionHealth(
        captured_ns=wall_ns,
        published_ns=wall_ns,
        source=FUSION,
        seq=seq,
        cameras={},
        ticks=0,
        rate_hz=float("nan"),
        people=0,
        reprojection_px_p50=float("nan"),
        fused_until_ns=0,
    )
