"""The container of glTF: a JSON document and one buffer, whose parts are written when their turn comes."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

FLOAT, UBYTE = 5126, 5121
DTYPES = {FLOAT: "<f4", UBYTE: "|u1"}
ARRAY_BUFFER = 34962
MAGIC, VERSION, JSON_CHUNK, BIN_CHUNK = b"glTF", 2, b"JSON", b"BIN\0"
HEAD, CHUNK_HEAD = struct.Struct("<4sII"), struct.Struct("<I4s")
LARGEST = 2**32 - 1  # bytes that the format can count
PIECE = 4096  # rows that are in memory at a time


@dataclass(frozen=True)
class Columns:
    """Some columns of a table (count, width) of float32 on disk, which is read a piece at a time."""

    file: IO[bytes]
    count: int
    width: int
    first: int
    behind: int

    def __len__(self) -> int:
        return self.count

    @property
    def size(self) -> int:
        return self.count * (self.behind - self.first)

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        at, behind, _ = rows.indices(self.count)
        self.file.seek(4 * self.width * at)
        table = np.frombuffer(self.file.read(4 * self.width * (behind - at)), "<f4").reshape(-1, self.width)
        return table[:, self.first : self.behind]


class Glb:
    """document: the JSON. Arrays are kept as they are given (they may lie on disk) until `save`."""

    def __init__(self, generator: str) -> None:
        self.document: dict[str, Any] = {"asset": {"version": "2.0", "generator": generator}}
        self._arrays: list[tuple[npt.NDArray[Any] | Columns, str]] = []
        self._size = 0

    def add(self, kind: str, thing: dict[str, Any]) -> int:
        """Put something into one of the document's lists; its index there."""
        things = self.document.setdefault(kind, [])
        things.append(thing)
        return len(things) - 1

    def accessor(
        self,
        rows: npt.NDArray[Any] | Columns,
        component: int,
        shape: str,
        *,
        extent: bool = False,
        vertices: bool = False,
    ) -> int:
        """An accessor to an array (count, components). extent: with minimum and maximum. vertices: for a mesh."""
        dtype = DTYPES[component]
        size = rows.size * np.dtype(dtype).itemsize
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._size, "byteLength": size}
        view |= {"target": ARRAY_BUFFER} if vertices else {}
        accessor: dict[str, Any] = {
            "bufferView": self.add("bufferViews", view),
            **{"componentType": component, "count": len(rows), "type": shape},
        }
        if extent:
            as_stored = np.asarray(rows[:], dtype=dtype)
            accessor |= {"min": as_stored.min(axis=0).tolist(), "max": as_stored.max(axis=0).tolist()}
        self._arrays.append((rows, dtype))
        self._size += size + -size % 4
        return self.add("accessors", accessor)

    def save(self, path: Path) -> None:
        """Write the file. Raises OSError."""
        self.document["buffers"] = [{"byteLength": self._size}]
        text = json.dumps(self.document, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = HEAD.size + 2 * CHUNK_HEAD.size + len(text) + self._size
        if total > LARGEST:
            raise OSError(None, f"it would have {total / 1e9:.1f} GB and glTF counts up to 4.3: give --from and --to")
        with path.open("wb") as file:
            file.write(HEAD.pack(MAGIC, VERSION, total))
            file.write(CHUNK_HEAD.pack(len(text), JSON_CHUNK) + text)
            file.write(CHUNK_HEAD.pack(self._size, BIN_CHUNK))
            for rows, dtype in self._arrays:
                for at in range(0, len(rows), PIECE):
                    file.write(np.ascontiguousarray(rows[at : at + PIECE], dtype=dtype).tobytes())
                file.write(b"\0" * (-file.tell() % 4))
