"""Which moves of single cameras explain what views disagree about, and how odd a move is for a camera. Pure.

C cameras; moves as in calibration/drift.py, in radians, metres and seconds.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration.drift import MOVE, SIX, Sums

F64 = npt.NDArray[np.float64]

ROTATION, SHIFT_M, CLOCK_S = 0.05, 0.04, 0.2  # how far cameras are expected to move: bumped ones turn, mostly
RAY_NOISE = 0.005  # of a detected joint
REPEATS = 30  # looks that err alike: detectors are wrong in the same way from frame to frame
LOOKS_THAT_TELL = 15.0  # as much as they seem to; see `onward`
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

    def oddity(self, move: F64, sums: Sums, camera: int) -> float:
        """Squared distance of a move (SIX,) from nothing, in covariances; sums: of the looks that show it."""
        little = USUAL_RAY**2 * sums.weight[camera] * np.linalg.inv(sums.own()[camera] + prior(SIX))
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
