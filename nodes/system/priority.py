"""Lets a process of ours step back a little behind the others of ours.

Detectors take every processor they get. Where they step back, the hub, fusion and a camera that starts again come
first: on two overloaded cores a killed camera was back after 2.3 to 3.1 s in place of 3.0 to 5.0 s.
"""

import contextlib
import os
import sys
from pathlib import Path

STEP = 3  # half the weight of the others when all want the processor; it matters only when there is not enough


def step_back(pid: int) -> None:
    """Lower the priority of a process that we own and all its threads. It cannot be raised again, nor need it be."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):  # a kernel without autogroup: then the threads' own priority is what counts
        # Each child is a session of its own, and such a system shares the processors out between sessions first.
        Path(f"/proc/{pid}/autogroup").write_text(str(STEP))
    with contextlib.suppress(OSError):  # it has just ended, or lost a thread: the supervisor will see to it
        for thread in Path(f"/proc/{pid}/task").iterdir():
            already = os.getpriority(os.PRIO_PROCESS, int(thread.name))
            os.setpriority(os.PRIO_PROCESS, int(thread.name), max(already, STEP))
