"""A simple body over a figure at rest: a slim octahedron along every bone, each moved by one node."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nodes.exporting.figure import Figure

F64 = npt.NDArray[np.float64]
WIDTH = 0.09  # of a bone's length
WIDTHS_M = (0.008, 0.04)
WIDEST = 0.18  # where along the bone
SHORTEST_M = 0.01
RING = ((1, 0), (0, 1), (-1, 0), (0, -1))


@dataclass(frozen=True, eq=False)
class Mesh:
    """Flat triangles: positions_m, normals (V, 3), three vertices each; node: (V,) which one moves it."""

    positions_m: F64
    normals: F64
    node: npt.NDArray[np.int64]


def mesh_of(figure: Figure, rest_m: F64, side: str) -> Mesh:
    """The body of one side (left, right, or "" for the middle). rest_m: (J, 3) where somebody's joints are at rest."""
    triangles, moved = [np.zeros((0, 3, 3))], [np.zeros(0, np.int64)]
    for number, node in enumerate(figure.nodes):
        for end in node.ends:
            name = figure.joints[end]
            of_side = name.partition("_")[0] if name.startswith(("left_", "right_")) else ""
            if of_side == side and np.linalg.norm(rest_m[end] - rest_m[node.at]) >= SHORTEST_M:
                triangles.append(_octahedron(rest_m[node.at], rest_m[end]))
                moved.append(np.full(len(triangles[-1]), number))
    corners = np.concatenate(triangles)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return Mesh(corners.reshape(-1, 3), np.repeat(normal, 3, axis=0), np.repeat(np.concatenate(moved), 3))


def _octahedron(start: F64, end: F64) -> F64:
    """Eight triangles (8, 3, 3), counter-clockwise seen from outside."""
    along = end - start
    length = float(np.linalg.norm(along))
    along = along / length
    across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    across /= np.linalg.norm(across)
    third = np.cross(along, across)
    width = float(np.clip(WIDTH * length, *WIDTHS_M))
    ring = [start + along * (WIDEST * length) + width * (a * across + b * third) for a, b in RING]
    pairs = [(ring[i], ring[(i + 1) % 4]) for i in range(4)]
    return np.array([[start, two, one] for one, two in pairs] + [[end, one, two] for one, two in pairs])
