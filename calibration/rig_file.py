"""Calibration files, of all kinds that `formats.kinds` lists; ours is the TOML of `formats.anipose`."""

import textwrap
from collections.abc import Iterable
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.formats.anipose import MAKE_ONE
from calibration.formats.kinds import KINDS, TOML, Kind, Read, kind_of_name, read, refuse_loss
from calibration.rig import CameraRig

NOTE_WIDTH = 110


def load_rig(path: str | Path) -> CameraRig:
    """The rig of a calibration file or folder, told by its content. Raises CalibrationError with file and remedy."""
    return read_rig_file(path).rig


def read_rig_file(path: str | Path) -> Read:
    """The same with the file's kind, and the cameras that were left out. Raises CalibrationError."""
    path = Path(path)
    if not path.exists():
        raise CalibrationError(f"calibration file {path} does not exist: check the path, or {MAKE_ONE}")
    try:
        return read(path)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    except OSError as error:
        raise CalibrationError(f"{path}: it cannot be read: {error.strerror or error}") from error


def save_rig(rig: CameraRig, path: str | Path, kind: str | None = None, notes: Iterable[str] = ()) -> None:
    """Write the rig as one of `KINDS`, by default as its name ends and else TOML; never half a file. notes: for who
    opens the file, as comments at its head; in TOML alone.

    Raises CalibrationError where that kind cannot hold the rig, OSError where it cannot be written.
    """
    path = Path(path)
    wanted = _kind(kind) if kind is not None else kind_of_name(path) if path.suffix else None
    wanted = wanted or TOML
    texts = texts_of(rig, path, wanted)
    if wanted is TOML:
        head = "".join(f"# {line}\n" for note in notes for line in textwrap.wrap(note, NOTE_WIDTH))
        texts = {target: head + text for target, text in texts.items()}
    if path not in texts and path.name not in [target.name for target in texts]:
        path.mkdir(exist_ok=True)
    parts = {target: target.with_name(target.name + ".part") for target in texts}
    for target, part in parts.items():
        part.write_text(texts[target], encoding="utf-8", newline="\n")
    for target, part in parts.items():
        part.replace(target)


def texts_of(rig: CameraRig, path: Path, kind: Kind) -> dict[Path, str]:
    """What files a rig becomes: the one at path, or several in the folder there. Raises CalibrationError."""
    try:
        refuse_loss(rig, kind)
        texts = kind.write(rig)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    folder = path.parent if path.name in texts else path
    return {folder / name if name else path: text for name, text in texts.items()}


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise CalibrationError(
            f"there is no kind {name!r} of calibration file; it is one of {', '.join(sorted(KINDS))}"
        )
    return KINDS[name]
