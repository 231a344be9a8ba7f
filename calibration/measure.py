"""How well a rig fits what its cameras saw of a board: pixels of reprojection, millimetres between corners.

The board's shape is not used to place its corners, so the spacing is a measure independent of the pixels: a rig in the
wrong scale reprojects perfectly, and shows it there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.triangulate import REFERENCE_FOCAL_PX

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_DETERMINANT = 1e-9  # of the normal matrix over its scale cubed: rays nearer to parallel give no point


@dataclass(frozen=True)
class Spread:
    """px_p50, px_p95: of `count` distances in pixels, NaN of none. px_p50_at_1000: at a focal length of 1000 px."""

    count: int
    px_p50: float
    px_p95: float
    px_p50_at_1000: float


@dataclass(frozen=True)
class Spacing:
    """Millimetres between corners one square apart: `mm` is their median, NaN of none; error: from square_mm."""

    count: int
    square_mm: float
    mm: float
    sd_mm: float
    error_p95_mm: float


@dataclass(frozen=True, eq=False)
class Measures:
    """points_m: (T, K, 3) world, NaN where fewer than two cameras saw the corner.

    residual_px: (C, T, K, 2) seen minus reprojected, NaN where a camera did not see it or there is no point. instants:
    how many have a point. whole, cameras: of all residuals, and of each camera's.
    """

    points_m: Array
    residual_px: Array
    instants: int
    whole: Spread
    cameras: Mapping[str, Spread]
    spacing: Spacing


def measured(rig: CameraRig, board: CharucoBoard, sightings: BoardSightings, shift_px: Array | None = None) -> Measures:
    """Every corner that two or more cameras saw is triangulated by `triangulated` and reprojected with each lens.

    px_p50 is the median over all views of all corners (no instant and no camera weighs more than its corners) of the
    distance in pixels; spacing.mm is the median over all neighbouring corners and instants. So defined, Caliscope's
    calibrations of its own two sessions give 0.783 and 0.598 px, 53.87 and 54.13 mm. Frames of one instant are taken as
    simultaneous, unless shift_px (C, T, K, 2) says how far each corner moved in the picture since; it is subtracted.

    Cameras are matched by name. Raises CalibrationError on an unknown camera, or one whose pictures have another size.
    """
    rig = _of(sightings, rig)
    corners_px = sightings.corners_px if shift_px is None else sightings.corners_px - shift_px
    points_m = triangulated(rig, corners_px)
    return told_of(rig, board, points_m, corners_px - rig.project(points_m))


def told_of(rig: CameraRig, board: CharucoBoard, points_m: Array, residual_px: Array) -> Measures:
    """The figures of points (T, K, 3) and residuals (C, T, K, 2) of the rig's cameras, wherever they come from."""
    return Measures(
        points_m=points_m,
        residual_px=residual_px,
        instants=int(np.isfinite(points_m).all(-1).any(1).sum()),
        whole=spread_of(rig, residual_px),
        cameras={name: spread_of(rig.select((name,)), residual_px[c : c + 1]) for c, name in enumerate(rig.names)},
        spacing=_spacing(board, points_m),
    )


def triangulated(rig: CameraRig, points_px: Array) -> Array:
    """World points (..., 3) of pixels (C, ..., 2), NaN where fewer than two cameras see one.

    Linear, all views weighted alike (Hartley and Zisserman 12.2, the inhomogeneous form: unlike the homogeneous one it
    does not depend on where the world's origin lies).
    """
    rays = np.stack([camera.undistort(px) for camera, px in zip(rig.cameras, points_px, strict=True)])
    P = np.stack([camera.T_cam_world[:3] for camera in rig.cameras])
    A, b = np.zeros((*rays.shape[1:-1], 3, 3)), np.zeros((*rays.shape[1:-1], 3))
    seen = np.isfinite(rays).all(-1)
    for c in range(len(rays)):
        ray = np.where(seen[c][..., None], rays[c], 0.0)
        rows = (ray[..., None] * P[c, 2] - P[c, :2]) * seen[c][..., None, None]  # (..., 2, 4)
        A += np.einsum("...ri,...rj->...ij", rows[..., :3], rows[..., :3])
        b -= np.einsum("...ri,...r->...i", rows[..., :3], rows[..., 3])
    scale = np.trace(A, axis1=-2, axis2=-1) / 3
    known = (seen.sum(0) >= 2) & (np.linalg.det(A) > LEAST_DETERMINANT * scale**3)
    points = np.full(b.shape, np.nan)
    points[known] = np.linalg.solve(A[known], b[known][..., None])[..., 0]
    return points


def middles(points_m: Array) -> Array:
    """(T, 3) the middle of the points (T, K, 3) that are known at each instant; NaN where none is."""
    known = np.isfinite(points_m).all(-1)
    count = known.sum(-1)[:, None]
    total = np.where(known[..., None], points_m, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def spread_without(rig: CameraRig, points_px: Array) -> dict[str, Spread]:
    """How well the others agree on points (C, ..., 2) when one camera is left out: by the camera that is.

    A camera that is wrong makes the others wrong as well, as it pulls the points; without it, they agree.
    """
    told = {}
    for c, camera in enumerate(rig.cameras):
        others = CameraRig(tuple(other for other in rig.cameras if other is not camera))
        others_px = np.delete(points_px, c, axis=0)
        told[camera.name] = spread_of(others, others_px - others.project(triangulated(others, others_px)))
    return told


def spread_of(rig: CameraRig, residual_px: Array) -> Spread:
    """Of residuals (C, ..., 2) of these cameras; NaN ones do not count."""
    off_px = np.linalg.norm(residual_px, axis=-1).reshape(len(residual_px), -1)
    known = np.isfinite(off_px)
    if not known.any():
        return Spread(0, np.nan, np.nan, np.nan)
    focal_px = np.array([[(camera.K[0, 0] + camera.K[1, 1]) / 2] for camera in rig.cameras])
    scaled_px = off_px * (REFERENCE_FOCAL_PX / focal_px)
    px_p50, px_p95 = np.percentile(off_px[known], (50, 95))
    return Spread(int(known.sum()), float(px_p50), float(px_p95), float(np.median(scaled_px[known])))


def _of(sightings: BoardSightings, rig: CameraRig) -> CameraRig:
    """The rig of the cameras of the sightings, in their order."""
    chosen = rig.select(sightings.cameras)
    for camera, (width, height) in zip(chosen.cameras, sightings.sizes_wh, strict=True):
        if camera.size_wh != (width, height):
            calibrated = f"{camera.size_wh[0]}x{camera.size_wh[1]}"
            raise CalibrationError(
                f"camera {camera.name!r} is calibrated for pictures of {calibrated}, but the recording's are "
                f"{width}x{height}: record at the calibrated size, or calibrate it at this one"
            )
    return chosen


def _spacing(board: CharucoBoard, points_m: Array) -> Spacing:
    one, other = board.neighbours().T
    apart_mm = 1000 * np.linalg.norm(points_m[:, one] - points_m[:, other], axis=-1).ravel()
    apart_mm = apart_mm[np.isfinite(apart_mm)]
    square_mm = 1000 * board.square_m
    if not len(apart_mm):
        return Spacing(0, square_mm, np.nan, np.nan, np.nan)
    error_p95_mm = float(np.percentile(np.abs(apart_mm - square_mm), 95))
    return Spacing(len(apart_mm), square_mm, float(np.median(apart_mm)), float(apart_mm.std()), error_p95_mm)
