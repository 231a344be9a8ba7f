"""What `reprocess` makes of a sequence: everybody's joints at every row, in one `.npz` (table: docs/reprocess.md)."""

from collections.abc import Sequence as Rows
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lifter.datasets.errors import DatasetError
from nodes.offline.sequence import Arrays, Sequence, names, opened
from nodes.wire.messages import Origin, Pose3D

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Result:
    """T rows with P people of J joints, each person in a column of their own.

    captured_ns: (T,). person_id: (T, P), -1 where absent. joints, cameras: names. joints_m: (T, P, J, 3) world metres,
    sigma_m and reprojection_px: (T, P, J), NaN where absent. views: (T, P, J) bits, bit c for cameras[c]. origin:
    (T, P, J) values of Origin. skeleton: the name under which the joints were fused.
    """

    captured_ns: I64
    person_id: I64
    joints: tuple[str, ...]
    joints_m: F32
    sigma_m: F32
    views: npt.NDArray[np.uint32]
    origin: npt.NDArray[np.uint8]
    reprojection_px: F32
    skeleton: str
    cameras: tuple[str, ...]


def result_of(poses: Rows[Pose3D], sequence: Sequence, shift_ns: int) -> Result:
    """Poses at the moments of some of a sequence's rows, which are shift_ns later in them, as arrays over all rows."""
    times_ns, joints, order = sequence.times_ns, sequence.joints, sequence.order
    row_at = {int(moment) + shift_ns: row for row, moment in enumerate(times_ns)}
    ids = list(dict.fromkeys(person.id for pose in poses for person in pose.people))
    shape = (len(times_ns), len(ids), len(joints))
    result = Result(
        captured_ns=times_ns,
        person_id=np.full(shape[:2], -1, dtype=np.int64),
        joints=joints,
        joints_m=np.full((*shape, 3), np.nan, dtype=np.float32),
        sigma_m=np.full(shape, np.nan, dtype=np.float32),
        views=np.zeros(shape, dtype=np.uint32),
        origin=np.zeros(shape, dtype=np.uint8),
        reprojection_px=np.full(shape, np.nan, dtype=np.float32),
        skeleton=sequence.skeleton.name,
        cameras=sequence.rig.names,
    )
    column = {person_id: p for p, person_id in enumerate(ids)}
    for pose in poses:
        for person in pose.people:
            t, p = row_at[pose.captured_ns], column[person.id]
            absent = (person.origin == Origin.ABSENT) | ~np.isfinite(person.joints_m).all(axis=1)
            result.person_id[t, p] = person.id
            result.joints_m[t, p, order] = np.where(absent[:, None], np.nan, person.joints_m)
            result.sigma_m[t, p, order] = np.where(absent, np.nan, person.sigma_m)
            result.views[t, p, order] = np.where(absent, 0, person.views)
            result.origin[t, p, order] = np.where(absent, Origin.ABSENT, person.origin)
            result.reprojection_px[t, p, order] = person.reprojection_px
    return result


def save_result(result: Result, path: Path) -> None:
    """Write the file; atomic, so that a crash leaves the old one or the new one. Raises OSError."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(
                file, **{field.name: np.asarray(getattr(result, field.name)) for field in fields(result)}
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_result(path: str | Path) -> Result:
    """A file of `reprocess`, or of another program that writes captured_ns, joints and joints_m.

    What such a one leaves out is taken as not known, and each of its columns as one person. Raises DatasetError.
    """
    with opened(path, tuple(key.name for key in fields(Result))) as arrays:
        joints = names(arrays, "joints")
        joints_m, captured_ns = np.array(arrays["joints_m"], dtype=np.float32), arrays["captured_ns"]
        if joints_m.ndim != 4 or joints_m.shape[2:] != (len(joints), 3) or not len(joints_m):
            raise DatasetError(f"joints_m has the shape {joints_m.shape}, expected (rows, people, {len(joints)}, 3)")
        T, P, J, _ = joints_m.shape
        if captured_ns.shape != (T,) or captured_ns.dtype.kind not in "iu" or (np.diff(captured_ns) <= 0).any():
            raise DatasetError(f"captured_ns is not {T} whole nanoseconds, each later than the one before")
        nobody = ~np.isfinite(joints_m).all(-1)
        person_id = _given(arrays, "person_id", np.where(nobody.all(-1), -1, np.arange(P)))
        joints_m[nobody | (person_id < 0)[..., None]] = np.nan
        return Result(
            captured_ns=captured_ns.astype(np.int64),
            person_id=person_id,
            joints=joints,
            joints_m=joints_m,
            sigma_m=_given(arrays, "sigma_m", np.full((T, P, J), np.nan, dtype=np.float32)),
            views=_given(arrays, "views", np.zeros((T, P, J), dtype=np.uint32)),
            origin=_given(arrays, "origin", np.zeros((T, P, J), dtype=np.uint8)),
            reprojection_px=_given(arrays, "reprojection_px", np.full((T, P, J), np.nan, dtype=np.float32)),
            skeleton=str(arrays.get("skeleton", "")),
            cameras=names(arrays, "cameras") if "cameras" in arrays else (),
        )


def _given(arrays: Arrays, key: str, default: npt.NDArray[Any]) -> Any:
    """An array of the file in the default's type, or the default. Raises DatasetError on another shape."""
    values = arrays.get(key, default)
    if values.shape != default.shape or values.dtype.kind not in "fiu":
        raise DatasetError(f"{key} is {values.dtype} {values.shape}, expected numbers of shape {default.shape}")
    return values.astype(default.dtype)
