"""How the poses of two sessions differ: `run_system.py compare A.mcap B.mcap`. One pass over both, bounded memory.

A's ticks are the instants; B is brought to them between two of its own where they differ. People are paired by
distance, and stay paired while that holds. Distances are in metres of the poses' own frame, nothing is aligned.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nodes.offline.compared import Named, Weights, compared
from nodes.report.timeline import Spread, Timeline
from nodes.sessions.sameness import fused_bytes
from nodes.wire.messages import Person3D, Pose3D

F64 = npt.NDArray[np.float64]

SAME_INSTANT_NS = 500_000
REACH_NS = 150_000_000  # farther from the nearest tick, a session has nothing to say about an instant
GATE_M = 0.5  # mean joint distance beyond which two are not the same person
LOYALTY_M = 0.1  # a pair parts when another is nearer by more than this
LAG_BASE_S = 0.12  # over which speed is measured: longer than noise, shorter than a step
CLIP_M = 0.3  # so that a wild joint does not decide about the lag
MOST_PAIRS = 2000  # of ids
DISTANCE_M = (1e-6, 10.0)


@dataclass(frozen=True)
class Somebody:
    """A person of one session: compared joints (K, 3) and their sigma (K,), NaN where absent."""

    id: int
    joints_m: F64
    sigma_m: F64


@dataclass
class Comparison:
    """Figures of K joints. poses: of A, of B. ticks: in both, A alone, B alone; same: equal to the last digit. people:
    paired, A alone, B alone, summed over ticks. changes_of_id: somebody of A becomes another of B, somebody of B of A.
    pairs: (id of A, id of B) → ticks. reported (K, 3): joints in both, A alone, B alone. over_time: sum of distances,
    their count, joints in one alone; worst: the farthest joint, in the same stretches of time.
    """

    joints: tuple[str, ...]
    ticks: list[int] = field(default_factory=lambda: [0, 0, 0])
    same: int = 0
    people: list[int] = field(default_factory=lambda: [0, 0, 0])
    changes_of_id: list[int] = field(default_factory=lambda: [0, 0])
    pairs: dict[tuple[int, int], int] = field(default_factory=dict)
    farthest_m: float = 0.0
    poses: list[int] = field(default_factory=lambda: [0, 0])
    first_ns: int | None = None
    last_ns: int = 0

    def __post_init__(self) -> None:
        K = len(self.joints)
        self.distance_m = Spread(K, *DISTANCE_M)
        self.total_m = np.zeros(K)
        self.reported = np.zeros((K, 3), dtype=np.int64)
        self.sigma_a_m, self.sigma_b_m = Spread(K, *DISTANCE_M), Spread(K, *DISTANCE_M)
        self.over_time = Timeline(3)
        self.worst = Timeline(1, combine=np.maximum)
        self.lag = Lag()

    def note(self, at_s: float, off_m: F64, in_one: int) -> None:
        """Distances of a person's joints at a moment, and how many joints one session alone has."""
        self.over_time.add(at_s, (off_m.sum(), len(off_m), in_one))
        self.worst.add(at_s, (off_m.max(initial=-np.inf),))
        self.farthest_m = max(self.farthest_m, float(off_m.max(initial=0.0)))

    @property
    def identical(self) -> bool:
        """Whether both sessions say the same, tick by tick, to the last digit."""
        return self.same == self.poses[0] == self.poses[1]

    @property
    def mean_m(self) -> F64:
        """(K,) mean distance; NaN where a joint is never in both."""
        return np.where(self.reported[:, 0] > 0, self.total_m / np.maximum(self.reported[:, 0], 1), np.nan)


class Lag:
    """By how much one path is behind another, from d = lag · v where both are the same path. Sums only.

    Distance is the mean at both ends of a stretch, velocity the difference: noise of single poses does not add up.
    """

    def __init__(self) -> None:
        self._recent: dict[tuple[int, int], deque[tuple[int, F64, F64]]] = {}
        self._product = self._square = 0.0

    def add(self, pair: tuple[int, int], at_ns: int, a_m: F64, b_m: F64) -> None:
        """A pair's joints (K, 3) at an instant."""
        recent = self._recent.setdefault(pair, deque(maxlen=32))
        if recent and at_ns - recent[-1][0] > REACH_NS:
            recent.clear()
        recent.append((at_ns, a_m, b_m))
        while len(recent) > 2 and at_ns - recent[1][0] >= LAG_BASE_S * 1e9:
            recent.popleft()
        then_ns, then_a_m, then_b_m = recent[0]
        if at_ns - then_ns < LAG_BASE_S * 1e9:
            return
        velocity = (a_m + b_m - then_a_m - then_b_m) / (2e-9 * (at_ns - then_ns))
        behind_m = (a_m - b_m + then_a_m - then_b_m) / 2
        good = np.isfinite(velocity).all(axis=1) & (np.abs(behind_m).max(axis=1) < CLIP_M)
        self._product += float((behind_m[good] * velocity[good]).sum())
        self._square += float((velocity[good] ** 2).sum())

    def forget(self, kept: set[tuple[int, int]]) -> None:
        """Keep only the pairs that are there."""
        for pair in [pair for pair in self._recent if pair not in kept]:
            del self._recent[pair]

    @property
    def seconds(self) -> float:
        """NaN where nobody moves."""
        return self._product / self._square if self._square > 1.0 else float("nan")


def compare(a: Iterator[Pose3D], b: Iterator[Pose3D], of_a: Named, of_b: Named) -> Comparison:
    """Compare two streams of poses; joints are matched by name. Raises DatasetError when they have none in common."""
    joints = compared(of_a, of_b)
    made = Comparison(joints.names)
    in_a, in_b = _Chosen(of_a, joints.of_truth), _Chosen(of_b, joints.of_found)
    partner: dict[int, int] = {}
    for pose_a, before_b, after_b in instants(_counted(a, made.poses, 0), _counted(b, made.poses, 1)):
        at_ns = pose_a.captured_ns if pose_a is not None else before_b.captured_ns if before_b is not None else 0
        made.first_ns = at_ns if made.first_ns is None else made.first_ns
        made.last_ns = max(made.last_ns, at_ns)
        made.ticks[0 if pose_a is not None and before_b is not None else 1 if pose_a is not None else 2] += 1
        if pose_a is not None and before_b is after_b and before_b is not None:
            made.same += fused_bytes(pose_a) == fused_bytes(before_b)
        _add_tick(made, partner, at_ns, in_a.people(pose_a), _between(before_b, after_b, at_ns, in_b))
    return made


def instants(a: Iterator[Pose3D], b: Iterator[Pose3D]) -> Iterator[tuple[Pose3D | None, Pose3D | None, Pose3D | None]]:
    """Ticks of A with those of B before and after them (the same twice at the same instant; None, None where B has
    nothing near); and ticks of B (as before and after) that no tick of A is near.
    """
    after = next(b, None)
    before: Pose3D | None = None
    last_a_ns: int | None = None
    for pose in _rising(a):
        while after is not None and after.captured_ns <= pose.captured_ns + SAME_INSTANT_NS:
            alone = last_a_ns is None or after.captured_ns - last_a_ns > REACH_NS
            if alone and pose.captured_ns - after.captured_ns > REACH_NS:
                yield None, after, after
            before, after = after, _next_rising(b, after.captured_ns)
        last_a_ns = pose.captured_ns
        if before is not None and abs(before.captured_ns - pose.captured_ns) <= SAME_INSTANT_NS:
            yield pose, before, before
        elif before is not None and after is not None and after.captured_ns - before.captured_ns <= 2 * REACH_NS:
            yield pose, before, after
        else:
            yield pose, None, None
    while after is not None:
        if last_a_ns is None or after.captured_ns - last_a_ns > REACH_NS:
            yield None, after, after
        after = _next_rising(b, after.captured_ns)


def _rising(poses: Iterator[Pose3D]) -> Iterator[Pose3D]:
    """Without those that go back in time: a fusion that was started again may say a tick twice."""
    last_ns = -1
    for pose in poses:
        if pose.captured_ns > last_ns:
            last_ns = pose.captured_ns
            yield pose


def _next_rising(poses: Iterator[Pose3D], after_ns: int) -> Pose3D | None:
    return next((pose for pose in poses if pose.captured_ns > after_ns), None)


class _Chosen:
    """Takes the compared joints out of one session's people."""

    def __init__(self, names: Named, weights: tuple[Weights, ...]) -> None:
        self._names, self._weights = names, weights
        self._squares = [{joint: weight**2 for joint, weight in one.items()} for one in weights]
        single = all(list(one.values()) == [1.0] for one in weights)
        self._rows = [names.joints.index(next(iter(one))) for one in weights] if single else None  # 20 times as fast

    def people(self, pose: Pose3D | None) -> list[Somebody]:
        return [] if pose is None else [Somebody(one.id, *self._joints(one)) for one in pose.people]

    def _joints(self, person: Person3D) -> tuple[F64, F64]:
        joints_m, sigma_m = person.joints_m.astype(np.float64), person.sigma_m.astype(np.float64)
        if self._rows is not None:
            return joints_m[self._rows], sigma_m[self._rows]
        variance = self._names.positions(np.square(sigma_m)[:, None], self._squares)[:, 0]
        return self._names.positions(joints_m, self._weights), np.sqrt(variance)


def _between(before: Pose3D | None, after: Pose3D | None, at_ns: int, chosen: _Chosen) -> list[Somebody]:
    """Everybody of B at an instant between two of its ticks; who is in one of them only is not there."""
    first = chosen.people(before)
    if before is after or before is None or after is None:
        return first
    share = (at_ns - before.captured_ns) / (after.captured_ns - before.captured_ns)
    then = {person.id: person for person in chosen.people(after)}
    return [
        Somebody(
            person.id,
            (1 - share) * person.joints_m + share * then[person.id].joints_m,
            (1 - share) * person.sigma_m + share * then[person.id].sigma_m,
        )
        for person in first
        if person.id in then
    ]


def _add_tick(
    made: Comparison, partner: dict[int, int], at_ns: int, people_a: list[Somebody], people_b: list[Somebody]
) -> None:
    assert made.first_ns is not None
    at_s = (at_ns - made.first_ns) * 1e-9
    pairs = paired(people_a, people_b, partner)
    for x, y in pairs:
        _add_pair(made, at_s, people_a[x], people_b[y])
        _remember(made, partner, people_a[x].id, people_b[y].id)
        made.lag.add((people_a[x].id, people_b[y].id), at_ns, people_a[x].joints_m, people_b[y].joints_m)
    made.lag.forget({(people_a[x].id, people_b[y].id) for x, y in pairs})
    alone_a = [person for x, person in enumerate(people_a) if x not in {x for x, _ in pairs}]
    alone_b = [person for y, person in enumerate(people_b) if y not in {y for _, y in pairs}]
    for column, alone in ((1, alone_a), (2, alone_b)):
        for person in alone:
            reported = np.isfinite(person.joints_m).all(axis=1)
            made.reported[:, column] += reported
            made.note(at_s, np.zeros(0), int(reported.sum()))
    for column, count in enumerate((len(pairs), len(alone_a), len(alone_b))):
        made.people[column] += count


def paired(people_a: list[Somebody], people_b: list[Somebody], partner: dict[int, int]) -> list[tuple[int, int]]:
    """Who of A is whom of B, by least total distance. partner: id of A → id of B when last paired; kept while near."""
    if not people_a or not people_b:
        return []
    near_m = np.full((len(people_a), len(people_b)), np.inf)
    for x, one in enumerate(people_a):
        for y, other in enumerate(people_b):
            off_m = np.linalg.norm(one.joints_m - other.joints_m, axis=1)
            if np.isfinite(off_m).any():
                near_m[x, y] = float(np.nanmean(off_m))
    loyal = np.array([[partner.get(one.id) == other.id for other in people_b] for one in people_a])
    cost = np.where(near_m <= GATE_M, near_m - LOYALTY_M * loyal, 1e3)
    rows, columns = linear_sum_assignment(cost)
    return [(int(x), int(y)) for x, y in zip(rows, columns, strict=True) if near_m[x, y] <= GATE_M]


def _add_pair(made: Comparison, at_s: float, a: Somebody, b: Somebody) -> None:
    in_a, in_b = np.isfinite(a.joints_m).all(axis=1), np.isfinite(b.joints_m).all(axis=1)
    off_m = np.linalg.norm(a.joints_m - b.joints_m, axis=1)
    both = in_a & in_b
    made.distance_m.add(off_m)
    made.total_m[both] += off_m[both]
    made.reported += np.column_stack([both, in_a & ~in_b, in_b & ~in_a])
    made.sigma_a_m.add(np.where(in_a, a.sigma_m, np.nan))
    made.sigma_b_m.add(np.where(in_b, b.sigma_m, np.nan))
    made.note(at_s, off_m[both], int((in_a ^ in_b).sum()))


def _remember(made: Comparison, partner: dict[int, int], a: int, b: int) -> None:
    """Count the pair, and whether either was somebody else's before."""
    if partner.get(a) != b:
        made.changes_of_id[0] += a in partner
        others = [other for other, whom in partner.items() if whom == b]
        made.changes_of_id[1] += bool(others)
        for other in others:
            del partner[other]
        partner[a] = b
        if len(partner) > MOST_PAIRS:
            del partner[next(iter(partner))]
    if (a, b) in made.pairs or len(made.pairs) < MOST_PAIRS:
        made.pairs[a, b] = made.pairs.get((a, b), 0) + 1


def _counted(poses: Iterator[Pose3D], counts: list[int], whose: int) -> Iterator[Pose3D]:
    for pose in poses:
        counts[whose] += 1
        yield pose
