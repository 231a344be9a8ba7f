"""Captured motion, seen by random rigs through a detector that errs: unlimited multi-view 2D with known truth."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from configs.training import Faults, Motion, Rigs, Triangulated
from lifter.datasets.batch import Batch, batch_of
from lifter.datasets.bodies import tree, vary
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion_file import Clip
from lifter.skeleton import Skeleton

F64 = npt.NDArray[np.float64]
# How MediaPipe errs on the virtual actor (`benchmarks/lifter_actor.py`): noise grows with lost confidence, most at the
# wrists; its errors are correlated by 0.9 after 40 ms and 0.2 after half a second.
ARM, LEG = ("elbow", "wrist"), ("knee", "ankle", "toe")
SURE = 0.85  # confidences above it are of joints that are seen well
WORST = {"wrist": 12.0, "elbow": 7.0}  # times the noise that is added at confidence 0
WORST_OTHERS = 4.0
LASTING_SHARE = 0.7  # of the variance
ROOM_M = 1.5  # around the middle of a rig whose cameras are 3 m away
SPELL_FRAMES = 8  # a quarter of a second at 30 Hz


class MotionSource:
    """Random batches from clips; everything random comes from the generator that `draw` is given."""

    def __init__(self, clips: Sequence[Clip], skeleton: Skeleton, settings: Motion | Triangulated, window: int) -> None:
        """Window: consecutive frames of a sample (L). Raises DatasetError, also for a skeleton without one root."""
        tree(skeleton)
        kept = [clip for clip in clips if len(clip.joints_m) >= window]
        if not kept:
            raise DatasetError(f"no clip has {window} frames, which a window needs; use a smaller `window`")
        self.skeleton, self.settings = skeleton, settings
        self._joints_m = np.concatenate([clip.joints_m for clip in kept])
        begins = np.cumsum([0, *(len(clip.joints_m) for clip in kept)])
        self._starts = np.concatenate([np.arange(a, b - window + 1) for a, b in pairwise(begins)])
        self._window = np.arange(window)
        self.frames, self.labelled = len(self._joints_m), True
        self.cameras = self.fewest_cameras = settings.rigs.cameras

    def draw(self, samples: int, rng: np.random.Generator) -> Batch:
        """A batch of `samples` windows with bodies, rigs and faults drawn anew."""
        joints_m = vary(
            self._windows(samples, rng), self._windows(samples, rng), self.skeleton, self.settings.bodies, rng
        )
        joints_m[..., :2] -= _path(joints_m[:, :, self.skeleton.root, :2], rng)[:, :, None]
        return observe(joints_m, self.skeleton, self.settings.rigs, self.settings.faults, rng)

    def _windows(self, samples: int, rng: np.random.Generator) -> F64:
        at = self._starts[rng.integers(len(self._starts), size=samples)]
        return self._joints_m[at[:, None] + self._window].astype(np.float64)


def _path(root_m: F64, rng: np.random.Generator) -> F64:
    """What is taken off the floor position of windows (B, L, 2) to bring them to the middle of the rig, where it looks.

    Half of the samples move as they did, about their middle; the others, and those that would leave the middle by more
    than ROOM_M, move on the spot.
    """
    middle = root_m.mean(axis=1, keepdims=True)
    far = np.linalg.norm(root_m - middle, axis=-1).max(axis=1) > ROOM_M
    on_the_spot = far | (rng.random(len(root_m)) < 0.5)
    return np.where(on_the_spot[:, None, None], root_m, middle)


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
    erring = rng.random((B, C, 1, 1)) < faults.detector
    noise_px, detector_px = (rng.uniform(*bounds, (B, C, 1, 1)) for bounds in (faults.noise_px, faults.detector_px))
    confidence = np.where(erring, rng.uniform(SURE, 1.0, shape), 1.0)
    for limb, share in ((ARM, faults.arms_unsure), (LEG, faults.legs_unsure)):
        for side in ("left", "right"):
            joints = np.isin(skeleton.joints, [f"{side}_{part}" for part in limb])
            unsure = _lasting(rng.random((B, C, _spells(L), 1)) < share, L) & erring & joints
            sureness = _lasting(rng.uniform(0.05, 0.7, (B, C, _spells(L), 1)), L) + rng.uniform(-0.05, 0.05, shape)
            confidence = np.where(unsure, sureness, confidence)
    worst = np.array([WORST.get(joint.partition("_")[2], WORST_OTHERS) for joint in skeleton.joints])
    sigma_px = np.where(erring, detector_px * (1 + worst * (1 - confidence)), noise_px)
    displaced_px = sigma_px[..., None] * _noise(shape, erring, rng)
    legs = np.array([joint.endswith(LEG) for joint in skeleton.joints])
    hidden = (rng.random((B, C, 1, 1)) < faults.legs_hidden) & legs
    missing = _lasting(rng.random((B, C, _spells(L), J)) < faults.missing, L)
    confidence = np.where(erring & (hidden | missing), 0.0, confidence)
    if faults.outliers:
        angle, gone = rng.uniform(0, 2 * np.pi, shape), rng.random(shape) < faults.outliers
        outlier_px = faults.outlier_px * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        displaced_px = displaced_px + gone[..., None] * outlier_px
    return displaced_px, confidence


def _noise(shape: tuple[int, ...], erring: npt.NDArray[np.bool_], rng: np.random.Generator) -> F64:
    """Unit noise (B, C, L, J, 2): independent from frame to frame, or, where a detector errs, mostly lasting."""
    B, C, L, J = shape
    fresh = rng.standard_normal((*shape, 2))
    lasting = _lasting(rng.standard_normal((B, C, _spells(L), J, 2)), L)
    share = np.where(erring, LASTING_SHARE, 0.0)[..., None]
    return np.sqrt(1 - share) * fresh + np.sqrt(share) * lasting


def _spells(frames: int) -> int:
    return -(-frames // SPELL_FRAMES)


def _lasting(drawn: npt.NDArray[Any], frames: int) -> npt.NDArray[Any]:
    """(B, C, spells, …) to (B, C, frames, …): what was drawn for a spell holds for all of its frames."""
    return drawn.repeat(SPELL_FRAMES, axis=2)[:, :, :frames]
