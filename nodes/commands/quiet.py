"""Keeps the chatter of native libraries off the terminal while a command works in its own process."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_chatter() -> Iterator[None]:
    """What native code writes on stderr passes a filter meanwhile; what Python writes there goes straight on.

    Errors of theirs are passed on, too.
    """
    sys.stderr.flush()
    real = os.dup(2)
    read_end, write_end = os.pipe()
    os.dup2(write_end, 2)
    os.close(write_end)
    passing_on = threading.Thread(target=_pass_on, args=(read_end, real), name="stderr", daemon=True)
    passing_on.start()
    python_side = sys.stderr
    with os.fdopen(os.dup(real), "w", buffering=1, encoding="utf-8", errors="backslashreplace") as straight:
        sys.stderr = straight
        try:
            yield
        finally:
            sys.stderr = python_side
            os.dup2(real, 2)
            passing_on.join(timeout=1.0)
            os.close(real)


def _pass_on(read_end: int, real: int) -> None:
    from nodes.system.chatter import is_chatter

    with os.fdopen(read_end, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not is_chatter(line):
                os.write(real, line.encode())
