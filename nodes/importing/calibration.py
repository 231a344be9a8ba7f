"""The calibration of what is imported: the file that is given, or the one that lies where other programs put it."""

import re
from dataclasses import replace
from pathlib import Path

from calibration.rig import CameraRig
from nodes.importing.camera_names import usable
from nodes.sessions.errors import SessionError

FOLDER = re.compile(r"(S\d+_)?calib(ration)?", re.IGNORECASE)  # Pose2Sim's; of a session of several, S00_Calibration


def with_names(rig: CameraRig, names: dict[str, str]) -> CameraRig:
    """The same cameras under other names: old → new, in the order of `names`."""
    return CameraRig(tuple(replace(rig[old], name=new) for old, new in names.items()))


def in_session(rig: CameraRig) -> tuple[CameraRig, tuple[str, ...]]:
    """The rig with names that a configuration allows, and a note of each that was changed."""
    names = usable(rig.names)
    changed = tuple(f"camera {old!r} is called {new} in the session" for old, new in names.items() if old != new)
    return with_names(rig, names), changed


def find_calibration(folder: Path, above: int = 2) -> Path:
    """The one calibration in this folder's `calibration`, or in that of a folder above it, as Pose2Sim lays them out.

    Raises SessionError when there is none, or more than one.
    """
    places = [folder, *folder.resolve().parents[:above]]
    for place in places:
        inside = [entry for entry in sorted(place.iterdir()) if entry.is_dir() and FOLDER.fullmatch(entry.name)]
        found = [path for part in inside for path in sorted(part.iterdir()) if _is_calibration(path)]
        if len(found) > 1:
            raise SessionError(
                f"{folder}: there are {len(found)} calibrations ({', '.join(map(str, found))}): say which is meant "
                f"with --calibration {found[0]}"
            )
        if found:
            return found[0]
    raise SessionError(
        f"{folder}: no calibration was found in a folder `calibration` there or above: give it with --calibration FILE"
    )


def _is_calibration(path: Path) -> bool:
    return path.name.lower().endswith((".toml", ".qca.txt"))
