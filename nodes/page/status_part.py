"""How the system is, in a line; people, lifter, and what happened, in plain words."""

from nodes.page.part import Page
from nodes.page.seen import Seen


class Status:
    """See `Part`."""

    every_s = 0.25

    def __init__(self, page: Page) -> None:
        self._page = page

    def show(self, seen: Seen, now_ns: int) -> None: ...
