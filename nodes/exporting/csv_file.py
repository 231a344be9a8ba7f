"""CSV: tidy rows (`nodes.exporting.tidy`) as text, a header line, commas, points in numbers, UTF-8."""

import csv
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodes.exporting.moments import Block
from nodes.exporting.plan import Plan, Write
from nodes.exporting.tidy import COLUMNS, rows_of, tidy


@contextmanager
def csv_file(plan: Plan, part: Path) -> Iterator[Write[Block]]:
    """One file with everybody in it. Raises OSError."""
    with part.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)

        def write(block: Block) -> None:
            rows.writerows(
                (f"{time_s:.6f}", captured_ns, person, joint, *map(_metres, xyz), _metres(sigma), *rest)
                for time_s, captured_ns, person, joint, xyz, sigma, *rest in rows_of(tidy(block, plan), plan)
            )

        yield write


def _metres(value: float) -> str:
    """To a hundredth of a millimetre; empty where there is none."""
    return "" if math.isnan(value) else f"{value:.5f}"
