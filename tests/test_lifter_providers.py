"""Where the lifter runs: the fastest way that there is, and what is missing for the faster ones."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="tiny networks are made with the onnx package (the extra `train`)")
ort = pytest.importorskip("onnxruntime", reason="the lifter runs on ONNX Runtime (the extra `fusion`)")

from lifter import providers, runtime  # noqa: E402
from lifter.errors import LifterError  # noqa: E402
from lifter.providers import Gpu, NotHereError  # noqa: E402
from tests.lifter_weights import UP, poses, write_weights  # noqa: E402


@pytest.fixture
def weights(tmp_path):
    """Writes a weight file; returns its path."""
    return partial(write_weights, tmp_path)


def test_without_a_gpu_it_says_so_and_require_gpu_refuses_with_the_command(weights, monkeypatch):
    monkeypatch.setattr(providers, "find_gpu", _raises(NotHereError("no NVIDIA GPU")))
    lifter = runtime.load(weights())
    assert lifter.runs_on == "ONNX Runtime CPU"
    assert lifter.why == "TensorRT and CUDA: no NVIDIA GPU"
    with pytest.raises(LifterError, match=r"GPU is required.*no NVIDIA GPU.*pip install .*onnxruntime-gpu"):
        runtime.load(weights(), require_gpu=True)


def _raises(error):
    def raise_it(*_, **__):
        raise error

    return raise_it


class Pretended:
    """ONNX Runtime on a machine with a GPU: a session runs on the first provider whose libraries load, and says so."""

    def __init__(self, monkeypatch, tmp_path, loads, built_in=("TensorrtExecutionProvider", "CUDAExecutionProvider")):
        self.asked: list[dict[str, dict[str, Any]]] = []
        real = ort.InferenceSession

        def session(model, options, providers, enable_fallback):
            self.asked.append(dict(providers))
            made = real(model, options, providers=["CPUExecutionProvider"])
            made.get_providers = lambda: [name for name, _ in providers if name in (*loads, "CPUExecutionProvider")]
            return made

        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
        monkeypatch.setattr(providers, "find_gpu", lambda: Gpu("NVIDIA RTX A4000", "580.65.06"))
        monkeypatch.setattr(providers, "tensorrt_version", lambda: "10.16.1")
        monkeypatch.setattr(ort, "get_available_providers", lambda: [*built_in, "CPUExecutionProvider"])
        monkeypatch.setattr(ort, "preload_dlls", lambda: None)
        monkeypatch.setattr(ort, "InferenceSession", session)


def test_tensorrt_comes_first_with_engines_for_1_to_256_rows_kept_by_gpu_driver_and_version(
    weights, monkeypatch, tmp_path
):
    machine = Pretended(monkeypatch, tmp_path, loads=["TensorrtExecutionProvider", "CUDAExecutionProvider"])
    lifter = runtime.load(weights(kind="sequence"), require_gpu=True)
    assert (lifter.runs_on, lifter.why) == ("TensorRT on NVIDIA RTX A4000", "")
    options = machine.asked[-1]["TensorrtExecutionProvider"]
    assert list(machine.asked[-1]) == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert options["trt_profile_min_shapes"] == "keypoints:1x17x3,context:1x3,state:1x3x4"
    assert options["trt_profile_max_shapes"] == "keypoints:256x17x3,context:256x3,state:256x3x4"
    assert options["trt_fp16_enable"] is False
    folder = Path(options["trt_engine_cache_path"])
    assert folder.is_dir()
    assert folder.parent.parent == tmp_path / "cache/livepose3d/engines"
    assert folder.parent.name == f"NVIDIA-RTX-A4000_driver580.65.06_tensorrt10.16.1_onnxruntime{ort.__version__}"


def test_other_weights_of_the_same_network_get_another_engine():
    gpu = Gpu("NVIDIA RTX A4000", "580.65.06")
    folders = {
        providers.engine_folder(*each)
        for each in (
            (gpu, "10.16.1", b"weights", False),
            (gpu, "10.16.1", b"other weights", False),
            (gpu, "10.16.1", b"weights", True),
            (gpu, "10.17.0", b"weights", False),
            (dataclasses.replace(gpu, driver="581.1"), "10.16.1", b"weights", False),
        )
    }
    assert len(folders) == 5


def test_without_tensorrt_cuda_runs_and_the_command_for_tensorrt_is_told(weights, monkeypatch, tmp_path):
    Pretended(monkeypatch, tmp_path, loads=["CUDAExecutionProvider"])
    monkeypatch.setattr(
        providers, "tensorrt_version", _raises(NotHereError("libnvinfer.so.10 cannot be loaded: pip …"))
    )
    lifter = runtime.load(weights(), require_gpu=True)
    assert lifter.runs_on == "CUDA on NVIDIA RTX A4000"
    assert lifter.why == "TensorRT: libnvinfer.so.10 cannot be loaded: pip …"


def test_libraries_that_do_not_load_are_noticed_though_the_providers_are_listed(weights, monkeypatch, tmp_path):
    Pretended(monkeypatch, tmp_path, loads=[])
    lifter = runtime.load(weights())
    assert lifter.runs_on == "ONNX Runtime CPU"
    assert lifter.why.count("pip install") == 2
    assert lifter.lift(*poses(3), UP).valid.all()
    with pytest.raises(LifterError, match="GPU is required"):
        runtime.load(weights(), require_gpu=True)


def test_the_package_for_cpus_on_a_machine_with_a_gpu_is_told_with_the_command(weights, monkeypatch, tmp_path):
    Pretended(monkeypatch, tmp_path, loads=[], built_in=())
    assert "one for CPUs: pip uninstall -y onnxruntime && pip install" in runtime.load(weights()).why


def test_a_cache_that_cannot_be_written_leaves_cuda(weights, monkeypatch, tmp_path):
    Pretended(monkeypatch, tmp_path, loads=["TensorrtExecutionProvider", "CUDAExecutionProvider"])
    (tmp_path / "cache").write_text("a file where the folder should be")
    lifter = runtime.load(weights())
    assert lifter.runs_on.startswith("CUDA")
    assert "XDG_CACHE_HOME" in lifter.why


def test_engines_go_to_the_home_folder_when_nothing_else_is_told(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/not/allowed")
    assert providers.cache_folder() == Path.home() / ".cache/livepose3d/engines"


def _gpu_or_skip():
    try:
        return providers.find_gpu()
    except NotHereError as error:
        pytest.skip(str(error))


def _same_as_on_the_cpu(lifter, path, monkeypatch):
    rays, confidence = poses(32)
    found = lifter.lift(rays, confidence, UP).joints_cam_m
    monkeypatch.setattr(providers, "find_gpu", _raises(NotHereError("not now")))
    np.testing.assert_allclose(found, runtime.load(path).lift(rays, confidence, UP).joints_cam_m, atol=1e-4)


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives(weights, monkeypatch):
    _gpu_or_skip()
    monkeypatch.setattr(providers, "open_on_tensorrt", _raises(NotHereError("left out here")))
    lifter = runtime.load(weights())
    if not lifter.runs_on.startswith("CUDA"):
        pytest.skip(lifter.why)
    _same_as_on_the_cpu(lifter, weights(), monkeypatch)


@pytest.mark.tensorrt
def test_tensorrt_gives_what_the_cpu_gives_and_keeps_its_engine(weights, monkeypatch, tmp_path):
    _gpu_or_skip()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lifter = runtime.load(weights())
    if not lifter.runs_on.startswith("TensorRT"):
        pytest.skip(lifter.why)
    assert list(tmp_path.rglob("*.engine"))
    _same_as_on_the_cpu(lifter, weights(), monkeypatch)
