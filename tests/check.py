"""The one word that checks everything: `python -m tests.check`. Format, lint, types, kernels, import layers, tests.

Every step runs, so that one call shows all faults; the exit code is 1 when any step failed. Arguments go to pytest,
which runs twice: the tests that can stand neighbours side by side, then those of a live system one after the other.
"""

import os
import subprocess
import sys
import time

STEPS = (
    ("format", [sys.executable, "-m", "ruff", "format", "--check", "."]),
    ("lint", [sys.executable, "-m", "ruff", "check", "."]),
    ("types", [sys.executable, "-m", "mypy"]),
    ("kernels", [sys.executable, "-m", "nodes.compiling"]),  # once: every live test starts a process that needs them
    ("import layers", [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]),
)
PYTEST = [sys.executable, "-m", "pytest"]
TESTS = {
    "tests": [*PYTEST, "--live=never", "-n", str(min(os.cpu_count() or 1, 8)), "--dist=worksteal"],
    "live tests": [*PYTEST, "--live=only"],
}
NOTHING_SELECTED = 5  # exit code of pytest


def run(name: str, command: list[str], **environment: str) -> int:
    """Run a step and say how it went; its exit code."""
    started_s = time.monotonic()
    code = subprocess.run(command, check=False, env=os.environ | environment).returncode
    said = {0: "ok", NOTHING_SELECTED: "none" if name in TESTS else "FAILED"}.get(code, "FAILED")
    print(f"check: {name} {said} ({time.monotonic() - started_s:.0f} s)", flush=True)
    return code


def main() -> int:
    """Run all steps; pytest comes last, so that its closing line is the last one."""
    failed = [name for name, command in STEPS if run(name, command)]
    # a processor has one process already, and threads that wait for each other would only take turns
    codes = {
        "tests": run("tests", [*TESTS["tests"], *sys.argv[1:]], OMP_NUM_THREADS="1"),
        "live tests": run("live tests", [*TESTS["live tests"], *sys.argv[1:]]),
    }
    chosen = {name: code for name, code in codes.items() if code != NOTHING_SELECTED}
    failed += [name for name, code in (chosen or codes).items() if code]
    if failed:
        print(f"check: failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
