"""What `benchmarks.drift` looks at: somebody busy in a room for minutes, as erring detectors in a rig see it.

The actor goes from place to place, turns, and does what the virtual actor does (`lifter.synthetic`), or stands nearly
still. A detector errs freshly in every look (3 px), in the same way for a while (3 px, 0.7 s), by the side from which
it sees a body (each joint 2 cm, alike in all cameras: what a camera's move is mistaken for most easily), and wildly in
3 of 100 joints (80 px). All calibrations are wrong from the start (0.5° and 0.5 % of the focal length, random).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.scenes import LANDMARKS
from calibration import rigid
from calibration.rig import Camera, CameraRig
from calibration.synthetic import ring_rig
from lifter.synthetic import MOTIONS, joints_at

F64 = npt.NDArray[np.float64]

LOOKS_HZ = 5.0
START_NS = 1_800_000_000_000_000_000
SIZE_WH, FOCAL_PX, RADIUS_M, HEIGHT_M = (1280, 720), 900.0, 4.0, 2.2
ROOM_M = 0.8  # where the actor's motions begin, about the middle; they lead up to 1.5 m away
STAY_S = (8.0, 40.0)
WAY_S = 2.5  # from one place to the next
STILL_SHARE = 0.25
FRESH_PX, LASTING_PX, LASTING_S, SIDE_M, WILD_SHARE, WILD_PX = 3.0, 3.0, 0.7, 0.02, 0.03, 80.0
OFF_DEG, OFF_FOCAL = 0.5, 0.005
SHOULDERS, HIP = (11, 12), 23
DIST = (-0.2, 0.05, 0.0005, -0.0005, 0.0)


@dataclass(frozen=True)
class Stay:
    """From start_s on the actor does a motion, begun at yaw and place."""

    start_s: float
    end_s: float
    motion: str
    still: bool
    yaw: float
    place_m: F64

    def joints_m(self, t_s: F64) -> F64:
        """(T, 33, 3)."""
        t_s = 1.3 + 0.03 * np.sin(t_s) if self.still else t_s - self.start_s
        joints_m = joints_at(MOTIONS["reach" if self.still else self.motion], t_s)[:, LANDMARKS]
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.asarray(joints_m @ [[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]] + np.append(self.place_m, 0))


class Actor:
    """Somebody who is busy for `seconds`."""

    def __init__(self, seconds: float, rng: np.random.Generator) -> None:
        self._stays: list[Stay] = []
        start_s, names = 0.0, list(MOTIONS)
        while start_s < seconds + WAY_S:
            end_s = start_s + float(rng.uniform(*STAY_S))
            motion, still = names[rng.integers(len(names))], bool(rng.random() < STILL_SHARE)
            yaw, place = float(rng.uniform(-np.pi, np.pi)), rng.uniform(-ROOM_M, ROOM_M, 2)
            self._stays.append(Stay(start_s, end_s, motion, still, yaw, place))
            start_s = end_s
        self.t_s = np.arange(int(seconds * LOOKS_HZ)) / LOOKS_HZ
        self.joints_m = self._joints_m(self.t_s)
        velocity_m_s = (self._joints_m(self.t_s + 0.02) - self.joints_m) / 0.02
        self.velocity_m_s = np.where(np.abs(velocity_m_s).max((1, 2), keepdims=True) < 8.0, velocity_m_s, 0.0)

    def _joints_m(self, t_s: F64) -> F64:
        joints_m = np.zeros((len(t_s), len(LANDMARKS), 3))
        for stay, following in zip(self._stays, self._stays[1:], strict=False):
            during = (t_s >= stay.start_s) & (t_s < stay.end_s)
            if during.any():
                u = np.clip((t_s[during] - stay.end_s + WAY_S) / WAY_S, 0.0, 1.0)
                joints_m[during] = _on_the_way(stay, following, t_s[during], (u * u * (3 - 2 * u))[:, None, None])
        return joints_m


def _on_the_way(stay: Stay, following: Stay, t_s: F64, share: F64) -> F64:
    """The posture of one stay fades into that of the next, while the body turns and its hips go straight there."""
    here, there = stay.joints_m(t_s), following.joints_m(np.array([following.start_s]))
    turn = (following.yaw - stay.yaw + np.pi) % (2 * np.pi) - np.pi
    hips, hips_there = here[:, HIP : HIP + 1], there[:, HIP : HIP + 1]
    body = _turned(here - hips, share * turn) * (1 - share) + _turned(there - hips_there, (share - 1) * turn) * share
    return body + hips + share * (hips_there - hips)


def _turned(joints_m: F64, yaw: F64) -> F64:
    x, y, z = joints_m[..., :1], joints_m[..., 1:2], joints_m[..., 2:]
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.concatenate([cos * x - sin * y, sin * x + cos * y, z + 0 * yaw], -1)


def rig_of(n_cameras: int) -> CameraRig:
    """Cameras with ordinary lenses in a ring."""
    return ring_rig(n_cameras, RADIUS_M, HEIGHT_M, SIZE_WH, FOCAL_PX, dist=DIST)


def calibrated_badly(rig: CameraRig, rng: np.random.Generator) -> CameraRig:
    """What the calibration file says of a rig."""
    cameras = []
    for camera in rig.cameras:
        K = camera.K.copy()
        K[:2, :2] *= 1 + OFF_FOCAL * rng.normal()
        cameras.append(replace(bumped(camera, OFF_DEG * np.sqrt(1 / 3) * rng.normal(size=3), np.zeros(3)), K=K))
    return CameraRig(tuple(cameras))


def bumped(camera: Camera, turn_deg: F64, shift_m: F64) -> Camera:
    """The camera turned about itself and moved, in its own axes."""
    T_new_old = rigid.from_rotation(rigid.rotation_from_rotvec(np.radians(turn_deg)), shift_m)
    return replace(camera, T_cam_world=T_new_old @ camera.T_cam_world)


def errors_px(rig: CameraRig, actor: Actor, rng: np.random.Generator) -> F64:
    """(C, T, J, 2) of detectors."""
    T, J = actor.joints_m.shape[:2]
    C = len(rig.cameras)
    px = rng.normal(0.0, FRESH_PX, (C, T, J, 2))
    keep = np.exp(-1 / LOOKS_HZ / LASTING_S)
    lasting = rng.normal(0.0, LASTING_PX, (C, J, 2))
    for k in range(T):
        px[:, k] += lasting
        lasting = keep * lasting + np.sqrt(1 - keep**2) * rng.normal(0.0, LASTING_PX, (C, J, 2))
    across = actor.joints_m[:, SHOULDERS[0]] - actor.joints_m[:, SHOULDERS[1]]
    facing = np.arctan2(across[:, 1], across[:, 0])
    sides_m = rng.normal(0.0, SIDE_M, (J, 2, 3))
    for c, camera in enumerate(rig.cameras):
        away_m = camera.T_world_cam[:2, 3] - actor.joints_m[:, HIP, :2]
        side = np.arctan2(away_m[:, 1], away_m[:, 0]) - facing
        waves = np.stack([np.cos(side), np.sin(side), np.cos(2 * side)], -1)
        scale = camera.K[0, 0] / np.linalg.norm(away_m, axis=1)
        px[c] += np.einsum("tk,jdk->tjd", waves, sides_m) * scale[:, None, None]
    wild = rng.random((C, T, J, 1)) < WILD_SHARE
    return np.asarray(px + wild * rng.normal(0.0, WILD_PX, (C, T, J, 2)))


def in_picture(keypoints_px: F64) -> F64:
    """Confidence (…,) 1 in the picture, 0 beyond."""
    return ((keypoints_px >= 0) & (keypoints_px < np.array(SIZE_WH))).all(-1).astype(np.float64)
