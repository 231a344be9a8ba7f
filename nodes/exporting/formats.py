"""The one table of formats: what each can hold, what it needs, and what writes it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lifter.skeleton import Skeleton
from nodes.exporting.each_person import OpenOne
from nodes.exporting.moments import Block
from nodes.exporting.plan import Axes, Plan, Write

OpenAll = Callable[[Plan, Path], AbstractContextManager[Write[Block]]]
Z_FIRST, Y_FIRST = (Axes.Z_UP, Axes.Y_UP), (Axes.Y_UP, Axes.Z_UP)
STANDS_STILL = "BVH knows no absence: where somebody or a limb is not seen, it stands still"


@dataclass(frozen=True)
class Format:
    """axes: those that it can have, the usual one first. everybody: opens a file with all people; one_person: with one.

    even: it has a rate in place of times. most: moments in one file. bones: a figure of rigid bones.
    """

    name: str
    endings: tuple[str, ...]
    unit: str
    axes: tuple[Axes, ...]
    everybody: Callable[[], OpenAll] | None = None
    one_person: Callable[[], OpenOne] | None = None
    even: bool = True
    most: int | None = None
    when_absent: str = ""
    bones: bool = False

    def opener(self) -> OpenAll | OpenOne | None:
        """What writes it. Raises ImportError when a package is missing."""
        return (self.one_person or self.everybody or (lambda: None))()

    def left_out(self, skeleton: Skeleton) -> tuple[str, ...]:
        """Joints that cannot be written."""
        from nodes.exporting.figure import figure_of

        return figure_of(skeleton).left_out if self.bones else ()


def _csv() -> OpenAll:
    from nodes.exporting.csv_file import csv_file

    return csv_file


def _parquet() -> OpenAll:
    from nodes.exporting.parquet_file import parquet_file

    return parquet_file


def _npz() -> OpenAll:
    from nodes.exporting.npz_file import npz_file

    return npz_file


def _trc() -> OpenOne:
    from nodes.exporting.trc_file import trc_file

    return trc_file


def _c3d() -> OpenOne:
    from nodes.exporting.c3d_file import c3d_file

    return c3d_file


def _bvh() -> OpenOne:
    from nodes.exporting.bvh_file import bvh_file

    return bvh_file


def _gltf() -> OpenAll:
    from nodes.exporting.gltf_file import gltf_file

    return gltf_file


FORMATS = {
    each.name: each
    for each in (
        Format("csv", (".csv",), "m", Z_FIRST, everybody=_csv, even=False),
        Format("parquet", (".parquet",), "m", Z_FIRST, everybody=_parquet, even=False),
        Format("npz", (".npz",), "m", Z_FIRST, everybody=_npz, even=False),
        Format("trc", (".trc",), "mm", Y_FIRST, one_person=_trc),
        Format("c3d", (".c3d",), "mm", Z_FIRST, one_person=_c3d, most=65_535),
        Format("bvh", (".bvh",), "m", (Axes.Y_UP,), one_person=_bvh, bones=True, when_absent=STANDS_STILL),
        Format("gltf", (".glb",), "m", (Axes.Y_UP,), everybody=_gltf, bones=True),
    )
}
