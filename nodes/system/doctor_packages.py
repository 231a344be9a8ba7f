"""What the doctor finds about Python, the packages and the detector's models."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError

from nodes.compiling import compiled
from nodes.system.child import PACKAGES
from nodes.system.finding import Finding, fault, news, ok

LIVE = 'pip install "livepose3d[live]"'
# What the extra `live` brings, by the names to import.
NEEDED = (
    *("numpy", "zmq", "msgpack", "pydantic", "yaml", "tomli_w", "psutil", "rich", "numba", "scipy", "onnxruntime"),
    *("av", "cv2", "mediapipe", "viser"),
)
APT_HINTS = {  # a shared library that a wheel expects from the system → the Debian package that has it
    "libGL.so.1": "apt install libgl1",
    "libEGL.so.1": "apt install libegl1",
    "libGLESv2.so.2": "apt install libgles2",
    "libglib-2.0.so.0": "apt install libglib2.0-0",
    "libgthread-2.0.so.0": "apt install libglib2.0-0",
}


def check_python() -> Iterator[Finding]:
    """Whether MediaPipe runs on this Python."""
    version = ".".join(str(number) for number in sys.version_info[:3])
    fits = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield (ok("python", version) if fits else fault("python", f"{version}: MediaPipe needs 3.11 or 3.12"))


def check_packages() -> Iterator[Finding]:
    """Each package, imported in a process of its own: a broken one must not take us down."""
    for package in NEEDED:
        code = f"import {package} as p; print(getattr(p, '__version__', ''))"
        output, error = _in_own_process(code)
        yield ok(package, output) if error is None else fault(package, mend_import(package, error))


def check_detector() -> Iterator[Finding]:
    """The 2D detector's models."""
    output, error = _in_own_process("from nodes.detect.mediapipe_pose import check; print(check())")
    yield ok("detector", output) if error is None else fault("detector", error)


def check_kernels() -> Iterator[Finding]:
    """Whether the first start has still to compile."""
    try:
        done = compiled()
    except PackageNotFoundError:  # told above
        return
    text = "compiled for this processor" if done else "not compiled yet: the first start does it in half a minute"
    yield ok("kernels", text) if done else news("kernels", text)


def mend_import(package: str, error: str) -> str:
    """What to do about an import that failed with this last line."""
    if f"No module named '{package}'" in error:
        return f"not installed: {LIVE}"
    for library, remedy in APT_HINTS.items():
        if library in error:
            return f"{library} is missing: {remedy}"
    return f"{error}; {LIVE} in a fresh virtual environment"


def _in_own_process(code: str) -> tuple[str, str | None]:
    """Last line of stdout, and None or the last line of its fault."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGES), os.environ.get("PYTHONPATH", "")])}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return "", "it did not load within 120 s"
    if done.returncode == 0:
        return (done.stdout.strip().splitlines() or [""])[-1], None
    lines = done.stderr.strip().splitlines()
    return "", lines[-1] if lines else f"it crashed on loading (exit code {done.returncode})"
