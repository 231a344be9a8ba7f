"""People carried on by their motion beyond the last tick: for what must not lag behind. Pure; times are arguments."""

from dataclasses import replace

import numpy as np

from nodes.stages.crowd import Shown
from nodes.stages.smoothing import SPEED_LASTS_S

MOST_AHEAD_NS = 250_000_000  # a wrist that is swung has turned round by then
# Measured on the walking and the exercising actor (4 and 2 cameras, 3 px noise): how much less is known ahead. With
# these the squared error 80 ms ahead is 0.4 to 1.4 of what sigma says, and less farther ahead.
SPEED_SIGMA_M_S = 0.15  # of a joint at rest
SPEED_SIGMA_SHARE = 0.25  # and of its speed
DOUBLES_IN_S = 0.1  # after which a speed says half as much


def carried_on(shown: Shown, ahead_s: float) -> Shown:
    """Where the person will be; no view vouches for it."""
    way_s = SPEED_LASTS_S * (1.0 - np.exp(-ahead_s / SPEED_LASTS_S))
    velocity_m_s = np.nan_to_num(shown.velocity_m_s)
    speed_m_s = np.linalg.norm(velocity_m_s, axis=1)
    doubt_m_s = (SPEED_SIGMA_M_S + SPEED_SIGMA_SHARE * speed_m_s) * (1.0 + ahead_s / DOUBLES_IN_S) / 2
    estimate = replace(
        shown.estimate,
        joints_m=shown.estimate.joints_m + way_s * velocity_m_s,
        sigma_m=np.hypot(shown.estimate.sigma_m, ahead_s * doubt_m_s),
    )
    return replace(
        shown,
        estimate=estimate,
        used=np.zeros_like(shown.used),
        reprojection_px=np.full_like(shown.reprojection_px, np.nan),
        lifted=False,
        is_predicted=True,
    )
