"""Several actors before several cameras, their detections in any order, missed and false ones among them; for tests."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from calibration.triangulate import RigArrays
from calibration.triangulate_kernel import undistort
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS, SYNTHETIC_JOINTS, Body, Motion, joints_at
from lifter.synthetic_motions import alternating_steps, keyed_root
from nodes.stages.matching import Detected

LANDMARKS = [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]
STRAIGHT = Motion(  # 4 m forward in 4 s, and back again backwards
    "straight",
    8.0,
    keyed_root(((0.0, (-2.0, 0.0, 0.0)), (4.0, (2.0, 0.0, 0.0)), (8.0, (-2.0, 0.0, 0.0))), 8.0),
    alternating_steps(0, 0.05, 20, 0.4),
)
FOCAL_PX = 900.0
SIZE_WH = (1280, 960)


@dataclass(frozen=True)
class Actor:
    """Somebody of a stature who does a motion, shifted in time, turned about and moved to a place on the floor."""

    motion: Motion = MOTIONS["walk"]
    stature_m: float = 1.75
    place_m: tuple[float, float] = (0.0, 0.0)
    yaw: float = 0.0
    after_s: float = 0.0

    def joints_m(self, t_s):
        """(T, 33, 3) world."""
        joints_m = joints_at(self.motion, np.atleast_1d(t_s) + self.after_s, Body.of_stature(self.stature_m))
        return moved(joints_m[:, LANDMARKS], self.yaw, self.place_m)


def moved(joints_m, yaw, place_m):
    """Turned about the vertical and put elsewhere on the floor."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return joints_m @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]]) + np.array([*place_m, 0.0])


@cache
def postures():
    """(128, 33, 3) of people of different sizes."""
    rng = np.random.default_rng(0)
    sizes, times_s = rng.uniform(1.5, 2.0, 128), rng.uniform(0, 14, 128)
    return np.stack([Actor(MOTIONS["demo"], *size).joints_m(t_s)[0] for *size, t_s in zip(sizes, times_s, strict=True)])


def actors(n: int, apart_m: float = 1.2, seed: int = 0) -> list[Actor]:
    """n people who do different things, on a grid."""
    rng = np.random.default_rng(seed)
    wide = int(np.ceil(np.sqrt(n)))
    names = ("reach", "crouch", "turn", "demo")
    return [
        Actor(
            MOTIONS[names[i % 4]],
            float(rng.uniform(1.55, 1.95)),
            (apart_m * (i % wide - (wide - 1) / 2), apart_m * (i // wide - (wide - 1) / 2)),
            float(rng.uniform(-3, 3)),
            float(rng.uniform(0, 8)),
        )
        for i in range(n)
    ]


def crossing(apart_m: float = 0.6) -> list[Actor]:
    """Two who walk towards each other and pass at a distance, in the middle after two seconds."""
    return [
        Actor(STRAIGHT, 1.8, (0.0, apart_m / 2)),
        Actor(STRAIGHT, 1.65, (0.0, -apart_m / 2), np.pi, 0.23),
    ]


def rig_of(n_cameras: int, radius_m: float = 5.0) -> CameraRig:
    return ring_rig(n_cameras, radius_m, 2.2, SIZE_WH, FOCAL_PX)


@dataclass(frozen=True)
class Seen:
    """What the cameras see, and of whom: who (C, P), -1 for a false detection."""

    detected: Detected
    who: npt.NDArray[np.int64]
    arrays: RigArrays
    keypoints_px: npt.NDArray[np.float64]


def look(rig, joints_m, rng, *, noise_px=3.0, missed=0.0, false=0, false_joints="people", keep_order=False) -> Seen:
    """Detections of people (K, 33, 3) in all cameras, in an order of their own; `false` people that are not there."""
    keypoints_px = rig.project(joints_m)  # (C, K, J, 2)
    n_cameras, n_people, n_joints = keypoints_px.shape[:3]
    shown = np.isfinite(keypoints_px).all((-1, -2)) & (rng.random((n_cameras, n_people)) >= missed)
    phantoms = [phantom(rig, rng, false_joints) for _ in range(false * n_cameras)]
    n_found = n_people + false
    found_px = np.full((n_cameras, n_found, n_joints, 2), np.nan)
    who = np.full((n_cameras, n_found), -1)
    for c in range(n_cameras):
        order = np.arange(n_found) if keep_order else rng.permutation(n_found)
        for slot, k in enumerate(order):
            if k < n_people and shown[c, k]:
                found_px[c, slot], who[c, slot] = keypoints_px[c, k], k
            elif k >= n_people:
                found_px[c, slot] = phantoms[c * false + k - n_people][c]
    found_px += rng.normal(0, noise_px, found_px.shape)
    return Seen(detected(rig, found_px), who, RigArrays.of(rig), found_px)


def phantom(rig, rng, kind):
    """(C, J, 2) pixels: a person somewhere in the room, other in each call; or joints anywhere in the picture."""
    if kind == "anywhere":
        return rng.uniform((0, 0), SIZE_WH, (len(rig.cameras), 33, 2))
    posture = postures()[rng.integers(len(postures()))]
    return rig.project(moved(posture, rng.uniform(-np.pi, np.pi), rng.uniform(-2.0, 2.0, 2)))


def detected(rig, found_px, confidence=None, asked_ids=None) -> Detected:
    """As association is handed it; found_px (C, P, J, 2)."""
    arrays = RigArrays.of(rig)
    n_cameras, n_found, n_joints = found_px.shape[:3]
    flat = np.ascontiguousarray(found_px.reshape(n_cameras, n_found * n_joints, 2))
    rays = undistort(arrays.K, arrays.dist8, flat).reshape(found_px.shape)
    sure = np.isfinite(rays).all(-1).astype(np.float64)
    return Detected(
        rays,
        sure if confidence is None else confidence,
        np.full((n_cameras, n_found), -1) if asked_ids is None else asked_ids,
    )
