"""NPZ: plain arrays in the layout of `reprocess`'s results (docs/reprocess.md), which `nodes.evaluate` reads.

Rows go to disk as they come, one file for each array, and from there into the archive: memory does not grow.
"""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nodes.exporting.moments import Block, Rows, absent
from nodes.exporting.plan import Plan, Write, turned

COPIED = 1 << 20  # bytes at a time


@contextmanager
def npz_file(plan: Plan, part: Path) -> Iterator[Write[Block]]:
    """One file with everybody in it, a column each. Raises OSError."""
    P, J = len(plan.stays), len(plan.skeleton.joints)
    shapes: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "captured_ns": (np.int64, ()),
        "person_id": (np.int64, (P,)),
        "joints_m": (np.float32, (P, J, 3)),
        "sigma_m": (np.float32, (P, J)),
        "views": (np.uint32, (P, J)),
        "origin": (np.uint8, (P, J)),
        "reprojection_px": (np.float32, (P, J)),
    }
    with ExitStack() as stack:
        files = {name: stack.enter_context(tempfile.TemporaryFile(dir=part.parent)) for name in shapes}

        def write(block: Block) -> None:
            for name, rows in _arrays(block, plan).items():
                files[name].write(rows.astype(np.dtype(shapes[name][0]).newbyteorder("<")).tobytes())

        yield write
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, (dtype, shape) in shapes.items():
                _copy(archive, name, files[name], np.dtype(dtype), (plan.moments, *shape))
            for name, value in _constants(plan).items():
                with archive.open(f"{name}.npy", "w") as entry:
                    np.lib.format.write_array(entry, value, allow_pickle=False)  # type: ignore[no-untyped-call]


def _arrays(block: Block, plan: Plan) -> dict[str, npt.NDArray[Any]]:
    nobody = absent(len(block.captured_ns), len(plan.skeleton.joints))
    rows: list[Rows] = [block.people.get(stay.id, nobody) for stay in plan.stays]
    ids = [np.where(each.present, stay.id, -1) for each, stay in zip(rows, plan.stays, strict=True)]
    return {
        "captured_ns": block.captured_ns,
        "person_id": np.stack(ids, axis=1),
        "joints_m": turned(np.stack([each.joints_m for each in rows], axis=1), plan.axes),
        "sigma_m": np.stack([each.sigma_m for each in rows], axis=1),
        "views": np.stack([each.views for each in rows], axis=1),
        "origin": np.stack([each.origin for each in rows], axis=1),
        "reprojection_px": np.stack([each.reprojection_px for each in rows], axis=1),
    }


def _constants(plan: Plan) -> dict[str, npt.NDArray[Any]]:
    words = {"skeleton": plan.skeleton.name, "axes": plan.axes.value, "frame": plan.frame, "units": "metres"}
    return {
        "joints": np.array(plan.skeleton.joints),
        "cameras": np.array(plan.cameras, dtype=str),
        **{name: np.array(word) for name, word in words.items()},
    }


def _copy(archive: zipfile.ZipFile, name: str, rows: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raw rows as an array of the archive."""
    rows.seek(0)
    header = {"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        np.lib.format.write_array_header_1_0(entry, header)  # type: ignore[no-untyped-call]
        while piece := rows.read(COPIED):
            entry.write(piece)
