"""A recording that is played: what it is, its controls, and what a second result of it differs by."""

from pathlib import Path

from nodes.page import html
from nodes.page.difference_panel import DifferencePanel
from nodes.page.part import Page
from nodes.page.play_controls import PlayControls, clock
from nodes.page.seen import Seen
from nodes.page.written import Written
from nodes.watching.words import Level
from nodes.wire.requests import PlayState

NOTHING = (
    html.dim("Nothing is played back now: this page shows what happens at this moment."),
    html.heading("To see a recording here"),
    html.dim("Record one under Live. When the system has been stopped, type in a terminal:"),
    "<code>python run_system.py replay NAME.mcap</code>",
    html.dim("With a second result of the same recording laid over it, to see what differs:"),
    "<code>python run_system.py replay NAME.mcap --beside OTHER.mcap</code>",
)
PICTURES = "The cameras' pictures are those that the recording holds: it was made with video."
GONE = (html.line(Level.WARN, "The player has ended."), html.dim("The page goes on by itself when another one begins."))


class Replay:
    """See `Part`."""

    every_s = 0.1

    def __init__(self, page: Page) -> None:
        self._page = page
        with page.tabs.replay:
            page.server.gui.add_html(html.STYLE)
            self._what = Written(page.server.gui.add_html(""))
        self._key: tuple[object, ...] | None = None
        self._controls: PlayControls | None = None
        self._difference: DifferencePanel | None = None

    def show(self, seen: Seen, now_ns: int) -> None:
        play = seen.play
        if play is None:
            self._build(None)
            self._what.write(html.block(*(GONE if seen.spoke(PlayState) else NOTHING)))
            return
        self._build(play)
        self._what.write(html.block(*_what(play), *([html.dim(PICTURES)] if seen.previews else [])))
        if self._controls is not None:
            self._controls.show(play, now_ns)
        if self._difference is not None:
            self._difference.show(seen, play)

    def _build(self, play: PlayState | None) -> None:
        """The controls of this recording; None: of none."""
        key = None if play is None else _key(play)
        if key == self._key:
            return
        self._key = key
        for part in (self._controls, self._difference):
            if part is not None:
                part.remove()
        self._controls = self._difference = None
        if play is not None:
            with self._page.tabs.replay:
                self._controls = PlayControls(self._page.server.gui, self._page.asks, play)
                self._difference = DifferencePanel(self._page.server.gui) if play.beside else None


def _key(play: PlayState) -> tuple[object, ...]:
    marks = tuple((repr(mark.at_s), mark.text) for mark in play.marks)  # as words, since NaN is no equal of itself
    return play.path, repr(play.duration_s), play.fuses, play.beside, marks


def _what(play: PlayState) -> list[str]:
    """Which recording, where in it, and whose poses are shown."""
    at_end = not play.playing and play.position_s >= play.duration_s - 0.05
    state = "playing" if play.playing else "at the end" if at_end else "paused"
    words = f"{Path(play.path).name}: {state}, {clock(play.position_s)} of {clock(play.duration_s)}"
    told = [html.headline(Level.GOOD if play.playing else Level.CALM, words)]
    if play.fuses:
        told.append(html.dim("The recorded 2D joints are fused again, by the settings of the recording."))
    else:
        told.append(html.dim("The poses are those that were recorded; nothing is fused again."))
    if play.note:
        told.append(html.line(Level.WARN, f"{Path(play.beside).name or 'note'}: {play.note}"))
    return told
