"""What the lifts of people in several views say, in the arrays that `person_kernel` takes. Axes as in `fuse`.

A lift is believed bone by bone: its vector from the parent joint, along the line of sight as the lift's own sigma grows
from one joint to the next, across it as the 2D leaves it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import MIN_DEPTH_M
from lifter.derive import derive_known
from lifter.merge import SIGMA_RAY, merge
from lifter.runtime import Lifter
from nodes.stages.body_tree import BodyTree
from nodes.stages.delivered import DeliveredRig
from nodes.stages.person_problem import Expected, Lengths

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GUESS_SIGMA_M = 0.2  # of a place that lifts alone give a person who was not there before
BONE_VARIANCE = 2.0  # along the line of sight, per axis-mean variance that a lift adds from parent to child
LEAST_BONE = 0.25  # of a joint's own sigma
ACROSS = 2.0  # times SIGMA_RAY: across, a lift repeats the 2D that it was made of
UNSEEN = 2.0  # times the bone's sigma: a lift that did not see the joint
LOOSE2 = 7.0  # in place of 3, which gives the mean variance by axis: along a line of sight more is unknown
SCALES = (0.6, 1.6)  # between children and giants
NEAREST_M = 0.3  # nobody is nearer to a camera, whatever is guessed


@dataclass(frozen=True)
class Lifts:
    """joints_cam_m (M, C, L, 3), sigma_m (M, C, L) of the lifter's L joints, NaN without a lift; and their 2D."""

    joints_cam_m: F64
    sigma_m: F64
    rays: F64
    confidence: F64


class Lifting:
    """A lifter, and where its joints are in the body's tree."""

    def __init__(self, lifter: Lifter, tree: BodyTree) -> None:
        self._lifter = lifter
        self._body = tree
        self._bone_of = np.flatnonzero((tree.lifted >= 0) & (tree.parent >= 0))

    def lift(self, rays: F64, confidence: F64, wanted: Bools, rig: DeliveredRig) -> Lifts:
        """Lift the wanted (M, C) of rays (M, C, J, 2) with confidence (M, C, J), in one batch."""
        m, c = np.nonzero(wanted)
        lifts = self._lifter.lift(rays[m, c], confidence[m, c], rig.R_cam_world[c, :, 2])
        n_joints = lifts.joints_cam_m.shape[1]
        joints = np.full((*wanted.shape, n_joints, 3), np.nan)
        sigma = np.full(joints.shape[:3], np.nan)
        joints[m, c], sigma[m, c] = lifts.joints_cam_m, lifts.sigma_m
        return Lifts(joints, sigma, *derive_known(rays, confidence, self._lifter.given, self._lifter.skeleton))

    def guess(self, lifts: Lifts, expected: Expected, rig: DeliveredRig) -> Expected:
        """For people of whom nothing was expected, where the lifts together put them."""
        new = ~(expected.witness[..., 0, 0] > 0).any(-1) & np.isfinite(lifts.joints_cam_m[..., 0, 0]).any(-1)
        if not new.any():
            return expected
        m, root = np.flatnonzero(new), self._lifter.skeleton.root
        of_m = (lifts.joints_cam_m[m], lifts.sigma_m[m], lifts.rays[m], lifts.confidence[m])
        merged = merge(*of_m, rig.R_cam_world, rig.centre_m, root)
        joints_m, information = expected.joints_m.copy(), expected.information.copy()
        of_tree = np.flatnonzero(self._body.lifted >= 0)
        placed = (merged.root_m[:, None] + merged.joints_m)[:, self._body.lifted[of_tree]]
        good = np.isfinite(placed).all(-1)
        joints_m[m[:, None], of_tree] = np.where(good[..., None], placed, 0.0)
        information[m[:, None], of_tree] = np.where(good, GUESS_SIGMA_M**-2, 0.0)[..., None, None] * np.eye(3)
        witness = np.where(new[:, None, None, None], information, expected.witness)
        return expected._replace(joints_m=joints_m, information=information, witness=witness)

    def bones(
        self, lifts: Lifts, expected: Expected, lengths: Lengths, noise_scale: float, rig: DeliveredRig
    ) -> tuple[F64, F64, F64]:
        """Vectors from the parents (M, C, N, 3) in world axes, scaled to the known lengths; information along the line
        of sight and across it (M, C, N)."""
        bone_of, sure = self._bone_of, lifts.confidence
        child, parent = self._body.lifted[bone_of], self._body.lifted[self._body.parent[bone_of]]
        there = np.isfinite(lifts.joints_cam_m[..., 0, 0])
        joints = np.where(there[..., None, None], lifts.joints_cam_m, 0.0) @ rig.R_cam_world  # from the right: world
        vectors = joints[:, :, child] - joints[:, :, parent]  # (M, C, B, 3)
        sigma2 = np.where(there[..., None], lifts.sigma_m, 1.0) ** 2
        added = np.maximum(sigma2[..., child] - sigma2[..., parent], LEAST_BONE**2 * sigma2[..., child])
        by_lift = there[..., None] / (BONE_VARIANCE * added)
        distance = np.maximum(np.linalg.norm(_middle(expected)[:, None] - rig.centre_m, axis=-1), NEAREST_M)
        both = np.minimum(sure[..., child], sure[..., parent])
        by_2d = there[..., None] * (both / (ACROSS * SIGMA_RAY * noise_scale * distance[..., None])) ** 2
        bone_m, along, across = (np.zeros((*there.shape, len(self._body.names), *more)) for more in ((3,), (), ()))
        bone_m[:, :, bone_of] = vectors * _scale(vectors, lengths, bone_of)[..., None, None]
        along[:, :, bone_of] = np.where(both > 0, by_lift, by_lift / UNSEEN**2)
        across[:, :, bone_of] = np.where(both > 0, by_2d, by_lift / UNSEEN**2)
        return bone_m, along, across


def far_off(rays: F64, expected: Expected, sigma: float, outlier_sigmas: float, rig: DeliveredRig) -> Bools:
    """(M, C, J): joints far from where they were expected, which would spoil the whole lift of their view.

    sigma: of a sure joint's ray.
    """
    information = expected.witness[:, : rays.shape[2]]
    there = information[..., 0, 0] > 0
    from_cam = expected.joints_m[:, None, : rays.shape[2]] - rig.centre_m[:, None]
    in_cam = np.einsum("cik,mcjk->mcji", rig.R_cam_world, from_cam)
    depth = np.maximum(in_cam[..., 2], MIN_DEPTH_M)
    off = np.linalg.norm(in_cam[..., :2] / depth[..., None] - rays, axis=-1)
    sigma_m = np.sqrt(LOOSE2 / np.maximum(np.einsum("mjii->mj", information), 1e-9))
    return there[:, None] & (off > outlier_sigmas * np.hypot(sigma_m[:, None] / depth, sigma))


def _scale(vectors: F64, lengths: Lengths, bone_of: npt.NDArray[np.int64]) -> F64:
    """(M, C): by what factor each lift must grow to fit the lengths that are known of its person's bones."""
    length = np.linalg.norm(vectors, axis=-1)
    informed = lengths.information[:, None, bone_of] * np.maximum(length, 0.05) ** -2  # of the ratio
    fit = (informed * lengths.length_m[:, None, bone_of] * length).sum(-1)
    ratio = fit / np.maximum((informed * length**2).sum(-1), 1e-12)
    return np.where(informed.sum(-1) > 0, np.clip(ratio, *SCALES), 1.0)


def _middle(expected: Expected) -> F64:
    """(M, 3): the middle of the joints that are expected somewhere, else the world's origin."""
    there = (expected.witness[..., 0, 0] > 0)[..., None]
    return np.where(there, expected.joints_m, 0.0).sum(1) / np.maximum(there.sum(1), 1)
