"""Which camera does not stand where its calibration says: moved, bumped, or wrongly calibrated. Pure.

For each camera the question is how much better all views would agree if it alone stood elsewhere: the joints are
triangulated from all views, and for small turns and shifts of one camera the normal equations are summed up with the
joints eliminated (the score test of a bundle adjustment with one free camera). A camera is named when that explains
much of the disagreement, another camera's move explains it much worse, and it was so the whole time: who looks at a
bystander, or mixes up limbs, cannot be put right by moving the camera.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.triangulate import RigArrays
from nodes.stages.matching import Detected

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

EVERY_NS = 190_000_000  # between looks: five a second
SPELL_NS = 1_000_000_000  # looks are summed up over so long
SPELLS = 3  # that must all agree: somebody else in the picture for a second or two is no moved camera
LOOKS_IN_A_SPELL = 3  # at least
MOST_JOINTS = 40  # of all people in a look: so it costs 1 ms for one person in 4 cameras, 5 ms for 10 in 16
TOLD_BY = 9  # joints, by which people are told apart
SAME_PERSON = 0.2  # mean distance as an angle, from where the others see somebody: 0.8 m at 4 m
WIDEST_RAY = 3.0  # 72 degrees off the axis; beyond is where a lens's distortion has no inverse
ODD_RAY = 0.05  # disagreement beyond this angle counts less: a swapped limb, somebody else
NEAREST_M = 0.1  # to a camera
LEAST_INFORMATION = 1e-6  # on a point: of lines of sight that are parallel; one camera at 4 m gives 0.06
ROTATION, SHIFT_M = 0.05, 0.3  # how far cameras are expected to be off, where nothing tells
RAY_NOISE = 0.005  # of a detected joint
REPEATS = 30  # looks that err alike: detectors are wrong in the same way from frame to frame

# Measured: 20 cm off at 4 m, 3 px noise at 900 px: share 0.44 to 0.97, 6 to 48 mrad, the next 1.6 to 29 times worse.
# One clock 80 ms off: nobody is named but of two cameras; 150 ms off: that camera, while somebody walks.
# Real recordings as calibrated (`shared`): share up to 0.51, up to 18 mrad, the next at most 1.21 times worse.
MOVED = (
    "does not stand where its calibration says: off by {:.0f} px, while the others agree. It is left out: put it back, "
    "or calibrate again (unless it sees somebody else, or its clock is off)"
)
EITHER = (
    "disagrees with {} by {:.0f} px: one of the two was moved, is wrongly calibrated or has a clock that is off; "
    "a third camera would tell which. Calibrate again"
)

LEAST_SHARE = 0.4  # of the squared disagreement is explained by the move
LEAST_SIZE = 0.005  # explained disagreement, root mean square angle
LEAST_LEAD = 1.5  # what is left unexplained, by the next best camera over the best
LEAST_LASTING = 0.5  # explained in each spell by the move of all spells, over what a move of its own would explain
LEAST_PART = 0.1  # explained in each spell, over the average spell


@dataclass(frozen=True)
class _Sums:
    """Of looks: H (C, 6, 6) and g (C, 6) of each camera's turn (radians) and shift (metres); weight (C,) of its rays.

    disagreement: weighted sum of squares of all views, as angles.
    """

    H: F64
    g: F64
    weight: F64
    disagreement: float
    looks: int = 1

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.H + other.H,
            self.g + other.g,
            self.weight + other.weight,
            self.disagreement + other.disagreement,
            self.looks + other.looks,
        )


class CalibrationCheck:
    """Watches all cameras of a rig."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self._cameras = cameras
        self._off: dict[str, str] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        """Time has no meaning across an outage; what was found stays."""
        self._spells: deque[_Sums] = deque(maxlen=SPELLS)
        self._spell: _Sums | None = None
        self._looked_ns = self._spell_ns = 0

    @property
    def notes(self) -> dict[str, str]:
        """Camera → what is wrong with it, in words."""
        return dict(self._off)

    @property
    def wrong(self) -> frozenset[str]:
        """Cameras that are better left out. Of two that disagree, it cannot be told which one that is."""
        return frozenset(self._off) if len(self._off) == 1 else frozenset()

    def take(self, captured_ns: int, rig: RigArrays, detected: Detected, people_m: F64) -> None:
        """Look at an instant. detected: by all cameras, also those that are left out; people_m: (K, J, 3) where fusion
        has them, NaN where a joint is absent."""
        if captured_ns - self._looked_ns < EVERY_NS:
            return
        self._looked_ns = captured_ns
        rays, weight = _seen(rig, detected, people_m)
        if len(rays):
            look = _sums(rig.Ts_cam_world, rays, weight)
            self._spell = look if self._spell is None else self._spell + look
        if captured_ns - self._spell_ns >= SPELL_NS:
            self._end_spell(captured_ns, rig)

    def _end_spell(self, captured_ns: int, rig: RigArrays) -> None:
        self._spell_ns = captured_ns
        spell, self._spell = self._spell, None
        if spell is None or spell.looks < LOOKS_IN_A_SPELL:
            return  # nobody there: nothing new is known
        self._spells.append(spell)
        if len(self._spells) == SPELLS:
            self._off = self._judge(rig)

    def _judge(self, rig: RigArrays) -> dict[str, str]:
        """Whom all spells together name."""
        total = self._spells[0]
        for spell in list(self._spells)[1:]:
            total = total + spell
        move, gain = _best_moves(total)
        size = np.sqrt(gain / np.maximum(total.weight, 1e-9))
        guilty = int(np.argmax(gain))
        if gain[guilty] < LEAST_SHARE * total.disagreement or size[guilty] < LEAST_SIZE:
            return {}
        if not all(_lasts(spell, guilty, move[guilty], gain[guilty] / total.weight[guilty]) for spell in self._spells):
            return {}
        size_px = size * rig.focal_px
        others = [c for c in range(len(gain)) if total.weight[c] > 0 and c != guilty]
        left = total.disagreement - gain
        if len(others) == 1:
            return self._either(guilty, others[0], size_px[guilty])
        if min(left[others]) < LEAST_LEAD * left[guilty]:
            return {}
        return {self._cameras[guilty]: MOVED.format(size_px[guilty])}

    def _either(self, one: int, other: int, size_px: float) -> dict[str, str]:
        names = self._cameras[one], self._cameras[other]
        return {name: EITHER.format(rival, size_px) for name, rival in (names, names[::-1])}


def _best_moves(total: _Sums) -> tuple[F64, F64]:
    """Turn and shift (C, 6) of each camera that makes all views agree best, and by how much (C,)."""
    noise = RAY_NOISE**2 * REPEATS
    H = total.H + np.diag([noise / ROTATION**2] * 3 + [noise / SHIFT_M**2] * 3)
    move = np.linalg.solve(H, total.g[..., None])[..., 0]
    return move, (move * total.g).sum(1)


def _lasts(spell: _Sums, camera: int, move: F64, gain_per_weight: float) -> bool:
    """Whether the one move explains this spell, too."""
    gain = 2 * move @ spell.g[camera] - move @ spell.H[camera] @ move
    own_gain = _best_moves(spell)[1][camera]
    due = max(LEAST_LASTING * own_gain, LEAST_PART * gain_per_weight * spell.weight[camera])
    return bool(spell.weight[camera] > 0 and gain > due)


def _seen(rig: RigArrays, detected: Detected, people_m: F64) -> tuple[F64, F64]:
    """Rays (S, C, 2) and weights (S, C) of joints of people in all cameras that see them, two of them at least."""
    sure = (np.abs(detected.rays) < WIDEST_RAY).all(-1)  # NaN compares false
    weight = np.square(np.where(sure, np.clip(detected.confidence, 0.0, 1.0), 0.0))  # (C, P, J)
    who = _who(rig, detected.rays, weight, people_m)
    there = who >= 0
    cameras, index = np.arange(len(weight)), np.maximum(who, 0)
    w = np.where(there[..., None], weight[cameras, index], 0.0).transpose(0, 2, 1).reshape(-1, len(weight))
    rays = detected.rays[cameras, index].transpose(0, 2, 1, 3).reshape(-1, len(weight), 2)
    usable = np.flatnonzero((w > 0).sum(1) >= 2)
    usable = usable[:: max(1, -(-len(usable) // MOST_JOINTS))]
    return np.where((w > 0)[..., None], rays, 0.0)[usable], w[usable]


def _who(rig: RigArrays, rays: F64, weight: F64, people_m: F64) -> npt.NDArray[np.int64]:
    """(K, C) each person's detection in each view, -1 for none: the nearest one, which nobody else is nearer to.

    One person alone is who is seen, however far off: that is what a moved camera shows.
    """
    found = (weight > 0).any(-1)  # (C, P)
    if len(people_m) <= 1 and (found.sum(1) <= 1).all():
        return np.where(found.any(1), found.argmax(1), -1)[None]
    if not len(people_m):
        return np.full((0, len(found)), -1)
    step = max(1, people_m.shape[1] // TOLD_BY)
    people_m, rays, weight = people_m[:, ::step], rays[:, :, ::step], weight[:, :, ::step]
    q = people_m @ rig.Ts_cam_world[:, None, :, :3].transpose(0, 1, 3, 2) + rig.Ts_cam_world[:, None, None, :, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        there = np.where(q[..., 2:] > NEAREST_M, q[..., :2] / q[..., 2:], np.nan)  # (C, K, J, 2)
    off = np.linalg.norm(there[:, :, None] - rays[:, None], axis=-1)  # (C, K, P, J)
    counts = np.isfinite(off) & (weight[:, None] > 0)
    mean = np.where(counts, off, 0.0).sum(-1) / np.maximum(counts.sum(-1), 1)
    mean = np.where(counts.any(-1), mean, np.inf)
    nearest, nearest_person = mean.argmin(2), mean.argmin(1)  # (C, K), (C, P)
    mutual = np.take_along_axis(nearest_person, nearest, 1) == np.arange(len(people_m))
    near = np.take_along_axis(mean, nearest[..., None], 2)[..., 0] < SAME_PERSON
    return np.where(mutual & near, nearest, -1).T


def _sums(Ts_cam_world: F64, rays: F64, weight: F64) -> _Sums:
    """The normal equations of one look at S joints: rays (S, C, 2), weight (S, C), 0 where not seen."""
    points_m = _meeting(Ts_cam_world, rays, weight)
    for _ in range(2):
        residual, A, _, w = _linearised(Ts_cam_world, rays, weight, points_m)
        points_m = points_m + _step(residual, A, w)[0]
    residual, A, q, w = _linearised(Ts_cam_world, rays, weight, points_m)
    step, inverse = _step(residual, A, w)
    residual = residual - (A @ step[:, None, :, None])[..., 0]
    B = _by_move(q)
    wB = w[..., None, None] * B
    AB = A.swapaxes(-1, -2) @ wB  # (S, C, 3, 6)
    H = (B.swapaxes(-1, -2) @ wB - AB.swapaxes(-1, -2) @ (inverse[:, None] @ AB)).sum(0)
    g = (wB.swapaxes(-1, -2) @ residual[..., None])[..., 0].sum(0)
    return _Sums(H, g, w.sum(0), float((w * (residual**2).sum(-1)).sum()))


def _meeting(Ts_cam_world: F64, rays: F64, weight: F64) -> F64:
    """(S, 3): the points nearest to all lines of sight."""
    R = Ts_cam_world[:, :, :3]
    centres = -(R.swapaxes(1, 2) @ Ts_cam_world[:, :, 3:])[..., 0]
    direction = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], -1)[..., None, :] @ R  # (S, C, 1, 3)
    direction = direction[..., 0, :] / np.linalg.norm(direction[..., 0, :], axis=-1, keepdims=True)
    across = weight[..., None, None] * (np.eye(3) - direction[..., None] * direction[..., None, :])
    normal = across.sum(1) + LEAST_INFORMATION * np.eye(3)
    return np.linalg.solve(normal, (across @ centres[:, :, None]).sum(1))[..., 0]


def _linearised(Ts_cam_world: F64, rays: F64, weight: F64, points_m: F64) -> tuple[F64, F64, F64, F64]:
    """Residuals (S, C, 2), their derivative (S, C, 2, 3) by the point, points q_cam (S, C, 3), weights (S, C)."""
    R = Ts_cam_world[:, :, :3]
    q = (R @ points_m[:, None, :, None])[..., 0] + Ts_cam_world[:, :, 3]
    weight = np.where(q[..., 2] > NEAREST_M, weight, 0.0)
    q = np.where(weight[..., None] > 0, q, (0.0, 0.0, 1.0))
    residual = np.where(weight[..., None] > 0, rays - q[..., :2] / q[..., 2:], 0.0)
    w = weight / (1.0 + (residual**2).sum(-1) / ODD_RAY**2)
    return residual, _by_point(q) @ R, q, w


def _by_point(q: F64) -> F64:
    """(…, 2, 3) derivative of a ray by its point (…, 3) in the camera."""
    D = np.zeros((*q.shape[:-1], 2, 3))
    D[..., 0, 0] = D[..., 1, 1] = 1.0 / q[..., 2]
    D[..., :, 2] = -q[..., :2] / q[..., 2:] ** 2
    return D


def _by_move(q: F64) -> F64:
    """(…, 2, 6) derivative of a ray by a turn of the camera about itself and a shift, both in its own axes."""
    move = np.zeros((*q.shape[:-1], 3, 6))
    x, y, z = q[..., 0], q[..., 1], q[..., 2]
    move[..., 0, 1], move[..., 0, 2] = z, -y
    move[..., 1, 0], move[..., 1, 2] = -z, x
    move[..., 2, 0], move[..., 2, 1] = y, -x
    move[..., 0, 3] = move[..., 1, 4] = move[..., 2, 5] = 1.0
    return _by_point(q) @ move


def _step(residual: F64, A: F64, w: F64) -> tuple[F64, F64]:
    """Gauss-Newton step (S, 3) of the points, and the inverse (S, 3, 3) of their normal matrices."""
    At = (w[..., None, None] * A).swapaxes(-1, -2)
    inverse = np.linalg.inv((At @ A).sum(1) + LEAST_INFORMATION * np.eye(3))
    return (inverse @ (At @ residual[..., None]).sum(1))[..., 0], inverse
