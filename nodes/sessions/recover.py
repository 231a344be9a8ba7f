"""The index of a recording that was cut, written in place."""

import io
import os
from pathlib import Path

from nodes.sessions.catalogue import read_catalogue
from nodes.sessions.claim import is_ours_alone
from nodes.sessions.container import append_index
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader


def recover(path: Path) -> str:
    """Give a session its index; what was done, in a line. Raises SessionError when it is none, or cannot be written."""
    with SessionReader(path) as session:
        seconds = (session.end_ns - session.start_ns) * 1e-9
        messages = sum(session.counts.values())
        damage = "".join(f"; {what}" for what in session.damaged)
        if not session.is_cut:
            return f"{path}: whole already, {messages} messages, {seconds:.1f} s"
    try:
        with io.FileIO(os.fspath(path), "r+b") as file:
            if not is_ours_alone(file):
                raise SessionError(f"{path} is being recorded: it gets its index when that ends")
            left_over = append_index(file, read_catalogue(file))
    except OSError as error:
        raise SessionError(f"{path} cannot be written: {error.strerror or error}") from None
    dropped = f"; the last {left_over} bytes, of half a record, are dropped" if left_over else ""
    return f"{path}: has its index again, {messages} messages, {seconds:.1f} s{dropped}{damage}"
