"""Reads sessions, whole ones and such as were cut: in the order of the file, from any second on, in constant memory."""

import io
import struct
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, cast

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, ChunkIndex
from mcap.stream_reader import get_chunk_data_stream

from calibration.rig import CameraRig
from configs.schema import Config
from lifter.skeleton import Skeleton
from nodes.sessions import about as about_files
from nodes.sessions.catalogue import (
    BROKEN,
    MAX_RECORD,
    RECORD_HEAD,
    Catalogue,
    read_attachment,
    read_catalogue,
    read_metadata,
)
from nodes.sessions.errors import SessionError
from nodes.sessions.logged import Logged
from nodes.sessions.writer import CONFIG_FILE, FACTS_FILE, PROFILE
from nodes.wire.errors import WireError
from nodes.wire.messages import SCHEMA_VERSION, About, Keypoints2D, Message
from nodes.wire.topics import BY_MESSAGE, BY_NAME

M = TypeVar("M", bound=Message)
UNREADABLE = (*BROKEN, zstandard.ZstdError)
MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log and publish time; the data follow


class SessionReader:
    """A session that is open. Raises SessionError when it cannot be read.

    is_cut: whether it has no index, because its recorder was ended by force. start_ns, end_ns: log times of the first
    and the last message. damaged: parts that could not be read, in words. undecodable: messages passed over.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damaged: list[str] = []
        self.undecodable = 0
        if not self.path.is_file():
            raise SessionError(f"{path} does not exist, or is no file: check the path")
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise SessionError(f"{path} cannot be read: {error.strerror}") from None
        try:
            self._found = read_catalogue(self._file)
            self._refuse_foreign()
            self.about = self._read_about()
        except SessionError as error:
            self._file.close()
            raise SessionError(f"{path}: {error}") from None
        except OSError as error:
            self._file.close()
            raise SessionError(f"{path} cannot be read: {error.strerror}") from None
        except BROKEN as error:
            self._file.close()
            raise SessionError(f"{path}: what it says about itself is damaged: {error}") from None
        self.is_cut = self._found.is_cut
        self.damaged += [f"{behind - at} bytes in the middle are damaged" for at, behind in self._found.holes]
        chunks = self._found.chunks
        self._ends_ns = [chunk.message_end_time for chunk in chunks]
        self.start_ns = chunks[0].message_start_time if chunks else 0
        self.end_ns = chunks[-1].message_end_time if chunks else 0

    @property
    def cameras(self) -> tuple[str, ...]:
        """Of the configuration, else those that keypoints come from."""
        if self.about is not None:
            return tuple(self.config().cameras)
        sources = (channel.topic.partition("/") for channel in self._found.channels.values())
        name = BY_MESSAGE[Keypoints2D].name
        return tuple(source for topic, _, source in sources if topic == name)

    @property
    def counts(self) -> dict[str, int]:
        """Messages of ours by topic."""
        found = self._found
        ours = {n: channel.topic for n, channel in found.channels.items() if channel.topic.partition("/")[0] in BY_NAME}
        return {topic: found.counts.get(number, 0) for number, topic in ours.items()}

    def config(self) -> Config:
        """The configuration that it was recorded with. Raises SessionError."""
        try:
            return about_files.config_of(self._told())
        except SessionError as error:
            raise SessionError(f"{self.path}: {error}") from None

    def rig(self) -> CameraRig | None:
        """The calibration that it was recorded with; None for one camera without. Raises SessionError."""
        try:
            return about_files.rig_of(self._told())
        except SessionError as error:
            raise SessionError(f"{self.path}: {error}") from None

    def skeleton(self) -> Skeleton | None:
        """Of the keypoints; None where it is not told."""
        return None if self.about is None else about_files.skeleton_of(self.about)

    def messages(self, *kinds: type[M], from_s: float | None = None, to_s: float | None = None) -> Iterator[M]:
        """The messages of these kinds, in the order of the file; seconds since start_ns, `to_s` not included.

        What cannot be decoded is passed over and counted.
        """
        for logged in self.logged(*kinds, from_s=from_s, to_s=to_s):
            try:
                yield cast(M, logged.message())
            except WireError:
                self.undecodable += 1

    def logged(
        self,
        *kinds: type[Message],
        from_s: float | None = None,
        to_s: float | None = None,
        reverse: bool = False,
    ) -> Iterator[Logged]:
        """The same as they stand there; without kinds, all. reverse: the last one first."""
        from_ns = None if from_s is None else self.start_ns + round(from_s * 1e9)
        to_ns = None if to_s is None else self.start_ns + round(to_s * 1e9)
        names = {BY_MESSAGE[kind].name for kind in kinds} or set(BY_NAME)
        others = {n for n, channel in self._found.channels.items() if channel.topic.partition("/")[0] not in names}
        chunks = self._found.chunks[0 if from_ns is None else bisect_left(self._ends_ns, from_ns) :]
        for index in reversed(chunks) if reverse else chunks:
            if to_ns is not None and index.message_start_time >= to_ns:
                if reverse:
                    continue
                return
            if index.message_index_offsets and others.issuperset(index.message_index_offsets):
                continue  # so that marks in an hour are found at once
            records = self._records(index, names)
            for record in reversed(records) if reverse else records:
                if (from_ns is None or record.log_ns >= from_ns) and (to_ns is None or record.log_ns < to_ns):
                    yield record

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "SessionReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _records(self, index: ChunkIndex, names: set[str]) -> list[Logged]:
        """The messages of a chunk on these topics."""
        try:
            if index.chunk_length > MAX_RECORD or index.uncompressed_size > MAX_RECORD:
                raise ValueError(f"a chunk of {index.uncompressed_size} bytes")
            self._file.seek(index.chunk_start_offset + RECORD_HEAD.size)
            content = self._file.read(index.chunk_length - RECORD_HEAD.size)
            chunk = Chunk.read(ReadDataStream(io.BytesIO(content)))
            stream, size = get_chunk_data_stream(chunk, validate_crc=True)
            return self._in_chunk(stream.read(size), names)
        except UNREADABLE as error:
            at_s = (index.message_start_time - self.start_ns) * 1e-9
            self.damaged.append(f"damaged at {at_s:.2f} s, {index.uncompressed_size} bytes are passed over: {error}")
            return []

    def _in_chunk(self, plain: bytes, names: set[str]) -> list[Logged]:
        """By hand and not by `mcap.stream_reader.breakup_chunk`, which takes longer by half. Raises UNREADABLE."""
        found, at = [], 0
        while at < len(plain):
            opcode, length = RECORD_HEAD.unpack_from(plain, at)
            content = at + RECORD_HEAD.size
            at = content + length
            if at > len(plain):
                raise ValueError(f"a record of {length} bytes ends behind its chunk")
            if opcode == Opcode.MESSAGE:
                channel_id, seq, log_ns, publish_ns = MESSAGE.unpack(plain[content : content + MESSAGE.size])
                topic = self._found.channels[channel_id].topic
                if topic.partition("/")[0] in names:
                    found.append(Logged(topic, log_ns, publish_ns, plain[content + MESSAGE.size : at], seq))
            elif opcode == Opcode.CHANNEL:  # where other programs put them
                channel = Channel.read(ReadDataStream(io.BytesIO(plain[content:at])))
                self._found.channels[channel.id] = channel
        return found

    def _told(self) -> About:
        if self.about is None:
            raise SessionError(
                "there is no configuration in it, because its recorder was ended in its first moments or it was not "
                "recorded by livepose3d"
            )
        return self.about

    def _refuse_foreign(self) -> None:
        found: Catalogue = self._found
        if found.profile != PROFILE:
            raise SessionError(f"an MCAP file, but no session of livepose3d: its profile is {found.profile!r}")
        told = [read_metadata(self._file, index) for index in found.metadata if index.name == PROFILE]
        schema = told[0].get("schema", "") if told else ""
        if schema.isdecimal() and int(schema) > SCHEMA_VERSION:
            raise SessionError(
                f"it was recorded by livepose3d {told[0].get('version', '')} in schema {schema}, and this one reads up "
                f"to {SCHEMA_VERSION}: install that version, or a newer one"
            )

    def _read_about(self) -> About | None:
        texts = {index.name: read_attachment(self._file, index).decode() for index in self._found.attachments}
        if CONFIG_FILE not in texts:
            return None
        rig_name = next((name for name in about_files.RIG_ENDINGS.values() if name in texts), "")
        return About(
            captured_ns=0,
            published_ns=0,
            source="session",
            seq=0,
            config_yaml=texts[CONFIG_FILE],
            rig_name=rig_name,
            rig_text=texts.get(rig_name, ""),
            facts_json=texts.get(FACTS_FILE, "{}"),
        )
