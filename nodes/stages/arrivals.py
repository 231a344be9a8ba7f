"""When one camera's next frame is due, and which stamps can be believed. Pure; times are arguments.

A camera is waited for as TCP waits for an acknowledgement (Jacobson 1988): its smoothed interval plus four times the
mean deviation. So a camera that stopped is given up after about two frames, and a jittery one is not given up at all.
"""

from dataclasses import dataclass, field

MIN_PATIENCE_NS = 20_000_000  # below, the scheduler's jitter on a busy machine gives cameras up
INTERVAL_GAIN = 1 / 8  # Jacobson's gains
DEVIATION_GAIN = 1 / 4


@dataclass
class Arrivals:
    """The rhythm of one camera, told by the bus's clock."""

    last_ns: int | None = None
    interval_ns: float | None = None
    deviation_ns: float = 0.0
    frames: int = 0
    late: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    def arrived(self, bus_ns: int) -> None:
        """A frame came when the bus's clock showed bus_ns."""
        if self.last_ns is not None:
            self._learn(float(bus_ns - self.last_ns))
        self.last_ns = bus_ns
        self.frames += 1

    def reject(self, reason: str) -> None:
        """Count a message that was refused."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def is_due(self, bus_ns: int, deadline_ns: int) -> bool:
        """Whether it is still worth waiting for this camera's next frame."""
        if self.last_ns is None:
            return False
        patience_ns = float(deadline_ns)
        if self.interval_ns is not None:
            patience_ns = min(patience_ns, self.interval_ns + max(4 * self.deviation_ns, MIN_PATIENCE_NS))
        return bus_ns - self.last_ns <= patience_ns

    def _learn(self, interval_ns: float) -> None:
        if self.interval_ns is None:
            self.interval_ns, self.deviation_ns = interval_ns, interval_ns / 2
            return
        # an outage is no rhythm: it counts as one long interval
        error = min(interval_ns, 4 * self.interval_ns + MIN_PATIENCE_NS) - self.interval_ns
        self.deviation_ns += DEVIATION_GAIN * (abs(error) - self.deviation_ns)
        self.interval_ns += INTERVAL_GAIN * error


@dataclass
class BusClock:
    """The clock of the bus: the newest published_ns among those that can be believed.

    A camera whose clock has jumped must not make the others look stale. A stamp well off the others' is believed only
    when a second camera says the same, or when nobody else speaks (the machine slept, or its clock was set).
    """

    now_ns: int = 0
    restarts: int = 0  # times that the stream began anew: set back, or after an outage
    _doubted: dict[str, tuple[int, int]] = field(default_factory=dict)  # camera → (stamp, how often in a row)

    MAX_STEP_NS = 300_000_000  # above any ordinary delay; a jump below it goes unnoticed, until offsets are measured
    MAX_OUTAGE_NS = 2_000_000_000  # a longer one is a new beginning, a shorter one is bridged
    CONFIRMATIONS = 10  # doubted stamps of one camera, nobody else believed in between, that are believed in the end

    def believes(self, camera: str, published_ns: int) -> bool:
        """Take the stamp in; False when it cannot be believed (yet)."""
        step_ns = published_ns - self.now_ns if self.now_ns else 0
        if abs(step_ns) > self.MAX_STEP_NS:
            if not self._confirmed(camera, published_ns):
                return False
            self.restarts += not 0 < step_ns <= self.MAX_OUTAGE_NS
            self.now_ns = published_ns
        self._doubted.clear()
        self.now_ns = max(self.now_ns, published_ns)
        return True

    def _confirmed(self, camera: str, published_ns: int) -> bool:
        _, before = self._doubted.get(camera, (0, 0))
        self._doubted[camera] = (published_ns, before + 1)
        if before + 1 >= self.CONFIRMATIONS:
            return True
        others = [stamp for name, (stamp, _) in self._doubted.items() if name != camera]
        return any(abs(published_ns - stamp) <= self.MAX_STEP_NS for stamp in others)
