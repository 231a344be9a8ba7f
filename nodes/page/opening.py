"""Opens the page: its server, its look, and the tabs that the parts fill."""

import viser

from nodes.page.asks import Asks
from nodes.page.part import Page, Tabs

LABEL = "livepose3d"


def open_page(host: str, port: int, asks: Asks) -> Page:
    """The page, empty still. Raises OSError when it cannot be served there."""
    server = viser.ViserServer(host=host, port=port, label=LABEL, verbose=False)
    server.gui.configure_theme(dark_mode=True, control_layout="collapsible", control_width="large", show_logo=False)
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
