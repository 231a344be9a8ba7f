"""Left and right mixed up in a view, found by what is expected of the person, and undone.

Detectors mix up whole bodies (front for back), or the arms or legs alone. Each joint is compared with its own place and
with its counterpart's, in standard deviations, capped; a part is turned round where that fits clearly better. Joints
whose two places are near each other do not count: a person seen edge-on stays as detected.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.triangulate import RigArrays
from lifter.skeleton import Skeleton
from nodes.stages import swaps_kernel as kernel
from nodes.stages.sides import sides_of

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Repaired:
    """M people in C views, joints under their own names.

    rays, confidence: (M, C, J, 2), (M, C, J). swapped: (M, C) where any part was turned round. contradicted: (M,) most
    of the views that speak have the whole body the other way round than expected. Unless the reference is proven, it is
    wrong, not they: their labels are left as detected, and whoever made the reference should turn it round.
    """

    rays: F64
    confidence: F64
    swapped: Flags
    contradicted: Flags


def repair_swaps(
    rig: RigArrays,
    rays: F64,
    confidence: F64,
    reference_m: F64,
    reference_sigma_m: F64,
    skeleton: Skeleton,
    proven: Flags | None = None,
) -> Repaired:
    """Turn round what fits the reference clearly better so.

    rays (M, C, J, 2), confidence (M, C, J): each person's detection in each view, NaN and 0 where absent. reference_m
    (M, J, 3) world, NaN where unknown, reference_sigma_m (M, J): where the joints should be. For people who are
    followed that is their prediction, for newcomers what their views say together (`Newcomers.joints_m`). proven: (M,)
    references that views are turned round to, however many; none by default.
    """
    sides = sides_of(skeleton)
    turn, whole = kernel.decide(
        rig.Ts_cam_world,
        np.ascontiguousarray(rays, dtype=np.float64),
        np.ascontiguousarray(confidence, dtype=np.float64),
        np.ascontiguousarray(reference_m, dtype=np.float64),
        np.ascontiguousarray(reference_sigma_m, dtype=np.float64),
        sides.mirror,
        sides.parts,
    )
    contradicted = ((whole > 0).sum(axis=1) >= 2) & (whole.sum(axis=1) > 0)
    turn[contradicted if proven is None else contradicted & ~proven] = 0
    if not turn.any():
        return Repaired(rays, confidence, turn > 0, contradicted)
    turned = sides.parts[turn]
    return Repaired(
        rays=np.where(turned[..., None], rays[:, :, sides.mirror], rays),
        confidence=np.where(turned, confidence[:, :, sides.mirror], confidence),
        swapped=turn > 0,
        contradicted=contradicted,
    )
