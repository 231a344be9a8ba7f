"""Keeps the processes of a table running: compares what is wanted with what is, and acts. Safe to call at any time.

It ends its own children only. Times are monotonic nanoseconds, so that a laptop that slept wakes without restarts.
"""

import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from nodes.system.chatter import is_chatter
from nodes.system.child import Child
from nodes.system.priority import step_back
from nodes.system.process_table import Process
from nodes.system.restart import USER_MISTAKE, Action, ProcessState, next_action, wait_ns
from nodes.wire import requests

# Each signal and how long it is given. A camera lets go of its device within a frame; five seconds are plenty. Nodes
# take SIGTERM as they take SIGINT; but while they still import, it ends them without a word, where SIGINT would have
# them write a traceback.
STOP_STEPS = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
MAKE_WAY_NS = 5_000_000_000  # the first of them, where one process takes another's place
POLL_S = 0.02

Say = Callable[[str, str], None]  # (name of the process, line)


@dataclass
class _Entry:
    """A process with its state and its count of restarts."""

    child: Child
    state: ProcessState
    restarts: int = 0
    stepped_back: bool = False
    successor: Process | None = None  # what takes its place as soon as it has ended
    end_asked_ns: int = 0
    dismissed: bool = False


class Supervisor:
    """The processes of one table. `say` gets every line that they write and every event, with the process's name."""

    def __init__(self, processes: Sequence[Process], say: Say) -> None:
        self._entries = {
            process.name: _Entry(Child(process), ProcessState(wanted=process.wanted)) for process in processes
        }
        self._say = say

    @property
    def restarts(self) -> dict[str, int]:
        return {name: entry.restarts for name, entry in self._entries.items()}

    @property
    def refused(self) -> list[str]:
        """Processes that have found a mistake of the user's (exit code 2) and are not started again; but not those that
        the system can do without."""
        return [
            name
            for name, entry in self._entries.items()
            if entry.state.exit_code == USER_MISTAKE and not entry.child.process.aside and entry.successor is None
        ]

    @property
    def aside(self) -> set[str]:
        """Processes that the system can do without."""
        return {name for name, entry in self._entries.items() if entry.child.process.aside}

    def states(self, restarting: Collection[str]) -> dict[str, requests.ProcessState]:
        """Of every process, in the words of the bus. restarting: those that are down or load again."""
        return {
            name: requests.ProcessState(state=_word(entry, name in restarting), restarts=entry.restarts)
            for name, entry in self._entries.items()
        }

    def restarting(self, last_heard_ns: Mapping[str, int]) -> set[str]:
        """Processes that are down and will be started again, or have been and did not speak since."""
        names = set()
        for name, entry in self._entries.items():
            crashed = entry.state.exit_code not in (None, 0, USER_MISTAKE) and entry.successor is None
            loads_again = entry.restarts > 0 and last_heard_ns.get(name, 0) < (entry.state.started_ns or 0)
            if crashed or (entry.state.alive and loads_again):
                names.add(name)
        return names

    def pid(self, name: str) -> int | None:
        """Of the present life; None when it is down, or none of ours."""
        entry = self._entries.get(name)
        return entry.child.pid if entry is not None and entry.child.alive() else None

    def started_ns(self, name: str) -> int | None:
        """When its last life began; None when it never did, or is none of ours."""
        entry = self._entries.get(name)
        return None if entry is None else entry.state.started_ns

    def has_done(self, name: str) -> bool:
        """Whether it has ended of its own and without a fault; False for what is none of ours."""
        entry = self._entries.get(name)
        return entry is not None and entry.state.exit_code == 0

    def ensure_running(self, now_ns: int, work_done: Collection[str] = (), listeners_only: bool = False) -> None:
        """Start what is wanted and down, stop what is not wanted. work_done: names that have said so themselves.

        listeners_only: the others are not started for the first time yet.
        """
        for name, entry in tuple(self._entries.items()):
            if listeners_only and not entry.child.process.listens and entry.state.started_ns is None:
                continue
            entry.state = replace(entry.state, work_done=name in work_done)
            self._notice(name, entry, now_ns)
            if entry.dismissed and not entry.state.alive:
                del self._entries[name]
                continue
            if entry.successor is not None and not self._make_way(entry, entry.successor, now_ns):
                continue
            action = next_action(entry.state, now_ns)
            if action is Action.START:
                entry.restarts += entry.state.started_ns is not None
                if entry.state.exit_code == 0:
                    self._say(name, "ended without a fault although it is still wanted; started again")
                entry.child.start()
                entry.state = entry.state.started(now_ns)
                entry.stepped_back = False
            elif action is Action.STOP:
                entry.child.send(signal.SIGTERM)

    def replace(self, process: Process) -> None:
        """From now on this one is wanted under its name. One that runs is asked to end, which is no crash."""
        entry = self._entries.get(process.name)
        if entry is None:
            self._entries[process.name] = _Entry(Child(process), ProcessState(wanted=process.wanted))
        else:
            entry.successor, entry.end_asked_ns, entry.dismissed = process, 0, False

    def dismiss(self, name: str) -> None:
        """Forget a process, as soon as it has ended; one that lives is asked to."""
        if self.pid(name) is None:
            self._entries.pop(name, None)
        else:
            entry = self._entries[name]
            entry.state, entry.successor, entry.dismissed = replace(entry.state, wanted=False), None, True

    def _make_way(self, entry: _Entry, successor: Process, now_ns: int) -> bool:
        """Whether the former process is gone, and its successor stands in its place."""
        if entry.state.alive:
            if not entry.end_asked_ns:
                entry.end_asked_ns = now_ns
                entry.child.send(signal.SIGTERM)
            elif now_ns - entry.end_asked_ns > MAKE_WAY_NS:
                entry.child.send(signal.SIGKILL)
            return False
        entry.child.close()
        entry.child, entry.state = Child(successor), ProcessState(wanted=successor.wanted)
        entry.successor = None
        return True

    def let_step_back(self, names: Collection[str]) -> None:
        """Give these less of the processor than the others, once in each of their lives."""
        for name in self._entries.keys() & set(names):
            entry = self._entries[name]
            if not entry.stepped_back and entry.child.pid is not None and entry.state.alive:
                step_back(entry.child.pid)
                entry.stepped_back = True

    def kill_frozen(self, name: str, reason: str) -> None:
        """End a process that lives but does nothing; it is then started again as after a crash."""
        self._say(name, f"{reason}: ending it, it starts again by itself")
        self._entries[name].child.send(signal.SIGKILL)

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """End all. Those that listen go after the others, and the first of the table, through which all speak, is last.

        hurry: asked again and again; once true, nothing is waited for any more (a second Ctrl-C).
        """
        first, *entries = self._entries.items()
        speakers = [(name, entry) for name, entry in entries if not entry.child.process.listens]
        listeners = [(name, entry) for name, entry in entries if entry.child.process.listens]
        for wave in (speakers, listeners, [first]):
            for signum, patience_s in STOP_STEPS:
                for _, entry in wave:
                    entry.child.send(signum)
                self._wait(dict(wave), patience_s, (lambda: False) if signum is signal.SIGKILL else hurry)
            for name, entry in wave:
                self._notice(name, entry, time.monotonic_ns(), stopping=True)

    def _wait(self, wave: dict[str, _Entry], patience_s: float, hurry: Callable[[], bool]) -> None:
        deadline = time.monotonic() + patience_s
        while any(entry.child.alive() for entry in wave.values()) and time.monotonic() < deadline and not hurry():
            for name, entry in wave.items():
                self._pass_on(name, entry.child.read_lines())  # a full pipe would block its end
            time.sleep(POLL_S)

    def _notice(self, name: str, entry: _Entry, now_ns: int, stopping: bool = False) -> None:
        """Pass on what it wrote, and see whether it has ended."""
        code = entry.child.exit_code()
        self._pass_on(name, entry.child.read_lines() if code is None else entry.child.last_lines())
        if code is None or not entry.state.alive:
            return
        entry.child.close()
        entry.state = entry.state.exited(code, now_ns)
        # Exit code 0 is judged at the restart: the word that all work is done may arrive a little after the end.
        if not stopping and entry.state.wanted and code != 0 and entry.successor is None:
            self._say(name, _obituary(code, entry.state.crashes))

    def _pass_on(self, name: str, lines: Sequence[str]) -> None:
        for line in lines:
            if not is_chatter(line):
                self._say(name, line.removeprefix(f"{name}: "))  # some say their name themselves


def _word(entry: _Entry, restarting: bool) -> str:
    state = entry.state
    if not state.wanted:
        return "by_hand"
    if state.started_ns is None or entry.successor is not None:
        return "waiting"
    if state.exit_code == USER_MISTAKE:
        return "refused"
    if state.exit_code == 0 and state.work_done:
        return "ended"
    return "running" if state.alive and not restarting else "restarting"


def _obituary(exit_code: int, crashes: int) -> str:
    if exit_code == USER_MISTAKE:
        return "refused to start; the reason is in its last lines. It is not started again"
    if exit_code < 0:
        try:
            cause = f"was ended by {signal.Signals(-exit_code).name}"
        except ValueError:  # a real-time signal has no name
            cause = f"was ended by signal {-exit_code}"
    else:
        cause = f"ended with exit code {exit_code}"
    return f"{cause}; it starts again in {wait_ns(crashes) / 1e9:.1f} s"
