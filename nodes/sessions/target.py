"""Where a command may write: a slip in its arguments must not cost a recording, nor the minutes of work before it."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from nodes.sessions.errors import SessionError


def check_target(out: Path, inputs: Iterable[Path], force: bool, option: str = "--out ") -> None:
    """Raise SessionError unless `out` can be made: no input, not there yet (or force), in a folder that is there.

    option: before its name in words to whoever gave it, "" where it is given without one.
    """
    try:
        _check(out, inputs, force, f"{option}{out}")
    except OSError as error:
        raise SessionError(f"{option}{out}: {error.strerror or error}") from None


def next_free(path: Path) -> Path:
    """The path, or, where that is taken, name-2, name-3, …"""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def set_aside(out: Path) -> Callable[[], None]:
    """Move a recording that is to be replaced out of the way. What is given back is called at the end: when there is a
    new one the old one goes, when there is none it comes back.
    """
    if not out.exists():
        return lambda: None
    old = next_free(out.with_name(out.name + ".bak"))
    out.replace(old)

    def settle() -> None:
        if not out.exists() or not _has_messages(out):
            old.replace(out)
        else:
            old.unlink(missing_ok=True)

    return settle


def _has_messages(path: Path) -> bool:
    """Whether a file holds anything; one that cannot be read may."""
    from nodes.sessions.reader import SessionReader

    try:
        with SessionReader(path) as session:
            return any(session.counts.values())
    except SessionError:
        return True


def _check(out: Path, inputs: Iterable[Path], force: bool, told: str) -> None:
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise SessionError(f"{told} is what is read, which would be lost: give another name")
    if out.is_dir():
        raise SessionError(f"{told} is a folder: give a file in it, such as {out / 'out.mcap'}")
    if not out.parent.is_dir():
        raise SessionError(f"{told}: there is no folder {out.parent}: make it first")
    if not os.access(out.parent, os.W_OK):
        raise SessionError(f"{told}: the folder {out.parent} cannot be written to")
    if out.exists() and not force:
        raise SessionError(f"{out} exists already: give another name, or --force to write over it")
