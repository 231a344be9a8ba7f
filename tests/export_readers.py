"""Readers of our exports that share nothing with what writes them: TRC as it is described, BVH by its grammar."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Markers:
    """head: the numbers of the third line by the names in the second. xyz: (T, M, 3), NaN where empty."""

    head: dict[str, str]
    names: list[str]
    frame: npt.NDArray[Any]
    time_s: npt.NDArray[Any]
    xyz: npt.NDArray[Any]


def read_trc(path: Path) -> Markers:
    """As OpenSim does: fields between tabs, an empty field behind the last tab is none."""
    lines = path.read_text().split("\n")
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    head = dict(zip(lines[1].split(), lines[2].split(), strict=True))
    names = [name for name in lines[3].split("\t")[2:] if name]
    assert lines[4].split() == [f"{axis}{i + 1}" for i in range(len(names)) for axis in "XYZ"]
    assert not lines[5]
    rows = [line.removesuffix("\t").split("\t") for line in lines[6:] if line]
    assert {len(row) for row in rows} == {2 + 3 * len(names)}
    numbers = np.array([[float(field or "nan") for field in row] for row in rows])
    xyz = numbers[:, 2:].reshape(len(rows), len(names), 3)
    return Markers(head, names, numbers[:, 0].astype(int), numbers[:, 1], xyz)


@dataclass
class Joint:
    name: str
    parent: int
    offset: npt.NDArray[Any]
    channels: list[str]


@dataclass(frozen=True)
class Skeleton:
    """positions: (T, joints, 3) by forward kinematics. values: (T, channels) as written."""

    joints: list[Joint]
    frame_s: float
    values: npt.NDArray[Any]
    positions: npt.NDArray[Any]

    def of(self, name: str) -> npt.NDArray[Any]:
        return self.positions[:, [joint.name for joint in self.joints].index(name)]


def read_bvh(path: Path) -> Skeleton:
    """A BVH file: HIERARCHY, MOTION, and where its joints are."""
    words = iter(path.read_text().split())
    assert next(words) == "HIERARCHY"
    joints: list[Joint] = []
    open_: list[int] = []
    while (word := next(words)) != "MOTION":
        if word in ("ROOT", "JOINT", "End"):
            name = next(words)
            name = f"{joints[open_[-1]].name} end" if word == "End" else name
            joints.append(Joint(name, open_[-1] if open_ else -1, np.zeros(3), []))
        elif word == "{":
            open_.append(len(joints) - 1)
        elif word == "}":
            open_.pop()
        elif word == "OFFSET":
            joints[open_[-1]].offset = np.array([float(next(words)) for _ in range(3)])
        else:
            assert word == "CHANNELS"
            joints[open_[-1]].channels = [next(words) for _ in range(int(next(words)))]
    assert next(words) == "Frames:"
    count = int(next(words))
    assert (next(words), next(words)) == ("Frame", "Time:")
    frame_s = float(next(words))
    values = np.array([float(word) for word in words]).reshape(count, -1)
    return Skeleton(joints, frame_s, values, _forward(joints, values))


def _forward(joints: list[Joint], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    columns = iter(values.T)
    positions, turns = np.zeros((len(values), len(joints), 3)), np.zeros((len(values), len(joints), 3, 3))
    for number, joint in enumerate(joints):
        place, turn = np.tile(joint.offset, (len(values), 1)), np.tile(np.eye(3), (len(values), 1, 1))
        for channel in joint.channels:
            value, axis = next(columns), "XYZ".index(channel[0])
            if channel.endswith("position"):
                place[:, axis] += value
            else:
                turn = turn @ _about(axis, np.deg2rad(value))
        if joint.parent < 0:
            positions[:, number], turns[:, number] = place, turn
        else:
            above = turns[:, joint.parent]
            positions[:, number] = positions[:, joint.parent] + (above @ place[..., None])[..., 0]
            turns[:, number] = above @ turn
    return positions


def _about(axis: int, angle: npt.NDArray[Any]) -> npt.NDArray[Any]:
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turn = np.tile(np.eye(3), (len(angle), 1, 1))
    turn[:, one, one] = turn[:, two, two] = np.cos(angle)
    turn[:, two, one] = np.sin(angle)
    turn[:, one, two] = -np.sin(angle)
    return turn
