"""What cameras saw of a board: corners with the moments at which they were seen."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError

Array = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CameraSightings:
    """N looked-at frames of one camera, in time order; also those without a board.

    captured_s: (N,) seconds on the clock that all cameras share; NaN where the source has no times. frame: (N,) number
    of the frame in its video. corners_px: (N, K, 2), pixel centres are integers, NaN where a corner was not found.
    mirrored: (N,) seen on the back of a two-sided board (the pixels are those of the picture as it is). sync: (N,)
    frames of one group of simultaneous ones have one number in all cameras; -1 where the source does not say.
    """

    camera: str
    size_wh: tuple[int, int]
    captured_s: Array
    frame: I64
    corners_px: Array
    mirrored: Bools
    sync: I64

    def __post_init__(self) -> None:
        n = len(self.frame)
        if self.corners_px.ndim != 3 or self.corners_px.shape[::2] != (n, 2):
            raise CalibrationError(f"camera {self.camera!r}: corners of shape {self.corners_px.shape}, not ({n}, K, 2)")
        for name in ("captured_s", "mirrored", "sync"):
            if getattr(self, name).shape != (n,):
                raise CalibrationError(
                    f"camera {self.camera!r}: {name} has shape {getattr(self, name).shape}, not ({n},)"
                )

    @property
    def seen(self) -> Bools:
        """(N, K) corners that were found."""
        return np.asarray(np.isfinite(self.corners_px).all(-1))


@dataclass(frozen=True, eq=False)
class BoardSightings:
    """The same of C cameras at T instants: frames that belong together, each with its own time.

    cameras, sizes_wh: C. captured_s: (C, T), NaN where a camera has no frame. frame: (C, T), -1 there. corners_px:
    (C, T, K, 2). mirrored: (C, T).
    """

    cameras: tuple[str, ...]
    sizes_wh: tuple[tuple[int, int], ...]
    captured_s: Array
    frame: I64
    corners_px: Array
    mirrored: Bools

    @property
    def seen(self) -> Bools:
        """(C, T, K) corners that were found."""
        return np.asarray(np.isfinite(self.corners_px).all(-1))

    def at(self, instants: npt.NDArray[np.int64] | Bools) -> "BoardSightings":
        """Only these instants."""
        return BoardSightings(
            self.cameras,
            self.sizes_wh,
            self.captured_s[:, instants],
            self.frame[:, instants],
            self.corners_px[:, instants],
            self.mirrored[:, instants],
        )
