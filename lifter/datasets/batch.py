"""What a training step is given: B samples of L consecutive frames, each seen by C cameras. Numpy only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lifter.normalise import normalise

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """Axes: B samples, C cameras, L frames, J joints. Absent joints have weight 0 and finite filler everywhere else."""

    keypoints: F32  # (B, C, L, J, 3) network input
    context: F32  # (B, C, L, 3) network input
    R_world_view: F32  # (B, C, L, 3, 3)
    rays: F32  # (B, C, L, J, 2) undistorted x/z, y/z in the camera
    weight: F32  # (B, C, L, J) confidence; 0 where absent, and in views that have too little to lift
    R_cam_world: F32  # (B, C, 3, 3)
    centre_m: F32  # (B, C, 3) of the camera, world
    joints_m: F32  # (B, L, J, 3) truth, world; NaN where there is none


def batch_of(
    rays: F64, confidence: F64, R_cam_world: F64, centre_m: F64, joints_m: F64, tilt_known: npt.NDArray[np.bool_]
) -> Batch:
    """A batch from rays (B, C, L, J, 2), confidence (B, C, L, J) and cameras (B, C, …).

    tilt_known (B,): whether the network is told which way is up. Rays are finite or NaN; NaN is absent.
    """
    B, C, L, J, _ = rays.shape
    seen = np.isfinite(rays).all(-1) & (confidence > 0)
    up_cam = np.where(tilt_known[:, None, None], R_cam_world[..., 2], np.nan)
    up_rows = np.broadcast_to(up_cam[:, :, None], (B, C, L, 3)).reshape(-1, 3)
    views = normalise(rays.reshape(-1, J, 2), np.where(seen, confidence, 0.0).reshape(-1, J), up_rows)
    R_cam_view = views.R_cam_view.reshape(B, C, L, 3, 3)
    return Batch(
        views.keypoints.reshape(B, C, L, J, 3),
        views.context.reshape(B, C, L, 3),
        np.einsum("bcji,bcljk->bclik", R_cam_world, R_cam_view).astype(np.float32),
        np.where(seen[..., None], rays, 0.0).astype(np.float32),
        np.where(seen & views.valid.reshape(B, C, L, 1), confidence, 0.0).astype(np.float32),
        R_cam_world.astype(np.float32),
        centre_m.astype(np.float32),
        joints_m.astype(np.float32),
    )
