"""The figures of one camera over a run, its restarts included. Pure; times are arguments."""

from collections import deque
from dataclasses import dataclass

from nodes.watching.figures import Samples
from nodes.wire.messages import CameraHealth, CameraInput

NAN = float("nan")
POSES_JUDGED = 30  # about a second; a single late frame is no news


@dataclass(frozen=True)
class CameraStatus:
    """A line of the table. state: what the camera says of itself, or `silent` when it says nothing any more.

    missing_s: since its last frame, where it should deliver; NaN else. health, input: its own last word, and fusion's.
    """

    name: str
    state: str
    fps: float
    frames: int
    dropped: int
    detect_ms: float
    skew_ms: float
    note: str
    missing_s: float = NAN
    health: CameraHealth | None = None
    input: CameraInput | None = None


class CameraFigures:
    """Fed with the health messages of one camera. A restarted process counts from zero; here the counts go on.

    by_hand: the user starts its node, when and where they like, so nobody waits for it.
    """

    def __init__(self, name: str, by_hand: bool = False) -> None:
        self.name = name
        self.by_hand = by_hand
        self.input: CameraInput | None = None  # what fusion says about it
        self.frame_ns: int | None = None  # when its last frame came, where somebody listens to frames
        self._left_out: deque[str] = deque(maxlen=POSES_JUDGED)  # why poses did without it; "" when they did not
        self.detect_ms = Samples()  # one median per health message
        self.health: CameraHealth | None = None
        self._received_ns = 0
        self._frames_before = 0  # of former lives of the process
        self._dropped_before = 0
        self._first_frames: int | None = None
        self._first_ns = 0
        self._counted_until_ns = 0

    def feed(self, health: CameraHealth, received_ns: int) -> None:
        """Take in one health message."""
        if self.health is not None and _is_of_new_life(health, self.health):
            self._frames_before += self.health.frames
            self._dropped_before += self.health.dropped
        if not self.ended:  # a recording repeats its end for a while; that is no time of its own
            self._counted_until_ns = received_ns
        self.health = health
        self._received_ns = received_ns
        if health.state == "streaming":
            self.detect_ms.add(health.detect_ms_p50)
        if self._first_frames is None and health.frames > 0:
            self._first_frames, self._first_ns = self.frames, received_ns

    def contributed(self, left_out: str) -> None:
        """Take in what a pose says: why it did without this camera, "" when it did not."""
        self._left_out.append(left_out)

    @property
    def frames(self) -> int:
        return self._frames_before + (self.health.frames if self.health else 0)

    @property
    def dropped(self) -> int:
        return self._dropped_before + (self.health.dropped if self.health else 0)

    @property
    def ended(self) -> bool:
        return self.health is not None and self.health.state == "ended"

    @property
    def streaming(self) -> bool:
        return self.health is not None and self.health.state == "streaming"

    @property
    def prepared(self) -> bool:
        """Whether it is past its start: ready, delivering, done, or its source was tried in vain (it has a note)."""
        if self.health is None:
            return self.by_hand
        return self.by_hand or self.health.state != "starting" or self.health.note != ""

    @property
    def fps(self) -> float:
        """Detected frames per second from the first health message with frames to the last or the first "ended"."""
        span_ns = self._counted_until_ns - self._first_ns
        if self._first_frames is None or span_ns <= 0:
            return NAN
        return (self.frames - self._first_frames) / span_ns * 1e9

    def status(self, now_ns: int, silent_after_ns: int, restarting: bool) -> CameraStatus:
        """The line of the table. restarting: its process crashed and has not spoken since."""
        silence_ns = now_ns - max(self._received_ns, self.frame_ns or 0)
        silent = self.health is not None and not self.ended and silence_ns > silent_after_ns
        unheard = "awaited" if self.by_hand else "starting"
        state = "restarting" if restarting else "silent" if silent else self.health.state if self.health else unheard
        delivers = state == "streaming"
        return CameraStatus(
            name=self.name,
            state=state,
            fps=self.health.fps if self.health and delivers else NAN,
            frames=self.frames,
            dropped=self.dropped,
            detect_ms=self.health.detect_ms_p50 if self.health else NAN,
            skew_ms=self.input.skew_ms if self.input and delivers else NAN,
            note=self._note(state, silence_ns),
            missing_s=self._missing_s(now_ns) if state in ("streaming", "reconnecting", "silent") else NAN,
            health=self.health,
            input=self.input,
        )

    def _missing_s(self, now_ns: int) -> float:
        """Since its last frame; what fusion said of it grows no older while fusion is silent."""
        if self.frame_ns is not None:
            return (now_ns - self.frame_ns) * 1e-9
        return self.input.age_ms * 1e-3 if self.input else NAN

    def _note(self, state: str, silence_ns: int) -> str:
        """What is to be said: by the camera itself, and while it delivers also by fusion."""
        if state == "restarting":
            return "its process has ended; it starts again by itself"
        if state == "awaited":
            return "its node is started by hand (start: false)"
        if state == "silent":
            whose = "; its node is started by hand" if self.by_hand else ""
            return f"no word from it for {silence_ns / 1e9:.0f} s{whose}"
        own = self.health.note if self.health else ""
        if state != "streaming" or own:
            return own
        reasons = [reason for reason in self._left_out if reason]
        if self.input and not (self.input.alive and self.input.valid):
            return self.input.note
        return f"left out: {reasons[-1]}" if len(reasons) > len(self._left_out) / 2 else ""


def _is_of_new_life(health: CameraHealth, before: CameraHealth) -> bool:
    """A process counts its own messages. The same one again is the word of a recording that stands."""
    return health.seq <= before.seq and (health.seq, health.captured_ns) != (before.seq, before.captured_ns)
