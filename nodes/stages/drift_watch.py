"""Which camera has moved since the system watches: when, and by about how much. Pure.

A calibration and a detector err all the time, each camera in its own way; what counts is the change. From the usual
state, all spells but the last few, it is predicted how views would disagree now, and what is left is put to each
camera: would its move explain it? A camera has moved when that is far beyond what has been usual for it (or a little
less far, and came from one look to the next), explains clearly more than another camera's move or a clock that is off,
is in every spell, and leaves views that agree as they used to. Bystanders, mixed-up limbs and clocks fail one of these.
"""

from collections import deque
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from calibration.drift import SIX, Sums, total
from nodes.stages.drift_moves import (
    LEAP_NS,
    RAY_NOISE,
    Scatter,
    alone,
    best_moves,
    clock_gains,
    lasts,
    leaps_of,
    moves_of,
    size,
)
from nodes.stages.looks import Spell

F64 = npt.NDArray[np.float64]

WINDOWS = (3, 6)  # spells that must agree: the longer one tells better which camera it is
HELD_BACK = 8  # spells that are not yet taken for usual: a move is found before it is learnt
FIRST = 60  # spells that the state of the first minute is made of: a creep is seen against it
CREEP_WINDOW, CREEP_EVERY = 30, 5  # spells; how often it is looked for
WORTH_WINDOWS, WORTH_JUMPS = 20.0, 60.0  # of the first assumption on what is usual

# Measured where nobody moved, of changes that look like moves: 25, and 17 with a jump of 21 (docs/drift.md).
ODD = 36.0  # squared distance from what is usual, in covariances of six numbers
ODD_WITH_JUMP, ODD_JUMP, LEAST_ODD_JUMP = 20.0, 24.0, 8.0  # the odder a change is, the less odd its jump need be
ODD_LEFT = 20.0  # after one camera's move: another one has moved as well
LEAST_SIZE = 0.003  # root mean square angle: 3 px at 1000 px
MOST_CANCELLED = 5.0  # what turn and shift each would do, over what they do together: limbs seen elsewhere look so
USUAL_WAY_M = 4.0  # from a camera to a person
LEAST_LEAD_OF_TWO = 0.03  # the same for two cameras over any other two
LEAST_SIZE_CREPT = 0.0045
LEAST_LEAD = 0.1  # explained, beyond what any other camera's move, or a clock, explains; for each camera but two
LEAST_LASTING = 0.3  # explained in each spell by the move of all, over what a move of its own would explain
MOST_LEFT = 2.0  # disagreement left after the move, on the camera's rays, over the usual


@dataclass(frozen=True)
class Movement:
    """A camera has moved, by `move` (SIX,) since it stood as usual.

    before_ns, after_ns: the last look before it and the first after; for a creep, the looks that tell it apart.
    sums: of the looks since. crept: slowly. rival: another camera, which it may have been as well; -1 for none.
    """

    camera: int
    move: F64
    before_ns: int
    after_ns: int
    sums: Sums
    crept: bool = False
    rival: int = -1


class DriftWatch:
    """Fed with spells, in the order of time; says who has moved.

    moved: (C, MOVE) by how much cameras are known to have moved since the usual state; whoever puts the calibration
    right sets it back.
    """

    def __init__(self, n_cameras: int, learn_spells: int) -> None:
        """learn_spells: of the usual state, at least, before anything is called a change."""
        self._n = n_cameras
        self._learn_spells = learn_spells
        self._recent: deque[Spell] = deque(maxlen=CREEP_WINDOW)
        self._usual: Sums | None = None
        self._first: F64 | None = None
        self._first_wander = Scatter(n_cameras, WORTH_WINDOWS)
        self._learnt = self._taken = 0
        self._expected: F64 = np.zeros((n_cameras, SIX + 1))
        self._wander, self._leaps = Scatter(n_cameras, WORTH_WINDOWS), Scatter(n_cameras, WORTH_JUMPS)
        self.moved = np.zeros_like(self._expected)

    def forget_recent(self) -> None:
        """Time has no meaning across an outage, and views seen with another calibration are not comparable."""
        self._recent.clear()

    @property
    def expected(self) -> F64:
        """(C, MOVE) moves by which views are expected to disagree, from what is usual and who has moved since."""
        return np.asarray(self._expected + self.moved)

    def take(self, spell: Spell) -> tuple[Movement, ...]:
        """Who has moved, as the last spells show: nobody, one, or several at once. The caller adds it to `moved`."""
        if len(self._recent) >= HELD_BACK:
            self._learn(self._recent[-HELD_BACK])
        self._recent.append(spell)
        self._taken += 1
        if self._usual is None or self._learnt < self._learn_spells:
            return ()
        for n in WINDOWS:
            window = [each.sums for each in list(self._recent)[-n:]]
            change = total(window).after(self.expected)
            camera, move = self._guilty(change)
            if camera < 0 or len(window) < n:
                break
            if found := self._changed([sums.after(self.expected) for sums in window], change, camera, move):
                return found
        return self._crept() if self._taken % CREEP_EVERY == 0 else ()

    def _learn(self, spell: Spell) -> None:
        """Take a spell for usual, that has been held back until now."""
        if self.moved.any():
            return  # the same calibration does not explain both states
        self._usual = spell.sums if self._usual is None else self._usual + spell.sums
        self._learnt += 1
        self._expected = best_moves(self._usual)
        if self._learnt == FIRST:
            self._first, self._first_wander = self._expected, deepcopy(self._wander)
        held = list(self._recent)
        window = total([each.sums for each in held[: -HELD_BACK + 1][-WINDOWS[0] :]]).after(self._expected)
        self._wander.note(alone(window)[0], window.weight > 0)
        looks = [look for spell in held[-HELD_BACK - 1 :][:2] for look in spell.looks]
        leaps = leaps_of(looks, self._expected)
        for moves, weight in zip(leaps.moves, leaps.weight, strict=True):
            self._leaps.note(moves, weight > 0)

    def _guilty(self, change: Sums) -> tuple[int, F64]:
        """The camera whose move explains most of a change, and the move; -1 where that is nothing odd."""
        moves, gains = alone(change)
        camera = int(np.argmax(gains))
        return (camera if self._odd(change, camera, moves[camera]) else -1), moves[camera]

    def _changed(self, window: list[Sums], change: Sums, camera: int, move: F64) -> tuple[Movement, ...]:
        """Who has moved, by the changes of a window."""
        if not self._sudden(change, camera, move):
            return ()
        gains = alone(change)[1]
        seen = np.flatnonzero(change.weight > 0)
        lead = 1 + LEAST_LEAD * max(1, len(seen) - 2)
        if gains[camera] < lead * max(clock_gains(change)):
            return ()
        if self._one_is_enough(change, camera):
            if not lasts(window, camera, move, LEAST_LASTING) or not self._fits(change, (camera,)):
                return ()
            rivals = [int(c) for c in np.argsort(-gains) if c != camera and lead * gains[c] > gains[camera]]
            others = [int(c) for c in seen if c != camera]
            if len(others) == 1:
                return (self._told(camera, move, others[0]),)
            if len(rivals) > 1 or (rivals and len(window) < WINDOWS[-1]):
                return ()  # more may tell
            return (self._told(camera, move, rivals[0] if rivals else -1),)
        return self._several(change) if len(window) == WINDOWS[-1] else ()

    def _several(self, change: Sums) -> tuple[Movement, ...]:
        """The two cameras whose moves together explain a change; of four, rivals where others would do as well."""
        seen = np.flatnonzero(change.weight > 0)
        pairs = list(combinations(map(int, seen), 2))
        gains = [float((moves_of(change, pair) * change.g).sum()) for pair in pairs]
        best, next_best = np.argsort(gains)[::-1][:2]
        one, other = pairs[best]
        if not self._fits(change, (one, other)):
            return ()
        sure = gains[best] > (1 + LEAST_LEAD_OF_TWO * (len(seen) - 2)) * gains[next_best]
        if not sure and len(seen) > 4:
            return ()
        moves = moves_of(change, (one, other))
        told = ((one, other), (other, one))
        return tuple(self._told(c, moves[c, :SIX], -1 if sure else rival) for c, rival in told)

    def _odd(self, change: Sums, camera: int, move: F64, least: float = ODD_WITH_JUMP) -> bool:
        """Whether a move is large, not usual, and none whose turn and shift all but cancel each other."""
        if change.weight[camera] <= 0:
            return False
        off = size(move, change, camera)
        parts = float(np.linalg.norm(move[:2]) + np.linalg.norm(move[3:]) / USUAL_WAY_M)  # a roll shows little
        return (
            off > LEAST_SIZE
            and parts < MOST_CANCELLED * off
            and self._oddity(self._wander, move, change, camera) > least
        )

    @staticmethod
    def _oddity(usual: Scatter, move: F64, change: Sums, camera: int) -> float:
        return usual.oddity(move, change.own()[camera], change.weight[camera], camera)

    def _sudden(self, change: Sums, camera: int, move: F64) -> bool:
        """Whether the change came from one look to the next, or while the camera saw nobody."""
        own = change.own()[camera]
        recent = list(self._recent)[-HELD_BACK:]
        oddity = self._oddity(self._wander, move, change, camera)
        least = max(ODD_JUMP * ODD_WITH_JUMP / oddity, LEAST_ODD_JUMP)
        leaps = leaps_of([look for spell in recent for look in spell.looks], self.expected)
        for moves, H, weight in zip(leaps.moves, leaps.own, leaps.weight, strict=True):
            leap = moves[camera]
            alike = (leap @ own @ move) / max(move @ own @ move, 1e-12)
            if 0.5 < alike < 2.0 and self._leaps.oddity(leap, H[camera], weight[camera], camera) > least:
                return True
        seen_ns = [at_ns for spell in recent for at_ns, sums in spell.looks if sums.weight[camera] > 0]
        absent = bool((np.diff(seen_ns) > LEAP_NS).any())
        return absent and oddity > ODD

    def _one_is_enough(self, change: Sums, camera: int) -> bool:
        """Whether nothing odd is left after the move of one camera."""
        left = change.after(moves_of(change, (camera,)))
        moves, gains = alone(left)
        gains[camera] = 0.0
        other = int(np.argmax(gains))
        return not self._odd(left, other, moves[other], ODD_LEFT)

    def _fits(self, change: Sums, cameras: tuple[int, ...]) -> bool:
        """Whether what is left after the moves of some cameras is no more than their views disagree usually."""
        assert self._usual is not None
        usual = self._usual.after(self._expected)
        rate = usual.disagreement / usual.weight.sum()
        left = change.after(moves_of(change, cameras)).disagreement
        theirs = change.weight[list(cameras)].sum()
        beyond = left - rate * (change.weight.sum() - theirs)
        return bool(beyond < MOST_LEFT * (rate + RAY_NOISE**2 / 4) * theirs)

    def _told(self, camera: int, move: F64, rival: int) -> Movement:
        """With its time: the looks before it speak against the move, and those after it for it."""
        looks = [look for spell in list(self._recent)[-HELD_BACK:] for look in spell.looks]
        speaks = []
        for _, sums in looks:
            g = sums.after(self.expected).g[camera, :SIX]
            speaks.append(move @ g - move @ sums.own()[camera] @ move / 2)
        first = int(np.argmax(np.cumsum(speaks[::-1])[::-1]))
        before_ns = looks[first - 1][0] if first else looks[0][0]
        since = total([sums for _, sums in looks[first:]])
        return Movement(camera, move, before_ns, looks[first][0], since, rival=rival)

    def _crept(self) -> tuple[Movement, ...]:
        """Who has moved so slowly that each state was taken for usual, seen against that of the first minute."""
        if self._first is None or len(self._recent) < CREEP_WINDOW or self.moved.any():
            return ()
        expected, recent, third = self._first, list(self._recent), CREEP_WINDOW // 3
        thirds = [total([spell.sums for spell in recent[i : i + third]]).after(expected) for i in (0, third, 2 * third)]
        change = total(thirds)
        moves, gains = alone(change)
        camera = int(np.argmax(gains))
        move = moves[camera]
        if not self._odd(change, camera, move, 0.0) or size(move, change, camera) < LEAST_SIZE_CREPT:
            return ()
        lead = 1 + LEAST_LEAD * max(1, int((change.weight > 0).sum()) - 2)
        rivals = np.append(np.delete(gains, camera), clock_gains(change))
        if self._oddity(self._first_wander, move, change, camera) < ODD or gains[camera] < lead * max(rivals):
            return ()
        if not lasts(thirds, camera, move, LEAST_LASTING) or not self._fits(change, (camera,)):
            return ()
        looks = [look for spell in recent for look in spell.looks]
        return (Movement(camera, move, looks[0][0], looks[-1][0], recent[-1].sums, crept=True),)
