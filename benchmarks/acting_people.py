"""What a made-up system sees: people who walk about, their poses, keypoints and pictures. For `acting_system.py`."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from lifter.skeleton import MEDIAPIPE33, Skeleton
from lifter.synthetic import MOTIONS, SYNTHETIC_JOINTS, Body, joints_at
from nodes.wire.messages import Keypoints2D, Origin, Person3D, Pose3D, Preview

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

SIZE_WH = (1280, 720)
FOCAL_PX = 800.0
MOTION_OF = ("walk", "demo", "turn", "reach", "crouch")  # of the people, in turn
LANDMARKS = [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]
FRAMES_HZ = 60.0  # of the motion, which repeats after LOOP_S
LOOP_S = 28.0
PREVIEW_WH = (320, 180)
STAGES_NS = {"interpolate": 9_000_000, "queue": 4_000_000, "detect": 24_000_000, "send": 1_000_000, "fuse": 3_000_000}
GROUND_BGR = (58, 52, 46)
BONE_BGR = (150, 190, 210)


@dataclass(frozen=True)
class Cast:
    """So many people before a ring of so many cameras; everything is a function of time.

    skeleton: any; one that is not MediaPipe's has its first joints, as many as there are.
    """

    n_people: int = 1
    n_cameras: int = 4
    seed: int = 0
    skeleton: Skeleton = MEDIAPIPE33

    @cached_property
    def rig(self) -> CameraRig:
        rig = ring_rig(max(self.n_cameras, 2), 4.0, 2.2, SIZE_WH, FOCAL_PX)
        return CameraRig(rig.cameras[: self.n_cameras]) if self.n_cameras else rig

    @property
    def names(self) -> tuple[str, ...]:
        return self.rig.names[: self.n_cameras]

    def joints_m(self, at_s: float) -> F64:
        """(P, J, 3) world."""
        return self._loop_m[round(at_s * FRAMES_HZ) % len(self._loop_m)]

    def keypoints_px(self, camera: str, at_s: float) -> F64:
        """(P, J, 2) of the picture that the rig speaks of."""
        return self.rig[camera].project(self.joints_m(at_s))

    @cached_property
    def _loop_m(self) -> F64:
        """(T, P, J, 3)."""
        rng = np.random.default_rng(self.seed)
        at_s = np.arange(round(LOOP_S * FRAMES_HZ)) / FRAMES_HZ
        wide = int(np.ceil(np.sqrt(max(self.n_people, 1))))
        loops = []
        for k in range(self.n_people):
            motion = MOTIONS[MOTION_OF[k % len(MOTION_OF)]]
            joints_m = joints_at(motion, at_s + 3.7 * k, Body.of_stature(float(rng.uniform(1.55, 1.9))))[:, LANDMARKS]
            place_m = 1.5 * (np.array([k % wide, k // wide, 0.0]) - [(wide - 1) / 2, (wide - 1) / 2, 0.0])
            loops.append(joints_m[:, : len(self.skeleton.joints)] + place_m)
        return np.stack(loops, 1) if loops else np.empty((len(at_s), 0, len(self.skeleton.joints), 3))

    def pose(self, at_s: float, stamps: dict[str, Any], left_out: dict[str, str]) -> Pose3D:
        """What fusion would say; published STAGES_NS after captured."""
        return Pose3D(
            **stamps,
            skeleton=self.skeleton.name,
            people=tuple(self._person(k, joints_m, at_s, left_out) for k, joints_m in enumerate(self.joints_m(at_s))),
            cameras=self.names,
            valid=len(self.names) - len(left_out) > 1,
            left_out=left_out,
            stages_ns=STAGES_NS,
        )

    def _person(self, k: int, joints_m: F64, at_s: float, left_out: dict[str, str]) -> Person3D:
        """All joints well seen, but one arm, which is hidden more and more and then comes back."""
        n_joints = len(joints_m)
        seeing = sum(1 << c for c, name in enumerate(self.names) if name not in left_out)
        origin = np.full(n_joints, Origin.TRIANGULATED, np.uint8)
        origin[::4] = Origin.FUSED
        sigma_m = 0.008 + 0.004 * np.sin(np.arange(n_joints) + at_s)
        views = np.full(n_joints, seeing, np.uint32)
        hidden = [i for i in range(n_joints) if i % 2 and 13 <= i <= 21]  # the left arm from the elbow on
        doubt = (at_s + 2.3 * k) % 8.0
        if doubt > 5.0:
            origin[hidden] = Origin.LIFTED if doubt < 7.0 else Origin.PREDICTED
            sigma_m[hidden] = 0.03 * (doubt - 4.5)
            views[hidden] = seeing & -seeing if doubt < 7.0 else 0
        reprojection_px = np.where(views > 0, 2.0 + np.sin(2.1 * np.arange(n_joints) + at_s), np.nan)
        return Person3D(
            id=k + 1,
            joints_m=joints_m.astype(np.float32),
            sigma_m=sigma_m.astype(np.float32),
            reprojection_px=reprojection_px.astype(np.float32),
            views=views,
            origin=origin,
        )

    def seen(self, camera: str, at_s: float, stamps: dict[str, Any]) -> Keypoints2D:
        """What the detector of a camera would say."""
        keypoints_px = self.keypoints_px(camera, at_s)
        inside = np.all((keypoints_px >= 0) & (keypoints_px < SIZE_WH), -1)
        return Keypoints2D(
            **stamps,
            skeleton=self.skeleton.name,
            size_wh=SIZE_WH,
            keypoints_px=keypoints_px.astype(np.float32),
            confidence=np.where(inside, 0.9, 0.2).astype(np.float32),
            stages_ns={name: STAGES_NS[name] for name in ("queue", "detect")},
        )

    def preview(self, camera: str, at_s: float, stamps: dict[str, Any]) -> Preview:
        """A picture of the floor and of plump people on it."""
        _, jpeg = cv2.imencode(".jpg", self._picture(camera, at_s), [cv2.IMWRITE_JPEG_QUALITY, 70])
        return Preview(**stamps, size_wh=PREVIEW_WH, jpeg=jpeg.tobytes())

    def _picture(self, camera: str, at_s: float) -> U8:
        small = self.rig[camera].resized(PREVIEW_WH)
        picture = self._empty_rooms[camera].copy()
        for joints_m in self.joints_m(at_s):
            points = small.project(joints_m)
            for parent, child in self.skeleton.bones:
                ends = points[[parent, child]]
                if np.isfinite(ends).all() and np.abs(ends).max() < 10_000:
                    (x0, y0), (x1, y1) = ends.round().astype(int).tolist()
                    cv2.line(picture, (x0, y0), (x1, y1), BONE_BGR, 7, cv2.LINE_AA)
        return picture

    @cached_property
    def _empty_rooms(self) -> dict[str, U8]:
        return {name: self._empty_room(name) for name in self.names}

    def _empty_room(self, camera: str) -> U8:
        """Floor tiles of half a metre."""
        width, height = PREVIEW_WH
        picture = np.empty((height, width, 3), np.uint8)
        picture[:] = GROUND_BGR
        small = self.rig[camera].resized(PREVIEW_WH)
        for k in np.arange(-2.5, 2.6, 0.5):
            for ends_m in (((k, -2.5, 0.0), (k, 2.5, 0.0)), ((-2.5, k, 0.0), (2.5, k, 0.0))):
                way_m = np.linspace(np.array(ends_m[0]), np.array(ends_m[1]), 40)
                points = small.project(way_m)
                points = points[np.isfinite(points).all(1)].clip(-5000, 5000).round().astype(np.int32)
                cv2.polylines(picture, [points.reshape(-1, 1, 2)], False, (96, 88, 80), 1, cv2.LINE_AA)
        return picture
