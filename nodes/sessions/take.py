"""One recording that is being made: bytes off the bus into a file, what is missing counted, a full disk survived."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from nodes.sessions.logged import Logged
from nodes.sessions.writer import SessionWriter
from nodes.wire.codec import unpack
from nodes.wire.errors import WireError
from nodes.wire.messages import SCHEMA_VERSION, About
from nodes.wire.topics import BY_NAME

SPARE_BYTES = 256 * 1024  # of the disk, which the end of the file, and a chunk that is under way, must find free
MOST_LOST = 1_000_000  # in one gap: a greater one is a counter that begins anew, or nonsense
MAX_TOPICS = 500  # a stranger's inventions shall not fill the memory
# How our own messages begin, as msgpack writes a small map, times of our days, short names and numbers
BEGINNING = re.compile(
    rb"[\x80-\x8f]\xa6schema"
    + re.escape(bytes([SCHEMA_VERSION]))
    + rb"\xabcaptured_ns\xcf[\x00-\x7f].{7}\xacpublished_ns\xcf(?P<published_ns>[\x00-\x7f].{7})"
    rb"\xa6source(?:[\xa0-\xbf]|\xd9.)(?P<source>[^\xa3]*)"
    rb"\xa3seq(?:(?P<fix>[\x00-\x7f])|\xcc(?P<u8>.)|\xcd(?P<u16>..)|\xce(?P<u32>.{4}))",
    re.DOTALL,
)
LOOK_EVERY_NS = 250_000_000


class Take:
    """A recording. full: why it could not go on, "" while it goes on; what was written until then is whole.

    lost: messages that should have come, by the gaps in their seq. refused: what was not of ours, and is not in it.
    changed_ns: when other settings than those that it explains itself with were first told; None: never.
    """

    def __init__(self, path: Path, began_ns: int) -> None:
        """Make the file. Raises OSError, FileExistsError among them."""
        self.path = path
        self.began_ns = began_ns
        self.full = ""
        self.lost = 0
        self.refused = 0
        self.changed_ns: int | None = None
        self._settings: tuple[str, str] | None = None  # of the first word about itself
        self._writer = SessionWriter(path)
        self._seq: dict[str, int] = {}
        self._topics: dict[bytes, tuple[str, str]] = {}
        self._look_ns = 0

    @property
    def messages(self) -> int:
        return self._writer.messages

    @property
    def bytes_written(self) -> int:
        return self._writer.bytes_written

    @property
    def has_about(self) -> bool:
        return self._settings is not None

    def explain(self, about: About, at_ns: int) -> None:
        """Attach what the recording says about itself; the first word of it counts."""
        settings = (about.config_yaml, about.rig_text)
        if self.has_about and settings != self._settings and self.changed_ns is None:
            self.changed_ns = at_ns
        if not self.has_about and not self.full:
            try:
                self._writer.write_about(about, at_ns)
                self._settings = settings
            except OSError as error:
                self._give_up(error)

    def log(self, envelope: bytes, at_ns: int) -> None:
        """Take in the bytes of a message as they came."""
        head, _, body = envelope.partition(b"\0")
        try:
            topic, source = self._topic(head)
            publish_ns, seq = _stamps(body, source)
        except WireError:
            self.refused += 1
            return
        gap = seq - self._seq.get(topic, seq - 1) - 1
        self.lost += gap if 0 < gap <= MOST_LOST else 0
        self._seq[topic] = seq
        self._keep(Logged(topic, at_ns, publish_ns, body, seq))

    def flush_older(self, now_ns: int) -> None:
        """Write out what has waited; to be called also when nothing comes."""
        if self.full:
            return
        try:
            self._writer.flush_older(now_ns)
            if now_ns >= self._look_ns:
                self._look_ns = now_ns + LOOK_EVERY_NS
                self._look_at_disk()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Write the index. Raises OSError where there is no room even for that: the file reads without it."""
        self._writer.close()

    def _topic(self, head: bytes) -> tuple[str, str]:
        """Topic and source of a message's head. Raises WireError when it is none that is logged."""
        if head not in self._topics:
            try:
                topic = head.decode()
            except UnicodeDecodeError:
                topic = ""
            name, _, source = topic.partition("/")
            if name not in BY_NAME or not BY_NAME[name].logged or len(self._topics) >= MAX_TOPICS:
                raise WireError(f"{head[:60]!r} is not logged")
            self._topics[head] = topic, source
        return self._topics[head]

    def _keep(self, logged: Logged) -> None:
        if self.full:
            return
        try:
            self._writer.write_logged(logged)
        except OSError as error:
            self._give_up(error)

    def _look_at_disk(self) -> None:
        """End while there is room for the index: in an orderly way, not by a fault."""
        free = shutil.disk_usage(self.path.parent).free
        if free < SPARE_BYTES + self._writer.index_bytes:
            self._end(f"the disk of {self.path.parent} is full ({free / 1e6:.1f} MB left)")

    def _give_up(self, error: OSError) -> None:
        self._end(f"{self.path} cannot be written any more: {os.strerror(error.errno) if error.errno else error}")

    def _end(self, why: str) -> None:
        self.full = f"{why}: the recording has ended; what came before is whole"
        try:
            self._writer.close()
        except OSError:
            self.full += ", but without an index, which recover makes"


def _stamps(body: bytes, source: str) -> tuple[int, int]:
    """published_ns and seq of a message of this source. Raises WireError.

    Where it begins as our own messages do, the rest is not looked at: a recorder does little else all day.
    """
    usual = BEGINNING.match(body)
    if usual is not None and usual["source"] == source.encode():
        return int.from_bytes(usual["published_ns"]), int.from_bytes(usual[str(usual.lastgroup)])
    raw = unpack(body)
    if raw.get("source") != source:
        raise WireError("it comes from somebody else")
    return _whole(raw, "published_ns"), _whole(raw, "seq")


def _whole(raw: dict[str, Any], key: str) -> int:
    value = raw.get(key)
    if type(value) is not int or not 0 <= value < 2**63:
        raise WireError(f"{key} is no time or count")
    return value
