"""A board as it was found in a picture. By itself, so that who only counts and keeps needs no picture libraries."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Found:
    """corners_px: (K, 2), NaN where absent; of the picture as it is. mirrored: seen through the board, from behind."""

    corners_px: Array
    mirrored: bool

    @property
    def count(self) -> int:
        return int(np.isfinite(self.corners_px).all(-1).sum())
