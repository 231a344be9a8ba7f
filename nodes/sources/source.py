"""What a source of frames is: the protocol that camera, stream, file and virtual sources satisfy.

`captured_ns` is born here (or in the driver, where it tells) and never replaced afterwards.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


class SourceError(Exception):
    """A source cannot be opened or was lost; the message names it, says why and what to try."""


@dataclass(frozen=True)
class Frame:
    """One image.

    image_rgb: (H, W, 3) uint8, RGB.
    captured_ns: int64 nanoseconds since the Unix epoch, the instant of capture.
    frame_id: number of the frame in its source, from 0; a gap means that the source itself skipped frames.
    """

    image_rgb: npt.NDArray[np.uint8]
    captured_ns: int
    frame_id: int


@dataclass(frozen=True)
class Granted:
    """What the source really delivers, to be held against what was asked. `fps` is 0 when it does not say."""

    size_wh: tuple[int, int]
    fps: float
    pixel_format: str


class Source(Protocol):
    """An opened source. Opening is construction: a source that exists can be read."""

    granted: Granted

    def read(self) -> Frame | None:
        """Block until the next frame; None at the end of the stream; SourceError when the source is lost."""

    def close(self) -> None:
        """Release the device, file or connection. Safe to call twice."""
