"""One picture of a system: of one that runs, or of a moment of a recording."""

import time
from dataclasses import replace
from pathlib import Path

from PIL import Image

from calibration.rig import CameraRig
from nodes.drawing.eye import EyeError, check_eye
from nodes.drawing.strokes import Picture
from nodes.exporting.part_file import written_whole
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.stills.living import Living, listen
from nodes.stills.recorded import Recording
from nodes.stills.sheet import Sheet, Style

ENDINGS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
MOST_NOTES = 7


def picture_of_running(hub_outer: str, wait_s: float, style: Style) -> Picture:
    """What runs there now. Raises SessionError when nobody speaks, WireError for a bad address."""
    living = listen(hub_outer, wait_s)
    if not living.heard:
        raise SessionError(
            f"nothing was heard from {hub_outer} within {wait_s:g} s: is a system running there? Another one's address "
            "goes after --hub-outer; of a recording: snapshot S.mcap --at SECONDS"
        )
    return picture_of(living, time.monotonic_ns(), time.strftime("%Y-%m-%d %H:%M:%S"), style)


def picture_of(living: Living, now_ns: int, clock: str, style: Style) -> Picture:
    """A sheet of what was heard. now_ns: monotonic."""
    _check_eye(style, living.rig)
    moment = living.moment(now_ns, clock)
    style = replace(style, footer_lines=min(MOST_NOTES, len(moment.notes)))
    return Sheet(style, living.rig, len(living.cameras), living.aspect(), living.skeletons).picture(moment)


def picture_of_recorded(
    session: Path, at_s: float, style: Style, video_folder: Path | None = None
) -> tuple[Picture, list[str]]:
    """A moment of a recording, and what is missing in it, in words. Raises SessionError."""
    with SessionReader(session) as reader:
        recording = Recording(reader, at_s, video_folder)
        try:
            _check_eye(style, recording.rig)
            if at_s > recording.duration_s:
                raise SessionError(f"--at {at_s:g} is behind the end: {session} lasts {recording.duration_s:.1f} s")
            moment = recording.moment(at_s)
            style = replace(style, footer_lines=min(MOST_NOTES, len(moment.notes)))
            sheet = Sheet(style, recording.rig, len(recording.cameras), recording.aspect(), recording.skeletons)
            return sheet.picture(moment), [*recording.missing.values(), *reader.damaged]
        finally:
            recording.close()


def save_picture(picture_rgb: Picture, out: Path) -> None:
    """Write it in the format of its ending. Raises OSError."""
    with written_whole(out) as part:
        Image.fromarray(picture_rgb).save(part, ENDINGS[out.suffix.lower()], quality=92)


def check_ending(out: Path) -> None:
    """Raise SessionError unless it is a picture's."""
    if out.suffix.lower() not in ENDINGS:
        raise SessionError(f"--out {out}: a picture is .png or .jpg; give it one of these endings")


def _check_eye(style: Style, rig: CameraRig | None) -> None:
    try:
        check_eye(style.eye, rig)
    except EyeError as error:
        raise SessionError(str(error)) from None
