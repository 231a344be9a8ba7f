"""Capture times of a source rise strictly; what to do with one that does not. All times are int64 nanoseconds."""

from nodes.sources.source import SourceError

NS_PER_S = 1_000_000_000


def is_later(name: str, captured_ns: int, last_ns: int, most_back_ns: int = NS_PER_S) -> bool:
    """Whether a frame lies behind the last one in time; if not, it is to be left out.

    last_ns: 0 before the first frame. Farther back than most_back_ns it is no jitter: the clock was set, and leaving
    frames out until it is where it was could take for ever. Then SourceError is raised, so that `name` is opened anew.
    """
    if last_ns - captured_ns > most_back_ns:
        raise SourceError(
            f"{name}: the clock was set back by {(last_ns - captured_ns) / NS_PER_S:.1f} s; opening it again. If this "
            "happens again and again, keep the clock by NTP: apt install chrony"
        )
    return captured_ns > last_ns
