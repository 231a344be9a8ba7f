"""The status in a terminal: a live table, or one plain line every few seconds. Shows what `Status` says, no more."""

import math
import sys
import time
from collections.abc import Callable
from typing import Protocol, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nodes.watching.camera_figures import CameraStatus
from nodes.watching.monitor import Status
from nodes.watching.verdict import Verdict, of_cameras, of_system
from nodes.watching.words import LEVEL_STYLE, Level, level_of

REFRESH_HZ = 4
PLAIN_PERIOD_S = 5.0


class Screen(Protocol):
    """Where a run is told about; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def say(self, name: str, line: str) -> None:
        """A line that a process wrote, or an event about it, as it comes."""

    def show(self, status: Status, seconds: float) -> None:
        """The figures now; seconds: since the session began, 0 before. Called often."""


class LiveTable:
    """The table at the foot of the terminal; lines said above it scroll by. Use as a context manager."""

    def __init__(self, console: Console, page: str = "") -> None:
        self._console = console
        self._page = page
        self._live = Live(console=console, refresh_per_second=REFRESH_HZ, transient=False, redirect_stdout=False)

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, name: str, line: str) -> None:
        self._console.print(Text.assemble((f"{name}: ", "bold"), line))

    def show(self, status: Status, seconds: float) -> None:
        self._live.update(render(status, seconds, self._page, self._console.width))


class PlainLines:
    """For logs and pipes: figures on stdout every few seconds, what the processes say on stderr as it comes."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + PLAIN_PERIOD_S

    def __enter__(self) -> "PlainLines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, name: str, line: str) -> None:
        print(f"{name}: {line}", file=sys.stderr, flush=True)

    def show(self, status: Status, seconds: float) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s += PLAIN_PERIOD_S
            print(plain_line(status, seconds), flush=True)


def choose_screen(plain: bool, page: str = "") -> Screen:
    """The table where there is a terminal, unless asked otherwise; plain lines else. page: address of the live page."""
    console = Console()
    return PlainLines() if plain or not console.is_terminal else LiveTable(console, page)


def render(status: Status, seconds: float, page: str = "", width: int = 80) -> Group:
    """How it is in a line, the table of the cameras, the figures of fusion and what is to be said.

    page: address of the live page, "" without one. width: of the terminal; a narrow one gets the most telling columns.
    """
    verdicts = of_cameras(status)
    headline = of_system(status, verdicts)
    troubles = [
        Text(f"{name}: {verdict.words}", style=LEVEL_STYLE[verdict.level])
        for name, verdict in verdicts.items()
        if verdict.level >= Level.WARN and f"{name}: {verdict.words.rstrip('.')}" not in headline.words
    ]
    notes = [
        Text(note, style=LEVEL_STYLE[Level.WARN]) for note in status.notes if _is_news(note, status, verdicts, headline)
    ]
    recording = [Text(status.recording, style="bold red")] if status.recording else []
    no_latency = [Text(f"no latency is told: {status.no_latency}", style="dim")] if status.no_latency else []
    return Group(
        Text(headline.words, style=f"{LEVEL_STYLE[headline.level]} bold"),
        _table(status, verdicts, width),
        _fusion(status),
        _quality(status),
        *no_latency,
        *recording,
        *troubles,
        *notes,
        _foot(seconds, page),
    )


def plain_line(status: Status, seconds: float) -> str:
    """One line for logs and pipes."""
    verdicts = of_cameras(status)
    cameras = ", ".join(
        f"{camera.name} {_number(camera.fps)} fps{_trouble(verdicts[camera.name])}" for camera in status.cameras
    )
    recording = f" | {status.recording}" if status.recording else ""
    figures = f"{_fusion(status).plain}  {_quality(status).plain}"
    return f"{seconds:6.1f} s | {of_system(status, verdicts).words} | {figures} | {cameras}{recording}"


def _is_news(note: str, status: Status, verdicts: dict[str, Verdict], headline: Verdict) -> bool:
    """Whether a note says what does not stand there already. A recording that stands still has fusion miss frames."""
    name, _, words = note.partition(": ")
    told = name in verdicts and words in verdicts[name].words
    return not (status.standing or told or note in headline.words)


def _table(status: Status, verdicts: dict[str, Verdict], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("camera", no_wrap=True)
    table.add_column("state", no_wrap=True)
    figures = [figure for figure in FIGURES if width >= WIDE or figure in NARROW]
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    for camera in status.cameras:
        state = Text(camera.state, style=LEVEL_STYLE[verdicts[camera.name].level])
        table.add_row(camera.name, state, *(FIGURES[heading](camera) for heading in figures))
    return table


def _foot(seconds: float, page: str) -> Text:
    text = Text.assemble(("page: ", "dim"), (page, "bold"), "  ") if page else Text()
    return text.append(f"{seconds:.0f} s  Ctrl-C stops", style="dim")


def _fusion(status: Status) -> Text:
    style = LEVEL_STYLE[level_of(status.fusion_state)]
    text = Text.assemble(("fusion ", "bold"), (status.fusion_state, style))
    if status.ticks == 0:
        return text.append("  no pose yet")
    text.append(f"  {_number(status.rate_hz)} Hz")
    if status.no_latency:
        return text.append("  latency not known")
    return text.append(f"  latency p50 {_number(status.latency_p50_ms, 0)} p95 {_number(status.latency_p95_ms, 0)} ms")


def _quality(status: Status) -> Text:
    error = f"  error {_number(status.error_mm)} mm" if status.has_truth else ""
    return Text(f"people {status.people}  reprojection {_number(status.reprojection_px)} px{error}")


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _trouble(verdict: Verdict) -> str:
    return "" if verdict.level is Level.GOOD else f" ({verdict.words})"


FIGURES: dict[str, Callable[[CameraStatus], str]] = {
    "fps": lambda camera: _number(camera.fps),
    "frames": lambda camera: str(camera.frames),
    "drop": lambda camera: str(camera.dropped),
    "det ms": lambda camera: _number(camera.detect_ms),
    "skew ms": lambda camera: _number(camera.skew_ms),
}
NARROW = ("fps", "drop", "skew ms")
WIDE = 75  # columns of a terminal that has room for all figures
