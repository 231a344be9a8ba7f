"""Where a network runs: TensorRT, else ONNX Runtime's CUDA, else its CPU; and why not on the faster ones.

TensorRT is used through ONNX Runtime's TensorrtExecutionProvider. ONNX Runtime lists providers whose libraries it then
fails to load, and goes on with the next one: so what counts is what a session says after it was made.

Sources: onnxruntime.ai, "TensorRT Execution Provider" and "CUDA Execution Provider"; CUDA driver API; NVML API.
"""

import contextlib
import ctypes
import hashlib
import importlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import onnxruntime as ort
except ImportError as missing:
    raise ImportError('the lifter runs on ONNX Runtime: pip install "livepose3d[fusion]"') from missing

MAX_ROWS = 256  # views × people in one call; TensorRT's engines are built for 1 to so many
TYPICAL_ROWS = 8  # what TensorRT makes fastest

# onnxruntime-gpu 1.31 is linked against CUDA 13, cuDNN 9 and TensorRT 10, whatever newer ones pip would take.
INSTALL_CUDA = 'pip uninstall -y onnxruntime && pip install "onnxruntime-gpu[cuda,cudnn]==1.31.1"'
INSTALL_TENSORRT = 'pip install "tensorrt-cu13==10.*"'
TENSORRT_LIBRARY = "nvinfer_10.dll" if sys.platform == "win32" else "libnvinfer.so.10"
CUDA_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
NVML_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"

Shapes = dict[str, tuple[int, ...]]  # of the inputs, without the first axis


class NotHereError(Exception):
    """Why a provider cannot be used on this machine, with the command that mends it where there is one."""


@dataclass(frozen=True)
class Gpu:
    """The GPU that CUDA calls the first."""

    name: str
    driver: str


@dataclass(frozen=True)
class Choice:
    """The fastest session that could be had. `why_not` tells for each faster provider what is missing."""

    session: ort.InferenceSession
    runs_on: str
    why_not: tuple[str, ...]


def open_on_cpu(model: bytes, threads: int) -> ort.InferenceSession:
    """A session on the CPU. Raises what ONNX Runtime raises when the bytes are not a model."""
    return _session(model, threads, [("CPUExecutionProvider", {})])


def open_fastest(model: bytes, on_cpu: ort.InferenceSession, shapes: Shapes, fp16: bool = False) -> Choice:
    """A session on the fastest provider of this machine, which may be the one on the CPU that there is already.

    shapes: of the inputs, without the rows. fp16: TensorRT may compute in half precision.
    """
    try:
        gpu = find_gpu()
    except NotHereError as error:
        return Choice(on_cpu, "ONNX Runtime CPU", (f"TensorRT and CUDA: {error}",))
    why_not: list[str] = []
    makers: tuple[tuple[str, Callable[[], ort.InferenceSession]], ...] = (
        ("TensorRT", lambda: open_on_tensorrt(model, shapes, gpu, fp16)),
        ("CUDA", lambda: open_on_cuda(model)),
    )
    for name, make in makers:
        try:
            return Choice(make(), f"{name} on {gpu.name}", tuple(why_not))
        except NotHereError as error:
            why_not.append(f"{name}: {error}")
    return Choice(on_cpu, "ONNX Runtime CPU", tuple(why_not))


def find_gpu() -> Gpu:
    """The GPU that CUDA uses first (CUDA_VISIBLE_DEVICES counts). Raises NotHereError."""
    try:
        cuda = ctypes.CDLL(CUDA_LIBRARY)
    except OSError:
        raise NotHereError(f"no NVIDIA GPU (there is no {CUDA_LIBRARY}, which comes with its driver)") from None
    count, device, name = ctypes.c_int(0), ctypes.c_int(0), ctypes.create_string_buffer(256)
    status = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
    if status != 0 or count.value == 0:
        raise NotHereError(f"the NVIDIA driver finds no GPU (CUDA status {status}); see what nvidia-smi says")
    if cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDeviceGetName(name, len(name), device):
        raise NotHereError("the NVIDIA driver does not answer; see what nvidia-smi says")
    return Gpu(name.value.decode(errors="replace"), _driver_version())


def _driver_version() -> str:
    version = ctypes.create_string_buffer(96)
    try:
        nvml = ctypes.CDLL(NVML_LIBRARY)
    except OSError:
        return "unknown"
    if nvml.nvmlInit_v2() != 0:
        return "unknown"
    status = nvml.nvmlSystemGetDriverVersion(version, len(version))
    nvml.nvmlShutdown()
    return "unknown" if status else version.value.decode(errors="replace")


def tensorrt_version() -> str:
    """Version of the TensorRT library that ONNX Runtime will use, such as 10.16.1. Raises NotHereError."""
    with contextlib.suppress(Exception):  # pip's package loads its libraries; a system-wide TensorRT does not need it
        importlib.import_module("tensorrt")
    try:
        number = int(ctypes.CDLL(TENSORRT_LIBRARY).getInferLibVersion())
    except OSError:
        raise NotHereError(f"{TENSORRT_LIBRARY} cannot be loaded: {INSTALL_TENSORRT}") from None
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def engine_folder(gpu: Gpu, tensorrt: str, model: bytes, fp16: bool) -> Path:
    """Where the engine of this very model for this GPU, driver and TensorRT is kept.

    The model's own hash is in the name because ONNX Runtime names engines by the graph's structure: it would run other
    weights of the same network with the old engine.
    """
    key = f"{gpu.name}_driver{gpu.driver}_tensorrt{tensorrt}_onnxruntime{ort.__version__}"
    network = hashlib.sha256(model).hexdigest()[:16] + ("_fp16" if fp16 else "")
    return cache_folder() / re.sub(r"[^A-Za-z0-9._-]+", "-", key) / network


def cache_folder() -> Path:
    """The user's folder of engines: $XDG_CACHE_HOME/livepose3d/engines, by default below ~/.cache."""
    told = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(told) if Path(told).is_absolute() else Path.home() / ".cache") / "livepose3d" / "engines"


def tensorrt_options(folder: Path, shapes: Shapes, fp16: bool) -> dict[str, Any]:
    """Options of the TensorrtExecutionProvider: engines for 1 to MAX_ROWS rows, kept in the folder."""

    def profile(rows: int) -> str:
        return ",".join(f"{name}:{'x'.join(str(n) for n in (rows, *shape))}" for name, shape in shapes.items())

    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder.parent),  # timings of layers serve other networks, too
        "trt_profile_min_shapes": profile(1),
        "trt_profile_opt_shapes": profile(TYPICAL_ROWS),
        "trt_profile_max_shapes": profile(MAX_ROWS),
        "trt_fp16_enable": fp16,
    }


def open_on_tensorrt(model: bytes, shapes: Shapes, gpu: Gpu, fp16: bool) -> ort.InferenceSession:
    """A session on TensorRT; building the engine takes up to a minute, the first time. Raises NotHereError."""
    _must_be_built_in("TensorrtExecutionProvider")
    folder = engine_folder(gpu, tensorrt_version(), model, fp16)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotHereError(f"its engines cannot be kept: {error}; set XDG_CACHE_HOME to a folder of yours") from None
    _load_cuda_libraries()
    # TensorRT uses TF32 on its own, 10 bits of mantissa: half a millimetre on a body. It has no option for that here.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    tensorrt = ("TensorrtExecutionProvider", tensorrt_options(folder, shapes, fp16))
    return _on_gpu(model, [tensorrt, CUDA, CPU])


CUDA: tuple[str, dict[str, Any]] = ("CUDAExecutionProvider", {"use_tf32": "0"})
CPU: tuple[str, dict[str, Any]] = ("CPUExecutionProvider", {})


def open_on_cuda(model: bytes) -> ort.InferenceSession:
    """A session on ONNX Runtime's CUDA. Raises NotHereError."""
    _must_be_built_in("CUDAExecutionProvider")
    _load_cuda_libraries()
    return _on_gpu(model, [CUDA, CPU])


def _must_be_built_in(provider: str) -> None:
    if provider not in ort.get_available_providers():
        raise NotHereError(f"the installed ONNX Runtime is the one for CPUs: {INSTALL_CUDA}")


def _load_cuda_libraries() -> None:
    """Load the CUDA libraries that pip put beside ONNX Runtime, where the loader does not look."""
    with contextlib.redirect_stdout(sys.stderr):  # it prints what it does not find
        ort.preload_dlls()


def _on_gpu(model: bytes, providers: list[tuple[str, dict[str, Any]]]) -> ort.InferenceSession:
    """A session that does run on the first of the providers. Raises NotHereError."""
    wanted = providers[0][0]
    try:
        session = _session(model, 1, providers)
    except (
        Exception
    ) as error:  # ONNX Runtime's exceptions have no common base, and the model itself is known to be good
        raise NotHereError(f"{wanted} failed: {str(error).strip().splitlines()[-1][:300]}") from error
    if session.get_providers()[0] != wanted:
        raise NotHereError(f"ONNX Runtime could not load its CUDA libraries: {INSTALL_CUDA}")
    return session


def _session(model: bytes, threads: int, providers: list[tuple[str, dict[str, Any]]]) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # waiting threads would eat the cameras' cores
    options.log_severity_level = 4  # what goes wrong is said by our errors, once
    return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
