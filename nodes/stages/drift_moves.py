"""Which moves of single cameras explain what views disagree about, and how odd a move is for a camera. Pure.

C cameras; moves as in calibration/drift.py, in radians, metres and seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.drift import MOVE, SIX, Sums

F64 = npt.NDArray[np.float64]

ROTATION, SHIFT_M, CLOCK_S = 0.05, 0.04, 0.2  # how far cameras are expected to move: bumped ones turn, mostly
RAY_NOISE = 0.005  # of a detected joint
REPEATS = 30  # looks that err alike: detectors are wrong in the same way from frame to frame
LOOKS_THAT_TELL = 15.0  # as much as they seem to; see `onward`
ABOUT_LEAP = 3  # looks before and after a leap
LEAP_NS = 1_500_000_000  # that these may span: with a gap, anything may have happened
USUAL_RAY = 0.0025  # how far a camera's agreement wanders, root mean square angle, where nothing is learnt yet


class Scatter:
    """What has been usual for each camera: the covariance of moves that were seen while nobody moved."""

    def __init__(self, n_cameras: int, worth: float) -> None:
        """worth: how many moves the first assumption (USUAL_RAY) counts for."""
        self._worth = worth
        self._sum = np.zeros((n_cameras, SIX, SIX))
        self._count = np.zeros(n_cameras)

    def note(self, moves: F64, seen: npt.NDArray[np.bool_]) -> None:
        """Moves (C, SIX) that were nothing, of the cameras (C,) that saw somebody."""
        self._sum[seen] += moves[seen, :, None] * moves[seen, None, :]
        self._count += seen

    def oddity(self, move: F64, own: F64, weight: float, camera: int) -> float:
        """Squared distance of a move (SIX,) from nothing, in covariances; own (SIX, SIX) and weight of its looks."""
        little = USUAL_RAY**2 * weight * np.linalg.inv(own + prior(SIX))
        usual = (self._sum[camera] + self._worth * little) / (self._count[camera] + self._worth)
        return float(move @ np.linalg.solve(usual, move))


def best_moves(sums: Sums) -> F64:
    """(C, MOVE) all cameras' moves together that make all views agree best."""
    n = len(sums.weight)
    H = sums.H.reshape(n * MOVE, -1) + np.kron(np.eye(n), prior(MOVE))
    return np.linalg.solve(H, sums.g.reshape(-1)).reshape(n, MOVE)


def moves_of(sums: Sums, cameras: Sequence[int]) -> F64:
    """(C, MOVE) the best moves of some cameras together, all others standing still; no clock is set."""
    n = len(cameras)
    H = sums.H[np.ix_(cameras, range(SIX), cameras, range(SIX))].reshape(n * SIX, -1) + np.kron(np.eye(n), prior(SIX))
    moves = np.zeros_like(sums.g)
    moves[cameras, :SIX] = np.linalg.solve(H, sums.g[cameras, :SIX].reshape(-1)).reshape(n, SIX)
    return moves


def alone(sums: Sums) -> tuple[F64, F64]:
    """Each camera's best move (C, SIX), were it the only one, and how much it explains (C,)."""
    move = np.linalg.solve(sums.own() + prior(SIX), sums.g[:, :SIX, None])[..., 0]
    return move, (move * sums.g[:, :SIX]).sum(1)


def onward(sums: Sums, camera: int, so_far: F64) -> F64:
    """(SIX,) how a camera's move goes on after what of it is known: what is unlikely is the whole of it.

    Detectors err by how somebody stands, and for as long as that: n times the looks tell root n times as much.
    """
    unlikely = prior(SIX) * np.sqrt(max(1.0, sums.looks / LOOKS_THAT_TELL))
    return np.asarray(np.linalg.solve(sums.own()[camera] + unlikely, sums.g[camera, :SIX] - unlikely @ so_far))


@dataclass(frozen=True)
class Leaps:
    """At each of L looks, what would have to have moved since the look before it.

    at_ns: their times. moves (L, C, SIX); own (L, C, SIX, SIX) and weight (L, C) of the looks after it.
    """

    at_ns: tuple[int, ...]
    moves: F64
    own: F64
    weight: F64


def leaps_of(looks: Sequence[tuple[int, Sums]], expected: F64) -> Leaps:
    """Of those looks that have ABOUT_LEAP others before them and, with themselves, after them, in LEAP_NS."""
    own = np.array([sums.own() for _, sums in looks])
    g = np.array([(sums.g - np.tensordot(sums.H, expected, 2))[:, :SIX] for _, sums in looks])
    weight = np.array([sums.weight for _, sums in looks])
    at_ns = [at for at, _ in looks]
    n = ABOUT_LEAP
    found = [k for k in range(n, len(looks) - n + 1) if at_ns[k + n - 1] - at_ns[k - n] <= LEAP_NS]
    sides = [[slice(k - n, k) for k in found], [slice(k, k + n) for k in found]]
    if not found:
        return Leaps((), g[:0], own[:0], weight[:0])
    (H0, g0), (H1, g1) = [
        (np.array([own[part].sum(0) for part in side]), np.array([g[part].sum(0) for part in side])) for side in sides
    ]
    before, after = (np.linalg.solve(H + prior(SIX), e[..., None])[..., 0] for H, e in ((H0, g0), (H1, g1)))
    weights = np.array([weight[part].sum(0) for part in sides[1]])
    return Leaps(tuple(at_ns[k] for k in found), after - before, H1, weights)


def clock_gains(sums: Sums) -> F64:
    """(C,) how much is explained by one camera's clock being off."""
    cameras = np.arange(len(sums.weight))
    return np.asarray(sums.g[:, SIX] ** 2 / (sums.H[cameras, SIX, cameras, SIX] + prior(MOVE)[SIX, SIX]))


def size(move: F64, sums: Sums, camera: int) -> float:
    """Root mean square angle by which a move (at least SIX,) puts a camera's rays off, where people were seen.

    What other cameras' rays would follow is taken out: it shows nowhere.
    """
    off = move[:SIX] @ sums.own()[camera] @ move[:SIX]
    return float(np.sqrt(max(off, 0.0) / max(sums.weight[camera], 1e-9)))


def lasts(spells: Sequence[Sums], camera: int, move: F64, least: float) -> bool:
    """Whether one move explains in each spell at least a share of what a move of its own would."""
    for sums in spells:
        gain = 2 * move @ sums.g[camera, :SIX] - move @ sums.own()[camera] @ move
        if sums.weight[camera] <= 0 or gain <= least * alone(sums)[1][camera]:
            return False
    return True


def prior(n: int) -> F64:
    """(n, n) information on a move before anything is seen."""
    expected = np.array([ROTATION] * 3 + [SHIFT_M] * 3 + [CLOCK_S])[:n]
    return np.asarray(np.diag(RAY_NOISE**2 * REPEATS / expected**2))
