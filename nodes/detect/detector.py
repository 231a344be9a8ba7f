"""What a 2D detector is: one method, any number of people."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nodes.sources.source import Frame


@dataclass(frozen=True)
class Detections:
    """People found in one image, in no particular order.

    keypoints_px: (P, J, 2) float32, pixels of that image, NaN where absent. confidence: (P, J) float32 in [0, 1].
    """

    keypoints_px: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]


class Detector(Protocol):
    """Finds people in frames of one camera, given in order of their capture."""

    skeleton: str

    def detect(self, frame: Frame) -> Detections:
        """Everybody seen in this frame; empty arrays (0, J, …) when nobody is."""

    def close(self) -> None:
        """Release what the detector holds."""
