"""A real hub for tests: its own process, on free ports of the loopback interface, ended by its id."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest

from nodes.wire.bus import Publisher, Subscription
from nodes.wire.messages import Message

M = TypeVar("M", bound=Message)

PATIENCE_S = 20.0  # for what takes a fraction of a second on an idle machine


def free_ports(count: int) -> list[int]:
    """TCP ports of the loopback interface that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@dataclass
class Hub:
    """Where a hub listens, and its process."""

    inner: str
    outer: str
    process: subprocess.Popen[str]

    def stop(self) -> int:
        """End it in order; its exit code, negative when it had to be killed."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()

    def alive(self) -> bool:
        return self.process.poll() is None


def start_hub(inner: str, outer: str) -> Hub:
    """A hub that is listening."""
    command = [sys.executable, "-m", "nodes.hub", "--inner", inner, "--outer", outer]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()  # ends with the process, so a hub that fails is not waited for
    assert line == f"hub: publishers to {inner}, subscribers to {outer}\n"
    return Hub(inner, outer, process)


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub on two free ports."""
    inner, outer = (f"tcp://127.0.0.1:{port}" for port in free_ports(2))
    hub = start_hub(inner, outer)
    try:
        yield hub
    finally:
        if hub.alive():
            assert hub.stop() == 0


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """One hub for all tests of a file; give every test its own sources, so that they do not hear each other."""
    with running_hub() as running:
        yield running


def meet(publisher: Publisher, subscription: Subscription[M], message: Message) -> None:
    """Send until it is heard: a subscription takes its time to reach the publisher. Then nothing of it is left."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        publisher.send(message)
        if subscription.receive(timeout_ms=20) is not None:
            while subscription.receive(timeout_ms=100) is not None:
                pass
            return
    raise AssertionError(f"not heard within {PATIENCE_S} s")


def take(subscription: Subscription[M], count: int) -> list[M]:
    """The next messages, so many of them at most, as soon as they are there."""
    messages: list[M] = []
    while len(messages) < count and (message := subscription.receive(int(PATIENCE_S * 1000))) is not None:
        messages.append(message)
    return messages


@contextmanager
def running(arguments: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """A node of ours as a process, killed in the end; what it says on stderr can be read."""
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
