"""How recorded and virtual cameras fall into step: one time zero for all, and no running ahead of fusion."""

from nodes.wire.bus import every, latest
from nodes.wire.messages import FusionHealth, Pose3D, Session

AHEAD_NS = 500_000_000  # a lossless source stays within half a second of what is fused


def wait_for_start(hub_out: str) -> int | None:
    """Time zero of the running system, as its Session message says; None when none came within a second."""
    with every(Session, hub_out=hub_out) as sessions:
        session = sessions.receive(timeout_ms=1000)
    return session.start_ns if session else None


class FusionFollower:
    """Keeps a lossless source from running ahead of fusion, so that nothing between them overflows."""

    def __init__(self, hub_out: str) -> None:
        self._health = latest(FusionHealth, hub_out)
        self._poses = latest(Pose3D, hub_out)
        self._fused_ns: int | None = None
        self._first_ns: int | None = None
        self._running = False

    def may_go(self, captured_ns: int, timeout_ms: int) -> bool:
        """Whether a frame of captured_ns may be sent now; waits up to timeout_ms for fusion to come near."""
        if not self._running:
            self._running = self._health.receive(timeout_ms) is not None
            return False
        if self._first_ns is None:
            self._first_ns = captured_ns
        if self._allows(captured_ns):
            return True
        pose = self._poses.receive(timeout_ms)
        if pose is not None:
            self._fused_ns = pose.captured_ns
        return self._allows(captured_ns)

    def _allows(self, captured_ns: int) -> bool:
        reference_ns = self._fused_ns if self._fused_ns is not None else self._first_ns
        return reference_ns is None or captured_ns <= reference_ns + AHEAD_NS

    def close(self) -> None:
        self._health.close()
        self._poses.close()
