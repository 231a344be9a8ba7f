"""The real `run_system.py` in a process of its own, for tests: started on free ports, watched, never left behind."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.ports import free_port_pair
from nodes.wire.bus import every
from nodes.wire.messages import CameraHealth, FusionHealth, Message, Pose3D

ROOT = Path(__file__).parents[1]
RUN_SYSTEM = str(ROOT / "run_system.py")
PATIENCE_S = 90.0  # a busy machine loads five detectors slowly


@dataclass
class System:
    """A running system. `wait_for` reads its bus; everything read is kept, with the time of its arrival."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    heard: list[tuple[int, Message]] = field(default_factory=list)

    def node(self, camera_or_module: str) -> psutil.Process:
        """The process of a camera (by its name) or of a module such as `nodes.fusion`."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if camera_or_module in child.cmdline():
                    return child
        raise AssertionError(f"no process of {camera_or_module} runs:\n{self.log.read_text()}")

    def family(self) -> list[psutil.Process]:
        """The process and all that it has started."""
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def wait_for(self, condition: Callable[[Message], bool], patience_s: float = PATIENCE_S) -> int:
        """Read the bus until a message fulfils the condition; the time (ns, wall clock) at which it came."""
        deadline = time.monotonic() + patience_s
        with every(Pose3D, CameraHealth, FusionHealth, hub_out=f"tcp://127.0.0.1:{self.port + 1}") as bus:
            while time.monotonic() < deadline:
                message = bus.receive(500)
                if message is not None:
                    self.heard.append((time.time_ns(), message))
                    if condition(message):
                        return self.heard[-1][0]
                assert self.process.poll() is None, f"run_system has ended:\n{self.log.read_text()}"
        raise AssertionError(f"this was not heard within {patience_s:.0f} s:\n{self.log.read_text()}")

    def listen(self, seconds: float) -> None:
        """Read the bus for some seconds."""
        until = time.monotonic() + seconds
        self.wait_for(lambda _: time.monotonic() > until)

    def poses(self) -> list[Pose3D]:
        return [message for _, message in self.heard if isinstance(message, Pose3D)]


@contextlib.contextmanager
def running(tmp_path: Path, *arguments: str, terminal: bool = False) -> Iterator[System]:
    """`run_system.py ARGUMENTS` on free ports. terminal: inside a pseudo-terminal whose keyboard is its stdin."""
    port = free_port_pair()
    command = [sys.executable, RUN_SYSTEM, *arguments, "--hub-port", str(port)]
    if terminal:
        command = [sys.executable, "-c", f"import pty, sys; sys.exit(pty.spawn({command!r}) >> 8)"]
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, cwd=tmp_path
        )
    system = System(process, port, log)
    family = [psutil.Process(process.pid)]
    try:
        yield system
    finally:
        with contextlib.suppress(psutil.Error):
            family = system.family()
        for member in family:
            with contextlib.suppress(psutil.Error):
                member.kill()
        process.wait()


def all_gone(family: list[psutil.Process], patience_s: float = 15.0) -> bool:
    """Whether all of these end; zombies whose parent has not looked yet have ended."""
    _, alive = psutil.wait_procs(family, timeout=patience_s)
    return not [member for member in alive if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]
