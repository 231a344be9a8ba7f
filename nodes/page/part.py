"""What a part of the page is. `nodes/viewer.py` makes the parts and shows each of them in turn."""

from dataclasses import dataclass
from typing import Protocol

import viser

from nodes.page.asks import Asks
from nodes.page.seen import Seen


@dataclass(frozen=True)
class Tabs:
    """Where parts put their controls: containers of the panel, entered with `with tabs.live:`."""

    live: viser.GuiTabHandle
    cameras: viser.GuiTabHandle
    timing: viser.GuiTabHandle
    calibrate: viser.GuiTabHandle
    replay: viser.GuiTabHandle


@dataclass(frozen=True)
class Page:
    """What a part is made with."""

    server: viser.ViserServer
    tabs: Tabs
    asks: Asks


class Part(Protocol):
    """A part of the page, made with a `Page`.

    every_s: how often it is shown; 0: at every turn. `show` is called on the viewer's thread alone, and only while
    somebody looks at the page; what callbacks of its controls do must take that into account.
    """

    every_s: float

    def __init__(self, page: Page) -> None: ...

    def show(self, seen: Seen, now_ns: int) -> None:
        """Bring the page up to date. now_ns: monotonic."""
