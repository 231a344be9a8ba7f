"""From a checkpoint to a weight file: the file computes what torch computes, says what it is, and is half as big on
request. Small networks with random weights and random batch statistics."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training and export need the extra `train`")
onnx = pytest.importorskip("onnx", reason="training and export need the extra `train`")
pytest.importorskip("onnxscript", reason="training and export need the extra `train`")

from configs.training import Model, Training  # noqa: E402
from lifter import checkpoint, export  # noqa: E402
from lifter.errors import LifterError  # noqa: E402
from lifter.model import build, place  # noqa: E402
from lifter.normalise import normalise  # noqa: E402
from lifter.runtime import F64, load  # noqa: E402
from lifter.skeleton import BODY17  # noqa: E402

UP = np.array([0.0, -1.0, 0.1])


def random_checkpoint(kind):
    """A network with batch statistics unlike those that it was born with, so that a fold that forgets them shows."""
    torch.manual_seed(3)
    training = Training(model=Model(kind=kind, width=96, dilations=(1, 3)), train={"kind": "motion"}, steps=1, window=5)
    model = build(training.model, BODY17).eval()
    with torch.no_grad():
        for norm in (each for each in model.modules() if isinstance(each, torch.nn.BatchNorm1d)):
            for values in (norm.weight, norm.running_var):
                values.uniform_(0.5, 1.5)
            for values in (norm.bias, norm.running_mean):
                values.normal_(std=0.3)
        model.head.pose.weight.normal_(std=0.02)
    return checkpoint.Checkpoint(model, training, 7, {"validation_mpjpe_mm": 55.5}, "abc1234")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Per kind: the checkpoint and the weight file that the command made of it."""
    folder = tmp_path_factory.mktemp("export")
    made = {}
    for kind in ("frame", "sequence"):
        read = random_checkpoint(kind)
        checkpoint.save(read, folder / f"{kind}.pt")
        assert export.main([str(folder / f"{kind}.pt"), "--rate-hz", "30"]) == 0
        made[kind] = read, folder / f"{kind}.onnx"
    return made


@pytest.fixture
def exported_graph(exported, monkeypatch):
    """Lets the next export of a kind take the graph that is there: torch's exporter takes seconds."""

    def take(kind, change=lambda graph: None):
        graph = onnx.load(exported[kind][1])
        change(graph)
        monkeypatch.setattr(export, "_to_onnx", lambda model: graph)
        read, path = exported[kind]
        return read.model, load(path).card

    return take


def poses(rows: int, seed: int = 0) -> tuple[F64, F64]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 17, 2)) * [0.04, 0.1], rng.uniform(0.3, 1.0, (rows, 17))


def by_torch(model, rays, confidence, state=None):
    """Joints (N, J, 3) and root (N, 3) in the cameras, and the state, with torch in place of ONNX Runtime."""
    views = normalise(rays, confidence, UP)
    inputs = torch.from_numpy(views.keypoints), torch.from_numpy(views.context)
    with torch.no_grad():
        lift, state = (model(*inputs), None) if state is None else model.step(*inputs, state)
        lift = place(lift, *inputs)
    turn = "nij,n...j->n...i"
    return (
        np.einsum(turn, views.R_cam_view, lift.joints_m.numpy()),
        np.einsum(turn, views.R_cam_view, lift.root_m.numpy()),
        state,
    )


@pytest.mark.parametrize("rows", [1, 4, 33])
def test_the_runtime_gives_what_torch_gives(exported, rows):
    read, path = exported["frame"]
    rays, confidence = poses(rows)
    rays[0, 5:8] = np.nan
    lifts = load(path).lift(rays, confidence, UP)
    joints_m, root_m, _ = by_torch(read.model, rays, confidence)
    np.testing.assert_allclose(lifts.joints_cam_m, joints_m, atol=1e-5)
    np.testing.assert_allclose(lifts.root_cam_m, root_m, atol=1e-5)
    np.testing.assert_allclose(lifts.joints_cam_m[:, BODY17.root], 0.0, atol=1e-6)


def test_a_stream_gives_what_torch_gives_for_the_whole_window(exported):
    read, path = exported["sequence"]
    lifter = load(path)
    frames = [poses(3, seed) for seed in range(9)]
    state = lifter.start(3)
    streamed = []
    for rays, confidence in frames:
        lifts, state = lifter.lift_stream(rays, confidence, UP, state)
        streamed.append(lifts.joints_cam_m)
    views = [normalise(*frame, UP) for frame in frames]
    with torch.no_grad():
        window = read.model(
            torch.from_numpy(np.stack([v.keypoints for v in views], axis=1)),
            torch.from_numpy(np.stack([v.context for v in views], axis=1)),
        )
    for t, v in enumerate(views):
        expected = np.einsum("nij,nkj->nki", v.R_cam_view, window.joints_m[:, t].numpy())
        np.testing.assert_allclose(streamed[t], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["frame", "sequence"])
def test_a_torn_up_view_leaves_the_other_rows_as_they_were(exported, kind):
    lifter = load(exported[kind][1])
    rays, confidence = poses(4)

    def lift():
        if kind == "frame":
            return lifter.lift(rays, confidence, UP)
        return lifter.lift_stream(rays, confidence, UP, lifter.start(4))[0]

    whole = lift().joints_cam_m
    rays[2] = np.nan
    np.testing.assert_array_equal(lift().joints_cam_m[[0, 1, 3]], whole[[0, 1, 3]])


@pytest.mark.parametrize("kind", ["frame", "sequence"])
def test_the_card_says_what_the_checkpoint_says(exported, kind):
    read, path = exported[kind]
    card = load(path).card
    assert (card.kind, card.skeleton, card.joints) == (kind, "body17", BODY17.joints)
    assert (card.way, card.commit, card.metrics) == ("label_free", "abc1234", {"validation_mpjpe_mm": 55.5})
    assert card.state_shape == (None if kind == "frame" else read.model.state_shape)
    assert card.data["files"] == read.training.train.files


@pytest.mark.parametrize("kind", ["frame", "sequence"])
def test_the_file_states_its_opset_and_names_no_folder_of_the_machine_that_made_it(exported, kind):
    content = exported[kind][1].read_bytes()
    graph = onnx.load_from_string(content)
    assert [(each.domain, each.version) for each in graph.opset_import] == [("", export.OPSET)]
    assert [each.name for each in graph.graph.output][:3] == ["joints_m", "sigma_m", "root_m"]
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
    for word in (b"stack_trace", b".py", str(Path.cwd()).encode()):
        assert word not in content


@pytest.mark.parametrize("kind", ["frame", "sequence"])
def test_halved_files_are_half_as_big_and_close_to_torch(exported, exported_graph, kind, tmp_path):
    model, card = exported_graph(kind)
    content, differences = export.export(model, card, half=True)
    assert len(content) < 0.6 * exported[kind][1].stat().st_size
    assert max(each.joints_m for each in differences) < 1e-4
    assert max(each.root_m for each in differences) < 3e-4  # metres away, from the spread of the pose
    (tmp_path / "half.onnx").write_bytes(content)
    assert load(tmp_path / "half.onnx").card == card


def test_stored_in_16_bits_the_weights_are_float32_once_loaded(exported_graph, tmp_path):
    """Nothing is left to compute per call: ONNX Runtime folds the conversion when it loads the file."""
    import onnxruntime

    model, card = exported_graph("frame")
    content, _ = export.export(model, card, half=True)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    loaded = onnx.load(tmp_path / "loaded.onnx").graph
    assert "Cast" not in {node.op_type for node in loaded.node}
    assert onnx.TensorProto.INT16 not in {weights.data_type for weights in loaded.initializer}


def test_a_file_that_differs_from_torch_is_not_made(exported_graph):
    def spoil(graph):
        bias = next(w for w in graph.graph.initializer if len(w.dims) == 1 and w.dims[0] == 96)
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.1), bias.name))

    with pytest.raises(LifterError, match=r"differ by more than 0\.0001 m, not exported"):
        export.export(*exported_graph("frame", spoil))


def test_the_command_tells_what_is_missing(tmp_path, capsys):
    assert export.main([str(tmp_path / "no.pt")]) == 2
    assert "no.pt does not exist" in capsys.readouterr().err
    checkpoint.save(random_checkpoint("sequence"), tmp_path / "sequence.pt")
    assert export.main([str(tmp_path / "sequence.pt")]) == 2
    assert "--rate-hz" in capsys.readouterr().err
    assert not (tmp_path / "sequence.onnx").exists()


def test_without_tensorrt_the_file_is_written_and_the_reason_told(exported, exported_graph, tmp_path, capsys):
    read, path = exported["frame"]
    lifter = load(path)
    if lifter.runs_on.startswith("TensorRT"):
        pytest.skip("here is TensorRT")
    exported_graph("frame")
    checkpoint.save(read, tmp_path / "frame.pt")
    assert export.main([str(tmp_path / "frame.pt"), "--tensorrt"]) == 2
    assert f"no TensorRT engine was built. {lifter.why}" in capsys.readouterr().err
    assert (tmp_path / "frame.onnx").exists()


def test_a_small_checkpoint_to_adapt_is_written_beside(exported, tmp_path, capsys):
    read = exported["frame"][0]
    checkpoint.save(read, tmp_path / "whole.pt")
    small = tmp_path / "small.pt"
    command = [str(tmp_path / "whole.pt"), "--out", str(tmp_path / "w.onnx"), "--checkpoint-out", str(small)]
    assert export.main(command) == 0
    assert small.stat().st_size < 0.6 * (tmp_path / "whole.pt").stat().st_size
    again = checkpoint.load(small).model.state_dict()
    for name, weights in read.model.state_dict().items():
        torch.testing.assert_close(again[name], weights, rtol=1e-3, atol=1e-3)
    assert "to adapt it" in capsys.readouterr().out
