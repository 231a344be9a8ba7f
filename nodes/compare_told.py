"""What `run_system.py compare A.mcap B.mcap` prints, draws and writes."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from lifter.datasets.errors import DatasetError
from lifter.skeleton import SKELETONS
from nodes.compare import Comparison, compare
from nodes.offline.compared import Named, named
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.wire.messages import Pose3D

MOST_PAIRS_TOLD = 12
ROWS_OF_JSON = 600
COLUMNS = 400

F64 = npt.NDArray[np.float64]


def compared_sessions(a: Path, b: Path, progress: Callable[[float], None] = lambda _: None) -> Comparison:
    """Compare two files. Raises SessionError that says which of them has what wrong."""
    with SessionReader(a) as session_a, SessionReader(b) as session_b:
        first_a, first_b = _first(session_a), _first(session_b)
        if first_a.frame != first_b.frame:
            raise SessionError(
                f"{a} has poses in the frame {first_a.frame!r}, {b} in {first_b.frame!r}: they cannot be held against "
                "each other"
            )
        of_a, of_b = _named(session_a, first_a), _named(session_b, first_b)
        span_ns = max(1, session_a.end_ns - session_a.start_ns)

        def told(poses: Iterator[Pose3D]) -> Iterator[Pose3D]:
            for pose in poses:
                progress(min(1.0, max(0.0, (pose.captured_ns - first_a.captured_ns) / span_ns)))
                yield pose

        try:
            made = compare(told(session_a.messages(Pose3D)), session_b.messages(Pose3D), of_a, of_b)
        except DatasetError as error:
            raise SessionError(f"{a} and {b} cannot be compared: {error}") from None
        if not made.ticks[0]:
            apart_s = (first_b.captured_ns - first_a.captured_ns) * 1e-9
            raise SessionError(
                f"{a} and {b} have no instant in common: the first pose of the second is {apart_s:+.1f} s from that of "
                "the first. Compare what was made of the same recording"
            )
    return made


def print_comparison(made: Comparison, a: Path, b: Path, console: Console) -> None:
    """The table, and what else there is to tell."""
    if made.identical:
        console.print(f"identical: {made.same} poses, the same to the last digit", highlight=False)
        return
    table = Table(title=f"A {a.name}, B {b.name}: distance and sigma, mm; in both, A only, B only, %", box=SIMPLE)
    table.add_column("joint", no_wrap=True)
    for column in ("mean", "median", "p95", "both", "A", "B", "σ A", "σ B"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in _joint_rows(made):
        shares = [f"{100 * row[key]:.1f}" for key in ("in_both", "in_a_only", "in_b_only")]
        sizes = [_mm(row[key]) for key in ("mean_mm", "median_mm", "p95_mm")]
        table.add_row(row["joint"], *sizes, *shares, _mm(row["sigma_a_mm"]), _mm(row["sigma_b_mm"]))
    console.print(table)
    for line in lines(made):
        console.print(line, highlight=False, markup=False)


def lines(made: Comparison) -> list[str]:
    """The rest in words."""
    both, alone_a, alone_b = made.ticks
    of_both, people_a, people_b = made.people
    lag_s = made.lag.seconds
    told = [
        f"instants: {both} in both, {made.same} of them the same to the last digit; {alone_a} in A only, "
        f"{alone_b} in B only",
        f"people at these: {of_both} in both, {people_a} in A only, {people_b} in B only; farthest joint "
        f"{_mm(1000 * made.farthest_m)} mm",
        f"ids: somebody of A became another in B {made.changes_of_id[0]} times, of B another in A "
        f"{made.changes_of_id[1]} times",
    ]
    if made.pairs:
        told.append("A is B: " + ", ".join(f"{x} is {y} ({count})" for (x, y), count in _most_pairs(made)))
    if math.isfinite(lag_s):
        told.append(f"B is {abs(1000 * lag_s):.1f} ms {'behind' if lag_s > 0 else 'ahead of'} A")
    return told


def document(made: Comparison, a: Path, b: Path) -> dict[str, Any]:
    """Everything, for a program; no value is NaN."""
    times_s, sums, _ = made.over_time.told(ROWS_OF_JSON)
    worst = made.worst.told(ROWS_OF_JSON)[1][:, 0]
    found: dict[str, Any] = {
        "a": str(a),
        "b": str(b),
        "identical": made.identical,
        "ticks": dict(zip(("both", "a_only", "b_only"), made.ticks, strict=True)),
        "same": made.same,
        "people": dict(zip(("both", "a_only", "b_only"), made.people, strict=True)),
        "changes_of_id": dict(zip(("a", "b"), made.changes_of_id, strict=True)),
        "pairs": [{"a": x, "b": y, "ticks": count} for (x, y), count in made.pairs.items()],
        "lag_ms": 1000 * made.lag.seconds,
        "farthest_mm": 1000 * made.farthest_m,
        "mean_mm": 1000 * float(made.total_m.sum() / max(1, made.reported[:, 0].sum())),
        "median_mm": 1000 * made.distance_m.quantile_of_all(0.5),
        "p95_mm": 1000 * made.distance_m.quantile_of_all(0.95),
        "joints": _joint_rows(made),
        "over_time": [
            {"at_s": float(t), "mean_mm": 1000 * _ratio(row[0], row[1]), "joints_in_one_only": int(row[2]),
             "farthest_mm": 1000 * float(most)}
            for t, row, most in zip(times_s, sums, _known(worst), strict=True)
        ],
    }  # fmt: skip
    return {key: _plain(value) for key, value in found.items()}


def save_json(made: Comparison, a: Path, b: Path, out: Path) -> None:
    """Write the document."""
    out.write_text(json.dumps(document(made, a, b), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def draw(made: Comparison, a: Path, b: Path, out: Path) -> None:
    """The plot: distance by joint, and over time with what only one of the two reports."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 9), layout="constrained")
    by_joint, over_time, alone = figure.subplots(3, 1, gridspec_kw={"height_ratios": [1.3, 1.2, 0.8]})
    figure.suptitle(f"A {a.name}   B {b.name}" + ("   identical" if made.identical else ""))
    x = np.arange(len(made.joints))
    most_mm, median_mm = (1000 * _zero_as(made.distance_m.quantile(share), made) for share in (0.95, 0.5))
    by_joint.bar(x, most_mm, color="#56b4e9", alpha=0.5, label="95 of 100 below")
    by_joint.bar(x, median_mm, color="#0072b2", label="median")
    by_joint.set_xticks(x, [joint.replace("_", " ") for joint in made.joints], rotation=60, ha="right", fontsize=8)
    by_joint.set_ylabel("distance, mm")
    times_s, sums, width_s = made.over_time.told(COLUMNS)
    worst = _known(made.worst.told(COLUMNS)[1][:, 0])
    over_time.plot(
        times_s, 1000 * sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan), color="#0072b2", label="mean"
    )
    over_time.plot(times_s, 1000 * worst, color="#d55e00", lw=0.8, alpha=0.7, label="farthest joint")
    over_time.set_ylabel("distance, mm")
    total = sums[:, 1] + sums[:, 2]
    alone.fill_between(times_s, 100 * sums[:, 2] / np.where(total > 0, total, np.nan), color="#e69f00", step="mid")
    alone.set_ylabel("joints in one\nonly, %")
    alone.set_ylim(0, 100)
    alone.set_xlabel("s since the first pose")
    for axes in (over_time, alone):
        axes.set_xlim(0, max(len(sums) * width_s, 0.1))
        axes.grid(alpha=0.3)
    for axes in (by_joint, over_time):
        axes.set_ylim(0, None)
        axes.legend(fontsize=8, loc="upper right")
    figure.savefig(out, dpi=110)


def _joint_rows(made: Comparison) -> list[dict[str, Any]]:
    shares = made.reported / np.maximum(made.reported.sum(axis=1, keepdims=True), 1)
    columns = {
        "mean_mm": 1000 * made.mean_m,
        "median_mm": 1000 * _zero_as(made.distance_m.quantile(0.5), made),
        "p95_mm": 1000 * _zero_as(made.distance_m.quantile(0.95), made),
        "in_both": shares[:, 0],
        "in_a_only": shares[:, 1],
        "in_b_only": shares[:, 2],
        "sigma_a_mm": 1000 * made.sigma_a_m.quantile(0.5),
        "sigma_b_mm": 1000 * made.sigma_b_m.quantile(0.5),
    }
    rows = [
        {"joint": joint, **{key: float(column[k]) for key, column in columns.items()}}
        for k, joint in enumerate(made.joints)
    ]
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _zero_as(values: F64, made: Comparison) -> F64:
    """Where all distances are 0, so is their quantile, which the steps of a spread do not have."""
    return np.where(made.mean_m == 0, 0.0, values)


def _most_pairs(made: Comparison) -> list[tuple[tuple[int, int], int]]:
    return sorted(made.pairs.items(), key=lambda pair: -pair[1])[:MOST_PAIRS_TOLD]


def _known(values: F64) -> F64:
    return np.where(np.isfinite(values), values, np.nan)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _plain(value: Any) -> Any:
    """NaN as null, at any depth."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _mm(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _first(session: SessionReader) -> Pose3D:
    pose = next(session.messages(Pose3D), None)
    if pose is None:
        raise SessionError(f"{session.path}: there are no poses in it: `run_system.py reprocess` makes them")
    return pose


def _named(session: SessionReader, pose: Pose3D) -> Named:
    skeleton = session.skeleton() or SKELETONS.get(pose.skeleton)
    if skeleton is None:
        raise SessionError(f"{session.path}: it does not say which joints its skeleton {pose.skeleton!r} has")
    return named(skeleton.joints)
