"""Where each camera will see the people that fusion follows: what the cameras are told to look at. Pure.

A person is a circle around the whole body, as MediaPipe's landmark model crops it (Bazarevsky et al. 2020, BlazePose:
middle of the hips, farthest joint from there, turn of the spine). It is whole at the picture's border, too: the model
reads the body's place and size off its crop, so a clipped one would mislead it; what is outside is black to it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration import pinhole
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


def _circles(
    joints_m: F64, velocity_m_s: F64, sigma_m: F64, rig: CameraRig, skeleton: Skeleton
) -> tuple[F64, F64, F64, npt.NDArray[np.bool_]]:
    """Circles (C, K, 4), velocities (C, K, 2) in px/s, depths (C, K), and who is to be seen where (C, K)."""
    known = np.isfinite(joints_m).all(axis=2)
    cam_m, px = _project(rig, joints_m)
    middle_px, top_px = _middle(px, known, _hips(skeleton)), _middle(px, known, _shoulders(skeleton))
    radius_px = np.where(known, np.linalg.norm(px - middle_px[:, :, None], axis=3), 0.0).max(axis=2, initial=0.0)
    depth_m = np.where(known, cam_m[..., 2], np.inf).min(axis=2, initial=np.inf)
    focal_px = np.array([camera.K[0, 0] for camera in rig.cameras])
    sure = known & np.isfinite(sigma_m)
    sigma = np.where(sure, sigma_m, 0.0).sum(axis=1) / np.maximum(sure.sum(axis=1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        margin_px = np.minimum(sigma * focal_px[:, None] / depth_m, MAX_MARGIN * radius_px)
    spine = top_px - middle_px
    angle = np.where(np.isfinite(spine).all(axis=2), np.arctan2(spine[..., 0], -spine[..., 1]), 0.0)
    circles = np.concatenate([middle_px, (radius_px + margin_px)[..., None], angle[..., None]], axis=2)
    moving = np.where(np.isfinite(velocity_m_s), velocity_m_s, 0.0)
    soon_px = _middle(_project(rig, joints_m + AHEAD_S * moving)[1], known, _hips(skeleton))
    shown = (depth_m > MIN_DEPTH_M) & _inside(rig, cam_m, px, known) & np.isfinite(circles).all(axis=2)
    shown &= (radius_px > 0) & (radius_px < MAX_RADIUS * _sizes_wh(rig).max(axis=1)[:, None])
    return circles, np.nan_to_num((soon_px - middle_px) / AHEAD_S), depth_m, shown


def _project(rig: CameraRig, joints_m: F64) -> tuple[F64, F64]:
    """Points in the camera frames (C, K, J, 3) and their pixels (C, K, J, 2), NaN behind a camera."""
    T = np.stack([camera.T_cam_world for camera in rig.cameras])[:, None, None]
    cam_m = (T[..., :3, :3] @ joints_m[..., None])[..., 0] + T[..., :3, 3]
    dist8 = np.stack([camera.dist8 for camera in rig.cameras], axis=1)[..., None, None]
    return cam_m, _pixels(rig, pinhole.distort(dist8, _ideal(cam_m)))


def _ideal(cam_m: F64) -> F64:
    return np.asarray(cam_m[..., :2] / np.where(cam_m[..., 2:] > MIN_DEPTH_M, cam_m[..., 2:], np.nan))


def _pixels(rig: CameraRig, normalised: F64) -> F64:
    """Pixels (C, K, J, 2) of distorted normalised coordinates, camera by camera."""
    K = np.stack([camera.K for camera in rig.cameras])[:, None, None]
    return np.asarray((K[..., :2, :2] @ normalised[..., None])[..., 0] + K[..., :2, 2])


def _inside(rig: CameraRig, cam_m: F64, px: F64, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(C, K): enough of the person is in the picture, and there without the lens's distortion, too."""
    size_wh = _sizes_wh(rig)[:, None, None]
    undistorted_px = _pixels(rig, _ideal(cam_m))
    inside = ((px >= 0) & (px < size_wh)).all(axis=3)
    inside &= ((undistorted_px > -BEYOND * size_wh) & (undistorted_px < (1 + BEYOND) * size_wh)).all(axis=3)
    return np.asarray((inside & known).sum(axis=2) >= MIN_SHARE_INSIDE * np.maximum(known.sum(axis=1), 1))


def _sizes_wh(rig: CameraRig) -> F64:
    return np.array([camera.size_wh for camera in rig.cameras], dtype=np.float64)


def _middle(px: F64, known: npt.NDArray[np.bool_], joints: list[int]) -> F64:
    """(C, K, 2): the mean of those of the joints that are known, else of all known ones; NaN when none is."""
    chosen = np.zeros_like(known)
    chosen[:, joints] = known[:, joints]
    weight = np.where(chosen.any(axis=1, keepdims=True), chosen, known)[..., None]
    count = weight.sum(axis=1)
    return np.asarray(np.where(weight, px, 0.0).sum(axis=2) / np.where(count > 0, count, np.nan))


def _hips(skeleton: Skeleton) -> list[int]:
    return [skeleton.index(joint) for joint in ("left_hip", "right_hip") if joint in skeleton.joints]


def _shoulders(skeleton: Skeleton) -> list[int]:
    return [skeleton.index(joint) for joint in ("left_shoulder", "right_shoulder") if joint in skeleton.joints]
