"""Writes MCAP so that at any moment the file is whole but for the newest quarter of a second.

Why not the writer of the `mcap` package, whose records these are: it ends a chunk by size alone, so that a crash takes
seconds of a slow camera with it; and after a full disk its state is of no use.
"""

import io
import struct
import zlib
from dataclasses import dataclass, field
from itertools import chain

import zstandard
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    Channel,
    Chunk,
    ChunkIndex,
    Header,
    McapRecord,
    Metadata,
    MetadataIndex,
    Schema,
)
from mcap.writer import MCAP0_MAGIC as MAGIC

from nodes.sessions.catalogue import RECORD_HEAD, Catalogue, attachment_index, content_of, summary_of

CHUNK_BYTES = 65_536  # before compression
CHUNK_NS = 250_000_000  # a chunk holds no longer time than this
MESSAGE_HEAD = struct.Struct("<BQHIQQ")  # opcode, length, channel, sequence, log and publish time
INDEX_HEAD = struct.Struct("<BQHI")  # opcode, length, channel, bytes of the entries
COMPRESSION_LEVEL = 1  # level 3 is 5 % smaller and takes twice the time


@dataclass
class _OpenChunk:
    """Messages that are not in the file yet, as the bytes of their records."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    entries: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # channel → (log time, place) of each
    first_ns: int = 0
    last_ns: int = 0

    def add(self, channel_id: int, log_ns: int, publish_ns: int, sequence: int, data: bytes) -> None:
        """By hand and not by `mcap.records.Message`, which takes ten times as long; a recorder does little else."""
        if not self.parts:
            self.first_ns = log_ns
        self.last_ns = log_ns
        self.entries.setdefault(channel_id, []).append((log_ns, self.size))
        length = MESSAGE_HEAD.size - RECORD_HEAD.size + len(data)
        self.parts += (MESSAGE_HEAD.pack(Opcode.MESSAGE, length, channel_id, sequence, log_ns, publish_ns), data)
        self.size += MESSAGE_HEAD.size + len(data)


class ContainerWriter:
    """Writes into an open, unbuffered file. OSError, as of a full disk, leaves the file whole up to the last chunk."""

    def __init__(self, file: io.FileIO, profile: str, library: str) -> None:
        self._file = file
        self._found = Catalogue(profile=profile, library=library)
        self._chunk = _OpenChunk()
        self._failed = False
        self._compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self._append(MAGIC + _bytes(Header(profile, library)))

    @property
    def bytes_written(self) -> int:
        return self._found.end

    @property
    def index_bytes(self) -> int:
        """About how much the index at the end will take."""
        parts = len(self._found.chunks) * (100 + 10 * len(self._found.channels))
        return parts + sum(len(schema.data) + 200 for schema in self._found.schemas.values()) + 4096

    def schema(self, name: str, encoding: str, data: bytes) -> int:
        """Write a schema; its id."""
        record = Schema(id=len(self._found.schemas) + 1, name=name, encoding=encoding, data=data)
        self._append(_bytes(record))
        self._found.schemas[record.id] = record
        return record.id

    def channel(self, topic: str, message_encoding: str, schema_id: int) -> int:
        """Write a channel; its id."""
        number = len(self._found.channels) + 1
        record = Channel(id=number, topic=topic, message_encoding=message_encoding, schema_id=schema_id, metadata={})
        self._append(_bytes(record))
        self._found.channels[record.id] = record
        return record.id

    def message(self, channel_id: int, log_ns: int, publish_ns: int, sequence: int, data: bytes) -> None:
        """Take a message in. log_ns must not fall, so that the file's order is the order of time."""
        if self._chunk.parts and log_ns < self._chunk.last_ns:
            raise ValueError(f"log time falls from {self._chunk.last_ns} to {log_ns}")
        self.flush_older(log_ns)
        self._chunk.add(channel_id, log_ns, publish_ns, sequence & 0xFFFFFFFF, data)
        if self._chunk.size >= CHUNK_BYTES:
            self.flush()

    def attachment(self, name: str, media_type: str, data: bytes, at_ns: int) -> None:
        """Write a file within the file."""
        record = Attachment(create_time=at_ns, log_time=at_ns, name=name, media_type=media_type, data=data)
        content, offset = _bytes(record), self._found.end
        self._append(content)
        self._found.attachments.append(attachment_index(record, offset, len(content)))

    def metadata(self, name: str, values: dict[str, str]) -> None:
        """Write names and values."""
        content, offset = _bytes(Metadata(name=name, metadata=values)), self._found.end
        self._append(content)
        self._found.metadata.append(MetadataIndex(offset=offset, length=len(content), name=name))

    def flush_older(self, now_ns: int) -> None:
        """Write the chunk out if its first message is a quarter of a second old."""
        if self._chunk.parts and now_ns - self._chunk.first_ns >= CHUNK_NS:
            self.flush()

    def flush(self) -> None:
        """Write the chunk out, in one piece with its index."""
        chunk, self._chunk = self._chunk, _OpenChunk()
        if not chunk.parts:
            return
        plain = b"".join(chunk.parts)
        packed = self._compressor.compress(plain)
        record = Chunk(
            compression="zstd",
            data=packed,
            message_start_time=chunk.first_ns,
            message_end_time=chunk.last_ns,
            uncompressed_crc=zlib.crc32(plain),
            uncompressed_size=len(plain),
        )
        head, offset = _bytes(record), self._found.end
        indexes = {number: _index_bytes(number, entries) for number, entries in chunk.entries.items()}
        self._append(head + b"".join(indexes.values()))
        offsets, at = {}, offset + len(head)
        for channel_id, content in indexes.items():
            offsets[channel_id] = at
            at += len(content)
            self._found.count(channel_id, len(chunk.entries[channel_id]))
        self._found.chunks.append(
            ChunkIndex(
                chunk_start_offset=offset,
                chunk_length=len(head),
                compression="zstd",
                compressed_size=len(packed),
                message_start_time=chunk.first_ns,
                message_end_time=chunk.last_ns,
                message_index_length=at - offset - len(head),
                message_index_offsets=offsets,
                uncompressed_size=len(plain),
            )
        )

    def finish(self) -> None:
        """Write what is left, and the index. After an OSError only the index, of what there is."""
        if not self._failed:
            self.flush()
        self._append(summary_of(self._found))

    def _append(self, content: bytes) -> None:
        """Write all of it or nothing. Raises OSError."""
        end = self._found.end
        view = memoryview(content)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError:
            self._failed = True
            self._file.truncate(end)
            self._file.seek(end)
            raise
        self._found.end = end + len(content)


def _bytes(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return content_of(builder)


def _index_bytes(channel_id: int, entries: list[tuple[int, int]]) -> bytes:
    """Where a channel's messages are in a chunk: `mcap.records.MessageIndex`, in a tenth of its time."""
    values = struct.pack(f"<{2 * len(entries)}Q", *chain.from_iterable(entries))
    return INDEX_HEAD.pack(Opcode.MESSAGE_INDEX, 6 + len(values), channel_id, len(values)) + values


def append_index(file: io.FileIO, found: Catalogue) -> int:
    """Give a file that was cut its index, in place of what stands behind its last whole record; how many bytes that
    were. Raises OSError.
    """
    file.seek(0, io.SEEK_END)
    left_over = file.tell() - found.end
    content = memoryview(summary_of(found))
    file.truncate(found.end)
    file.seek(found.end)
    while content:
        content = content[file.write(content) or 0 :]
    return left_over
