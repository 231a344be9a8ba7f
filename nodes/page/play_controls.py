"""Time as a slider, and what else moves a recording. Everybody who looks at the page sees the same place of it."""

import math
import time
from collections import deque
from collections.abc import Callable

import viser

from nodes.page import html
from nodes.page.asks import Asks
from nodes.wire.requests import PlayMark, PlayRequest, PlayState

SEEK_EVERY_NS = 100_000_000
SEEK_EVERY_FUSED_NS = 250_000_000  # fusion begins anew each time
HANDS_OFF_NS = 1_000_000_000  # since the slider was last moved by hand: only then it follows the recording again
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
AS_FAST = "as fast as it goes"
MOST_MARKS = 30  # that have a button each
MOST_LETTERS = 60  # of a mark
LONG_S = 600.0  # recordings that are longer are moved in coarser steps
HINTS = {
    "fused": "Drag it: fusion begins anew at the new place, so people may get other numbers.",
    "poses": "Drag it, or type a number of seconds.",
}


class PlayControls:
    """Made on the page within the container that they stand in, for one recording. `remove` takes them away.

    Callbacks run on threads of the page's server; they leave the place that is wanted here, and `show` asks for it.
    """

    def __init__(self, gui: viser.GuiApi, asks: Asks, play: PlayState) -> None:
        self._gui, self._asks = gui, asks
        self._every_ns = SEEK_EVERY_FUSED_NS if play.fuses else SEEK_EVERY_NS
        self._wanted_s: deque[float] = deque(maxlen=1)
        self._moved_ns = self._asked_ns = 0  # monotonic
        self._playing = play.playing
        self._slider = self._add_slider(play)
        self._toggle = gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE)
        self._steps = gui.add_button_group("Go", ("−1 s", "◂ tick", "tick ▸", "+1 s"), hint="A tick is one pose.")
        self._speed = gui.add_dropdown("Speed", tuple(map(_speed_words, SPEEDS)), initial_value=_speed_words(1.0))
        self._toggle.on_click(lambda _: self._asks.put(PlayRequest, action="pause" if self._playing else "play"))
        self._steps.on_click(lambda event: self._step(event.target.value))
        self._speed.on_update(self._on_speed)
        self._marks = self._add_marks(play.marks)
        self._elements = [self._slider, self._toggle, self._steps, self._speed, *self._marks]

    def show(self, play: PlayState, now_ns: int) -> None:
        """Where the recording is now. now_ns: monotonic."""
        self._playing = play.playing
        self._ask_for_place(now_ns)
        if now_ns - self._moved_ns > HANDS_OFF_NS:
            place_s = min(max(_rounded(play.position_s, self._slider.step), 0.0), self._slider.max)
            self._slider.value = place_s  # type: ignore[misc]  # viser sets it by a property of another class
        label = "Pause" if play.playing else "Play"
        if self._toggle.label != label:
            self._toggle.label = label
            self._toggle.icon = viser.Icon.PLAYER_PAUSE if play.playing else viser.Icon.PLAYER_PLAY
        self._show_speed(_speed_words(play.speed))

    def remove(self) -> None:
        for element in self._elements:
            element.remove()

    def _add_slider(self, play: PlayState) -> viser.GuiSliderHandle[float]:
        end_s = max(math.floor(100 * play.duration_s) / 100, 0.01) if math.isfinite(play.duration_s) else 0.01
        slider = self._gui.add_slider(
            "Second",
            min=0.0,
            max=end_s,
            step=0.01 if end_s <= LONG_S else 0.1,
            initial_value=0.0,
            hint=HINTS["fused" if play.fuses else "poses"],
        )
        slider.on_update(self._on_slider)
        return slider

    def _add_marks(self, marks: tuple[PlayMark, ...]) -> list[viser.GuiHtmlHandle | viser.GuiButtonHandle]:
        if not marks:
            return []
        more = f"; the first {MOST_MARKS} of {len(marks)}" if len(marks) > MOST_MARKS else ""
        added: list[viser.GuiHtmlHandle | viser.GuiButtonHandle] = [
            self._gui.add_html(html.block(html.heading(f"Marks in the recording{more}")))
        ]
        for mark in marks[:MOST_MARKS]:
            words = f"{mark.at_s:.1f} s  {mark.text[:MOST_LETTERS] or 'marked'}"
            button = self._gui.add_button(words, icon=viser.Icon.FLAG, color="gray", hint="go there")
            button.on_click(self._go_to(mark.at_s))
            added.append(button)
        return added

    def _go_to(self, at_s: float) -> Callable[[viser.GuiEvent[viser.GuiButtonHandle]], None]:
        def go(_: viser.GuiEvent[viser.GuiButtonHandle]) -> None:
            self._go_elsewhere()
            self._asks.put(PlayRequest, action="seek", value=at_s)

        return go

    def _on_slider(self, event: viser.GuiEvent[viser.GuiSliderHandle[float]]) -> None:
        if event.client_id is None:  # it was set by us
            return
        self._moved_ns = time.monotonic_ns()
        self._wanted_s.append(float(event.target.value))

    def _ask_for_place(self, now_ns: int) -> None:
        """The last place that somebody moved the slider to, not oftener than the player can follow."""
        if now_ns - self._asked_ns < self._every_ns:
            return
        try:
            wanted_s = self._wanted_s.pop()
        except IndexError:
            return
        self._asked_ns = now_ns
        self._asks.put(PlayRequest, action="seek", value=wanted_s)

    def _go_elsewhere(self) -> None:
        """Where the slider was moved to counts no more, and it follows the recording again."""
        self._wanted_s.clear()
        self._moved_ns = 0

    def _step(self, which: str) -> None:
        self._go_elsewhere()
        if which.endswith("s"):
            at_s = self._slider.value + (1.0 if which.startswith("+") else -1.0)
            self._asks.put(PlayRequest, action="seek", value=max(at_s, 0.0))
        else:
            self._asks.put(PlayRequest, action="step", value=-1.0 if which.startswith("◂") else 1.0)

    def _on_speed(self, event: viser.GuiEvent[viser.GuiDropdownHandle[str]]) -> None:
        if event.client_id is None or event.target.value == AS_FAST:
            return
        self._asks.put(PlayRequest, action="speed", value=float(event.target.value.strip("×")))

    def _show_speed(self, words: str) -> None:
        """What the player says; a speed that is in no list is added to it."""
        if time.time() - self._speed.update_timestamp < HANDS_OFF_NS * 1e-9 or words == self._speed.value:
            return
        if words not in self._speed.options:
            self._speed.options = (*self._speed.options, words)
        self._speed.value = words  # type: ignore[misc]


def clock(at_s: float) -> str:
    """Minutes and seconds."""
    seconds = round(max(_finite(at_s), 0.0))
    return f"{seconds // 60}:{seconds % 60:02d}"


def _rounded(value: float, step: float) -> float:
    return round(round(_finite(value) / step) * step, 2)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _speed_words(speed: float) -> str:
    return f"×{speed:g}" if math.isfinite(speed) else AS_FAST
