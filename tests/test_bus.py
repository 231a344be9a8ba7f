"""The bus around a real hub: what arrives, in which order, and what strangers cannot do to it."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq

from nodes.wire.bus import MAX_ENVELOPE, Publisher, Subscription, every, latest
from nodes.wire.codec import MAX_BYTES
from nodes.wire.errors import WireError
from nodes.wire.messages import CameraHealth, Keypoints2D, Pose3D, Session, encode
from nodes.wire.topics import envelope
from tests import messages as make
from tests.hub import PATIENCE_S, Hub, meet, start_hub, take
from tests.messages import same


def seqs(messages: Sequence[Any]) -> list[int]:
    return [message.seq for message in messages]


def test_every_delivers_each_message_once_and_in_order(hub):
    with Publisher(hub.inner) as bus, every(Session, hub_out=hub.outer, source="order") as inbox:
        meet(bus, inbox, make.session("order", 0))
        sent = [bus.send(make.session("order", seq)) for seq in range(1, 501)]
        received = take(inbox, 500)
        assert all(same(one, other) for one, other in zip(sent, received, strict=True))
        assert inbox.receive(timeout_ms=50) is None


def test_sending_stamps_the_message_and_nothing_else(hub):
    with Publisher(hub.inner) as bus:
        before_ns = time.time_ns()
        sent = bus.send(make.pose())
        assert before_ns <= sent.published_ns <= time.time_ns()


def test_a_message_that_was_stamped_is_sent_as_it_is(hub):
    with Publisher(hub.inner) as bus, every(Pose3D, hub_out=hub.outer, source="stamped") as inbox:
        meet(bus, inbox, make.pose("stamped", 0))
        while inbox.receive(timeout_ms=50):
            pass
        bus.send_stamped(make.pose("stamped", 9, published_ns=5))
        assert same(take(inbox, 1)[0], make.pose("stamped", 9, published_ns=5))


def test_several_kinds_come_in_one_order(hub):
    """The hub forwards in one order: whoever listens hears the same story."""
    with (
        Publisher(hub.inner) as bus,
        every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="story") as one,
        every(Keypoints2D, CameraHealth, hub_out=hub.outer, source="story") as other,
    ):
        meet(bus, one, make.keypoints("story", 0))
        meet(bus, other, make.keypoints("story", 0))
        while one.receive(timeout_ms=50):
            pass
        for seq in range(1, 101):
            bus.send(make.keypoints("story", seq) if seq % 3 else make.camera_health("story", seq))
        heard = take(one, 100)
        assert seqs(heard) == list(range(1, 101))
        assert [type(message) for message in heard[:3]] == [Keypoints2D, Keypoints2D, CameraHealth]
        assert all(same(a, b) for a, b in zip(heard, take(other, 100), strict=True))


def test_latest_delivers_the_newest_message_only(hub):
    """Pins that CONFLATE works with one-part messages; with multipart ones libzmq delivers none at all."""
    with (
        Publisher(hub.inner) as bus,
        latest(Pose3D, hub_out=hub.outer, source="newest") as eye,
        every(Pose3D, hub_out=hub.outer, source="newest") as witness,
    ):
        meet(bus, eye, make.pose("newest", 0))
        meet(bus, witness, make.pose("newest", 0))
        for seq in range(1, 51):
            bus.send(make.pose("newest", seq))
        assert seqs(take(witness, 50)) == list(range(1, 51))
        time.sleep(0.2)  # the witness has them all; so has the other socket, or it is about to
        newest = eye.receive(timeout_ms=1000)
        assert newest is not None
        assert newest.seq == 50
        assert eye.receive(timeout_ms=50) is None


def test_latest_refuses_two_kinds():
    with pytest.raises(WireError, match="one kind"):
        Subscription("tcp://127.0.0.1:1", (Pose3D, Session), "", newest_only=True)


def test_a_source_is_not_confused_with_one_whose_name_begins_alike(hub):
    with Publisher(hub.inner) as bus, every(Keypoints2D, hub_out=hub.outer, source="cam1") as inbox:
        meet(bus, inbox, make.keypoints("cam1", 0))
        bus.send(make.keypoints("cam10", 1))
        bus.send(make.keypoints("cam", 2))
        bus.send(make.camera_health("cam1", 3))
        bus.send(make.keypoints("cam1", 4))
        assert seqs(take(inbox, 1)) == [4]
        assert inbox.receive(timeout_ms=100) is None


def test_receive_comes_back_in_time(hub):
    with every(Session, hub_out=hub.outer, source="nobody") as inbox:
        assert inbox.receive(timeout_ms=0) is None
        begin_s = time.monotonic()
        assert inbox.receive(timeout_ms=100) is None
        assert 0.09 <= time.monotonic() - begin_s < PATIENCE_S


def test_an_address_that_is_none_is_refused():
    for address in ("127.0.0.1:5555", "tcp://", "tcp://127.0.0.1:port", ""):
        with pytest.raises(WireError, match="an address looks like"):
            Publisher(address)


@contextmanager
def stranger(hub: Hub) -> Iterator["zmq.Socket[bytes]"]:
    """A raw socket that publishes whatever it likes."""
    raw: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    raw.setsockopt(zmq.LINGER, 0)
    raw.connect(hub.inner)
    try:
        yield raw
    finally:
        raw.close()


def spoilt(source: str) -> dict[str, bytes]:
    """What arrives at a subscriber of keypoints and is no message: by kind of fault."""
    good = envelope(make.keypoints(source))
    head = good.partition(b"\0")[0] + b"\0"
    noise = np.random.default_rng(5).bytes
    raw = msgpack.unpackb(encode(make.keypoints(source)))
    return {
        "garbage": head + noise(300),
        "cut": good[:-100],
        "nothing": head,
        "no separator": head[:-1],
        "another schema": head + msgpack.packb({**raw, "schema": 2}),
        "wrong field": head + msgpack.packb({**raw, "size_wh": [0, 0]}),
        "another source": head + encode(make.keypoints("somebody")),
        "huge shape": head + msgpack.packb({**raw, "confidence": {"dtype": "<f4", "shape": [4096] * 3, "data": b""}}),
        "deep": head + b"\x81\xa1a" * 1000 + b"\xc0",
        "over the limit": head + bytes(MAX_BYTES + 1),
    }


def test_what_is_not_ours_is_dropped_and_counted_and_what_is_ours_arrives(hub):
    source = "spoilt"
    faults = spoilt(source)
    with Publisher(hub.inner) as bus, stranger(hub) as raw, every(Keypoints2D, hub_out=hub.outer) as inbox:
        meet(bus, inbox, make.keypoints(source, 0))
        deadline_s = time.monotonic() + PATIENCE_S
        while inbox.undecodable == 0 and time.monotonic() < deadline_s:  # until the stranger is heard
            raw.send(faults["garbage"])
            inbox.receive(timeout_ms=20)
        inbox.receive(timeout_ms=200)
        before = inbox.undecodable
        for seq, fault in enumerate(faults.values(), start=1):
            bus.send(make.keypoints(source, seq))
            raw.send(fault)
        raw.send(b"foreign/topic\0" + encode(make.keypoints(source)))  # does not even reach the subscriber
        assert seqs(take(inbox, len(faults))) == list(range(1, len(faults) + 1))
        while inbox.undecodable < before + len(faults) and time.monotonic() < deadline_s:
            inbox.receive(timeout_ms=50)
        assert inbox.undecodable == before + len(faults)
        bus.send(make.keypoints(source, 99))
        assert seqs(take(inbox, 1)) == [99]
        assert inbox.last_refusal != ""
        assert hub.alive()


def test_a_message_too_large_for_the_hub_never_arrives_and_stops_nothing(hub):
    with Publisher(hub.inner) as bus, stranger(hub) as raw, every(Session, hub_out=hub.outer, source="large") as inbox:
        meet(bus, inbox, make.session("large", 0))
        time.sleep(0.3)  # the stranger is connected by now
        raw.send(b"session/large\0" + bytes(MAX_ENVELOPE))
        raw.send(b"session/large\0" + bytes(2 * MAX_ENVELOPE))
        for seq in range(1, 21):
            bus.send(make.session("large", seq))
        assert seqs(take(inbox, 20)) == list(range(1, 21))
        assert inbox.receive(timeout_ms=300) is None
        assert inbox.undecodable == 0
        assert hub.alive()


@pytest.mark.parametrize("side", ["inner", "outer"])
@pytest.mark.parametrize(
    "payload",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        np.random.default_rng(6).bytes(20_000),
        b"\xff" + bytes(8) + b"\x7f",  # as ZMTP begins, and then no more
        b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48) + b"\x02" + b"\xff" * 8,  # a frame of 2^64 bytes
        b"",
    ],
    ids=["http", "noise", "half a greeting", "endless frame", "nothing"],
)
def test_a_client_that_speaks_another_language_stops_nothing(hub, side, payload):
    source = f"language-{side}"
    port = int(getattr(hub, side).rpartition(":")[2])
    with Publisher(hub.inner) as bus, every(Session, hub_out=hub.outer, source=source) as inbox:
        meet(bus, inbox, make.session(source, 0))
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as foreigner:
            with suppress(ConnectionResetError, BrokenPipeError):  # the hub may hang up on it
                foreigner.sendall(payload)
            for seq in (1, 2, 3):
                bus.send(make.session(source, seq))
            assert seqs(take(inbox, 3)) == [1, 2, 3]
        assert hub.alive()


def test_a_subscriber_that_sends_messages_does_not_disturb_the_others(hub):
    """Only subscriptions travel from the outer side inwards."""
    raw: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XSUB)
    raw.setsockopt(zmq.LINGER, 0)
    raw.connect(hub.outer)
    with Publisher(hub.inner) as bus, every(Session, hub_out=hub.outer, source="inwards") as inbox:
        meet(bus, inbox, make.session("inwards", 0))
        for data in (envelope(make.session("inwards", 50)), b"\x01", b"\x00session", b"\x02x", bytes(5000)):
            raw.send(data)
        bus.send(make.session("inwards", 1))
        assert seqs(take(inbox, 1)) == [1]
        assert inbox.receive(timeout_ms=200) is None
    raw.close()
    assert hub.alive()


def test_both_sides_find_a_hub_that_was_restarted(hub):
    inner, outer = hub.inner, hub.outer
    with Publisher(inner) as bus, every(Session, hub_out=outer) as inbox, latest(Session, hub_out=outer) as eye:
        meet(bus, inbox, make.session("before", 0))
        meet(bus, eye, make.session("before", 0))
        assert hub.stop() == 0
        bus.send(make.session("lost", 1))
        hub.process = start_hub(inner, outer).process
        meet(bus, inbox, make.session("after", 2))
        meet(bus, eye, make.session("after", 2))
        bus.send(make.session("after", 3))
        heard = inbox.receive(timeout_ms=5000)
        while heard is not None and heard.seq != 3:
            heard = inbox.receive(timeout_ms=5000)
        assert heard is not None
