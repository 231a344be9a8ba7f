"""Where the playing of a recording is, and by how much its times are moved. Pure; times are arguments.

`…_ns` are log times of the recording, `now_s` monotonic seconds. A message is due when the head has reached it.
"""

from dataclasses import dataclass

SILENCE_NS = 3_000_000_000  # in the stamps, longer than fusion bridges: it begins anew


@dataclass
class PlayHead:
    """at_ns: where it was at since_s, and is while it stands. speed: times the recording's pace; None: no pace."""

    at_ns: int
    since_s: float
    speed: float | None = 1.0
    playing: bool = True

    def position_ns(self, now_s: float) -> int:
        """Where it is."""
        if not self.playing or self.speed is None:
            return self.at_ns
        return self.at_ns + round(max(0.0, now_s - self.since_s) * self.speed * 1e9)

    def wait_s(self, came_ns: int, now_s: float) -> float | None:
        """How long until a message is due; None: not before somebody says so."""
        if not self.playing:
            return 0.0 if came_ns <= self.at_ns else None
        if self.speed is None:
            return 0.0
        return max(0.0, self.since_s + (came_ns - self.at_ns) * 1e-9 / self.speed - now_s)

    def move(self, at_ns: int, now_s: float) -> None:
        """Go on from there."""
        self.at_ns, self.since_s = at_ns, now_s

    def pause(self, now_s: float) -> None:
        """Stand where it is."""
        self.move(self.position_ns(now_s), now_s)
        self.playing = False

    def go(self, now_s: float) -> None:
        """Play on from where it is."""
        self.move(self.position_ns(now_s), now_s)
        self.playing = True

    def set_speed(self, speed: float | None, now_s: float) -> None:
        """Another pace from here on."""
        self.move(self.position_ns(now_s), now_s)
        self.speed = speed


@dataclass
class Stamps:
    """By how much recorded times are moved. keeps: not at all, for as long as nobody jumps. last_ns: published_ns of
    the newest message sent, 0 before the first.

    fuses: fusion makes poses of what is sent. It takes a silence in the stamps, and only that, for a new beginning;
    without one it would draw people from where they were to where they are now.
    """

    keeps: bool
    fuses: bool
    shift_ns: int = 0
    last_ns: int = 0

    def begin(self, first_ns: int, now_ns: int) -> None:
        """What was recorded at first_ns is sent at now_ns (wall clock)."""
        self.shift_ns = 0 if self.keeps else now_ns - first_ns

    def sent(self, publish_ns: int) -> None:
        """A message with this recorded published_ns was sent."""
        self.last_ns = max(self.last_ns, publish_ns + self.shift_ns)

    def jump(self, first_ns: int, publish_ns: int, now_ns: int) -> None:
        """Go on with another place of the recording, whose first message was logged and published at these times.

        Stamps never go back, as if the recording spoke of the present all the time.
        """
        shift_ns = 0 if self.keeps else now_ns - first_ns
        earliest_ns = self.last_ns + (SILENCE_NS if self.fuses else 1)
        if self.keeps and not self.fuses:
            earliest_ns = 0  # whoever asked for recorded times wants them wherever it is played
        self.shift_ns = shift_ns + max(0, earliest_ns - publish_ns - shift_ns)
