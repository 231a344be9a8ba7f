"""Which camera has moved since the system watches: when, and by about how much. Pure.

A calibration and a detector err all the time, each camera in its own way; what counts is the change. From the usual
state, all spells but the last few, it is predicted how views would disagree now, and what is left is put to each
camera: would its move explain it? A camera has moved when that is far beyond what has been usual for it (or a little
less far, and came from one look to the next), explains clearly more than another camera's move or a clock that is off,
is in every spell, and leaves views that agree as they used to. Bystanders, mixed-up limbs and clocks fail one of these.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.drift import SIX, Sums, total
from nodes.stages.drift_moves import (
    RAY_NOISE,
    Scatter,
    alone,
    best_moves,
    clock_gains,
    lasts,
    moves_of,
    size,
)
from nodes.stages.looks import Spell

F64 = npt.NDArray[np.float64]

WINDOWS = (3, 6)  # spells that must agree: the longer one tells better which camera it is
HELD_BACK = 8  # spells that are not yet taken for usual: a move is found before it is learnt
FIRST = 60  # spells that the state of the first minute is made of: a creep is seen against it
CREEP_WINDOW = 30  # spells
ABOUT_JUMP = 3  # looks before and after a jump
JUMP_WITHIN_NS = 1_500_000_000  # that these may span: with a gap, anything may have happened
WORTH_WINDOWS, WORTH_JUMPS = 20.0, 60.0  # of the first assumption on what is usual

# Measured (docs/drift.md): where nobody moved 25, and of changes that look like moves 17 with a jump of 21.
ODD = 36.0  # squared distance from what is usual, in covariances of six numbers
ODD_WITH_JUMP, ODD_JUMP = 20.0, 24.0
LEAST_SIZE = 0.003  # root mean square angle: 3 px at 1000 px
LEAST_SIZE_CREPT = 0.0045
LEAST_LEAD = 1.1  # explained, over what any other camera's move, or a clock, explains
LEAST_LASTING = 0.3  # explained in each spell by the move of all, over what a move of its own would explain
MOST_LEFT = 2.0  # disagreement left after the move, over the usual


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
        self._first: Sums | None = None
        self._learnt = 0
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
        if self._usual is None or self._learnt < self._learn_spells:
            return ()
        for n in WINDOWS:
            window = [each.sums.after(self.expected) for each in list(self._recent)[-n:]]
            if len(window) == n and (found := self._changed(window)):
                return found
        return self._crept()

    def _learn(self, spell: Spell) -> None:
        """Take a spell for usual, that has been held back until now."""
        if self.moved.any():
            return  # the same calibration does not explain both states
        self._usual = spell.sums if self._usual is None else self._usual + spell.sums
        self._learnt += 1
        self._expected = best_moves(self._usual)
        if self._learnt == FIRST:
            self._first = self._usual
        held = list(self._recent)
        window = total([each.sums for each in held[: -HELD_BACK + 1][-WINDOWS[0] :]]).after(self._expected)
        self._wander.note(alone(window)[0], window.weight > 0)
        for _, leap, seen in self._leaps_of(held[-HELD_BACK - 1 :][:2]):
            self._leaps.note(leap, seen.weight > 0)

    def _leaps_of(self, spells: Sequence[Spell]) -> list[tuple[int, F64, Sums]]:
        """(time, moves (C, SIX), looks after it) of every look of the spells that has looks enough about it."""
        looks = [look for spell in spells for look in spell.looks]
        leaps = []
        for k in range(ABOUT_JUMP, len(looks) - ABOUT_JUMP + 1):
            around = looks[k - ABOUT_JUMP : k + ABOUT_JUMP]
            if around[-1][0] - around[0][0] > JUMP_WITHIN_NS:
                continue
            before, after = (total([sums for _, sums in half]).after(self.expected)
                             for half in (around[:ABOUT_JUMP], around[ABOUT_JUMP:]))  # fmt: skip
            leaps.append((looks[k][0], alone(after)[0] - alone(before)[0], after))
        return leaps

    def _changed(self, window: list[Sums]) -> tuple[Movement, ...]:
        """Who has moved, by a window of changes."""
        found: list[int] = []
        moves, rival = np.zeros_like(self.moved), -1
        while len(found) < max(1, (self._n - 1) // 2):
            left = [sums.after(moves) for sums in window]
            camera, rival = self._guilty(left)
            if camera < 0 or camera in found:
                break
            found.append(camera)
            moves = moves_of(total(window), found)
        if not found or not self._fits(total(window).after(moves)):
            return ()
        return tuple(self._told(camera, moves[camera, :SIX], rival if len(found) == 1 else -1) for camera in found)

    def _guilty(self, window: list[Sums]) -> tuple[int, int]:
        """The camera whose move explains a window of changes, -1 for none; and the one it may be as well, or -1."""
        change = total(window)
        moves, gains = alone(change)
        camera = int(np.argmax(gains))
        move = moves[camera]
        if change.weight[camera] <= 0 or size(move, change, camera) < LEAST_SIZE:
            return -1, -1
        oddity = self._wander.oddity(move, change, camera)
        if oddity < ODD and (oddity < ODD_WITH_JUMP or not self._leapt(camera, move, change)):
            return -1, -1
        if gains[camera] < LEAST_LEAD * max(clock_gains(change)) or not lasts(window, camera, move, LEAST_LASTING):
            return -1, -1
        rivals = [c for c in np.argsort(-gains) if c != camera and LEAST_LEAD * gains[c] > gains[camera]]
        others = np.flatnonzero(change.weight > 0)
        if len(others) == 2:
            return camera, int(others[others != camera][0])
        if len(rivals) > 1 or (rivals and len(window) < WINDOWS[-1]):
            return -1, -1  # more may tell
        return camera, int(rivals[0]) if rivals else -1

    def _leapt(self, camera: int, move: F64, change: Sums) -> bool:
        """Whether the change came from one look to the next."""
        own = change.own()[camera]
        for _, leap, after in self._leaps_of(list(self._recent)[-HELD_BACK:]):
            alike = (leap[camera] @ own @ move) / max(move @ own @ move, 1e-12)
            if 0.5 < alike < 2.0 and self._leaps.oddity(leap[camera], after, camera) > ODD_JUMP:
                return True
        return False

    def _fits(self, left: Sums) -> bool:
        """Whether all views agree as they used to, once the moves are taken off."""
        assert self._usual is not None
        usual = self._usual.after(self._expected)
        most = MOST_LEFT * (usual.disagreement / usual.weight.sum() + RAY_NOISE**2 / 4)
        return left.disagreement < most * left.weight.sum()

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
        expected = best_moves(self._first)
        thirds = [total([spell.sums for spell in list(self._recent)[i::3]]).after(expected) for i in range(3)]
        change = total(thirds)
        moves, gains = alone(change)
        camera = int(np.argmax(gains))
        if size(moves[camera], change, camera) < LEAST_SIZE_CREPT or change.weight[camera] <= 0:
            return ()
        rivals = np.append(np.delete(gains, camera), clock_gains(change))
        if self._wander.oddity(moves[camera], change, camera) < ODD or gains[camera] < LEAST_LEAD * max(rivals):
            return ()
        if not lasts(thirds, camera, moves[camera], LEAST_LASTING):
            return ()
        looks = [look for spell in self._recent for look in spell.looks]
        return (Movement(camera, moves[camera], looks[0][0], looks[-1][0], self._recent[-1].sums, crept=True),)
