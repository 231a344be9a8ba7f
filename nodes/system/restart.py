"""When a process is started again: a pure rule, so that it can be tested without processes or clocks.

A crash waits 0.2 s, the next one 0.4 s and so on up to 5 s; a life of 10 s wipes the slate clean. Two ends are final:
exit code 2 is a mistake of the user's, which starting again does not mend, and a process that has done its work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

USER_MISTAKE = 2  # exit code of a node that refuses its configuration, calibration or port
FIRST_WAIT_NS = 200_000_000
LONGEST_WAIT_NS = 5_000_000_000
HEALTHY_LIFE_NS = 10_000_000_000
FROZEN_NS = 10_000_000_000  # health comes several times a second; a stream may block its reader for five seconds


class Action(Enum):
    """What is to be done about a process now."""

    NOTHING = "nothing"
    START = "start"
    STOP = "stop"
    WAIT = "wait"  # it will be started, but not yet
    GIVE_UP = "give up"  # it said that starting it again is useless
    DONE = "done"  # it has finished its work


@dataclass(frozen=True)
class ProcessState:
    """What is known about one process.

    started_ns: last start, None before the first. exited_ns, exit_code: of the last life, None while it lives; a
    process ended by signal n has exit code -n. crashes: lives in a row that ended before HEALTHY_LIFE_NS.
    work_done: the process has said that there is nothing left for it to do.
    """

    wanted: bool = True
    started_ns: int | None = None
    exited_ns: int | None = None
    exit_code: int | None = None
    crashes: int = 0
    work_done: bool = False

    @property
    def alive(self) -> bool:
        return self.started_ns is not None and self.exit_code is None

    def started(self, now_ns: int) -> "ProcessState":
        """The state after a start."""
        return replace(self, started_ns=now_ns, exited_ns=None, exit_code=None)

    def exited(self, exit_code: int, now_ns: int) -> "ProcessState":
        """The state after an end that was noticed now."""
        lived_ns = now_ns - (self.started_ns or now_ns)
        crashes = 1 if lived_ns >= HEALTHY_LIFE_NS else self.crashes + 1
        return replace(self, exited_ns=now_ns, exit_code=exit_code, crashes=crashes)


def wait_ns(crashes: int) -> int:
    """How long to wait after this many crashes in a row."""
    doublings = min(max(crashes - 1, 0), 10)  # bounded, so that a long night of crashes shifts by no large number
    return min(FIRST_WAIT_NS << doublings, LONGEST_WAIT_NS)


def next_action(state: ProcessState, now_ns: int) -> Action:
    """What to do now. `work_done` counts only with exit code 0: a crash at the end of a file is still a crash."""
    if not state.wanted:
        return Action.STOP if state.alive else Action.NOTHING
    if state.started_ns is None:
        return Action.START
    if state.alive:
        return Action.NOTHING
    if state.exit_code == USER_MISTAKE:
        return Action.GIVE_UP
    if state.exit_code == 0 and state.work_done:
        return Action.DONE
    assert state.exited_ns is not None  # follows from not alive
    return Action.START if now_ns - state.exited_ns >= wait_ns(state.crashes) else Action.WAIT


def frozen(last_heard_ns: Mapping[str, int], through: str, now_ns: int) -> list[str]:
    """Processes that live and say nothing any more. They all speak `through` one: when all are mute, it is that one."""
    mute = [name for name, heard_ns in last_heard_ns.items() if now_ns - heard_ns > FROZEN_NS]
    return [through] if len(mute) > 1 and len(mute) == len(last_heard_ns) else mute
