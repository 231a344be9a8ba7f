"""What benchmarks look at: the virtual actor's 33 landmarks in motion, random rigs, and a detector's faults."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.rig import Camera, CameraRig
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS, SYNTHETIC_JOINTS, joints_at

F64 = npt.NDArray[np.float64]

SIZE_WH = (1920, 1080)
FOCAL_PX = 1100.0
LANDMARKS = [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]


@dataclass(frozen=True)
class Faults:
    """Gaussian noise in pixels; the share of observations that are moved, and by about how many pixels."""

    noise_px: float = 3.0
    outlier_share: float = 0.0
    outlier_px: float = 100.0


def random_rig(n_cameras: int, rng: np.random.Generator) -> CameraRig:
    """Cameras all around at 3 to 6 m, 1 to 3 m high, that look at a person in the middle."""
    cameras = []
    for index in range(n_cameras):
        azimuth = 2 * np.pi * (index + rng.uniform(-0.25, 0.25)) / n_cameras
        radius_m = rng.uniform(3.0, 6.0)
        position = (radius_m * np.cos(azimuth), radius_m * np.sin(azimuth), rng.uniform(1.0, 3.0))
        K = np.array([[FOCAL_PX, 0, (SIZE_WH[0] - 1) / 2], [0, FOCAL_PX, (SIZE_WH[1] - 1) / 2], [0, 0, 1.0]])
        T_cam_world = rigid.inverse(rigid.look_at(position, (0.0, 0.0, 1.0)))
        cameras.append(Camera(f"cam{index}", SIZE_WH, K, np.zeros(5), T_cam_world))
    return CameraRig(tuple(cameras))


def landmarks_at(motion: str, t_s: npt.ArrayLike) -> F64:
    """The 33 landmarks (T, 33, 3) in world metres, with the feet brought below the middle of the rig."""
    joints_m = joints_at(MOTIONS[motion], t_s)[:, LANDMARKS]
    middle_m = joints_m.mean(axis=1, keepdims=True) * [1.0, 1.0, 0.0]
    return np.asarray(joints_m - middle_m)


def observe(rig: CameraRig, joints_m: F64, faults: Faults, rng: np.random.Generator) -> F64:
    """Pixels (C, …, J, 2) as a detector with these faults would see world joints (…, J, 3)."""
    keypoints_px = rig.project(joints_m)
    keypoints_px = keypoints_px + rng.normal(0.0, faults.noise_px, keypoints_px.shape)
    moved = rng.random(keypoints_px.shape[:-1]) < faults.outlier_share
    direction = rng.uniform(0.0, 2 * np.pi, moved.shape)
    length_px = rng.normal(faults.outlier_px, faults.outlier_px / 10, moved.shape) * moved
    return keypoints_px + length_px[..., None] * np.stack([np.cos(direction), np.sin(direction)], axis=-1)
