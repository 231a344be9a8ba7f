"""One process of ours: start, output by lines, signals, end. Only the supervisor uses it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import nodes
from nodes.system.process_table import Process

LAUNCHER = Path(__file__).with_name("launcher.py")
PACKAGES = Path(nodes.__path__[0]).parent  # where a child finds `nodes`, from whatever folder run_system was started
CHUNK_BYTES = 65536  # read in one turn; a pipe holds as much


class Child:
    """The present or last life of a process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._popen: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._unfinished = b""

    @property
    def pid(self) -> int | None:
        return None if self._popen is None else self._popen.pid

    def start(self) -> None:
        """Start in a session of its own: Ctrl-C in the terminal reaches us alone, and we stop our children in order."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("start processes from the main thread: they die with the thread that started them")
        self.close()
        paths = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *self.process.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            bufsize=0,  # reads return what is there, without waiting for more
        )
        self._output = self._popen.stdout
        assert self._output is not None  # stdout=PIPE
        os.set_blocking(self._output.fileno(), False)

    def exit_code(self) -> int | None:
        """None while it lives (or never did); -n after signal n."""
        return None if self._popen is None else self._popen.poll()

    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def send(self, signum: signal.Signals) -> None:
        """Signal the process and what it has started itself; nothing when it has ended."""
        if self._popen is not None and self._popen.poll() is None:  # not reaped, so the number is still its own
            os.killpg(self._popen.pid, signum)

    def read_lines(self) -> list[str]:
        """Complete lines that it has written since; never blocks."""
        self._read_chunk()
        *lines, self._unfinished = self._unfinished.split(b"\n")
        if len(self._unfinished) > CHUNK_BYTES:  # no line of a sane program: do not gather it for ever
            lines.append(self._unfinished)
            self._unfinished = b""
        return [line.decode(errors="replace").rstrip("\r") for line in lines]

    def last_lines(self) -> list[str]:
        """Everything that is left after its end, also a last line without an end."""
        while self._read_chunk():
            pass
        lines = self.read_lines()
        if self._unfinished:
            lines.append(self._unfinished.decode(errors="replace"))
            self._unfinished = b""
        return lines

    def close(self) -> None:
        """Let go of the output of a life that has ended."""
        if self._output is not None:
            self._output.close()
            self._output = None
        self._unfinished = b""

    def _read_chunk(self) -> bool:
        """Whether something came."""
        chunk = self._output.read(CHUNK_BYTES) if self._output is not None else None  # None: nothing now; b"": ended
        self._unfinished += chunk or b""
        return bool(chunk)
