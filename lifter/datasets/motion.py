"""Captured motion, seen by random rigs through a detector that errs: unlimited multi-view 2D with known truth."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from configs.training import Faults, Motion, Rigs
from lifter.datasets.batch import Batch, batch_of
from lifter.datasets.bodies import vary
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion_file import Clip
from lifter.skeleton import Skeleton

F64 = npt.NDArray[np.float64]
FAULT_FRAMES = 8  # faults of a joint last about so long: a quarter of a second at 30 Hz


class MotionSource:
    """Random batches from clips; everything random comes from the generator that `draw` is given."""

    def __init__(self, clips: Sequence[Clip], skeleton: Skeleton, settings: Motion, window: int) -> None:
        """Window: consecutive frames of a sample (L)."""
        kept = [clip for clip in clips if len(clip.joints_m) >= window]
        if not kept:
            raise DatasetError(f"no clip has {window} frames, which a window needs; use a smaller `window`")
        self.skeleton, self.settings = skeleton, settings
        self._joints_m = np.concatenate([clip.joints_m for clip in kept])
        begins = np.cumsum([0, *(len(clip.joints_m) for clip in kept)])
        self._starts = np.concatenate([np.arange(a, b - window + 1) for a, b in zip(begins, begins[1:], strict=False)])
        self._window = np.arange(window)
        self.frames = len(self._joints_m)

    def draw(self, samples: int, rng: np.random.Generator) -> Batch:
        """A batch of `samples` windows with bodies, rigs and faults drawn anew."""
        joints_m = vary(
            self._windows(samples, rng), self._windows(samples, rng), self.skeleton, self.settings.bodies, rng
        )
        joints_m[..., :2] -= joints_m[:, :1, self.skeleton.root, None, :2]
        return observe(joints_m, self.skeleton, self.settings.rigs, self.settings.faults, rng)

    def _windows(self, samples: int, rng: np.random.Generator) -> F64:
        at = self._starts[rng.integers(len(self._starts), size=samples)]
        return self._joints_m[at[:, None] + self._window].astype(np.float64)


def observe(joints_m: F64, skeleton: Skeleton, rigs: Rigs, faults: Faults, rng: np.random.Generator) -> Batch:
    """Joints (B, L, J, 3), world, seen by a new rig per sample."""
    centre_m, R_cam_world = random_cameras(len(joints_m), rigs, rng)
    in_cam = np.einsum("bcij,blkj->bclki", R_cam_world, joints_m, optimize=True)
    in_cam -= np.einsum("bcij,bcj->bci", R_cam_world, centre_m)[:, :, None, None]
    rays = in_cam[..., :2] / np.where(in_cam[..., 2:] > 0.1, in_cam[..., 2:], np.nan)
    noise_px, confidence = _faults(rays.shape[:-1], skeleton, faults, rng)
    rays = rays + noise_px / rigs.focal_px
    tilt_known = rng.random(len(joints_m)) >= rigs.unknown_tilt
    return batch_of(rays, confidence, R_cam_world, centre_m, joints_m, tilt_known)


def random_cameras(samples: int, rigs: Rigs, rng: np.random.Generator) -> tuple[F64, F64]:
    """Centres (B, C, 3) and R_cam_world (B, C, 3, 3) of upright cameras all around that look at (0, 0, 1)."""
    shape = (samples, rigs.cameras)
    azimuth = (np.arange(rigs.cameras) + rng.uniform(-0.25, 0.25, shape)) / rigs.cameras + rng.random((samples, 1))
    azimuth *= 2 * np.pi
    radius_m, height_m = rng.uniform(*rigs.distance_m, shape), rng.uniform(*rigs.height_m, shape)
    centre_m = np.stack([radius_m * np.cos(azimuth), radius_m * np.sin(azimuth), height_m], axis=-1)
    z = np.array([0.0, 0.0, 1.0]) - centre_m
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return centre_m, np.stack([x, np.cross(z, x), z], axis=-2)


def _faults(shape: tuple[int, ...], skeleton: Skeleton, faults: Faults, rng: np.random.Generator) -> tuple[F64, F64]:
    """Displacements (B, C, L, J, 2) in pixels and confidences (B, C, L, J) of a detector with these faults."""
    B, C, L, J = shape
    sigma_px = np.broadcast_to(rng.uniform(*faults.noise_px, (B, C, 1, 1)), shape)
    confidence = np.ones(shape)
    if faults.unsure:
        unsure = _lasting(shape, faults.unsure, rng)
        confidence = np.where(unsure, rng.uniform(0.1, 0.7, shape), rng.uniform(0.7, 1.0, shape))
        sigma_px = np.where(unsure, sigma_px * (1 + 4 * (1 - confidence)), sigma_px)
    if faults.missing:
        confidence = np.where(_lasting(shape, faults.missing, rng), 0.0, confidence)
    if faults.legs_hidden:
        legs = np.array([joint.endswith(("knee", "ankle", "toe")) for joint in skeleton.joints])
        confidence = np.where((rng.random((B, C, 1, 1)) < faults.legs_hidden) & legs, 0.0, confidence)
    noise_px = sigma_px[..., None] * rng.standard_normal((*shape, 2))
    if faults.outliers:
        angle = rng.uniform(0, 2 * np.pi, shape)
        length_px = faults.outlier_px * (rng.random(shape) < faults.outliers)
        noise_px = noise_px + length_px[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return noise_px, confidence


def _lasting(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """True for the given share of joints, for FAULT_FRAMES frames at a time."""
    B, C, L, J = shape
    drawn = rng.random((B, C, -(-L // FAULT_FRAMES), J)) < share
    return drawn.repeat(FAULT_FRAMES, axis=2)[:, :, :L]
