"""Compiling fusion's kernels before anybody waits for a pose: once for a machine, in two processes, and saying so.

numba keeps what it has compiled next to the code, or in the user's cache where that cannot be written to. It looks at
each file's own date alone, and compiles for the processor at hand; so a note is kept beside it of what was compiled
from which sources, by which numba, for which processor. `python -m nodes.compiling` compiles and says nothing else.
"""

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import calibration
import nodes

ROOT = Path(nodes.__path__[0]).parent
STAGES = ROOT / "nodes" / "stages"
KERNELS = Path(calibration.__path__[0]) / "triangulate_kernel.py"  # also has what marks a function to be compiled
SOURCES = (
    KERNELS,
    *(path for path in sorted(STAGES.glob("*.py")) if b"triangulate_kernel import" in path.read_bytes()),
)
PARTS = {"solver": "solve", "association": "groups"}  # compiled side by side, and the kernel that each one ends with
NOTE = "livepose3d_kernels.json"
COMPILING = "compiling fusion's kernels for this processor, once: about half a minute ..."
NOT_KEPT = (
    "the kernels are compiled at every start, which takes half a minute: there is no folder to keep them in. "
    "Set NUMBA_CACHE_DIR to one that can be written to"
)
NO_FOLDER = 3  # exit code of a part
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
TURN_S = 0.05


def compiled() -> bool:
    """Whether the kernels, as they stand, have been compiled for this processor, and still lie where they were put."""
    note = _read_note()
    folder = Path(str(note.get("folder")))
    kept = (any(folder.glob(f"*_kernel.{kernel}-*.nbi")) for kernel in PARTS.values())
    return note.get("key") == _key() and all(kept)


def compile_kernels(say: Callable[[str], None]) -> None:
    """Compile what is not compiled, and say so. Never fails: what goes wrong is said, and fusion compiles by itself, as
    it does, and says, where there is no folder for what is compiled.

    KeyboardInterrupt, also for SIGTERM, leaves nothing running.
    """
    if compiled():
        return
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if _run(["folder"], Path(folder)) == [NO_FOLDER]:
            return
        say(COMPILING)
        kept_in = (Path(folder) / "folder.out").read_text().strip()
        _forget(Path(kept_in))
        codes = _run(PARTS, Path(folder))
        faults = [(Path(folder) / f"{part}.err").read_text().strip() for part in PARTS]
    if any(codes):
        fault = "".join(faults).splitlines()[-1:] or [f"exit codes {codes}"]
        say(f"that failed ({fault[0]}); fusion tries by itself")
        return
    _write_note({"key": _key(), "folder": kept_in})
    say(f"compiled in {time.monotonic() - began_s:.0f} s")


def _start(part: str, folder: Path) -> subprocess.Popen[bytes]:
    """Compile a part in a process of its own, its words into files; Ctrl-C in the terminal reaches us alone."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (folder / f"{part}.out").open("wb") as out, (folder / f"{part}.err").open("wb") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "nodes.compiling", part],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": paths},
        )


def _run(parts: Iterable[str], folder: Path) -> list[int]:
    """Run the parts side by side, none of which outlives us; their exit codes."""
    processes: list[subprocess.Popen[bytes]] = []
    with _noted_signals() as signals:
        try:
            for part in parts:
                processes.append(_start(part, folder))
            while any(process.poll() is None for process in processes):
                if signals:
                    raise KeyboardInterrupt
                time.sleep(TURN_S)
        finally:
            for process in processes:
                process.kill()
                process.wait()
    return [process.returncode for process in processes]


@contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM, noted: raised while a process is being started, they would leave one that nobody knows of."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {signum: signal.signal(signum, lambda got, _: noted.append(got)) for signum in STOP_SIGNALS}
    try:
        yield noted
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _key() -> str:
    """Changes with all that numba compiles from, by and for; of these it looks at a file's date alone."""
    digest = hashlib.sha256()
    for source in SOURCES:
        digest.update(source.read_bytes())
    versions = [metadata.version(package) for package in ("numba", "llvmlite", "numpy")]
    kept_in = os.environ.get("NUMBA_CACHE_DIR", "")
    for fact in (*versions, platform.python_version(), platform.machine(), _processor(), kept_in):
        digest.update(fact.encode())
    return digest.hexdigest()


def _processor() -> str:
    """What the compiled code depends on, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    first = {line.partition(":")[0].strip(): line for line in reversed(lines)}
    return first.get("model name", platform.processor()) + first.get("flags", first.get("Features", ""))


def _note_places() -> list[Path]:
    """Where a note may lie, the first one that can be written to."""
    own = os.environ.get("NUMBA_CACHE_DIR")
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return [Path(own)] if own else [STAGES / "__pycache__", user.expanduser() / "livepose3d"]


def _read_note() -> dict[str, str]:
    for place in _note_places():
        try:
            note = json.loads((place / NOTE).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(note, dict):
            return note
    return {}


def _write_note(note: dict[str, str]) -> None:
    for place in _note_places():
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / NOTE).write_text(json.dumps(note))
        except OSError:
            continue
        return


def _forget(folder: Path) -> None:
    """Take away what was compiled before: numba goes on with a kernel whose own file is as it was, though one that it
    calls has changed.
    """
    for old in folder.glob("*.nb[ic]"):  # a folder of numba's is for the files of one folder of ours
        old.unlink(missing_ok=True)


def _compile(part: str) -> int:
    """Run a part's kernels once, on two cameras and nobody."""
    from calibration.synthetic import ring_rig
    from calibration.triangulate import RigArrays
    from calibration.triangulate_kernel import IS_KEPT
    from configs.schema import Fusion
    from lifter.skeleton import BODY17
    from nodes.stages import person_kernel
    from nodes.stages.body_tree import tree_of
    from nodes.stages.delivered import DeliveredRig
    from nodes.stages.fuse import Fuser
    from nodes.stages.warming import warm_up, warm_up_solver

    if not IS_KEPT:
        return NO_FOLDER
    rig = ring_rig(2, 4.0, 2.0, (1280, 720), 900.0)
    if part == "folder":
        print(person_kernel.solve.stats.cache_path)
    elif part == "association":
        warm_up(RigArrays.of(rig), BODY17)
    else:
        tree, settings = tree_of(BODY17), Fusion()
        warm_up_solver(Fuser(DeliveredRig(rig, {}), settings.triangulation, tree, None), settings.smoothing, tree)
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(_compile(sys.argv[1]))
    try:
        compile_kernels(lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
