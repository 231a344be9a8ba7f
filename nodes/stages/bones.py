"""The lengths of one person's bones, learnt from what two views or more see of them. Pure.

First the median of some measurements, as detectors err wildly now and then; from there a running mean of what is not
far off, weighted by how well each length was measured, which forgets after half a minute. And how far lengths really
vary (a "bone" from pelvis to thorax bends): what is left of the scatter when the noise is taken off.
"""

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

FIRST = 15  # measurements whose median is the start
MEMORY = 900.0  # measurements that count: half a minute at 30 Hz
USUAL_SIGMA_M = 0.015
WORST_SIGMA_M = 0.06  # a length measured worse than this teaches nothing
LEAST_SIGMA_M = 0.004  # detectors' joints slide about on the body
CLIP_SIGMAS = 2.5
MEDIAN_TO_SIGMA = 1.4826  # of a normal distribution's median absolute deviation


class Bones:
    """length_m (N,), of the bone from each joint to its parent; information (N,), 0 while it is not known."""

    def __init__(self, n_joints: int) -> None:
        self.length_m = np.zeros(n_joints)
        self._first = np.full((n_joints, FIRST), np.nan)
        self._count = np.zeros(n_joints, dtype=np.int64)
        self._weight = np.zeros(n_joints)
        self._scatter = np.zeros(n_joints)  # below zero where the noise was less than assumed

    @property
    def information(self) -> F64:
        of_mean = USUAL_SIGMA_M**2 / np.maximum(self._weight, 1e-9)
        known = self._count >= FIRST
        return np.where(known, 1.0 / (LEAST_SIGMA_M**2 + np.maximum(self._scatter, 0.0) + of_mean), 0.0)

    def learn(self, length_m: F64, variance: F64) -> None:
        """Take in lengths (N,), NaN where not measured, and their variances."""
        good = np.isfinite(length_m) & (variance < WORST_SIGMA_M**2)
        known = self._count >= FIRST
        if (good & ~known).any():
            self._begin(np.flatnonzero(good & ~known), length_m, variance)
        if (good & known).any():
            self._follow(good & known, length_m, variance)

    def _begin(self, which: npt.NDArray[np.int64], length_m: F64, variance: F64) -> None:
        self._first[which, self._count[which]] = length_m[which]
        self._count[which] += 1
        for j in which[self._count[which] == FIRST]:
            self.length_m[j] = np.median(self._first[j])
            spread = MEDIAN_TO_SIGMA * np.median(np.abs(self._first[j] - self.length_m[j]))
            self._scatter[j] = spread**2 - variance[j]
            self._weight[j] = FIRST * USUAL_SIGMA_M**2 / max(variance[j], 0.25 * USUAL_SIGMA_M**2)

    def _follow(self, which: npt.NDArray[np.bool_], length_m: F64, variance: F64) -> None:
        weight = np.where(which, USUAL_SIGMA_M**2 / np.maximum(variance, 0.25 * USUAL_SIGMA_M**2), 0.0)
        self._weight = np.minimum(self._weight, MEMORY) + weight
        share = weight / np.maximum(self._weight, 1e-9)
        usual = np.sqrt(np.where(which, variance, 0.0) + np.maximum(self._scatter, LEAST_SIGMA_M**2))
        off = np.clip(np.where(which, length_m - self.length_m, 0.0), -CLIP_SIGMAS * usual, CLIP_SIGMAS * usual)
        self.length_m = self.length_m + share * off
        self._scatter = self._scatter + share * (off**2 - np.where(which, variance, 0.0) - self._scatter)
