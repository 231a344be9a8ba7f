"""The people of a camera between two of its frames, each interpolated with itself: slots do not say who it is."""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from lifter.skeleton import SKELETONS
from nodes.stages import between_kernel as kernel
from nodes.stages.sides import Sides, sides_of
from nodes.wire.messages import Keypoints2D

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

IMPOSSIBLE = 1e3  # above all costs, so that as many as can be are matched
ASKED_BONUS = 0.03  # as a share of a person's size: between equals. Crops slip onto others, and ids with them

ONE_PAIR, NO_PAIR = np.zeros((1, 2), dtype=np.int64), np.zeros((0, 2), dtype=np.int64)


class Between(NamedTuple):
    """P people who are in both frames. keypoints_px: (P, J, 2), NaN where absent; confidence: (P, J); asked_ids: P, or
    none where neither frame was asked for anybody."""

    keypoints_px: F32
    confidence: F32
    asked_ids: tuple[int, ...]


def between(before: Keypoints2D, after: Keypoints2D, instant_ns: int) -> Between:
    """Linear interpolation, person by person; a joint, or a person, that either frame lacks is absent.

    Where left and right of a person are mixed up in one of the frames, both are taken as in the nearer one.
    """
    dt_ns = after.captured_ns - before.captured_ns
    share = (instant_ns - before.captured_ns) / dt_ns
    sides = _sides(before.skeleton, before.keypoints_px.shape[1])
    # copies: what comes from the bus is read-only, for which the kernels would be compiled a second time
    frames = [
        np.array(x, dtype=np.float32)
        for x in (before.keypoints_px, before.confidence, after.keypoints_px, after.confidence)
    ]
    pairs = _pairs(before, after, kernel.distances(*frames, sides.mirror), dt_ns * 1e-9)
    keypoints_px, confidence = kernel.blend(*frames, pairs, sides.mirror, sides.parts, share, dt_ns * 1e-9)
    return Between(keypoints_px, confidence, _asked(before, after, pairs, share))


def _pairs(before: Keypoints2D, after: Keypoints2D, away: F64, dt_s: float) -> Ints:
    """Who is who (N, 2): index in the earlier frame, index in the later one. away (P, Q): how far apart they are."""
    near = away <= kernel.REACH + kernel.REACH_PER_S * dt_s
    if near.size <= 1:
        return ONE_PAIR if near.any() else NO_PAIR
    asked, again = np.array(_asked_ids(before))[:, None], np.array(_asked_ids(after))
    cost = np.where(near, away, IMPOSSIBLE)
    cost = np.where(near & (asked == again) & (asked >= 0), away - ASKED_BONUS, cost)
    earlier, later = linear_sum_assignment(cost)
    real = near[earlier, later]
    return np.stack([earlier[real], later[real]], axis=1)


def _asked(before: Keypoints2D, after: Keypoints2D, pairs: Ints, share: float) -> tuple[int, ...]:
    """Whom each pair was found for, by the nearer frame if it knows."""
    if not before.asked_ids and not after.asked_ids:
        return ()
    by_before, by_after = _asked_ids(before), _asked_ids(after)
    both = [(by_after[q], by_before[p]) if share > 0.5 else (by_before[p], by_after[q]) for p, q in pairs]
    return tuple(nearer if nearer >= 0 else farther for nearer, farther in both)


def _asked_ids(frame: Keypoints2D) -> tuple[int, ...]:
    """One a person, -1 where nobody was asked for."""
    n_people = len(frame.confidence)
    return frame.asked_ids if len(frame.asked_ids) == n_people else (-1,) * n_people


@cache
def _sides(skeleton: str, n_joints: int) -> Sides:
    """Those of a skeleton that is known by name; of another one nothing is mixed up."""
    known = SKELETONS.get(skeleton)
    if known is not None and len(known.joints) == n_joints:
        return sides_of(known)
    return Sides(np.arange(n_joints), np.zeros((1, n_joints), dtype=np.bool_))
