"""A browser's half of the live page's connection without a browser: takes in what a page is sent, as fast as it comes.

viser's wire format (viser/infra/_infra.py, `_message_producer`): two sizes of 8 bytes, messages as msgpack under zstd,
then arrays.
"""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import viser
import zstandard
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

CAMERA = {
    "type": "ViewerCameraMessage",
    "wxyz": (1.0, 0.0, 0.0, 0.0),
    "position": (4.0, 4.0, 2.0),
    "fov": 1.0,
    "near": 0.01,
    "far": 1000.0,
    "image_height": 800,
    "image_width": 1280,
    "look_at": (0.0, 0.0, 1.0),
    "up_direction": (0.0, 0.0, 1.0),
}
STALLED_BUFFER = 4096  # bytes that a browser which reads nothing takes in at most, as its system allows


def joined(port: int, **options: Any) -> ClientConnection:
    """A connection of somebody who looks at the page; until the first word of its camera, nobody does for viser."""
    connection = connect(
        f"ws://127.0.0.1:{port}",
        subprotocols=[Subprotocol(f"viser-v{viser.__version__}")],
        max_size=None,
        compression=None,
        **options,
    )
    connection.send(msgspec.msgpack.encode(CAMERA))
    return connection


class PageReader:
    """What one browser is sent. parse: keep words and names of the scene; else frames and bytes are counted alone."""

    def __init__(self, port: int, parse: bool = True) -> None:
        self._connection = joined(port)
        self._parse = parse
        self._lock = threading.Lock()
        self._gui: dict[str, dict[str, Any]] = {}  # by uuid
        self._scene: dict[str, dict[str, Any]] = {}  # by name: all that was set of it
        self.frames = 0
        self.bytes = 0
        self.kinds: dict[str, int] = {}  # messages by type
        self.closed = ""  # why
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def words(self) -> str:
        """All that can be read on the page, in every tab, as HTML."""
        with self._lock:
            return "\n".join(
                str(value) for each in self._gui.values() for value in each.values() if isinstance(value, str)
            )

    def html(self) -> str:
        """What the browser takes as HTML, of all tabs."""
        with self._lock:
            return "\n".join(str(each["content"]) for each in self._gui.values() if "content" in each)

    def text(self) -> str:
        """The same as one reads it."""
        return re.sub(r"(<style>.*?</style>|<[^>]+>)+", " ", self.html(), flags=re.DOTALL)

    def scene(self) -> dict[str, dict[str, Any]]:
        """Name of what is drawn → what was said of it last."""
        with self._lock:
            return {name: dict(each) for name, each in self._scene.items()}

    def wait_for(self, words: str, patience_s: float = 20.0) -> float:
        """Until these words are on the page; how many seconds that took."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < patience_s:
            if words in self.words():
                return time.monotonic() - began_s
            time.sleep(0.02)
        raise AssertionError(f"{words!r} is not on the page ({self.closed or 'connected'}):\n{self.text()}")

    def send(self, message: dict[str, Any]) -> None:
        """What a browser would say."""
        self._connection.send(msgspec.msgpack.encode(message))

    def close(self) -> None:
        self._connection.close()
        self._thread.join(10)

    def __enter__(self) -> "PageReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        try:
            for data in self._connection:
                assert isinstance(data, bytes)
                self.frames += 1
                self.bytes += len(data)
                if self._parse:
                    with self._lock:
                        for message in _messages(data):
                            self._take(message)
        except ConnectionClosed as error:
            self.closed = str(error)

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if kind == "GuiRemoveMessage":
            self._gui.pop(message["uuid"], None)
        elif kind == "RemoveSceneNodeMessage":
            self._scene = {name: each for name, each in self._scene.items() if not _within(name, message["name"])}
        elif "uuid" in message:
            known = self._gui.setdefault(message["uuid"], {})
            known.update(message.get("props", {}))
            known.update(message.get("updates", {}))
        elif "name" in message:
            known = self._scene.setdefault(message["name"], {})
            known.update({key: value for key, value in message.items() if key not in ("props", "updates")})
            known.update(message.get("props", {}))
            known.update(message.get("updates", {}))


def _messages(data: bytes) -> list[dict[str, Any]]:
    size, packed = (int.from_bytes(data[at : at + 8], "little") for at in (0, 8))
    raw = zstandard.ZstdDecompressor().decompress(data[16 : 16 + packed], max_output_size=size)
    messages: list[dict[str, Any]] = msgspec.msgpack.decode(raw)["messages"]
    return messages


def _within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}/")


@contextmanager
def stalled(port: int) -> Iterator[None]:
    """A browser that has joined and reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BUFFER)
    sock.connect(("127.0.0.1", port))
    connection = joined(port, sock=sock, max_queue=1, ping_interval=None)
    try:
        yield
    finally:
        sock.close()
        del connection
