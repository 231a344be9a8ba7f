"""Small sessions for tests."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from configs.schema import Config
from nodes.sessions.about import about_of
from nodes.sessions.writer import new_session
from nodes.wire.messages import About, Message
from tests import messages as make

MS = 1_000_000
CAMERAS = ("left", "right")


def rig_of(names: tuple[str, ...] = CAMERAS) -> CameraRig:
    ring = ring_rig(len(names), 4.0, 2.0, (1280, 720), 900.0)
    return CameraRig(tuple(replace(camera, name=name) for camera, name in zip(ring.cameras, names, strict=True)))


def config_of(names: tuple[str, ...] = CAMERAS, **changes: object) -> Config:
    cameras = {name: {"source": "video", "path": f"{name}.mp4"} for name in names}
    return Config.model_validate({"calibration": "rig.toml", "cameras": cameras, **changes})


def about() -> About:
    return about_of(config_of(), rig_of())


def messages(ticks: int = 100, period_ns: int = 33 * MS) -> list[tuple[Message, int]]:
    """Keypoints of two cameras and a pose at every tick, with the times at which they are logged."""
    found: list[tuple[Message, int]] = []
    for tick in range(ticks):
        at_ns = make.START_NS + tick * period_ns
        stamps: dict[str, Any] = {"captured_ns": at_ns, "published_ns": at_ns + 20 * MS}
        for camera in CAMERAS:
            found.append((make.keypoints(source=camera, seq=tick, **stamps), at_ns + 21 * MS))
        found.append((make.pose(seq=tick, **stamps), at_ns + 22 * MS))
    return found


def saved(path: Path, content: Sequence[tuple[Message, int]] | None = None) -> Path:
    """A session file."""
    with new_session(path, about(), force=True, at_ns=make.START_NS) as writer:
        for message, log_ns in messages() if content is None else content:
            writer.write(message, log_ns)
    return path
