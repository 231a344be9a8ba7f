"""A rig that sees a board, without pictures: what a finder would give, exact or with noise."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.rig import Camera, CameraRig
from calibration.sightings import BoardSightings
from calibration.synthetic import ring_rig

BOARD = CharucoBoard(4, 5, 0.054, 0.0405)
SIZE_WH = (1280, 720)
LENS = (-0.1, 0.02, 0.001, -0.001, 0.0)


def rig_of(n_cameras: int = 4) -> CameraRig:
    """Cameras in a ring of 3 m, 900 px focal length."""
    return ring_rig(n_cameras, 3.0, 1.6, SIZE_WH, 900.0, dist=LENS)


def board_poses(instants: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """T_world_board (T, 4, 4) of a board that is carried through the middle and turned about."""
    rng = np.random.default_rng(seed)
    poses = []
    for _ in range(instants):
        middle = np.array([0.0, 0.0, 1.0]) + rng.uniform(-0.7, 0.7, 3) * (1.0, 1.0, 0.6)
        poses.append(rigid.from_rotation(rigid.rotation_from_rotvec(rng.uniform(-2.0, 2.0, 3)), middle))
    return np.stack(poses)


def board_seen(
    rig: CameraRig, instants: int = 40, noise_px: float = 0.0, seed: int = 0, board: CharucoBoard = BOARD
) -> BoardSightings:
    """What each camera sees of it: corners inside its picture; the board is seen through."""
    rng = np.random.default_rng(seed + 1)
    corners_m = np.stack([rigid.transform(T, board.corners_m()) for T in board_poses(instants, seed)])
    corners_px = rig.project(corners_m) + rng.normal(0.0, noise_px, (len(rig.cameras), *corners_m.shape[:2], 2))
    for c, camera in enumerate(rig.cameras):
        width, height = camera.size_wh
        inside = ((corners_px[c] > -0.5) & (corners_px[c] < (width - 0.5, height - 0.5))).all(-1)
        corners_px[c][~inside] = np.nan
    shape = corners_px.shape[:2]
    return BoardSightings(
        cameras=rig.names,
        sizes_wh=tuple(camera.size_wh for camera in rig.cameras),
        captured_s=np.broadcast_to(np.arange(instants) / 6.0, shape),
        frame=np.broadcast_to(np.arange(instants), shape),
        corners_px=corners_px,
        mirrored=np.zeros(shape, dtype=bool),
    )


def neutral_board_file(path: Path) -> tuple[CameraRig, BoardSightings]:
    """Rig and corners of a neutral multi-view file whose joints are a board's corners."""
    with np.load(path) as told:
        cameras = []
        for c, name in enumerate(told["cameras"]):
            T_cam_world = rigid.from_rotation(told["R"][c], told["t"][c])
            width, height = told["image_size"][c].tolist()
            cameras.append(Camera(str(name), (width, height), told["K"][c], told["dist"][c], T_cam_world))
        corners_px = told["keypoints2d"][:, :, 0, :, :2].astype(np.float64).swapaxes(0, 1)
        captured_s, mirrored = told["frame_time"].T, told["mirrored"].T
    rig = CameraRig(tuple(cameras))
    frame = np.broadcast_to(np.arange(corners_px.shape[1]), corners_px.shape[:2])
    sizes_wh = tuple(camera.size_wh for camera in cameras)
    return rig, BoardSightings(rig.names, sizes_wh, captured_s, frame, corners_px, mirrored)
