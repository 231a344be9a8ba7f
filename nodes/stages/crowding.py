"""How much less a view says of people who overlap in it: a crop then has joints of both. Pure.

Measured (docs/people.md): 4 px off (RMS) who is alone, 12 and 20 px where two overlap. Such detections agree with
nobody and drag both people towards each other; the views from the side see both well, and so they shall count for more.
"""

import numpy as np
import numpy.typing as npt

from calibration.triangulate import RigArrays

F64 = npt.NDArray[np.float64]

OVERLAP_M = 0.6  # between the middles of two bodies, across the line of sight: shoulders touch
IN_FRONT, BEHIND = 2.0, 4.0  # times the noise of somebody alone
MIN_DEPTH_M = 0.1


def crowding(rig: RigArrays, joints_m: F64) -> F64:
    """(M, C): by what factor the noise of each person's joints rises in each view for others who are there.

    joints_m: (M, J, 3) where they are expected, world, NaN where unknown.
    """
    n_people, n_cameras = len(joints_m), len(rig.Ts_cam_world)
    if n_people < 2:
        return np.ones((n_people, n_cameras))
    known = np.isfinite(joints_m).all(axis=2, keepdims=True)
    count = known.sum(axis=1)
    middle_m = np.where(known, joints_m, 0.0).sum(axis=1) / np.where(count > 0, count, np.nan)
    cam_m = middle_m @ rig.Ts_cam_world[:, :, :3].transpose(0, 2, 1) + rig.Ts_cam_world[:, None, :, 3]
    depth_m = np.where(cam_m[..., 2] > MIN_DEPTH_M, cam_m[..., 2], np.nan)
    rays = cam_m[..., :2] / depth_m[..., None]
    across_m = np.linalg.norm(rays[:, :, None] - rays[:, None], axis=3) * depth_m[:, :, None]
    meets = (across_m < OVERLAP_M) & ~np.eye(n_people, dtype=np.bool_)  # NaN meets nobody
    is_behind = meets & (depth_m[:, None] < depth_m[:, :, None])
    return np.asarray(np.where(is_behind.any(axis=2), BEHIND, np.where(meets.any(axis=2), IN_FRONT, 1.0)).T)
