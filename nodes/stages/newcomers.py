"""People whom nobody follows yet: detections of different views that agree on one body.

Every two views are compared, detection with detection (lines of sight of the same joint meet); from the pair that
agrees best on, a group grows by the view that fits it best. So the cost is quadratic in views, never more. Two views
agree by chance now and then: a body has a person's size and bones, and most of the views that should see it must.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from calibration.triangulate import RigArrays
from lifter.skeleton import Skeleton
from nodes.stages import newcomers_kernel as kernel
from nodes.stages.matching import Detected
from nodes.stages.sides import sides_of

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Newcomers:
    """N new people.

    who: (N, C) index of the detection in each view, -1 for none. mirrored: (N, C) views whose left and right are the
    other way round than in most. joints_m: (N, J, 3) roughly, world, NaN where fewer than two views see it; all NaN for
    somebody seen by one view. sigma_m: (N, J), inf there. misfit: (N,) how badly the views agree, 1 where each is off
    by as much as bad detectors are, NaN for one view. crowd: (N,) mean number of free detections in its views, with it.
    """

    who: Ints
    mirrored: Flags
    joints_m: F64
    sigma_m: F64
    misfit: F64
    crowd: F64

    @property
    def unrivalled(self) -> Flags:
        """(N,) nobody else was free in any of its views."""
        return np.asarray(self.crowd <= 1)

    def only(self, which: Flags) -> "Newcomers":
        """Those of which (N,) is true."""
        return Newcomers(*(values[which] for values in vars(self).values()))

    @property
    def n_views(self) -> Ints:
        """(N,) how many views each one is seen by."""
        return np.asarray((self.who >= 0).sum(axis=1))


def find_newcomers(
    rig: RigArrays,
    detected: Detected,
    free: Flags,
    skeleton: Skeleton,
    present: Flags | None = None,
    min_confidence: float = 0.3,
) -> Newcomers:
    """Group the free detections (C, P) into people.

    present: (C,) views that take part in this instant, all by default. With one only, each of its free detections is
    somebody; with more, what a single view sees is nobody yet.
    """
    here = np.ones(len(free), dtype=np.bool_) if present is None else present
    free = free & here[:, None]
    if here.sum() == 1:
        return _singles(free, len(skeleton.joints))
    if free.any(axis=1).sum() < 2:
        return _nobody(len(free), len(skeleton.joints))
    scene = make_scene(rig, detected, skeleton, min_confidence)
    pairs, distances = kernel.pair_scores(scene, free)
    order = np.argsort(-pairs[:, 5], kind="stable")
    found = kernel.groups(scene, free, pairs[order], distances[order])
    return _gathered(found, len(free), len(skeleton.joints), free)


def make_scene(rig: RigArrays, detected: Detected, skeleton: Skeleton, min_confidence: float) -> kernel.Scene:
    """What the kernel searches in."""
    R_world_cam = rig.Ts_cam_world[:, :, :3].transpose(0, 2, 1)
    centres = -(R_world_cam @ rig.Ts_cam_world[:, :, 3:])[..., 0]
    rays = np.ascontiguousarray(detected.rays, dtype=np.float64)
    ahead = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1)
    directions = np.ascontiguousarray(ahead @ rig.Ts_cam_world[:, None, :, :3])  # from the right: world axes
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    bones = np.array(skeleton.bones, dtype=np.int64).reshape(-1, 2)
    weight, mirror = np.ascontiguousarray(detected.weight(min_confidence)), sides_of(skeleton).mirror
    return kernel.Scene(rig.Ts_cam_world, rig.seen_as_pinhole(), centres, directions, rays, weight, mirror, bones)


def _singles(free: Flags, n_joints: int) -> Newcomers:
    """Each free detection of the only view there is."""
    cameras, found = np.nonzero(free)
    n = len(found)
    who = np.full((n, len(free)), -1)
    who[np.arange(n), cameras] = found
    nowhere = np.full((n, n_joints, 3), np.nan)
    unknown = np.full((n, n_joints), np.inf)
    as_is, crowd = np.zeros(who.shape, dtype=np.bool_), np.full(n, float(n))
    return Newcomers(who, as_is, nowhere, unknown, np.full(n, np.nan), crowd)


@cache
def _nobody(n_cameras: int, n_joints: int) -> Newcomers:
    """The usual case."""
    return _gathered([], n_cameras, n_joints, np.zeros((n_cameras, 0), dtype=np.bool_))


def _gathered(found: list[kernel.Group], n_cameras: int, n_joints: int, free: Flags) -> Newcomers:
    n = len(found)
    who = np.array([group.who for group in found], dtype=np.int64).reshape(n, n_cameras)
    n_free = np.where(who >= 0, free.sum(axis=1), 0)
    return Newcomers(
        who=who,
        mirrored=np.array([group.mirrored for group in found], dtype=np.bool_).reshape(n, n_cameras),
        joints_m=np.array([group.joints_m for group in found], dtype=np.float64).reshape(n, n_joints, 3),
        sigma_m=np.array([group.sigma_m for group in found], dtype=np.float64).reshape(n, n_joints),
        misfit=np.array([group.misfit[0] for group in found], dtype=np.float64),
        crowd=n_free.sum(axis=1) / np.maximum((who >= 0).sum(axis=1), 1),
    )
