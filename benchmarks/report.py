"""What every benchmark prints and writes: its table, the machine, its aims and whether they were met."""

import argparse
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nodes.machine import machine, versions


@dataclass(frozen=True)
class Aim:
    """A figure that is wanted: `value` must be at most (or at least) `limit`."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{'met   ' if self.met else 'MISSED'} {self.name}: {self.value:.4g} (aim {sign} {self.limit:g})"


@dataclass
class Report:
    """Rows of figures under one title; `finish` prints and writes them and gives the exit code."""

    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)

    def row(self, **figures: Any) -> None:
        """Add a row; the keys are the table's columns."""
        self.rows.append(figures)

    def aim(self, name: str, value: float, limit: float, at_least: bool = False) -> None:
        """Hold a figure against what was aimed at."""
        self.aims.append(Aim(name, value, limit, at_least))

    def finish(self, options: argparse.Namespace) -> int:
        """Print all; write JSON when asked; 1 when --check was given and an aim was missed."""
        console = Console()
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        table = Table(title=self.title)
        for column in columns:
            table.add_column(column, justify="left" if column == columns[0] else "right")
        for row in self.rows:
            table.add_row(*(_shown(row.get(column, "")) for column in columns))
        console.print(table)
        told = machine()
        console.print(f"on {told['cpu']}, {told['cores']} cores, {told['memory_gib']} GiB, {told['system']}")
        for aim in self.aims:
            console.print(str(aim), markup=False, highlight=False)
        if options.json:
            self._write(options.json, told)
        return 1 if options.check and not all(aim.met for aim in self.aims) else 0

    def _write(self, path: Path, told: dict[str, Any]) -> None:
        aims = [{"name": a.name, "value": a.value, "limit": a.limit, "met": a.met} for a in self.aims]
        rows = [{key: None if _is_nan(value) else value for key, value in row.items()} for row in self.rows]
        document = {"title": self.title, "machine": told, "versions": versions(), "rows": rows, "aims": aims}
        path.write_text(json.dumps(document, indent=2, allow_nan=False))


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    made.add_argument("--check", action="store_true", help="exit with 1 when an aim is missed")
    return made


def refuse(why: str) -> int:
    """Say why a benchmark cannot run here; its exit code."""
    print(why, file=sys.stderr)
    return 2


def _shown(value: Any) -> str:
    if _is_nan(value):
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
