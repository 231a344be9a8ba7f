"""What a figure was measured on: processor, cores, memory, versions. A figure without these says little."""

import os
import platform
from importlib import metadata
from pathlib import Path

TOLD_PACKAGES = ("livepose3d", "mediapipe", "numpy", "opencv-contrib-python", "av", "pyzmq", "numba")


def cpu_name() -> str:
    """The processor's own name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def cores() -> int:
    """Processors that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> float:
    """Memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def versions() -> dict[str, str]:
    """Python and the packages that decide about speed and accuracy; those not installed are left out."""
    found = {"python": platform.python_version()}
    for package in TOLD_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int | float]:
    """For summaries and benchmarks."""
    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "memory_gib": round(memory_gib(), 1),
        "system": f"{platform.system()} {platform.release()}",
    }
