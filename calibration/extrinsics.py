"""Where cameras stand to each other: from pairs that saw the board together, chained over the best-connected tree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.planar import board_poses
from calibration.twist import exp_twist, log_twist

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GUESSES, JUDGES = 60, 200  # instants of a pair that make guesses, and that judge them
WIDEST_S = 0.7  # between frames from which a velocity is told
SAME_TURN, SAME_PLACE = 0.05, 0.05  # radians, and of the distance to the board: where a guess counts as confirmed
WORST = 3.0  # of an instant's disagreement: more does not count
LEAST_INSTANTS, LEAST_AGREE = 3, 0.25  # of a pair: instants in common, and share that one position explains


@dataclass(frozen=True, eq=False)
class BoardViews:
    """Poses (C, 2, T, 4, 4) of the board in each camera, the likelier first, and their errors (C, 2, T) as angles; inf
    where a camera did not see enough of it."""

    Ts_cam_board: Array
    error: Array

    @property
    def known(self) -> Bools:
        """(C, T)."""
        return np.asarray(np.isfinite(self.error[:, 0]))


@dataclass(frozen=True, eq=False)
class Pair:
    """Two cameras that saw the board together at so many instants, of which `agree` are explained by T_b_a."""

    a: int
    b: int
    instants: int
    agree: int
    T_b_a: Array


def board_views(board_m: Array, rays: Sequence[Array]) -> BoardViews:
    """Of rays: for each camera (T, K, 2)."""
    found = [board_poses(board_m, each) for each in rays]
    return BoardViews(np.stack([poses for poses, _ in found]), np.stack([error for _, error in found]))


def brought_together(views: BoardViews, captured_s: Array, time_s: Array) -> BoardViews:
    """The same at the instants' common times (T,), where frames were taken at captured_s (C, T): moved on as each
    camera by itself saw the board move from frame to frame. Unchanged where times are not known.
    """
    Ts = views.Ts_cam_board.copy()
    for c, known in enumerate(views.known):
        there = np.flatnonzero(known & np.isfinite(captured_s[c]))
        for k in (0, 1):
            velocity = _velocity(views.Ts_cam_board[c][:, there], views.error[c][:, there], k, captured_s[c, there])
            late = (time_s - captured_s[c])[there]
            Ts[c, k, there] = Ts[c, k, there] @ exp_twist(velocity * late[:, None])
    return BoardViews(Ts, views.error)


def pairs_of(views: BoardViews, lenience: float = 1.0) -> list[Pair]:
    """All pairs of cameras that have an instant in common. lenience: a factor of what counts as the same place."""
    known = views.known
    found = []
    for a in range(len(known)):
        for b in range(a + 1, len(known)):
            both = np.flatnonzero(known[a] & known[b])
            if len(both):
                found.append(_pair(views, a, b, both, lenience))
    return found


def chained(names: Sequence[str], pairs: Sequence[Pair]) -> Array:
    """Ts_cam_world (C, 4, 4) with the first camera as the world, over the tree of the pairs with most agreement.

    Raises CalibrationError that names the cameras that cannot be reached, and why.
    """
    sound = [pair for pair in pairs if pair.agree >= max(LEAST_INSTANTS, LEAST_AGREE * pair.instants)]
    Ts: dict[int, Array] = {0: np.eye(4)}
    while len(Ts) < len(names):
        bridges = [pair for pair in sound if (pair.a in Ts) != (pair.b in Ts)]
        if not bridges:
            raise CalibrationError(_why_apart(names, pairs, Ts))
        best = max(bridges, key=lambda pair: pair.agree)
        if best.a in Ts:
            Ts[best.b] = best.T_b_a @ Ts[best.a]
        else:
            Ts[best.a] = rigid.inverse(best.T_b_a) @ Ts[best.b]
    return np.stack([Ts[c] for c in range(len(names))])


def board_start(views: BoardViews, Ts_cam_world: Array) -> tuple[Array, Bools]:
    """Ts_world_board (T, 4, 4) of the pose that most views confirm, and at which instants (T,) there is one."""
    C, _, T = views.error.shape
    guesses = (rigid.inverse(Ts_cam_world)[:, None, None] @ np.nan_to_num(views.Ts_cam_board)).reshape(2 * C, T, 4, 4)
    known = np.isfinite(views.error).reshape(2 * C, T)
    depth = np.linalg.norm(np.nan_to_num(views.Ts_cam_board[..., :3, 3]), axis=-1).reshape(2 * C, T) + 1e-9
    disagreement = np.zeros((2 * C, T))
    for c in range(C):
        own = np.stack(
            [np.where(known[2 * c + k], _apart(guesses, guesses[2 * c + k], depth[2 * c + k]), WORST) for k in range(2)]
        )
        disagreement += np.minimum(own.min(0), WORST) * views.known[c]
    best = np.where(known, disagreement, np.inf).argmin(0)
    there = known.any(0)
    poses = guesses[best, np.arange(T)]
    poses[~there] = np.eye(4)
    return poses, there


def _velocity(Ts: Array, error: Array, branch: int, captured_s: Array) -> Array:
    """(N, 6) of the board, by the poses (2, N, 4, 4) before and after that are most like each one; 0 across gaps."""
    own = Ts[branch]
    index = np.arange(len(captured_s))
    ends, times = [], []
    for other in (np.maximum(index - 1, 0), np.minimum(index + 1, len(index) - 1)):
        near = np.abs(captured_s[other] - captured_s) <= WIDEST_S
        cosine = np.einsum("knij,nij->kn", Ts[:, other, :3, :3], own[:, :3, :3])
        likest = np.where(np.isfinite(error[:, other]), cosine, -np.inf).argmax(0)
        ends.append(np.where(near[:, None, None], Ts[likest, other], own))
        times.append(np.where(near, captured_s[other], captured_s))
    lasting = times[1] - times[0]
    velocity = log_twist(rigid.inverse(ends[0]) @ ends[1]) / np.where(lasting > 0, lasting, np.inf)[:, None]
    return np.asarray(np.nan_to_num(velocity))


def _pair(views: BoardViews, a: int, b: int, both: npt.NDArray[np.int64], lenience: float) -> Pair:
    T_a, T_b = views.Ts_cam_board[a][:, both], views.Ts_cam_board[b][:, both]
    candidates = (T_b[:, None] @ rigid.inverse(T_a)[None]).reshape(4, len(both), 4, 4)
    sure = np.isfinite(views.error[b][:, None, both] + views.error[a][None][:, :, both]).reshape(4, len(both))
    depth = np.linalg.norm(T_b[0, :, :3, 3], axis=-1)
    few = np.linspace(0, len(both) - 1, min(GUESSES, len(both))).astype(int)
    judges = np.linspace(0, len(both) - 1, min(JUDGES, len(both))).astype(int)
    best, least = np.eye(4), np.inf
    for guess in candidates[:, few][sure[:, few]]:
        off = np.where(sure[:, judges], _apart(candidates[:, judges], guess, depth[judges]) / lenience, WORST)
        total = float(np.minimum(off.min(0), WORST).sum())
        if total < least:
            best, least = guess, total
    for _ in range(3):
        off = np.where(sure, _apart(candidates, best, depth) / lenience, np.inf)
        nearest = off.argmin(0)
        agree = off.min(0) < 1.0
        if not agree.any():
            break
        chosen = candidates[nearest[agree], np.flatnonzero(agree)]
        best = best @ exp_twist(np.median(log_twist(rigid.inverse(best) @ chosen), axis=0))
    return Pair(
        a,
        b,
        len(both),
        int((np.where(sure, _apart(candidates, best, depth) / lenience, np.inf).min(0) < 1.0).sum()),
        best,
    )


def _apart(T: Array, other: Array, depth_m: Array) -> Array:
    """How far apart poses are, 1 being just the same: the larger of turn and shift."""
    cosine = 0.5 * (np.einsum("...ij,...ij->...", T[..., :3, :3], other[..., :3, :3]) - 1.0)
    turn = np.arccos(np.clip(cosine, -1.0, 1.0))
    shift = np.linalg.norm(T[..., :3, 3] - other[..., :3, 3], axis=-1)
    return np.asarray(np.maximum(turn / SAME_TURN, shift / (SAME_PLACE * depth_m)))


def _why_apart(names: Sequence[str], pairs: Sequence[Pair], reached: dict[int, Array]) -> str:
    told = []
    for c in sorted(set(range(len(names))) - set(reached)):
        met = {pair.a if pair.b == c else pair.b: pair for pair in pairs if c in (pair.a, pair.b)}
        bridges = {names[other]: pair for other, pair in met.items() if other in reached}
        most = max(bridges.values(), key=lambda pair: pair.instants, default=None)
        if most is None or most.instants < LEAST_INSTANTS:
            told.append(
                f"camera {names[c]!r} saw the board together with {' or '.join(names[o] for o in reached)} at "
                f"{0 if most is None else most.instants} instants ({LEAST_INSTANTS} are needed, 20 are good): hold the "
                "board where both see it at the same time"
            )
        else:
            told.append(
                f"camera {names[c]!r} saw the board together with {', '.join(bridges)} at up to {most.instants} "
                f"instants, but no one place of the camera explains more than {most.agree} of them: its picture may be "
                "mirrored, its clock off, its file swapped with another camera's, or it was moved meanwhile"
            )
    return "; ".join(told)
