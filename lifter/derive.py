"""One skeleton's joints from another's: `derive(keypoints, confidence, MEDIAPIPE33, BODY17)`.

A joint of the target is the middle of one or two joints of the source. What the source does not have, or has elsewhere
under the same name, is absent (NaN, confidence 0), which the lifter takes as it takes any joint that a detector missed.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from lifter.skeleton import DIFFER, LIMB_JOINTS, Skeleton

Ints = npt.NDArray[np.int64]

# The target's joint names, and what they are the middle of; the first line whose joints the source has is taken.
# body17's pelvis and thorax are middles by definition, also where a source has joints of these names elsewhere.
BODY17_RULES: dict[str, tuple[tuple[str, ...], ...]] = {
    "pelvis": (("left_hip", "right_hip"),),
    "thorax": (("left_shoulder", "right_shoulder"),),
    "head": (("left_ear", "right_ear"),),
    "left_toe": (("left_foot_index",), ("left_big_toe",), ("left_toe",)),  # CMU's is 33 mm short of the tip
    "right_toe": (("right_foot_index",), ("right_big_toe",), ("right_toe",)),
}


class DeriveError(ValueError):
    """The source lacks limb joints that the target needs; the message names them."""


def derive(
    positions: npt.ArrayLike, confidence: npt.ArrayLike, source: Skeleton, target: Skeleton
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Positions (…, J_target, D) and confidence (…, J_target) from (…, J_source, D) and (…, J_source).

    The confidence of a middle is the smaller of the two; it is absent when either is. Raises DeriveError when a limb
    joint of the target cannot be had, ValueError when the arrays do not have the source's joints.
    """
    lacking = _lacking(source, target)
    if lacking:
        raise DeriveError(f"{target.name} cannot be had from {source.name}, which has no {', '.join(lacking)}")
    return derive_known(positions, confidence, source, target)


def derive_known(
    positions: npt.ArrayLike, confidence: npt.ArrayLike, source: Skeleton, target: Skeleton
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """As `derive`, of whatever joints the source has: also limb joints that it lacks are absent, NaN and 0.

    For live fusion, which takes any detector's joints. Raises ValueError when the arrays do not have the source's.
    """
    x, c = np.asarray(positions), np.asarray(confidence)
    if x.shape[-2:-1] != (len(source.joints),) or c.shape != x.shape[:-1]:
        raise ValueError(f"{source.name} has {len(source.joints)} joints; given: {x.shape} and {c.shape}")
    if source == target:
        return x, c
    first, second, had = _pairs(source, target)
    out = np.where(had[:, None], (x.take(first, axis=-2) + x.take(second, axis=-2)) / 2, np.nan)
    sure = np.where(had, np.minimum(c.take(first, axis=-1), c.take(second, axis=-1)), 0.0)
    return out, np.where(np.isfinite(out).all(-1), sure, 0.0)


@functools.cache
def _lacking(source: Skeleton, target: Skeleton) -> tuple[str, ...]:
    """The limb joints of the target that cannot be had."""
    return tuple(j for j in target.joints if j in LIMB_JOINTS and not _parts(j, source, target))


@functools.cache
def _pairs(source: Skeleton, target: Skeleton) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Per joint of the target: the two source joints whose middle it is (twice the same for a copy), if any."""
    parts = [_parts(joint, source, target) for joint in target.joints]
    indices = [[source.joints.index(name) for name in found] or [0] for found in parts]
    first, second = np.array([i[0] for i in indices]), np.array([i[-1] for i in indices])
    return first, second, np.array([bool(found) for found in parts])


def _parts(joint: str, source: Skeleton, target: Skeleton) -> tuple[str, ...]:
    rules = BODY17_RULES.get(joint, ()) if target.name == "body17" else ()
    if not rules and joint in DIFFER:
        return ()
    for parts in rules or ((joint,),):
        if set(parts) <= set(source.joints):
            return parts
    return ()
