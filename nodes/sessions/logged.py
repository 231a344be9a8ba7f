"""A message of a session as it stands there."""

from dataclasses import dataclass

from nodes.wire.messages import Message, decode
from nodes.wire.topics import BY_NAME


@dataclass(frozen=True, slots=True)
class Logged:
    """topic: `name/source` of the bus. log_ns: when it was logged. publish_ns: its published_ns. data: as it was sent,
    without the topic before it. seq: of the message.
    """

    topic: str
    log_ns: int
    publish_ns: int
    data: bytes
    seq: int = 0

    @property
    def kind(self) -> type[Message]:
        return BY_NAME[self.topic.partition("/")[0]].message

    @property
    def source(self) -> str:
        return self.topic.partition("/")[2]

    def message(self) -> Message:
        """Decoded. Raises WireError."""
        return decode(self.kind, self.data)
