"""Weight files of networks that are a few ONNX nodes, whose results can be computed by hand, and 2D poses for them."""

import dataclasses

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from lifter.onnx_file import Card, sealed
from lifter.runtime import F64
from lifter.skeleton import BODY17

S, W = 3, 4  # of the tiny sequence model's state
UP = np.array([0.0, -1.0, 0.2])
AWAY_M = np.array([0.0, 0.0, 9.0])  # of the tiny networks' roots: in front of any camera


def card(kind="frame", **changes):
    state_shape = (S, W) if kind == "sequence" else None
    made = Card(
        kind, "body17", BODY17.joints, state_shape, 30.0, {"width": 8}, {"files": []}, "label_free", "abc", {"mm": 5.0}
    )
    return dataclasses.replace(made, **changes)


def tiny_network(kind="frame", properties=None):
    """joints = 2 · keypoints, sigma = confidence + 1, root = context + AWAY_M + mean(state); state_out moves on."""
    n_joints = len(BODY17.joints)
    tensor = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", *shape])  # noqa: E731
    numbers = {"two": np.float32(2), "one": np.float32(1), "i2": np.int64(2), "zero": np.array([0]), "s": np.array([1]),
               "end": np.array([99]), "axis": np.array([1]), "axes": np.array([1, 2]),
               "away": AWAY_M.astype(np.float32)}  # fmt: skip
    nodes = [
        helper.make_node("Mul", ["keypoints", "two"], ["joints_m"]),
        helper.make_node("Gather", ["keypoints", "i2"], ["confidence"], axis=2),
        helper.make_node("Add", ["confidence", "one"], ["sigma_m"]),
        helper.make_node("Add", ["context", "away"], ["present"]),
    ]
    inputs = [tensor("keypoints", n_joints, 3), tensor("context", 3)]
    outputs = [tensor("joints_m", n_joints, 3), tensor("sigma_m", n_joints), tensor("root_m", 3)]
    if kind == "frame":
        nodes.append(helper.make_node("Identity", ["present"], ["root_m"]))
    else:
        inputs.append(tensor("state", S, W))
        outputs.append(tensor("state_out", S, W))
        nodes += [
            helper.make_node("ReduceMean", ["state", "axes"], ["past"], keepdims=0),
            helper.make_node("Unsqueeze", ["past", "axis"], ["past_column"]),
            helper.make_node("Add", ["present", "past_column"], ["root_m"]),
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


def write_weights(folder, content=None, kind="frame", properties=None):
    """A weight file in the folder; returns its path."""
    path = folder / f"{kind}.onnx"
    path.write_bytes(sealed(tiny_network(kind, properties)) if content is None else content)
    return path


def poses(rows: int, n_joints: int = 17, seed: int = 0) -> tuple[F64, F64]:
    """Rays (rows, J, 2) of people here and there in the picture, and confidences."""
    rng = np.random.default_rng(seed)
    rays = rng.uniform(-0.5, 0.5, (rows, 1, 2)) + rng.normal(size=(rows, n_joints, 2)) * [0.04, 0.1]
    return rays, rng.uniform(0.3, 1.0, (rows, n_joints))
