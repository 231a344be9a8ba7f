"""Smoothing of one person's joints on capture time: a Kalman filter, or the One-Euro filter. Pure.

Kalman: constant velocity with white acceleration noise (Bar-Shalom, Li and Kirubarajan 2001, 6.3.2) of the root and of
each bone, with full 3x3 covariances. Of bones, and not of joints, since what one camera leaves open, the distance, is
one and the same for all joints: filtered each by itself, they would seem to confirm one another. How hard bones are
being accelerated is learnt on the way, bone by bone, from how far expectations are off: at rest it smooths much, in a
jump little. The expectation goes into fusion as one more witness; what fusion makes of it is the filter's new state.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from configs.schema import Smoothing as Settings
from nodes.stages import kalman_kernel as kernel
from nodes.stages.body_tree import BodyTree

F64 = npt.NDArray[np.float64]
State = tuple[F64, F64, F64, F64, F64]  # bones, velocities, and the blocks pp, pv, vv of their covariance

START_SPEED_M_S = 1.0  # what a joint may be doing when it is first seen
NS = 1e-9
LEARNT_AT_HZ = 10.0  # rate at which the acceleration's share is learnt
LEAST_SHARE, MOST_SHARE = 0.02, 20.0  # of the configured acceleration's square
RIGHT_SURPRISE = 1.0
MOST_SURPRISE = 4.0  # times the expected square: an outlier teaches no more
SETTLE_M_S = 0.6  # 20 mm a tick at 30 Hz
FOUND_SHARE = 0.5  # of a person's joints seen by two views: the others have come back
MOST_M_S = 4.0  # that a guess is trusted to have been moving when it ends
SETTLE_AFTER_S = 0.2  # of guessing: what was wrong for a tick or two is better forgotten
USUAL_TICK_S = 0.05
SPEED_LASTS_S = 0.5  # an unseen joint slows down


@dataclass(frozen=True)
class Foreseen:
    """Where joints are expected, NaN where nothing is known.

    joints_m, velocity_m_s (N, 3), covariance (N, 3, 3) and its inverse, `information`, 0 where nothing is known.

    bone_m (N, 3), bone_information (N, 3, 3): vectors from the parents; of a root, its place.
    """

    joints_m: F64
    velocity_m_s: F64
    covariance: F64
    information: F64
    bone_m: F64
    bone_information: F64


class Kalman:
    """Constant velocity of a root and of N bones."""

    def __init__(self, settings: Settings, tree: BodyTree) -> None:
        n = len(tree.names)
        self._acceleration2 = settings.acceleration_m_s2**2
        self._tree = tree
        pp, pv, vv = (np.zeros((n, 3, 3)) for _ in range(3))
        self._state: State = (np.full((n, 3), np.nan), np.zeros((n, 3)), pp, pv, vv)
        self._share = np.ones(n)
        self._time_ns = 0

    def foresee(self, captured_ns: int) -> Foreseen:
        """Where the joints will be at a later time; nothing changes."""
        bone, velocity, pp, _, _ = self._at(captured_ns)
        joints_m, speed, covariance, of_joint, of_bone = kernel.along_chains(
            bone, velocity, pp, self._tree.parent, self._tree.order
        )
        return Foreseen(joints_m, speed, covariance, of_joint, bone, of_bone)

    def correct(
        self,
        captured_ns: int,
        joints_m: F64,
        bone_covariance: F64,
        surprise: F64,
        unseen: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Take over what became of `foresee(captured_ns)` with the measurements.

        joints_m: (N, 3), NaN where nothing is known of a joint any more. bone_covariance: (N, 3, 3). surprise: (N,)
        squared distance of expectation and measurement, over what it should be; NaN where not measured. unseen: (N,)
        joints that nothing but their expectation speaks for: they slow down.
        """
        before = self._at(captured_ns)
        self._learn_acceleration((captured_ns - self._time_ns) * NS, surprise)
        state = kernel.correct(*before, joints_m, bone_covariance, self._tree.parent, START_SPEED_M_S**2)
        if unseen is not None:
            state[1][unseen] *= math.exp(-max(captured_ns - self._time_ns, 0) * NS / SPEED_LASTS_S)
        self._state = state
        self._time_ns = captured_ns

    def _at(self, captured_ns: int) -> State:
        """Everything carried on to a time."""
        dt = max(captured_ns - self._time_ns, 0) * NS if self._time_ns else 0.0
        unseen = max(dt - USUAL_TICK_S, 0.0)
        faded = math.exp(-unseen / SPEED_LASTS_S)
        lasting = dt - unseen + SPEED_LASTS_S * (1.0 - faded)  # dt of a speed that fades
        return kernel.carry_on(*self._state, self._acceleration2 * self._share, lasting, faded, dt)

    def _learn_acceleration(self, dt_s: float, surprise: F64) -> None:
        """Where expectations are farther off than they should be, bones are accelerated more, else less."""
        gain = 1.0 - math.exp(-LEARNT_AT_HZ * max(dt_s, 0.0))
        off = np.minimum(np.nan_to_num(surprise, nan=RIGHT_SURPRISE), MOST_SURPRISE) - RIGHT_SURPRISE
        self._share = np.clip(self._share * (1.0 + gain * off), LEAST_SHARE, MOST_SHARE)


class Settling:
    """Lets a joint that was placed from one side only glide to where more views then see it, in place of a jump.

    What is shown keeps an offset to what is known, which shrinks by SETTLE_M_S; it is told in the sigma.
    """

    def __init__(self, n_joints: int) -> None:
        self._offset = np.zeros((n_joints, 3))
        self._known_m = np.full((n_joints, 3), np.nan)  # at the tick before
        self._guessed_s = np.zeros(n_joints)
        self._was_found = True

    def settle(self, since_s: float, foreseen_m: F64, joints_m: F64, n_views: npt.NDArray[np.int64]) -> tuple[F64, F64]:
        """Joints (J, 3) to show, and how far they are off (J,). foreseen_m: as expected; n_views: (J,) used now."""
        seen = n_views >= 2
        leap = self._known_m + _no_faster(foreseen_m - self._known_m, MOST_M_S * since_s) - joints_m
        is_found = bool(seen.mean() > FOUND_SHARE)
        all_move = is_found and not self._was_found  # with its neighbours, also a joint that one view alone still sees
        found_again = (seen | all_move) & (self._guessed_s > SETTLE_AFTER_S) & np.isfinite(leap[:, 0])
        self._was_found = is_found
        self._offset = np.where(found_again[:, None], self._offset + leap, self._offset)
        self._guessed_s = np.where(seen, 0.0, self._guessed_s + since_s)
        self._known_m = joints_m
        self._shrink(since_s)
        return joints_m + self._offset, np.linalg.norm(self._offset, axis=1)

    def keep(self, joints_m: F64) -> F64:
        """Joints (J, 3) to show of somebody who is not seen."""
        self._guessed_s[:] = np.inf
        self._was_found = False
        self._known_m = joints_m
        return joints_m + self._offset

    def _shrink(self, since_s: float) -> None:
        size = np.linalg.norm(self._offset, axis=1, keepdims=True)
        left = np.maximum(size - SETTLE_M_S * since_s, 0.0)
        self._offset = self._offset * left / np.maximum(size, 1e-9)


class OneEuro:
    """The One-Euro filter (Casiez, Roussel and Vogel 2012) per joint: a low pass whose cut-off rises with speed."""

    SPEED_CUTOFF_HZ = 1.0  # of the speed's own low pass, as the authors advise

    def __init__(self, settings: Settings, n_joints: int) -> None:
        self._min_cutoff_hz = settings.min_cutoff_hz
        self._beta = settings.beta
        self._max_gap_ns = settings.max_gap_ms * 1e6
        self._position = np.full((n_joints, 3), np.nan)
        self._velocity = np.zeros((n_joints, 3))
        self._seen_ns = np.full(n_joints, -(2**62), dtype=np.int64)

    def smooth(self, captured_ns: int, joints_m: F64) -> F64:
        """Joints (N, 3) as filtered; what is absent stays absent."""
        measured = np.isfinite(joints_m).all(axis=1)
        alive = captured_ns - self._seen_ns <= self._max_gap_ns
        fresh, known = measured & ~alive, measured & alive
        self._position[fresh], self._velocity[fresh] = joints_m[fresh], 0.0
        dt_s = (captured_ns - self._seen_ns[known, None]) * NS
        speed = (joints_m[known] - self._position[known]) / dt_s
        self._velocity[known] += _low_pass(self.SPEED_CUTOFF_HZ, dt_s) * (speed - self._velocity[known])
        cutoff_hz = self._min_cutoff_hz + self._beta * np.linalg.norm(self._velocity[known], axis=1, keepdims=True)
        self._position[known] += _low_pass(cutoff_hz, dt_s) * (joints_m[known] - self._position[known])
        self._seen_ns[measured] = captured_ns
        return np.where(measured[:, None], self._position, np.nan)


def _no_faster(step_m: F64, most_m: float) -> F64:
    """Steps (J, 3), none longer than most_m."""
    return step_m * np.minimum(1.0, most_m / np.maximum(np.linalg.norm(step_m, axis=1, keepdims=True), 1e-9))


def _low_pass(cutoff_hz: F64 | float, dt_s: F64) -> F64:
    """Weight of the new value in an exponential filter."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2 * np.pi * cutoff_hz * dt_s)))
