"""What a table of processes is made of. The table opens run_system.py; adding a process is adding a row there."""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Setup:
    """What the rows of a table depend on: one live session.

    inner, outer: addresses that the hub listens on. told_hub: the addresses that nodes must be told because they are
    not those of the configuration. cameras: names, in the order of the configuration; by_hand: those of them whose
    nodes the user starts. page: host and port of the live page. headless: without it.
    """

    config: Path
    cameras: tuple[str, ...]
    inner: str
    outer: str
    trust_network: bool = False
    told_hub: tuple[str, str] | None = None
    by_hand: frozenset[str] = frozenset()
    record: Path | None = None
    video: bool = False
    recordings: Path = Path("recordings")
    session: Path | None = None
    play: tuple[str, ...] = ()
    self_repair: bool = False
    keypoints_only: bool = False
    preview: bool = False
    page: tuple[str, int] = ("127.0.0.1", 8080)
    headless: bool = False


@dataclass(frozen=True)
class Row:
    """One kind of process: module, its arguments, and when it is wanted. `{camera}` in the name: one per camera.

    arguments and wanted are asked with the setup and the camera's name, "" for a row without one. listens: it is for
    what the others say, so it is started before them and ended after them. aside: the system can do without it, so
    nobody waits for it, and where it refuses to start, the others go on.
    """

    name: str
    module: str
    arguments: Callable[[Setup, str], Sequence[str]]
    wanted: Callable[[Setup, str], bool] = lambda _, __: True
    listens: bool = False
    aside: bool = False


@dataclass(frozen=True)
class Process:
    """One process: the command that one could type oneself."""

    name: str
    command: tuple[str, ...]
    wanted: bool = True
    listens: bool = False
    aside: bool = False

    def __str__(self) -> str:
        whose = "" if self.wanted else "(not started here) "
        return f"{self.name:<10} {whose}{shlex.join(('python', *self.command[1:]))}"


def expand(table: Sequence[Row], setup: Setup) -> tuple[Process, ...]:
    """The processes of a session, in the order of the table."""
    processes = []
    for row in table:
        for camera in setup.cameras if "{camera}" in row.name else ("",):
            command = (sys.executable, "-m", row.module, *row.arguments(setup, camera))
            name, wanted = row.name.format(camera=camera), row.wanted(setup, camera)
            processes.append(Process(name, command, wanted, row.listens, row.aside))
    return tuple(processes)


def without_fusion(table: Sequence[Row]) -> tuple[Row, ...]:
    """The table of a system that only sees: no fusion, and cameras that do not ask for a calibration."""

    def seeing(row: Row) -> Row:
        return replace(row, arguments=lambda setup, camera: (*row.arguments(setup, camera), "--keypoints-only"))

    return tuple(seeing(row) if "{camera}" in row.name else row for row in table if row.name != "fusion")


def from_this_machine(address: str) -> str:
    """How processes here reach a listening address: those that stand for all of a machine's are no destinations."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    here = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    return f"{scheme}://{here}:{port}"
