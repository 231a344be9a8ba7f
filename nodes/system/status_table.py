"""The status in a terminal: a live table, or one plain line every few seconds. Shows what `Status` says, no more."""

import math
import sys
import time
from typing import Protocol, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nodes.watching.camera_figures import CameraStatus
from nodes.watching.monitor import Status

COLOURS = {
    "streaming": "green",
    "running": "green",
    "ready": "cyan",
    "ended": "blue",
    "starting": "yellow",
    "awaited": "yellow",
    "off": "blue",
}
BAD = "bold red"
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

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=REFRESH_HZ, transient=False, redirect_stdout=False)

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, name: str, line: str) -> None:
        self._console.print(Text.assemble((f"{name}: ", "bold"), line))

    def show(self, status: Status, seconds: float) -> None:
        self._live.update(render(status, seconds))


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


def choose_screen(headless: bool) -> Screen:
    """The table where there is a terminal, unless asked otherwise; plain lines else."""
    console = Console()
    return PlainLines() if headless or not console.is_terminal else LiveTable(console)


def render(status: Status, seconds: float) -> Group:
    """The table of the cameras, the line of fusion and what is to be said."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("camera", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in ("fps", "frames", "drop", "det ms", "skew ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for camera in status.cameras:
        table.add_row(*_row(camera))
    of_cameras = [f"{camera.name}: {camera.note}" for camera in status.cameras if camera.note]  # too long for a column
    notes = [Text(note, style="yellow") for note in dict.fromkeys((*of_cameras, *status.notes))]
    recording = [Text(status.recording, style="bold red")] if status.recording else []
    return Group(
        table,
        _fusion(status),
        _quality(status),
        *recording,
        *notes,
        Text(f"{seconds:.0f} s  Ctrl-C stops", style="dim"),
    )


def plain_line(status: Status, seconds: float) -> str:
    """One line for logs and pipes."""
    cameras = ", ".join(f"{camera.name} {_number(camera.fps)} fps{_trouble(camera)}" for camera in status.cameras)
    recording = f" | {status.recording}" if status.recording else ""
    return f"{seconds:6.1f} s | {_fusion(status).plain}  {_quality(status).plain} | {cameras}{recording}"


def _row(camera: CameraStatus) -> tuple[str | Text, ...]:
    return (
        camera.name,
        Text(camera.state, style=COLOURS.get(camera.state, BAD)),
        _number(camera.fps),
        str(camera.frames),
        str(camera.dropped),
        _number(camera.detect_ms),
        _number(camera.skew_ms),
    )


def _fusion(status: Status) -> Text:
    text = Text.assemble(("fusion ", "bold"), (status.fusion_state, COLOURS.get(status.fusion_state, BAD)))
    if status.ticks == 0:
        return text.append("  no pose yet")
    text.append(f"  {_number(status.rate_hz)} Hz")
    return text.append(f"  latency p50 {_number(status.latency_p50_ms, 0)} p95 {_number(status.latency_p95_ms, 0)} ms")


def _quality(status: Status) -> Text:
    error = f"  error {_number(status.error_mm)} mm" if status.has_truth else ""
    return Text(f"people {status.people}  reprojection {_number(status.reprojection_px)} px{error}")


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _trouble(camera: CameraStatus) -> str:
    if camera.state == "streaming" and not camera.note:
        return ""
    return f" ({camera.state}{': ' if camera.note else ''}{camera.note})"
