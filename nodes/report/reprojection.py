"""How far each camera's keypoints are from the fused joints seen by that camera, by camera and joint. Bounded memory.

A message tells a joint's error over all of its views; here every view is held against the result on its own, which
shows the camera that was moved. The keypoints are brought to the pose's instant between two frames, as fusion does.
"""

from collections import deque

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from nodes.report.timeline import Spread, Timeline
from nodes.stages.delivered import delivered
from nodes.wire.messages import Keypoints2D, Person3D, Pose3D

F64 = npt.NDArray[np.float64]

FRAMES_KEPT = 64  # of each camera: more than come while a tick waits
FARTHEST_NS = 300_000_000  # between two frames; fusion interpolates no farther, unless set otherwise
MIN_CONFIDENCE = 0.3
SOMEBODY_ELSE_PX = 60.0  # median over the joints, at a focal length of 1000 px: no detection of this person
PIXELS = (0.05, 500.0)
MOST_POSES = 4000  # that are examined; of longer takes every second one, every third, …


class Reprojection:
    """Takes in keypoints and poses. spread: by camera, of the joints; over_time: by camera, sum and count."""

    def __init__(self, rig: CameraRig, n_joints: int, crops: dict[str, tuple[float, float]], poses: int) -> None:
        self._cameras = {camera.name: camera for camera in rig.cameras}
        self._crops = crops
        self._every = -(-poses // MOST_POSES) or 1
        self._poses = 0
        self._frames: dict[str, deque[Keypoints2D]] = {name: deque(maxlen=FRAMES_KEPT) for name in rig.names}
        self._fitted: dict[tuple[str, tuple[int, ...]], Camera | None] = {}
        self.spread = {name: Spread(n_joints, *PIXELS) for name in rig.names}
        self.over_time = {name: Timeline(2) for name in rig.names}

    def add_keypoints(self, keypoints: Keypoints2D) -> None:
        """A frame of a camera."""
        if keypoints.source in self._frames:
            self._frames[keypoints.source].append(keypoints)

    def add_pose(self, at_s: float, pose: Pose3D) -> None:
        """A tick."""
        self._poses += 1
        if self._poses % self._every or pose.frame != "world":
            return
        for bit, name in enumerate(pose.cameras):
            frames = self._around(name, pose.captured_ns)
            if frames is None or name in pose.left_out:
                continue
            camera = self._camera(name, frames[1].size_wh)
            if camera is not None:
                for person in pose.people:
                    self._add_view(at_s, camera, person, bit, frames, pose.captured_ns)

    def _add_view(
        self,
        at_s: float,
        camera: Camera,
        person: Person3D,
        bit: int,
        frames: tuple[Keypoints2D, Keypoints2D],
        at_ns: int,
    ) -> None:
        used = (person.views >> np.uint32(bit)) & 1 == 1
        if not used.any():
            return
        seen_px = camera.project(person.joints_m.astype(np.float64))
        limit_px = SOMEBODY_ELSE_PX * camera.K[0, 0] / 1000
        both = [_nearest(frame, seen_px, used, limit_px) for frame in frames]
        if both[0] is None or both[1] is None:
            return
        span_ns = max(1, frames[1].captured_ns - frames[0].captured_ns)
        share = min(1.0, max(0.0, (at_ns - frames[0].captured_ns) / span_ns))
        error_px = np.linalg.norm((1 - share) * both[0] + share * both[1] - seen_px, axis=-1)
        error_px[~used] = np.nan
        if len(error_px) == len(self.spread[camera.name].counts):
            self.spread[camera.name].add(error_px)
        known = np.isfinite(error_px)
        self.over_time[camera.name].add(at_s, (error_px[known].sum(), known.sum()))

    def _around(self, name: str, at_ns: int) -> tuple[Keypoints2D, Keypoints2D] | None:
        """The frames before and after an instant; the same twice where one is it."""
        before = after = None
        for frame in self._frames.get(name, ()):
            if frame.captured_ns <= at_ns:
                before = frame
            if frame.captured_ns >= at_ns and after is None:
                after = frame
        if before is None or after is None or after.captured_ns - before.captured_ns > FARTHEST_NS:
            return None
        return (before, after)

    def _camera(self, name: str, size_wh: tuple[int, ...]) -> Camera | None:
        """As it delivers its pictures; None when they do not fit the calibration."""
        if (name, size_wh) not in self._fitted:
            camera: Camera | None = self._cameras[name]
            try:
                if camera is not None and size_wh != camera.size_wh:
                    camera = delivered(camera, size_wh, self._crops.get(name))
            except CalibrationError:
                camera = None
            self._fitted[name, size_wh] = camera
        return self._fitted[name, size_wh]


def _nearest(frame: Keypoints2D, seen_px: F64, used: npt.NDArray[np.bool_], limit_px: float) -> F64 | None:
    """The detection (J, 2) that is the person projected to seen_px (J, 2), NaN where unsure; None when none is."""
    if frame.keypoints_px.shape[1:] != seen_px.shape:
        return None
    detected = np.where((frame.confidence >= MIN_CONFIDENCE)[..., None], frame.keypoints_px, np.nan).astype(np.float64)
    best: F64 | None = None
    for one in detected:
        off_px = np.linalg.norm(one - seen_px, axis=-1)[used]
        off_px = off_px[np.isfinite(off_px)]
        middle_px = float(np.median(off_px)) if len(off_px) else np.inf
        if middle_px < limit_px:
            best, limit_px = one, middle_px
    return best
