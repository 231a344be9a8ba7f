"""C3D, the markers of Mokka, Vicon, Visual3D and OpenSim: millimetres, z up, no analog channels; ezc3d writes it.

A marker that is absent has the residual -1; one that no camera saw at the moment (predicted, or bridged when brought
to an even rate) has 0, the format's word for interpolated; else it is sigma, in whole millimetres from 1 on. The masks
tell which of the first seven cameras contributed. https://www.c3d.org/docs/C3D_User_Guide.pdf

Frame numbers have 16 bits, and ezc3d, as others, reads no further: somebody's longer time goes into several files.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ezc3d
import numpy as np
import numpy.typing as npt

from nodes.exporting.marker_names import marker_names
from nodes.exporting.moments import Rows
from nodes.exporting.plan import Axes, Person, Plan, Write, turned
from nodes.wire.messages import Origin

MOST_FRAMES = 65_535
MASKED_CAMERAS = 7
LARGEST_RESIDUAL = 127  # of the bits beside the masks, with a sign
COLUMNS = 5  # kept of each marker: x, y, z, residual, cameras
SCREEN_UP = {Axes.Z_UP: "+Z", Axes.Y_UP: "+Y"}


@contextmanager
def c3d_file(plan: Plan, person: Person, part: Path) -> Iterator[Write[Rows]]:
    """One person's file. ezc3d needs it whole, so frames wait on disk for each other. Raises OSError."""
    J, count = len(plan.skeleton.joints), person.behind - person.first
    with tempfile.TemporaryFile(dir=part.parent) as waiting:

        def write(rows: Rows) -> None:
            columns = [turned(rows.joints_m, plan.axes) * 1000.0, residual(rows)[..., None], rows.views[..., None]]
            waiting.write(np.concatenate(columns, axis=-1).astype(np.float32).tobytes())

        yield write
        waiting.flush()
        frames = np.memmap(waiting, dtype=np.float32, mode="r", shape=(count, J, COLUMNS))
        named = part.with_name(part.name + ".c3d")  # ezc3d gives a file this ending if it has another
        try:
            _document(plan, person, frames).write(str(named))
            named.replace(part)
        finally:
            named.unlink(missing_ok=True)


def residual(rows: Rows) -> npt.NDArray[np.floating[Any]]:
    """(B, J) the number that C3D keeps beside each marker."""
    measured = np.clip(np.ceil(np.nan_to_num(rows.sigma_m) * 1000.0), 1, LARGEST_RESIDUAL)
    known = np.isfinite(rows.joints_m).all(-1)
    return np.where(known, np.where(rows.origin == Origin.PREDICTED, 0.0, measured), -1.0)


def _document(plan: Plan, person: Person, frames: npt.NDArray[np.float32]) -> Any:
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
    facts |= {"CAMERAS": list(plan.cameras[:MASKED_CAMERAS]) or ["none"]}
    for name, value in facts.items():
        document.add_parameter("LIVEPOSE3D", name, value)
    document.add_parameter("LIVEPOSE3D", "START_S", [person.first / plan.rate_hz])
    if person.behind <= MOST_FRAMES:
        document["header"]["points"]["first_frame"] = person.first
    points = np.ones((4, frames.shape[1], frames.shape[0]))
    points[:3] = frames[..., :3].transpose(2, 1, 0)
    document["data"]["points"] = points
    views = frames[..., 4].T.astype(np.uint32)
    masks = [(views >> np.uint32(bit) & np.uint32(1)).astype(bool) for bit in range(MASKED_CAMERAS)]
    document["data"]["meta_points"] = {"residuals": frames[None, ..., 3].transpose(0, 2, 1).astype(float),
                                       "camera_masks": np.stack(masks)}  # fmt: skip
    return document
