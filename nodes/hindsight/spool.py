"""Messages put aside on disk, to be read in any order: an hour of poses is no matter for memory."""

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from nodes.wire.messages import Message, decode, encode

M = TypeVar("M", bound=Message)


class Spool(Generic[M]):
    """Messages of one kind in a nameless file of a folder, which goes when it is closed. OSError: no room for it."""

    def __init__(self, kind: type[M], folder: Path) -> None:
        self._kind = kind
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._begins = array("q", [0])
        self.captured_ns = array("q")
        self.log_ns = array("q")

    def append(self, message: M, log_ns: int) -> None:
        data = encode(message)
        self._file.seek(self._begins[-1])
        self._file.write(data)
        self._begins.append(self._begins[-1] + len(data))
        self.captured_ns.append(message.captured_ns)
        self.log_ns.append(log_ns)

    def __len__(self) -> int:
        return len(self.log_ns)

    def timed(self) -> Iterator[tuple[int, M]]:
        """All of them with their log times."""
        return ((self.log_ns[index], self[index]) for index in range(len(self)))

    def __getitem__(self, index: int) -> M:
        self._file.seek(self._begins[index])
        return decode(self._kind, self._file.read(self._begins[index + 1] - self._begins[index]))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Spool[M]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
