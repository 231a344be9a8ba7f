"""What a 2D detector is: one method, any number of people."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nodes.detect.regions import Regions
from nodes.sources.source import Frame


@dataclass(frozen=True)
class Detections:
    """People found in one image, in no particular order.

    keypoints_px: (P, J, 2) float32, pixels of that image, NaN where absent. confidence: (P, J) float32 in [0, 1].
    asked_ids: P ids of those who were asked for and found where they were expected, else -1; () when nobody was asked.
    """

    keypoints_px: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    asked_ids: tuple[int, ...] = ()


class Detector(Protocol):
    """Finds people in frames of one camera, given in order of their capture."""

    skeleton: str

    def detect(self, frame: Frame, regions: Regions | None = None) -> Detections:
        """Everybody seen in this frame; empty arrays (0, J, …) when nobody is.

        regions: where to look for whom, perhaps for nobody yet; None when nobody says, then the detector is on its own.
        """

    def close(self) -> None:
        """Release what the detector holds."""
