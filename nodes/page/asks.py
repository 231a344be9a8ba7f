"""What people ask for by the page's buttons, on its way to the bus.

The page's callbacks run on threads of its server; sockets belong to the viewer's own. So a callback leaves its request
here, and the viewer's loop sends it.
"""

import queue
from collections.abc import Iterator
from typing import Any

from nodes.wire.messages import Message

SOURCE = "viewer"


class Asks:
    """A queue from the callbacks to the loop."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[type[Message], dict[str, Any]]] = queue.SimpleQueue()
        self._seq = 0

    def put(self, kind: type[Message], **fields: Any) -> None:
        """Ask for something, from any thread. fields: of its kind; those of `Message` need not be given."""
        self._waiting.put((kind, fields))

    def drain(self, now_ns: int) -> Iterator[Message]:
        """What was asked for since, as messages. The loop's thread."""
        while True:
            try:
                kind, fields = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._seq += 1
            stamps = {"captured_ns": now_ns, "published_ns": 0, "source": SOURCE, "seq": self._seq}
            yield kind(**{**stamps, **fields})
