"""How long everything takes: each stage, and the last minutes."""

from nodes.page.part import Page
from nodes.page.seen import Seen


class Timing:
    """See `Part`."""

    every_s = 0.5

    def __init__(self, page: Page) -> None:
        self._page = page

    def show(self, seen: Seen, now_ns: int) -> None: ...
