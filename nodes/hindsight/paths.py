"""From two passes over a take to smooth poses, block by block: each with what comes before and after it. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from nodes.hindsight.both import Known, Pair, distance_m, is_seen, known_of, pairs_of
from nodes.hindsight.identities import Identities
from nodes.hindsight.smoother import smooth
from nodes.wire.messages import MAX_PEOPLE, Origin, Person3D, Pose3D

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BLOCK_NS = 20_000_000_000
MARGIN_NS = 3_000_000_000  # of what is before and after a block no more is felt in it
MAX_FILL_NS = 1_050_000_000  # over a longer gap nobody can tell where a body was
APART_M = 1.5  # between the passes' ideas of one person
MIN_JOINTS = 6  # fewer are no person
PoseAt = Callable[[int], Pose3D]


@dataclass
class Filled:
    """What came of it, counted on the way. people: of all ticks; people_filled: of them, who was not seen there."""

    people: int = 0
    people_filled: int = 0


@dataclass
class _Path:
    """One person over T ticks of a block. known: what both passes say of each; carried: who was carried on after all
    had lost him."""

    known: dict[int, Known] = field(default_factory=dict)
    carried: dict[int, Person3D] = field(default_factory=dict)


def smoothed_poses(
    captured_ns: Sequence[int],
    forward: PoseAt,
    backward: PoseAt,
    identities: Identities,
    max_sigma_m: float,
    count: Filled,
) -> Iterator[Pose3D]:
    """The forward poses with the people as they are known at last. captured_ns: of all ticks, rising.

    forward, backward: poses by number of the tick, both in forward time. max_sigma_m: a joint known worse is absent.
    """
    begin = 0
    while begin < len(captured_ns):
        end = bisect_left(captured_ns, captured_ns[begin] + BLOCK_NS)
        first = bisect_left(captured_ns, captured_ns[begin] - MARGIN_NS)
        last = bisect_right(captured_ns, captured_ns[end - 1] + MARGIN_NS)
        poses = [forward(i) for i in range(first, last)]
        paths = _paths(poses, [backward(i) for i in range(first, last)], identities)
        times_ns = np.array(captured_ns[first:last], dtype=np.int64)
        people: list[list[Person3D]] = [[] for _ in poses]
        for number, path in sorted(paths.items()):
            for t, person in _smoothed(number, path, times_ns, max_sigma_m):
                people[t].append(person)
        for t in range(begin - first, end - first):
            shown = sorted(people[t], key=lambda each: not is_seen(each))[:MAX_PEOPLE]
            count.people += len(shown)
            count.people_filled += sum(not is_seen(each) for each in shown)
            yield replace(poses[t], people=tuple(shown))
        begin = end


def _paths(forward: list[Pose3D], backward: list[Pose3D], identities: Identities) -> dict[int, _Path]:
    """Everybody's path by id."""
    paths: dict[int, _Path] = {}
    for t, (ahead, back) in enumerate(zip(forward, backward, strict=True)):
        for number, pair in _by_id(pairs_of(ahead.people, back.people), identities).items():
            path = paths.setdefault(number, _Path())
            seen = [each for each in pair.people if is_seen(each)]
            if seen:
                path.known[t] = known_of(seen)
            elif pair.forward is not None:
                path.carried[t] = pair.forward
    return paths


def _by_id(pairs: list[Pair], identities: Identities) -> dict[int, Pair]:
    """Everybody of an instant, each id once, those who are seen first; ghosts are left out.

    Passes that stand apart, as with one view, and mean the same person, are brought together again.
    """
    found: dict[int, Pair] = {}
    for pair in sorted(pairs, key=lambda each: (not each.is_seen, each.forward is None)):
        for number in identities.of(pair):
            other = found.get(number)
            if other is None:
                found[number] = pair
                break
            if other.backward is None and pair.forward is None and other.forward and pair.backward:
                if distance_m(other.forward, pair.backward) < APART_M:
                    found[number] = Pair(other.forward, pair.backward)
                break
    return found


def _smoothed(number: int, path: _Path, times_ns: I64, max_sigma_m: float) -> Iterator[tuple[int, Person3D]]:
    """One person at the ticks at which there is something to show."""
    known = path.known
    if known:
        n_joints = len(next(iter(known.values())).sigma_m)
        measured_m, sigma_m = np.full((len(times_ns), n_joints, 3), np.nan), np.full((len(times_ns), n_joints), np.nan)
        alike_m = np.zeros(sigma_m.shape)
        for t, each in known.items():
            measured_m[t], sigma_m[t], alike_m[t] = each.joints_m, each.sigma_m, each.alike_m
        joints_m, told_m = smooth(times_ns, measured_m, sigma_m)
        told_m = np.maximum(told_m, alike_m)
        there = (told_m <= max_sigma_m) & _is_near(times_ns, np.isfinite(sigma_m))  # NaN compares false
        for t in range(len(times_ns)):
            if there[t].sum() >= MIN_JOINTS:
                yield t, _person(number, joints_m[t], told_m[t], there[t], known.get(t))
            elif t in path.carried:
                yield t, replace(path.carried[t], id=number)
    else:
        yield from ((t, replace(person, id=number)) for t, person in path.carried.items())


def _is_near(times_ns: I64, known: Bools) -> Bools:
    """(T, J) whether a joint is known, or lies in a gap that is short enough to be filled."""
    index = np.arange(len(times_ns))[:, None]
    before = np.maximum.accumulate(np.where(known, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, index, len(times_ns))[::-1], axis=0)[::-1]
    inside = (before >= 0) & (after < len(times_ns))
    gap_ns = times_ns[np.minimum(after, len(times_ns) - 1)] - times_ns[np.maximum(before, 0)]
    return known | (inside & (gap_ns <= MAX_FILL_NS))


def _person(number: int, joints_m: F64, sigma_m: F64, there: Bools, known: Known | None) -> Person3D:
    """In the words of the message; what was not known at the instant itself is PREDICTED."""
    n = len(there)
    if known is None:
        views, reprojection_px = np.zeros(n, np.uint32), np.full(n, np.nan, np.float32)
        origin = np.full(n, Origin.PREDICTED, np.uint8)
    else:
        views, reprojection_px = known.views, known.reprojection_px
        origin = np.where(known.origin == Origin.ABSENT, Origin.PREDICTED, known.origin)
    return Person3D(
        id=number,
        joints_m=np.where(there[:, None], joints_m, np.nan).astype(np.float32),
        sigma_m=np.where(there, sigma_m, np.nan).astype(np.float32),
        reprojection_px=np.where(there, reprojection_px, np.nan).astype(np.float32),
        views=np.where(there, views, 0).astype(np.uint32),
        origin=np.where(there, origin, Origin.ABSENT).astype(np.uint8),
    )
