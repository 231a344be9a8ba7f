"""When a frame of a network stream was captured: by the sender's clock if it can be believed, else by its arrival.

Pure: it is told every time stamp and reads no clock. All times are int64 nanoseconds since the Unix epoch, except
`pts_ns`, whose zero is the sender's affair.
"""

from collections import deque
from typing import Literal

MOST_LATENCY_NS = 1_500_000_000  # a frame that old is a sender whose clock is wrong, not a slow network
MOST_AHEAD_NS = 20_000_000  # captured after it arrived: what NTP leaves between two machines
WINDOW_NS = 10_000_000_000  # clocks drift by 100 ppm at worst: 1 ms in this time
BROKEN_PTS_NS = 2_000_000_000  # time stamps that leave the wall clock by so much have started anew


class StreamClock:
    """Stamps the frames of one connection.

    Arrival: the network only ever delays, so the frame that took least time in the last seconds tells where the
    sender's time stamps lie; the others are placed by their time stamps, which takes the network's jitter off.
    """

    def __init__(self) -> None:
        self.stamped_by: Literal["sender", "arrival"] = "arrival"
        self._sender_seen = False
        self._least: deque[tuple[int, int]] = deque()  # (arrival_ns, arrival_ns - pts_ns), both increasing

    def stamp(self, arrival_ns: int, pts_ns: int | None, sender_ns: int | None) -> int:
        """Capture time of a frame. pts_ns: its time stamp, None if it has none of its own; sender_ns: wall clock of
        the sender, None if it did not say."""
        placed_ns = arrival_ns if pts_ns is None else self._place(arrival_ns, pts_ns)
        if sender_ns is None:
            self.stamped_by = "arrival"
            return placed_ns
        # FFmpeg hands the first wall clock of a connection over with the frame before the one it belongs to.
        first, self._sender_seen = not self._sender_seen, True
        believed = -MOST_AHEAD_NS <= arrival_ns - sender_ns <= MOST_LATENCY_NS
        self.stamped_by = "sender" if believed and not first else "arrival"
        return sender_ns if self.stamped_by == "sender" else placed_ns

    def _place(self, arrival_ns: int, pts_ns: int) -> int:
        delay_ns = arrival_ns - pts_ns
        if self._least and abs(delay_ns - self._least[-1][1]) > BROKEN_PTS_NS:
            self._least.clear()
        while self._least and self._least[-1][1] >= delay_ns:
            self._least.pop()
        self._least.append((arrival_ns, delay_ns))
        while self._least[0][0] < arrival_ns - WINDOW_NS:
            self._least.popleft()
        return pts_ns + self._least[0][1]
