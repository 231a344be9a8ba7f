"""A second result of the same session, played beside the first: its poses at the instants of the first one's."""

from collections.abc import Iterator
from pathlib import Path

from nodes.sessions.errors import SessionError
from nodes.sessions.logged import Logged
from nodes.sessions.reader import SessionReader
from nodes.wire.errors import WireError
from nodes.wire.messages import Pose3D

REACH_NS = 150_000_000  # farther from its nearest pose, it has nothing to say about an instant
EARLIER_S = 0.2  # poses are logged after the instant that they speak of
FAR_NS = 2_000_000_000  # ahead of the last instant by more, it is looked up anew


class Beside:
    """The poses of another session at instants that mostly rise. Raises SessionError where the two do not go together.

    note: in what the two differ, in words, "" when in nothing but the poses.
    """

    def __init__(self, path: Path, session: SessionReader) -> None:
        self._other = SessionReader(path)
        try:
            self._check(session)
        except SessionError:
            self._other.close()
            raise
        self.note = self._differs(session)
        self._poses: Iterator[tuple[int, Logged]] = iter(())
        self._before: tuple[int, Logged] | None = None
        self._after: tuple[int, Logged] | None = None
        self._asked_ns: int | None = None

    def near(self, captured_ns: int) -> Logged | None:
        """Its pose nearest to an instant; None where none is near."""
        if self._asked_ns is None or not 0 <= captured_ns - self._asked_ns <= FAR_NS:
            self._look_up(captured_ns)
        self._asked_ns = captured_ns
        while self._after is not None and self._after[0] <= captured_ns:
            self._before, self._after = self._after, next(self._poses, None)
        found = [each for each in (self._before, self._after) if each is not None]
        nearest = min(found, key=lambda each: abs(each[0] - captured_ns), default=None)
        if nearest is None or abs(nearest[0] - captured_ns) > REACH_NS:
            return None
        return nearest[1]

    def close(self) -> None:
        self._other.close()

    def _look_up(self, captured_ns: int) -> None:
        from_s = (captured_ns - self._other.start_ns) * 1e-9 - EARLIER_S
        self._poses = _instants(self._other.logged(Pose3D, from_s=max(0.0, from_s)))
        self._before, self._after = None, next(self._poses, None)

    def _check(self, session: SessionReader) -> None:
        for each in (session, self._other):
            if next(each.logged(Pose3D), None) is None:
                raise SessionError(
                    f"{each.path} has no poses to lay beside others; make some: run_system.py reprocess {each.path} "
                    "--out T.mcap"
                )
        apart_s = max(session.start_ns - self._other.end_ns, self._other.start_ns - session.end_ns) * 1e-9
        if apart_s > 0:
            raise SessionError(
                f"{session.path} and {self._other.path} have no instant in common, they are {apart_s:.0f} s apart: "
                "--beside takes a result of the same take, as `run_system.py reprocess` makes one"
            )

    def _differs(self, session: SessionReader) -> str:
        notes = []
        ours, theirs = session.skeleton(), self._other.skeleton()
        if ours is not None and theirs is not None and ours.joints != theirs.joints:
            notes.append(f"its joints are those of {theirs.name}, not of {ours.name}: those of one name are compared")
        lacks_s = (max(0, self._other.start_ns - session.start_ns) + max(0, session.end_ns - self._other.end_ns)) * 1e-9
        if lacks_s > 1.0:
            notes.append(f"it lacks {lacks_s:.0f} s of this recording")
        return "; ".join(notes)


def check_beside(path: Path, other: Path | None) -> None:
    """Raise SessionError where two results, the second if there is one, cannot be laid one over the other."""
    if other is not None:
        with SessionReader(path) as session:
            Beside(other, session).close()


def _instants(records: Iterator[Logged]) -> Iterator[tuple[int, Logged]]:
    """The poses with the instants that they speak of, rising."""
    last_ns = -1
    for logged in records:
        try:
            captured_ns = logged.message().captured_ns
        except WireError:
            continue
        if captured_ns > last_ns:
            last_ns = captured_ns
            yield captured_ns, logged
