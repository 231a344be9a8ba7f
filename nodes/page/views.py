"""From where each browser looks: freely, following a person, or through a camera."""

from nodes.page.part import Page
from nodes.page.seen import Seen


class Views:
    """See `Part`."""

    every_s = 1 / 30

    def __init__(self, page: Page) -> None:
        self._page = page

    def show(self, seen: Seen, now_ns: int) -> None: ...
