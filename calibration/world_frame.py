"""Where the world begins: z up, origin on the floor, x along a chosen direction. A rig moved there.

The old world is whatever the calibration came with, usually a camera's own frame.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.extrinsics import board_views
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.twist import exp_twist

Array = npt.NDArray[np.float64]

STILL_PX = 3.0  # a lying board's corners stay within this, 95 of 100 of them; they jitter by 0.3 px
LEAST_CORNERS = 6  # of the lying board, over all cameras
LEAST_APART_M = 0.05  # of picked points: nearer ones give a direction only roughly
LEAST_ANGLE_DEG = 5.0  # of the third point off the line through the others
PITCH_WEIGHT = 0.002  # of the cameras' own up against their level sides: it only decides where these leave it open


def moved(rig: CameraRig, T_new_old: Array) -> CameraRig:
    """The same cameras, told in the new world."""
    T_old_new = rigid.inverse(T_new_old)
    return CameraRig(tuple(replace(camera, T_cam_world=camera.T_cam_world @ T_old_new) for camera in rig.cameras))


def from_board(
    rig: CameraRig, board: CharucoBoard, T_world_board: Array, *, thickness_m: float = 0.0, at_corner: bool = False
) -> Array:
    """T_new_old (4, 4) with the board lying on the floor: origin below its middle (or its first corner), x along its
    longer side, z away from the floor, on which its back lies `thickness_m` below its print.

    Either side may be up: the cameras are above it. Raises CalibrationError when they stand on both sides of it.
    """
    width_m, height_m = board.size_m
    z = _above(rig, -T_world_board[:3, 2], T_world_board[:3, 3], "the board cannot lie on the floor")
    x = T_world_board[:3, 0] if width_m >= height_m else T_world_board[:3, 1]
    middle = np.zeros(3) if at_corner else np.array([width_m / 2, height_m / 2, 0.0])
    origin = rigid.transform(T_world_board, middle) - thickness_m * z
    return _frame(origin, x, z)


def from_points(rig: CameraRig, origin_m: Array, on_x_m: Array, on_floor_m: Array) -> Array:
    """T_new_old (4, 4) with three points (3,) of the old world on the floor: the origin, one on the x axis, any third.

    Raises CalibrationError when they lie too near together or on a line, or cameras stand below the floor.
    """
    x, other = on_x_m - origin_m, on_floor_m - origin_m
    far = min(float(np.linalg.norm(x)), float(np.linalg.norm(other)))
    if far < LEAST_APART_M:
        raise CalibrationError(
            f"two of the points are {1000 * far:.0f} mm apart: pick points that are far apart, a metre or more"
        )
    across = np.cross(x, other)
    angle_deg = float(np.degrees(np.arctan2(np.linalg.norm(across), abs(x @ other))))
    if angle_deg < LEAST_ANGLE_DEG:
        raise CalibrationError(
            f"the three points lie on a line, to {angle_deg:.1f} degrees: pick the third well off the x axis"
        )
    z = _above(rig, across / np.linalg.norm(across), origin_m, "the points cannot lie on the floor")
    return _frame(origin_m, x, z)


def from_cameras(rig: CameraRig, camera: str, height_m: float) -> Array:
    """T_new_old (4, 4) of cameras that are not rolled: the rows of their pictures are level. `camera` is height_m high.

    Origin: below where the cameras look; x towards that camera. Raises CalibrationError on an unknown camera, or when
    that camera stands where the origin would be.
    """
    sides = np.stack([other.T_world_cam[:3, 0] for other in rig.cameras])
    ups = -np.stack([other.T_world_cam[:3, 1] for other in rig.cameras])
    z = np.linalg.eigh(sides.T @ sides - PITCH_WEIGHT * ups.T @ ups)[1][:, 0]
    z = z if z @ ups.sum(0) > 0 else -z
    place = rig[camera].T_world_cam[:3, 3]
    middle = _looked_at(rig)
    origin = middle - ((middle - place) @ z + height_m) * z
    towards = place - origin
    if np.linalg.norm(towards - (towards @ z) * z) < LEAST_APART_M:
        raise CalibrationError(
            f"the cameras look at a place right below {camera!r}, which gives no direction: name another camera"
        )
    return _frame(origin, towards, z)


def towards(rig: CameraRig, T_new_old: Array, camera: str) -> Array:
    """T_new_old with its x axis turned towards this camera. Raises CalibrationError when that is above the origin."""
    x, y, _ = rigid.transform(T_new_old, rig[camera].T_world_cam[:3, 3])
    if np.hypot(x, y) < LEAST_APART_M:
        raise CalibrationError(f"camera {camera!r} stands right above the origin: name another one")
    turn = rigid.rotation_from_rotvec((0.0, 0.0, -np.arctan2(y, x)))
    return rigid.from_rotation(turn, np.zeros(3)) @ T_new_old


def lying_board(rig: CameraRig, board: CharucoBoard, sightings: BoardSightings) -> Array:
    """T_world_board (4, 4) of a board that lies still in all these sightings; one camera that saw it is enough.

    A picture of a board far off fits two poses; the one is taken that has all cameras of the rig on one side. Raises
    CalibrationError when it is not seen well enough, or moves.
    """
    seeing = rig.select(sightings.cameras)
    _refuse_motion(sightings)
    seen = sightings.seen
    often = seen.sum(1) > 0.5 * np.maximum(seen.any(-1).sum(1), 1)[:, None]  # (C, K) not in a frame or two alone
    corners_px = np.stack([_median(px) for px in sightings.corners_px])
    corners_px[~often] = np.nan
    rays = np.stack([camera.undistort(px) for camera, px in zip(seeing.cameras, corners_px, strict=True)])
    views = board_views(board.corners_m(), list(rays[:, None]))
    guesses = [
        camera.T_world_cam @ pose
        for c, camera in enumerate(seeing.cameras)
        for pose, error in zip(views.Ts_cam_board[c, :, 0], views.error[c, :, 0], strict=True)
        if np.isfinite(error)
    ]
    if not guesses or np.isfinite(rays).all(-1).sum() < LEAST_CORNERS:
        raise CalibrationError(
            "the board on the floor is not seen well enough by any camera: lay it where a camera sees all of it, not "
            "too flat, or say when it lies there with --at SECOND"
        )
    settled = [_settled(seeing, board, rays, guess) for guess in guesses]
    return min(settled, key=lambda found: (not _all_on_one_side(rig, found[0]), found[1]))[0]


def _settled(rig: CameraRig, board: CharucoBoard, rays: Array, T_world_board: Array) -> tuple[Array, float]:
    """The pose near this one that fits all cameras' rays (C, K, 2) best, and how badly it does."""
    seen = np.isfinite(rays).all(-1)
    focal_px = np.array([camera.K[0, 0] for camera in rig.cameras])

    def off_px(twist: Array) -> Array:
        corners_m = rigid.transform(exp_twist(twist) @ T_world_board, board.corners_m())
        in_cams = np.stack([rigid.transform(camera.T_cam_world, corners_m) for camera in rig.cameras])
        off = (in_cams[..., :2] / np.maximum(in_cams[..., 2:], 1e-3) - rays) * focal_px[:, None, None]
        return np.asarray(off[seen].ravel())

    found = least_squares(off_px, np.zeros(6), loss="soft_l1")
    return np.asarray(exp_twist(found.x) @ T_world_board), float(found.cost)


def _all_on_one_side(rig: CameraRig, T_world_board: Array) -> bool:
    places = np.stack([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    sides = (places - T_world_board[:3, 3]) @ T_world_board[:3, 2] > 0
    return bool(sides.all() or not sides.any())


def _refuse_motion(sightings: BoardSightings) -> None:
    """Motion is told from the corners of each camera."""
    for name, px in zip(sightings.cameras, sightings.corners_px, strict=True):
        off_px = np.linalg.norm(px - _median(px), axis=-1)
        off_px = off_px[np.isfinite(off_px)]
        if len(off_px) and np.percentile(off_px, 95) > STILL_PX:
            raise CalibrationError(
                f"the board moves, by {np.percentile(off_px, 95):.0f} px in the picture of {name}: let it lie still on "
                "the floor, or say when it does with --at SECOND"
            )


def _median(px: Array) -> Array:
    """(K, 2) over (T, K, 2), NaN for what was never seen."""
    told = np.full(px.shape[1:], np.nan)
    ever = np.isfinite(px).all(-1).any(0)
    told[ever] = np.nanmedian(px[:, ever], axis=0)
    return told


def _above(rig: CameraRig, z: Array, floor_m: Array, otherwise: str) -> Array:
    """The normal that points to the side on which the cameras stand."""
    heights = {camera.name: float((camera.T_world_cam[:3, 3] - floor_m) @ z) for camera in rig.cameras}
    sign = 1.0 if sum(heights.values()) >= 0 else -1.0
    below = [name for name, height in heights.items() if sign * height < 0]
    if below:
        raise CalibrationError(
            f"{otherwise}: {', '.join(below)} would stand below it, and the other cameras above; check that the right "
            "moment or points were taken, and the calibration (`calibrate check`)"
        )
    return sign * z


def _frame(origin_m: Array, x: Array, z: Array) -> Array:
    """T_new_old of a frame with this origin, z, and x as near to the given one as z lets."""
    z = z / np.linalg.norm(z)
    x = x - (x @ z) * z
    x = x / np.linalg.norm(x)
    T_old_new = rigid.from_rotation(np.stack([x, np.cross(z, x), z], axis=1), origin_m)
    return rigid.inverse(T_old_new)


def _looked_at(rig: CameraRig) -> Array:
    """The point nearest to all lines of sight; a metre before the cameras where these are parallel."""
    places = np.stack([camera.T_world_cam[:3, 3] for camera in rig.cameras])
    ahead = np.stack([camera.T_world_cam[:3, 2] for camera in rig.cameras])
    across = np.eye(3) - ahead[:, :, None] * ahead[:, None, :]
    A = across.sum(0)
    if np.linalg.cond(A) > 1e3:
        return np.asarray((places + ahead).mean(0))
    return np.linalg.solve(A, np.einsum("cij,cj->i", across, places))
