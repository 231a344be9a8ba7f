"""What two results of one recording, laid one over the other, differ by: now, and over the last seconds."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import viser
from viser import uplot

from nodes.page import html
from nodes.page.difference import Apart, Difference, difference
from nodes.page.seen import Seen
from nodes.page.written import Written
from nodes.watching.words import BESIDE_RGB, ORIGIN_RGB, Level, person_rgb
from nodes.wire.messages import Origin
from nodes.wire.requests import PlayState

HISTORY_S = 20.0
GAP_S = 1.0  # a jump, in the recording: what was before is no history
MOST_PEOPLE = 8
SAME_INSTANT_NS = 60_000_000
MEAN_RGB, LARGEST_RGB = ORIGIN_RGB[Origin.FUSED], ORIGIN_RGB[Origin.LIFTED]


class DifferencePanel:
    """Made within the container that it stands in; `remove` takes it away."""

    def __init__(self, gui: viser.GuiApi) -> None:
        element = gui.add_html("")
        self._now = Written(element)
        nothing = np.array([0.0, HISTORY_S]), np.full(2, np.nan), np.full(2, np.nan)
        self._plot = gui.add_uplot(
            nothing,
            (uplot.Series(label="second"), _line("mean mm", MEAN_RGB.hex), _line("largest mm", LARGEST_RGB.hex)),
            scales={"x": uplot.Scale(time=False), "y": uplot.Scale(auto=True)},
            axes=_axes(),
            legend=uplot.Legend(show=True, live=False),
            height=150,
            padding=(8, 24, 0, 0),
        )
        self._elements = (element, self._plot)
        self._history: deque[tuple[float, float, float]] = deque()  # second of the recording, mean, largest
        self._shown_ns = 0  # captured_ns of the pose

    def show(self, seen: Seen, play: PlayState) -> None:
        """The newest poses of both."""
        pose, beside = seen.pose, seen.beside
        if pose is None or beside is None:
            self._now.write(html.block(*_legend(play), html.dim("No pose of both has come yet.")))
            return
        if pose.captured_ns == self._shown_ns:
            return
        made = difference(pose, beside, seen.skeleton)
        if abs(pose.captured_ns - beside.captured_ns) < SAME_INSTANT_NS:  # else one of the two is on its way still
            self._shown_ns = pose.captured_ns
            self._note(play.position_s, made)
        self._now.write(html.block(*_legend(play), *_told(made), *self._lately()))

    def remove(self) -> None:
        for element in self._elements:
            element.remove()

    def _note(self, at_s: float, made: Difference) -> None:
        """Into the history, which begins anew where the recording jumps."""
        if self._history and not 0 <= at_s - self._history[-1][0] <= GAP_S:
            self._history.clear()
        self._history.append((at_s, made.mean_mm, made.largest_mm))
        while at_s - self._history[0][0] > HISTORY_S:
            self._history.popleft()
        shown = self._history if len(self._history) > 1 else [(at_s, np.nan, np.nan), (at_s + 1, np.nan, np.nan)]
        self._plot.data = tuple(np.array(shown, dtype=np.float64).T.copy())

    def _lately(self) -> list[str]:
        means = np.array([mean for _, mean, _ in self._history])
        if len(means) < 2 or not np.isfinite(means).any():
            return []
        largest = np.nanmax([largest for _, _, largest in self._history])
        seconds = self._history[-1][0] - self._history[0][0]
        return [
            html.dim(f"Over the last {seconds:.0f} s: {np.nanmean(means):.1f} mm on average, {largest:.0f} mm at most")
        ]


def _legend(play: PlayState) -> list[str]:
    """Which is which in 3D."""
    thin = html.swatch(BESIDE_RGB, f"thin and white: {Path(play.beside).name}")
    thick = html.escaped(f"in colour: {Path(play.path).name}")
    return [html.heading("Two results, one over the other"), f"<div>{thick}</div><div>{thin}</div>"]


def _told(made: Difference) -> list[str]:
    if made.why_not:
        return [html.line(Level.WARN, f"Not compared: {made.why_not}")]
    columns = (("", ""), ("mean mm", "over all joints that both have"), ("largest mm", "and which joint that is"))
    rows = [_row(person) for person in made.people[:MOST_PEOPLE]]
    told = [html.table(columns, rows)] if rows else [html.dim("Nobody is in both now.")]
    more = len(made.people) - MOST_PEOPLE
    told += [html.dim(f"and {more} more")] if more > 0 else []
    told += [html.dim(f"In the coloured one alone: {_people(made.alone)}")] if made.alone else []
    told += [html.dim(f"In the white one alone: {_people(made.beside_alone)}")] if made.beside_alone else []
    return told


def _row(person: Apart) -> tuple[str, ...]:
    name = f"person {person.id}" + ("" if person.id == person.beside_id else f" (there {person.beside_id})")
    largest = f"{html.number(person.largest_mm)} <small class='dim'>{html.escaped(person.joint)}</small>"
    return html.swatch(person_rgb(person.id), name), html.number(person.mean_mm, 1), largest


def _people(ids: Sequence[int]) -> str:
    shown = ", ".join(f"person {each}" for each in ids[:MOST_PEOPLE])
    return shown + (" …" if len(ids) > MOST_PEOPLE else "")


def _line(label: str, colour: str) -> uplot.Series:
    return uplot.Series(label=label, stroke=colour, width=1.5, points=uplot.Series_Points(show=False))


def _axes() -> tuple[uplot.Axis, ...]:
    grid = uplot.Axis_Grid(stroke="#ffffff1a", width=1)
    return (uplot.Axis(stroke="#98a2ad", grid=grid), uplot.Axis(stroke="#98a2ad", grid=grid, label="mm"))
