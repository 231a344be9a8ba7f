"""Mark an instant with a word."""

from nodes.page import html
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written, change
from nodes.wire.bus import now_ns
from nodes.wire.requests import Mark

LONGEST = 200
NO_SYSTEM = "There is no system now, so there is nothing to mark."
NOT_KEPT = "Nothing is being recorded: a mark is shown to everybody who looks, and not kept."
KEPT = "Kept in the recording, and shown when it is played."


class Marking:
    """The folder with its controls."""

    def __init__(self, page: Page) -> None:
        self._asks = page.asks
        gui = page.server.gui
        with gui.add_folder("Mark"):
            self._text = gui.add_text("Word", "", hint="what happens now, such as: jump")
            self._button = gui.add_button("Mark this instant")
            self._state = Written(gui.add_html(""))
        self._button.on_click(lambda _: self._click())

    def _click(self) -> None:
        self._asks.put(Mark, captured_ns=now_ns(), text=self._text.value.strip()[:LONGEST])

    def show(self, seen: Seen) -> None:
        """Bring it up to date."""
        runs = seen.recorder is not None and seen.recorder.runs
        heard = seen.judged is not None and seen.judged.heard is True
        change(self._button, disabled=not heard)
        self._state.write(html.block(html.dim(NO_SYSTEM if not heard else KEPT if runs else NOT_KEPT)))
