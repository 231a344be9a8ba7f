"""What the live page costs: its processor time, its memory, browsers that stall, and what others get of the hub.

    python -m benchmarks.viewer [--seconds S] [--minutes M] [--json FILE] [--check]

A made-up system (acting_system.py) sends poses of one person at 60 Hz and four previews at 10 Hz. One browser is a real
Chromium without a screen, drawing in software; the others are readers of its connection. CPU is the page's process
alone, in shares of one core. Poses are counted by another subscriber of the same hub.
"""

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psutil

from benchmarks.page_reader import PageReader, stalled
from benchmarks.ports import free_port_pair
from benchmarks.report import Report, parser
from nodes.wire.bus import every
from nodes.wire.messages import Pose3D

POSE_HZ, PREVIEW_HZ = 60, 10
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETTLE_S = 4.0
SAMPLE_S = 5.0
WARM_S = 60.0  # of the memory's measurement, passed over: until every window of figures is full
CPU_SHARE, GROWTH_MB_30_MIN, LEAST_SHARE_OF_RATE = 0.15, 15.0, 0.95


@dataclass(frozen=True)
class Stand:
    """Where everything is, and the processes."""

    hub_outer: str
    port: int
    page: psutil.Process

    def memory_mb(self) -> float:
        return float(self.page.memory_info().rss / 1e6)


class Poses:
    """Counts poses on the hub from a thread of its own: what any other program of the system gets."""

    def __init__(self, hub_outer: str) -> None:
        self._hub_outer = hub_outer
        self._at_s: list[float] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)

    def _count(self) -> None:
        with every(Pose3D, hub_out=self._hub_outer) as inbox:
            while not self._ends.is_set():
                if inbox.receive(100) is not None:
                    self._at_s.append(time.monotonic())

    def begin(self) -> None:
        self._at_s = []

    def figures(self, seconds: float) -> dict[str, float]:
        """Rate and longest gap since `begin`."""
        gaps_s = np.diff(self._at_s) if len(self._at_s) > 2 else np.array([np.inf])
        return {"poses/s": len(self._at_s) / seconds, "longest gap ms": 1000 * float(gaps_s.max())}

    def __enter__(self) -> "Poses":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()


@contextlib.contextmanager
def standing() -> Iterator[Stand]:
    """Hub, made-up system and page, each a process."""
    hub_port, port = free_port_pair(), free_port_pair()
    inner, outer = f"tcp://127.0.0.1:{hub_port}", f"tcp://127.0.0.1:{hub_port + 1}"
    reached = ["--hub", inner, "--hub-outer", outer]
    rates = ["--hz", str(POSE_HZ), "--preview-hz", str(PREVIEW_HZ)]
    commands = (
        ["nodes.hub", "--inner", inner, "--outer", outer],
        ["benchmarks.acting_system", *reached, *rates],
        ["nodes.viewer", *reached, "--port", str(port)],
    )
    started = []
    try:
        for command in commands:
            started.append(psutil.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL))
        _until_served(port)
        yield Stand(outer, port, psutil.Process(started[-1].pid))
    finally:
        for process in reversed(started):
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
                process.terminate()
        psutil.wait_procs(started, timeout=10)


def _until_served(port: int) -> None:
    deadline_s = time.monotonic() + 60
    while True:
        try:
            with PageReader(port) as reader:
                reader.wait_for("All is well", patience_s=30)
                return
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.3)


@contextlib.contextmanager
def chromium(port: int) -> Iterator[bool]:
    """The distribution's browser, at the page; False where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        print("no Chromium here: a reader stands for it", file=sys.stderr)
        with PageReader(port, parse=False):
            yield False
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [
            *(found, "--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking"),
            *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--remote-debugging-port=0"),
            *(f"--user-data-dir={folder}", "--window-size=1280,800", f"http://127.0.0.1:{port}"),
        ]
        browser = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield True
        finally:
            family = [browser, *browser.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(family, timeout=10)


@contextlib.contextmanager
def browsers(port: int, count: int) -> Iterator[list[PageReader]]:
    """So many, the first of them real; the readers."""
    with contextlib.ExitStack() as stack:
        if count:
            stack.enter_context(chromium(port))
        readers = [stack.enter_context(PageReader(port, parse=False)) for _ in range(count - 1)]
        time.sleep(SETTLE_S + (4.0 if count else 0.0))
        yield readers


def measured(stand: Stand, poses: Poses, readers: list[PageReader], seconds: float) -> dict[str, float]:
    """Figures of one stretch of time. Told of the readers is the slowest one."""
    before = [(reader.frames, reader.bytes) for reader in readers]
    poses.begin()
    cpu_s, began_s = sum(stand.page.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    lasted_s = time.monotonic() - began_s
    figures = {"cpu share": (sum(stand.page.cpu_times()[:2]) - cpu_s) / lasted_s, "memory MB": stand.memory_mb()}
    came = [(each.frames - frames, each.bytes - taken) for each, (frames, taken) in zip(readers, before, strict=True)]
    if came:
        frames, taken = min(came)
        figures |= {"frames/s": frames / lasted_s, "MB/s": taken / lasted_s / 1e6}
    return figures | poses.figures(lasted_s)


def memory_over(stand: Stand, minutes: float, report: Report) -> None:
    """With one browser; growth is the slope of a straight line through what comes after the first minute."""
    with browsers(stand.port, 1):
        began_s, samples = time.monotonic(), []
        while (at_s := time.monotonic() - began_s) < 60 * minutes:
            samples.append((at_s, stand.memory_mb()))
            time.sleep(SAMPLE_S)
    at_s, mb = np.array(samples).T
    later = at_s > min(WARM_S, 0.4 * at_s[-1])
    per_30_min = 1800 * float(np.polyfit(at_s[later], mb[later], 1)[0])
    report.row(
        case=f"memory over {minutes:g} min", **{"memory MB": mb[-1], "first MB": mb[later][0], "MB/30 min": per_30_min}
    )
    report.aim("memory that grows in 30 minutes, MB", per_30_min, GROWTH_MB_30_MIN)


def main() -> int:
    """Measure and tell."""
    options_of = parser(__doc__ or "")
    options_of.add_argument("--seconds", type=float, default=15.0, help="of each stretch (default %(default)s)")
    options_of.add_argument(
        "--minutes", type=float, default=3.0, help="of the memory's measurement (default %(default)s)"
    )
    options = options_of.parse_args()
    report = Report(f"The live page: {POSE_HZ} poses a second, 4 previews at {PREVIEW_HZ} Hz")
    with standing() as stand, Poses(stand.hub_outer) as poses:
        _shares(stand, poses, options, report)
        memory_over(stand, options.minutes, report)
        _harm(stand, poses, options, report)
    return report.finish(options)


def _shares(stand: Stand, poses: Poses, options: argparse.Namespace, report: Report) -> None:
    """Without a browser, with one, with five, and with one that stalls beside them."""
    rates_hz = {}
    for count in (0, 1, 5):
        with browsers(stand.port, count) as readers:
            figures = measured(stand, poses, readers, options.seconds)
            report.row(case=f"{count} browsers", **figures)
            if count == 1:
                report.aim("CPU share with one browser", figures["cpu share"], CPU_SHARE)
            if count == 5:
                rates_hz["alone"] = figures["frames/s"]
                with stalled(stand.port), stalled(stand.port):
                    beside = measured(stand, poses, readers, 2 * options.seconds)
                rates_hz["beside"] = beside["frames/s"]
                report.row(case="5 and 2 that read nothing", **beside)
    share = rates_hz["beside"] / rates_hz["alone"]
    report.aim("what others get beside one that stalls", share, LEAST_SHARE_OF_RATE, at_least=True)


def _harm(stand: Stand, poses: Poses, options: argparse.Namespace, report: Report) -> None:
    """A page that stands still, and one that is killed: what others get from the hub."""
    for case, strike in (("page stands still", signal.SIGSTOP), ("page is killed", signal.SIGKILL)):
        poses.begin()
        stand.page.send_signal(strike)
        time.sleep(options.seconds)
        figures = poses.figures(options.seconds)
        report.row(case=case, **figures)
        report.aim(f"poses a second, {case}", figures["poses/s"], LEAST_SHARE_OF_RATE * POSE_HZ, at_least=True)


if __name__ == "__main__":
    sys.exit(main())
