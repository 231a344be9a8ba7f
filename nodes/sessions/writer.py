"""Writes sessions: messages of the bus as they were sent, and what explains them."""

import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from nodes.sessions.claim import is_ours_alone
from nodes.sessions.container import ContainerWriter
from nodes.sessions.logged import Logged
from nodes.sessions.scene import SceneMaker
from nodes.sessions.schemas import schema_of
from nodes.sessions.target import check_target
from nodes.wire.messages import SCHEMA_VERSION, About, Message, Pose3D
from nodes.wire.topics import BY_MESSAGE, BY_NAME, envelope

PROFILE = "livepose3d"
POSES = f"{BY_MESSAGE[Pose3D].name}/"
CONFIG_FILE, FACTS_FILE = "config.yaml", "about.json"


class SessionWriter:
    """Writes into a new file, which is made here. OSError leaves it whole up to the last quarter of a second.

    FileExistsError: a recording is never written over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = io.FileIO(os.fspath(path), "xb")
        is_ours_alone(self._file)  # so that nobody gives it an index meanwhile
        self._container = ContainerWriter(self._file, PROFILE, f"livepose3d {_version()}")
        self._container.metadata(PROFILE, {"schema": str(SCHEMA_VERSION), "version": _version()})
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._scenes = SceneMaker()
        self._last_ns = 0
        self.messages = 0

    @property
    def bytes_written(self) -> int:
        return self._container.bytes_written

    @property
    def index_bytes(self) -> int:
        """About how much the index will take that `close` writes."""
        return self._container.index_bytes

    def write_about(self, about: About, at_ns: int) -> None:
        """Attach configuration, calibration and versions."""
        # the configuration last: where it is, what it speaks of is there, too, wherever the file was cut
        files = {about.rig_name: about.rig_text, FACTS_FILE: about.facts_json, CONFIG_FILE: about.config_yaml}
        for name, text in files.items():
            if name:
                self._container.attachment(name, "text/plain", text.encode(), at_ns)

    def write(self, message: Message, log_ns: int) -> None:
        """Write a message, logged at log_ns; one that is earlier than the one before counts as at the same time."""
        head, _, body = envelope(message).partition(b"\0")
        self.write_logged(Logged(head.decode(), log_ns, message.published_ns, body, message.seq))

    def write_logged(self, logged: Logged) -> None:
        """Write the bytes of a message as they are."""
        self._last_ns = max(self._last_ns, logged.log_ns)
        channel = self._channel(logged.topic)
        self._container.message(channel, self._last_ns, logged.publish_ns, logged.seq, logged.data)
        self.messages += 1
        if logged.topic.startswith(POSES) and self._scenes.is_due(self._last_ns):
            self._write_scene(logged)

    def put(self, item: Logged | Message, log_ns: int) -> None:
        """Write either of both."""
        if isinstance(item, Logged):
            self.write_logged(item)
        else:
            self.write(item, log_ns)

    def flush_older(self, now_ns: int) -> None:
        """Write out what has waited for a quarter of a second; for times in which nothing comes."""
        self._container.flush_older(now_ns)

    def close(self) -> None:
        """Write the index and close; also after an OSError. Raises OSError where there is no room for that either."""
        try:
            if not self._file.closed:
                self._container.finish()
        finally:
            self._file.close()

    def _channel(self, topic: str) -> int:
        if topic not in self._channels:
            kind: Any = BY_NAME[topic.partition("/")[0]].message
            schema = self._schema(f"livepose3d.{kind.__name__}", schema_of(kind))
            self._channels[topic] = self._container.channel(topic, "msgpack", schema)
        return self._channels[topic]

    def _schema(self, name: str, data: bytes) -> int:
        if name not in self._schemas:
            self._schemas[name] = self._container.schema(name, "jsonschema", data)
        return self._schemas[name]

    def _write_scene(self, logged: Logged) -> None:
        """Beside some of the poses, what programs such as Foxglove draw without knowing us."""
        scene = self._scenes.of(logged)
        if scene is None:
            return
        if scene.topic not in self._channels:
            schema = self._schema(scene.schema_name, scene.schema)
            self._channels[scene.topic] = self._container.channel(scene.topic, "json", schema)
        self._container.message(self._channels[scene.topic], self._last_ns, logged.publish_ns, logged.seq, scene.data)


@contextmanager
def new_session(out: Path, about: About, *, force: bool, at_ns: int = 0) -> Iterator[SessionWriter]:
    """A session that a command makes: it has its name when it is whole, and after a fault nothing is left of it.

    Raises SessionError when `out` may not be written (nodes.sessions.target), OSError.
    """
    check_target(out, (), force)
    part = out.with_name(out.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with closing(SessionWriter(part)) as writer:
            writer.write_about(about, at_ns)
            yield writer
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _version() -> str:
    try:
        return metadata.version("livepose3d")
    except metadata.PackageNotFoundError:
        return "unknown"
