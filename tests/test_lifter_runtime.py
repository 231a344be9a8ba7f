"""The lifter without torch: what it computes, what it refuses, and where it runs. Networks here are a few ONNX nodes
whose results can be computed by hand."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="tiny networks are made with the onnx package (the extra `train`)")
ort = pytest.importorskip("onnxruntime", reason="the lifter runs on ONNX Runtime (the extra `fusion`)")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from lifter import providers, runtime  # noqa: E402
from lifter.derive import derive  # noqa: E402
from lifter.errors import LifterError  # noqa: E402
from lifter.normalise import normalise  # noqa: E402
from lifter.onnx_file import FORMAT, Card, sealed  # noqa: E402
from lifter.providers import Gpu, NotHereError  # noqa: E402
from lifter.runtime import F64  # noqa: E402
from lifter.skeleton import BODY17, COCO17, MEDIAPIPE33, Skeleton  # noqa: E402

S, W = 3, 4  # of the tiny sequence model's state
UP = np.array([0.0, -1.0, 0.2])


def card(kind="frame", **changes):
    state_shape = (S, W) if kind == "sequence" else None
    made = Card(
        kind, "body17", BODY17.joints, state_shape, 30.0, {"width": 8}, {"files": []}, "label_free", "abc", {"mm": 5.0}
    )
    return dataclasses.replace(made, **changes)


def tiny_network(kind="frame", properties=None):
    """joints = 2 · keypoints, sigma = confidence + 1, root = context + mean(state); state_out = state moved on."""
    n_joints = len(BODY17.joints)
    tensor = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", *shape])  # noqa: E731
    numbers = {"two": np.float32(2), "one": np.float32(1), "i2": np.int64(2), "zero": np.array([0]), "s": np.array([1]),
               "end": np.array([99]), "axis": np.array([1]), "axes": np.array([1, 2])}  # fmt: skip
    nodes = [
        helper.make_node("Mul", ["keypoints", "two"], ["joints_m"]),
        helper.make_node("Gather", ["keypoints", "i2"], ["confidence"], axis=2),
        helper.make_node("Add", ["confidence", "one"], ["sigma_m"]),
    ]
    inputs = [tensor("keypoints", n_joints, 3), tensor("context", 3)]
    outputs = [tensor("joints_m", n_joints, 3), tensor("sigma_m", n_joints), tensor("root_m", 3)]
    if kind == "frame":
        nodes.append(helper.make_node("Identity", ["context"], ["root_m"]))
    else:
        inputs.append(tensor("state", S, W))
        outputs.append(tensor("state_out", S, W))
        nodes += [
            helper.make_node("ReduceMean", ["state", "axes"], ["past"], keepdims=0),
            helper.make_node("Unsqueeze", ["past", "axis"], ["past_column"]),
            helper.make_node("Add", ["context", "past_column"], ["root_m"]),
            helper.make_node("Slice", ["state", "s", "end", "axis"], ["younger"]),
            helper.make_node("Slice", ["state", "zero", "s", "axis"], ["oldest"]),
            helper.make_node("Add", ["oldest", "one"], ["newest"]),
            helper.make_node("Concat", ["younger", "newest"], ["state_out"], axis=1),
        ]
    tables = [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, tables)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, card(kind).properties() if properties is None else properties)
    return model.SerializeToString()


@pytest.fixture
def weights(tmp_path):
    """Writes a weight file; returns its path."""

    def write(content=None, kind="frame", properties=None):
        path = tmp_path / f"{kind}.onnx"
        path.write_bytes(sealed(tiny_network(kind, properties)) if content is None else content)
        return path

    return write


@pytest.fixture
def frame(weights):
    return runtime.load(weights())


@pytest.fixture
def sequence(weights):
    return runtime.load(weights(kind="sequence"))


def poses(rows: int, n_joints: int = 17, seed: int = 0) -> tuple[F64, F64]:
    """Rays (rows, J, 2) of people here and there in the picture, and confidences."""
    rng = np.random.default_rng(seed)
    rays = rng.uniform(-0.5, 0.5, (rows, 1, 2)) + rng.normal(size=(rows, n_joints, 2)) * [0.04, 0.1]
    return rays, rng.uniform(0.3, 1.0, (rows, n_joints))


def test_results_are_turned_from_the_virtual_camera_into_each_rows_own(frame):
    rays, confidence = poses(5)
    lifts = frame.lift(rays, confidence, UP)
    views = normalise(rays, confidence, UP)
    for i in range(5):
        np.testing.assert_allclose(lifts.joints_cam_m[i], 2 * views.keypoints[i] @ views.R_cam_view[i].T, atol=1e-6)
        np.testing.assert_allclose(lifts.root_cam_m[i], views.R_cam_view[i] @ views.context[i], atol=1e-6)
    np.testing.assert_allclose(lifts.sigma_m, confidence + 1, atol=1e-6)
    assert lifts.valid.all()


def test_a_view_without_anybody_is_invalid_and_changes_no_other(frame):
    rays, confidence = poses(6)
    whole = frame.lift(rays, confidence, UP)
    rays[1] = np.nan  # nobody
    confidence[2] = 0.0  # nobody, told the other way
    confidence[3, 3:] = np.nan  # too few joints
    rays[4] = np.inf
    lifts = frame.lift(rays, confidence, UP)
    assert lifts.valid.tolist() == [True, False, False, False, False, True]
    for name in ("joints_cam_m", "sigma_m", "root_cam_m"):
        found = getattr(lifts, name)
        assert np.isnan(found[1:5]).all()
        np.testing.assert_array_equal(found[[0, 5]], getattr(whole, name)[[0, 5]])


def test_absent_joints_leave_the_others_in_their_row_lifted(frame):
    rays, confidence = poses(2)
    rays[0, 4:9] = np.nan
    lifts = frame.lift(rays, confidence, UP)
    assert lifts.valid.all()
    assert np.isfinite(lifts.joints_cam_m).all()


def test_a_row_is_lifted_alike_alone_and_among_others_in_any_order(frame):
    rays, confidence = poses(9)
    up = np.random.default_rng(1).normal(size=(9, 3))
    together = frame.lift(rays, confidence, up).joints_cam_m
    order = np.random.default_rng(2).permutation(9)
    np.testing.assert_allclose(
        frame.lift(rays[order], confidence[order], up[order]).joints_cam_m, together[order], atol=1e-6
    )
    for i in range(9):
        alone = frame.lift(rays[i : i + 1], confidence[i : i + 1], up[i]).joints_cam_m
        np.testing.assert_allclose(alone, together[i : i + 1], atol=1e-6)


def test_any_number_of_rows_does_none_and_more_than_an_engine_takes_included(frame, sequence):
    none = frame.lift(np.zeros((0, 17, 2)), np.zeros((0, 17)))
    assert none.joints_cam_m.shape == (0, 17, 3)
    assert none.sigma_m.shape == (0, 17)
    assert none.valid.shape == (0,)
    rays, confidence = poses(600)
    many = frame.lift(rays, confidence, UP)
    np.testing.assert_allclose(
        many.joints_cam_m[500:], frame.lift(rays[500:], confidence[500:], UP).joints_cam_m, atol=1e-6
    )
    lifts, state = sequence.lift_stream(rays, confidence, UP, sequence.start(600))
    assert lifts.valid.all()
    assert state.shape == (600, S, W)


def test_a_stream_remembers_and_a_row_set_to_zero_begins_anew(sequence):
    rays, confidence = poses(2)
    state = sequence.start(2)
    roots = []
    for _ in range(4):
        lifts, state = sequence.lift_stream(rays, confidence, UP, state)
        roots.append(lifts.root_cam_m)
    assert not np.allclose(roots[0], roots[1])
    state[0] = 0.0
    lifts, _ = sequence.lift_stream(rays, confidence, UP, state)
    np.testing.assert_allclose(lifts.root_cam_m[0], roots[0][0], atol=1e-6)
    assert not np.allclose(lifts.root_cam_m[1], roots[0][1])


def test_a_gap_leaves_a_streams_state_as_it_was_and_the_given_state_is_not_changed(sequence):
    rays, confidence = poses(3)
    _, before = sequence.lift_stream(rays, confidence, UP, sequence.start(3))
    kept = before.copy()
    rays[1] = np.nan
    lifts, after = sequence.lift_stream(rays, confidence, UP, before)
    assert lifts.valid.tolist() == [True, False, True]
    np.testing.assert_array_equal(after[1], kept[1])
    assert not np.array_equal(after[0], kept[0])
    np.testing.assert_array_equal(before, kept)


def test_a_network_that_gives_no_numbers_makes_its_row_invalid(sequence):
    rays, confidence = poses(2)
    state = sequence.start(2)
    state[0] = np.nan
    lifts, after = sequence.lift_stream(rays, confidence, UP, state)
    assert lifts.valid.tolist() == [False, True]
    assert np.isnan(lifts.joints_cam_m[0]).all()
    assert np.isfinite(after[1]).all()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((np.zeros((4, 33, 2)), np.zeros((4, 33))), r"rays .*\(4, 33, 2\).*\(N, 17, 2\).*body17 has 17 joints"),
        ((np.zeros((17, 2)), np.zeros(17)), r"rays .*\(17, 2\)"),
        ((np.zeros((4, 17, 3)), np.zeros((4, 17))), r"rays .*\(4, 17, 3\)"),
        ((np.zeros((4, 17, 2)), np.zeros(17)), r"confidence .*\(17,\).*\(4, 17\)"),
        ((np.zeros((4, 17, 2)), np.zeros((4, 17)), np.zeros((3, 3))), r"up_cam .*\(3, 3\).*\(4, 3\)"),
        ((np.zeros((4, 17, 2)), np.zeros((4, 17)), np.zeros(2)), r"up_cam .*\(2,\)"),
    ],
)
def test_other_shapes_are_refused_with_both(frame, arguments, told):
    with pytest.raises(LifterError, match=told):
        frame.lift(*arguments)


def test_a_state_of_other_streams_is_refused(sequence):
    with pytest.raises(LifterError, match=r"state .*\(3, 3, 4\).*\(2, 3, 4\).*start\(2\)"):
        sequence.lift_stream(*poses(2), UP, sequence.start(3))


def test_each_kind_tells_the_call_of_the_other(frame, sequence):
    with pytest.raises(LifterError, match=r"frame model: use lift\("):
        frame.start(1)
    with pytest.raises(LifterError, match=r"frame model: use lift\("):
        frame.lift_stream(*poses(1), UP, np.zeros((1, S, W), np.float32))
    with pytest.raises(LifterError, match=r"sequence model: use lift_stream\("):
        sequence.lift(*poses(1), UP)


def test_poses_of_another_skeleton_are_derived_when_they_can_be(weights, frame):
    lifter = runtime.load(weights(), skeleton=MEDIAPIPE33)
    rays, confidence = poses(4, 33)
    assert (lifter.given, lifter.skeleton) == (MEDIAPIPE33, BODY17)
    expected = frame.lift(*derive(rays, confidence, MEDIAPIPE33, BODY17), UP)
    np.testing.assert_array_equal(lifter.lift(rays, confidence, UP).joints_cam_m, expected.joints_cam_m)
    assert runtime.load(weights(), skeleton=COCO17).lift(*poses(2, 17), UP).valid.all()
    with pytest.raises(LifterError, match="mediapipe33 has 33 joints"):
        lifter.lift(*poses(4, 17))


def test_a_skeleton_from_which_the_models_cannot_be_had_is_refused_with_both_names(weights):
    hands = Skeleton("hands2", ("left_wrist", "right_wrist"), ())
    with pytest.raises(LifterError, match=r"body17.*hands2.*left_shoulder"):
        runtime.load(weights(), skeleton=hands)


def test_a_missing_file_is_told_with_what_there_is(tmp_path):
    with pytest.raises(LifterError, match=r"no\.onnx does not exist.*lifter\.export"):
        runtime.load(tmp_path / "no.onnx")
    with pytest.raises(LifterError, match="cannot be read"):
        runtime.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 1000, b"PK\x03\x04" * 40])
def test_a_file_that_is_no_model_is_refused(weights, content):
    with pytest.raises(LifterError, match="damaged or is no ONNX file"):
        runtime.load(weights(content))


def test_a_file_cut_off_anywhere_is_refused(weights):
    whole = sealed(tiny_network())
    for length in range(1, len(whole), 7):
        with pytest.raises(LifterError):
            runtime.load(weights(whole[:length]))


def test_a_flipped_bit_in_the_weights_is_noticed(weights):
    whole = bytearray(sealed(tiny_network()))
    place = whole.find(np.float32(2).tobytes())
    whole[place + 2] ^= 0x40
    with pytest.raises(LifterError, match="checksum"):
        runtime.load(weights(bytes(whole)))


@pytest.mark.parametrize("properties", [{}, {"format": "yolo-9"}, {"format": '"yolo-9"'}, {"format": "3"}])
def test_a_model_of_another_program_is_refused(weights, properties):
    with pytest.raises(LifterError, match=r"another program.*lifter\.export"):
        runtime.load(weights(properties=properties))


def test_another_version_of_the_format_is_refused_with_both(weights):
    later = card().properties() | {"format": '"livepose3d-lifter-2"'}
    with pytest.raises(LifterError, match=f"livepose3d-lifter-2.*{FORMAT}.*update"):
        runtime.load(weights(properties=later))


def test_a_card_that_lacks_an_entry_is_refused_with_its_name(weights):
    properties = card().properties()
    del properties["way"]
    with pytest.raises(LifterError, match="lacks way"):
        runtime.load(weights(properties=properties))


@pytest.mark.parametrize("changes", [{"skeleton": "horse20"}, {"joints": BODY17.joints[::-1]}])
def test_an_unknown_skeleton_or_another_joint_order_is_refused(weights, changes):
    with pytest.raises(LifterError, match=r"is for the skeleton.*mediapipe33"):
        runtime.load(weights(properties=card(**changes).properties()))


def test_the_card_is_read_as_it_was_written(sequence):
    assert sequence.card == card("sequence")


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


def test_neither_torch_nor_onnx_is_loaded_to_lift(weights):
    program = (
        "import sys, numpy as np\n"
        "from lifter.runtime import load\n"
        f"lifter = load({str(weights())!r})\n"
        "assert lifter.lift(np.random.default_rng(0).normal(size=(2, 17, 2)), np.ones((2, 17))).valid.all()\n"
        "print([name for name in ('torch', 'onnx', 'onnxscript', 'pydantic', 'cv2') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(runtime.__file__).parents[1],
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr


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
