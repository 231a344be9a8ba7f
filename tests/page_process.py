"""The live page as a process of its own on a hub, for tests that need no cameras."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page_reader import PageReader
from tests.hub import Hub, free_ports

FAILED = "a part of this page failed"


@dataclass
class PageProcess:
    """Where the page is, its process, and what it says on stderr."""

    port: int
    process: subprocess.Popen[str]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_well(self, reader: PageReader) -> bool:
        """Whether it runs, has nothing to complain of, and its reader is still connected."""
        assert self.process.poll() is None, "the page's process has ended"
        complaints = self.log.read_text()
        assert "Traceback" not in complaints, complaints
        assert FAILED not in reader.words()
        assert not reader.closed
        return True


@contextmanager
def running_page(hub: Hub, folder: Path) -> Iterator[PageProcess]:
    """A page that is being served; in the end it stops in order."""
    port, log = free_ports(1)[0], folder / f"page-{len(list(folder.iterdir()))}.log"
    command = [sys.executable, "-m", "nodes.viewer", "--port", str(port), "--hub", hub.inner, "--hub-outer", hub.outer]
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
    try:
        assert process.stdout is not None
        assert str(port) in process.stdout.readline(), log.read_text()
        yield PageProcess(port, process, log)
        if process.poll() is None:
            process.terminate()
            assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
