"""How the system takes kill -9: of one camera after the other, of fusion, of the hub.

    python -m benchmarks.restarts [--rounds 3] [--json FILE] [--check]

Starts the demo, reads its bus, kills one process at a time and waits until all is as before. Told are the largest step
between the `captured_ns` of poses that follow each other, in ticks; the seconds from the kill until fusion_health says
that the camera is gone; and those until poses contain it again, or, after fusion or the hub, until somebody is seen in
a pose captured after the kill.
"""

import contextlib
import itertools
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.ports import free_port_pair
from benchmarks.report import Report, parser, refuse
from configs.load import load_config
from nodes.commands.live import demo_config
from nodes.wire.bus import Subscription, every
from nodes.wire.messages import FusionHealth, Message, Pose3D

PROJECT = Path(__file__).parent.parent
PATIENCE_S = 120.0  # a first run compiles fusion's kernels
CALM_S = 4.0  # between two kills
POLL_MS = 500
MOST_GAP_TICKS, MOST_NAMED_S, MOST_BACK_S = 2.0, 1.0, 5.0
NAN = float("nan")


@dataclass
class Demo:
    """A running demo and what its bus says. heard_at_s: monotonic."""

    process: subprocess.Popen[bytes]
    bus: Subscription[Message]
    poses_ns: list[int] = field(default_factory=list)  # captured_ns since the last kill, and a little before
    heard_at_s: float = 0.0

    def wait_for(self, condition: Callable[[Message], bool]) -> float:
        """Read the bus until a message fulfils the condition; when it came, NaN when it did not come in time."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            message = self.bus.receive(POLL_MS)
            self.heard_at_s = time.monotonic()
            if isinstance(message, Pose3D):
                self.poses_ns.append(message.captured_ns)
            if message is not None and condition(message):
                return self.heard_at_s
            if self.process.poll() is not None:
                raise SystemExit(f"run_system.py ended with {self.process.returncode}; its last words stand above")
        return NAN

    def listen(self, seconds: float) -> None:
        """Read the bus for so long."""
        until_s = time.monotonic() + seconds
        self.wait_for(lambda _: time.monotonic() >= until_s)

    def kill(self, *words: str) -> float:
        """kill -9 the one process with these words in its command; when."""
        self.poses_ns = self.poses_ns[-1:]
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if set(words) <= set(child.cmdline()):
                    child.kill()
                    return time.monotonic()
        raise SystemExit(f"no process with {' '.join(words)} runs; what the system said stands above")

    def most_gap_ticks(self, tick_ns: float) -> float:
        """Largest step since the last kill."""
        return max((after - before for before, after in itertools.pairwise(self.poses_ns)), default=NAN) / tick_ns


@contextlib.contextmanager
def running_demo() -> Iterator[Demo]:
    """A headless demo in which somebody has been seen; it is stopped at the end."""
    port = free_port_pair()
    command = [sys.executable, "run_system.py", "demo", "--headless", "--hub-port", str(port)]
    with every(Pose3D, FusionHealth, hub_out=f"tcp://127.0.0.1:{port + 1}") as bus:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
        demo = Demo(process, bus)
        try:
            demo.wait_for(lambda message: isinstance(message, Pose3D) and bool(message.people))
            yield demo
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def kill_camera(demo: Demo, camera: str) -> tuple[float, float]:
    """Seconds until it is named, and until it takes part again."""
    killed_s = demo.kill("nodes.camera", camera)
    named_s = demo.wait_for(lambda m: isinstance(m, FusionHealth) and not m.cameras[camera].alive)
    back_s = demo.wait_for(lambda m: isinstance(m, Pose3D) and camera not in m.left_out)
    return named_s - killed_s, back_s - killed_s


def kill_shell(demo: Demo, module: str) -> float:
    """Seconds until somebody is seen in a pose that was captured after the kill."""
    killed_s = demo.kill(module)
    killed_ns = time.time_ns()
    seen_s = demo.wait_for(lambda m: isinstance(m, Pose3D) and bool(m.people) and m.captured_ns > killed_ns)
    return seen_s - killed_s


def measure(demo: Demo, report: Report, rounds: int, cameras: tuple[str, ...], tick_ns: float) -> None:
    """All kills, a row each, and the aims."""
    gaps, named, back = [], [], []
    for camera in itertools.islice(itertools.cycle(cameras), rounds):
        demo.listen(CALM_S)
        named_s, back_s = kill_camera(demo, camera)
        demo.listen(1.0)  # its first frames are part of the story
        gap = demo.most_gap_ticks(tick_ns)
        report.row(killed=f"camera {camera}", **{"gap ticks": gap, "named s": named_s, "back s": back_s})
        gaps.append(gap)
        named.append(named_s)
        back.append(back_s)
    for module in ("nodes.fusion", "nodes.hub"):
        demo.listen(CALM_S)
        back.append(kill_shell(demo, module))
        gap = demo.most_gap_ticks(tick_ns)
        report.row(killed=module, **{"gap ticks": gap, "named s": NAN, "back s": back[-1]})
    report.aim("a camera killed: largest gap between poses, ticks", _worst(gaps), MOST_GAP_TICKS)
    report.aim("a camera killed: named after, s", _worst(named), MOST_NAMED_S)
    report.aim("a camera killed: takes part again after, s", _worst(back[:rounds]), MOST_BACK_S)
    report.aim("fusion or hub killed: the stream resumes after, s", _worst(back[rounds:]), MOST_BACK_S)


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=3, help="cameras killed, one after the other (default %(default)s)")
    options = made.parse_args()
    if options.rounds < 1:
        return refuse(f"--rounds {options.rounds}: at least one camera has to be killed")
    config = load_config(demo_config())
    tick_ns = 1e9 / config.fusion.synchroniser.rate_hz
    report = Report(f"kill -9 in a running demo, ticks of {tick_ns / 1e6:.1f} ms")
    with running_demo() as demo:
        measure(demo, report, options.rounds, tuple(config.cameras), tick_ns)
    return report.finish(options)


def _worst(values: list[float]) -> float:
    """The largest; NaN, which meets no aim, when one never came."""
    return NAN if any(map(math.isnan, values)) else max(values)


if __name__ == "__main__":
    sys.exit(main())
