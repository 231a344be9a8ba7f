"""C3D, the markers of Mokka, Vicon, Visual3D and OpenSim: millimetres, z up, no analog channels.

ezc3d writes what stands before the frames; the frames follow as they come, since ezc3d would hold sixteen times
their size in memory. A marker that is absent has the residual -1; one that is there 0, the format's word for processed,
as all of ours come out of a filter. (Cameras and sigma are in CSV, Parquet and NPZ: programs disagree about which byte
of a residual says what.) https://www.c3d.org/HTML/Documents/3ddatafloatingpointformat.htm

Frame numbers have 16 bits, and ezc3d, as others, reads no further: somebody's longer time goes into several files.
"""

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ezc3d
import numpy as np

from nodes.exporting.marker_names import marker_names
from nodes.exporting.moments import Rows
from nodes.exporting.plan import Axes, Person, Plan, Write, turned

MOST_FRAMES = 65_535
SCREEN_UP = {Axes.Z_UP: "+Z", Axes.Y_UP: "+Y"}
BLOCK_BYTES = 512
FIRST_AND_LAST = struct.Struct("<HH")  # frames, in the header
FIRST_AT, DATA_START_AT = 6, 16  # bytes of the header
FRAMES = (
    b"FRAMES"  # the parameter of the group POINT: name, offset to the next one (2), type (1), dimensions (1), value
)
UINT16 = struct.Struct("<H")


@contextmanager
def c3d_file(plan: Plan, person: Person, part: Path) -> Iterator[Write[Rows]]:
    """One person's file. Raises OSError."""
    with part.open("wb") as file:
        file.write(_before_frames(plan, person, part.parent))

        def write(rows: Rows) -> None:
            known = np.isfinite(rows.joints_m).all(-1)
            words = np.empty((*known.shape, 4), "<f4")
            words[..., :3] = np.where(known[..., None], turned(rows.joints_m, plan.axes) * 1000.0, 0.0)
            words[..., 3] = np.where(known, 0.0, -1.0)
            file.write(words.tobytes())

        yield write
        file.write(b"\0" * (-file.tell() % BLOCK_BYTES))


def _before_frames(plan: Plan, person: Person, folder: Path) -> bytes:
    """Header and parameters: those of a file with one frame, in which then the number of frames is put right."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / "one.c3d"
        _one_frame(plan, person).write(str(path))
        content = bytearray(path.read_bytes())
    count = person.behind - person.first
    first, _ = FIRST_AND_LAST.unpack_from(content, FIRST_AT)
    FIRST_AND_LAST.pack_into(content, FIRST_AT, first, first + count - 1)
    (data_block,) = UINT16.unpack_from(content, DATA_START_AT)
    UINT16.pack_into(content, content.index(FRAMES, BLOCK_BYTES) + len(FRAMES) + 4, count)
    return bytes(content[: (data_block - 1) * BLOCK_BYTES])


def _one_frame(plan: Plan, person: Person) -> Any:
    document = ezc3d.c3d()
    point = document["parameters"]["POINT"]
    point["RATE"]["value"] = [plan.rate_hz]
    point["UNITS"]["value"] = ["mm"]
    point["LABELS"]["value"] = list(marker_names(plan.skeleton.name, plan.skeleton.joints))
    point["DESCRIPTIONS"]["value"] = list(plan.skeleton.joints)
    document.add_parameter("POINT", "X_SCREEN", ["+X"])
    document.add_parameter("POINT", "Y_SCREEN", [SCREEN_UP[plan.axes]])
    document.add_parameter("MANUFACTURER", "COMPANY", ["livepose3d"])
    facts = {"PERSON": [str(person.id)], "SKELETON": [plan.skeleton.name], "FRAME": [plan.frame]}
    for name, value in facts.items():
        document.add_parameter("LIVEPOSE3D", name, value)
    document.add_parameter("LIVEPOSE3D", "START_S", [person.first / plan.rate_hz])
    if person.behind <= MOST_FRAMES:
        document["header"]["points"]["first_frame"] = person.first
    document["data"]["points"] = np.ones((4, len(plan.skeleton.joints), 1))
    return document
