"""From a checkpoint to a weight file for the live system.

    python -m lifter.export runs/frame/lifter.pt --out body17_frame.onnx --half

The file holds the network, its model card and a checksum (`lifter.onnx_file`), and is only written after ONNX Runtime
has given what torch gives, to 0.1 mm, on random input in several batch sizes. Of a sequence model one step is exported:
state in, state out. --half then rounds the weights to 16 bits and halves the file, which moves joints by tenths of a
millimetre at most; all computing stays in float32. --tensorrt builds this machine's TensorRT engine, too, so that the
first start of the live system does not have to.
"""

import argparse
import contextlib
import copy
import io
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from lifter import checkpoint
from lifter.errors import LifterError
from lifter.model import FrameModel, SequenceModel, place
from lifter.onnx_file import Card, sealed
from lifter.providers import open_on_cpu
from lifter.runtime import load

OPSET = 20  # the newest that TensorRT 10 reads
OUTPUTS = ("joints_m", "sigma_m", "root_m")
CHECKED_ROWS = (1, 3, 32, 256)
MIN_HALVED = 4096  # smaller tables are not worth a node

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """The largest between torch and ONNX Runtime, at one batch size."""

    rows: int
    joints_m: float
    root_m: float
    sigma: float  # as a share
    state: float  # 0 without a state

    def __str__(self) -> str:
        shares = f"sigma {self.sigma:.1e}" + (f", state {self.state:.1e}" if self.state else "")
        return f"{self.rows:4d} rows: joints {self.joints_m:.1e} m, root {self.root_m:.1e} m, {shares}"


@dataclass(frozen=True)
class Limits:
    """How far ONNX Runtime may be from torch."""

    metres: float = 1e-4
    share: float = 1e-3  # of sigma and of the state

    def hold_for(self, found: Difference) -> bool:
        return max(found.joints_m, found.root_m) < self.metres and max(found.sigma, found.state) < self.share


ROUNDED = Limits(1e-3, 1e-2)  # on random poses, wilder than people's; what it does to accuracy, `lifter.evaluate` says


class _Frame(nn.Module):
    """A frame model with its lift placed by its own 2D, as a weight file gives it."""

    def __init__(self, model: FrameModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, keypoints: Tensor, context: Tensor) -> tuple[Tensor, ...]:
        return place(self.model(keypoints, context), keypoints, context)


class _Step(nn.Module):
    """A sequence model's step, placed by its own 2D, with its results side by side, as a graph has them."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, keypoints: Tensor, context: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        lift, state_out = self.model.step(keypoints, context, state)
        return (*place(lift, keypoints, context), state_out)


def export(model: FrameModel | SequenceModel, card: Card, half: bool = False) -> tuple[bytes, list[Difference]]:
    """The content of a weight file, and how it compares with torch. Raises LifterError when it differs too much."""
    model = _fused(model)
    graph = _to_onnx(model)
    content, differences = _checked(model, graph, card, Limits())
    if half:
        _halve(graph)
        content, differences = _checked(model, graph, card, ROUNDED)
    return content, differences


def _fused(model: FrameModel | SequenceModel) -> FrameModel | SequenceModel:
    """A copy that evaluates, with batch norm folded into the layers that look back: the exporter folds the others."""
    model = copy.deepcopy(model).eval()
    if isinstance(model, SequenceModel):
        for layer in model.memory:
            parts = cast(nn.Sequential, layer)
            parts[0] = fuse_linear_bn_eval(cast(nn.Linear, parts[0]), cast(nn.BatchNorm1d, parts[1]))
            parts[1] = nn.Identity()
    return model


def _checked(
    model: FrameModel | SequenceModel, graph: onnx.ModelProto, card: Card, limits: Limits
) -> tuple[bytes, list[Difference]]:
    helper.set_model_props(graph, card.properties())
    content = sealed(graph.SerializeToString())
    differences = [compare(model, content, rows) for rows in CHECKED_ROWS]
    if not all(limits.hold_for(each) for each in differences):
        told = "\n".join(str(each) for each in differences)
        hint = "; try without --half" if limits is ROUNDED else ""
        raise LifterError(f"ONNX Runtime and torch differ by more than {limits.metres} m, not exported{hint}:\n{told}")
    return content, differences


def compare(model: FrameModel | SequenceModel, content: bytes, rows: int) -> Difference:
    """Torch beside ONNX Runtime on the CPU, on random poses of which every tenth joint is absent."""
    inputs = _random_inputs(model, rows)
    with torch.no_grad():
        expected = [x.numpy() for x in as_graph(model)(*(torch.from_numpy(x) for x in inputs))]
    names = ("keypoints", "context", "state")[: len(inputs)]
    found = open_on_cpu(content, threads=1).run(None, dict(zip(names, inputs, strict=True)))
    joints_m, sigma, root_m, *state = (np.abs(a - b) for a, b in zip(expected, found, strict=True))
    return Difference(
        rows,
        float(joints_m.max()),
        float(root_m.max()),
        float((sigma / expected[1]).max()),
        float(state[0].max() / np.abs(expected[3]).max()) if state else 0.0,
    )


def as_graph(model: FrameModel | SequenceModel) -> nn.Module:
    """What is exported: arrays in, arrays out, in the order of a weight file."""
    return _Step(model) if isinstance(model, SequenceModel) else _Frame(model)


def _random_inputs(model: FrameModel | SequenceModel, rows: int) -> list[F32]:
    """As `lifter.normalise` gives them: poses of unit size from 2 to 10 metres away, gravity anywhere."""
    rng = np.random.default_rng(rows)
    n_joints = len(model.skeleton.joints)
    xy = rng.normal(size=(rows, n_joints, 2)) / np.sqrt(2)
    seen = rng.uniform(size=(rows, n_joints, 1)) > 0.1
    keypoints = np.where(seen, np.concatenate([xy, rng.uniform(0.3, 1.0, (rows, n_joints, 1))], axis=-1), 0.0)
    up = rng.normal(size=(rows, 3))
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    context = np.column_stack([np.log(0.45 / rng.uniform(2.0, 10.0, rows)), up[:, 1:]])
    inputs = [keypoints, context]
    if isinstance(model, SequenceModel):
        inputs.append(rng.exponential(size=(rows, *model.state_shape)))
    return [x.astype(np.float32) for x in inputs]


def _to_onnx(model: FrameModel | SequenceModel) -> onnx.ModelProto:
    """The graph, with batch norm folded into the layers and any number of rows."""
    inputs = tuple(torch.from_numpy(x) for x in _random_inputs(model, 3))
    sequence = isinstance(model, SequenceModel)
    rows = torch.export.Dim("rows", min=1)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # the exporter thinks aloud
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            as_graph(model),
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=["keypoints", "context", "state"][: len(inputs)],
            output_names=[*OUTPUTS, "state_out"] if sequence else list(OUTPUTS),
            dynamic_shapes=tuple({0: rows} for _ in inputs),
            verbose=False,
        )
    if program is None:
        raise LifterError("torch's ONNX exporter gave nothing; expected torch 2.6 or newer")
    graph = program.model_proto
    _forget_origins(graph)
    onnx.checker.check_model(graph, full_check=True)
    return graph


def _forget_origins(graph: onnx.ModelProto) -> None:
    """Take out the exporter's notes on every node: they hold source lines and folders of the machine it ran on."""
    part = graph.graph
    for noted in (graph, part, *part.node, *part.input, *part.output, *part.value_info, *part.initializer):
        del noted.metadata_props[:]
        noted.doc_string = ""


def _halve(graph: onnx.ModelProto) -> None:
    """Store the layers' weights (outputs, inputs) as 16-bit integers with a scale per output.

    ONNX Runtime computes the float32 weights when it loads the file. Against float16 of the same size the results come
    ten times closer to the unrounded network's: the weights of an output are all of one magnitude.
    """
    kept = [w for w in graph.graph.initializer if not _is_layer(w)]
    nodes = []
    for weights in [w for w in graph.graph.initializer if _is_layer(w)]:
        values = numpy_helper.to_array(weights)
        scale = np.maximum(np.abs(values).max(1, keepdims=True) / np.iinfo(np.int16).max, np.finfo(np.float32).tiny)
        integers = f"{weights.name}_int16"
        kept.append(numpy_helper.from_array(np.rint(values / scale).astype(np.int16), integers))
        kept.append(numpy_helper.from_array(scale.astype(np.float32), f"{weights.name}_scale"))
        nodes.append(helper.make_node("Cast", [integers], [f"{weights.name}_cast"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{weights.name}_cast", f"{weights.name}_scale"], [weights.name]))
    nodes.extend(graph.graph.node)
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)


def _is_layer(weights: TensorProto) -> bool:
    return weights.data_type == TensorProto.FLOAT and len(weights.dims) == 2 and np.prod(weights.dims) >= MIN_HALVED


def card_of(read: checkpoint.Checkpoint, rate_hz: float | None) -> Card:
    """The model card of a checkpoint."""
    model, training = read.model, read.training
    return Card(
        kind=model.kind,
        skeleton=model.skeleton.name,
        joints=model.skeleton.joints,
        state_shape=model.state_shape if isinstance(model, SequenceModel) else None,
        rate_hz=rate_hz,
        model=training.model.model_dump(mode="json"),
        data=training.train.model_dump(mode="json"),
        way=training.way,
        commit=read.commit,
        metrics=dict(read.metrics),
    )


def _write(read: checkpoint.Checkpoint, options: argparse.Namespace) -> None:
    """Export, tell the differences, put the file in its place, build the engine where that is asked for."""
    model = read.model
    if isinstance(model, SequenceModel) and options.rate_hz is None:
        raise LifterError("a sequence model needs --rate-hz: how many frames a second it was trained on, such as 30")
    content, differences = export(model, card_of(read, options.rate_hz), options.half)
    print("largest difference between torch and ONNX Runtime:", *differences, sep="\n")
    out = options.out or options.checkpoint.with_suffix(".onnx")
    draft = out.with_name(out.name + ".part")
    draft.write_bytes(content)
    draft.replace(out)
    print(f"{out}: {model.kind} model for {model.skeleton.name}, {len(content) / 1e6:.1f} MB, opset {OPSET}")
    if options.checkpoint_out:
        checkpoint.save(read, options.checkpoint_out, half=True)
        print(f"{options.checkpoint_out}: to adapt it, {options.checkpoint_out.stat().st_size / 1e6:.1f} MB")
    if options.tensorrt:
        lifter = load(out)
        if not lifter.runs_on.startswith("TensorRT"):
            raise LifterError(f"{out} was written, and no TensorRT engine was built. {lifter.why}")
        print(f"its engine is built and kept: {lifter.runs_on}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 2 when something has to be changed first, with the reason on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="what lifter.train wrote: lifter.pt")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: beside the checkpoint, with .onnx")
    parser.add_argument("--half", action="store_true", help="store the weights in 16 bits: half the file")
    parser.add_argument("--tensorrt", action="store_true", help="build this machine's TensorRT engine, too")
    parser.add_argument(
        "--checkpoint-out", type=Path, metavar="FILE", help="write a small checkpoint, too, to adapt: float16 weights"
    )
    parser.add_argument("--rate-hz", type=float, metavar="HZ", help="frames a second of a sequence model's training")
    options = parser.parse_args(arguments)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    try:
        _write(checkpoint.load(options.checkpoint), options)
    except (LifterError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
