"""Compiling the kernels before the first tick, which would wait for seconds; afterwards they are cached."""

import numpy as np

from calibration.triangulate import RigArrays
from configs.schema import Smoothing
from lifter.skeleton import Skeleton
from nodes.stages import between_kernel
from nodes.stages.body_tree import BodyTree
from nodes.stages.evidence import weigh
from nodes.stages.fuse import Fuser, Seen
from nodes.stages.lifting import warm_up_lifting
from nodes.stages.matching import Detected, Predicted, match_tracks
from nodes.stages.newcomers import find_newcomers
from nodes.stages.people import Person, known_of
from nodes.stages.person_problem import Lengths
from nodes.stages.sides import sides_of
from nodes.stages.swaps import repair_swaps


def warm_up(rig: RigArrays, skeleton: Skeleton) -> None:
    """Run every kernel of association once, on two people in each view who are nobody."""
    n_cameras, n_joints = len(rig.K), len(skeleton.joints)
    spread = np.linspace(-0.2, 0.2, 2 * n_joints).reshape(n_joints, 2)
    rays = np.broadcast_to(spread, (n_cameras, 2, n_joints, 2)) + np.array([0.0, 0.5])[:, None, None]
    detected = Detected(rays, np.ones(rays.shape[:3]), np.full((n_cameras, 2), -1))
    predicted = Predicted(np.ones((2, n_joints, 3)), np.ones((2, n_joints)), np.arange(2))
    matched = match_tracks(rig, detected, predicted, skeleton)
    find_newcomers(rig, detected, np.ones((n_cameras, 2), dtype=np.bool_), skeleton)
    people = rays.transpose(1, 0, 2, 3), detected.confidence.transpose(1, 0, 2)
    repair_swaps(rig, *people, predicted.joints_m, predicted.sigma_m, skeleton)
    weigh(rig, *people, matched.free, skeleton)
    flat, sure = np.zeros((1, n_joints, 2), dtype=np.float32), np.ones((1, n_joints), dtype=np.float32)
    sides = sides_of(skeleton)
    between_kernel.distances(flat, sure, flat, sure, sides.mirror)
    pairs = np.zeros((1, 2), dtype=np.int64)
    between_kernel.blend(flat, sure, flat, sure, pairs, sides.mirror, sides.parts, 0.5, 0.03)


def warm_up_solver(fuser: Fuser, smoothing: Smoothing, tree: BodyTree) -> None:
    """Run the kernels of the solver and of the filter once, on nobody."""
    shape = (1, len(fuser.arrays.K), tree.n_shown)
    fuser.arrays.rays(np.zeros((shape[1], 1, 2)))
    nothing = Seen(np.full((*shape, 2), np.nan), np.zeros(shape), np.ones(shape[:2]))
    known = known_of([None], 0, tree)
    warm_up_lifting(known.expected, Lengths(known.length_m, known.length_information), shape)
    fused = fuser.fuse(nothing, known)
    Person(smoothing, tree).take(0, fused, fused, 0, was_shown=True)
