"""The live page: shows whether the system works, and lets people work with it. `python -m nodes.viewer`.

A client like any other: it knows what is said on the bus, and asks by messages on the bus. A thin loop around `Seen`,
which the parts of the page (`nodes/page/`) show. Nothing waits for it, so killing it costs the page alone.
"""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from nodes.page.address import check_address, told_address
from nodes.page.asks import Asks
from nodes.page.opening import open_page
from nodes.page.part import Part
from nodes.page.parts import parts_of
from nodes.page.reporter import Reporter
from nodes.page.seen import Seen
from nodes.wire.bus import DEFAULT_HUB_IN, DEFAULT_HUB_OUT, Publisher, Subscription, every, now_ns
from nodes.wire.errors import WireError
from nodes.wire.messages import Message
from nodes.wire.topics import BY_MESSAGE

TURN_S = 1 / 30  # poses that come between two turns are heard, and not drawn
MOST_PER_TURN = 500  # messages; a flood must not keep the page from being drawn
MOST_FAILURES = 20  # told on stderr


class Viewer:
    """The loop between the bus and the page. What fails is told of once, and the rest goes on.

    at_once: what is changed within it reaches browsers together, which also costs less.
    """

    def __init__(
        self,
        seen: Seen,
        parts: Sequence[Part],
        asks: Asks,
        inbox: Subscription[Message],
        publisher: Publisher,
        at_once: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._seen = seen
        self._parts = parts
        self._due_ns = [0] * len(parts)
        self._failing: dict[str, str] = {}  # what, until it works again
        self._told: set[str] = set()
        self._asks = asks
        self._inbox = inbox
        self._publisher = publisher
        self._at_once = at_once
        self._reporter = Reporter()

    def turn(self, now_ns: int, wall_ns: int, watched: bool) -> None:
        """Once around. now_ns: monotonic. watched: somebody looks at the page; else nothing is drawn."""
        for _ in range(MOST_PER_TURN):
            raw = self._inbox.receive_bytes(0)
            if raw is None:
                break
            self._try("Seen", partial(self._seen.hear, raw, now_ns))
        self._seen.expire(now_ns)
        self._try("Reporter", partial(self._reporter.turn, self._seen, now_ns, wall_ns))
        for ask in self._asks.drain(wall_ns):
            self._publisher.send(ask)
        if watched:
            with self._at_once():
                self._show(now_ns)
        self._seen.part_trouble = next(iter(self._failing.values()), "")

    def _show(self, now_ns: int) -> None:
        for index, part in enumerate(self._parts):
            if now_ns >= self._due_ns[index]:
                self._due_ns[index] = now_ns + round(part.every_s * 1e9)
                self._try(type(part).__name__, partial(part.show, self._seen, now_ns))

    def _try(self, what: str, does: Callable[[], None]) -> None:
        """One that fails must not take the others with it, nor end the page for what somebody says on the bus."""
        try:
            does()
        except Exception as error:
            self._tell(what, error)
        else:
            self._failing.pop(what, None)

    def _tell(self, what: str, error: Exception) -> None:
        words = f"{what}: {type(error).__name__}: {error}"
        self._failing[what] = f"a part of this page failed, the rest goes on: {words}"
        if words not in self._told and len(self._told) < MOST_FAILURES:
            self._told.add(words)
            print(f"viewer: {words}\n{traceback.format_exc()}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Show the page until interrupted; 2 when something must be mended first."""
    parser = argparse.ArgumentParser(prog="python -m nodes.viewer", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="who may see the page: this machine alone (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="of the page (default %(default)s)")
    parser.add_argument("--hub", default=DEFAULT_HUB_IN, help="the hub's inner address (default %(default)s)")
    parser.add_argument("--hub-outer", default=DEFAULT_HUB_OUT, help="its outer address (default %(default)s)")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        check_address(given.host, given.port)
        kinds = [kind for kind in BY_MESSAGE if kind in Seen.KINDS]
        with Publisher(given.hub) as publisher, every(*kinds, hub_out=given.hub_outer) as inbox:
            _run(given, publisher, inbox)
    except (WireError, OSError) as error:
        print(f"viewer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _run(given: argparse.Namespace, publisher: Publisher, inbox: Subscription[Message]) -> None:
    asks = Asks()
    page = open_page(given.host, given.port, asks)
    print(f"viewer: the live page is at {told_address(given.host, given.port)}", flush=True)
    try:
        viewer = Viewer(Seen(hub=given.hub_outer), parts_of(page), asks, inbox, publisher, page.server.atomic)
        while True:
            began_s = time.monotonic()
            viewer.turn(time.monotonic_ns(), now_ns(), watched=bool(page.server.get_clients()))
            time.sleep(max(0.001, TURN_S - (time.monotonic() - began_s)))
    finally:
        page.server.stop()


if __name__ == "__main__":
    sys.exit(main())
