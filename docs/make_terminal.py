"""The terminal in README: `python docs/make_terminal.py` makes `docs/terminal.svg`.

The status table of a real run of `run_system.py demo` on this machine, with the figures it had then.
"""

import io
import re
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ports import free_port_pair
from configs.load import load_config
from nodes.commands.live import demo_config
from nodes.page.address import told_address
from nodes.system.status_table import render
from nodes.watching.accuracy import load_truth
from nodes.watching.monitor import Monitor, Status
from nodes.wire.bus import every
from nodes.wire.messages import CameraHealth, FusionHealth, Message, Pose3D, RecorderHealth, Session

DOCS = Path(__file__).resolve().parent
SECONDS = 20
WIDTH = 76  # characters
KINDS: tuple[type[Message], ...] = (CameraHealth, FusionHealth, Pose3D, RecorderHealth, Session)


def main() -> None:
    """Run, listen, draw the last table with all cameras in it."""
    status, seconds = watched()
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    page = told_address("127.0.0.1", 8080)
    console.print("[bold green]$[/] python run_system.py", render(status, seconds, page, WIDTH), sep="\n")
    svg = console.export_svg(title="livepose3d", font_aspect_ratio=0.6)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # would be fetched
    (DOCS / "terminal.svg").write_text(svg, encoding="utf-8")


def watched() -> tuple[Status, float]:
    """The last status of a run of the demo in which all cameras streamed, and the second of it."""
    config, port = load_config(demo_config()), free_port_pair()
    assert config.truth is not None
    monitor = Monitor(tuple(config.cameras), load_truth(config.truth))
    command = [sys.executable, str(DOCS.parent / "run_system.py"), "demo", "--headless", "--hub-port", str(port)]
    shown: tuple[Status, float] | None = None
    with (
        subprocess.Popen([*command, "--seconds", str(SECONDS)], stdout=subprocess.DEVNULL) as system,
        every(*KINDS, hub_out=f"tcp://127.0.0.1:{port + 1}") as inbox,
    ):
        while system.poll() is None:
            message = inbox.receive(100)
            if message is not None:
                monitor.feed(message, time.monotonic_ns())
            status = monitor.status(time.monotonic_ns()) if isinstance(message, FusionHealth) else None
            if status is not None and all(camera.state == "streaming" for camera in status.cameras):
                began_ns = monitor.session_start_ns or time.time_ns()
                shown = status, (time.time_ns() - began_ns) * 1e-9
    assert shown is not None, "the cameras never streamed all at once: the lines above say why"
    return shown


if __name__ == "__main__":
    main()
