"""A row for each camera: what it delivers, and whether that is good."""

from nodes.page.part import Page
from nodes.page.seen import Seen


class Cameras:
    """See `Part`."""

    every_s = 0.25

    def __init__(self, page: Page) -> None:
        self._page = page

    def show(self, seen: Seen, now_ns: int) -> None: ...
