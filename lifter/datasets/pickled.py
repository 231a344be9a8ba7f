"""Reads object arrays (`np.save` of dictionaries) of `.npz` files without running anything that is in them.

Such an array is a pickle, and a pickle is a program. Here it may build dictionaries, lists, tuples, strings, numbers
and plain numpy arrays; what numpy would build is built by this file's own code, so that not even numpy's internals are
handed a state that somebody made up. Everything else is refused by name, before it is called.
"""

import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from lifter.datasets.errors import DatasetError

PLAIN_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c(8|16)|[US]\d{1,6}")


def load_pickled(path: str | Path, key: str) -> Any:
    """What the object array `key` of a .npz holds; arrays in it are `PickledArray`. None when there is no such array.

    Raises DatasetError naming the file, and the class when it would have to be called.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path} does not exist: check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{key}.npy" not in archive.namelist():
                return None
            with archive.open(f"{key}.npy") as member:
                return _read_member(member)
    except DatasetError as error:
        raise DatasetError(f"{path}: {key}: {error}") from error
    except Exception as error:  # a pickle can fail in any way: it is a program
        raise DatasetError(f"{path}: {key}: damaged, or no .npz: {type(error).__name__}: {error}") from error


class PickledArray:
    """An array as the pickle tells it: made empty, then given its state."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: npt.NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype):
            raise DatasetError("an array without a dtype")
        if dtype.code == "O":
            if not isinstance(content, list):
                raise DatasetError("an array of objects that are not listed")
            flat = np.empty(len(content), dtype=object)
            for place, item in enumerate(content):  # at once, numpy would look into lists
                flat[place] = item
        else:
            flat = _from_bytes(content, dtype)
        self.value = flat.reshape(tuple(int(n) for n in shape), order="F" if fortran else "C")


class _Dtype:
    """A dtype of plain numbers or text, or of objects; records and subarrays are refused."""

    __slots__ = ("code",)

    def __init__(self, code: Any, *_align_copy: Any) -> None:
        self.code = "O" if code in ("O", "O4", "O8") else str(code)
        if self.code != "O" and not PLAIN_DTYPE.fullmatch(self.code):
            raise DatasetError(f"an array of dtype {code!r}, which is not plain")

    def __setstate__(self, state: Any) -> None:
        _version, byte_order, subarray, names, fields = state[:5]
        if subarray is not None or names is not None or fields is not None or byte_order not in ("<", ">", "|", "="):
            raise DatasetError("an array of records or subarrays, which is not plain")
        if self.code != "O" and byte_order in ("<", ">"):
            self.code = byte_order + self.code


class _Stand:
    """Stands in the pickle for one of numpy's functions; it has no state that the pickle could set."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise DatasetError("it sets the state of a function")


def _from_bytes(content: Any, dtype: _Dtype) -> npt.NDArray[Any]:
    if dtype.code == "O":
        raise DatasetError("objects as raw bytes")
    raw = content.encode("latin1") if isinstance(content, str) else content  # so Python 2 wrote bytes
    if not isinstance(raw, bytes | bytearray):
        raise DatasetError(f"an array whose content is a {type(raw).__name__}")
    return np.frombuffer(bytes(raw), dtype=dtype.code).copy()  # which may be written to


def _empty_array(*_class_shape_dtype: Any) -> PickledArray:
    return PickledArray()


def _array_from_buffer(content: Any, dtype: _Dtype, shape: Any, order: str) -> PickledArray:
    array = PickledArray()
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


def _scalar(dtype: _Dtype, content: Any) -> Any:
    return _from_bytes(content, dtype)[0]


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How protocols before 3 write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise DatasetError(f"bytes in {encoding}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How protocols before 3 write the content of an empty array."""
    return b""


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{
        (f"numpy.{core}.{module}", name): build
        for core in ("core", "_core")
        for module, name, build in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array_from_buffer),
        )
    },
    ("numpy", "ndarray"): _empty_array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise DatasetError(
                f"it would call {module}.{name}; only dictionaries, lists, texts, numbers and plain arrays are read"
            )
        return _Stand(ALLOWED[module, name])


def _read_member(member: IO[bytes]) -> Any:
    version = np.lib.format.read_magic(member)  # type: ignore[no-untyped-call]  # numpy's own stubs leave it out
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(member)  # type: ignore[no-untyped-call]
    if not dtype.hasobject:
        raise DatasetError(f"an array of {dtype}, where a dictionary was expected")
    content = _PlainUnpickler(member, encoding="latin1").load()
    value = content.value if isinstance(content, PickledArray) else content
    return value.item() if isinstance(value, np.ndarray) and value.shape == () else content
