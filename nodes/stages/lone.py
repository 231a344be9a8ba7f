"""People whom one view alone shows: how far off they stand is a guess. Pure.

So such a detection is theirs on loan: it is looked at with the free ones, and when views agree that it belongs to
somebody who stands elsewhere on that line of sight, that is where the person stands. So are the detections of somebody
who was followed twice.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nodes.stages.newcomers import Newcomers

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LONE_S = 0.2  # seen by one view for longer, somebody may stand farther off than the views' gates reach


@dataclass(frozen=True)
class Regrouped:
    """who: (K, C) detections of the K people followed, -1 for none. newcomers: N who are none of them, or heirs.

    heir_of: (N,) the one of the followed whose place was a guess and who really is this newcomer, -1 for none.
    """

    who: Ints
    newcomers: Newcomers
    heir_of: Ints


def regroup(
    who: Ints,
    alone_s: F64,
    is_misplaced: Flags,
    is_shown: Flags,
    find: Callable[[Ints], Newcomers],
    is_near: Callable[[Newcomers, int], bool],
) -> Regrouped:
    """Find newcomers among the free detections and those of K people whom one view shows, and tell who they are.

    who: (K, C). alone_s: (K,) for how long one view has shown each, inf for who has never been placed by two.
    is_misplaced: (K,) who must be placed anew, however many views there are. find: newcomers among the free detections
    and those that these people (K, C), -1 for none, lend. is_near: whether somebody who has been placed may be this
    newcomer.
    """
    is_guess = np.isinf(alone_s) | is_misplaced
    n_views = (who >= 0).sum(axis=1)
    lends = (n_views > 0) & (is_misplaced | ((n_views == 1) & (alone_s > LONE_S)))
    while True:
        new = find(who[lends])
        owned = ((new.who[:, None] == who) & (who >= 0)).any(axis=2) & lends  # (N, K)
        refused = _refused(new, owned & ~is_guess, is_near)
        if not refused.any():
            break
        lends &= ~refused
    return _settled(who, new, owned, is_guess, is_shown)


def _refused(new: Newcomers, owned: Flags, is_near: Callable[[Newcomers, int], bool]) -> Flags:
    """(K,) who has been placed, and is not the newcomer (N, K) that has the detection."""
    refused = np.zeros(owned.shape[1], dtype=np.bool_)
    for n in np.flatnonzero(owned.any(axis=1)):
        owners = np.flatnonzero(owned[n])
        one = new.only(np.arange(len(owned)) == n)
        if len(owners) > 1 or one.mirrored.any() or not is_near(one, int(owners[0])):
            refused |= owned[n]
    return refused


def _settled(who: Ints, new: Newcomers, owned: Flags, is_guess: Flags, is_shown: Flags) -> Regrouped:
    """Whoever has been placed takes the views over; of those whose place was a guess, the oldest who is shown goes on,
    else the oldest."""
    who = np.where((owned.any(axis=0) & is_guess)[:, None], -1, who)
    heir_of = np.full(len(new.who), -1)
    taken = np.zeros(len(new.who), dtype=np.bool_)
    for n in np.flatnonzero(owned.any(axis=1)):
        placed, guessed = np.flatnonzero(owned[n] & ~is_guess), np.flatnonzero(owned[n] & is_guess)
        if len(placed):
            who[placed[0]], taken[n] = new.who[n], True
        else:
            heir_of[n] = guessed[is_shown[guessed].argmax()]
    return Regrouped(who, new.only(~taken), heir_of[~taken])
