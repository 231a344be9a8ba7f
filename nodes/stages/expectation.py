"""Where each camera will see the people that fusion follows: what the cameras are told to look at. Pure.

A person is a circle around the whole body, as MediaPipe's landmark model crops it (Bazarevsky et al. 2020, BlazePose:
middle of the hips, farthest joint from there, turn of the spine). It is whole at the picture's border, too: the model
reads the body's place and size off its crop, so a clipped one would mislead it; what is outside is black to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from calibration import lens, pinhole
from calibration.rig import CameraRig
from lifter.skeleton import Skeleton
from nodes.wire.messages import Expected, ExpectedView

F64 = npt.NDArray[np.float64]

SOURCE = "fusion"
MIN_SHARE_INSIDE = 0.25  # of the body's joints; with less of it in the picture there is nothing to detect
AHEAD_S = 0.05  # over which the velocity in the picture is told; about a frame
MAX_RADIUS = 4.0  # of the picture's longer side: closer than this a body is no circle
MAX_MARGIN = 0.3  # of the radius, for a place that is not known well
MIN_DEPTH_M = 0.1
BEYOND = 0.5  # of the picture, on each side: farther out a lens model may fold back into the picture


def expect(
    captured_ns: int,
    ids: Sequence[int],
    joints_m: F64,
    velocity_m_s: F64,
    sigma_m: F64,
    rig: CameraRig,
    skeleton: Skeleton,
    seq: int = 0,
) -> Expected:
    """Where the cameras of the rig (as they deliver) will see these people at captured_ns; published_ns is left open.

    ids: of the K people. joints_m, velocity_m_s: (K, J, 3) at captured_ns, world, NaN where absent. sigma_m: (K, J).
    A person is left out of a camera's view when not wholly in front of it or with hardly a joint in its picture.
    """
    people = np.array(ids, dtype=np.int64)
    circles, moving_px_s, depth_m, shown = _circles(joints_m, velocity_m_s, sigma_m, rig, skeleton)
    views = {}
    for c, camera in enumerate(rig.cameras):
        order = [k for k in np.argsort(depth_m[c], kind="stable") if shown[c, k]]
        views[camera.name] = ExpectedView(
            size_wh=camera.size_wh,
            ids=people[order],
            circles=circles[c, order].astype(np.float32),
            velocity_px_s=moving_px_s[c, order].astype(np.float32),
        )
    return Expected(captured_ns=captured_ns, published_ns=0, source=SOURCE, seq=seq, cameras=views)


@dataclass(frozen=True)
class _Lenses:
    """A rig's cameras for arrays (C, points, …): R, t (world to camera), K, dist8 (8, C, 1), size_wh (C, 1, 2).

    fisheye: the indices of cameras with such a lens.
    """

    R: F64
    t: F64
    K: F64
    dist8: F64
    size_wh: F64
    fisheye: tuple[int, ...]

    def cam_m(self, points_m: F64) -> F64:
        """Points (N, 3) in the camera frames (C, N, 3)."""
        return np.asarray(points_m @ self.R.transpose(0, 2, 1) + self.t)

    def px(self, cam_m: F64) -> tuple[F64, F64]:
        """Pixels (C, N, 2), as delivered and as without distortion; NaN for what is not in front.

        A fisheye lens has no picture without distortion; what it does not map one to one is NaN already.
        """
        ideal = cam_m[..., :2] / np.where(cam_m[..., 2:] > MIN_DEPTH_M, cam_m[..., 2:], np.nan)
        K = self.K[:, :2, :2].transpose(0, 2, 1)
        offset = self.K[:, None, :2, 2]
        ideal_px = ideal @ K + offset
        if not self.dist8.any() and not self.fisheye:
            return ideal_px, ideal_px
        distorted = pinhole.distort(self.dist8, ideal)
        for c in self.fisheye:
            distorted[c] = lens.distort("fisheye", self.dist8[:, c, 0], ideal[c])
        px = distorted @ K + offset
        ideal_px[list(self.fisheye)] = px[list(self.fisheye)]
        return px, ideal_px


@lru_cache(maxsize=4)
def _lenses(rig: CameraRig) -> _Lenses:
    T = np.stack([camera.T_cam_world for camera in rig.cameras])
    return _Lenses(
        R=T[:, :3, :3],
        t=T[:, None, :3, 3],
        K=np.stack([camera.K for camera in rig.cameras]),
        dist8=np.stack([camera.dist8 for camera in rig.cameras], axis=1)[..., None],
        size_wh=np.array([camera.size_wh for camera in rig.cameras], dtype=np.float64)[:, None],
        fisheye=tuple(c for c, camera in enumerate(rig.cameras) if camera.lens == "fisheye"),
    )


def _circles(
    joints_m: F64, velocity_m_s: F64, sigma_m: F64, rig: CameraRig, skeleton: Skeleton
) -> tuple[F64, F64, F64, npt.NDArray[np.bool_]]:
    """Circles (C, K, 4), velocities (C, K, 2) in px/s, depths (C, K), and who is to be seen where (C, K)."""
    lenses, shape = _lenses(rig), (len(rig.cameras), *joints_m.shape[:2])
    known = np.isfinite(joints_m).all(axis=2)
    cam_m = lenses.cam_m(joints_m.reshape(-1, 3))
    px, ideal_px = lenses.px(cam_m)
    inside = _inside(lenses, px, ideal_px).reshape(shape) & known
    px = px.reshape(*shape, 2)
    hips = _weights(known, skeleton, "hip")
    middle_px = _mean(px, hips)
    spine = _mean(px, _weights(known, skeleton, "shoulder")) - middle_px
    radius_px = np.sqrt(np.where(known, ((px - middle_px[:, :, None]) ** 2).sum(axis=3), 0.0).max(axis=2, initial=0.0))
    depth_m = np.where(known, cam_m[..., 2].reshape(shape), np.inf).min(axis=2, initial=np.inf)
    margin_px = np.minimum(_sigma_px(lenses, depth_m, sigma_m, known), MAX_MARGIN * radius_px)
    angle = np.arctan2(spine[..., 0], -spine[..., 1])
    circles = np.concatenate([middle_px, (radius_px + margin_px)[..., None], angle[..., None]], axis=2)
    moving_px_s = _velocity_px_s(lenses, joints_m, velocity_m_s, hips)
    shown = (depth_m > MIN_DEPTH_M) & np.isfinite(circles).all(axis=2)
    shown &= inside.sum(axis=2) >= MIN_SHARE_INSIDE * np.maximum(known.sum(axis=1), 1)
    shown &= (radius_px > 0) & (radius_px < MAX_RADIUS * lenses.size_wh.max(axis=2))
    return circles, moving_px_s, depth_m, shown


def _weights(known: npt.NDArray[np.bool_], skeleton: Skeleton, part: str) -> F64:
    """(K, J): what each joint counts in the middle of both sides; of all known joints where neither is known."""
    pair = [skeleton.index(f"{side}_{part}") for side in ("left", "right") if f"{side}_{part}" in skeleton.joints]
    chosen = np.zeros_like(known)
    chosen[:, pair] = known[:, pair]
    counted = np.where(chosen.any(axis=1, keepdims=True), chosen, known)
    return np.asarray(counted / np.maximum(counted.sum(axis=1, keepdims=True), 1))


def _mean(values: F64, weights: F64) -> F64:
    """(…, K, n) of (…, K, J, n) by weights (K, J); what does not count may be NaN."""
    return np.asarray(np.where(weights[..., None] > 0, values * weights[..., None], 0.0).sum(axis=-2))


def _velocity_px_s(lenses: _Lenses, joints_m: F64, velocity_m_s: F64, hips: F64) -> F64:
    """(C, K, 2): how fast the middle of the hips moves in the pictures."""
    middle_m = _mean(joints_m, hips)
    soon_m = middle_m + AHEAD_S * np.nan_to_num(_mean(velocity_m_s, hips))
    now_px, soon_px = np.split(lenses.px(lenses.cam_m(np.concatenate([middle_m, soon_m])))[0], 2, axis=1)
    return np.nan_to_num((soon_px - now_px) / AHEAD_S)


def _sigma_px(lenses: _Lenses, depth_m: F64, sigma_m: F64, known: npt.NDArray[np.bool_]) -> F64:
    """(C, K): the joints' mean uncertainty in the pictures."""
    sure = known & np.isfinite(sigma_m)
    sigma = np.where(sure, sigma_m, 0.0).sum(axis=1) / np.maximum(sure.sum(axis=1), 1)
    return np.asarray(sigma * lenses.K[:, None, 0, 0] / np.maximum(depth_m, MIN_DEPTH_M))


def _inside(lenses: _Lenses, px: F64, ideal_px: F64) -> npt.NDArray[np.bool_]:
    """(C, N): points that are in the picture, and near it without the lens's distortion, too."""
    size_wh = lenses.size_wh
    inside = (px >= 0) & (px < size_wh) & (ideal_px > -BEYOND * size_wh) & (ideal_px < (1 + BEYOND) * size_wh)
    return np.asarray(inside.all(axis=2))
