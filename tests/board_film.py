"""Videos of a board carried before two cameras of a virtual rig: what a calibration in a running system is tried on."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.calibrate_scenes import picture
from calibration import rigid
from calibration.board import CharucoBoard
from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from nodes.sources.virtual.board_plate import BoardPlate
from nodes.sources.virtual.room import view_of
from nodes.sources.virtual.scene import Scene
from tests.board_videos import write_video

Array = npt.NDArray[np.float64]

BOARD = CharucoBoard(5, 7, 0.055, 0.042)
SIZE_WH, FOCAL_PX = (480, 360), 420.0
ROUND_S = 15.0


def rig() -> CameraRig:
    """Two cameras, a sixth of a round apart."""
    return CameraRig(ring_rig(6, 1.6, 1.3, SIZE_WH, FOCAL_PX).cameras[:2])


def T_world_board(t_s: float) -> Array:
    """(4, 4): about the middle of both pictures and into their corners, near and far, tilted to all sides."""
    a = 2 * np.pi * t_s / ROUND_S
    between = np.mean([camera.T_world_cam[:3, 3] for camera in rig().cameras], axis=0) - [0.0, 0.0, 0.95]
    ahead = between / np.linalg.norm(between)
    side = np.cross([0.0, 0.0, 1.0], ahead)
    side = side / np.linalg.norm(side)
    up = np.cross(ahead, side)
    middle = np.array([0.0, 0.0, 0.95]) + 0.33 * np.sin(3 * a) * side + 0.25 * np.sin(4 * a + 1.0) * up
    middle = middle + (0.25 + 0.3 * np.sin(a + 0.5)) * ahead
    turn = rigid.rotation_from_rotvec(
        0.3 * np.sin(5 * a) * up + 0.4 * np.sin(7 * a + 0.4) * side + 0.4 * np.sin(2 * a) * ahead
    )
    R = turn @ np.stack([side, -up, -ahead], axis=1)
    return rigid.from_rotation(R, middle - R @ BOARD.corners_m().mean(0))


def film(folder: Path, fps: int = 6) -> dict[str, Path]:
    """A video for each camera, of the board's whole way, so that it may be looped."""
    plate, paths = BoardPlate(board=BOARD), {}
    for camera in rig().cameras:
        view, rng = view_of(camera, Scene()), np.random.default_rng(0)
        greys = [picture(view, plate, T_world_board(k / fps), rng) for k in range(round(ROUND_S * fps))]
        paths[camera.name] = folder / f"{camera.name}.mp4"
        write_video(paths[camera.name], greys, fps)
    return paths
