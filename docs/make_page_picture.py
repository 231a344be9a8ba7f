"""The live page in README: `python docs/make_page_picture.py` makes `docs/page.jpg` with Chromium, from the demo."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ports import free_port_pair
from nodes.ports import holder_of
from tests import browser

DOCS = Path(__file__).resolve().parent
SETTLED_MS = 8000  # until all pictures, names and figures are there


def main() -> None:
    """Run the demo, look at its page, keep what is seen."""
    hub_port, port = free_port_pair(), free_port_pair()
    command = [sys.executable, str(DOCS.parent / "run_system.py"), "demo", "--plain"]
    run = subprocess.Popen([*command, "--hub-port", str(hub_port), "--page-port", str(port)])
    try:
        while holder_of(f"http://127.0.0.1:{port}") is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(0.5)
                raise SystemExit("the demo has ended before its page was there: what it said stands above")
        with browser.opened(f"http://127.0.0.1:{port}") as shown:
            shown.wait_for("1 person")
            shown.page.wait_for_timeout(SETTLED_MS)
            Image.fromarray(shown.screenshot()).save(DOCS / "page.jpg", quality=85, optimize=True)
    finally:
        run.send_signal(signal.SIGINT)
        run.wait()


if __name__ == "__main__":
    main()
