"""A file that is being written to says so to other processes, where the system lets it."""

import io
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be written to by others anyway
    fcntl = None


def can_be_claimed() -> bool:
    """Whether a claim tells anything here."""
    return fcntl is not None


def is_ours_alone(file: io.FileIO) -> bool:
    """Claim a file for as long as it is open; False when another process has."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
