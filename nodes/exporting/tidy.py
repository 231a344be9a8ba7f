"""Tidy rows: one for each joint of each person at each moment; CSV writes them as text, Parquet in columns.

| column | |
|---|---|
| time | seconds since the first moment |
| captured_ns | the moment, nanoseconds since the Unix epoch on the hub's clock |
| person, joint | id, name |
| x, y, z | metres; empty where the joint is absent |
| sigma | standard deviation per axis, metres |
| views | how many cameras contributed |
| origin | triangulated, fused, lifted, predicted; absent |
| cameras | which contributed, with a blank between |
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nodes.exporting.moments import Block
from nodes.exporting.plan import Plan, turned
from nodes.wire.messages import Origin

COLUMNS = ("time", "captured_ns", "person", "joint", "x", "y", "z", "sigma", "views", "origin", "cameras")
ORIGINS = tuple(origin.name.lower() for origin in Origin)


@dataclass(frozen=True, eq=False)
class Tidy:
    """N rows, by moment, person, joint. joint, origin: places in the skeleton and in ORIGINS. views: bits."""

    captured_ns: npt.NDArray[np.int64]
    person: npt.NDArray[np.int64]
    joint: npt.NDArray[np.int64]
    xyz_m: npt.NDArray[np.floating[Any]]
    sigma_m: npt.NDArray[np.floating[Any]]
    views: npt.NDArray[np.uint32]
    origin: npt.NDArray[np.uint8]


def tidy(block: Block, plan: Plan) -> Tidy:
    """The rows of a block; somebody who is not there has none."""
    J = len(plan.skeleton.joints)
    ids = sorted(block.people)
    parts = [(np.flatnonzero(block.people[who].present), who) for who in ids]
    moment = np.concatenate([at for at, _ in parts]) if parts else np.zeros(0, np.int64)
    order = np.argsort(moment, kind="stable")

    def stacked(name: str, empty: tuple[int, ...]) -> npt.NDArray[Any]:
        rows = [getattr(block.people[who], name)[at] for at, who in parts]
        return np.concatenate(rows)[order] if rows else np.zeros(empty)

    person = np.concatenate([np.full(len(at), who) for at, who in parts]) if parts else moment
    return Tidy(
        np.repeat(block.captured_ns[moment[order]], J),
        np.repeat(person[order], J),
        np.tile(np.arange(J), len(order)),
        turned(stacked("joints_m", (0, J, 3)), plan.axes).reshape(-1, 3),
        stacked("sigma_m", (0, J)).reshape(-1),
        stacked("views", (0, J)).reshape(-1).astype(np.uint32),
        stacked("origin", (0, J)).reshape(-1).astype(np.uint8),
    )


@lru_cache(maxsize=4096)
def camera_names(views: int, cameras: tuple[str, ...]) -> str:
    """Names of the cameras whose bits are set."""
    return " ".join(camera for bit, camera in enumerate(cameras) if views >> bit & 1)


def rows_of(part: Tidy, plan: Plan) -> Iterator[tuple[float, int, int, str, list[float], float, int, str, str]]:
    """The rows as plain values, in the order of COLUMNS but for x, y, z, which are one list."""
    joints, cameras = plan.skeleton.joints, plan.cameras
    columns = zip(
        ((part.captured_ns - plan.start_ns) * 1e-9).tolist(),
        part.captured_ns.tolist(),
        part.person.tolist(),
        part.joint.tolist(),
        part.xyz_m.tolist(),
        part.sigma_m.tolist(),
        part.views.tolist(),
        part.origin.tolist(),
        strict=True,
    )
    for time_s, captured_ns, person, joint, xyz, sigma, views, origin in columns:
        yield (
            *(time_s, captured_ns, person, joints[joint], xyz, sigma, views.bit_count()),
            *(ORIGINS[origin], camera_names(views, cameras)),
        )
