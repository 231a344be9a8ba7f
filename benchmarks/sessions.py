"""What recording costs and how fast a recording is opened anywhere: 8 cameras at 60 Hz and poses at 120 Hz.

    python -m benchmarks.sessions [--seconds S] [--json FILE] [--check]

A publisher (benchmarks/busy_bus.py), the hub and the recorder are real processes. What the publisher has sent is held
against what is in the file. Seeking is timed in a file of ten minutes: what was recorded, again and again.
"""

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from benchmarks.ports import free_port_pair
from benchmarks.report import Report, parser, refuse
from nodes.sessions.reader import SessionReader
from nodes.sessions.writer import SessionWriter
from nodes.wire.bus import every
from nodes.wire.messages import RecorderHealth

CAMERAS, CAMERA_HZ, POSES_HZ = 8, 60, 120
LONG_S = 600.0
SEEKS = 300
PATIENCE_S = 60.0
END_QUIET_S = 0.5  # before it is asked to end, so that nothing is under way then


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[psutil.Popen]:
    """A node of ours, never left behind."""
    node = psutil.Popen([sys.executable, "-m", *arguments])
    try:
        yield node
    finally:
        if node.poll() is None:
            node.kill()
            node.wait()


def await_state(inbox_of: str, state: str) -> RecorderHealth:
    """The recorder's word that it is in a state."""
    deadline_s = time.monotonic() + PATIENCE_S
    with every(RecorderHealth, hub_out=inbox_of) as inbox:
        while time.monotonic() < deadline_s:
            health = inbox.receive(500)
            if health is not None and health.state == state:
                return health
    raise SystemExit(f"the recorder was not {state} within {PATIENCE_S:g} s")


def sent_by(path: Path) -> dict[str, int]:
    """How much the publisher sent, by topic."""
    topics = [line.split()[0] for line in path.read_text().splitlines()]
    return {topic: topics.count(topic) for topic in set(topics)}


def record(folder: Path, seconds: float, report: Report) -> Path:
    """Record for so long, tell what that cost and what is missing; the file."""
    path, sent = folder / "take.mcap", folder / "sent.txt"
    port = free_port_pair()
    inner, outer = f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 1}"
    load = ("--cameras", str(CAMERAS), "--hz", str(CAMERA_HZ), "--poses-hz", str(POSES_HZ))
    with (
        process("nodes.hub", "--inner", inner, "--outer", outer),
        process("nodes.recorder", "--out", str(path), "--hub", inner, "--hub-outer", outer) as recorder,
    ):
        await_state(outer, "starting")
        with process("benchmarks.busy_bus", "--hub", inner, "--sent", str(sent), *load) as publisher:
            await_state(outer, "recording")
            cpu_s, began_s = sum(recorder.cpu_times()[:2]), time.monotonic()
            time.sleep(seconds)
            share = (sum(recorder.cpu_times()[:2]) - cpu_s) / (time.monotonic() - began_s)
            rss_mb = recorder.memory_info().rss / 1e6
            publisher.send_signal(signal.SIGTERM)
            publisher.wait(PATIENCE_S)
        time.sleep(END_QUIET_S)
        recorder.send_signal(signal.SIGTERM)
        recorder.wait(PATIENCE_S)
    lost, kept = lost_of(path, sent)
    report.row(
        what="recording",
        seconds=seconds,
        messages=kept,
        lost=lost,
        cpu_percent=100 * share,
        mb=path.stat().st_size / 1e6,
        rss_mb=rss_mb,
    )
    report.aim("share of a core, %", 100 * share, 3.0)
    report.aim("messages lost", lost, 0)
    return path


def lost_of(path: Path, sent: Path) -> tuple[int, int]:
    """Messages that are missing, and those that are there. The recorder listened before the first was sent."""
    with SessionReader(path) as session:
        kept = {topic: count for topic, count in session.counts.items() if topic != "scene"}
    lost = sum(max(0, count - kept.get(topic, 0)) for topic, count in sent_by(sent).items())
    return lost, sum(kept.values())


def write_long(take: Path, path: Path, report: Report) -> None:
    """A recording again and again until it has ten minutes."""
    began_s, cpu_s, messages = time.monotonic(), time.process_time(), 0
    with SessionReader(take) as session, closing(SessionWriter(path)) as writer:
        span_ns = session.end_ns - session.start_ns + 1_000_000
        assert session.about is not None
        writer.write_about(session.about, session.start_ns)
        for turn in range(int(np.ceil(LONG_S * 1e9 / span_ns))):
            for logged in session.logged():
                writer.write_logged(replace(logged, log_ns=logged.log_ns + turn * span_ns))
                messages += 1
    report.row(
        what="copying to 10 minutes",
        seconds=time.monotonic() - began_s,
        messages=messages,
        cpu_us_per_message=1e6 * (time.process_time() - cpu_s) / messages,
        mb=path.stat().st_size / 1e6,
    )


def seek(path: Path, report: Report) -> None:
    """Times until the first message at a random second is there, decoded."""
    rng, took_ms = np.random.default_rng(0), []
    began_s = time.perf_counter()
    with SessionReader(path) as session:
        opened_ms = 1000 * (time.perf_counter() - began_s)
        for at_s in rng.uniform(0, (session.end_ns - session.start_ns) * 1e-9 - 1, SEEKS):
            began_s = time.perf_counter()
            next(session.messages(from_s=float(at_s)))
            took_ms.append(1000 * (time.perf_counter() - began_s))
    p50_ms, p99_ms = np.percentile(took_ms, (50, 99))
    report.row(what="opening", p50_ms=opened_ms)
    report.row(what="seeking", p50_ms=float(p50_ms), p99_ms=float(p99_ms), worst_ms=max(took_ms))
    report.aim("seek, p99, ms", float(p99_ms), 5.0)


def main() -> int:
    """Measure and print."""
    made: argparse.ArgumentParser = parser(__doc__)
    made.add_argument("--seconds", type=float, default=LONG_S, help="of recording (default %(default)s)")
    options = made.parse_args()
    if options.seconds < 1:
        return refuse("--seconds: at least 1")
    report = Report(f"sessions: {CAMERAS} cameras at {CAMERA_HZ} Hz, poses at {POSES_HZ} Hz, two people")
    with tempfile.TemporaryDirectory() as name:
        take = record(Path(name), options.seconds, report)
        long = Path(name) / "long.mcap"
        write_long(take, long, report)
        seek(long, report)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
