"""The lines that native libraries write whatever they are told: MediaPipe's C++ side greets at each start.

They are left out where the supervisor reads a process's output, not in the process: what a library says last, before
it ends the process, could not be passed on from there.
"""

import re

CHATTER = re.compile(
    r"INFO: Created TensorFlow Lite |WARNING: All log messages before absl::InitializeLog|[IW]\d{4} \d\d:\d\d:\d\d"
)


def is_chatter(line: str) -> bool:
    """Whether it is a native information or warning line. Errors (`E0000 …`, `F0000 …`) are not, nor is all else."""
    return CHATTER.match(line) is not None
