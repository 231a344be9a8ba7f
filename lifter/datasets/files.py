"""The files that patterns mean: `matching(folder, patterns)`; what matches nothing is told."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from lifter.datasets.errors import DatasetError


def matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Files within the folder that match any of the patterns, in order of name.

    Raises DatasetError naming what there is when there are none. Warns of a pattern that matched nothing while others
    did: it may be a misspelling.
    """
    if not folder.is_dir():
        raise DatasetError(f"the data folder {folder} does not exist; give it with --data")
    found = {pattern: _files(folder, pattern) for pattern in patterns}
    if not any(found.values()):
        there = sorted(str(path.relative_to(folder)) for path in folder.glob("**/*.npz")) or ["no .npz at all"]
        raise DatasetError(f"{folder}: no file matches {' or '.join(patterns)}; it has {shortened(there)}")
    for pattern, paths in found.items():
        if not paths:
            warnings.warn(f"{folder}: no file matches {pattern!r}", stacklevel=3)
    return sorted(set().union(*found.values()))


def shortened(names: Sequence[str], most: int = 40) -> str:
    """Names for a message, the first ones of many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _files(folder: Path, pattern: str) -> set[Path]:
    try:
        return {path for path in folder.glob(pattern) if path.is_file()}
    except (ValueError, NotImplementedError) as error:
        raise DatasetError(f"the pattern {pattern!r} is not one of names within {folder}: {error}") from error
