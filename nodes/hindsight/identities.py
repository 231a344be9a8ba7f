"""Who is who over a whole take: one person, one id. Pure.

Ids of the forward pass and of the backward pass that mean the same person are joined, and so are those of people who
were lost and found again, where the way they went leaves no doubt. Who was seen for a moment only was nobody.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nodes.hindsight.both import Pair
from nodes.wire.messages import Person3D

F64 = npt.NDArray[np.float64]
Key = tuple[str, int]  # of a pass, "f" or "b", and its id

NS = 1e-9
LEAST_TICKS = 5  # that two ids were the same person for
OVERLAP_NS = 150_000_000  # two ids of a pass that are there together for longer are two people
GHOST_NS = 300_000_000  # whoever was seen for less in all was nobody …
SHORT_TAKE_NS = 2_000_000_000  # … unless there was no time for more
FOUND_AGAIN_NS = 2_000_000_000  # after which nobody is known by where he went
REACH_M, REACH_M_S = 0.25, 0.5  # how far from where he was going somebody may turn up
CLEARLY = 1.5  # times farther than whom else it could have been
MOTION_TICKS = 8
LEAST_S = 1e-3


@dataclass
class Seen:
    """When and where an id was seen: instants, ticks, and places at both ends."""

    first_ns: int
    last_ns: int
    ticks: int = 0
    begin: list[tuple[int, F64]] = field(default_factory=list)
    end: deque[tuple[int, F64]] = field(default_factory=lambda: deque(maxlen=MOTION_TICKS))


@dataclass(frozen=True)
class Identities:
    """id_of: the final id of each one; who is not in it was nobody. joined, ghosts: of forward ids, for telling."""

    id_of: dict[Key, int]
    joined: int
    ghosts: int

    def of(self, pair: Pair) -> tuple[int, ...]:
        """Ids that somebody may be known by, the likelier first; none for a ghost."""
        keys = [("f", pair.forward)] if pair.forward else []
        keys += [("b", pair.backward)] if pair.backward else []
        return tuple(dict.fromkeys(self.id_of[k, p.id] for k, p in keys if (k, p.id) in self.id_of))


class Survey:
    """Look at every tick, in any order of time; then say who is who."""

    def __init__(self) -> None:
        self._seen: dict[Key, Seen] = {}
        self._together: Counter[tuple[Key, Key]] = Counter()

    def take(self, captured_ns: int, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            keys: list[tuple[Key, Person3D]] = []
            if pair.forward is not None:
                keys.append((("f", pair.forward.id), pair.forward))
            if pair.backward is not None:
                keys.append((("b", pair.backward.id), pair.backward))
            if len(keys) == 2:
                self._together[keys[0][0], keys[1][0]] += 1
            for key, person in keys:
                if person.views.any():
                    self._note(key, captured_ns, np.nanmean(person.joints_m.astype(np.float64), axis=0))

    def identities(self) -> Identities:
        """Everybody's final id."""
        groups = _joined(self._seen, self._together)
        tracks = _found_again(sorted((_whole(group, self._seen) for group in groups), key=lambda each: each.first_ns))
        take_ns = max((t.last_ns for t in tracks), default=0) - min((t.first_ns for t in tracks), default=0)
        people = [track for track in tracks if track.seen_ns >= GHOST_NS or take_ns < SHORT_TAKE_NS]
        n_forward = max((number for side, number in self._seen if side == "f"), default=0)
        id_of, joined = {}, 0
        for track in people:
            own = [number for side, number in track.keys if side == "f"]
            joined += max(0, len(own) - 1)
            n_forward += not own
            id_of.update(dict.fromkeys(track.keys, min(own, default=n_forward)))
        ghosts = sum(side == "f" for side, _ in self._seen) - sum(side == "f" for side, _ in id_of)
        return Identities(id_of, joined, ghosts)

    def _note(self, key: Key, captured_ns: int, place_m: F64) -> None:
        """Time rises or falls from one call to the next."""
        seen = self._seen.setdefault(key, Seen(captured_ns, captured_ns))
        seen.first_ns, seen.last_ns = min(seen.first_ns, captured_ns), max(seen.last_ns, captured_ns)
        seen.ticks += 1
        if len(seen.begin) < MOTION_TICKS:
            seen.begin.append((captured_ns, place_m))
        seen.end.append((captured_ns, place_m))


@dataclass(frozen=True)
class Track:
    """All ids of somebody. first, last: (time, place) of ticks at both ends, in order of time."""

    keys: tuple[Key, ...]
    first_ns: int
    last_ns: int
    seen_ns: int
    first: tuple[tuple[int, F64], ...]
    last: tuple[tuple[int, F64], ...]


def _joined(seen: dict[Key, Seen], together: Counter[tuple[Key, Key]]) -> list[list[Key]]:
    """Ids in groups of one person each: those that were together, the longest first, unless both were there at once."""
    groups = {key: [key] for key in seen}
    for (one, other), ticks in sorted(together.items(), key=lambda item: (-item[1], item[0])):
        if one not in groups or other not in groups:  # never seen, only carried on
            continue
        a, b = groups[one], groups[other]
        short = min(seen[one].ticks, seen[other].ticks)
        if a is b or ticks < min(LEAST_TICKS, short) or any(_at_once(p, q, seen) for p in a for q in b):
            continue
        a.extend(b)
        groups.update(dict.fromkeys(b, a))
    return list({id(group): group for group in groups.values()}.values())


def _at_once(one: Key, other: Key, seen: dict[Key, Seen]) -> bool:
    """Whether two ids of the same pass were there at the same time."""
    if one[0] != other[0]:
        return False
    begin_ns = max(seen[one].first_ns, seen[other].first_ns)
    return min(seen[one].last_ns, seen[other].last_ns) - begin_ns > OVERLAP_NS


def _whole(keys: Sequence[Key], seen: dict[Key, Seen]) -> Track:
    """What is known of a group."""
    each = [seen[key] for key in keys]
    ends = sorted((sample for one in each for sample in (*one.begin, *one.end)), key=lambda sample: sample[0])
    by_pass = [sum(seen[k].ticks * _period_ns(seen[k]) for k in keys if k[0] == side) for side in ("f", "b")]
    return Track(
        tuple(sorted(keys)),
        min(one.first_ns for one in each),
        max(one.last_ns for one in each),
        round(max(by_pass)),
        tuple(ends[:MOTION_TICKS]),
        tuple(ends[-MOTION_TICKS:]),
    )


def _period_ns(seen: Seen) -> float:
    times = sorted(at_ns for at_ns, _ in seen.begin)
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _found_again(tracks: list[Track]) -> list[Track]:
    """The same with those joined, one after the other, that go on where another ended, and nobody else could."""
    done: list[Track] = []
    for track in tracks:
        before = [(miss, other) for other in done if (miss := _miss(other, track)) < 1.0]
        before.sort(key=lambda item: item[0])
        sure = len(before) == 1 or (len(before) > 1 and before[1][0] > CLEARLY * before[0][0])
        if sure and not any(_miss(before[0][1], other) < 1.0 for other in tracks if other is not track):
            done.remove(before[0][1])
            done.append(_one_after(before[0][1], track))
        else:
            done.append(track)
    return done


def _one_after(before: Track, after: Track) -> Track:
    keys = tuple(sorted((*before.keys, *after.keys)))
    return Track(keys, before.first_ns, after.last_ns, before.seen_ns + after.seen_ns, before.first, after.last)


def _miss(before: Track, after: Track) -> float:
    """How far somebody turns up from where he went, over how far he may; inf where it cannot be the same."""
    gap_s = (after.first_ns - before.last_ns) * NS
    if not 0 < gap_s <= FOUND_AGAIN_NS * NS:
        return float("inf")
    half_s = gap_s / 2
    (here_m, speed), (there_m, later_speed) = _motion(before.last, -1), _motion(after.first, 0)
    off = np.linalg.norm(here_m + half_s * speed - (there_m - half_s * later_speed))
    return float(off / (REACH_M + REACH_M_S * gap_s))


def _motion(samples: Sequence[tuple[int, F64]], end: int) -> tuple[F64, F64]:
    """Place at an end and velocity around it."""
    (from_ns, from_m), (to_ns, to_m) = samples[0], samples[-1]
    return samples[end][1], (to_m - from_m) / max((to_ns - from_ns) * NS, LEAST_S)
