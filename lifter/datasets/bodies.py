"""More bodies and postures than were recorded: sizes, sides, limbs of other frames, bodies turned over.

All functions take joints (B, L, J, 3) in world metres, z up, of body17 or any other skeleton with the limb joints whose
bones all hang from its root (not coco17 and mediapipe33, which `tree` refuses).
"""

import numpy as np
import numpy.typing as npt

from configs.training import Bodies
from lifter.datasets.errors import DatasetError
from lifter.skeleton import Skeleton

F64 = npt.NDArray[np.float64]
LEGS = ("hip", "knee", "ankle", "toe")
ARM = ("elbow", "wrist")


def vary(joints_m: F64, others_m: F64, skeleton: Skeleton, settings: Bodies, rng: np.random.Generator) -> F64:
    """New bodies of B samples. others_m (B, L, J, 3): the samples that legs and arms are borrowed from."""
    x = joints_m.copy()
    mirrored = rng.random(len(x)) < settings.mirrored
    x[mirrored] = x[mirrored][:, :, list(skeleton.mirror)] * [1.0, -1.0, 1.0]
    _borrow_legs(x, others_m, skeleton, rng.random(len(x)) < settings.legs_of_another)
    for side in ("left", "right"):
        others_m = np.roll(others_m, 1, axis=0)
        _borrow_arm(x, others_m, skeleton, side, rng.random(len(x)) < settings.arms_of_another)
    if settings.bent:
        _bend_limbs(x, skeleton, settings, rng)
    tilted = rng.random(len(x)) < settings.tilted
    x[tilted] = _turn_over(x[tilted], np.deg2rad(settings.tilt_deg), rng)
    return _resize(x, skeleton, settings, rng)


def _borrow_legs(x: F64, others: F64, skeleton: Skeleton, chosen: npt.NDArray[np.bool_]) -> None:
    """Hips and legs of another frame, turned about the vertical until the hips point the same way."""
    left, right = skeleton.index("left_hip"), skeleton.index("right_hip")
    legs = [skeleton.joints.index(f"{s}_{p}") for s in ("left", "right") for p in LEGS if f"{s}_{p}" in skeleton.joints]
    across, theirs = x[..., left, :] - x[..., right, :], others[..., left, :] - others[..., right, :]
    angle = np.arctan2(across[..., 1], across[..., 0]) - np.arctan2(theirs[..., 1], theirs[..., 0])
    cos, sin = np.cos(angle), np.sin(angle)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    turn = np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=-1).reshape(*cos.shape, 3, 3)
    middle = (x[..., left, :] + x[..., right, :]) / 2
    their_middle = (others[..., left, :] + others[..., right, :]) / 2
    moved = np.einsum("blij,blkj->blki", turn, others[:, :, legs] - their_middle[:, :, None]) + middle[:, :, None]
    x[:, :, legs] = np.where(chosen[:, None, None, None], moved, x[:, :, legs])


def _borrow_arm(x: F64, others: F64, skeleton: Skeleton, side: str, chosen: npt.NDArray[np.bool_]) -> None:
    """Elbow and wrist of another frame, in the same attitude to the trunk."""
    turn = np.einsum("blij,blkj->blik", _trunk(x, skeleton), _trunk(others, skeleton))
    shoulder = skeleton.index(f"{side}_shoulder")
    for part in ARM:
        joint = skeleton.index(f"{side}_{part}")
        moved = x[..., shoulder, :] + np.einsum("blij,blj->bli", turn, others[..., joint, :] - others[..., shoulder, :])
        x[..., joint, :] = np.where(chosen[:, None, None], moved, x[..., joint, :])


def _trunk(x: F64, skeleton: Skeleton) -> F64:
    """Axes of the trunk (B, L, 3, 3) as columns: left, forward's opposite, upward."""
    hips = (x[..., skeleton.index("left_hip"), :] + x[..., skeleton.index("right_hip"), :]) / 2
    left, right = x[..., skeleton.index("left_shoulder"), :], x[..., skeleton.index("right_shoulder"), :]
    up = (left + right) / 2 - hips
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    across = left - right
    across -= (across * up).sum(-1, keepdims=True) * up
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    return np.stack([across, np.cross(up, across), up], axis=-1)


def _bend_limbs(x: F64, skeleton: Skeleton, settings: Bodies, rng: np.random.Generator) -> None:
    """Limb segments turned about the joint that they hang from, with all that hangs from them."""
    for side in ("left", "right"):
        for limb in (("shoulder", *ARM), LEGS):
            chain = [skeleton.joints.index(f"{side}_{part}") for part in limb if f"{side}_{part}" in skeleton.joints]
            for i in range(min(2, len(chain) - 1)):
                turns = _random_turns(len(x), np.deg2rad(settings.bend_deg), rng)
                turns = np.where((rng.random(len(x)) < settings.bent)[:, None, None], turns, np.eye(3))
                at = x[:, :, chain[i], None]
                x[:, :, chain[i + 1 :]] = np.einsum("bij,blkj->blki", turns, x[:, :, chain[i + 1 :]] - at) + at


def _random_turns(n: int, angle_rad: float, rng: np.random.Generator) -> F64:
    """Rotations (n, 3, 3) by normally distributed rotation vectors (Rodrigues' formula)."""
    rotvec = rng.normal(0.0, angle_rad, (n, 3))
    angle = np.maximum(np.linalg.norm(rotvec, axis=-1), 1e-9)[:, None, None]
    axis = np.cross(np.eye(3), (rotvec / angle[:, 0])[:, None])  # (n, 3, 3): the matrix of "axis ×"
    return np.eye(3) + np.sin(angle) * axis + (1.0 - np.cos(angle)) * axis @ axis


def _turn_over(x: F64, angle_rad: float, rng: np.random.Generator) -> F64:
    """Each sample turned about a random axis through its middle, by a normally distributed angle."""
    turns = _random_turns(len(x), angle_rad, rng)
    middle = x.mean(axis=(1, 2), keepdims=True)
    return np.einsum("bij,blkj->blki", turns, x - middle) + middle


def _resize(x: F64, skeleton: Skeleton, settings: Bodies, rng: np.random.Generator) -> F64:
    """Bones of other lengths, both sides alike and constant within a sample; directions stay."""
    parents, reach = tree(skeleton)
    size = 1.0 + settings.stature * rng.standard_normal((len(x), 1))
    side_alike = [min(pair) for pair in enumerate(skeleton.mirror)]
    bone = 1.0 + settings.bones * rng.standard_normal((len(x), len(parents)))[:, side_alike]
    bones_m = (x - x[:, :, parents]) * (size * bone)[:, None, :, None]
    root = x[:, :, skeleton.root : skeleton.root + 1] * np.where([False, False, True], size[:, None, None], 1.0)
    return np.einsum("jk,blkd->bljd", reach, bones_m, optimize=True) + root


def loose_joints(skeleton: Skeleton) -> list[str]:
    """The joints besides the root that hang from nothing: bodies of a skeleton that has any cannot be varied."""
    held = {child for _, child in skeleton.bones} | {skeleton.root}
    return [name for i, name in enumerate(skeleton.joints) if i not in held]


def tree(skeleton: Skeleton) -> tuple[list[int], F64]:
    """Each joint's parent (the root's is itself), and reach (J, J): 1 where bone k is between the root and joint j.

    Raises DatasetError when a joint but the root hangs from nothing.
    """
    parents = list(range(len(skeleton.joints)))
    for parent, child in skeleton.bones:
        parents[child] = parent
    loose = loose_joints(skeleton)
    if loose:
        raise DatasetError(
            f"bodies of {skeleton.name} cannot be varied: {', '.join(loose)} hang from no root; set skeleton: body17"
        )
    reach = np.zeros((len(parents), len(parents)))
    for joint in range(len(parents)):
        at = joint
        while parents[at] != at:
            reach[joint, at] = 1.0
            at = parents[at]
    return parents, reach
