"""What the player of a recording says, and what it means for the figures of the system that hears it. Pure."""

from nodes.wire.requests import PlayState

PLAYER = "replay"  # the source of its words
PLAYER_GONE_NS = 3_000_000_000  # without a word: ten come every second
AGAIN_NS = 2_000_000_000  # after a recording went on, its cameras have this time to be heard


class Player:
    """Fed with every word of the player. `*_ns` are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._state: PlayState | None = None
        self._heard_ns = 0
        self._stood_ns: int | None = None  # when the recording last stood still

    def feed(self, state: PlayState, now_ns: int) -> None:
        self._state, self._heard_ns = state, now_ns
        if not state.playing:
            self._stood_ns = now_ns

    def now(self, now_ns: int) -> PlayState | None:
        """Its last word, while there is a player."""
        return self._state if now_ns - self._heard_ns < PLAYER_GONE_NS else None

    def stands(self, now_ns: int) -> bool:
        """Whether nothing comes because the recording stands still, or did a moment ago."""
        state = self.now(now_ns)
        stood = self._stood_ns is not None and now_ns - self._stood_ns < AGAIN_NS
        return stood or (state is not None and not state.playing)

    def no_latency(self, now_ns: int) -> str:
        """Why poses tell no latency; "" when they do, as far as the player knows."""
        state = self.now(now_ns)
        if state is None:
            return ""
        if not state.fuses:
            return "the poses are played as they were recorded"
        if state.shift_ns == 0:
            return "the recording is played with its own stamps, which are of another day"
        if state.speed != 1.0:
            return "the recording is not played at its own pace"
        return "" if state.timely else "the recording was stopped meanwhile, and its stamps go on from there"
