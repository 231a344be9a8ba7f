"""Who is followed, who is shown, who is remembered: births and deaths with hysteresis. Pure; times are arguments.

A newcomer is tentative until the evidence suffices: at once when nobody else could be meant or three views agree well,
else when seen again and again. Somebody unseen is carried on for a short while, then remembered without being shown, so
that a return gives the same id; then forgotten. Where a person is, is kept elsewhere: here are keys, counts and times.
"""

from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations
from math import isnan

import numpy as np
import numpy.typing as npt

from nodes.stages.evidence import SURE_VIEWS, chance_misfit

F64 = npt.NDArray[np.float64]

SEEN_OF_LAST = (3, 5)  # ticks with two views, of so many
IN_A_ROW = 10  # ticks with the only view there is
PROVEN = 10  # ticks with two views, after which one view is enough to live on: strangers agree by chance with one
LEAN_NS = 3_000_000_000  # somebody proven may live so long on what could be chance: occlusions take no longer
TOO_CLOSE_M = 0.15  # mean over joints: two people embracing are farther apart, one person followed twice is not
TOO_CLOSE_NS = 300_000_000


class State(Enum):
    """Tentative: followed and not shown. Present: followed and shown. Dormant: neither, but remembered."""

    TENTATIVE = "tentative"
    PRESENT = "present"
    DORMANT = "dormant"


@dataclass(frozen=True)
class Arrival:
    """A newcomer of this tick; n_views, unrivalled, misfit, crowd: see `Newcomers`.

    reunited: key of the life that it continues, dormant or of a place that was a guess, None for somebody new.
    """

    n_views: int
    unrivalled: bool
    misfit: float
    reunited: int | None = None
    crowd: float = 10.0

    @property
    def is_doubted(self) -> bool:
        """Whether it may be there by chance."""
        return self.n_views >= 2 and not self.misfit < chance_misfit(self.crowd, self.n_views)

    @property
    def is_sure(self) -> bool:
        """Whether one tick is evidence enough."""
        return self.n_views >= 2 and (self.unrivalled or (self.n_views >= SURE_VIEWS and not self.is_doubted))


@dataclass
class Life:
    """One track. person_id: what the world knows it by, None while tentative. seen_ns: last tick with a view."""

    key: int
    state: State
    born_ns: int
    seen_ns: int
    alone: bool  # begun with the only view there was
    person_id: int | None = None
    seen: deque[bool] = field(default_factory=lambda: deque(maxlen=IN_A_ROW))  # in the last ticks, newest last
    n_proofs: int = 0  # ticks with two views or more that agreed better than by chance
    proven_ns: int = 0  # the last of them
    last_views: int = 0  # in the last tick, 0 when it was no proof
    n_seen: int = 0
    n_missed: int = 0  # ticks since it was seen

    def take(self, captured_ns: int, n_views: int, doubted: bool) -> None:
        """Note a tick's views; what is less than a proof counts for the lone ones and the proven only."""
        is_proof = n_views >= 2 and not doubted
        if is_proof:
            self.n_proofs += 1
            self.proven_ns = captured_ns
        self.last_views = n_views if is_proof else 0
        may_lean = self.n_proofs >= PROVEN and (not doubted or captured_ns - self.proven_ns <= LEAN_NS)
        counts = is_proof or (n_views >= 1 and (self.alone or may_lean))
        self.seen.append(counts)
        if counts:
            self.seen_ns = captured_ns
            self.n_seen += 1
        self.n_missed = 0 if counts else self.n_missed + 1

    def is_confirmed(self) -> bool:
        """Whether a tentative one has been seen often enough, or well enough at once."""
        n_seen, of_last = SEEN_OF_LAST
        if self.last_views >= SURE_VIEWS:
            return True
        if self.alone and self.n_proofs < n_seen:
            return len(self.seen) == IN_A_ROW and all(self.seen)
        return sum(list(self.seen)[-of_last:]) >= n_seen

    def is_hopeless(self) -> bool:
        """Whether a tentative one has not been seen often enough, and it is too late now."""
        n_seen, of_last = SEEN_OF_LAST
        if self.alone:
            return not self.seen[-1]
        recent = list(self.seen)[-of_last:]
        return recent.count(False) > of_last - n_seen


@dataclass(frozen=True)
class Changes:
    """What a tick brought. arrived: key of each newcomer, in their order. gone: keys of those forgotten."""

    arrived: tuple[int, ...]
    gone: tuple[int, ...]


class Lives:
    """All lives of a system. Keys and ids are never given twice."""

    def __init__(self, max_gap_ns: int, forget_ns: int = 2_000_000_000) -> None:
        """max_gap_ns: an unseen person is carried on so long, and for no more ticks than it has been seen in.

        forget_ns: an unseen person is remembered so long.
        """
        self._max_gap_ns = max_gap_ns
        self._forget_ns = max(forget_ns, max_gap_ns)
        self._lives: dict[int, Life] = {}
        self._n_keys = 0
        self._n_people = 0
        self._close_since_ns: dict[tuple[int, int], int] = {}

    def __getitem__(self, key: int) -> Life:
        return self._lives[key]

    def keys(self, *states: State) -> tuple[int, ...]:
        """Keys of the lives in these states, oldest first; of all when none is named."""
        return tuple(key for key, life in self._lives.items() if not states or life.state in states)

    @property
    def followed(self) -> tuple[int, ...]:
        """Keys of those to be found again in each tick, oldest first."""
        return self.keys(State.TENTATIVE, State.PRESENT)

    def update(
        self,
        captured_ns: int,
        n_views: Mapping[int, int],
        arrivals: Sequence[Arrival] = (),
        doubted: Container[int] = (),
    ) -> Changes:
        """Take a tick in: how many views saw each one who is followed (none where not named), and who is new.

        doubted: keys of those followed whose views may be theirs by chance, see `Evidence.doubted`.
        """
        come_anew = {arrival.reunited for arrival in arrivals}
        for key in self.followed:
            if key not in come_anew:
                self._lives[key].take(captured_ns, n_views.get(key, 0), key in doubted)
        arrived = tuple(self._arrive(captured_ns, arrival) for arrival in arrivals)
        gone = tuple(key for key in self.keys() if self._has_ended(captured_ns, self._lives[key]))
        self._drop(gone)
        return Changes(arrived, gone)

    def part_doubles(
        self, captured_ns: int, joints_m: Mapping[int, F64], doubles: Container[tuple[int, int]] = ()
    ) -> tuple[int, ...]:
        """Drop the lesser of two who have been on top of each other or one person for too long; keys of those dropped.

        joints_m: where each of the followed is now, (J, 3), NaN where unknown. doubles: pairs of keys, older and
        younger, whose views are one person's, see `evidence.doubles`; somebody who is not proven goes at once.
        """
        since: dict[tuple[int, int], int] = {}
        gone = []
        for older, younger in combinations([key for key in self.followed if key in joints_m], 2):
            is_double = (older, younger) in doubles
            if is_double or _mean_distance_m(joints_m[older], joints_m[younger]) < TOO_CLOSE_M:
                began_ns = self._close_since_ns.get((older, younger), captured_ns)
                since[older, younger] = began_ns
                lesser = self._lesser(older, younger)
                is_proven = self._lives[lesser].n_proofs >= PROVEN
                if captured_ns - began_ns > TOO_CLOSE_NS or (is_double and not is_proven):
                    gone.append(lesser)
        self._close_since_ns = since
        self._drop(gone)
        return tuple(dict.fromkeys(gone))

    def begin_anew(self) -> None:
        """Forget everybody: what comes stands on another time axis."""
        self._lives.clear()
        self._close_since_ns.clear()

    def _lesser(self, older: int, younger: int) -> int:
        """The younger one, unless only that one is shown."""
        is_shown = self._lives[younger].state is State.PRESENT and self._lives[older].state is State.TENTATIVE
        return older if is_shown else younger

    def _arrive(self, captured_ns: int, arrival: Arrival) -> int:
        if arrival.reunited is not None:
            life = self._lives[arrival.reunited]
            life.state = State.PRESENT if life.person_id is not None else State.TENTATIVE
        else:
            self._n_keys += 1
            life = Life(self._n_keys, State.TENTATIVE, captured_ns, captured_ns, alone=isnan(arrival.misfit))
            self._lives[life.key] = life
        life.take(captured_ns, arrival.n_views, arrival.is_doubted)
        if arrival.is_sure and life.state is State.TENTATIVE:
            self._show(life)
        return life.key

    def _show(self, life: Life) -> None:
        self._n_people += 1
        life.state, life.person_id = State.PRESENT, self._n_people

    def _has_ended(self, captured_ns: int, life: Life) -> bool:
        """Move a life on to its next state; whether that is the end."""
        unseen_ns = captured_ns - life.seen_ns
        if life.state is State.TENTATIVE:
            if life.is_confirmed():
                self._show(life)
            return life.state is State.TENTATIVE and life.is_hopeless()
        is_carried = unseen_ns <= self._max_gap_ns and life.n_missed <= life.n_seen
        if life.state is State.PRESENT and not is_carried:
            life.state = State.DORMANT
        if life.state is not State.DORMANT:
            return False
        is_proven = life.n_proofs >= PROVEN or (life.alone and len(life.seen) == IN_A_ROW)
        return unseen_ns > self._forget_ns or not is_proven

    def _drop(self, gone: Sequence[int]) -> None:
        for key in gone:
            self._lives.pop(key, None)


def _mean_distance_m(one: F64, other: F64) -> float:
    apart = np.linalg.norm(one - other, axis=-1)
    known = np.isfinite(apart)
    return float(apart[known].mean()) if known.any() else float("inf")
