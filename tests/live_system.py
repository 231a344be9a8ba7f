"""The real `run_system.py` in a process of its own, for tests: started on free ports, watched, never left behind."""

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import psutil

from benchmarks.ports import free_port_pair
from configs.schema import Synchroniser as Settings
from nodes.compiling import compile_kernels
from nodes.wire.bus import Subscription, every
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D
from nodes.wire.requests import SystemState

ROOT = Path(__file__).parents[1]
RUN_SYSTEM = str(ROOT / "run_system.py")
PATIENCE_S = 90.0  # a busy machine loads five detectors slowly


@dataclass
class System:
    """A running system. `wait_for` reads its bus, without a gap from call to call; everything read is kept, with the
    time at which it was read."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    bus: Subscription[Message]
    page_port: int | None = None
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
        while time.monotonic() < deadline:
            message = self.bus.receive(500)
            if message is None:
                assert self.process.poll() is None, f"run_system has ended:\n{self.log.read_text()}"
                continue
            self.heard.append((time.time_ns(), message))
            if condition(message):
                return self.heard[-1][0]
        raise AssertionError(f"this was not heard within {patience_s:.0f} s:\n{self.log.read_text()}")

    def listen(self, seconds: float) -> None:
        """Read the bus for some seconds."""
        until = time.monotonic() + seconds
        self.wait_for(lambda _: time.monotonic() > until)

    def poses(self) -> list[Pose3D]:
        return [message for _, message in self.heard if isinstance(message, Pose3D)]

    def frames(self) -> list[Keypoints2D]:
        return [message for _, message in self.heard if isinstance(message, Keypoints2D)]


@contextlib.contextmanager
def running(tmp_path: Path, *arguments: str, terminal: bool = False, page: bool = False) -> Iterator[System]:
    """`run_system.py ARGUMENTS` on free ports. terminal: inside a pseudo-terminal whose keyboard is its stdin. page:
    with the live page, at a free port."""
    compile_kernels(print)  # on a fresh machine; every test is as patient as with compiled ones
    port = free_port_pair()
    page_port = free_port_pair() if page else None
    shown = ["--headless"] if page_port is None else ["--page-port", str(page_port)]
    command = [sys.executable, RUN_SYSTEM, *arguments, *shown, "--hub-port", str(port)]
    if terminal:
        command = [sys.executable, "-c", f"import pty, sys; sys.exit(pty.spawn({command!r}) >> 8)"]
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, cwd=tmp_path
        )
    bus: Subscription[Message] = every(
        Keypoints2D, Pose3D, CameraHealth, FusionHealth, SystemState, hub_out=f"tcp://127.0.0.1:{port + 1}"
    )
    system = System(process, port, log, bus, page_port=page_port)
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
        bus.close()


def beginning_of(clip: Path, path: Path, frames: int) -> Path:
    """The first pictures of a clip as a clip of their own, their bytes unchanged; for clips of the demo, whose pictures
    rest on earlier ones alone."""
    with av.open(str(clip)) as whole, av.open(str(path), "w") as cut:
        stream = cut.add_stream_from_template(whole.streams.video[0])
        for packet in itertools.islice((packet for packet in whole.demux(video=0) if packet.size), frames):
            packet.stream = stream
            cut.mux(packet)
    return path


def all_gone(family: list[psutil.Process], patience_s: float = 15.0) -> bool:
    """Whether all of these end; zombies whose parent has not looked yet have ended."""
    _, alive = psutil.wait_procs(family, timeout=patience_s)
    return not [member for member in alive if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]


def missed_ticks(poses: list[Pose3D], frames: list[Keypoints2D], settings: Settings) -> list[int]:
    """Ticks (ns) that are missing between the poses although two cameras saw them in time.

    frames: of all cameras, in the order of the hub, which is fusion's too. So what a camera did not deliver, as on a
    machine that has too much to do, is not laid at fusion's door.
    """
    period_ns = round(1e9 / settings.rate_hz)
    missing = [
        instant_ns
        for before, after in itertools.pairwise(pose.captured_ns for pose in poses)
        for instant_ns in range(before + period_ns, after - period_ns // 2, period_ns)
    ]
    return [instant_ns for instant_ns in missing if len(_in_time(instant_ns, frames, settings)) >= 2]


def _in_time(instant_ns: int, frames: list[Keypoints2D], settings: Settings) -> set[str]:
    """Cameras with two frames around the instant, near enough to each other: the second at most the deadline after the
    first camera reached the instant, until when a frame as near before the instant was there."""
    assert settings.deadline_ms is not None
    bus_ns = list(itertools.accumulate((frame.published_ns for frame in frames), max))
    first = next((k for k, frame in enumerate(frames) if frame.captured_ns >= instant_ns), len(frames))
    max_gap_ns = round(settings.max_gap_ms * 1e6)
    newest = {frame.source: frame for frame in frames[:first] if instant_ns - frame.captured_ns <= max_gap_ns}
    seen = set()
    for frame, now_ns in zip(frames[first:], bus_ns[first:], strict=True):
        if now_ns - bus_ns[first] > settings.deadline_ms * 1e6:
            break
        before = newest.get(frame.source)
        if frame.captured_ns >= instant_ns and before is not None:
            if frame.captured_ns - before.captured_ns <= max_gap_ns:
                seen.add(frame.source)
            del newest[frame.source]
        elif before is not None:
            newest[frame.source] = frame
    return seen
