"""The report's pictures, by matplotlib, as PNG bytes."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.rig import CameraRig
from nodes.report.gather import LATENCY_MS, LATENCY_STEPS, STAGES, Gathered
from nodes.report.people_seen import MAIN, longest_first
from nodes.wire.messages import Origin

F64 = npt.NDArray[np.float64]

DPI = 110
WIDTH_IN = 10.0
MOST_SHOWN = 8  # people with a picture of their own
MOST_ROWS = 40  # people among the times
MOST_POINTS = 1200
COLUMNS = 300  # of what is shown as a row of colours
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6d31", "#555555")  # Okabe and Ito
ORIGIN_COLOURS = {
    Origin.ABSENT: "#dddddd",
    Origin.TRIANGULATED: "#0072b2",
    Origin.FUSED: "#009e73",
    Origin.LIFTED: "#e69f00",
    Origin.PREDICTED: "#cc79a7",
}


def top_view(gathered: Gathered, rig: CameraRig | None) -> bytes:
    """The way of each person's hips over the floor, and the cameras."""
    figure = Figure(figsize=(WIDTH_IN * 0.75, 6))
    axes = figure.add_subplot()
    for colour, number in _people(gathered):
        places, _ = _places(gathered, number)
        axes.plot(places[:, 0, 0], places[:, 0, 1], color=colour, lw=1.2, label=f"person {number}")
        known = places[np.isfinite(places[:, 0, 0]), 0]
        if len(known):
            axes.plot(*known[0, :2], "o", color=colour, ms=5)
            axes.plot(*known[-1, :2], "s", color=colour, ms=5)
    if rig is not None and gathered.frame == "world":
        for camera in rig.cameras:
            x, y = camera.T_world_cam[:2, 3]
            towards = camera.T_world_cam[:2, 2]
            axes.annotate(
                "",
                (x + 0.5 * towards[0], y + 0.5 * towards[1]),
                (x, y),
                arrowprops={"arrowstyle": "->", "color": "#777777"},
            )
            axes.plot(x, y, "^", color="#777777", ms=6)
            axes.annotate(camera.name, (x, y), textcoords="offset points", xytext=(5, 5), fontsize=8, color="#555555")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("x, m")
    axes.set_ylabel("y, m")
    axes.grid(alpha=0.3)
    _legend(axes, backwards=True)
    return _png(figure)


def places_over_time(gathered: Gathered) -> bytes:
    """x, y and z of everybody's hips."""
    figure = Figure(figsize=(WIDTH_IN, 5.5))
    for k, name in enumerate("xyz"):
        axes = figure.add_subplot(3, 1, k + 1)
        for colour, number in _people(gathered):
            places, times_s = _places(gathered, number)
            axes.plot(times_s, places[:, 0, k], color=colour, lw=1, label=f"person {number}")
        axes.set_ylabel(f"{name}, m")
        _draw_marks(axes, gathered)
        axes.set_xlim(0, _end_s(gathered))
        axes.grid(alpha=0.3)
        if k == 0:
            _legend(axes, backwards=True)
        axes.tick_params(labelbottom=k == 2)
    axes.set_xlabel("time in the take, s")
    return _png(figure)


def heights(gathered: Gathered, number: int) -> bytes:
    """z of one person's main joints, with their least and greatest where a point stands for several poses."""
    figure = Figure(figsize=(WIDTH_IN, 2.6))
    axes = figure.add_subplot()
    places, times_s = _places(gathered, number)
    path = gathered.people.paths[number]  # its lines were fed at the same moments, so their rows are alike
    low, high = path.lowest.told(MOST_POINTS)[1], path.highest.told(MOST_POINTS)[1]
    for k, name in enumerate(MAIN):
        if not np.isfinite(places[:, k, 2]).any():
            continue
        axes.plot(times_s, places[:, k, 2], color=COLOURS[k], lw=1, label=name)
        axes.fill_between(times_s, _known(low[:, k]), _known(high[:, k]), color=COLOURS[k], alpha=0.2, lw=0)
    axes.set_xlim(0, _end_s(gathered))
    axes.set_xlabel("time in the take, s")
    axes.set_ylabel("height, m")
    axes.grid(alpha=0.3)
    _legend(axes)
    return _png(figure)


def presence(gathered: Gathered) -> bytes:
    """Who was seen when: a row each."""
    people = sorted(longest_first(gathered.people)[:MOST_ROWS], key=lambda number: gathered.people.seen[number].first_s)
    figure = Figure(figsize=(WIDTH_IN, 1.0 + 0.28 * max(2, len(people))))
    axes = figure.add_subplot()
    colours = {number: COLOURS[k % len(COLOURS)] for k, number in enumerate(longest_first(gathered.people))}
    for row, number in enumerate(people):
        _, counts, width_s = gathered.people.paths[number].places.told(MOST_POINTS)
        seen = counts[:, :, 3].max(axis=1) > 0
        for start, end in _runs(seen):
            axes.barh(row, (end - start) * width_s, left=start * width_s, height=0.7, color=colours[number])
    axes.set_yticks(range(len(people)), [f"person {number}" for number in people])
    axes.set_ylim(len(people) - 0.4, -0.6)
    _draw_marks(axes, gathered)
    axes.set_xlim(0, _end_s(gathered))
    axes.set_xlabel("time in the take, s")
    axes.grid(axis="x", alpha=0.3)
    return _png(figure)


def latency(gathered: Gathered) -> bytes:
    """Mean stages on top of each other, and median and 95th percentile of the total."""
    ledger = gathered.ledger
    figure = Figure(figsize=(WIDTH_IN, 3.6))
    axes = figure.add_subplot()
    times_s, means, _ = ledger.means.told(COLUMNS, 0.25)
    spread = ledger.over_time.told(COLUMNS, 0.25)[1]
    stages_ms = means[:, :-1] / np.where(means[:, -1:] > 0, means[:, -1:], np.nan)
    axes.stackplot(
        times_s, np.maximum(np.nan_to_num(stages_ms), 0).T, labels=STAGES, colors=COLOURS, alpha=0.6, step="mid"
    )
    axes.plot(times_s, _quantile(spread, 0.5), color="black", lw=1.2, label="total, median")
    axes.plot(times_s, _quantile(spread, 0.95), color="black", lw=1, ls=":", label="total, 95 of 100 below")
    axes.set_xlim(0, _end_s(gathered))
    axes.set_ylim(0, None)
    axes.set_xlabel("time in the take, s")
    axes.set_ylabel("ms")
    axes.grid(alpha=0.3)
    _legend(axes)
    return _png(figure)


def cameras_over_time(gathered: Gathered) -> bytes:
    """Rates, losses, and the share of ticks that each camera contributed to."""
    cameras = gathered.cameras.cameras
    figure = Figure(figsize=(WIDTH_IN, 5.4 + 0.25 * len(cameras)))
    rates, losses, shares = figure.subplots(
        3, 1, gridspec_kw={"height_ratios": [2, 1.5, 0.5 + 0.25 * len(cameras)], "hspace": 0.45}
    )
    for row, (name, seen) in enumerate(cameras.items()):
        colour = COLOURS[row % len(COLOURS)]
        times_s, told, _ = seen.rate.told(COLUMNS, 1.0)
        rates.plot(times_s, told[:, 0] / np.where(told[:, 1] > 0, told[:, 1], np.nan), color=colour, lw=1, label=name)
        times_s, lost, width_s = seen.lost.told(COLUMNS, 1.0)
        losses.plot(times_s, lost[:, 0] / width_s, color=colour, lw=1)
        losses.plot(times_s, lost[:, 1] / width_s, color=colour, lw=1, ls=":")
    rates.set_ylabel("detected, 1/s")
    rates.set_ylim(0, None)
    losses.set_ylabel("lost, 1/s")
    losses.set_ylim(0, None)
    _legend(rates)
    _draw_shares(shares, gathered)
    for axes in (rates, losses, shares):
        axes.set_xlim(0, _end_s(gathered))
    for axes in (rates, losses):
        axes.grid(alpha=0.3)
    return _png(figure)


def errors_by_camera(gathered: Gathered, rows: Sequence[int]) -> bytes:
    """Median distance of each camera's keypoints from the result, by camera and joint; rows: the joints shown."""
    assert gathered.reprojection is not None
    spreads = gathered.reprojection.spread
    values = np.array([spread.quantile(0.5)[list(rows)] for spread in spreads.values()])
    figure = Figure(figsize=(WIDTH_IN, 1.8 + 0.32 * len(spreads)))
    axes = figure.add_subplot()
    most = max(6.0, float(np.nanmax(values)) if np.isfinite(values).any() else 0.0)
    picture = axes.imshow(values, aspect="auto", cmap="YlOrRd", vmin=0, vmax=min(most, 40.0))
    for (y, x), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value > 0.6 * min(most, 40.0) else "black"
            text = f"{value:.0f}" if value >= 9.5 else f"{value:.1f}"
            axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color=colour)
    axes.set_yticks(range(len(spreads)), list(spreads))
    names = [gathered.skeleton.joints[row].replace("_", " ") for row in rows]
    axes.set_xticks(range(len(rows)), names, rotation=60, ha="right", fontsize=8)
    figure.colorbar(picture, ax=axes, label="px, median", pad=0.01)
    return _png(figure)


def errors_over_time(gathered: Gathered) -> bytes:
    """Mean distance of each camera's keypoints from the result."""
    assert gathered.reprojection is not None
    figure = Figure(figsize=(WIDTH_IN, 2.6))
    axes = figure.add_subplot()
    for row, (name, line) in enumerate(gathered.reprojection.over_time.items()):
        times_s, sums, _ = line.told(COLUMNS, 0.25)
        axes.plot(
            times_s, sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan), color=COLOURS[row % 8], lw=1, label=name
        )
    axes.set_xlim(0, _end_s(gathered))
    axes.set_ylim(0, None)
    axes.set_xlabel("time in the take, s")
    axes.set_ylabel("px, mean")
    axes.grid(alpha=0.3)
    _legend(axes)
    return _png(figure)


def origins(gathered: Gathered) -> bytes:
    """Where joints came from, over time, as shares."""
    figure = Figure(figsize=(WIDTH_IN, 2.6))
    axes = figure.add_subplot()
    times_s, counts, _ = gathered.people.origins.told(COLUMNS, 0.1)
    shares = 100 * counts / np.where(counts.sum(axis=1, keepdims=True) > 0, counts.sum(axis=1, keepdims=True), np.nan)
    order = (Origin.TRIANGULATED, Origin.FUSED, Origin.LIFTED, Origin.PREDICTED, Origin.ABSENT)
    axes.stackplot(
        times_s,
        np.nan_to_num(shares[:, list(order)]).T,
        labels=[kind.name.lower() for kind in order],
        colors=[ORIGIN_COLOURS[kind] for kind in order],
        step="mid",
        lw=0,
    )
    axes.set_xlim(0, _end_s(gathered))
    axes.set_ylim(0, 100)
    axes.set_xlabel("time in the take, s")
    axes.set_ylabel("% of the joints")
    _legend(axes)
    return _png(figure)


def doubts(gathered: Gathered, rows: Sequence[int]) -> bytes:
    """Median and 95th percentile of each joint's sigma."""
    spread = gathered.people.sigma_m
    figure = Figure(figsize=(WIDTH_IN, 3.0))
    axes = figure.add_subplot()
    x = np.arange(len(rows))
    axes.bar(x, 1000 * spread.quantile(0.95)[list(rows)], color="#56b4e9", alpha=0.5, label="95 of 100 below")
    axes.bar(x, 1000 * spread.quantile(0.5)[list(rows)], color="#0072b2", label="median")
    axes.set_xticks(
        x, [gathered.skeleton.joints[row].replace("_", " ") for row in rows], rotation=60, ha="right", fontsize=8
    )
    axes.set_xlim(-0.7, len(rows) - 0.3)
    axes.set_ylabel("sigma, mm")
    axes.grid(axis="y", alpha=0.3)
    _legend(axes)
    return _png(figure)


def _draw_shares(axes: Axes, gathered: Gathered) -> None:
    """A row of colours for each camera: its share of the ticks."""
    cameras = gathered.cameras.cameras
    for row, seen in enumerate(cameras.values()):
        _, used, width_s = seen.used.told(COLUMNS)
        share = used[:, 0] / np.where(used[:, 1] > 0, used[:, 1], np.nan)
        if len(share):
            axes.imshow(share[None], aspect="auto", cmap="RdYlGn", vmin=0, vmax=1, interpolation="nearest",
                        extent=(0, len(share) * width_s, row + 0.4, row - 0.4))  # fmt: skip
    axes.set_yticks(range(len(cameras)), list(cameras))
    axes.set_ylim(len(cameras) - 0.4, -0.6)
    axes.set_xlabel("time in the take, s")
    axes.set_title("share of ticks with it: green all, red none", fontsize=9, loc="left")


def _people(gathered: Gathered) -> list[tuple[str, int]]:
    """Colours and ids of those who are drawn, who was there the most last and so on top."""
    shown = longest_first(gathered.people)[:MOST_SHOWN]
    return [(COLOURS[k % len(COLOURS)], number) for k, number in enumerate(shown)][::-1]


def _places(gathered: Gathered, number: int) -> tuple[F64, F64]:
    """Mean places (T, K, 3) of the main joints, NaN where unseen, and the middles (T,) of the stretches."""
    times_s, sums, _ = gathered.people.paths[number].places.told(MOST_POINTS)
    count = sums[..., 3:]
    return sums[..., :3] / np.where(count > 0, count, np.nan), times_s


def _quantile(counts: F64, share: float) -> F64:
    """(T,) ms of rows of counts (T, steps); NaN where there are none."""
    total = counts.sum(axis=1)
    step = (counts.cumsum(axis=1) >= np.ceil(share * np.maximum(total, 1))[:, None]).argmax(axis=1)
    low, high = np.log(LATENCY_MS)
    return np.where(total > 0, np.exp(low + (step + 0.5) / LATENCY_STEPS * (high - low)), np.nan)


def _runs(seen: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Starts and ends of the stretches in which somebody was seen."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _known(values: F64) -> F64:
    return np.where(np.isfinite(values), values, np.nan)


def _draw_marks(axes: Axes, gathered: Gathered) -> None:
    for at_s, _ in gathered.marks:
        axes.axvline(at_s, color="black", lw=0.8, ls="--")


def _end_s(gathered: Gathered) -> float:
    return max(gathered.end_s, 0.1)


def _legend(axes: Axes, backwards: bool = False) -> None:
    handles, names = axes.get_legend_handles_labels()
    if backwards:
        handles, names = handles[::-1], names[::-1]
    if handles:
        axes.legend(handles, names, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    return data.getvalue()
