"""What is to be written: decided once, known to every writer before the first moment comes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lifter.skeleton import Skeleton
from nodes.exporting.moments import Grid
from nodes.exporting.survey import Stay

T = TypeVar("T")
Write = Callable[[T], None]


class Axes(StrEnum):
    """Which way is up; the world has z up."""

    Z_UP = "z-up"
    Y_UP = "y-up"


@dataclass(frozen=True)
class Plan:
    """out: as the user named it. moments: how many. start_ns: the first. rate_hz: NaN of poses as they were recorded.

    stays: of those people who are to be written. frame: `world`, or `root_relative` as in Pose3D.
    unit: of a BVH file.
    """

    out: Path
    skeleton: Skeleton
    stays: tuple[Stay, ...]
    cameras: tuple[str, ...]
    axes: Axes
    start_ns: int
    moments: int
    rate_hz: float
    frame: str
    unit: str

    @property
    def grid(self) -> Grid:
        return Grid(self.start_ns, self.rate_hz, self.moments)


@dataclass(frozen=True)
class Person:
    """One person's moments in one file. first, behind: numbers of the first one and of the one after the last.

    part: which of the files that somebody's time is divided into, from 1.
    """

    id: int
    first: int
    behind: int
    stay: Stay
    part: int = 1


def people_of(plan: Plan, most: int | None = None) -> list[Person]:
    """Everybody, from the first moment that somebody is there to the last; in parts of at most so many moments."""
    people = []
    for stay in plan.stays:
        first, behind = plan.grid.within(stay.first_ns, stay.last_ns)
        step = most or max(behind - first, 1)
        parts = enumerate(range(first, behind, step), start=1)
        people += [Person(stay.id, at, min(at + step, behind), stay, part) for part, at in parts]
    return people


def file_of(plan: Plan, person: Person) -> Path:
    """The file of one person, in formats that hold one: OUT; of several OUT_p3, of a long time OUT_part2 besides."""
    name = plan.out.stem if len(plan.stays) == 1 else f"{plan.out.stem}_p{person.id}"
    return plan.out.with_name(name + (f"_part{person.part}" if person.part > 1 else "") + plan.out.suffix)


def turned(points: npt.NDArray[np.floating[Any]], axes: Axes) -> npt.NDArray[np.floating[Any]]:
    """Points (…, 3) of the world in other axes: y up is (x, z, -y), the world turned by -90 degrees about x."""
    if axes is Axes.Z_UP:
        return points
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)
