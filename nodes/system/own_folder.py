"""A folder for this run alone, among the temporary ones; what runs that were killed have left there is removed.

A run holds a lock on a file in its folder, which the kernel lets go when the run ends, however that comes.
"""

import io
import shutil
import tempfile
from pathlib import Path

from nodes.sessions.claim import can_be_claimed, is_ours_alone

BEGINS = "livepose3d-run-"
LOCK = "run"


class OwnFolder:
    """Made when it is asked for first. Raises OSError where it cannot be."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lock: io.FileIO | None = None

    def path(self) -> Path:
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix=BEGINS))
            self._lock = io.FileIO(self._path / LOCK, "w")
            is_ours_alone(self._lock)
        return self._path

    def remove(self) -> None:
        """With what is in it."""
        if self._lock is not None:
            self._lock.close()
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)
        self._path = self._lock = None


def sweep(folder: Path) -> None:
    """Remove what killed runs of this user have left in a folder; those of others cannot be opened."""
    for left in folder.glob(f"{BEGINS}*") if can_be_claimed() else ():
        try:
            with io.FileIO(left / LOCK, "r+") as lock:
                if is_ours_alone(lock):
                    shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue
