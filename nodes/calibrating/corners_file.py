"""What cameras saw of a board as one file (.npz), so that a solution can be repeated without looking again."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calibration.errors import CalibrationError
from calibration.sightings import CameraSightings

FIELDS = ("captured_s", "frame", "corners_px", "mirrored", "sync")


def save_corners(seen: Sequence[CameraSightings], path: Path) -> None:
    """Write; atomic."""
    arrays = {
        "cameras": np.array([each.camera for each in seen]),
        "sizes_wh": np.array([each.size_wh for each in seen]),
    }
    for index, each in enumerate(seen):
        arrays |= {f"{name}_{index}": getattr(each, name) for name in FIELDS}
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(path)


def load_corners(path: Path) -> tuple[CameraSightings, ...]:
    """Read. Raises CalibrationError when the file is none of `save_corners`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(
                CameraSightings(str(name), (int(w), int(h)), *(arrays[f"{field}_{index}"] for field in FIELDS))
                for index, (name, (w, h)) in enumerate(zip(arrays["cameras"], arrays["sizes_wh"], strict=True))
            )
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"{path} holds no corners that `calibrate` has kept: {error}") from error
