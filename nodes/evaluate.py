"""Scores a result of `run_system.py reprocess` against the truth in its sequence: `python -m nodes.evaluate --help`."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from lifter.datasets.errors import DatasetError
from nodes.offline.pairing import pair
from nodes.offline.result_file import load_result
from nodes.offline.scores import scores
from nodes.offline.sequence import load_truth

EXAMPLES = """\
examples:
  python run_system.py reprocess walk.npz --out out.npz
  python -m nodes.evaluate out.npz walk.npz --json scores.json

walk.npz is a neutral multi-view file with gt3d and gt_joints. docs/reprocess.md says what each score means."""


def evaluate(result: Path, sequence: Path) -> dict[str, Any]:
    """All scores of a result against the truth in a sequence. Raises DatasetError."""
    return {"result": result.name, "truth": sequence.name} | scores(pair(load_result(result), load_truth(sequence)))


def main(arguments: list[str] | None = None) -> int:
    """Print the scores; 0, or 2 with the reason on stderr when a file cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m nodes.evaluate",
        description="Score 3D poses against the truth in a recording.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("result", type=Path, metavar="OUT.npz", help="what reprocess wrote")
    parser.add_argument("sequence", type=Path, metavar="SEQ.npz", help="the recording with the truth (gt3d, gt_joints)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all scores here, too; what is not known is null"
    )
    given = parser.parse_args(arguments)
    try:
        found = evaluate(given.result, given.sequence)
        if given.json is not None:
            _write(found, given.json, (given.result, given.sequence))
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{given.json} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    _print(found)
    return 0


def _write(found: dict[str, Any], path: Path, inputs: tuple[Path, ...]) -> None:
    if any(path.exists() and path.samefile(each) for each in inputs):
        raise DatasetError(f"--json {path} is an input, which would be lost: give another name")
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(_known(found), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _known(value: Any) -> Any:
    """The same with None for numbers that are none: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(found: dict[str, Any]) -> None:
    """The scores as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("score", "value", title=f"{found['result']} against {found['truth']}", title_justify="left")
    for name, value in _rows(found):
        table.add_row(name, value)
    Console().print(table)


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    by_mm = " / ".join(found["ap"])
    jitter, sigma, pcp = found["jitter"], found["sigma"], found["pcp3d"]
    rows = [
        ("frames, people, joints compared", f"{found['frames']}, {found['people']}, {len(found['joints_compared'])}"),
        ("MPJPE absolute", f"{found['mpjpe_mm']:.1f} mm (median {found['median_mm']:.1f})"),
        ("MPJPE root-relative", f"{found['mpjpe_root_mm']:.1f} mm"),
        ("MPJPE, unreported joints as 300 mm", f"{found['mpjpe_unreported_300_mm']:.1f} mm"),
        ("joints reported", f"{found['reported']:.1%}"),
        ("PCP3D strict, mean of actors", f"{pcp['average']:.1%}"),
        ("  by part", ", ".join(f"{part} {share:.1%}" for part, share in pcp["parts"].items())),
        ("  by actor", ", ".join(f"{actor['all']:.1%}" for actor in pcp["actors"])),
        ("PCP3D, mean of both ends", f"{found['pcp3d_mean_of_ends']['average']:.1%}"),
        (f"AP at {by_mm} mm", " / ".join(f"{ap:.1%}" for ap in found["ap"].values())),
        (f"recall at {by_mm} mm", " / ".join(f"{recall:.1%}" for recall in found["recall"].values())),
        ("id switches", str(found["id_switches"])),
        ("misses, false people", f"{found['misses']} of {found['people_expected']}, {found['false_people']}"),
        (
            "acceleration: error, ours, truth",
            f"{jitter['acceleration_error_m_s2']:.2f}, {jitter['acceleration_m_s2']:.2f}, "
            f"{jitter['truth_acceleration_m_s2']:.2f} m/s²",
        ),
        ("lag", f"{found['lag_ms']:.1f} ms"),
    ]
    for origin, told in sigma.items():
        if told["joints"]:
            share = f"{told['within_1_sigma']:.1%} / {told['within_2_sigma']:.1%} within 1 / 2 sigma"
            what = f"{told['normalised_error2']:.2f}, {share}, {told['joints']} joints"
            rows.append((f"error² / 3 sigma², {origin}", what))
    return rows


if __name__ == "__main__":
    sys.exit(main())
