"""Messages: round trips, what is kept, what is refused, and the bytes of old that stay readable."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from nodes.wire.codec import MAX_BYTES, pack
from nodes.wire.errors import WireError
from nodes.wire.messages import SCHEMA_VERSION, Keypoints2D, Message, Pose3D, decode, encode
from nodes.wire.topics import BY_MESSAGE, TOPICS, envelope, open_envelope, prefix
from tests import messages as make
from tests.messages import SAMPLES, same

WIRE_V1 = Path(__file__).parent / "data" / "wire_v1"

Wrong = dict[str, list[Any]]  # field → values that it may not have


def raw_of(message: Any) -> dict[str, Any]:
    """The message's map as msgpack gives it, to be spoilt and sent."""
    raw: dict[str, Any] = msgpack.unpackb(encode(message))
    return raw


def changed(message: Any, **changes: Any) -> bytes:
    return msgpack.packb({**raw_of(message), **changes})


@pytest.mark.parametrize("message", SAMPLES.values(), ids=SAMPLES)
def test_every_message_comes_back_the_same(message):
    assert same(open_envelope(envelope(message)), message)


def test_every_topic_is_among_the_samples():
    assert {type(message) for message in SAMPLES.values()} == {topic.message for topic in TOPICS}


@pytest.mark.parametrize("name", SAMPLES)
def test_bytes_of_schema_1_are_read_for_ever(name):
    assert same(open_envelope((WIRE_V1 / f"{name}.bin").read_bytes()), SAMPLES[name])


def test_arrays_arrive_read_only_and_little_endian():
    decoded = decode(Keypoints2D, encode(make.keypoints()))
    assert decoded.keypoints_px.dtype == np.dtype("<f4")
    with pytest.raises(ValueError, match="read-only"):
        decoded.keypoints_px[0, 0, 0] = 1.0


def test_an_array_of_any_memory_layout_keeps_its_values():
    keypoints_px = np.asfortranarray(np.random.default_rng(1).random((2, 33, 2), dtype=np.float32))
    decoded = decode(Keypoints2D, encode(make.keypoints(keypoints_px=keypoints_px)))
    np.testing.assert_array_equal(decoded.keypoints_px, keypoints_px)


def test_unknown_fields_are_kept_and_sent_on_also_inside_parts():
    raw = raw_of(make.pose())
    raw["mood"] = {"of": ["the", 3]}
    raw["people"][0]["height_m"] = 1.75
    once = decode(Pose3D, msgpack.packb(raw))
    assert once.extra == {"mood": {"of": ["the", 3]}}
    again = raw_of(replace(once, seq=8))
    assert again["mood"] == {"of": ["the", 3]}
    assert again["people"][0]["height_m"] == 1.75
    assert "height_m" not in again["people"][1]


def test_fields_with_defaults_may_be_absent_and_others_may_not():
    raw = raw_of(make.keypoints())
    del raw["stages_ns"]
    assert decode(Keypoints2D, msgpack.packb(raw)).stages_ns == {}
    del raw["confidence"]
    with pytest.raises(WireError, match=r"Keypoints2D: the field `confidence` is missing"):
        decode(Keypoints2D, msgpack.packb(raw))


@pytest.mark.parametrize("schema", [0, 2, 99, -1, None, "1", 1.0, True, [1], {}])
def test_another_schema_version_is_named(schema):
    with pytest.raises(WireError, match=rf"Pose3D has schema version .*this program reads version {SCHEMA_VERSION}"):
        decode(Pose3D, changed(make.pose(), schema=schema))


def test_a_message_without_schema_is_refused():
    raw = raw_of(make.pose())
    del raw["schema"]
    with pytest.raises(WireError, match="schema version None"):
        decode(Pose3D, msgpack.packb(raw))


def array(shape: Any = (2, 33, 2), dtype: Any = "<f4", data: Any = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data": bytes(2 * 33 * 2 * 4) if data is None else data}


WRONG_KEYPOINTS: Wrong = {
    "captured_ns": [-1, 2**63, 1.5, float("nan"), "1", None, True, [], 2**62],
    "source": ["", 5, None, b"left", "x" * 61, ["left"]],
    "seq": [-1, 0.0, 2**63, False, None],
    "skeleton": ["", 3, b"coco17", None],
    "size_wh": [
        *(
            [],
            [640],
            [640, 480, 3],
            [640.0, 480.0],
            [640, -480],
            [0, 0],
            [640, 0],
            ["640", "480"],
            640,
            None,
            {},
        ),
        *([float("nan"), 480], [float("inf"), 480], [2**63, 480], [True, 480], "64"),
    ],
    "keypoints_px": [
        *(None, [], [[[1.0, 2.0]]], b"", "array", 1.0, {}),
        *(array(dtype="<f8"), array(dtype=">f4"), array(dtype="|O"), array(dtype=None), array(dtype=["<f4"])),
        *(array([2, 33]), array([2, 33, 3]), array([2, 33, 2, 1]), array([]), array(None), array({"P": 2})),
        *(array([2, 33, -2]), array([-2, -33, 2]), array([2.0, 33, 2]), array([2, 33, float("nan")])),
        *(array([4096, 4096, 4096]), array([2**40, 0, 2]), array([0, 2**62, 2]), array([5000, 0, 2])),
        *(array([2, 32, 2]), array([3, 33, 2]), array([1, 33, 2])),
        *(array(data="text"), array(data=b""), array(data=bytes(527)), array(data=[0] * 528), array(data=5)),
        *(array([1] * 40, data=bytes(4)), array([4096] * 500_000)),
    ],
    "confidence": [array([66]), array([2, 33]), array([2, 33], "|u1", bytes(66)), None],
    "stages_ns": [
        *([], None, {"queue": 0.5}, {"queue": None}, {"q" * 101: 1}, {f"s{i}": 1 for i in range(65)}),
        *({"queue": -(2**63)}, {"queue": 2**63 - 1}, {"queue": {}}),
    ],
}
WRONG_POSE: Wrong = {
    "people": [None, {}, [1], [[]], [{}], [raw_of(make.pose())["people"][0]] * 65],
    "cameras": ["left", [""], [1], ["c"] * 33, None],
    "valid": [0, 1, None, "true"],
    "left_out": [{"left": 1}, {"left": "x" * 501}, []],
}
WRONG_HEALTH: Wrong = {
    "state": ["", "running", None, 1],
    "fps": ["24", None, True, []],
    "note": ["x" * 501, None, b"note"],
    "granted_size_wh": [[640], [0, 0, 0], [-1, 0]],
}
WRONG_FUSION: Wrong = {
    "cameras": [[], {"left": None}, {"left": {}}],
    "rate_hz": [None, "30"],
    "notes": [["x"] * 65, "x", [1]],
}
WRONG_PREVIEW: Wrong = {"jpeg": ["text", None, [255], bytes(1024 * 1024 + 1)], "size_wh": [[0, 240], [320]]}
WRONG: list[tuple[Message, str, Any]] = [
    (message, field, value)
    for message, table in (
        (make.keypoints(), WRONG_KEYPOINTS),
        (make.pose(), WRONG_POSE),
        (make.camera_health(), WRONG_HEALTH),
        (make.fusion_health(), WRONG_FUSION),
        (make.preview(), WRONG_PREVIEW),
    )
    for field, values in table.items()
    for value in values
]


@pytest.mark.parametrize(
    ("message", "field", "value"),
    WRONG,
    ids=[f"{BY_MESSAGE[type(m)].name}-{f}-{i}" for i, (m, f, _) in enumerate(WRONG)],
)
def test_a_wrong_value_is_refused_and_its_field_is_named(message, field, value):
    with pytest.raises(WireError, match=f"{field}|Person3D|CameraInput") as refusal:
        decode(type(message), changed(message, **{field: value}))
    assert len(str(refusal.value)) < 200


def test_what_cannot_be_decoded_cannot_be_made_either():
    """A message that stands is a message that can be read: construction checks the same."""
    wrong: tuple[dict[str, Any], ...] = (
        {"size_wh": (640,)},
        {"size_wh": [640, 480]},
        {"captured_ns": np.int64(1)},
        {"keypoints_px": np.zeros((2, 33, 2))},
        {"keypoints_px": np.zeros((2, 33, 2), ">f4")},
        {"confidence": np.zeros((2, 32), np.float32)},
        {"confidence": np.zeros((1, 33), np.float32)},
        {"source": ""},
        {"stages_ns": {"queue": 1.5}},
    )
    for changes in wrong:
        with pytest.raises(WireError, match=next(iter(changes))):
            make.keypoints(**changes)


def test_a_part_whose_arrays_disagree_on_the_joints_is_refused():
    with pytest.raises(WireError, match=r"Person3D\.views: axis J has 16 here and 17"):
        make.person(views=np.zeros(16, np.uint32))


def test_source_and_topic_must_agree():
    with pytest.raises(WireError, match="says that it comes from 'left'"):
        open_envelope(prefix(Keypoints2D, "right") + encode(make.keypoints("left")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"keypoints",
        b"keypoints/left",
        b"\0\x80",
        b"nonsense/left\0\x80",
        "kéypoints/l\0".encode(),
    ],
)
def test_an_unknown_topic_is_refused(data):
    with pytest.raises(WireError, match="unknown topic"):
        open_envelope(data)


def test_a_source_that_would_break_the_topic_is_refused_before_sending():
    for source in ("a\0b", "\ud800"):
        with pytest.raises(WireError):
            envelope(make.session(source))


def test_a_message_over_the_limit_cannot_be_sent():
    with pytest.raises(WireError, match=f"over the limit of {MAX_BYTES}"):
        pack({"blob": bytes(MAX_BYTES)})


def test_what_msgpack_does_not_carry_cannot_be_sent():
    for value in (object(), 2**64, {1, 2}):
        with pytest.raises(WireError, match="cannot be sent"):
            pack({"field": value})
