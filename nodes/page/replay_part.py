"""Controls of a recording that is played."""

from nodes.page.part import Page
from nodes.page.seen import Seen


class Replay:
    """See `Part`."""

    every_s = 0.1

    def __init__(self, page: Page) -> None:
        self._page = page

    def show(self, seen: Seen, now_ns: int) -> None: ...
