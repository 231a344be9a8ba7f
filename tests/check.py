"""The one word that checks everything: `python -m tests.check`. Format, lint, types, kernels, import layers, tests.

Every step runs, so that one call shows all faults; the exit code is 1 when any step failed. Arguments go to pytest.
"""

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


def main() -> int:
    """Run all steps; pytest comes last, so that its closing line is the last one."""
    failed = []
    steps = (*STEPS, ("tests", [sys.executable, "-m", "pytest", *sys.argv[1:]]))
    for name, command in steps:
        started_s = time.monotonic()
        code = subprocess.run(command, check=False).returncode
        print(f"check: {name} {'ok' if code == 0 else 'FAILED'} ({time.monotonic() - started_s:.0f} s)", flush=True)
        if code:
            failed.append(name)
    if failed:
        print(f"check: failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
