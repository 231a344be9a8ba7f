"""Writes an import into a session, message by message."""

import sys
from collections.abc import Iterable
from pathlib import Path

from nodes.importing.imported import Imported
from nodes.sessions.about import about_of
from nodes.sessions.writer import new_session
from nodes.wire.messages import CameraHealth, Keypoints2D


def save(imported: Imported, out: Path, force: bool) -> str:
    """Write the session; one line about it. Raises what the messages raise, SessionError, OSError."""
    about = about_of(imported.config, imported.rig, skeleton=imported.skeleton)
    frames = dict.fromkeys(imported.config.cameras, 0)
    with_somebody = 0
    first_ns = last_ns = 0
    with new_session(out, about, force=force) as writer:
        for message in _shown(imported.messages, imported.total):
            writer.write(message, message.published_ns)
            if isinstance(message, Keypoints2D):
                frames[message.source] += 1
                with_somebody += bool(len(message.confidence))
                first_ns, last_ns = first_ns or message.captured_ns, message.captured_ns
    seconds = (last_ns - first_ns) * 1e-9
    count = sum(frames.values())
    each = ", ".join(f"{camera} {n}" for camera, n in frames.items())
    return f"{out}: {seconds:.1f} s, {count} frames ({each}), somebody in {with_somebody / max(count, 1):.0%} of them"


def _shown(messages: Iterable[Keypoints2D | CameraHealth], total: int) -> Iterable[Keypoints2D | CameraHealth]:
    """With a bar, on a terminal."""
    if not sys.stderr.isatty():
        return messages
    from rich.console import Console
    from rich.progress import track

    return track(messages, "importing", total=total, console=Console(stderr=True), transient=True)
