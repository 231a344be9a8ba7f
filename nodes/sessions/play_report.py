"""What the player of a recording says about itself. Pure; `now_s` are monotonic seconds, wall_ns is the bus's clock."""

from nodes.sessions.play_head import PlayHead, Stamps
from nodes.sessions.play_options import Play
from nodes.sessions.reader import SessionReader
from nodes.wire.requests import PlayMark, PlayState

TIMELY_NS = 50_000_000
SETTLES_S = 1.0  # after a jump: what went ahead of it came late


class PlayReport:
    """note: in what a second result differs. jumped_s: when it was last sent to another place to fuse from there."""

    def __init__(self, session: SessionReader, play: Play, marks: tuple[PlayMark, ...], note: str) -> None:
        self._session = session
        self._play = play
        self._marks = marks
        self._note = note
        self._seq = 0
        self.jumped_s = float("-inf")

    def state(self, head: PlayHead, stamps: Stamps, now_s: float, wall_ns: int) -> PlayState:
        """Where it is, and how it plays."""
        start_ns, end_ns = self._session.start_ns, self._session.end_ns
        self._seq += 1
        return PlayState(
            captured_ns=wall_ns,
            published_ns=0,
            source="replay",
            seq=self._seq,
            path=str(self._session.path)[-1000:],
            position_s=(min(head.position_ns(now_s), end_ns) - start_ns) * 1e-9,
            duration_s=(end_ns - start_ns) * 1e-9,
            speed=float("nan") if head.speed is None else head.speed,
            playing=head.playing,
            shift_ns=stamps.shift_ns,
            fuses=not self._play.poses,
            beside=str(self._play.beside or "")[-1000:],
            marks=self._marks,
            note=self._note,
            timely=self._play.poses or self._is_timely(head, stamps, now_s, wall_ns),
        )

    def _is_timely(self, head: PlayHead, stamps: Stamps, now_s: float, wall_ns: int) -> bool:
        """Whether what fusion is told now is stamped as of the present."""
        behind_ns = wall_ns - head.position_ns(now_s) - stamps.shift_ns
        return head.speed == 1.0 and abs(behind_ns) < TIMELY_NS and now_s - self.jumped_s > SETTLES_S
