"""Which detection in which view is which of the people who are followed already.

The people's expected poses are reprojected; in each view, the assignment of least cost over everybody at once
(Jonker and Volgenant's algorithm, as scipy has it) decides, so that two people who overlap are told apart together.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from calibration.triangulate import RigArrays
from lifter.skeleton import Skeleton
from nodes.stages import matching_kernel as kernel
from nodes.stages.sides import sides_of

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

ASKED_BONUS = 0.5  # as a joint one sigma off costs: being found where it was looked for is a hint and no proof
MARGIN = 0.6  # per joint, in log-likelihood: an assignment so little better than another is a guess
ENOUGH_VIEWS = 2  # so many sure views place a person: guesses are not needed
# A person may go without a detection at this much more than a perfect fit of the one whose place is known worst: half
# the squared misfit in sigmas, capped at 4.5. Else the one who is hidden would drive the other off its own detection.
WITHOUT = 2.5


@dataclass(frozen=True)
class Detected:
    """What C cameras see at one instant, P detections each (padded), J joints.

    rays: (C, P, J, 2) undistorted normalised coordinates, NaN where absent. confidence: (C, P, J), 0 there. asked_ids:
    (C, P) the person at whose expected place it was found, -1 where nobody asked. Raises ValueError on other shapes.
    """

    rays: F64
    confidence: F64
    asked_ids: Ints

    def __post_init__(self) -> None:
        shape = self.confidence.shape
        if len(shape) != 3 or self.rays.shape != (*shape, 2) or self.asked_ids.shape != shape[:2]:
            raise ValueError(
                "rays, confidence, asked_ids must be (C, P, J, 2), (C, P, J), (C, P), not "
                f"{self.rays.shape}, {shape}, {self.asked_ids.shape}"
            )

    def weight(self, min_confidence: float) -> F64:
        """(C, P, J) confidence of the joints that are sure enough to tell people by, 0 for others."""
        usable = (self.confidence >= min_confidence) & (self.confidence > 0) & np.isfinite(self.rays).all(axis=-1)
        return np.where(usable, self.confidence, 0.0)


@dataclass(frozen=True)
class Predicted:
    """Where K people should be: joints_m (K, J, 3) world, NaN where unknown; sigma_m (K, J); ids (K,), -1 unnamed."""

    joints_m: F64
    sigma_m: F64
    ids: Ints


@dataclass(frozen=True)
class Matched:
    """who: (K, C) index of each person's detection, -1 for none. free: (C, P) detections that nobody has claimed.

    A detection is not free either when it repeats one that is claimed, has too few joints, or was left out as doubtful.
    """

    who: Ints
    free: Flags


def match_tracks(
    rig: RigArrays, detected: Detected, predicted: Predicted, skeleton: Skeleton, min_confidence: float = 0.3
) -> Matched:
    """Give each person at most one detection a view, and each detection to at most one person.

    A detection whose left and right are mixed up is matched all the same. Where two answers are nearly as good, the
    person goes without that view, unless fewer than two other views are sure.
    """
    weight = detected.weight(min_confidence)
    rays = np.ascontiguousarray(detected.rays, dtype=np.float64)
    stands_for = kernel.distinct(rays, weight)
    alone = stands_for == np.arange(stands_for.shape[1])
    if not len(predicted.ids) or not alone.any():
        return Matched(np.full((len(predicted.ids), len(alone)), -1), alone)
    joints_m = np.ascontiguousarray(predicted.joints_m, dtype=np.float64)
    sigma_m = np.ascontiguousarray(predicted.sigma_m, dtype=np.float64)
    weight = np.where(alone[..., None], weight, 0.0)
    cost, perfect = kernel.track_costs(rig.Ts_cam_world, rays, weight, joints_m, sigma_m, sides_of(skeleton).mirror)
    asked = (detected.asked_ids == predicted.ids[:, None, None]) & (predicted.ids >= 0)[:, None, None]
    cost -= ASKED_BONUS * asked
    who, doubt = _assignments(cost, WITHOUT + perfect.max(axis=0))
    free = alone & ~_claimed(who, alone.shape[1])
    sure = (who >= 0) & ~doubt
    spared = doubt & (sure.sum(axis=1) >= ENOUGH_VIEWS)[:, None]
    return Matched(np.where(spared, -1, who), free)


def _assignments(cost: F64, without: F64) -> tuple[Ints, Flags]:
    """The detection (K, C) of each person in each view, -1 for none, and which are in doubt.

    cost (K, C, P); without (C,): what it costs that somebody who could have a detection goes without.
    """
    possible = np.isfinite(cost)
    who = np.where(possible.any(axis=2), possible.argmax(axis=2), -1)  # right where nobody has a choice or a rival
    doubt = np.zeros(who.shape, dtype=np.bool_)
    contested = (possible.sum(axis=2) > 1).any(axis=0) | (possible.sum(axis=0) > 1).any(axis=1)
    for c in np.flatnonzero(contested):
        in_view = np.ascontiguousarray(cost[:, c])
        gain = np.minimum(in_view - without[c], 0.0)
        people, found = linear_sum_assignment(gain)
        real = gain[people, found] < 0.0
        who[:, c] = -1
        who[people[real], c] = found[real]
        doubt[:, c] = kernel.doubtful(in_view, who[:, c].copy(), MARGIN)
    return who, doubt


def _claimed(who: Ints, n_found: int) -> Flags:
    """(C, P) whether anybody has the detection."""
    return np.asarray((who[:, :, None] == np.arange(n_found)).any(axis=0))
