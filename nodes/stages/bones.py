"""The lengths of one person's bones, learnt from what two views or more see of them. Pure.

A running mean, weighted by how well each length was measured, which forgets after half a minute; and how far lengths
really vary about it (a "bone" from pelvis to thorax bends), which is what is left of the scatter when the noise is taken
off. Only then is a length worth believing where the views do not show it.
"""

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

ENOUGH = 8.0  # measurements of usual quality before a length is used
MEMORY = 900.0  # measurements that count: half a minute at 30 Hz
USUAL_SIGMA_M = 0.015
WORST_SIGMA_M = 0.06  # a length measured worse than this teaches nothing
LEAST_SIGMA_M = 0.004  # detectors' joints slide about on the body
START_SIGMA_M = 0.03


class Bones:
    """length_m (N,), of the bone from each joint to its parent; information (N,), 0 while it is not known."""

    def __init__(self, n_joints: int) -> None:
        self._weight = np.zeros(n_joints)
        self._count = np.zeros(n_joints)
        self._mean = np.zeros(n_joints)
        self._scatter = np.full(n_joints, START_SIGMA_M**2)

    @property
    def length_m(self) -> F64:
        return self._mean

    @property
    def information(self) -> F64:
        of_mean = USUAL_SIGMA_M**2 / np.maximum(self._weight, 1e-9)
        known = self._weight >= ENOUGH
        return np.where(known, 1.0 / (LEAST_SIGMA_M**2 + np.maximum(self._scatter, 0.0) + of_mean), 0.0)

    def learn(self, length_m: F64, variance: F64) -> None:
        """Take in lengths (N,), NaN where not measured, and their variances."""
        good = np.isfinite(length_m) & (variance < WORST_SIGMA_M**2)
        if not good.any():
            return
        weight = np.where(good, USUAL_SIGMA_M**2 / np.maximum(variance, 0.25 * USUAL_SIGMA_M**2), 0.0)
        self._weight = np.minimum(self._weight, MEMORY) + weight
        share = weight / np.maximum(self._weight, 1e-9)
        off = np.where(good, length_m - self._mean, 0.0)
        seen = np.where(good, off**2 - variance, 0.0)  # below zero as often as above when there is only noise
        self._mean = self._mean + share * off
        self._scatter = self._scatter + np.where(self._weight > ENOUGH, share, 0.0) * (seen - self._scatter)
