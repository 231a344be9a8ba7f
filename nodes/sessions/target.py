"""Where a command may write: a slip in its arguments must not cost a recording, nor the minutes of work before it."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from nodes.sessions.errors import SessionError


def check_target(out: Path, inputs: Iterable[Path], force: bool) -> None:
    """Raise SessionError unless `out` can be made: no input, not there yet (or force), in a folder that is there."""
    try:
        _check(out, inputs, force)
    except OSError as error:
        raise SessionError(f"--out {out}: {error.strerror or error}") from None


def set_aside(out: Path) -> Callable[[bool], None]:
    """Move a file that is to be replaced out of the way. What is given back is told at the end whether there is a new
    one: then the old one goes, else it comes back.
    """
    if not out.exists():
        return lambda _: None
    old = out.with_name(out.name + ".bak")
    out.replace(old)

    def settle(is_replaced: bool) -> None:
        if is_replaced:
            old.unlink(missing_ok=True)
        else:
            out.unlink(missing_ok=True)
            old.replace(out)

    return settle


def _check(out: Path, inputs: Iterable[Path], force: bool) -> None:
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise SessionError(f"--out {out} is what is read, which would be lost: give another name")
    if out.is_dir():
        raise SessionError(f"--out {out} is a folder: give a file in it, such as {out / 'out.mcap'}")
    if not out.parent.is_dir():
        raise SessionError(f"--out {out}: there is no folder {out.parent}: make it first")
    if not os.access(out.parent, os.W_OK):
        raise SessionError(f"--out {out}: the folder {out.parent} cannot be written to")
    if out.exists() and not force:
        raise SessionError(f"{out} exists already: give another name, or --force to write over it")
