"""Lifter and smoothing, chosen on the page: whoever runs the system starts fusion again with them."""

from nodes.page import html
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written, change
from nodes.watching.words import Level
from nodes.wire.requests import SystemRequest

LIFTS = {"on": True, "off": False}
SMOOTHINGS = {"kalman": "kalman (default)", "one_euro": "one euro", "none": "none"}
NOBODY = "Nobody here changes settings: the system was not started by run_system.py."
NO_FUSION = "Nothing is fused here, so there is nothing to set."
RECORDS = "Not while a recording runs: it would be made half with one setting, half with another."
STARTS_AGAIN = "Fusion starts again with them: some seconds without poses."


class Settings:
    """The folder with its controls."""

    def __init__(self, page: Page) -> None:
        self._asks = page.asks
        self._in_force = ("", "")
        gui = page.server.gui
        self._folder = gui.add_folder("Lifter and smoothing", expand_by_default=False)
        with self._folder:
            self._lift = gui.add_dropdown(
                "Lifter", tuple(LIFTS), hint="adds what one camera alone shows; off: geometry of two cameras alone"
            )
            self._smoothing = gui.add_dropdown(
                "Smoothing", tuple(SMOOTHINGS.values()), hint="kalman: least noise; one euro: simple; none: as measured"
            )
            self._button = gui.add_button("Apply")
            self._state = Written(gui.add_html(""))
        self._button.on_click(lambda _: self._click())

    def _wanted(self) -> tuple[str, str]:
        words = self._smoothing.value
        return self._lift.value, next(kind for kind, told in SMOOTHINGS.items() if told == words)

    def _click(self) -> None:
        lift, smoothing = self._wanted()
        if (lift, smoothing) != self._in_force:
            self._asks.put(SystemRequest, lift=lift, smoothing=smoothing)

    def show(self, seen: Seen) -> None:
        """Bring it up to date; the controls follow what is in force when that changes."""
        system = seen.system
        records = seen.recorder is not None and seen.recorder.runs
        if system is not None and system.smoothing in SMOOTHINGS:
            in_force = ("on" if system.lift else "off", system.smoothing)
            if in_force != self._in_force:
                self._in_force = in_force
                change(self._lift, value=in_force[0])
                change(self._smoothing, value=SMOOTHINGS[in_force[1]])
        why_not = NOBODY if system is None else NO_FUSION if not system.fuses else RECORDS if records else ""
        change(self._button, disabled=bool(why_not) or self._wanted() == self._in_force)
        note = [html.line(Level.CALM, system.note)] if system is not None and system.note else []
        self._state.write(html.block(html.dim(why_not or STARTS_AGAIN), *note))
