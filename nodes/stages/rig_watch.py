"""Watches whether the cameras of a rig stand where they are believed to stand, and puts right who has moved. Pure.

Looks (looks.py) go to two judges: calibration_check.py knows what no calibration may be off by, drift_watch.py what has
changed. Who has moved is left out until it stands as before or, with `self_repair`, until its pose was estimated anew
from the people seen; that goes on getting better while more of them is seen.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from calibration.drift import SIX, Sums, between, pose_after
from configs.schema import Drift
from nodes.stages.calibration_check import CalibrationCheck
from nodes.stages.delivered import DeliveredRig
from nodes.stages.drift_moves import alone, onward, size
from nodes.stages.drift_watch import DriftWatch, Movement
from nodes.stages.looks import SPELL_NS, Looks, Spell
from nodes.stages.matching import Detected

F64 = npt.NDArray[np.float64]

ESTIMATE_LOOKS = 100  # that a move is estimated from, while nobody repairs it
REPAIR_LOOKS = 20  # four seconds of somebody
REFINE_LOOKS = (20, 60, 150, 400, 1000)  # after the repair
LEAST_STEP = 0.0004  # of a refinement, root mean square angle: 0.4 px at 1000 px
BACK = 0.3  # who is off by less than this part of the move, after another one, stands as before
LEAST_CAMERAS = 2  # that fusion is left with

LEFT_OUT = "{}. It is left out: put it back, or calibrate again (--self-repair estimates its pose from the people seen)"
USED = "{}. It is used all the same: without it there were no two cameras left. Calibrate again"
WAITS = "{}. It is left out until its pose is estimated anew"
RIVALS = "{}, or {} has instead: what is seen does not tell which yet. Put it back, or calibrate again"
TELLS_APART = 1.2  # what the move of one camera explains over what that of the other does


@dataclass
class Moved:
    """What is known of a camera that has moved. rival: another one, which it may have been as well, or -1.

    move: (SIX,) by which the calibration was put right so far. pose_before: T_cam_world (4, 4) that it stood at; turn
    (radians), way_m: by how much it is off that. off_px: how far its rays were off for it; left_px: and are since the
    repair, NaN where that is not known yet. sums: of the looks since it moved, or since it was repaired.
    """

    movement: Movement
    pose_before: F64
    rival: int = -1
    move: F64 = field(default_factory=lambda: np.zeros(SIX))
    turn: float = 0.0
    way_m: float = 0.0
    off_px: float = 0.0
    left_px: float = float("nan")
    repaired: bool = False
    refined: int = 0
    sums: Sums | None = None

    @property
    def at_ns(self) -> int:
        return self.movement.after_ns

    @property
    def told(self) -> str:
        slowly = " slowly" if self.movement.crept else ""
        by = f"moved{slowly} by {np.degrees(self.turn):.1f}° and {1000 * self.way_m:.0f} mm"
        if not self.repaired:
            return f"{by}: {self.off_px:.0f} px off"
        left = f" to {self.left_px:.1f} px" if np.isfinite(self.left_px) else ""
        return f"{by}; its pose was estimated anew, from {self.off_px:.0f} px off{left}"


class RigWatch:
    """One per rig. `take` every tick; what it finds is in `notes`, `wrong`, `moved`."""

    def __init__(self, cameras: tuple[str, ...], settings: Drift) -> None:
        self._cameras = cameras
        self._self_repair = settings.self_repair
        self._looks = Looks()
        self._check = CalibrationCheck(cameras)
        self._drift = DriftWatch(len(cameras), round(settings.learn_s * 1e9 / SPELL_NS))
        self._moved: dict[int, Moved] = {}
        self.repairs = 0  # changes of the calibration
        self.notes: dict[str, str] = {}  # camera → what is wrong with it, in words
        self.wrong: frozenset[str] = frozenset()  # cameras that are better left out

    def begin_anew(self) -> None:
        """Time has no meaning across an outage; what was found stays."""
        self._looks.begin_anew()
        self._check.begin_anew()
        self._drift.forget_recent()

    @property
    def moved(self) -> dict[str, Moved]:
        """Cameras that have moved, those that were put right included."""
        return {self._cameras[c]: moved for c, moved in self._moved.items()}

    def due(self, captured_ns: int) -> bool:
        """Whether an instant is worth a look."""
        return self._looks.due(captured_ns)

    @property
    def _astray(self) -> list[int]:
        return [c for c, moved in self._moved.items() if not moved.repaired]

    def _sum_up(self) -> None:
        """Notes, and who is left out."""
        astray = {self._cameras[c] for c in self._astray if self._moved[c].rival < 0}
        wrong = self._check.wrong | astray
        self.wrong = frozenset(wrong) if len(self._cameras) - len(wrong) >= LEAST_CAMERAS else self._check.wrong
        self.notes = {**self._check.notes, **{self._cameras[c]: self._note(c) for c in self._astray}}

    def _note(self, camera: int) -> str:
        moved = self._moved[camera]
        if moved.rival >= 0:
            return RIVALS.format(moved.told, self._cameras[moved.rival])
        if self._cameras[camera] not in self.wrong:
            return USED.format(moved.told)
        return (WAITS if self._self_repair else LEFT_OUT).format(moved.told)

    def take(
        self, captured_ns: int, rig: DeliveredRig, detected: Detected, people_m: F64, velocity_m_s: F64 | None = None
    ) -> None:
        """Look at an instant. detected: by all cameras, also those that are left out; people_m, velocity_m_s:
        (K, J, 3) where fusion has them, NaN where a joint is absent. `rig` is put right where somebody is repaired."""
        velocity_m_s = np.zeros_like(people_m) if velocity_m_s is None else velocity_m_s
        spell = self._looks.take(captured_ns, rig.arrays, detected, people_m, velocity_m_s)
        if spell is None:
            return
        self._check.take(spell, rig.arrays.focal_px)
        self._watch(spell, rig)
        self._sum_up()

    def _watch(self, spell: Spell, rig: DeliveredRig) -> None:
        movements = self._drift.take(spell)
        for movement in movements:
            self._begin(movement, rig)
        if movements:
            self._drift.forget_recent()
            return
        for camera in list(self._moved):
            self._follow(camera, spell, rig)

    def _begin(self, movement: Movement, rig: DeliveredRig) -> None:
        """Somebody has moved, or moved again."""
        camera = movement.camera
        before = size(self._drift.moved[camera], movement.sums, camera)
        self._drift.moved[camera, : len(movement.move)] += movement.move
        known = self._moved.get(camera)
        if known is not None and not known.repaired:
            if size(self._drift.moved[camera], movement.sums, camera) < BACK * before:
                self._drift.moved[camera] = 0.0
                del self._moved[camera]
                return
            known.movement = movement
        else:
            known = self._moved[camera] = Moved(movement, rig.pose(self._cameras[camera]))
        known.sums, known.rival = movement.sums, movement.rival
        self._estimate(camera, rig)

    def _estimate(self, camera: int, rig: DeliveredRig) -> None:
        """How far it is off, from all that was seen since."""
        moved = self._moved[camera]
        assert moved.sums is not None
        others = self._drift.expected.copy()
        others[camera] -= self._drift.moved[camera]
        move = onward(moved.sums.after(others), camera, np.zeros(SIX))
        self._drift.moved[camera, : len(move)] = move
        pose = pose_after(rig.pose(self._cameras[camera]), move)
        moved.turn, moved.way_m = between(moved.pose_before, pose)
        moved.off_px = size(move, moved.sums, camera) * float(rig.arrays.focal_px[camera])

    def _follow(self, camera: int, spell: Spell, rig: DeliveredRig) -> None:
        moved = self._moved[camera]
        if not moved.repaired and moved.sums is not None and moved.sums.looks > ESTIMATE_LOOKS:
            return  # so that it is seen when it moves again
        moved.sums = spell.sums if moved.sums is None else moved.sums + spell.sums
        if not moved.repaired:
            camera = self._settled(camera, rig)
            self._estimate(camera, rig)
            if self._self_repair and moved.rival < 0 and moved.sums.looks >= REPAIR_LOOKS:
                self._repair(camera, rig)
        elif moved.refined < len(REFINE_LOOKS) and moved.sums.looks >= REFINE_LOOKS[moved.refined]:
            self._refine(camera, rig)

    def _settled(self, camera: int, rig: DeliveredRig) -> int:
        """Which camera it was, of two that may have been, when enough was seen to tell them apart."""
        moved = self._moved[camera]
        assert moved.sums is not None
        rival = moved.rival
        if rival < 0 or (moved.sums.weight > 0).sum() <= 2:
            return camera
        others = self._drift.expected.copy()
        others[camera] -= self._drift.moved[camera]
        gains = alone(moved.sums.after(others))[1]
        if gains[rival] > TELLS_APART * gains[camera] and rival not in self._moved:
            self._moved[rival] = self._moved.pop(camera)
            self._drift.moved[rival], self._drift.moved[camera] = self._drift.moved[camera], 0.0
            moved.pose_before, moved.rival = rig.pose(self._cameras[rival]), -1
            return rival
        if gains[camera] > TELLS_APART * gains[rival]:
            moved.rival = -1
        return camera

    def _repair(self, camera: int, rig: DeliveredRig) -> None:
        """Believe it to stand where it was estimated to stand, and use it again."""
        move = self._drift.moved[camera].copy()
        self._drift.moved[camera] = 0.0
        self._moved[camera].repaired, self._moved[camera].move = True, move[:SIX]
        self._correct(camera, move, rig)
        for moved in self._moved.values():
            moved.sums = None

    def _refine(self, camera: int, rig: DeliveredRig) -> None:
        """What more was seen tells the pose better."""
        moved = self._moved[camera]
        assert moved.sums is not None
        moved.refined += 1
        left = np.zeros_like(self._drift.moved)
        left[camera, :SIX] = onward(moved.sums.after(self._drift.expected), camera, moved.move)
        if size(left[camera], moved.sums, camera) > LEAST_STEP:
            self._correct(camera, left[camera], rig)
            moved.sums, moved.move = moved.sums.after(left), moved.move + left[camera, :SIX]
            moved.turn, moved.way_m = between(moved.pose_before, rig.pose(self._cameras[camera]))
        still = alone(moved.sums.after(self._drift.expected))[0][camera]
        moved.left_px = size(still, moved.sums, camera) * float(rig.arrays.focal_px[camera])

    def _correct(self, camera: int, move: F64, rig: DeliveredRig) -> None:
        """What was seen before, with another calibration, is no longer comparable."""
        name = self._cameras[camera]
        rig.correct(name, pose_after(rig.pose(name), move))
        self.repairs += 1
        self._looks.begin_anew()
        self._check.forgive()
        self._drift.forget_recent()
