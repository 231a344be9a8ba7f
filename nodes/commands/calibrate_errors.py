"""What can go wrong in every word of `calibrate`, told alike: the reason and the remedy on stderr, exit code 2."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

NEEDED = ("numpy", "scipy", "tomli_w", "yaml", "numba", "msgpack", "mcap")
NEEDED_FOR_PICTURES = (*NEEDED, "cv2", "av")


def told(work: Callable[[], int], out: Path | None, *, needs_pictures: bool) -> int:
    """Do the work; its exit code, or 2 with the reason told."""
    needed, extra = (NEEDED_FOR_PICTURES, "live") if needs_pictures else (NEEDED, "fusion")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[{extra}]"', file=sys.stderr)
        return 2
    from calibration.errors import CalibrationError
    from configs.errors import ConfigError
    from nodes.sessions.errors import SessionError
    from nodes.sources.source import SourceError

    try:
        return work()
    except (CalibrationError, ConfigError, SessionError, SourceError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or out} cannot be read or written: {error.strerror or error}", file=sys.stderr)
        return 2
