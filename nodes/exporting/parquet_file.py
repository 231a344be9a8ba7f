"""Parquet: tidy rows (`nodes.exporting.tidy`) in columns; what speaks for all rows is in the file's metadata."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nodes.exporting.moments import Block
from nodes.exporting.plan import Plan, Write
from nodes.exporting.tidy import COLUMNS, ORIGINS, Tidy, camera_names, tidy

WORD = pa.dictionary(pa.int16(), pa.string())
TYPES = {
    **{"time": pa.float64(), "captured_ns": pa.int64(), "person": pa.int64(), "joint": WORD},
    **{axis: pa.float32() for axis in ("x", "y", "z", "sigma")},
    **{"views": pa.uint8(), "origin": WORD, "cameras": WORD},
}
GROUP_ROWS = 100_000  # some megabytes


@contextmanager
def parquet_file(plan: Plan, part: Path) -> Iterator[Write[Block]]:
    """One file with everybody in it. Raises OSError."""
    facts = {
        **{"units": "metres, seconds", "axes": plan.axes.value, "frame": plan.frame, "start_ns": plan.start_ns},
        **{"skeleton": plan.skeleton.name, "joints": plan.skeleton.joints, "cameras": plan.cameras},
    }
    schema = pa.schema([pa.field(name, TYPES[name]) for name in COLUMNS], metadata={"livepose3d": json.dumps(facts)})
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(part, schema, compression="zstd") as file:

        def flush() -> None:
            if waiting:
                file.write_table(pa.Table.from_batches(waiting, schema))
            waiting.clear()

        def write(block: Block) -> None:
            columns = _columns(tidy(block, plan), plan)
            waiting.append(pa.RecordBatch.from_arrays([columns[name] for name in COLUMNS], schema=schema))
            if sum(batch.num_rows for batch in waiting) >= GROUP_ROWS:
                flush()

        yield write
        flush()


def _columns(part: Tidy, plan: Plan) -> dict[str, Any]:
    seen, place = np.unique(part.views, return_inverse=True)
    return {
        "time": pa.array((part.captured_ns - plan.start_ns) * 1e-9),
        "captured_ns": pa.array(part.captured_ns),
        "person": pa.array(part.person),
        "joint": _words(part.joint, plan.skeleton.joints),
        **{axis: _numbers(part.xyz_m[:, i]) for i, axis in enumerate("xyz")},
        "sigma": _numbers(part.sigma_m),
        "views": pa.array(np.array([int(views).bit_count() for views in seen], np.uint8)[place]),
        "origin": _words(part.origin, ORIGINS),
        "cameras": _words(place, [camera_names(int(views), plan.cameras) for views in seen]),
    }


def _words(place: Any, words: Sequence[str]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(place.astype(np.int16)), pa.array(list(words), pa.string()))


def _numbers(values: Any) -> Any:
    """NaN as null, which readers of tables know as missing."""
    return pa.array(values.astype(np.float32), from_pandas=True)
