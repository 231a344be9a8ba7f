"""A recording as a video: all cameras with what was detected in them, and the room beside."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from nodes.drawing.eye import EyeError, check_eye
from nodes.exporting.part_file import written_whole
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.stills.film import ENDINGS, even, open_film
from nodes.stills.recorded import Recording
from nodes.stills.sheet import Sheet, Style
from nodes.stills.winder import Winder
from nodes.wire.messages import Pose3D

LEAST_FPS, MOST_FPS = 0.1, 120.0
GIF_FPS = 50.0  # browsers show faster ones slower


@dataclass(frozen=True)
class Wish:
    """What is asked for. from_s, to_s: seconds since the recording's start. speed: times its pace. turn_deg_s: how fast
    the eye circles, in the video's time. beside: another result of the same take."""

    out: Path
    style: Style
    from_s: float = 0.0
    to_s: float | None = None
    fps: float = 30.0
    speed: float = 1.0
    turn_deg_s: float = 0.0
    beside: Path | None = None
    video_folder: Path | None = None


@dataclass
class Rendered:
    """What was made. notes: what is missing in it, in plain words."""

    pictures: int = 0
    took_s: float = 0.0
    size_wh: tuple[int, int] = (0, 0)
    whole: bool = True
    notes: list[str] = field(default_factory=list)


def render(session: Path, wish: Wish, progress: Callable[[float], None]) -> Rendered:
    """Write the video; after Ctrl-C what is drawn until then. Raises SessionError, OSError."""
    check_wish(wish)
    with ExitStack() as stack:
        recording = _opened(session, wish, stack)
        style = _style(wish)
        check_eye_of(style, recording)
        sheet = Sheet(style, recording.rig, len(recording.cameras), recording.aspect(), recording.skeletons)
        beside = None if wish.beside is None else _beside(wish, stack)
        count = count_of(recording, wish)
        made = Rendered(size_wh=style.size_wh, notes=list(recording.missing.values()))
        began_s = time.monotonic()
        part = stack.enter_context(written_whole(wish.out))
        film = stack.enter_context(open_film(part, wish.out.suffix.lower(), style.size_wh, wish.fps))
        try:
            for number in range(count):
                at_s = wish.from_s + number * wish.speed / wish.fps
                moment = recording.moment(at_s)
                if beside is not None:
                    at_ns = recording.at_ns(at_s)
                    beside.wind(at_ns)
                    moment = replace(moment, beside=cast(Pose3D | None, beside.nearest(Pose3D, "fusion", at_ns)))
                film.add(sheet.picture(moment, number / wish.fps * wish.turn_deg_s))
                made.pictures = number + 1
                progress(made.pictures / count)
        except KeyboardInterrupt:
            made.whole = False
            if not made.pictures:
                raise
        made.took_s = time.monotonic() - began_s
        made.notes += recording.session.damaged
        return made


def check_wish(wish: Wish) -> None:
    """Raise SessionError for what cannot be, before anything is read."""
    if wish.out.suffix.lower() not in ENDINGS:
        raise SessionError(f"{wish.out}: a video is .mp4 or .gif; give OUT one of these endings")
    most = GIF_FPS if wish.out.suffix.lower() == ".gif" else MOST_FPS
    if not LEAST_FPS <= wish.fps <= most:
        raise SessionError(f"--fps {wish.fps:g}: {LEAST_FPS:g} to {most:.0f} pictures a second")
    if not math.isfinite(wish.turn_deg_s):
        raise SessionError(f"--turn {wish.turn_deg_s:g}: give degrees per second of video, such as 20")
    if not 0 < wish.speed <= 1000:
        raise SessionError(f"--speed {wish.speed:g}: more than 0, up to 1000 times")
    if wish.to_s is not None and wish.to_s <= wish.from_s:
        raise SessionError(f"--to {wish.to_s:g} is not behind --from {wish.from_s:g}")


def check_eye_of(style: Style, recording: Recording) -> None:
    """Raise SessionError when there is no such eye, or nothing to show."""
    try:
        check_eye(style.eye, recording.rig)
    except EyeError as error:
        raise SessionError(str(error)) from None
    if style.only == "cameras" and not recording.cameras:
        raise SessionError(f"{recording.session.path} knows no cameras: leave out --only cameras")


def count_of(recording: Recording, wish: Wish) -> int:
    """How many pictures. Raises SessionError when the recording is over before."""
    if wish.from_s >= recording.duration_s:
        raise SessionError(
            f"--from {wish.from_s:g} is behind the end: {recording.session.path} lasts {recording.duration_s:.1f} s"
        )
    to_s = recording.duration_s if wish.to_s is None else min(wish.to_s, recording.duration_s)
    return max(1, int((to_s - wish.from_s) / wish.speed * wish.fps))


def _opened(session: Path, wish: Wish, stack: ExitStack) -> Recording:
    reader = stack.enter_context(SessionReader(session))
    recording = Recording(reader, wish.from_s, wish.video_folder)
    stack.callback(recording.close)
    return recording


def _style(wish: Wish) -> Style:
    size_wh = even(wish.style.size_wh) if wish.out.suffix.lower() == ".mp4" else wish.style.size_wh
    return replace(wish.style, size_wh=size_wh, circles=wish.turn_deg_s != 0)


def _beside(wish: Wish, stack: ExitStack) -> Winder:
    """The poses of the other result."""
    assert wish.beside is not None
    reader = stack.enter_context(SessionReader(wish.beside))
    if not any(topic.startswith("pose/") and count for topic, count in reader.counts.items()):
        raise SessionError(f"--beside {wish.beside} holds no poses: `reprocess` makes some of its keypoints")
    return Winder(reader.logged(Pose3D, from_s=max(0.0, wish.from_s - 5.0)))
