"""A board filmed in a virtual room, for benchmarks/calibrate_*.py: rendered pictures, frame times, faults, the truth.

The board is a print on A3 with the same corners on its back, carried for a minute or two through a ring of cameras of
which no two have the same lens; nothing of that is told to the calibration.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.rig import Camera, CameraRig
from calibration.sightings import BoardSightings, CameraSightings
from calibration.synthetic import ring_rig
from calibration.twist import log_twist
from nodes.calibrating.board_finder import BoardFinder
from nodes.sources.virtual import paint
from nodes.sources.virtual.board_plate import TEXTURE_PX_PER_SQUARE, BoardPlate
from nodes.sources.virtual.render import LENS_BLUR_SIGMA_PX
from nodes.sources.virtual.room import View, view_of
from nodes.sources.virtual.scene import Scene

F64 = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

BOARD = CharucoBoard(5, 7, 0.055, 0.042)  # 275 x 385 mm: A3
SIZE_WH = (1280, 720)
RADIUS_M, HEIGHT_M = 2.5, 1.6
NOISE = 2.5  # grey levels
ROUND_S = 31.0  # the board's way once round the room
WRONG_PX = 40.0
SEEN_FROM = 0.35  # cosine between the board's normal and the line of sight: flatter, it is not read


@dataclass(frozen=True)
class Film:
    """fps: of every camera. phase_s: of each camera's first frame. late_s: by how much its told times are late."""

    seconds: float = 75.0
    fps: float = 5.0
    phase_s: tuple[float, ...] = ()
    late_s: tuple[float, ...] = ()

    def taken_s(self, c: int) -> F64:
        """(N,) when camera c's frames are taken."""
        return np.arange(round(self.seconds * self.fps)) / self.fps + (self.phase_s[c] if self.phase_s else 0.0)

    def told_s(self, c: int) -> F64:
        """(N,) when it says so."""
        return self.taken_s(c) + (self.late_s[c] if self.late_s else 0.0)


def rig_of(n_cameras: int) -> CameraRig:
    """A ring in which every camera has a lens of its own; two stand a quarter of a round apart."""
    ring = ring_rig(max(n_cameras, 4), RADIUS_M, HEIGHT_M, SIZE_WH, 1.0)
    rng = np.random.default_rng(n_cameras)
    cameras = []
    for camera in ring.cameras[:n_cameras]:
        focal = rng.uniform(820.0, 1080.0)
        centre = (np.array(SIZE_WH) - 1) / 2 + rng.normal(0, 8.0, 2)
        K = np.array([[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]])
        k1 = rng.uniform(-0.25, 0.05)
        dist = np.array([k1, -0.3 * k1 + rng.normal(0, 0.02), *rng.normal(0, 5e-4, 2), 0.0])
        cameras.append(replace(camera, K=K, dist=dist))
    return CameraRig(tuple(cameras))


def T_world_board(t_s: float) -> F64:
    """(4, 4): the middle goes round the room, near the cameras and away from them, the face turns and tilts."""
    a = 2 * np.pi * t_s / ROUND_S
    reach_m = 0.85 + 0.75 * np.sin(2.63 * a)
    middle = np.array([reach_m * np.cos(a), reach_m * np.sin(a), 1.2 + 0.35 * np.sin(4.3 * a)])
    facing, tilt, roll = a + 0.9 * np.sin(3.7 * a), 0.6 * np.sin(5.1 * a), 0.6 * np.sin(2.9 * a)
    outward = np.array([np.cos(facing) * np.cos(tilt), np.sin(facing) * np.cos(tilt), np.sin(tilt)])
    side = np.array([-np.sin(facing), np.cos(facing), 0.0])
    up = np.cross(outward, side)
    right = np.cos(roll) * side + np.sin(roll) * up
    R = np.stack([right, -np.cross(outward, right), -outward], axis=1)
    return rigid.from_rotation(R, middle - R @ BOARD.corners_m().mean(0))


def filmed(rig: CameraRig, film: Film, jobs: int = 2) -> tuple[CameraSightings, ...]:
    """Render all pictures and find the board in them."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        return tuple(pool.map(partial(_seen, film), range(len(rig.cameras)), rig.cameras))


def _seen(film: Film, c: int, camera: Camera) -> CameraSightings:
    cv2.setNumThreads(1)
    finder, view, plate = BoardFinder(BOARD), view_of(camera, Scene()), BoardPlate(board=BOARD)
    rng = np.random.default_rng(c)
    found = [finder.find(picture(view, plate, T_world_board(t), rng)) for t in film.taken_s(c)]
    n = len(found)
    return CameraSightings(
        camera.name,
        camera.size_wh,
        film.told_s(c),
        np.arange(n),
        np.stack([each.corners_px for each in found]),
        np.array([each.mirrored for each in found]),
        np.full(n, -1) if film.phase_s else np.arange(n),
    )


def picture(view: View, plate: BoardPlate, T_world_board: F64, rng: np.random.Generator) -> Grey:
    """Grey (H, W): the room, the plate with its print on both sides, the lens's blur and the sensor's noise."""
    image, depth = view.image.copy(), view.depth.copy()
    T_world_plate = T_world_board.copy()
    T_world_plate[:3, 3] -= T_world_board[:3, :2] @ np.full(2, plate.edge_m)
    texture, size_m = plate.texture, plate.plate_size_m
    if (rigid.inverse(T_world_plate) @ view.camera.T_world_cam)[2, 3] > 0:  # from behind: the print seen through
        T_plate_back = np.diag([-1.0, 1.0, -1.0, 1.0])
        T_plate_back[0, 3] = size_m[0]
        T_world_plate, texture = T_world_plate @ T_plate_back, np.ascontiguousarray(texture[:, ::-1])
    box = _box(view.camera, T_world_plate, size_m)
    if box is not None:
        scale = TEXTURE_PX_PER_SQUARE / plate.square_m
        to_plate = rigid.inverse(T_world_plate)
        paint.draw_plate(image, depth, view.rays, view.origin, to_plate, size_m, texture, scale, box)
    blurred = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (5, 5), LENS_BLUR_SIGMA_PX)
    noisy = blurred + NOISE * rng.standard_normal(blurred.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), dtype=np.uint8)


def _box(camera: Camera, T_world_plate: F64, size_m: F64) -> npt.NDArray[np.int64] | None:
    """(4,) pixels u0 v0 u1 v1 around the plate; None when it is not all before the camera."""
    along = np.linspace(0, 1, 9)
    rim = np.array([(a, b) for s in along for a, b in ((s, 0), (s, 1), (0, s), (1, s))]) * size_m
    px = camera.project(rim @ T_world_plate[:3, :2].T + T_world_plate[:3, 3])
    if not np.isfinite(px).all():
        return None
    low, high = np.clip(px.min(0) - 3, 0, camera.size_wh), np.clip(px.max(0) + 4, 0, camera.size_wh)
    return np.array([*low, *high]).astype(np.int64)


def projected(rig: CameraRig, film: Film, noise_px: float, seed: int = 0) -> BoardSightings:
    """What cameras in step would see of the board, without pictures: its true corners with noise."""
    rng = np.random.default_rng(seed)
    taken_s = np.stack([film.taken_s(c) for c in range(len(rig.cameras))])
    Ts = np.stack([T_world_board(t) for t in taken_s[0]])
    corners_m = BOARD.corners_m() @ Ts[:, :3, :3].swapaxes(1, 2) + Ts[:, None, :3, 3]
    corners_px = rig.project(corners_m)
    for c, camera in enumerate(rig.cameras):
        line = camera.T_world_cam[:3, 3] - corners_m.mean(1)
        facing = np.abs(np.einsum("ti,ti->t", line, Ts[:, :3, 2])) / np.linalg.norm(line, axis=1)
        inside = ((corners_px[c] > -0.5) & (corners_px[c] < np.array(camera.size_wh) - 0.5)).all(-1)
        corners_px[c][~(inside & (facing > SEEN_FROM)[:, None])] = np.nan
    corners_px += rng.normal(0, noise_px, corners_px.shape)
    frame = np.tile(np.arange(taken_s.shape[1]), (len(rig.cameras), 1))
    sizes_wh = tuple(camera.size_wh for camera in rig.cameras)
    return BoardSightings(rig.names, sizes_wh, taken_s, frame, corners_px, np.zeros(frame.shape, dtype=bool))


def with_wrong_corners(seen: BoardSightings, share: float, seed: int = 0) -> BoardSightings:
    """So many corners moved, to all sides, by up to WRONG_PX."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(seen.corners_px.shape[:3]) < share
    corners_px = seen.corners_px.copy()
    corners_px[wrong] += rng.uniform(-WRONG_PX, WRONG_PX, (int(wrong.sum()), 2))
    return replace(seen, corners_px=corners_px)


def with_wrong_frames(seen: BoardSightings, share: float, seed: int = 0) -> BoardSightings:
    """So many pictures of each camera exchanged for ones of any other time."""
    rng = np.random.default_rng(seed)
    C, T = seen.frame.shape
    corners_px = seen.corners_px.copy()
    for c in range(C):
        wrong = np.flatnonzero(rng.random(T) < share)
        corners_px[c, wrong] = seen.corners_px[c, rng.integers(0, T, len(wrong))]
    return replace(seen, corners_px=corners_px)


def with_gaps(seen: BoardSightings, share: float, seed: int = 0) -> BoardSightings:
    """So many corners not found."""
    gone = np.random.default_rng(seed).random(seen.corners_px.shape[:3]) < share
    return replace(seen, corners_px=np.where(gone[..., None], np.nan, seen.corners_px))


@dataclass(frozen=True)
class RigError:
    """The worst of all cameras, after the best rigid alignment of both rigs: mm, degrees, % of focal length."""

    place_mm: float
    turn_deg: float
    focal_percent: float


def error_of(truth: CameraRig, found: CameraRig) -> RigError:
    """Aligned by the mean of the rotations, then of the places: two cameras' places alone would leave a turn free."""
    found = found.select(truth.names)
    T_true = np.stack([camera.T_world_cam for camera in truth.cameras])
    T_found = np.stack([camera.T_world_cam for camera in found.cameras])
    U, _, Vt = np.linalg.svd((T_true[:, :3, :3] @ T_found[:, :3, :3].swapaxes(1, 2)).sum(0))
    R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    T_found = rigid.from_rotation(R, (T_true[:, :3, 3] - T_found[:, :3, 3] @ R.T).mean(0)) @ T_found
    turn = np.linalg.norm(log_twist(rigid.inverse(T_true) @ T_found)[:, :3], axis=1)
    pairs: Sequence[tuple[Camera, Camera]] = list(zip(truth.cameras, found.cameras, strict=True))
    return RigError(
        1000 * float(np.linalg.norm((T_true - T_found)[:, :3, 3], axis=1).max()),
        float(np.degrees(turn.max())),
        100 * float(max(abs(b.K[0, 0] / a.K[0, 0] - 1) for a, b in pairs)),
    )
