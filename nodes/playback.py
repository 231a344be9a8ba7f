"""How recorded and virtual cameras fall into step: one time zero for all, and no running ahead of fusion."""

import math
import time

from nodes.wire.bus import every
from nodes.wire.messages import FusionHealth, Message, Pose3D, Session

AHEAD_NS = 500_000_000  # a lossless source stays within half a second of what is fused
SILENT_NS = 2_000_000_000  # fusion speaks five times a second; after this it is down, or the hub is
BEHIND_NS = AHEAD_NS // 4  # behind the newest camera, as fusion smooths it
STANDSTILL_NS = 5_000_000_000  # longer than a camera takes to start again
QUIET_END_NS = 3_000_000_000  # fusion lives and fuses nothing new: the others have ended, too
GONE_NS = 15_000_000_000  # longer than fusion takes to start again
MOST_PER_TURN = 1000  # messages; a flood must not keep a camera from its frames


def wait_for_start(hub_out: str) -> int | None:
    """Time zero of the running system, as its Session message says; None when none came within a second."""
    with every(Session, hub_out=hub_out) as sessions:
        session = sessions.receive(timeout_ms=1000)
    return session.start_ns if session else None


class Pacer:
    """Which frames a lossless camera may send, given what fusion has said. Pure.

    `captured_ns` are capture times; `now_ns` are monotonic and an argument everywhere. Fusion is followed over its
    restarts: a new one knows nothing and is sent what comes next, not what its predecessor had.
    """

    def __init__(self) -> None:
        self._seq = -1  # of fusion's last health message
        self._heard_ns: int | None = None  # when that came
        self._fused_ns: int | None = None  # captured_ns of the last tick, of this life of fusion
        self._first_ns: int | None = None  # the first frame that this life of fusion was offered
        self._moved_ns = 0  # when fusion last went on, or came back
        self._behind_ns = 0

    def hear_health(self, seq: int, fused_until_ns: int, now_ns: int, behind_ns: int = 0) -> None:
        """Fusion says that it lives and how far it is; 0: nothing fused yet.

        behind_ns: how far it sees this camera behind the newest one.
        """
        if seq <= self._seq or (fused_until_ns == 0 and self._fused_ns is not None):  # it was started again
            self._fused_ns = self._first_ns = None
            self._moved_ns = now_ns
        if not self._lives(now_ns):
            self._moved_ns = now_ns  # silence was no standstill
        self._seq, self._heard_ns, self._behind_ns = seq, now_ns, behind_ns
        if fused_until_ns:
            self.hear_pose(fused_until_ns, now_ns)

    def hear_pose(self, captured_ns: int, now_ns: int) -> None:
        """Fusion has done the tick of captured_ns."""
        if captured_ns != self._fused_ns:
            self._fused_ns, self._moved_ns = captured_ns, now_ns

    def is_fused(self, captured_ns: int) -> bool:
        """Whether fusion is past a frame and would refuse it: so it is for a camera that was started again."""
        return self._fused_ns is not None and captured_ns <= self._fused_ns

    def may_send(self, captured_ns: int, now_ns: int) -> bool:
        """Whether a frame may be sent now. When fusion lives but stands still, one frame every STANDSTILL_NS may.

        What fusion waits for may have been lost on its way (the hub died), and only a newer frame tells it so.
        """
        if self._heard_ns is None:
            return False
        if self._first_ns is None:
            self._first_ns = captured_ns
        reference_ns = self._first_ns if self._fused_ns is None else self._fused_ns
        if captured_ns <= reference_ns + AHEAD_NS:
            return True
        if self._fused_ns is None and self._behind_ns > BEHIND_NS:
            return True  # both started again: this camera from its first frame, fusion from where the others are
        if not self._lives(now_ns) or now_ns - self._moved_ns < STANDSTILL_NS:
            return False
        self._moved_ns = now_ns
        return True

    def may_leave(self, ended_ns: int, now_ns: int) -> bool:
        """Whether a camera whose recording ended at ended_ns (monotonic) need not say so any longer.

        While others are still fused it must: a restarted fusion would wait for it for ever.
        """
        if self._lives(now_ns):
            return now_ns - max(self._moved_ns, ended_ns) >= QUIET_END_NS
        return now_ns - max(self._heard_ns or 0, ended_ns) >= GONE_NS

    def _lives(self, now_ns: int) -> bool:
        return self._heard_ns is not None and now_ns - self._heard_ns <= SILENT_NS


class FusionFollower:
    """A Pacer that listens to the bus: keeps a lossless source from running ahead, so that nothing overflows.

    One subscription for poses and health, since their order tells the old fusion's words from the new one's.
    """

    def __init__(self, camera: str, hub_out: str) -> None:
        self._camera = camera
        self._inbox = every(FusionHealth, Pose3D, hub_out=hub_out, source="fusion")
        self._pacer = Pacer()

    def may_go(self, captured_ns: int, timeout_ms: int) -> bool:
        """Whether a frame of captured_ns may be sent now; waits up to timeout_ms for fusion to come near."""
        self._listen(0)
        if self._pacer.may_send(captured_ns, time.monotonic_ns()):
            return True
        self._listen(timeout_ms)
        return self._pacer.may_send(captured_ns, time.monotonic_ns())

    def is_fused(self, captured_ns: int) -> bool:
        """Whether fusion is past this frame, as far as was heard in `may_go`."""
        return self._pacer.is_fused(captured_ns)

    def may_leave(self, ended_ns: int, timeout_ms: int) -> bool:
        """Whether the word that the recording ended at ended_ns (monotonic) has done its duty; waits for news."""
        self._listen(timeout_ms)
        return self._pacer.may_leave(ended_ns, time.monotonic_ns())

    def close(self) -> None:
        self._inbox.close()

    def _listen(self, timeout_ms: int) -> None:
        """Take in all that has come; when nothing has, wait for the next message."""
        message = self._inbox.receive(timeout_ms)
        for _ in range(MOST_PER_TURN):
            if message is None:
                return
            self._take(message, time.monotonic_ns())
            message = self._inbox.receive(0)

    def _take(self, message: Message, now_ns: int) -> None:
        match message:
            case FusionHealth():
                seen = message.cameras.get(self._camera)
                behind_ns = round(seen.skew_ms * 1e6) if seen is not None and math.isfinite(seen.skew_ms) else 0
                self._pacer.hear_health(message.seq, message.fused_until_ns, now_ns, behind_ns)
            case Pose3D():
                self._pacer.hear_pose(message.captured_ns, now_ns)
