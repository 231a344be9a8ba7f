"""Capture times rise; a clock that is set back is said, and does not silence a source."""

import pytest

from nodes.sources.source import SourceError
from nodes.sources.time_order import is_later

NOW_NS = 1_700_000_000_000_000_000
S = 1_000_000_000


@pytest.mark.parametrize(("step_ns", "later"), [(1, True), (3600 * S, True), (0, False), (-1, False), (-S, False)])
def test_only_a_later_frame_is_taken(step_ns, later):
    assert is_later("left", NOW_NS + step_ns, NOW_NS) is later


def test_the_first_frame_is_later_than_none():
    assert is_later("left", 1, 0)


def test_a_clock_set_back_is_named_with_how_far():
    with pytest.raises(SourceError, match=r"left: the clock was set back by 90\.5 s"):
        is_later("left", NOW_NS - 90 * S - S // 2, NOW_NS)
    assert not is_later("left", NOW_NS - 2 * S, NOW_NS, most_back_ns=2 * S)
