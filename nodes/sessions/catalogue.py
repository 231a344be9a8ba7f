"""What an MCAP file holds and where: from its index, or, of a file that was cut, by walking over its records.

A file that was cut by a crash is whole up to its last whole record, and what is behind that is not readable by anybody;
so nothing has to be repaired before it is read. Format: https://mcap.dev/spec
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
)
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC as MAGIC

from nodes.sessions.errors import SessionError

RECORD_HEAD = struct.Struct("<BQ")  # opcode, length
CHUNK_HEAD = struct.Struct("<QQQI")  # first and last log time, size and CRC of the plain data
TEXT_HEAD = struct.Struct("<I")
FOOTER_BYTES = RECORD_HEAD.size + 8 + 8 + 4
MAX_RECORD = 64 * 1024 * 1024  # far above any chunk or attachment of ours; more is garbage
ZSTD_CHUNK = struct.pack("<I", 4) + b"zstd"  # stands in every chunk of ours, behind its head
CHUNK_NAME_AT = RECORD_HEAD.size + CHUNK_HEAD.size
SEARCHED = 1024 * 1024
BROKEN = (McapError, struct.error, ValueError, KeyError, MemoryError, OverflowError)  # what a record of garbage raises


@dataclass
class Catalogue:
    """The parts of a file. counts: messages by channel. end: where its data section ends. is_cut: without an index.

    holes: (from, to) in bytes, where there are no records, but behind.
    """

    profile: str = ""
    library: str = ""
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunks: list[ChunkIndex] = field(default_factory=list)
    attachments: list[AttachmentIndex] = field(default_factory=list)
    metadata: list[MetadataIndex] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    end: int = 0
    is_cut: bool = False
    holes: list[tuple[int, int]] = field(default_factory=list)

    def count(self, channel_id: int, messages: int) -> None:
        self.counts[channel_id] = self.counts.get(channel_id, 0) + messages


def read_catalogue(file: IO[bytes]) -> Catalogue:
    """The catalogue of an open file. Raises SessionError (without the path) when it is no MCAP file."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    start = file.read(len(MAGIC))
    if size == 0:
        raise SessionError("the file is empty: nothing was recorded into it")
    if start != MAGIC:
        raise SessionError("this is no session: it does not begin as an MCAP file does")
    try:
        return _indexed(file, size)
    except BROKEN:
        return scan(file)


def scan(file: IO[bytes]) -> Catalogue:
    """The catalogue by walking over all whole records, for files without an index.

    Where a power cut has left a hole, it goes on with the next chunk behind it.
    """
    found = Catalogue(is_cut=True, end=len(MAGIC))
    while not _scan_from(found, file, found.end):
        behind = _next_chunk(file, found.end + 1)
        if behind is None:
            break
        found.holes.append((found.end, behind))
        found.end = behind
    return found


def _scan_from(found: Catalogue, file: IO[bytes], start: int) -> bool:
    """Take in the whole records from a place on, up to the first that is none; True when the data section is over."""
    for opcode, offset, length in _whole_records(file, start):
        file.seek(offset + RECORD_HEAD.size)
        try:
            over = _take(found, file, opcode, offset, length)
        except BROKEN:
            return False
        if over:
            return True
        found.end = offset + RECORD_HEAD.size + length
    return False


def _next_chunk(file: IO[bytes], start: int) -> int | None:
    """Where the next whole chunk of ours begins, from a place on."""
    size, at = os.fstat(file.fileno()).st_size, start
    while at < size:
        file.seek(at)
        window = file.read(SEARCHED)
        place = window.find(ZSTD_CHUNK, CHUNK_NAME_AT)
        while place >= 0:
            head = place - CHUNK_NAME_AT
            opcode, length = RECORD_HEAD.unpack_from(window, head)
            if opcode == Opcode.CHUNK and at + head + RECORD_HEAD.size + length <= size and length <= MAX_RECORD:
                return at + head
            place = window.find(ZSTD_CHUNK, place + 1)
        at += SEARCHED - 2 * CHUNK_NAME_AT
    return None


def summary_of(found: Catalogue) -> bytes:
    """What stands behind the data section, which ends at found.end: the index, and the end of the file."""
    data_end, summary = RecordBuilder(), RecordBuilder()
    DataEnd(0).write(data_end)
    before = content_of(data_end)
    for record in (*found.schemas.values(), *found.channels.values(), _statistics(found), *found.chunks):
        record.write(summary)
    for index in (*found.attachments, *found.metadata):
        index.write(summary)
    body = content_of(summary)
    start = found.end + len(before)
    crc = zlib.crc32(body)
    crc = zlib.crc32(struct.pack("<BQQQ", Opcode.FOOTER, FOOTER_BYTES - RECORD_HEAD.size, start, 0), crc)
    footer = RecordBuilder()
    Footer(summary_start=start, summary_offset_start=0, summary_crc=crc).write(footer)
    return before + body + content_of(footer) + MAGIC


def content_of(builder: RecordBuilder) -> bytes:
    """What a builder holds, which is empty then."""
    content: bytes = builder.end()  # type: ignore[no-untyped-call]  # of the mcap package
    return content


def read_attachment(file: IO[bytes], index: AttachmentIndex) -> bytes:
    """The content of an attachment."""
    file.seek(index.offset + RECORD_HEAD.size)
    return Attachment.read(ReadDataStream(file)).data


def read_metadata(file: IO[bytes], index: MetadataIndex) -> dict[str, str]:
    """The names and values of a metadata record."""
    file.seek(index.offset + RECORD_HEAD.size)
    return Metadata.read(ReadDataStream(file)).metadata


def _indexed(file: IO[bytes], size: int) -> Catalogue:
    """By the index at the end. Raises one of BROKEN when there is none."""
    tail = FOOTER_BYTES + len(MAGIC)
    if size < tail + len(MAGIC):
        raise ValueError("too short for an index")
    file.seek(size - tail)
    footer_bytes = file.read(tail)
    if footer_bytes[0] != Opcode.FOOTER or footer_bytes[-len(MAGIC) :] != MAGIC:
        raise ValueError("no footer")
    footer = Footer.read(ReadDataStream(io.BytesIO(footer_bytes[RECORD_HEAD.size :])))
    if not 0 < footer.summary_start < size:
        raise ValueError("no index")
    found = Catalogue(end=footer.summary_start - RECORD_HEAD.size - 4)  # the data section's end record stands between
    file.seek(len(MAGIC) + RECORD_HEAD.size)
    header = Header.read(ReadDataStream(file))
    found.profile, found.library = header.profile, header.library
    file.seek(footer.summary_start)
    summary = file.read(size - footer.summary_start)
    if footer.summary_crc and zlib.crc32(summary[: -len(MAGIC) - 4]) != footer.summary_crc:
        raise ValueError("the index is damaged")
    for record in StreamReader(io.BytesIO(summary), skip_magic=True).records:
        match record:
            case Schema():
                found.schemas[record.id] = record
            case Channel():
                found.channels[record.id] = record
            case ChunkIndex():
                found.chunks.append(record)
            case AttachmentIndex():
                found.attachments.append(record)
            case MetadataIndex():
                found.metadata.append(record)
            case Statistics():
                found.counts = dict(record.channel_message_counts)
    found.chunks.sort(key=lambda chunk: chunk.chunk_start_offset)
    return found


def _whole_records(file: IO[bytes], offset: int) -> Iterator[tuple[int, int, int]]:
    """(opcode, offset, length of the content) of every record from there on that is there to its end."""
    size = os.fstat(file.fileno()).st_size
    while offset + RECORD_HEAD.size <= size:
        file.seek(offset)
        opcode, length = RECORD_HEAD.unpack(file.read(RECORD_HEAD.size))
        if opcode == 0 or length > MAX_RECORD or offset + RECORD_HEAD.size + length > size:
            return
        yield opcode, offset, length
        offset += RECORD_HEAD.size + length


def _take(found: Catalogue, file: IO[bytes], opcode: int, offset: int, length: int) -> bool:
    """Enter the record, whose content the file stands at; True when the data section is over with it."""
    stream = ReadDataStream(file)
    match opcode:
        case Opcode.HEADER:
            header = Header.read(stream)
            found.profile, found.library = header.profile, header.library
        case Opcode.SCHEMA:
            schema = Schema.read(stream)
            found.schemas[schema.id] = schema
        case Opcode.CHANNEL:
            channel = Channel.read(stream)
            found.channels[channel.id] = channel
        case Opcode.CHUNK:
            found.chunks.append(_chunk_index(file, offset, length))
        case Opcode.MESSAGE_INDEX:
            index = MessageIndex.read(stream)
            found.count(index.channel_id, len(index.records))
            if found.chunks:
                _note_message_index(found.chunks[-1], index.channel_id, offset, length)
        case Opcode.ATTACHMENT:
            found.attachments.append(attachment_index(Attachment.read(stream), offset, length + RECORD_HEAD.size))
        case Opcode.METADATA:
            name = Metadata.read(stream).name
            found.metadata.append(MetadataIndex(offset=offset, length=length + RECORD_HEAD.size, name=name))
    return opcode == Opcode.DATA_END


def attachment_index(attachment: Attachment, offset: int, length: int) -> AttachmentIndex:
    """Where an attachment lies; length: of the whole record."""
    return AttachmentIndex(
        offset=offset,
        length=length,
        log_time=attachment.log_time,
        create_time=attachment.create_time,
        data_size=len(attachment.data),
        name=attachment.name,
        media_type=attachment.media_type,
    )


def _chunk_index(file: IO[bytes], offset: int, length: int) -> ChunkIndex:
    """The index of the chunk whose content the file stands at, from its head alone."""
    start_ns, end_ns, plain_size, _ = CHUNK_HEAD.unpack(file.read(CHUNK_HEAD.size))
    (name_length,) = TEXT_HEAD.unpack(file.read(TEXT_HEAD.size))
    compression = file.read(name_length).decode()
    return ChunkIndex(
        chunk_start_offset=offset,
        chunk_length=length + RECORD_HEAD.size,
        compression=compression,
        compressed_size=length - CHUNK_HEAD.size - TEXT_HEAD.size - name_length - 8,
        message_start_time=start_ns,
        message_end_time=end_ns,
        message_index_length=0,
        message_index_offsets={},
        uncompressed_size=plain_size,
    )


def _note_message_index(chunk: ChunkIndex, channel_id: int, offset: int, length: int) -> None:
    chunk.message_index_offsets[channel_id] = offset
    chunk.message_index_length += length + RECORD_HEAD.size


def _statistics(found: Catalogue) -> Statistics:
    return Statistics(
        attachment_count=len(found.attachments),
        channel_count=len(found.channels),
        channel_message_counts=dict(found.counts),
        chunk_count=len(found.chunks),
        message_count=sum(found.counts.values()),
        message_start_time=min((chunk.message_start_time for chunk in found.chunks), default=0),
        message_end_time=max((chunk.message_end_time for chunk in found.chunks), default=0),
        metadata_count=len(found.metadata),
        schema_count=len(found.schemas),
    )
