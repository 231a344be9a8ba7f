"""A calibration from nothing to its verdict."""

from nodes.page.part import Page
from nodes.page.seen import Seen


class Calibrate:
    """See `Part`."""

    every_s = 0.25

    def __init__(self, page: Page) -> None:
        self._page = page

    def show(self, seen: Seen, now_ns: int) -> None: ...
