"""Kinds of message fields: what a value may be, and how it stands in msgpack. Decoding trusts nothing.

Arrays travel as `{dtype, shape, data}` with little-endian raw bytes (496 bytes and 2 µs for 33 keypoints, where lists
take twice both). Every kind bounds what it accepts, so that a foreign message costs an error and never memory.
"""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from nodes.wire.errors import WireError

MAX_AXIS = 4096  # no array of ours has an axis near this; a shape beyond it is garbage
INT64 = range(-(2**63), 2**63)


class Kind(Protocol):
    """One kind of field."""

    def validate(self, value: Any, where: str) -> None:
        """Raise WireError, with `where` in it, unless the value is of this kind."""

    def to_wire(self, value: Any) -> Any:
        """The value in msgpack's own types."""

    def from_wire(self, raw: Any, where: str) -> Any:
        """The value of what msgpack gave; WireError when it cannot be one. `validate` still has to follow."""


def wire(kind: Kind, **options: Any) -> Any:
    """A dataclass field of this kind."""
    return field(metadata={"kind": kind}, **options)


def shown(value: Any) -> str:
    """A value for an error message: short, however long or deeply nested it is."""
    text = _SHORT.repr(value)
    return f"{text[:80]}…" if len(text) > 80 else text


_SHORT = reprlib.Repr()  # not repr, which fails on what is nested deeper than Python's stack
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = 100


def _refuse(where: str, expected: str, value: Any) -> WireError:
    return WireError(f"{where}: expected {expected}, got {shown(value)}")


class _AsIs:
    """Kinds whose msgpack form is the value itself."""

    def to_wire(self, value: Any) -> Any:
        return value

    def from_wire(self, raw: Any, where: str) -> Any:
        return raw


@dataclass(frozen=True)
class Integer(_AsIs):
    """A 64-bit integer."""

    minimum: int = INT64.start
    maximum: int = INT64.stop - 1

    def validate(self, value: Any, where: str) -> None:
        if type(value) is not int or not self.minimum <= value <= self.maximum:
            raise _refuse(where, f"an integer from {self.minimum} to {self.maximum}", value)


@dataclass(frozen=True)
class Real(_AsIs):
    """A number; NaN means unknown."""

    def validate(self, value: Any, where: str) -> None:
        if type(value) not in (int, float):
            raise _refuse(where, "a number", value)


@dataclass(frozen=True)
class Flag(_AsIs):
    """True or false."""

    def validate(self, value: Any, where: str) -> None:
        if type(value) is not bool:
            raise _refuse(where, "true or false", value)


@dataclass(frozen=True)
class Text(_AsIs):
    """A short string, or one out of a few."""

    max_length: int = 500
    choices: tuple[str, ...] = ()
    minimum_length: int = 0

    def validate(self, value: Any, where: str) -> None:
        if type(value) is not str or not self.minimum_length <= len(value) <= self.max_length:
            raise _refuse(where, f"a text of {self.minimum_length} to {self.max_length} characters", value)
        if self.choices and value not in self.choices:
            raise _refuse(where, f"one of {', '.join(self.choices)}", value)


TABLE_NAME = Text(100)


@dataclass(frozen=True)
class Blob(_AsIs):
    """Raw bytes."""

    max_bytes: int

    def validate(self, value: Any, where: str) -> None:
        if type(value) is not bytes or len(value) > self.max_bytes:
            raise _refuse(where, f"at most {self.max_bytes} bytes", value)


@dataclass(frozen=True)
class Array:
    """An array of one dtype; axes are letters (any size up to a bound) or fixed sizes: Array("<f4", ("P", 2))."""

    dtype: str
    axes: tuple[str | int, ...]

    @cached_property
    def _dtype(self) -> "np.dtype[Any]":
        """Once, as looking a dtype up by its name takes longer than all other checks of an array together."""
        return np.dtype(self.dtype)

    def validate(self, value: Any, where: str) -> None:
        if not isinstance(value, np.ndarray) or value.dtype != self._dtype or value.ndim != len(self.axes):
            raise self._refused(value, where)
        for axis, size in zip(self.axes, value.shape, strict=True):
            if size > MAX_AXIS or (axis != size and isinstance(axis, int)):
                raise self._refused(value, where)

    def _refused(self, value: Any, where: str) -> WireError:
        return _refuse(where, f"an array {self.dtype} of axes {self.axes}", getattr(value, "shape", value))

    def to_wire(self, value: Any) -> Any:
        return {"dtype": self.dtype, "shape": value.shape, "data": value.tobytes()}

    def from_wire(self, raw: Any, where: str) -> Any:
        if not isinstance(raw, dict) or raw.get("dtype") != self.dtype:
            raise _refuse(where, f"an array of dtype {self.dtype}", raw)
        shape, data = raw.get("shape"), raw.get("data")
        if not isinstance(shape, list) or len(shape) != len(self.axes):  # the product of a million sizes takes minutes
            raise self._refused_shape(shape, where)
        n_values = 1
        for size in shape:
            if type(size) is not int or not 0 <= size <= MAX_AXIS:
                raise self._refused_shape(shape, where)
            n_values *= size
        if not isinstance(data, bytes) or len(data) != n_values * self._dtype.itemsize:
            raise _refuse(where, f"{n_values} values of {self.dtype} for shape {shape}", data)
        return np.frombuffer(data, dtype=self._dtype).reshape(shape)

    def _refused_shape(self, shape: Any, where: str) -> WireError:
        return _refuse(where, f"a shape of {len(self.axes)} sizes, 0 to {MAX_AXIS}", shape)


@dataclass(frozen=True)
class Sequence:
    """A list of values of one kind, kept as a tuple."""

    item: Kind
    max_length: int
    min_length: int = 0

    def validate(self, value: Any, where: str) -> None:
        if type(value) is not tuple or not self.min_length <= len(value) <= self.max_length:
            raise _refuse(where, f"a tuple of {self.min_length} to {self.max_length}", value)
        for index, item in enumerate(value):
            self.item.validate(item, f"{where}[{index}]")

    def to_wire(self, value: Any) -> Any:
        return [self.item.to_wire(item) for item in value]

    def from_wire(self, raw: Any, where: str) -> Any:
        if not isinstance(raw, list) or len(raw) > self.max_length:
            raise _refuse(where, f"a list of at most {self.max_length}", raw)
        return tuple(self.item.from_wire(item, where) for item in raw)


@dataclass(frozen=True)
class Table:
    """Values of one kind under short names."""

    item: Kind
    max_length: int = 64

    def validate(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping) or len(value) > self.max_length:
            raise _refuse(where, f"a table of at most {self.max_length} names", value)
        for name, item in value.items():
            TABLE_NAME.validate(name, f"{where}, a name")
            self.item.validate(item, f"{where}[{name}]")

    def to_wire(self, value: Any) -> Any:
        return {name: self.item.to_wire(item) for name, item in value.items()}

    def from_wire(self, raw: Any, where: str) -> Any:
        if not isinstance(raw, dict) or len(raw) > self.max_length:
            raise _refuse(where, f"a table of at most {self.max_length} names", raw)
        for name in raw:
            TABLE_NAME.validate(name, f"{where}, a name")  # before it stands in the message of an error
        return {name: self.item.from_wire(item, f"{where}[{name}]") for name, item in raw.items()}
