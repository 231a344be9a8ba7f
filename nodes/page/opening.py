"""Opens the page: its server, its look, and the tabs that the parts fill."""

import asyncio
import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager

import rich
import viser
import websockets.asyncio.server
from viser.infra._async_message_buffer import AsyncMessageBuffer

from nodes.page.asks import Asks
from nodes.page.part import Page, Tabs

LABEL = "livepose3d"
HERE = re.compile(r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")


class _Event(asyncio.Event):
    """That something is to be sent. Viser sets it on any thread, and then once more on that of its loop; the first of
    the two walks through waiters that the loop may be adding to (`RuntimeError: deque mutated during iteration`, out of
    any property that is set), and is of no use to anybody."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._of = loop

    def set(self) -> None:
        if asyncio._get_running_loop() is self._of:
            super().set()


class _Buffer(AsyncMessageBuffer):
    """What is on its way to browsers."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop, persistent_messages: bool) -> None:
        super().__init__(event_loop, persistent_messages, _Event(event_loop))


def open_page(host: str, port: int, asks: Asks) -> Page:
    """The page, empty still. Raises OSError when it cannot be served there."""
    rich.reconfigure(quiet=True)  # viser prints a box to stdout, which is not its own here
    viser.infra._infra.AsyncMessageBuffer = _Buffer  # type: ignore[assignment, attr-defined]  # of all browsers, whenever
    with _for_own_pages_alone():
        server = viser.ViserServer(host=host, port=port, label=LABEL, verbose=False)
    if server.get_port() != port:  # viser takes the next one that is free
        server.stop()
        raise OSError(f"port {port} of {host} has been taken meanwhile")
    server.gui.configure_theme(dark_mode=True, control_width="large", show_logo=False, show_share_button=False)
    server.gui.main_panel.dock_right()
    server.scene.set_up_direction("+z")
    tabs = server.gui.add_tab_group()
    return Page(
        server=server,
        tabs=Tabs(
            live=tabs.add_tab("Live"),
            cameras=tabs.add_tab("Cameras"),
            timing=tabs.add_tab("Timing"),
            calibrate=tabs.add_tab("Calibrate"),
            replay=tabs.add_tab("Replay"),
        ),
        asks=asks,
    )


@contextmanager
def _for_own_pages_alone() -> Iterator[None]:
    """Servers made meanwhile refuse other sites' pages: any page in the same browser could else see people and work
    the system, since browsers let scripts of all sites open web sockets to this machine (RFC 6455, 10.2)."""
    serve = websockets.asyncio.server.serve
    own = functools.partial(serve, origins=[None, HERE])  # None: programs, which are no browsers
    websockets.asyncio.server.serve = own  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        websockets.asyncio.server.serve = serve  # type: ignore[misc]
