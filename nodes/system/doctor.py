"""`run_system.py doctor`: looks at this machine, one line for each thing. `ok`, `!!` with what to do, `--` for news.

It imports the standard library alone until a check needs more, so that it runs where everything else is missing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from nodes.system.doctor_config import check_config
from nodes.system.doctor_machine import check_cameras, check_clock, check_gpu, check_machine
from nodes.system.doctor_packages import check_detector, check_kernels, check_packages, check_python
from nodes.system.finding import Finding


def doctor(config: Path | None) -> int:
    """Print every finding as it comes. Returns 1 when something must be done."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        check_python,
        check_packages,
        check_detector,
        check_kernels,
        check_machine,
        check_gpu,
        check_cameras,
        check_clock,
        lambda: check_config(config),
    )
    faults = 0
    for check in checks:
        for finding in check():
            print(finding, flush=True)
            faults += finding.mark == "!!"
    print(f"{faults} to mend" if faults else "all well")
    return 1 if faults else 0
