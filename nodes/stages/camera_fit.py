"""How well each camera's keypoints fit the people that were fused, those of cameras that are left out, too. Pure."""

from collections import deque

import numpy as np
import numpy.typing as npt

from calibration.drift import NEAREST_M
from calibration.triangulate import RigArrays
from nodes.stages.looks import WIDEST_RAY, whose
from nodes.stages.matching import Detected

F64 = npt.NDArray[np.float64]

LOOKS = 15  # three seconds
MIN_CONFIDENCE = 0.3  # of a joint that is looked at


class CameraFit:
    """Of a rig with so many cameras; `take` with the looks of the rig's watch, five a second."""

    def __init__(self, n_cameras: int) -> None:
        self._off_px: list[deque[float]] = [deque(maxlen=LOOKS) for _ in range(n_cameras)]

    def begin_anew(self) -> None:
        """What was seen before says nothing any more."""
        for off_px in self._off_px:
            off_px.clear()

    def take(self, rig: RigArrays, detected: Detected, people_m: F64) -> None:
        """detected: by all cameras. people_m: (K, J, 3) whom fusion has, NaN where a joint is absent."""
        if not len(people_m):
            return
        sure = (np.abs(detected.rays) < WIDEST_RAY).all(-1) & (detected.confidence > MIN_CONFIDENCE)
        who = whose(rig, detected.rays, np.where(sure, detected.confidence, 0.0), people_m)  # (K, C)
        there = _rays_to(rig, people_m)
        for c, off_px in enumerate(self._off_px):
            seen = np.flatnonzero(who[:, c] >= 0)
            rays = detected.rays[c, who[seen, c]]
            off = np.linalg.norm(there[c, seen] - rays, axis=-1)[sure[c, who[seen, c]]]
            if np.isfinite(off).any():
                off_px.append(float(np.nanmedian(off) * rig.focal_px[c]))

    def px(self, camera: int) -> float:
        """Median distance of its keypoints from the joints that were fused, projected back, over the last looks at
        somebody; NaN before."""
        return float(np.median(self._off_px[camera])) if self._off_px[camera] else float("nan")


def _rays_to(rig: RigArrays, people_m: F64) -> F64:
    """(C, K, J, 2) normalised coordinates of joints (K, J, 3); NaN behind a camera."""
    rotated = people_m @ rig.Ts_cam_world[:, None, :, :3].transpose(0, 1, 3, 2)
    points_cam_m = rotated + rig.Ts_cam_world[:, None, None, :, 3]
    in_front = points_cam_m[..., 2:] > NEAREST_M
    return points_cam_m[..., :2] / np.where(in_front, points_cam_m[..., 2:], np.nan)
