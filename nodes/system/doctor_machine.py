"""What the doctor finds about the machine: processor, GPU, cameras, clock."""

import importlib
import importlib.util
import math
import shutil
import subprocess
from collections.abc import Iterator

from nodes.machine import cores, cpu_name, memory_gib
from nodes.system.clock import clock_error_ms
from nodes.system.finding import Finding, fault, news, ok
from nodes.system.v4l2 import camera_modes, video_devices

FEWEST_CORES, LEAST_MEMORY_GIB = 2, 3.0  # the demo's four detectors take 0.4 GiB each
SHOWN_MODES = 4
UNSURE_CLOCK_MS = 5.0  # a wrist at 2 m/s moves a centimetre in that time


def check_machine() -> Iterator[Finding]:
    """Whether it is large enough."""
    text = f"{cores()} cores, {memory_gib():.1f} GiB memory, {cpu_name()}"
    if cores() < FEWEST_CORES:
        yield fault("machine", f"{text}: fewer than {FEWEST_CORES} cores will not keep up; use fewer cameras")
    elif memory_gib() < LEAST_MEMORY_GIB:
        yield fault("machine", f"{text}: less than {LEAST_MEMORY_GIB:.0f} GiB is too little for four cameras")
    else:
        yield ok("machine", text)


def check_gpu() -> Iterator[Finding]:
    """Which GPU and runtimes there are; none is needed."""
    names = _gpu_names()
    runtimes = ", ".join(_onnx_providers()) or "no ONNX Runtime"
    if names:
        yield ok("gpu", f"{', '.join(names)}; {runtimes}. The live system runs on the CPU and does not need it")
    else:
        yield ok("gpu", f"no GPU: the live system runs on the CPU ({runtimes})")


def check_cameras() -> Iterator[Finding]:
    """Cameras on USB, with what they grant."""
    devices = video_devices()
    if not devices:
        yield news("cameras", "no /dev/video*: no camera at this machine (network cameras and files need none)")
    for device in devices:
        try:
            found = camera_modes(device)
        except PermissionError:
            yield fault(str(device), "not allowed to open it: sudo usermod -aG video $USER, then log in again")
            continue
        except OSError as error:
            yield fault(str(device), f"cannot be asked ({error.strerror}): unplug it and plug it in again")
            continue
        if found is not None:
            name, modes = found
            largest = sorted(modes, key=lambda mode: mode.size_wh[0] * mode.size_wh[1], reverse=True)[:SHOWN_MODES]
            yield ok(str(device), f"{name}: {', '.join(str(mode) for mode in largest) or 'tells no sizes'}")


def check_clock() -> Iterator[Finding]:
    """How well the clock is kept: cameras on several machines are put in step by it."""
    error_ms = clock_error_ms()
    only_matters = "matters only with cameras on several machines"
    if error_ms is None:
        yield news("clock", f"this system does not tell whether it is kept by NTP; {only_matters}")
    elif math.isinf(error_ms):
        yield news("clock", f"not kept by NTP: apt install chrony; {only_matters}")
    elif error_ms > UNSURE_CLOCK_MS:
        yield news("clock", f"kept by NTP, but only to {error_ms:.0f} ms; {only_matters}")
    else:
        yield ok("clock", f"kept by NTP to {error_ms:.1f} ms")


def _gpu_names() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def _onnx_providers() -> list[str]:
    if importlib.util.find_spec("onnxruntime") is None:
        return []
    onnxruntime = importlib.import_module("onnxruntime")
    return [str(provider) for provider in onnxruntime.get_available_providers()]
