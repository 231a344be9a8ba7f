"""glTF (.glb), animated skeletons with a simple body for viewers, Blender and game engines: metres, y up, one file.

Each person is a skin over nodes that turn; at rest they stand as in `nodes.exporting.figure`. Times are the session's.
While somebody is away, the person's top node is scaled to nothing, so that nobody stands about.
https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nodes.exporting.bone_mesh import mesh_of
from nodes.exporting.figure import figure_of
from nodes.exporting.glb import FLOAT, UBYTE, Columns, Glb
from nodes.exporting.inverse_kinematics import Turns, places
from nodes.exporting.moments import Block
from nodes.exporting.plan import Person, Plan, Write, people_of
from nodes.exporting.posed import Posed

F64 = npt.NDArray[np.float64]
COLOURS = {"left": (0.1, 0.35, 0.8), "right": (0.8, 0.2, 0.15), "": (0.7, 0.7, 0.65)}  # by the side of the body
NOT_THERE = (1e-6, 1e-6, 1e-6)  # zero, which programs that turn matrices round do not like


@contextmanager
def gltf_file(plan: Plan, part: Path) -> Iterator[Write[Block]]:
    """One file with everybody in it. Raises OSError."""
    figure = figure_of(plan.skeleton)
    with ExitStack() as stack:
        takes = [
            _Take(Posed(figure, person), person, stack.enter_context(tempfile.TemporaryFile(dir=part.parent)))
            for person in people_of(plan)
        ]

        def write(block: Block) -> None:
            for take in takes:
                if take.person.id in block.people:
                    take.write(block, plan.rate_hz)

        yield write
        _document(plan, [take for take in takes if take.stretches]).save(part)


@dataclass
class _Take:
    """One person's turns, on disk until all are there. A row: time in s, root (3), a quaternion of each node (N, 4).

    stretches: [first, behind] numbers of the moments in which the person is there.
    """

    posed: Posed
    person: Person
    file: IO[bytes]
    stretches: list[list[int]] = field(default_factory=list)
    last: F64 | None = None

    def write(self, block: Block, rate_hz: float) -> None:
        rows = block.people[self.person.id]
        numbers = block.first + np.flatnonzero(rows.present)
        if not len(numbers):
            return
        turns = self.posed.solve(rows[rows.present])
        turned = continuous_quaternions(turns.local, self.last)
        self.last = turned[-1]
        columns = [(numbers / rate_hz)[:, None], turns.root_m, turned.reshape(len(turned), -1)]
        self.file.write(np.concatenate(columns, axis=1).astype("<f4").tobytes())
        for number in numbers.tolist():
            if self.stretches and self.stretches[-1][1] == number:
                self.stretches[-1][1] = number + 1
            else:
                self.stretches.append([number, number + 1])

    def columns(self, first: int, behind: int) -> Columns:
        count = sum(behind - first for first, behind in self.stretches)
        return Columns(self.file, count, 4 + 4 * len(self.posed.figure.nodes), first, behind)


def continuous_quaternions(R: F64, last: F64 | None) -> F64:
    """Unit quaternions x, y, z, w (B, N, 4) of rotations (B, N, 3, 3), of the two signs the one near that before."""
    trace = R[..., 0, 0] + R[..., 1, 1] + R[..., 2, 2]
    four = np.stack([*(2.0 * R[..., i, i] - trace for i in range(3)), trace], axis=-1) + 1.0  # 4 x², 4 y², 4 z², 4 w²
    x, y, z = (R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1])  # 4 w x, …
    xy, xz, yz = (R[..., i, j] + R[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    rows = (
        np.stack([four[..., 0], xy, xz, x], axis=-1),
        np.stack([xy, four[..., 1], yz, y], axis=-1),
        np.stack([xz, yz, four[..., 2], z], axis=-1),
        np.stack([x, y, z, four[..., 3]], axis=-1),
    )
    q = np.take_along_axis(np.stack(rows, axis=-2), four.argmax(axis=-1)[..., None, None], axis=-2)[..., 0, :]
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    before = np.concatenate([q[:1] if last is None else last[None], q[:-1]])
    flips = np.where(np.einsum("bni,bni->bn", before, q) < 0, -1.0, 1.0)
    out: F64 = q * np.cumprod(flips, axis=0)[..., None]
    return out


def _document(plan: Plan, takes: list[_Take]) -> Glb:
    glb = Glb("livepose3d")
    materials = {side: glb.add("materials", _material(side)) for side in COLOURS}
    animation: dict[str, Any] = {"name": plan.out.stem, "samplers": [], "channels": []}
    tops = [_person(glb, take, materials, animation, plan) for take in takes]
    glb.add("scenes", {"nodes": [node for nodes in tops for node in nodes]})
    glb.document["scene"] = 0
    glb.add("animations", animation)
    return glb


def _material(side: str) -> dict[str, Any]:
    colour = {"baseColorFactor": [*COLOURS[side], 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
    return {"name": side or "middle", "pbrMetallicRoughness": colour, "doubleSided": True}


def _person(glb: Glb, take: _Take, materials: dict[str, int], animation: dict[str, Any], plan: Plan) -> tuple[int, int]:
    """Add somebody; the nodes that belong to the scene: the skeleton's and the body's."""
    figure, name = take.posed.figure, f"p{take.person.id}"
    still = Turns(np.zeros((1, 3)), np.tile(np.eye(3), (1, len(figure.nodes), 1, 1)))
    rest_m = places(figure, take.posed.offset_m, still)[0]
    rest_m[:, 1] -= np.nanmin(rest_m[:, 1])  # feet on the floor
    nodes = []
    for i, node in enumerate(figure.nodes):
        at = rest_m[figure.root] if node.parent < 0 else take.posed.offset_of(i)
        nodes.append(glb.add("nodes", {"name": f"{name}_{node.name}", "translation": at.tolist()}))
    for i, node in enumerate(figure.nodes):
        if node.parent >= 0:
            glb.document["nodes"][nodes[node.parent]].setdefault("children", []).append(nodes[i])
    top = glb.add("nodes", {"name": name, "children": [nodes[0]]})
    _animate(glb, take, nodes, top, animation, plan)
    inverse_bind = np.tile(np.eye(4), (len(nodes), 1, 1))
    inverse_bind[:, :3, 3] = -rest_m[[node.at for node in figure.nodes]]
    skin = {
        "name": name,
        "joints": nodes,
        "skeleton": nodes[0],
        "inverseBindMatrices": glb.accessor(np.swapaxes(inverse_bind, 1, 2).reshape(-1, 16), FLOAT, "MAT4"),
    }
    body = {"name": f"{name}_body", "mesh": _mesh(glb, take, rest_m, materials), "skin": glb.add("skins", skin)}
    return top, glb.add("nodes", body)


def _mesh(glb: Glb, take: _Take, rest_m: F64, materials: dict[str, int]) -> int:
    primitives = []
    for side, material in materials.items():
        mesh = mesh_of(take.posed.figure, rest_m, side)
        if not len(mesh.node):
            continue
        moved = np.zeros((len(mesh.node), 4))
        moved[:, 0] = mesh.node
        attributes = {
            "POSITION": glb.accessor(mesh.positions_m, FLOAT, "VEC3", extent=True, vertices=True),
            "NORMAL": glb.accessor(mesh.normals, FLOAT, "VEC3", vertices=True),
            "JOINTS_0": glb.accessor(moved, UBYTE, "VEC4", vertices=True),
            "WEIGHTS_0": glb.accessor(np.tile([1.0, 0, 0, 0], (len(moved), 1)), FLOAT, "VEC4", vertices=True),
        }
        primitives.append({"attributes": attributes, "material": material})
    return glb.add("meshes", {"name": f"p{take.person.id}_body", "primitives": primitives})


def _animate(glb: Glb, take: _Take, nodes: list[int], top: int, animation: dict[str, Any], plan: Plan) -> None:
    def add(node: int, path: str, times: int, values: int, interpolation: str = "LINEAR") -> None:
        animation["samplers"].append({"input": times, "output": values, "interpolation": interpolation})
        target = {"node": node, "path": path}
        animation["channels"].append({"sampler": len(animation["samplers"]) - 1, "target": target})

    times = glb.accessor(take.columns(0, 1), FLOAT, "SCALAR", extent=True)
    add(nodes[0], "translation", times, glb.accessor(take.columns(1, 4), FLOAT, "VEC3"))
    for i, each in enumerate(take.posed.figure.nodes):
        if each.ends or any(other.parent == i for other in take.posed.figure.nodes):
            add(nodes[i], "rotation", times, glb.accessor(take.columns(4 + 4 * i, 8 + 4 * i), FLOAT, "VEC4"))
    changes = [(0, False), *((at, there) for first, behind in take.stretches for at, there in
                             ((first, True), (behind, False)))]  # fmt: skip
    shown = dict(change for change in changes if change[0] < plan.moments)  # at one moment the later one holds
    if False in shown.values():
        moments = np.array([[at / plan.rate_hz] for at in shown])
        sizes = np.array([(1.0, 1.0, 1.0) if there else NOT_THERE for there in shown.values()])
        scales = glb.accessor(sizes, FLOAT, "VEC3")
        add(top, "scale", glb.accessor(moments, FLOAT, "SCALAR", extent=True), scales, "STEP")
