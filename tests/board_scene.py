"""A board that is carried through a ring of cameras, without pictures: smooth motion, frames at any times, and faults.

`board_views` has boards at random places; here the board has a velocity, so that clocks matter.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings, CameraSightings
from calibration.synthetic import ring_rig
from calibration.twist import log_twist

Array = npt.NDArray[np.float64]

BOARD = CharucoBoard(5, 7, 0.09, 0.0675)
SIZE_WH = (1280, 720)
FOCAL_PX = 900.0
DISTORTION = (-0.1, 0.05, 0.001, -0.001, 0.0)
SEEN_FROM = 0.35  # cosine between the board's normal and the line of sight: flatter, no finder reads it
PERIOD_S = 24.0


@dataclass(frozen=True, eq=False)
class Scene:
    """rig: the truth. seen: what the cameras saw, corners in pixels, times as the cameras tell them."""

    rig: CameraRig
    board: CharucoBoard
    seen: BoardSightings


def ring(n_cameras: int, lens: str = "pinhole") -> CameraRig:
    """Cameras 2.5 m from the middle, in a ring of at least four places."""
    rig = ring_rig(max(n_cameras, 4), 2.5, 1.6, SIZE_WH, FOCAL_PX, dist=DISTORTION)
    cameras = rig.cameras[:n_cameras]
    if lens == "fisheye":
        cameras = tuple(replace(each, dist=np.array([0.03, -0.01, 0.004, -0.001]), lens="fisheye") for each in cameras)
    return CameraRig(cameras)


def T_world_board(t_s: Array, board: CharucoBoard = BOARD) -> Array:
    """(T, 4, 4) at times (T,): the middle wanders, the face turns to all sides and tilts."""
    a = 2 * np.pi * t_s / PERIOD_S
    reach_m = 0.8 + 0.5 * np.sin(2.6 * a)
    middle = np.stack([reach_m * np.sin(1.3 * a), reach_m * np.cos(1.3 * a), 1.05 + 0.4 * np.sin(5 * a)], axis=-1)
    yaw, tilt, roll = 2.2 * a, 0.2 + 0.5 * np.sin(4.1 * a), 0.5 * np.sin(3 * a)
    outward = np.stack([np.cos(yaw) * np.cos(tilt), np.sin(yaw) * np.cos(tilt), np.sin(tilt)], axis=-1)
    side = np.stack([-np.sin(yaw), np.cos(yaw), np.zeros_like(yaw)], axis=-1)
    up = np.cross(outward, side)
    right = np.cos(roll)[:, None] * side + np.sin(roll)[:, None] * up
    T = np.tile(np.eye(4), (len(t_s), 1, 1))
    T[:, :3, :3] = np.stack([right, -np.cross(outward, right), -outward], axis=-1)
    T[:, :3, 3] = middle - T[:, :3, :3] @ board.corners_m().mean(0)
    return T


def scene(
    n_cameras: int,
    instants: int,
    seed: int = 0,
    noise_px: float = 0.3,
    fps: float = 10.0,
    wrong: float = 0.0,
    late_s: npt.ArrayLike = 0.0,
    jitter_s: float = 0.0,
    rig: CameraRig | None = None,
) -> Scene:
    """wrong: share of corners that lie anywhere within 40 px. late_s: (C,) by how much the told times are late.

    jitter_s: frames of an instant are taken up to so long before or after it, and the times tell it.
    """
    rng = np.random.default_rng(seed)
    rig = ring(n_cameras) if rig is None else rig
    C = len(rig.cameras)
    taken_s: Array = np.arange(instants) / fps + rng.uniform(-jitter_s, jitter_s, (C, instants))
    corners_px = np.stack([_seen_by(rig, c, taken_s[c]) for c in range(C)])
    corners_px += rng.normal(0.0, noise_px, corners_px.shape)
    odd = rng.random(corners_px.shape[:3]) < wrong
    corners_px[odd] += rng.uniform(-40.0, 40.0, (int(odd.sum()), 2))
    seen = BoardSightings(
        rig.names,
        tuple(camera.size_wh for camera in rig.cameras),
        taken_s + np.zeros((C, 1)) + np.asarray(late_s, dtype=np.float64).reshape(-1, 1),
        np.tile(np.arange(instants), (C, 1)),
        corners_px,
        np.zeros((C, instants), dtype=bool),
    )
    return Scene(rig, BOARD, seen)


def of_camera(seen: BoardSightings, c: int) -> CameraSightings:
    """One camera's part."""
    n = seen.frame.shape[1]
    return CameraSightings(
        seen.cameras[c],
        seen.sizes_wh[c],
        seen.captured_s[c],
        seen.frame[c],
        seen.corners_px[c],
        seen.mirrored[c],
        np.arange(n),
    )


def errors(truth: CameraRig, found: CameraRig) -> tuple[Array, Array, Array]:
    """Of each camera, after the best rigid alignment: position in metres, rotation in radians; of focal, a share.

    Aligned by all positions and rotations together: positions alone leave a turn free where all lie on a line.
    """
    T_true = np.stack([camera.T_world_cam for camera in truth.cameras])
    T_found = np.stack([camera.T_world_cam for camera in found.cameras])
    T_found = aligned(T_true, T_found)
    place_m = np.linalg.norm((T_true - T_found)[:, :3, 3], axis=1)
    turn = np.linalg.norm(log_twist(rigid.inverse(T_true) @ T_found)[:, :3], axis=1)
    focal = np.array([b.K[0, 0] / a.K[0, 0] - 1 for a, b in zip(truth.cameras, found.cameras, strict=True)])
    return place_m, turn, focal


def aligned(T_true: Array, T_found: Array) -> Array:
    """T_found (C, 4, 4) moved as one onto T_true: the mean of the rotations, then of the places."""
    U, _, Vt = np.linalg.svd((T_true[:, :3, :3] @ T_found[:, :3, :3].swapaxes(1, 2)).sum(0))
    R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    T = rigid.from_rotation(R, (T_true[:, :3, 3] - T_found[:, :3, 3] @ R.T).mean(0))
    return np.asarray(T @ T_found)


def from_first(rig: CameraRig) -> Array:
    """(C, 4, 4) cameras in the first one's frame, as a solution has them."""
    return np.stack([camera.T_cam_world @ rig.cameras[0].T_world_cam for camera in rig.cameras])


def _seen_by(rig: CameraRig, c: int, t_s: Array) -> Array:
    """(T, K, 2) NaN where a corner is outside the picture, or the board stands edgewise; it shows both sides."""
    camera = rig.cameras[c]
    T = T_world_board(t_s)
    corners_m = BOARD.corners_m() @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3]
    px = camera.project(corners_m)
    line = camera.T_world_cam[:3, 3] - corners_m.mean(1)
    facing = np.abs(np.einsum("ti,ti->t", line, T[:, :3, 2])) / np.linalg.norm(line, axis=1)
    inside = ((px > -0.5) & (px < np.array(camera.size_wh) - 0.5)).all(-1)
    return np.where((inside & (facing > SEEN_FROM)[:, None])[..., None], px, np.nan)
