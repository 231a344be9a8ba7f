"""What a lifter is evaluated on: takes, which are stretches of frames of one person from several calibrated cameras.

The protocol for captured motion, which has no cameras of its own: the root is brought to the floor plane's origin in
every frame; four upright cameras all around look at the person from 3 to 6 m, 1 to 3 m high, 1100 px focal length; the
2D has Gaussian noise of 3 px and confidence 1; four such rigs for each clip. All that is random comes from the seed and
the clip's name, so the figure of a clip does not depend on which others are evaluated.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration import pinhole
from calibration.triangulate import RigArrays
from configs.training import Rigs
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion import random_cameras
from lifter.datasets.motion_file import Clip
from lifter.datasets.recording import Recording
from lifter.skeleton import Skeleton

F64 = npt.NDArray[np.float64]

SEED = 2026
REPEATS = 4  # rigs per clip
RIGS = Rigs(cameras=4, distance_m=(3.0, 6.0), height_m=(1.0, 3.0), focal_px=1100.0, unknown_tilt=0.0)
NOISE_PX = 3.0
MIN_DEPTH_M = 0.1  # nearer to a camera, or behind it, a joint is not seen
MOTION_WORDS = (
    f"captured motion, root on the floor plane's origin in every frame; {REPEATS} rigs per clip of {RIGS.cameras} "
    f"cameras around the person at {RIGS.distance_m[0]:g} to {RIGS.distance_m[1]:g} m, {RIGS.height_m[0]:g} to "
    f"{RIGS.height_m[1]:g} m high, {RIGS.focal_px:g} px; Gaussian noise of {NOISE_PX:g} px, confidence 1"
)


@dataclass(frozen=True)
class Take:
    """T consecutive frames of one person from C cameras; absent 2D is NaN with confidence 0, unknown truth NaN."""

    name: str
    action: npt.NDArray[np.str_]  # (T,)
    fps: float  # NaN when unknown
    rays: F64  # (T, C, J, 2) undistorted x/z, y/z in the camera
    confidence: F64  # (T, C, J)
    R_cam_world: F64  # (C, 3, 3)
    centre_m: F64  # (C, 3) of each camera, world
    focal_px: F64  # (C,)
    joints_m: F64  # (T, J, 3) truth, world

    @property
    def up_cam(self) -> F64:
        """Against gravity in each camera (C, 3)."""
        return self.R_cam_world[:, :, 2]

    def rig_arrays(self) -> RigArrays:
        """The cameras for `calibration.triangulate`, without distortion: pixels are rays times focal_px."""
        K = np.zeros((len(self.focal_px), 3, 3))
        K[:, 0, 0] = K[:, 1, 1] = self.focal_px
        K[:, 2, 2] = 1.0
        T_cam_world = np.concatenate([self.R_cam_world, -self.R_cam_world @ self.centre_m[..., None]], axis=-1)
        return RigArrays(K, np.zeros((len(K), pinhole.N_COEFFICIENTS)), T_cam_world, self.focal_px)

    def every(self, n: int) -> "Take":
        """The first frame and every n-th after it."""
        return replace(
            self,
            action=self.action[::n],
            fps=self.fps / n,
            rays=self.rays[::n],
            confidence=self.confidence[::n],
            joints_m=self.joints_m[::n],
        )


def motion_takes(clips: Iterable[Clip], skeleton: Skeleton, seed: int = SEED, repeats: int = REPEATS) -> Iterator[Take]:
    """The takes of clips by the protocol, `repeats` for each."""
    for clip in clips:
        rng = np.random.default_rng([seed, *clip.name.encode()])
        joints_m = clip.joints_m.astype(np.float64)
        joints_m[..., :2] -= joints_m[:, skeleton.root, None, :2]
        centres_m, Rs_cam_world = random_cameras(repeats, RIGS, rng)
        for i, (centre_m, R_cam_world) in enumerate(zip(centres_m, Rs_cam_world, strict=True)):
            in_cam = (joints_m[:, None] - centre_m[:, None]) @ R_cam_world.transpose(0, 2, 1)
            rays = in_cam[..., :2] / np.where(in_cam[..., 2:] > MIN_DEPTH_M, in_cam[..., 2:], np.nan)
            yield Take(
                f"{clip.name}#{i}",
                np.full(
                    len(rays), clip.action.partition(" | ")[0]
                ),  # what follows is the subject's title in the source
                clip.fps,
                rays + NOISE_PX / RIGS.focal_px * rng.standard_normal(rays.shape),
                np.isfinite(rays).all(-1).astype(np.float64),
                R_cam_world,
                centre_m,
                np.full(RIGS.cameras, RIGS.focal_px),
                joints_m,
            )


def recorded_takes(recordings: Iterable[Recording]) -> Iterator[Take]:
    """One take per chunk of each recording. Raises DatasetError for a recording without 3D truth."""
    for recording in recordings:
        if recording.joints_m is None or not np.isfinite(recording.joints_m).any():
            raise DatasetError(
                f"{recording.name} has no 3D truth to judge by (gt3d in neutral files, data_3d_….npz beside "
                "VideoPose3D's 2D); name only files that have it, with --files"
            )
        cameras = recording.rig.cameras
        pixels = recording.keypoints_px.astype(np.float64)
        rays = np.stack([camera.undistort(pixels[:, i]) for i, camera in enumerate(cameras)], axis=1)
        begins = np.flatnonzero(np.diff(recording.chunk)) + 1
        for frames in np.split(np.arange(len(rays)), begins):
            yield Take(
                f"{recording.name}[{frames[0]}:]",
                recording.action[frames],
                recording.fps,
                rays[frames],
                recording.confidence[frames].astype(np.float64),
                np.stack([c.T_cam_world[:3, :3] for c in cameras]),
                np.stack([c.T_world_cam[:3, 3] for c in cameras]),
                np.array([(c.K[0, 0] + c.K[1, 1]) / 2 for c in cameras]),
                recording.joints_m[frames].astype(np.float64),
            )
