"""Everything that a sheet shows of one instant. Values alone."""

from dataclasses import dataclass

from nodes.drawing.strokes import Picture
from nodes.watching.verdict import ALL_WELL, Verdict
from nodes.wire.messages import Keypoints2D, Pose3D


@dataclass(frozen=True, eq=False)
class CameraMoment:
    """picture_rgb: None where there is none; instead: why, in a word. keypoints: None where there are none lately."""

    name: str
    picture_rgb: Picture | None = None
    keypoints: Keypoints2D | None = None
    verdict: Verdict = ALL_WELL
    instead: str = ""


@dataclass(frozen=True, eq=False)
class Moment:
    """clock: what time it is, in words. beside: of a second result. notes: lines below everything."""

    cameras: tuple[CameraMoment, ...]
    pose: Pose3D | None = None
    beside: Pose3D | None = None
    clock: str = ""
    notes: tuple[str, ...] = ()
    headline: Verdict | None = None
    room_words: str = ""  # why there are no people in the room
