"""How the inputs of fusion are doing: alive, on time and valid are three facts. Pure; the time is an argument."""

from collections import deque

import numpy as np

from nodes.stages.rig_watch import Moved
from nodes.stages.synchroniser import CameraInbox, Tick
from nodes.wire.messages import CameraInput, Pose3D

DEAD_AFTER_NS = 500_000_000  # half a second without a frame is named: no camera in use here is slower than 5 Hz
WINDOW = 64  # ticks that rate and reprojection are told over


class HealthLedger:
    """Keeps the last ticks, to tell rate, people and reprojection error."""

    def __init__(self) -> None:
        self.ticks = 0
        self._published: deque[Pose3D] = deque(maxlen=WINDOW)
        self._left_out: dict[str, str] = {}

    def begin_anew(self) -> None:
        """Forget the window: what comes stands on another time axis."""
        self._published.clear()

    def record(self, tick: Tick, pose: Pose3D) -> None:
        """Take note of a tick and of what became of it."""
        self.ticks += 1
        self._published.append(pose)
        self._left_out = dict(pose.left_out)

    @property
    def fused_until_ns(self) -> int:
        return self._published[-1].captured_ns if self._published else 0

    @property
    def people(self) -> int:
        return len(self._published[-1].people) if self._published else 0

    def rate_hz(self) -> float:
        """Ticks per second of capture time, over the window."""
        if len(self._published) < 2:
            return float("nan")
        span_ns = self._published[-1].captured_ns - self._published[0].captured_ns
        return (len(self._published) - 1) / (span_ns * 1e-9) if span_ns > 0 else float("nan")

    def reprojection_px_p50(self) -> float:
        """Median over joints, people and the window."""
        errors_px = [person.reprojection_px for pose in self._published for person in pose.people]
        all_px = np.concatenate(errors_px) if errors_px else np.zeros(0)
        finite = all_px[np.isfinite(all_px)]
        return float(np.median(finite)) if len(finite) else float("nan")

    def camera(
        self,
        name: str,
        inbox: CameraInbox,
        bus_ns: int,
        misfit: str,
        moved: Moved | None = None,
        reprojection_px: float = float("nan"),
    ) -> CameraInput:
        """What is to be said of one camera when the bus's clock shows bus_ns."""
        last_ns = inbox.arrivals.last_ns
        age_ns = float("nan") if last_ns is None else max(0, bus_ns - last_ns)
        alive = last_ns is not None and age_ns <= DEAD_AFTER_NS
        reason = self._left_out.get(name, "")
        return CameraInput(
            alive=alive,
            on_time=alive and not reason,
            valid=alive and not misfit,
            age_ms=age_ns / 1e6,
            skew_ms=inbox.skew_ns / 1e6,
            frames=inbox.arrivals.frames,
            late=inbox.arrivals.late,
            rejected=dict(inbox.arrivals.rejected),
            note=self._note(inbox, age_ns, alive, misfit, reason) or (moved.told if moved else ""),
            moved_ns=moved.at_ns if moved else 0,
            moved_deg=float(np.degrees(moved.turn)) if moved else 0.0,
            moved_mm=1000.0 * moved.way_m if moved else 0.0,
            repaired=moved is not None and moved.repaired,
            reprojection_px=reprojection_px,
        )

    @staticmethod
    def _note(inbox: CameraInbox, age_ns: float, alive: bool, misfit: str, reason: str) -> str:
        if inbox.ended:
            return "its recording has ended"
        if misfit:
            return misfit
        if inbox.arrivals.last_ns is None:
            refused = ", ".join(inbox.arrivals.rejected)
            return f"no frames yet, refused: {refused}" if refused else "no frames yet"
        if not alive:
            refused = ", ".join(inbox.arrivals.rejected)
            return f"no frames for {age_ns * 1e-9:.1f} s" + (f" (refused: {refused})" if refused else "")
        return reason
