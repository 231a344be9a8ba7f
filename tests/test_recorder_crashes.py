"""The recorder as a process, killed at any moment or out of disk: what it has had is in the file, and live goes on."""

import itertools
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from nodes.sessions.reader import SessionReader
from nodes.sessions.recover import recover
from nodes.wire.bus import Publisher, every, now_ns
from nodes.wire.messages import Message, Pose3D, RecorderHealth, Session
from tests import messages as make
from tests.hub import PATIENCE_S, Hub, meet

S, MS = 1_000_000_000, 1_000_000
MOST_LOST_NS = 500 * MS
BEGINNING_NS = 300 * MS  # topics are subscribed to one after the other
BUSY = ("--cameras", "8", "--hz", "30", "--poses-hz", "30")
SLOW = ("--cameras", "1", "--hz", "5", "--poses-hz", "0")

M = TypeVar("M", bound=Message)
Seqs = dict[str, dict[int, int]]  # by topic: seq → published_ns


@contextmanager
def node(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, never left behind."""
    process = subprocess.Popen([sys.executable, "-m", *arguments])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass
class Bus:
    """A bus on which a publisher speaks; `stop` ends that and gives what it has sent."""

    hub: Hub
    publisher: subprocess.Popen[bytes]
    sent: Path

    def stop(self) -> Seqs:
        self.publisher.send_signal(signal.SIGTERM)
        assert self.publisher.wait(PATIENCE_S) == 0
        seqs: Seqs = defaultdict(dict)
        for line in self.sent.read_text().splitlines():
            topic, seq, published_ns = line.split()
            seqs[topic][int(seq)] = int(published_ns)
        return seqs

    def recorder(self, *arguments: str) -> list[str]:
        return ["nodes.recorder", *arguments, "--hub", self.hub.inner, "--hub-outer", self.hub.outer]


@contextmanager
def busy_bus(hub: Hub, tmp_path: Path, *load: str) -> Iterator[Bus]:
    sent = tmp_path / "sent.txt"
    with node("benchmarks.busy_bus", "--hub", hub.inner, "--sent", str(sent), *load) as publisher:
        yield Bus(hub, publisher, sent)


def seqs_in(path: Path) -> Seqs:
    """What a recording holds, read to its last byte."""
    found: Seqs = defaultdict(dict)
    with SessionReader(path) as session:
        for logged in session.logged():
            message = logged.message()
            found[logged.topic][message.seq] = message.published_ns
        assert not session.damaged
    return found


def assert_whole(found: Seqs, sent: Seqs, until_ns: int) -> None:
    """All that was sent until then, from where the recording begins, is in it once, and nothing else."""
    assert found.keys() == sent.keys()
    begin_ns = min(min(times_ns.values()) for times_ns in found.values())
    for topic, times_ns in found.items():
        seqs = list(times_ns)
        assert seqs == list(range(seqs[0], seqs[-1] + 1)), f"{topic} has a gap, or something twice"
        assert all(sent[topic][seq] == published_ns for seq, published_ns in times_ns.items())
        due = [seq for seq, published_ns in sent[topic].items() if begin_ns + BEGINNING_NS <= published_ns <= until_ns]
        assert set(due) <= times_ns.keys(), f"{topic}: {len(set(due) - times_ns.keys())} are missing"


def await_files(paths: list[Path]) -> None:
    """Wait until every recording has messages, and has been told the configuration."""

    def begun(path: Path) -> bool:
        return path.is_file() and b"config.yaml" in path.read_bytes() and bool(seqs_in(path))

    deadline_s = time.monotonic() + PATIENCE_S
    while not all(map(begun, paths)):
        assert time.monotonic() < deadline_s, "recorders did not begin"
        time.sleep(0.02)


def kill_at_random(bus: Bus, paths: list[Path], over_s: float) -> list[int]:
    """Start a recorder for each path, side by side, and kill -9 one after the other; the times of their deaths, ns."""
    rng = np.random.default_rng(len(paths))
    moments_s = np.sort(rng.uniform(0.0, over_s, len(paths)))
    recorders = [subprocess.Popen([sys.executable, "-m", *bus.recorder("--out", str(path))]) for path in paths]
    died_ns = []
    try:
        await_files(paths)
        began_s = time.monotonic()
        for recorder, moment_s in zip(recorders, moments_s, strict=True):
            time.sleep(max(0.0, began_s + moment_s - time.monotonic()))
            assert recorder.poll() is None
            died_ns.append(now_ns())
            recorder.kill()
    finally:
        for recorder in recorders:
            recorder.kill()
            recorder.wait()
    return died_ns


@pytest.mark.slow
def test_kill_9_costs_half_a_second_and_nothing_before_it(hub, tmp_path):
    paths = [tmp_path / f"{k}.mcap" for k in range(6)]
    with busy_bus(hub, tmp_path, *BUSY) as bus:
        died_ns = kill_at_random(bus, paths, over_s=2.5)
        sent = bus.stop()
    lost_ns = []
    for path, killed_ns in zip(paths, died_ns, strict=True):
        with SessionReader(path) as session:
            assert session.is_cut
            assert session.config().cameras.keys() == {f"camera{k}" for k in range(8)}
        found = seqs_in(path)
        assert_whole(found, sent, killed_ns - MOST_LOST_NS)
        lost_ns.append(killed_ns - max(max(times_ns.values()) for times_ns in found.values()))
    print(f"lost at most {max(lost_ns) / MS:.0f} ms")
    recover(paths[0])
    with SessionReader(paths[0]) as session:
        assert not session.is_cut


def test_kill_9_costs_no_more_when_little_comes(hub, tmp_path):
    """5 messages per second: no chunk gets full by itself."""
    paths = [tmp_path / f"{k}.mcap" for k in range(3)]
    with busy_bus(hub, tmp_path, *SLOW) as bus:
        died_ns = kill_at_random(bus, paths, over_s=2.0)
        sent = bus.stop()
    for path, killed_ns in zip(paths, died_ns, strict=True):
        assert_whole(seqs_in(path), sent, killed_ns - MOST_LOST_NS)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a small disk needs the command mount")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def hear(hub: Hub, kind: type[M], until: Callable[[M], bool]) -> list[M]:
    """All messages of a kind up to the first that is waited for."""
    heard: list[M] = []
    deadline_s = time.monotonic() + PATIENCE_S
    with every(kind, hub_out=hub.outer) as inbox:
        while not heard or not until(heard[-1]):
            assert time.monotonic() < deadline_s, f"not heard; the last was {heard[-1:]}"
            message = inbox.receive(200)
            heard += [message] if message is not None else []
    return heard


def has_failed(health: RecorderHealth) -> bool:
    return health.state == "failed"


def assert_live_goes_on(hub: Hub, last: Message) -> None:
    """Poses go on at their pace after the last message, and the recorder speaks."""
    poses = hear(hub, Pose3D, until=lambda m: m.published_ns > last.published_ns + S)
    assert [pose.seq for pose in poses] == list(range(poses[0].seq, poses[-1].seq + 1))
    gaps_ns = [after.published_ns - before.published_ns for before, after in itertools.pairwise(poses)]
    assert np.median(gaps_ns) < 50 * MS


def test_a_disk_that_gets_full_ends_the_recording_in_order_and_live_goes_on(hub, tmp_path, small_disk):
    path = small_disk / "take.mcap"
    folder = tmp_path / "elsewhere"
    with busy_bus(hub, tmp_path, *BUSY) as bus, node(*bus.recorder("--out", str(path), "--folder", str(folder))):
        last = hear(hub, RecorderHealth, until=has_failed)[-1]
        assert "disk" in last.note
        assert "is full" in last.note
        assert "what came before is whole" in last.note
        assert_live_goes_on(hub, last)
        assert_it_can_record_elsewhere(hub, folder / "again.mcap")
        sent = bus.stop()
    with SessionReader(path) as session:
        assert not session.is_cut, "it has its index"
        assert sum(count for topic, count in session.counts.items() if topic != "scene") == last.messages
    found = seqs_in(path)
    newest_ns = max(max(times_ns.values()) for times_ns in found.values())
    assert_whole(found, sent, newest_ns - MOST_LOST_NS)
    assert path.stat().st_size > 1_000_000, "the disk was used"


def assert_it_can_record_elsewhere(hub: Hub, path: Path) -> None:
    with Publisher(hub.inner) as asks, every(Session, hub_out=hub.outer, source="asks") as echo:
        meet(asks, echo, make.session("asks"))
        for action in ("stop", "start"):
            asks.send(make.record_request(action=action, name=path.stem, video=False))
        hear(hub, RecorderHealth, until=lambda m: m.state == "recording" and m.messages > 0)
        asks.send(make.record_request(action="stop"))
        hear(hub, RecorderHealth, until=lambda m: m.state == "stopped")
    assert seqs_in(path)


def test_a_disk_that_others_fill_at_once_costs_what_comes_after(hub, tmp_path, small_disk):
    path = small_disk / "take.mcap"
    with busy_bus(hub, tmp_path, *BUSY) as bus, node(*bus.recorder("--out", str(path))) as recorder:
        await_files([path])
        filled_ns = now_ns()
        fill(small_disk / "others")
        last = hear(hub, RecorderHealth, until=has_failed)[-1]
        assert "what came before is whole" in last.note
        assert_live_goes_on(hub, last)
        recorder.send_signal(signal.SIGTERM)
        assert recorder.wait(PATIENCE_S) == 0
        sent = bus.stop()
    assert_whole(seqs_in(path), sent, filled_ns - MOST_LOST_NS)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
