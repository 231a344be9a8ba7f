"""The people in the room: joints, bones, names, trails, how sure each joint is and where it came from."""

from nodes.page.part import Page
from nodes.page.seen import Seen


class PeopleInRoom:
    """See `Part`."""

    every_s = 1 / 30

    def __init__(self, page: Page) -> None:
        self._page = page

    def show(self, seen: Seen, now_ns: int) -> None: ...
