"""Which camera does not stand where its calibration says, much and from the start on or since. Pure.

For each camera the question is how much better all views would agree if it alone stood elsewhere. A camera is named
when that explains much of the disagreement, another camera's move explains it much worse, and it was so the whole time:
who looks at a bystander, or mixes up limbs, cannot be put right by moving the camera. Smaller moves are found by the
change that they make: drift_watch.py.
"""

from collections import deque

import numpy as np
import numpy.typing as npt

from calibration.drift import SIX, Sums, total
from nodes.stages.looks import Spell

F64 = npt.NDArray[np.float64]

SPELLS = 3  # that must all agree: somebody else in the picture for a second or two is no moved camera
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


class CalibrationCheck:
    """Watches all cameras of a rig."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self._cameras = cameras
        self._spells: deque[Spell] = deque(maxlen=SPELLS)
        self.notes: dict[str, str] = {}  # camera → what is wrong with it, in words

    def begin_anew(self) -> None:
        """Time has no meaning across an outage; what was found stays."""
        self._spells.clear()

    def forgive(self) -> None:
        """Another calibration is used from now on."""
        self._spells.clear()
        self.notes = {}

    @property
    def wrong(self) -> frozenset[str]:
        """Cameras that are better left out. Of two that disagree, it cannot be told which one that is."""
        return frozenset(self.notes) if len(self.notes) == 1 else frozenset()

    def take(self, spell: Spell, focal_px: F64) -> None:
        """Judge anew. focal_px: (C,) of the cameras."""
        self._spells.append(spell)
        if len(self._spells) == SPELLS:
            self.notes = self._judge(focal_px)

    def _judge(self, focal_px: F64) -> dict[str, str]:
        """Whom all spells together name."""
        sums = total([spell.sums for spell in self._spells])
        move, gain = _best_moves(sums)
        size = np.sqrt(gain / np.maximum(sums.weight, 1e-9))
        guilty = int(np.argmax(gain))
        if gain[guilty] < LEAST_SHARE * sums.disagreement or size[guilty] < LEAST_SIZE:
            return {}
        due = gain[guilty] / sums.weight[guilty]
        if not all(_lasts(spell.sums, guilty, move[guilty], due) for spell in self._spells):
            return {}
        size_px = size * focal_px
        others = [c for c in range(len(gain)) if sums.weight[c] > 0 and c != guilty]
        left = sums.disagreement - gain
        if len(others) == 1:
            return self._either(guilty, others[0], size_px[guilty])
        if min(left[others]) < LEAST_LEAD * left[guilty]:
            return {}
        return {self._cameras[guilty]: MOVED.format(size_px[guilty])}

    def _either(self, one: int, other: int, size_px: float) -> dict[str, str]:
        names = self._cameras[one], self._cameras[other]
        return {name: EITHER.format(rival, size_px) for name, rival in (names, names[::-1])}


def _best_moves(sums: Sums) -> tuple[F64, F64]:
    """Turn and shift (C, SIX) of each camera that makes all views agree best, and by how much (C,)."""
    noise = RAY_NOISE**2 * REPEATS
    H = sums.own() + np.diag([noise / ROTATION**2] * 3 + [noise / SHIFT_M**2] * 3)
    move = np.linalg.solve(H, sums.g[:, :SIX, None])[..., 0]
    return move, (move * sums.g[:, :SIX]).sum(1)


def _lasts(sums: Sums, camera: int, move: F64, gain_per_weight: float) -> bool:
    """Whether the one move explains this spell, too."""
    gain = 2 * move @ sums.g[camera, :SIX] - move @ sums.own()[camera] @ move
    own_gain = _best_moves(sums)[1][camera]
    due = max(LEAST_LASTING * own_gain, LEAST_PART * gain_per_weight * sums.weight[camera])
    return bool(sums.weight[camera] > 0 and gain > due)
