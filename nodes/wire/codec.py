"""Dataclasses of wire fields to bytes and back. An encoding error can never leave half a message on a socket.

A record (message or part of one) is a frozen dataclass whose fields carry their kind (`fields.wire`). Fields that this
version does not know are kept in `extra` and sent on, so that an older program in the middle loses nothing.
"""

from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, NamedTuple, Self, cast

import msgpack

from nodes.wire.errors import WireError
from nodes.wire.fields import Array, Kind

MAX_BYTES = 4 * 1024 * 1024  # the largest message, a preview image, is far below


@dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """What messages and their parts share: checked at construction, unknown fields kept in `extra`."""

    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        for name, kind, _, where, letters in _kinds(cast(Any, type(self))):
            value = getattr(self, name)
            kind.validate(value, where)
            for axis, letter in letters:  # axes with one letter have one size within a record
                size = value.shape[axis]
                if sizes.setdefault(letter, size) != size:
                    raise WireError(f"{where}: axis {letter} has {size} here and {sizes[letter]} in a field before it")

    def to_wire(self) -> dict[str, Any]:
        """The record in msgpack's own types."""
        return {
            **self.extra,
            **{name: kind.to_wire(getattr(self, name)) for name, kind, _, _, _ in _kinds(cast(Any, type(self)))},
        }

    @classmethod
    def from_wire(cls, raw: Any) -> Self:
        """The record of what msgpack gave. Raises WireError that names the field."""
        if not isinstance(raw, dict):
            raise WireError(f"{cls.__name__}: expected a map, got {type(raw).__name__}")
        left = dict(raw)
        values = {}
        for name, kind, required, where, _ in _kinds(cast(Any, cls)):
            if name in left:
                values[name] = kind.from_wire(left.pop(name), where)
            elif required:
                raise WireError(f"{cls.__name__}: the field `{name}` is missing")
        return cls(**values, extra=left)


@dataclass(frozen=True)
class Part:
    """The kind of a field that is itself a record."""

    record: type[Record]

    def validate(self, value: Any, where: str) -> None:
        if not isinstance(value, self.record):
            raise WireError(f"{where}: expected a {self.record.__name__}, got {type(value).__name__}")

    def to_wire(self, value: Any) -> Any:
        return value.to_wire()

    def from_wire(self, raw: Any, where: str) -> Any:
        return self.record.from_wire(raw)


def pack(raw: dict[str, Any]) -> bytes:
    """msgpack bytes. Raises WireError when the map holds something that msgpack does not carry, or too much."""
    try:
        data: bytes = msgpack.packb(raw)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"this cannot be sent: {error}") from error
    if len(data) > MAX_BYTES:
        raise WireError(f"a message of {len(data)} bytes is over the limit of {MAX_BYTES}")
    return data


def unpack(data: bytes) -> dict[str, Any]:
    """The map in msgpack bytes. Raises WireError on anything else, on excess size and on excess nesting."""
    if len(data) > MAX_BYTES:
        raise WireError(f"a message of {len(data)} bytes is over the limit of {MAX_BYTES}")
    try:
        # strict_map_key refuses maps whose keys are not text; lengths are bounded by the data itself
        raw = msgpack.unpackb(data, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"these {len(data)} bytes are not msgpack: {error}") from error
    if not isinstance(raw, dict) or not set(map(type, raw)) <= {str}:
        raise WireError(f"a message is a map with text keys, not {type(raw).__name__}")
    return raw


class _Field(NamedTuple):
    """One wire field of a record. where: its name in errors. letters: axes of an array that have one, and which."""

    name: str
    kind: Kind
    required: bool
    where: str
    letters: tuple[tuple[int, str], ...]


@cache
def _kinds(record: Any) -> tuple[_Field, ...]:
    """Each wire field of a record; `Any`, as mypy takes a class for unhashable here."""
    return tuple(
        _Field(
            name=f.name,
            kind=f.metadata["kind"],
            required=f.default is MISSING and f.default_factory is MISSING,
            where=f"{record.__name__}.{f.name}",
            letters=_letters(f.metadata["kind"]),
        )
        for f in fields(record)
        if "kind" in f.metadata
    )


def _letters(kind: Kind) -> tuple[tuple[int, str], ...]:
    axes = kind.axes if isinstance(kind, Array) else ()
    return tuple((axis, letter) for axis, letter in enumerate(axes) if isinstance(letter, str))
