"""A session as it is played: its messages with the moments at which they came, from any moment on."""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from nodes.sessions.errors import SessionError
from nodes.sessions.logged import Logged
from nodes.sessions.play_options import Play
from nodes.sessions.playing import RECORDER_TURN_NS, Pace, began_with
from nodes.sessions.reader import SessionReader
from nodes.wire.errors import WireError
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D
from nodes.wire.requests import Mark, PlayMark

KEYPOINTS_IN: tuple[type[Message], ...] = (Keypoints2D, CameraHealth)
POSES_OUT: tuple[type[Message], ...] = (Keypoints2D, CameraHealth, FusionHealth, Pose3D)
LEARN_S = 5.0  # enough messages of each source to know its shortest way
LOOK_BACK_NS = 1_500_000_000  # the newest of each topic lies no farther back: health comes four times a second
MOST_MARKS = 1000
S = 1_000_000_000


class Came(NamedTuple):
    """A message and when it came, in log time."""

    at_ns: int
    logged: Logged


class Tape:
    """The messages that are played. first_ns: log time of the first. from_ns, to_ns: the stretch that is played."""

    def __init__(self, session: SessionReader, play: Play) -> None:
        self._session = session
        self._kinds = POSES_OUT if play.poses else KEYPOINTS_IN
        self._begins_with_fusion = not play.poses and play.from_s is None
        self._to_s = play.to_s
        self._pace = Pace()
        self.from_ns = session.start_ns + round((play.from_s or 0.0) * S)
        self.to_ns = session.end_ns if play.to_s is None else session.start_ns + round(play.to_s * S)
        if play.poses and next(session.logged(Pose3D), None) is None:
            raise SessionError(
                f"{session.path} has no poses to play; leave out --poses, and they are made of its keypoints"
            )
        for logged in session.logged(*self._kinds, to_s=LEARN_S):
            self._pace.came_ns(logged)
        first = next(self.from_start(), None)
        if first is None:
            raise SessionError(f"{session.path}: there is nothing to play in it, or between --from and --to")
        self.first_ns = first.logged.log_ns

    def from_start(self) -> Iterator[Came]:
        """From the message on that fusion began with, if it is known and the start is played."""
        records = self._logged(self.from_ns)
        return self._timed(began_with(self._session, records) if self._begins_with_fusion else records)

    def behind(self, at_ns: int) -> Iterator[Came]:
        """What came after a moment."""
        return (came for came in self._timed(self._logged(at_ns)) if came.at_ns > at_ns)

    def at(self, at_ns: int) -> tuple[list[Logged], Iterator[Came]]:
        """The newest message of each topic at a moment, in their order, and what comes behind it."""
        newest: dict[str, Logged] = {}
        for came in self._timed(self._logged(at_ns - LOOK_BACK_NS, at_ns + RECORDER_TURN_NS + 1)):
            if came.at_ns <= at_ns:
                newest.pop(came.logged.topic, None)  # so that they stay in their order
                newest[came.logged.topic] = came.logged
        return list(newest.values()), self.behind(at_ns)

    def at_pose(self, pose: Logged) -> tuple[list[Logged], Iterator[Came]]:
        """The same at the moment of a pose, which it is a part of whatever came together with it."""
        rest = self._timed(self._logged(pose.log_ns - LOOK_BACK_NS))
        newest: dict[str, Logged] = {}
        for came in rest:
            newest.pop(came.logged.topic, None)
            newest[came.logged.topic] = came.logged
            if came.logged == pose:
                break
        return list(newest.values()), rest

    def pose_before(self, pose: Logged | None, at_ns: int, count: int) -> Logged | None:
        """The pose so many before one; without one, before a moment. None where there are not so many."""
        to_s = ((at_ns if pose is None else pose.log_ns) + 1 - self._session.start_ns) / S
        before = self._session.logged(Pose3D, to_s=to_s + 1e-6, reverse=True)
        if pose is not None:
            next((each for each in before if each == pose), None)
        earliest = None
        for _, each in zip(range(count), before, strict=False):
            if each.log_ns < self.from_ns:
                break
            earliest = each
        return earliest

    def has_pose_soon(self, at_ns: int) -> bool:
        """Whether a pose comes shortly after a moment that none came shortly before."""
        soon = takewhile(lambda came: came.at_ns <= at_ns + LOOK_BACK_NS, self.behind(at_ns))
        return any(came.logged.kind is Pose3D for came in soon)

    def marks(self) -> tuple[PlayMark, ...]:
        """What people marked while it was recorded, in order."""
        marks = []
        for logged in self._session.logged(Mark):
            try:
                mark = logged.message()
            except WireError:
                continue
            if isinstance(mark, Mark):
                marks.append(PlayMark(at_s=(logged.log_ns - self._session.start_ns) / S, text=mark.text))
        return tuple(marks[:MOST_MARKS])

    def came_ns(self, logged: Logged) -> int:
        """When a message came."""
        return self._pace.came_ns(logged)

    def _logged(self, from_ns: int, to_ns: int | None = None) -> Iterator[Logged]:
        """Of the stretch that is played."""
        start_ns = self._session.start_ns
        to_s = self._to_s if to_ns is None else min((to_ns - start_ns) / S, self._to_s or float("inf"))
        from_s = (max(from_ns, self.from_ns) - start_ns) / S
        return self._session.logged(*self._kinds, from_s=from_s, to_s=to_s)

    def _timed(self, records: Iterator[Logged]) -> Iterator[Came]:
        return (Came(self._pace.came_ns(logged), logged) for logged in records)


def check_playable(path: Path, play: Play) -> None:
    """Raise SessionError where there is nothing of the kind that is to be played."""
    with SessionReader(path) as session:
        Tape(session, play)
