"""How far predicted poses are from the truth: MPJPE, P-MPJPE, N-MPJPE, PCK and whether the sigmas are honest.

Poses are (…, J, 3) metres, any leading axes; NaN is a joint that is not known (truth) or was not given (prediction),
and is left out of every mean.

Sources: MPJPE is Ionescu et al., "Human3.6M" (TPAMI 2014), P-MPJPE the same after the alignment of Umeyama,
"Least-squares estimation of transformation parameters between two point patterns" (TPAMI 1991); N-MPJPE is Rhodin et
al., "Unsupervised geometry-aware representation for 3D human pose estimation" (ECCV 2018); PCK at 150 mm is Mehta et
al., "Monocular 3D human pose estimation in the wild" (3DV 2017).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

PCK_M = 0.15  # about half the size of a head
MEASURES = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "pck_150", "sigma_calibration")
UNIT = np.array([1000.0, 1000.0, 1000.0, 1.0, 1.0])  # of the measures, from metres and shares


def root_relative(joints_m: npt.ArrayLike, root: int) -> F64:
    """Poses with their root joint in the origin; all NaN where the root is not known."""
    x = np.asarray(joints_m, dtype=np.float64)
    return x - x[..., root : root + 1, :]


def distances_m(predicted_m: npt.ArrayLike, truth_m: npt.ArrayLike) -> F64:
    """Distance (…, J) of each joint from where it should be; NaN where either is not known. Nothing is aligned."""
    return np.linalg.norm(np.asarray(predicted_m, np.float64) - np.asarray(truth_m, np.float64), axis=-1)


def rescaled(predicted_m: F64, truth_m: F64) -> F64:
    """Root-relative predictions times the factor that brings each pose nearest to its truth (least squares)."""
    p, t = _both_known(predicted_m, truth_m)
    factor = (p * t).sum((-2, -1)) / np.maximum((p * p).sum((-2, -1)), 1e-12)
    return predicted_m * factor[..., None, None]


def aligned(predicted_m: F64, truth_m: F64) -> F64:
    """Predictions turned, moved and scaled (never mirrored) to lie nearest to their truth (least squares).

    NaN where fewer than three joints are known: two points can be laid on any other two.
    """
    p, t = _both_known(predicted_m, truth_m)
    known = np.isfinite(predicted_m + truth_m).all(-1, keepdims=True)
    count = known.sum(-2, keepdims=True)
    some = np.maximum(count, 1)
    p_middle, t_middle = p.sum(-2, keepdims=True) / some, t.sum(-2, keepdims=True) / some
    p, t = np.where(known, p - p_middle, 0.0), np.where(known, t - t_middle, 0.0)
    U, stretch, Vt = np.linalg.svd(np.swapaxes(p, -1, -2) @ t)
    upright = np.where(np.arange(3) == 2, np.sign(np.linalg.det(U @ Vt))[..., None], 1.0)
    turn = (U * upright[..., None, :]) @ Vt  # from the right, on rows of coordinates
    factor = (stretch * upright).sum(-1) / np.maximum((p * p).sum((-2, -1)), 1e-12)
    laid = factor[..., None, None] * (predicted_m - p_middle) @ turn + t_middle
    return np.where(count >= 3, laid, np.nan)


def _both_known(predicted_m: F64, truth_m: F64) -> tuple[F64, F64]:
    """Both with zeros where either is not known."""
    known = np.isfinite(predicted_m + truth_m).all(-1, keepdims=True)
    return np.where(known, predicted_m, 0.0), np.where(known, truth_m, 0.0)


@dataclass(frozen=True)
class Tally:
    """Sums of the measures per joint, so that any number of poses can be judged part by part: tallies are added.

    total, count: (MEASURES, J). asked: (J,), how often the truth was known; what was not predicted of it shows in
    `figures` as `given` below 1.
    """

    total: F64
    count: F64
    asked: F64

    @staticmethod
    def of(
        predicted_m: npt.ArrayLike, truth_m: npt.ArrayLike, root: int, sigma_m: npt.ArrayLike | None = None
    ) -> "Tally":
        """Judge poses (…, J, 3), relative to their root joints. sigma_m (…, J): predicted."""
        truth = root_relative(truth_m, root)
        predicted = root_relative(predicted_m, root)
        distance = distances_m(predicted, truth)
        ratio = np.full_like(distance, np.nan)
        if sigma_m is not None:
            ratio = distance**2 / (3.0 * np.asarray(sigma_m, np.float64) ** 2)
            ratio[..., root] = np.nan  # the root's distance is zero by definition and says nothing about its sigma
        rows = (
            distance,
            distances_m(aligned(predicted, truth), truth),
            distances_m(rescaled(predicted, truth), truth),
            np.where(np.isfinite(distance), distance < PCK_M, np.nan),
            ratio,
        )
        values = np.stack([row.reshape(-1, row.shape[-1]) for row in rows])
        asked = np.isfinite(truth).all(-1).reshape(-1, truth.shape[-2]).sum(0)
        return Tally(np.nansum(values, axis=1), np.isfinite(values).sum(1).astype(np.float64), asked.astype(np.float64))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.total + other.total, self.count + other.count, self.asked + other.asked)

    def figures(self) -> dict[str, float]:
        """Every measure over all joints, and `given`: the share of known joints that were predicted. NaN: no joints."""
        means = _ratio(self.total.sum(1), self.count.sum(1)) * UNIT
        given = _ratio(self.count[0].sum(), self.asked.sum())
        return {name: float(mean) for name, mean in zip(MEASURES, means, strict=True)} | {"given": float(given)}

    def mpjpe_mm_per_joint(self) -> F64:
        """MPJPE (J,) of each joint; NaN for a joint that was never known."""
        return 1000.0 * _ratio(self.total[0], self.count[0])


def _ratio(total: Any, count: Any) -> Any:
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=np.asarray(count) > 0)
