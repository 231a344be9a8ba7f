"""Smoothing of one person's joints on capture time: a Kalman filter, or the One-Euro filter. Pure.

Kalman: constant velocity with white acceleration noise (Bar-Shalom, Li and Kirubarajan 2001, 6.3.2), each joint by
itself, axes sharing one covariance as the measurement's is isotropic. A measurement far from what was foreseen is
trusted less (Huber's weights), so one wild detection does not throw a limb.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from configs.schema import Smoothing as Settings

F64 = npt.NDArray[np.float64]

START_SPEED_M_S = 1.0  # what a joint may be doing when it is first seen
SURPRISE = 3.0  # standard deviations up to which a measurement counts fully
NS = 1e-9


@dataclass(frozen=True)
class Smoothed:
    """joints_m: (J, 3), NaN where absent. sigma_m: (J,), inf there. predicted: (J,) carried on without a view."""

    joints_m: F64
    sigma_m: F64
    predicted: npt.NDArray[np.bool_]


class Smoother(Protocol):
    """State of one person's filter."""

    def update(self, captured_ns: int, joints_m: F64, sigma_m: F64) -> Smoothed:
        """Take in the joints (J, 3), NaN where unseen, with their sigma (J,), at a later time than before."""


def make_smoother(settings: Settings, n_joints: int) -> Smoother:
    """The smoother that the configuration names."""
    if settings.kind == "kalman":
        return Kalman(settings, n_joints)
    if settings.kind == "one_euro":
        return OneEuro(settings, n_joints)
    return Unsmoothed()


class Unsmoothed:
    """Joints as they are measured."""

    def update(self, captured_ns: int, joints_m: F64, sigma_m: F64) -> Smoothed:
        return Smoothed(joints_m, sigma_m, np.zeros(len(joints_m), dtype=np.bool_))


class Kalman:
    """Constant velocity per joint. position (J, 3), velocity (J, 3), covariance entries pp, pv, vv (J,)."""

    def __init__(self, settings: Settings, n_joints: int) -> None:
        self._acceleration2 = settings.acceleration_m_s2**2
        self._max_gap_ns = settings.max_gap_ms * 1e6
        self._position = np.full((n_joints, 3), np.nan)
        self._velocity = np.zeros((n_joints, 3))
        self._pp, self._pv, self._vv = (np.zeros(n_joints) for _ in range(3))
        self._seen_ns = np.full(n_joints, -(2**62), dtype=np.int64)
        self._time_ns: int | None = None

    def update(self, captured_ns: int, joints_m: F64, sigma_m: F64) -> Smoothed:
        self._predict(captured_ns)
        measured = np.isfinite(joints_m).all(axis=1) & np.isfinite(sigma_m)
        alive = captured_ns - self._seen_ns <= self._max_gap_ns
        self._begin(measured & ~alive, joints_m, sigma_m)
        self._correct(measured & alive, joints_m, sigma_m)
        self._seen_ns[measured] = captured_ns
        predicted = alive & ~measured
        shown = measured | predicted
        return Smoothed(
            np.where(shown[:, None], self._position, np.nan), np.where(shown, np.sqrt(self._pp), np.inf), predicted
        )

    def _predict(self, captured_ns: int) -> None:
        dt = 0.0 if self._time_ns is None else (captured_ns - self._time_ns) * NS
        self._time_ns = captured_ns
        a2 = self._acceleration2
        self._position = self._position + dt * self._velocity
        self._pp = self._pp + 2 * dt * self._pv + dt * dt * self._vv + a2 * dt**4 / 4
        self._pv = self._pv + dt * self._vv + a2 * dt**3 / 2
        self._vv = self._vv + a2 * dt * dt

    def _begin(self, which: npt.NDArray[np.bool_], joints_m: F64, sigma_m: F64) -> None:
        self._position[which] = joints_m[which]
        self._velocity[which] = 0.0
        self._pp[which] = sigma_m[which] ** 2
        self._pv[which] = 0.0
        self._vv[which] = START_SPEED_M_S**2

    def _correct(self, which: npt.NDArray[np.bool_], joints_m: F64, sigma_m: F64) -> None:
        pp, pv, vv = self._pp[which], self._pv[which], self._vv[which]
        surprise_m = joints_m[which] - self._position[which]
        noise2 = sigma_m[which] ** 2
        in_sigmas = np.sqrt((surprise_m**2).sum(axis=1) / 3 / (pp + noise2))
        noise2 = noise2 * np.maximum(1.0, in_sigmas / SURPRISE) ** 2
        gain_p, gain_v = pp / (pp + noise2), pv / (pp + noise2)
        self._position[which] += gain_p[:, None] * surprise_m
        self._velocity[which] += gain_v[:, None] * surprise_m
        self._pp[which] = (1 - gain_p) * pp
        self._pv[which] = (1 - gain_p) * pv
        self._vv[which] = vv - gain_v * pv


class OneEuro:
    """The One-Euro filter (Casiez, Roussel and Vogel 2012) per joint: a low pass whose cut-off rises with speed."""

    SPEED_CUTOFF_HZ = 1.0  # of the speed's own low pass, as the authors advise

    def __init__(self, settings: Settings, n_joints: int) -> None:
        self._min_cutoff_hz = settings.min_cutoff_hz
        self._beta = settings.beta
        self._max_gap_ns = settings.max_gap_ms * 1e6
        self._position = np.full((n_joints, 3), np.nan)
        self._velocity = np.zeros((n_joints, 3))
        self._sigma = np.full(n_joints, np.inf)
        self._seen_ns = np.full(n_joints, -(2**62), dtype=np.int64)

    def update(self, captured_ns: int, joints_m: F64, sigma_m: F64) -> Smoothed:
        measured = np.isfinite(joints_m).all(axis=1) & np.isfinite(sigma_m)
        alive = captured_ns - self._seen_ns <= self._max_gap_ns
        fresh, known = measured & ~alive, measured & alive
        self._position[fresh], self._velocity[fresh] = joints_m[fresh], 0.0
        dt_s = (captured_ns - self._seen_ns[known, None]) * NS
        speed = (joints_m[known] - self._position[known]) / dt_s
        self._velocity[known] += _low_pass(self.SPEED_CUTOFF_HZ, dt_s) * (speed - self._velocity[known])
        cutoff_hz = self._min_cutoff_hz + self._beta * np.linalg.norm(self._velocity[known], axis=1, keepdims=True)
        self._position[known] += _low_pass(cutoff_hz, dt_s) * (joints_m[known] - self._position[known])
        self._sigma[measured] = sigma_m[measured]
        self._seen_ns[measured] = captured_ns
        predicted = alive & ~measured  # held where it was: this filter foresees nothing
        shown = measured | predicted
        return Smoothed(
            np.where(shown[:, None], self._position, np.nan), np.where(shown, self._sigma, np.inf), predicted
        )


def _low_pass(cutoff_hz: F64 | float, dt_s: F64) -> F64:
    """Weight of the new value in an exponential filter."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2 * np.pi * cutoff_hz * dt_s)))
