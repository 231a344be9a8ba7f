"""Where the world begins: z up, origin on the floor, x along a chosen direction. A rig moved there.

The old world is whatever the calibration came with, usually a camera's own frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

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
PITCH_WEIGHT = 0.002  # of views that are level, against level sides: it only decides where these leave up open
# What speaks against a way to mount cameras, beside sides that are not level (the square of their upward part): few
# cameras lie on their side or hang upside down (11 and 13 degrees), or look up; next to nothing against looking down.
ON_ITS_SIDE = 0.04
ON_ITS_HEAD = 0.05
LOOKS_UP = 0.2  # times the square of the view's upward part
LOOKS_DOWN = 0.01  # times its fourth power
OFF_LEVEL_DEG = 10.0  # beyond, somebody rolled a camera, or sides are level by chance: up is not known
LEAST_ACROSS = 0.05  # the sine between two axes: below, what is level to both is noise
CLEARLY = 0.5  # upward part of a side that stands upright: of a camera that looks straight down, none does


@dataclass(frozen=True, eq=False)
class Level:
    """Which way is up by the cameras: of each, the rows or the columns of its picture are level.

    up: (3,) in the rig's world. off_deg: by how much `worst`, the worst camera, is off level. sideways, upside_down:
    cameras whose pictures lie on their side, or stand on their heads.
    """

    up: Array
    off_deg: float
    worst: str
    sideways: tuple[str, ...]
    upside_down: tuple[str, ...]

    @property
    def known(self) -> bool:
        return self.off_deg <= OFF_LEVEL_DEG


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
    return frame_at(origin, x, z)


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
    return frame_at(origin_m, x, z)


def level_of(rig: CameraRig) -> Level:
    """Up by cameras that are mounted level: upright, on their side, or upside down, whichever agrees best.

    Of all ways to mount them, the one against which least speaks, see ON_ITS_SIDE. Two cameras are always level in
    some way, and several in many: such ones are taken to be upright.
    """
    sides, downs, aheads = (np.stack([camera.T_world_cam[:3, i] for camera in rig.cameras]) for i in range(3))
    settled = [_settled_up(sides, downs, aheads, z) for z in _ups(sides, downs)]
    _, z, on_side = min(settled, key=lambda found: found[0])
    off_deg = np.degrees(np.arcsin(np.minimum(np.abs(np.where(on_side[:, None], downs, sides) @ z), 1.0)))
    worst = int(np.argmax(off_deg))
    return Level(z, float(off_deg[worst]), rig.names[worst], *mounted(rig, z))


def mounted(rig: CameraRig, up: Array) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cameras whose pictures lie on their side, and those whose stand on their heads, where `up` (3,) is up."""
    right = {camera.name: float(camera.T_world_cam[:3, 0] @ up) for camera in rig.cameras}
    down = {camera.name: float(camera.T_world_cam[:3, 1] @ up) for camera in rig.cameras}
    sideways = tuple(name for name in rig.names if abs(right[name]) > max(CLEARLY, abs(down[name])))
    return sideways, tuple(name for name in rig.names if down[name] > CLEARLY and name not in sideways)


def _ups(sides: Array, downs: Array) -> Iterator[Array]:
    """Directions (3,) to which axes of two cameras are level; and the cameras' own, where all are parallel."""
    yield from downs
    yield from sides
    for a, b in combinations(range(len(sides)), 2):
        for one in (sides[a], downs[a]):
            for other in (sides[b], downs[b]):
                across = np.cross(one, other)
                if (length := np.linalg.norm(across)) > LEAST_ACROSS:
                    yield across / length


def _settled_up(sides: Array, downs: Array, aheads: Array, z: Array) -> tuple[float, Array, npt.NDArray[np.bool_]]:
    """What speaks against the way of mounting that z suggests, its up (3,), and which cameras (C,) lie on their side.

    Of the two ends of up, the better one.
    """
    on_side = (sides @ z) ** 2 > (downs @ z) ** 2 + ON_ITS_SIDE
    level = np.where(on_side[:, None], downs, sides)
    z = np.linalg.eigh(level.T @ level + PITCH_WEIGHT * aheads.T @ aheads)[1][:, 0]
    against = float(((level @ z) ** 2).sum() + ON_ITS_SIDE * on_side.sum())
    cost, up = min(((_of_ends(downs[~on_side] @ end, aheads @ end), end) for end in (z, -z)), key=lambda one: one[0])
    return against + cost, up, on_side


def _of_ends(down: Array, ahead: Array) -> float:
    """What speaks against pictures whose own down, and views that, have these upward parts."""
    views = LOOKS_UP * np.maximum(ahead, 0.0) ** 2 + LOOKS_DOWN * np.minimum(ahead, 0.0) ** 4
    return float(ON_ITS_HEAD * (down > CLEARLY).sum() + views.sum())


def from_cameras(rig: CameraRig, camera: str, height_m: float) -> Array:
    """T_new_old (4, 4) of cameras that are mounted level, see `level_of`. `camera` is height_m high.

    Origin: below where the cameras look; x towards that camera. Raises CalibrationError on an unknown camera, when that
    camera stands where the origin would be, or when cameras are not level.
    """
    level = level_of(rig)
    if not level.known:
        raise CalibrationError(
            f"up is not known by the cameras: however the others are mounted, {level.worst} is rolled by "
            f"{level.off_deg:.0f} degrees. Lay the board on the floor (--board-on-floor) or pick points (--points)"
        )
    return from_up(rig, level.up, camera, height_m)


def from_up(rig: CameraRig, up: Array, camera: str, height_m: float) -> Array:
    """As `from_cameras`, with up (3,) told. Raises CalibrationError as well, but not for cameras that are rolled."""
    place = rig[camera].T_world_cam[:3, 3]
    middle = _looked_at(rig)
    origin = middle - ((middle - place) @ up + height_m) * up
    towards = place - origin
    if np.linalg.norm(towards - (towards @ up) * up) < LEAST_APART_M:
        raise CalibrationError(
            f"the cameras look at a place right below {camera!r}, which gives no direction: name another camera"
        )
    return frame_at(origin, towards, up)


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


def frame_at(origin_m: Array, x: Array, z: Array) -> Array:
    """T_new_old (4, 4) of a frame with this origin (3,), z, and x as near to the given one as z lets."""
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
