"""The bus: publishers and subscribers around one hub (ZeroMQ XSUB in, XPUB out). One address serves the whole system.

`every` hands out each message in order, for the record; `latest` hands out the newest one only, for eyes. Sockets
belong to the thread that made them.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Generic, TypeVar, cast

import zmq

from nodes.wire.codec import MAX_BYTES
from nodes.wire.errors import WireError
from nodes.wire.messages import Message
from nodes.wire.topics import envelope, open_envelope, prefix

M = TypeVar("M", bound=Message)

DEFAULT_HUB_IN = "tcp://127.0.0.1:5555"
DEFAULT_HUB_OUT = "tcp://127.0.0.1:5556"
HIGH_WATER_MARK = 2000  # messages; about 10 s of 4 cameras at 60 Hz, 2 MB
HEARTBEAT_MS = 1000  # a peer behind a cut cable is found out within three of these
MAX_ENVELOPE = MAX_BYTES + 256


def now_ns() -> int:
    """The wall clock, nanoseconds since the Unix epoch; for shells, never for stages."""
    return time.time_ns()


class Publisher:
    """Sends messages to the hub's inner address. `with Publisher(address) as bus: bus.send(message)`."""

    def __init__(self, hub_in: str = DEFAULT_HUB_IN) -> None:
        self._socket = _socket(zmq.PUB, hub_in, linger_ms=500)

    def send(self, message: M) -> M:
        """Stamp published_ns with now, send, return what was sent. WireError when it cannot be encoded."""
        stamped = replace(message, published_ns=now_ns())
        self.send_stamped(stamped)
        return stamped

    def send_stamped(self, message: Message) -> None:
        """Send a message whose published_ns its sender has set. WireError when it cannot be encoded."""
        self.send_bytes(envelope(message))

    def send_bytes(self, data: bytes) -> None:
        """Send a message that is encoded already, topic and body."""
        self._socket.send(data)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Subscription(Generic[M]):
    """Messages of some kinds from the hub's outer address. What is not ours is dropped and counted in `undecodable`."""

    def __init__(
        self,
        hub_out: str,
        kinds: tuple[type[M], ...],
        source: str,
        newest_only: bool,
        high_water_mark: int = HIGH_WATER_MARK,
    ) -> None:
        if newest_only and len(kinds) != 1:
            raise WireError("`latest` follows one kind of message: libzmq mixes topics up on a conflating socket")
        self._socket = _socket(zmq.SUB, hub_out, linger_ms=0, newest_only=newest_only, high_water_mark=high_water_mark)
        for kind in kinds:
            self._socket.setsockopt(zmq.SUBSCRIBE, prefix(kind, source))
        self.undecodable = 0
        self.last_refusal = ""

    def receive(self, timeout_ms: int | None = None) -> M | None:
        """The next message; None when none came in time. `timeout_ms=None` waits for ever, 0 does not wait."""
        deadline_s = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        while True:
            try:
                return cast(M, open_envelope(self._socket.recv(zmq.NOBLOCK)))
            except zmq.Again:
                wait_ms = None if deadline_s is None else max(0, round(1000 * (deadline_s - time.monotonic())))
                if not self._socket.poll(wait_ms):
                    return None
            except WireError as error:
                self.undecodable += 1
                self.last_refusal = str(error)
                if deadline_s is not None and time.monotonic() >= deadline_s:
                    return None  # a flood of garbage must not keep its reader from everything else

    def receive_bytes(self, timeout_ms: int) -> bytes | None:
        """The next message as it came, topic and body, whatever it is; None when none came in time."""
        try:
            return self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return self._socket.recv() if timeout_ms and self._socket.poll(timeout_ms) else None

    def __iter__(self) -> Iterator[M]:
        while True:
            message = self.receive()
            if message is not None:
                yield message

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Subscription[M]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def every(
    *kinds: type[M], hub_out: str = DEFAULT_HUB_OUT, source: str = "", high_water_mark: int = HIGH_WATER_MARK
) -> "Subscription[M]":
    """Each message of these kinds, in the hub's order, of one source or (default) of all.

    high_water_mark: messages kept for a reader that is late; more are lost.
    """
    return Subscription(hub_out, kinds, source, newest_only=False, high_water_mark=high_water_mark)


def latest(kind: type[M], hub_out: str = DEFAULT_HUB_OUT, source: str = "") -> Subscription[M]:
    """The newest message of one kind; older unread ones are dropped. For one source, or for all taken together."""
    return Subscription(hub_out, (kind,), source, newest_only=True)


def _socket(
    kind: int, address: str, linger_ms: int, newest_only: bool = False, high_water_mark: int = HIGH_WATER_MARK
) -> "zmq.Socket[bytes]":
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    socket.setsockopt(zmq.LINGER, linger_ms)
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.RCVHWM, high_water_mark)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_ENVELOPE)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    socket.setsockopt(zmq.IPV6, "[" in address)
    if newest_only:
        socket.setsockopt(zmq.CONFLATE, 1)
    try:
        socket.connect(address)
    except zmq.ZMQError as error:
        socket.close()
        raise WireError(
            f"cannot connect to {address!r}: {error}; an address looks like tcp://127.0.0.1:5556"
        ) from error
    return socket
