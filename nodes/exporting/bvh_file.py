"""BVH, an animated skeleton for Blender, MotionBuilder and others: text, y up, looking along +z at rest, degrees.

Turns are Zrotation Xrotation Yrotation (R = Rz Rx Ry), continuous over time. BVH knows no absence: somebody who is not
seen stands still. It knows no unit either: Blender takes a number for a metre, so metres are written unless asked for
centimetres, which MotionBuilder, Maya and Unreal expect.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nodes.exporting.figure import figure_of
from nodes.exporting.moments import Rows
from nodes.exporting.plan import Person, Plan, Write
from nodes.exporting.posed import Posed

F64 = npt.NDArray[np.float64]
UNITS = {"m": 1.0, "cm": 100.0}  # of a metre
TIP = 0.2  # of a bone: how far the last one of a limb goes on, for programs that draw bones and not joints
LEAST_TIP_M = 0.02
LOCKED = 1e-7  # cosine of the middle angle under which the others cannot be told apart


@contextmanager
def bvh_file(plan: Plan, person: Person, part: Path) -> Iterator[Write[Rows]]:
    """One person's file. Raises OSError."""
    scale = UNITS[plan.unit]
    posed = Posed(figure_of(plan.skeleton), person)
    last = np.zeros((len(posed.figure.nodes), 3))
    with part.open("w", encoding="ascii", newline="\n") as file:
        file.write("\n".join(["HIERARCHY", *_hierarchy(posed, 0, scale, ""), "MOTION", ""]))
        file.write(f"Frames: {person.behind - person.first}\nFrame Time: {1.0 / plan.rate_hz:.9f}\n")

        def write(rows: Rows) -> None:
            nonlocal last
            if not len(rows.sigma_m):
                return
            turns = posed.solve(rows)
            angles = continuous_angles(turns.local, last)
            last = angles[-1]
            for place, degrees in zip(turns.root_m * scale, np.rad2deg(angles), strict=True):
                numbers = [f"{x:.6f}" for x in place.tolist()] + [f"{x:.5f}" for x in degrees.ravel().tolist()]
                file.write(" ".join(numbers) + "\n")

        yield write


def continuous_angles(local: F64, last: F64) -> F64:
    """Angles (B, N, 3) about z, x, y in radians of turns (B, N, 3, 3), each moment's nearest to the one before.

    last: (N, 3) the angles before. Every turn has two triples of angles within a circle, and these any full circles on.
    """
    one = _angles(local)
    two = np.stack([one[..., 0] + np.pi, np.pi - one[..., 1], one[..., 2] + np.pi], axis=-1)
    out = np.empty_like(one)
    for b in range(len(local)):
        near = [last + _wrapped(each[b] - last) for each in (one, two)]
        far = [np.abs(each - last).sum(axis=-1) for each in near]
        last = out[b] = np.where((far[0] <= far[1])[:, None], near[0], near[1])
    return out


def _angles(R: F64) -> F64:
    """z, x, y of R = Rz Rx Ry; where x is a right angle, all of the other turn is y's."""
    x = np.arcsin(np.clip(R[..., 2, 1], -1.0, 1.0))
    locked = np.hypot(R[..., 2, 0], R[..., 2, 2]) < LOCKED
    z = np.where(locked, 0.0, np.arctan2(-R[..., 0, 1], R[..., 1, 1]))
    y = np.where(locked, np.arctan2(R[..., 0, 2], R[..., 0, 0]), np.arctan2(-R[..., 2, 0], R[..., 2, 2]))
    return np.stack([z, x, y], axis=-1)


def _wrapped(angle: F64) -> F64:
    return angle - 2.0 * np.pi * np.round(angle / (2.0 * np.pi))


def _hierarchy(posed: Posed, node: int, scale: float, indent: str) -> list[str]:
    nodes = posed.figure.nodes
    here = nodes[node]
    inner = indent + "  "
    channels = "6 Xposition Yposition Zposition" if here.parent < 0 else "3"
    lines = [
        f"{indent}{'ROOT' if here.parent < 0 else 'JOINT'} {here.name}",
        indent + "{",
        f"{inner}OFFSET {_numbers(posed.offset_of(node) * scale)}",
        f"{inner}CHANNELS {channels} Zrotation Xrotation Yrotation",
    ]
    below = [i for i, each in enumerate(nodes) if each.parent == node]
    for each in below:
        lines += _hierarchy(posed, each, scale, inner)
    if not below:
        lines += [
            f"{inner}End Site",
            inner + "{",
            f"{inner}  OFFSET {_numbers(_tip(posed, node) * scale)}",
            inner + "}",
        ]
    return [*lines, indent + "}"]


def _tip(posed: Posed, node: int) -> F64:
    arm: F64 = posed.offset_of(node)
    length = max(float(np.linalg.norm(arm)), 1e-6)
    return arm / length * max(TIP * length, LEAST_TIP_M)


def _numbers(values: F64) -> str:
    return " ".join(f"{value:.6f}" for value in values.tolist())
