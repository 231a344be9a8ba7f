"""What the lifts of people in several views say, in the arrays that `person_kernel` takes. Axes as in `fuse`.

A lift is believed bone by bone: its vector from the parent joint, along the line of sight as the lift's own sigma grows
from one joint to the next, across it as the 2D leaves it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lifter.merge import merge
from lifter.runtime import Lifter
from nodes.stages import lifting_kernel as kernel
from nodes.stages.body_tree import BodyTree
from nodes.stages.delivered import DeliveredRig
from nodes.stages.person_problem import Expected, Lengths

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GUESS_SIGMA_M = 0.2  # of a place that lifts alone give a person who was not there before


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
        self._of_lift = np.stack([tree.lifted[self._bone_of], tree.lifted[tree.parent[self._bone_of]]], axis=1)

    def lift(self, rays: F64, confidence: F64, wanted: Bools, rig: DeliveredRig) -> Lifts:
        """Lift the wanted (M, C) of rays (M, C, J, 2) with confidence (M, C, J), in one batch."""
        m, c = np.nonzero(wanted)
        rays, confidence = self._own(rays, confidence)
        lifts = self._lifter.lift_own(rays[m, c], confidence[m, c], rig.R_cam_world[c, :, 2])
        n_joints = lifts.joints_cam_m.shape[1]
        joints = np.full((*wanted.shape, n_joints, 3), np.nan)
        sigma = np.full(joints.shape[:3], np.nan)
        joints[m, c], sigma[m, c] = lifts.joints_cam_m, lifts.sigma_m
        return Lifts(joints, sigma, rays, confidence)

    def _own(self, rays: F64, confidence: F64) -> tuple[F64, F64]:
        """The 2D (M, C, L, 2) and its confidence (M, C, L) of the lifter's joints."""
        people, cameras, joints = confidence.shape
        x, sure = self._lifter.own(rays.reshape(-1, joints, 2), confidence.reshape(-1, joints))
        return x.reshape(people, cameras, -1, 2), sure.reshape(people, cameras, -1)

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
        return kernel.bones(
            lifts.joints_cam_m,
            lifts.sigma_m,
            np.ascontiguousarray(lifts.confidence, dtype=np.float64),
            expected,
            lengths,
            self._of_lift,
            self._bone_of,
            noise_scale,
            rig.R_cam_world,
            rig.centre_m,
        )


def far_off(rays: F64, expected: Expected, sigma: float, outlier_sigmas: float, rig: DeliveredRig) -> Bools:
    """(M, C, J): joints far from where they were expected, which would spoil the whole lift of their view.

    sigma: of a sure joint's ray.
    """
    rays = np.ascontiguousarray(rays, dtype=np.float64)
    return kernel.far_off(rays, expected, sigma, outlier_sigmas, rig.R_cam_world, rig.centre_m)


def warm_up_lifting(expected: Expected, lengths: Lengths, shape: tuple[int, int, int]) -> None:
    """Run the kernels once, on nobody; also without a lifter, as they are compiled before one is loaded."""
    people, cameras, _ = shape
    R_cam_world, centre_m = np.zeros((cameras, 3, 3)), np.zeros((cameras, 3))
    kernel.far_off(np.zeros((*shape, 2)), expected, 1.0, 1.0, R_cam_world, centre_m)
    no_bones = np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.int64)
    lifted_m, sigma_m = np.zeros((people, cameras, 1, 3)), np.zeros((people, cameras, 1))
    kernel.bones(lifted_m, sigma_m, sigma_m, expected, lengths, *no_bones, 1.0, R_cam_world, centre_m)
