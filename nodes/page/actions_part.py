"""What one can do: record, mark, hold the picture, other settings."""

from nodes.page import html
from nodes.page.marking import Marking
from nodes.page.part import Page
from nodes.page.recording import Recording
from nodes.page.seen import Seen
from nodes.page.settings import Settings
from nodes.page.written import Written, change

BANNER = (
    "position:fixed;left:50%;top:12px;transform:translateX(-50%);z-index:900;pointer-events:none;padding:5px 14px;"
    "border-radius:6px;background:#f5b93ce6;color:#111;font:600 15px sans-serif"
)
COUNT = (
    "position:fixed;inset:0;z-index:900;pointer-events:none;display:flex;flex-direction:column;align-items:center;"
    "justify-content:center;color:#fff;text-shadow:0 0 20px #000,0 0 6px #000;font:700 34vmin sans-serif"
)


class Actions:
    """See `Part`."""

    every_s = 0.2

    def __init__(self, page: Page) -> None:
        gui = page.server.gui
        gui.add_html(html.STYLE)  # beside the tabs, so that it is there whichever is open
        self._over_all = Written(gui.add_html(""))
        with page.tabs.live:
            self._recording = Recording(page)
            self._marking = Marking(page)
            with gui.add_folder("Picture"):
                self._hold = gui.add_button("Hold the picture", hint="look at an instant, while the system goes on")
            self._settings = Settings(page)
        self._held = False
        self._hold.on_click(lambda _: self._toggle())

    def _toggle(self) -> None:
        self._held = not self._held

    def show(self, seen: Seen, now_ns: int) -> None:
        seen.held = self._held
        change(self._hold, label="Go on with the picture" if self._held else "Hold the picture")
        self._recording.show(seen)
        self._marking.show(seen)
        self._settings.show(seen)
        self._over_all.write(_over_all(self._recording.counts, self._held))


def _over_all(counts: int, held: bool) -> str:
    """What is laid over the whole page."""
    if counts:
        return f'<div style="{COUNT}">{counts}<span style="font-size:4vmin">recording begins</span></div>'
    return f'<div style="{BANNER}">{html.escaped("❚❚ The picture is held")}</div>' if held else ""
