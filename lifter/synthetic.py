"""The virtual actor's motion: `joints_at(MOTIONS["demo"], t_s, Body())`. Pure functions of time, in world metres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lifter.synthetic_body import RIGID_BONES, SYNTHETIC_JOINTS, Body, place_joints
from lifter.synthetic_choreography import MOTIONS
from lifter.synthetic_motions import Motion, posture_at

__all__ = ["MOTIONS", "RIGID_BONES", "SYNTHETIC_JOINTS", "Body", "Motion", "joints_at"]


def joints_at(motion: Motion, t_s: npt.ArrayLike, body: Body | None = None) -> npt.NDArray[np.float64]:
    """Joints (T, len(SYNTHETIC_JOINTS), 3), world metres, at times t_s (T,) seconds; the motion repeats for ever."""
    body = body or Body()
    return place_joints(posture_at(motion, np.atleast_1d(np.asarray(t_s, dtype=np.float64)), body), body)
