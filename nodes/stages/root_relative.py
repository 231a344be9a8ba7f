"""A person relative to the own hips: all that one camera without calibration can tell. Pure."""

from dataclasses import replace

import numpy as np

from lifter.skeleton import Skeleton
from nodes.stages.people import Estimate

LEAST_SIGMA_M = 0.03  # a lift, and a focal length that was guessed: measured 25 mm per axis at 3 px noise


def root_relative(estimate: Estimate, skeleton: Skeleton) -> Estimate:
    """Joints relative to the middle of the hips (to the skeleton's root where it has none); NaN when that is unknown.

    sigma_m: what the hips' place has in common with all joints, the distance above all, is taken off.
    """
    pair = [skeleton.index(name) for name in ("left_hip", "right_hip") if name in skeleton.joints]
    root = pair if len(pair) == 2 else [skeleton.root]
    common2 = np.mean(np.square(estimate.sigma_m[root]))
    own2 = np.square(estimate.sigma_m) - common2 if np.isfinite(common2) else np.square(estimate.sigma_m)
    return replace(
        estimate,
        joints_m=estimate.joints_m - estimate.joints_m[root].mean(axis=0),
        sigma_m=np.sqrt(np.maximum(own2, 0.0) + LEAST_SIGMA_M**2),
    )
