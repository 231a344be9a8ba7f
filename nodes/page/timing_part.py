"""How old what is seen is, where that time goes, and how it was over the last minutes."""

import math
import os
import sys
import time
from pathlib import Path

import numpy as np
from viser import uplot

from nodes.page import html
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written, change
from nodes.watching.ledger import HISTORY_S, STAGES, TOTAL, Second
from nodes.watching.verdict import counted

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment, unused-ignore]

STAGE_WORDS = {
    "interpolate": "wait for the next frame",
    "queue": "wait for the detector",
    "detect": "find the joints in 2D",
    "send": "way to fusion",
    "fuse": "wait for the others, fuse",
}
MEANINGS = (
    ("p50, p95, p99", "Half of all poses of the last ten seconds took no longer than p50; 95 and 99 of 100 no longer."),
    (
        STAGE_WORDS["interpolate"],
        "A pose is taken at its own instant, between two frames: the later one is waited for.",
    ),
    (STAGE_WORDS["queue"], "From the instant of capture until the detector begins: exposure, transfer, waiting."),
    (STAGE_WORDS["detect"], "The 2D detector, until its joints are sent."),
    (STAGE_WORDS["send"], "From the camera's process to fusion; from another machine, the network."),
    (STAGE_WORDS["fuse"], "Until the last camera worth waiting for has spoken, and the work of fusion itself."),
    ("together", "From the instant of capture to the pose that programs get. The stages of one pose add up to it."),
)
COLOURS = ("#2ec870", "#2ec87099", "#2ec87044")  # p50, up to p95, up to p99
NO_POSES = "No pose has come in the last ten seconds."
MIN_SCALE_MS = 50.0
LEGEND = uplot.Legend(live=False)


class Timing:
    """See `Part`."""

    every_s = 1.0

    def __init__(self, page: Page) -> None:
        self._server = page.server
        gui = page.server.gui
        with page.tabs.timing:
            self._table = Written(gui.add_html(""))
            gui.add_html(html.meanings("What these mean", MEANINGS))
            gui.add_html(html.block(html.heading("Milliseconds behind, the last five minutes")))
            nothing = np.full(2, -HISTORY_S / 60), np.zeros(2)
            self._latency = gui.add_uplot(
                (*nothing, nothing[1]),
                (_time(), _line("p50", "#2ec870"), _line("p95", "#f5b93c")),
                scales=_scales(),
                axes=_axes(),
                legend=LEGEND,
                height=150,
            )
            gui.add_html(html.block(html.heading("Poses a second")))
            self._rate = gui.add_uplot(
                nothing,
                (_time(), _line("poses", "#50beff")),
                scales=_scales(),
                axes=_axes(),
                legend=uplot.Legend(show=False),
                height=110,
            )
            self._load = Written(gui.add_html(""))
        self._used = (time.monotonic(), time.process_time())

    def show(self, seen: Seen, now_ns: int) -> None:
        why_not = seen.judged.tells_latency if seen.judged is not None else ""
        self._table.write(
            html.block(html.heading("From capture to pose, milliseconds"), *_ledger(seen, now_ns, why_not))
        )
        history = seen.ledger.history(now_ns)
        if len(history) > 1:
            self._plot(history, bool(why_not))
        self._load.write(html.block(html.heading("This page"), html.dim(self._own_load())))

    def _plot(self, history: tuple[Second, ...], hidden: bool) -> None:
        at_min = np.array([second.at_s - history[-1].at_s for second in history], dtype=np.float64) / 60
        poses = np.array([second.poses for second in history], dtype=np.float64)
        self._rate.data = (at_min, poses)
        change(self._latency, visible=not hidden)
        latency_ms = np.array([(second.p50_ms, second.p95_ms) for second in history])
        there = np.isfinite(latency_ms).all(axis=1)  # the plot draws nothing at all where a number is missing
        if there.sum() > 1:
            self._latency.data = (at_min[there], latency_ms[there, 0], latency_ms[there, 1])

    def _own_load(self) -> str:
        """Of the viewer's process, since it was asked last."""
        before, self._used = self._used, (time.monotonic(), time.process_time())
        share = (self._used[1] - before[1]) / max(self._used[0] - before[0], 1e-3)
        browsers = counted(len(self._server.get_clients()), "browser")
        return (
            f"{browsers}; its server takes {100 * share:.0f} % of a processor core and {html.number(_memory_mb())} MB"
        )


def _ledger(seen: Seen, now_ns: int, why_not: str) -> list[str]:
    if why_not:
        return [html.dim(f"Not told here: {why_not}.")]
    took_ms = seen.ledger.percentiles_ms(now_ns)
    if not took_ms:
        return [html.dim(NO_POSES)]
    most_ms = max(MIN_SCALE_MS, *took_ms[TOTAL])
    words = {**{stage: STAGE_WORDS[stage] for stage in STAGES if stage in took_ms}, TOTAL: "together"}
    rows: list[tuple[str, ...]] = []
    for name, label in words.items():
        rows.append((html.escaped(label), *(html.number(max(value, 0.0)) for value in took_ms[name])))
        rows.append((_bar(took_ms[name], most_ms),))
    return [html.table((("", ""), ("p50", ""), ("p95", ""), ("p99", "")), rows)]


def _bar(took_ms: tuple[float, ...], most_ms: float) -> str:
    ends = np.clip(np.array(took_ms) / most_ms, 0.0, 1.0)
    return html.bar(zip(np.diff(ends, prepend=0.0).tolist(), COLOURS, strict=True))


def _memory_mb() -> float:
    """Resident now, where the system tells; else the most it ever was; NaN where it does not tell that either."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if resource is not None else math.nan
        return most / (1e6 if sys.platform == "darwin" else 1e3)


def _time() -> uplot.Series:
    return uplot.Series(label="minutes")


def _line(label: str, colour: str) -> uplot.Series:
    return uplot.Series(label=label, stroke=colour, width=1.5, points=uplot.Series_Points(show=False))


def _scales() -> dict[str, uplot.Scale]:
    return {"x": uplot.Scale(time=False, range=(-HISTORY_S / 60, 0)), "y": uplot.Scale(range=(0, None))}


def _axes() -> tuple[uplot.Axis, ...]:
    grid = uplot.Axis_Grid(stroke="#ffffff1a", width=1)
    return (uplot.Axis(stroke="#98a2ad", grid=grid), uplot.Axis(stroke="#98a2ad", grid=grid))
