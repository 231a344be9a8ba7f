"""Whether what people were given in the views is more than chance: strangers who stand alike agree now and then."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.triangulate import RigArrays
from lifter.skeleton import Skeleton
from nodes.stages import newcomers_kernel as kernel
from nodes.stages.matching import Detected
from nodes.stages.newcomers import make_scene

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SURE_VIEWS = 3  # so many that agree better than by chance show that somebody is there
# `Newcomers.misfit` that chance seldom reaches, times the root of how many detections there were to choose from: about
# two of a pose's dimensions are left to chance, so the best of N strangers is off by 1/√N. 0.3 (6 px of noise) for 40,
# which then make a group in 20 ticks; 1.3 for 2.
CHANCE = 1.9
CHANCE_OF_PAIRS = 1.0  # the same for two views: of each joint, only a quarter of what they say is tested


@dataclass(frozen=True)
class Evidence:
    """Of K people: agrees (K, C), the views that fit what all say together; a lone view agrees with itself.

    misfit (K,): how badly they fit, as `Newcomers.misfit`; NaN for fewer than two, or where there was nothing to
    choose from. crowd (K,): mean number of detections there were to choose from in these views. outvoted (K,): most of
    the views that should see it have only others.
    """

    agrees: Flags
    misfit: F64
    crowd: F64
    outvoted: Flags

    @property
    def doubted(self) -> Flags:
        """(K,) people who may be there by chance alone: one view of several detections counts as that, too."""
        n_views = self.agrees.sum(axis=1)
        by_chance = np.where(n_views >= 2, self.misfit >= chance_misfit(self.crowd, n_views), self.crowd > 1)
        return np.asarray(by_chance | self.outvoted | (n_views == 0))


def chance_misfit(crowd: npt.ArrayLike, n_views: npt.ArrayLike) -> F64:
    """The misfit that the best of so many strangers in each of the views may well have; nobody to choose from: inf."""
    chance = np.where(np.asarray(n_views) >= 3, CHANCE, CHANCE_OF_PAIRS)
    limit: F64 = np.where(np.asarray(crowd) <= 1, np.inf, chance / np.sqrt(np.maximum(crowd, 1)))
    return limit


def weigh(
    rig: RigArrays, rays: F64, confidence: F64, free: Flags, skeleton: Skeleton, min_confidence: float = 0.3
) -> Evidence:
    """Judge each person's detections, rays (K, C, J, 2) and confidence (K, C, J), left and right put right.

    free (C, P): detections that nobody has, as `Matched.free`.
    """
    n_people, _, n_joints = confidence.shape
    if not free.any():
        seen = (confidence >= max(min_confidence, 1e-9)).any(axis=2)
        return Evidence(seen, np.full(n_people, np.nan), np.ones(n_people), np.zeros(n_people, dtype=np.bool_))
    scene = _scene(rig, rays, confidence, skeleton, min_confidence)
    seen = (scene.weight > 0).any(axis=2).T
    agrees, misfit, outvoted = seen.copy(), np.full(n_people, np.nan), np.zeros(n_people, dtype=np.bool_)
    for k in np.flatnonzero(seen.sum(axis=1) >= 2):
        group = kernel.new_group(np.where(seen[k], k, -1), n_joints)
        n_agree, n_should = kernel.agreement(scene, group, free)
        agrees[k], misfit[k], outvoted[k] = group.who >= 0, group.misfit[0], 2 * n_agree <= n_should
    n_candidates = np.where(agrees, free.sum(axis=1) + 1, 0).sum(axis=1)
    return Evidence(agrees, misfit, n_candidates / np.maximum(agrees.sum(axis=1), 1), outvoted)


def doubles(
    rig: RigArrays, rays: F64, confidence: F64, skeleton: Skeleton, min_confidence: float = 0.3
) -> list[tuple[int, int]]:
    """Pairs of people, rays and confidence as for `weigh`, who are one: no view shows both, and three or more that show
    either agree on one body."""
    seen = (confidence >= max(min_confidence, 1e-9)).any(axis=2)
    n_views = seen.sum(axis=1)
    may_be = ~(seen[:, None] & seen).any(axis=2) & (n_views > 0) & (n_views > 0)[:, None]
    may_be &= n_views + n_views[:, None] >= SURE_VIEWS
    pairs = np.argwhere(np.triu(may_be, 1))
    if not len(pairs):
        return []
    scene = _scene(rig, rays, confidence, skeleton, min_confidence)
    together = [np.where(seen[one], one, np.where(seen[other], other, -1)) for one, other in pairs]
    return [(int(one), int(other)) for (one, other), who in zip(pairs, together, strict=True) if _is_one(scene, who)]


def _is_one(scene: kernel.Scene, who: Ints) -> bool:
    """Whether these detections (C,) all agree on one body."""
    n_views = int((who >= 0).sum())
    group = kernel.new_group(who, scene.weight.shape[2])
    n_agree, _ = kernel.agreement(scene, group, np.zeros(scene.weight.shape[:2], dtype=np.bool_))
    return n_agree == n_views and bool(group.misfit[0] <= kernel.MAX_MISFIT)


def _scene(rig: RigArrays, rays: F64, confidence: F64, skeleton: Skeleton, min_confidence: float) -> kernel.Scene:
    """People in the place of detections: each has the same number in every view."""
    unasked = np.full(confidence.shape[1::-1], -1)
    people = Detected(rays.transpose(1, 0, 2, 3), confidence.transpose(1, 0, 2), unasked)
    return make_scene(rig, people, skeleton, min_confidence)
