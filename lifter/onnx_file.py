"""What a weight file (.onnx) says about itself: the model card in its metadata, and a checksum at its end.

An ONNX file is a protocol buffer, and a protocol buffer stays one when a field is appended: the checksum is the last
metadata entry, over all bytes before it. So the runtime tells a damaged file from a whole one without the onnx package.
"""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lifter.errors import LifterError

FORMAT = "livepose3d-lifter-1"
CHECKSUM = b"sha256"
HEX_DIGITS = 64
OPTIONAL = ("state_shape", "rate_hz")  # of a card: null in a frame model's


@dataclass(frozen=True)
class Card:
    """Where weights come from and what they are for; each field is a metadata entry, written as JSON."""

    kind: str  # "frame" or "sequence"
    skeleton: str
    joints: tuple[str, ...]
    state_shape: tuple[int, ...] | None  # of one stream; None for a frame model
    rate_hz: float | None  # of the frames that a sequence model was trained on
    model: dict[str, Any]  # the settings of the network
    data: dict[str, Any]  # the settings of the training data
    way: str
    commit: str
    metrics: dict[str, float]

    def properties(self) -> dict[str, str]:
        """As the metadata of an ONNX file."""
        entries = {"format": FORMAT} | {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: json.dumps(value) for key, value in entries.items()}


def read_card(properties: dict[str, str], path: Path) -> Card:
    """The card in a file's metadata.

    Raises LifterError for files of other programs, of other versions of ours, and for damaged ones.
    """
    entries = {key: _json(text) for key, text in properties.items() if key != CHECKSUM.decode()}
    told = entries.pop("format", None)
    if not isinstance(told, str) or not told.startswith("livepose3d-lifter-"):
        raise LifterError(
            f"{path} is a model of another program: its metadata does not say that it is a livepose3d lifter. "
            "Files for the lifter are made by: python -m lifter.export CHECKPOINT"
        )
    if told != FORMAT:
        raise LifterError(
            f"{path} is of format {told}, and this version of livepose3d reads {FORMAT}: update livepose3d, or export "
            "again from the checkpoint: python -m lifter.export CHECKPOINT"
        )
    missing = [field.name for field in fields(Card) if field.name not in entries]
    if missing:
        raise LifterError(f"{path}: its metadata lacks {', '.join(missing)}; export it again from the checkpoint")
    damaged = [field.name for field in fields(Card) if entries[field.name] is None and field.name not in OPTIONAL]
    if damaged:
        raise LifterError(
            f"{path} is damaged: its metadata do not say {', '.join(damaged)}. Get it again, or export it again"
        )
    state_shape = entries["state_shape"]
    return Card(
        kind=entries["kind"],
        skeleton=entries["skeleton"],
        joints=tuple(entries["joints"]),
        state_shape=None if state_shape is None else tuple(state_shape),
        rate_hz=entries["rate_hz"],
        model=entries["model"],
        data=entries["data"],
        way=entries["way"],
        commit=entries["commit"],
        metrics=entries["metrics"],
    )


def _json(text: str) -> Any:
    """What an entry says; None when it is not JSON, as in files of other programs."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def sealed(model: bytes) -> bytes:
    """The bytes of an ONNX file with their checksum as the last metadata entry."""
    return model + _seal(model)


def is_whole(content: bytes) -> bool:
    """Whether a file ends with the checksum of what comes before it."""
    body = content[: -len(_seal(b""))]
    return content == body + _seal(body)


def _seal(body: bytes) -> bytes:
    """ModelProto.metadata_props (field 14) with one StringStringEntryProto (key: field 1, value: field 2)."""
    digest = hashlib.sha256(body).hexdigest().encode()
    entry = b"\x0a" + bytes([len(CHECKSUM)]) + CHECKSUM + b"\x12" + bytes([HEX_DIGITS]) + digest
    return b"\x72" + bytes([len(entry)]) + entry
