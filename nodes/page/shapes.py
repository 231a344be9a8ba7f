"""The two solids that people are drawn with, and how a bone is laid between two joints. Pure geometry.

Viser draws many copies of one mesh cheaply when each has its own position, orientation (quaternions wxyz), scale and
colour; a copy of scale 0 is not seen. N copies.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U32 = npt.NDArray[np.uint32]
SIDES = 10  # of a bone's cross-section
TINY_M = 1e-4


class Mesh(NamedTuple):
    """vertices: (V, 3). faces: (F, 3) indices of vertices, counter-clockwise seen from outside."""

    vertices: F32
    faces: U32


def ball(rings: int = 8, sides: int = 12) -> Mesh:
    """A ball of radius 1 around the origin."""
    polar = np.pi * np.arange(1, rings) / rings
    around = 2 * np.pi * np.arange(sides) / sides
    ring = np.stack([np.cos(around), np.sin(around)], axis=-1)
    body = [np.column_stack([np.sin(angle) * ring, np.full(sides, np.cos(angle))]) for angle in polar]
    vertices = np.concatenate([[(0.0, 0.0, 1.0)], *body, [(0.0, 0.0, -1.0)]])
    here = np.arange(sides)
    after = (here + 1) % sides
    last = len(vertices) - 1
    faces = [np.column_stack([np.zeros_like(here), 1 + here, 1 + after])]
    for row in range(rings - 2):
        upper, lower = 1 + row * sides, 1 + (row + 1) * sides
        faces.append(np.column_stack([upper + here, lower + here, lower + after]))
        faces.append(np.column_stack([upper + here, lower + after, upper + after]))
    faces.append(np.column_stack([last - sides + here, np.full_like(here, last), last - sides + after]))
    return Mesh(vertices.astype(np.float32), np.concatenate(faces).astype(np.uint32))


def bone() -> Mesh:
    """A rod of radius 1 along z from 0 to 1, a little thicker a quarter of the way, as bones of a rig are drawn."""
    profile = ((0.0, 0.55), (0.22, 1.0), (1.0, 0.5))  # height, radius
    around = 2 * np.pi * np.arange(SIDES) / SIDES
    ring = np.stack([np.cos(around), np.sin(around)], axis=-1)
    vertices = np.concatenate([np.column_stack([radius * ring, np.full(SIDES, z)]) for z, radius in profile])
    here = np.arange(SIDES)
    after = (here + 1) % SIDES
    faces = []
    for row in range(len(profile) - 1):
        lower, upper = row * SIDES, (row + 1) * SIDES
        faces.append(np.column_stack([lower + here, lower + after, upper + after]))
        faces.append(np.column_stack([lower + here, upper + after, upper + here]))
    return Mesh(vertices.astype(np.float32), np.concatenate(faces).astype(np.uint32))


def along(starts_m: F32, ends_m: F32) -> tuple[F32, F32]:
    """Quaternions (N, 4) that turn z towards the ends, and lengths (N,), from points (N, 3). NaN: no turn, length 0."""
    span = ends_m - starts_m
    span = np.where(np.isfinite(span).all(axis=-1, keepdims=True), span, 0)
    length = np.linalg.norm(span, axis=-1)
    direction = span / np.maximum(length, TINY_M)[:, None]
    # The half-way quaternion (1 + z·d, z × d); straight down it vanishes, and x is turned about in its place.
    wxyz = np.column_stack([1 + direction[:, 2], -direction[:, 1], direction[:, 0], np.zeros(len(span))])
    norm = np.linalg.norm(wxyz, axis=-1)
    wxyz[norm < TINY_M] = (0.0, 1.0, 0.0, 0.0)
    wxyz /= np.maximum(np.linalg.norm(wxyz, axis=-1), TINY_M)[:, None]
    return wxyz.astype(np.float32), length.astype(np.float32)
