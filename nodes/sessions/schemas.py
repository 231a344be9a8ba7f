"""JSON Schemas of our messages, for programs that open a session and have never heard of us. The data are msgpack."""

import json
from dataclasses import fields
from functools import cache
from typing import Any

from nodes.wire.codec import Part
from nodes.wire.fields import Array, Blob, Flag, Integer, Kind, Real, Sequence, Table, Text

ARRAY_KEYS = {"dtype": {"type": "string"}, "shape": {"type": "array", "items": {"type": "integer"}}}


@cache
def schema_of(message: Any) -> bytes:
    """The JSON Schema of a kind of message; `Any`, as mypy takes a class for unhashable here."""
    return json.dumps(_record(message), ensure_ascii=False).encode()


def _record(record: Any) -> dict[str, Any]:
    kinds = {f.name: f.metadata["kind"] for f in fields(record) if "kind" in f.metadata}
    return {
        "title": record.__name__,
        "description": " ".join((record.__doc__ or "").split()),
        "type": "object",
        "properties": {name: _kind(kind) for name, kind in kinds.items()},
    }


def _kind(kind: Kind | Part) -> dict[str, Any]:
    match kind:
        case Integer():
            return {"type": "integer"}
        case Real():
            return {"type": "number"}
        case Flag():
            return {"type": "boolean"}
        case Text(choices=choices):
            return {"type": "string", "enum": list(choices)} if choices else {"type": "string"}
        case Blob():
            return {"type": "string", "contentEncoding": "binary"}
        case Array(dtype=dtype, axes=axes):
            shape = f"array {dtype} of axes {', '.join(map(str, axes))}; data: little-endian bytes, last axis fastest"
            return {"type": "object", "description": shape, "properties": {**ARRAY_KEYS, "data": _kind(Blob(0))}}
        case Sequence(item=item):
            return {"type": "array", "items": _kind(item)}
        case Table(item=item):
            return {"type": "object", "additionalProperties": _kind(item)}
        case Part(record=record):
            return _record(record)
    raise TypeError(f"no JSON Schema for {kind!r}")
