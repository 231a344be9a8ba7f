"""`run_system.py calibrate rig` as a process beside the running system, of what its cameras have seen."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nodes
from nodes.calibrating.progress import STEP
from nodes.calibrating.take_folder import TakeFolder

PACKAGES = Path(nodes.__path__[0]).parent
LAUNCHER = PACKAGES / "nodes" / "system" / "launcher.py"  # it ends with us, whatever ends us
NICENESS = 5  # the cameras and fusion come first
ENDS_IN_S = 2.0
LAST_LINES = 6


@dataclass(frozen=True)
class Solved:
    """verdict: good, usable, redo, or "" where there is none. said: what it printed. reason: why there is no
    calibration, "" when there is one. calibration, report: paths, None where they were not written."""

    verdict: str
    said: str
    reason: str
    calibration: Path | None
    report: Path | None


class Solving:
    """A calibration under way."""

    def __init__(self, place: TakeFolder) -> None:
        """Begin. Raises OSError."""
        self._out, self._report = place.calibration(), place.report
        self._said, self._steps = place.path / "solved.txt", place.path / "steps.txt"
        for old in self._report.glob("report.*"):
            old.unlink()
        what = ["--corners", place.corners, "--board", place.board, "--out", self._out, "--report", self._report]
        command = [sys.executable, "-m", "run_system", "calibrate", "rig", *map(str, what)]
        paths = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self._said.open("wb") as said, self._steps.open("wb") as steps:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=steps,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"},
            )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)

    def doing(self) -> tuple[str, float]:
        """What it is at, and how much of that is done, NaN where that is not known."""
        steps = [line.removeprefix(STEP) for line in self._lines(self._steps) if line.startswith(STEP)]
        what, _, share = (steps[-1] if steps else "reads what was seen").partition(", ")
        return what, float(share.removesuffix("%")) / 100 if share else math.nan

    def result(self) -> Solved | None:
        """None while it works."""
        code = self._process.poll()
        if code is None:
            return None
        said = "\n".join(line for line in self._lines(self._said) if not line.startswith(("wrote ", "report: ")))
        other = [line for line in self._lines(self._steps) if not line.startswith(STEP)]
        page = self._report / "report.html"
        report = page if page.is_file() else None
        verdict = self._verdict()
        if code == 0 and self._out.is_file():
            return Solved(verdict, said, "", self._out, report)
        if verdict == "redo":
            return Solved(verdict, said, "it is too inexact to be used, so nothing was written", None, report)
        if code < 0:
            return Solved("", said, f"it was ended by {signal.Signals(-code).name}", None, None)
        return Solved("", said, "\n".join(other[-LAST_LINES:]) or f"it ended with exit code {code}", None, None)

    def end(self) -> None:
        """Stop it, and wait for that."""
        for ask in (self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                ask()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(ENDS_IN_S)

    def _verdict(self) -> str:
        try:
            told = json.loads((self._report / "report.json").read_text(encoding="utf-8"))
            verdict = told["verdict"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        return verdict if verdict in {"good", "usable", "redo"} else ""

    def _lines(self, path: Path) -> list[str]:
        try:
            return path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
