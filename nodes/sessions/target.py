"""Where a command may write: a slip in its arguments must not cost a recording, nor the minutes of work before it."""

from collections.abc import Iterable
from pathlib import Path

from nodes.sessions.errors import SessionError


def check_target(out: Path, inputs: Iterable[Path], force: bool) -> None:
    """Raise SessionError unless `out` can be made: no input, not there yet (or force), in a folder that is there."""
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise SessionError(f"--out {out} is what is read, which would be lost: give another name")
    if out.is_dir():
        raise SessionError(f"--out {out} is a folder: give a file in it, such as {out / 'out.mcap'}")
    if not out.parent.is_dir():
        raise SessionError(f"--out {out}: there is no folder {out.parent}: make it first")
    if out.exists() and not force:
        raise SessionError(f"{out} exists already: give another name, or --force to write over it")
