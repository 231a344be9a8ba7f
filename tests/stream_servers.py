"""Network cameras for tests: real ffmpeg and GStreamer servers on the loopback, killed in the end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.numbered_clips import BLOCK_PX, COLUMNS, SIZE_WH

SYSTEM_PYTHON = "/usr/bin/python3"
NEEDS_GST = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(*command: str, ready: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that is killed in the end; when `ready` is given, after it has said that."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert not ready or ready in process.stdout.readline()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def rtsp_camera(port: int) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    probe = [SYSTEM_PYTHON, "-c", NEEDS_GST]
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs gir1.2-gst-rtsp-server-1.0 for the system's Python")
    rows = SIZE_WH[1] // BLOCK_PX
    script = Path(__file__).with_name("rtsp_server.py")
    return running(SYSTEM_PYTHON, str(script), str(port), str(BLOCK_PX), str(COLUMNS), str(rows), ready="ready")


def ffmpeg_server(clip: Path, url: str, *encoding: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    play = ["ffmpeg", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(clip)]
    return running(*play, *encoding, "-listen", "1", url)
