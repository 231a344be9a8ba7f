"""Decoding what strangers send: any bytes give a message or a WireError, at little cost."""

import tracemalloc
from copy import deepcopy
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.wire.codec import MAX_BYTES
from nodes.wire.errors import WireError
from nodes.wire.messages import Keypoints2D, Message, Session, decode, encode
from nodes.wire.topics import envelope, open_envelope
from tests import messages as make
from tests.messages import SAMPLES

MAP_OF_ONE = b"\x81\xa6schema"  # a map with one key, whose value follows


def accepted(data: bytes) -> Message | None:
    """The message, or None when the bytes were refused properly. Anything else escapes and fails the test."""
    try:
        return open_envelope(data)
    except WireError:
        return None


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_cut_and_stuffed_bytes_give_a_message_or_a_wire_error(name):
    rng = np.random.default_rng(20)
    good = envelope(SAMPLES[name])
    outcomes = {True: 0, False: 0}
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(data) + 1)) if rng.random() < 0.5 else int(rng.integers(min(80, len(data) + 1)))
            match rng.integers(4):
                case 0 if at < len(data):
                    data[at] ^= 1 << int(rng.integers(8))
                case 1:
                    del data[at:]
                case 2:
                    data[at:at] = rng.bytes(int(rng.integers(1, 9)))
                case _:
                    data[at : at + 1] = rng.bytes(1)
        outcomes[accepted(bytes(data)) is not None] += 1
    assert outcomes[False] > 300, "the mutations are too tame to show anything"


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    head=st.sampled_from([b"", b"keypoints/a\0", b"pose/fusion\0", b"preview/a\0"]),
    body=st.binary(max_size=200),
)
def test_random_bytes_are_refused(head, body):
    accepted(head + body)


HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e308, -0.0]),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(-2, 5000), max_size=40),
    st.dictionaries(
        st.sampled_from(["dtype", "shape", "data", "alive", "id"]), st.none() | st.integers(-9, 9), max_size=3
    ),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    st.builds(msgpack.Timestamp, st.integers(-5, 5), st.integers(0, 5)),
    st.just([[[]]] * 30),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values within a decoded map."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@settings(derandomize=True, deadline=None, max_examples=600)
@given(data=st.data())
def test_a_hostile_value_anywhere_gives_a_message_or_a_wire_error(data):
    """Well-formed msgpack that says the wrong things, which random bytes hardly ever are."""
    message = SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))]
    raw = msgpack.unpackb(encode(message))
    for _ in range(data.draw(st.integers(1, 2))):
        *path, key = data.draw(st.sampled_from(places(raw)[1:]))
        target = raw
        for step in path:
            target = target[step]
        target[key] = deepcopy(data.draw(HOSTILE))  # the next place may lie within
    head, _, _ = envelope(message).partition(b"\0")
    decoded = accepted(head + b"\0" + msgpack.packb(raw))
    if decoded is not None:
        assert accepted(envelope(decoded)) is not None, "what was let in can be sent on"


@pytest.mark.parametrize("depth", [100, 500, 900, 1000, 1020, 1100, 100_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a"], ids=["lists", "maps"])
def test_deep_nesting_is_refused(depth, opening):
    nested = opening * depth + b"\xc0"
    body = encode(make.session())
    wrong = body.replace(b"\xa3seq\x07", b"\xa3seq" + nested)
    assert len(wrong) > len(body)
    with pytest.raises(WireError):
        decode(Session, wrong)
    with pytest.raises(WireError):
        decode(Session, MAP_OF_ONE + nested)


def with_extra(field: bytes) -> bytes:
    """A session with one more entry in its map, given in bytes."""
    body = encode(make.session())
    assert 0x80 <= body[0] < 0x8F
    return bytes([body[0] + 1]) + body[1:] + field


def test_of_a_key_that_comes_twice_the_last_counts():
    assert decode(Session, with_extra(b"\xa3seq\x09")).seq == 9


@pytest.mark.parametrize(
    "field",
    [b"\x01\x02", b"\xc0\x01", b"\xc4\x01k\x01", b"\x90\x01", b"\x80\x01", b"\xd4\x05a\x01"],
    ids=["integer", "nil", "bytes", "list", "map", "extension"],
)
def test_keys_that_are_no_text_are_refused(field):
    with pytest.raises(WireError):
        decode(Session, with_extra(field))


def test_extension_types_and_timestamps_are_kept_where_unknown_and_refused_where_known():
    for value in (msgpack.ExtType(5, b"abc"), msgpack.Timestamp(3, 4)):
        decoded = decode(Session, with_extra(b"\xa4mood" + msgpack.packb(value)))
        assert decoded.extra == {"mood": value}
        assert decode(Session, encode(decoded)).extra == {"mood": value}
        with pytest.raises(WireError, match="start_ns"):
            decode(Session, with_extra(b"\xa8start_ns" + msgpack.packb(value)))


def test_text_that_is_no_text_is_refused():
    body = encode(make.session("left"))
    for wrong in (body.replace(b"\xa4left", b"\xc4\x04left"), body.replace(b"\xa4left", b"\xa4l\xff\xfet")):
        with pytest.raises(WireError):
            decode(Session, wrong)


def test_something_behind_the_message_is_refused():
    with pytest.raises(WireError):
        decode(Session, encode(make.session()) + b"\xc0")


@pytest.mark.parametrize("value", [b"\xc0", b"\x93\x01\x02\x03", b"\xa3abc", b"\x01", b"\xcb" + bytes(8)])
def test_a_message_that_is_no_map_is_refused(value):
    with pytest.raises(WireError):
        decode(Session, value)


def peak_bytes(data: bytes) -> int:
    tracemalloc.start()
    try:
        accepted(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def keypoints_with(**changes: Any) -> bytes:
    raw = msgpack.unpackb(encode(make.keypoints()))
    return b"keypoints/left\0" + msgpack.packb({**raw, **changes})


@pytest.mark.parametrize("shape", [[4096, 4096, 4096], [4096, 4096, 2], [4096] * 30, [4096, 0, 2], [2**31, 2**31, 2]])
def test_a_shape_that_promises_much_costs_nothing(shape):
    for data in (b"", bytes(64)):
        assert peak_bytes(keypoints_with(keypoints_px={"dtype": "<f4", "shape": shape, "data": data})) < 100_000


@pytest.mark.parametrize(
    "header",
    [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"],
)
def test_a_length_that_promises_much_costs_nothing(header):
    for body in (header, MAP_OF_ONE + header, encode(make.session())[:-1] + header):
        assert peak_bytes(b"session/run_system\0" + body) < 100_000


@pytest.mark.parametrize("filling", [b"\xc0", b"\x90", b"\x80", b"\xcb" + bytes(8), b"\x81\xa1a\xc0"])
def test_decoding_costs_a_bounded_multiple_of_the_bytes(filling):
    """At most 8 bytes for the place in a list and 184 for the smallest map with something in it, of 4 bytes."""
    n = 200_000 // len(filling)
    data = b"session/run_system\0" + MAP_OF_ONE + b"\xdd" + n.to_bytes(4, "big") + filling * n
    assert peak_bytes(data) < 100 * len(data)


def test_a_message_over_the_limit_is_not_even_looked_into():
    assert peak_bytes(b"session/run_system\0" + bytes(MAX_BYTES + 1)) < 2.1 * MAX_BYTES  # the copy of the body
    with pytest.raises(WireError, match="over the limit"):
        decode(Keypoints2D, bytes(MAX_BYTES + 1))
