"""Where people are drawn who are known relative to their hips alone: standing, next to each other. Pure."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Joints = TypeVar("Joints", npt.NDArray[np.float32], npt.NDArray[np.float64])

HIPS_M = 0.95  # above the floor
APART_M = 1.3
WORDS = "One camera without calibration: how far away people are is not known, so they stand side by side."


def standing_m(joints_m: Joints, index: int, count: int) -> Joints:
    """Joints (J, 3) of the index-th of so many people, moved from around the hips into the room."""
    place = np.array([0.0, ((count - 1) / 2 - index) * APART_M, HIPS_M], joints_m.dtype)
    return joints_m + place
