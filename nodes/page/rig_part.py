"""The room: floor, axes, and the cameras with what they see."""

from nodes.page.part import Page
from nodes.page.seen import Seen


class RigInRoom:
    """See `Part`."""

    every_s = 0.1

    def __init__(self, page: Page) -> None:
        self._page = page

    def show(self, seen: Seen, now_ns: int) -> None: ...
