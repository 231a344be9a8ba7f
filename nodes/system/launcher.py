"""Becomes a process that dies when run_system dies, even by kill -9.

`python -I -S launcher.py PARENT_PID COMMAND …` asks the kernel to be killed with its parent (Linux), then turns into
COMMAND by exec, which keeps the wish. The kernel ties it to the parent's *thread*, so the supervisor starts processes
from the main thread only. A file of its own that imports little: it costs every start 20 ms.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent_pid: int) -> None:
    """Ask for SIGKILL at the parent's death; leave at once when it is dead already. OSError when refused."""
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent_pid:
        sys.exit(1)  # it died between our start and the wish


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
