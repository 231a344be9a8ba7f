"""Keeps the chatter of MediaPipe's C++ side off the terminal: its information and warning lines cannot be switched off.

Errors, and whatever is not a log line, pass. Python's own stderr is not touched.
"""

import os
import re
import sys
import threading

CHATTER = re.compile(rb"^(INFO: |WARNING: All log messages before absl|[IW]\d{4}[ :\d])")


def hush() -> None:
    """From now on, drop native information and warning lines written to file descriptor 2 of this process."""
    real = os.dup(2)
    reading, writing = os.pipe()
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(real), "w", buffering=1)
    os.dup2(writing, 2)
    os.close(writing)
    threading.Thread(target=_forward, args=(reading, real), name="native-log", daemon=True).start()


def _forward(reading: int, real: int) -> None:
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            if not CHATTER.match(line):
                os.write(real, line)
