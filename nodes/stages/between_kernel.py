"""The compiled inner loops of matching people between two frames of one camera (numba).

Axes: P people of the earlier, Q of the later frame, J joints, H sets of joints that may be mixed up together. Distances
are shares of a person's size in the picture, the longer side of the box around its joints.
"""

import math

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INLINE, INNER, JIT
from nodes.stages.matching_kernel import is_number

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

# How far a person may move: what detections jitter by, and a runner's 2.5 heights a second, limbs included.
REACH, REACH_PER_S = 0.15, 2.5
# What a joint must gain by its counterpart's label, on average over a part. Legs that pass each other gain at most
# twice their speed against the body: 4 m/s for a runner's feet, half of it for a leg on average, 1.7 m of height.
SWAP, SWAP_PER_S = 0.04, 1.2


@INLINE
def _is_there(px: F32, confidence: F32, j: int) -> bool:
    return confidence[j] > 0.0 and is_number(px[j, 0]) and is_number(px[j, 1])


@INNER
def _boxes(px: F32, confidence: F32) -> F64:
    """Of people (P, J, 2): middle x, middle y and size (P, 3) of the box around the joints that are there."""
    boxes = np.zeros((len(px), 3))
    for p in range(len(px)):
        low_x, low_y, high_x, high_y = math.inf, math.inf, -math.inf, -math.inf
        for j in range(px.shape[1]):
            if _is_there(px[p], confidence[p], j):
                low_x, high_x = min(low_x, px[p, j, 0]), max(high_x, px[p, j, 0])
                low_y, high_y = min(low_y, px[p, j, 1]), max(high_y, px[p, j, 1])
        if high_x >= low_x:
            boxes[p, 0], boxes[p, 1] = (low_x + high_x) / 2, (low_y + high_y) / 2
            boxes[p, 2] = max(high_x - low_x, high_y - low_y)
    return boxes


@INLINE
def _apart(one: F32, j: int, other: F32, k: int) -> float:
    x, y = one[j, 0] - other[k, 0], one[j, 1] - other[k, 1]
    return math.sqrt(x * x + y * y)


@INNER
def _mean_distance(before: F32, sure_before: F32, after: F32, sure_after: F32, mirror: Ints) -> float:
    """Mean distance over the common joints of two people, as labelled or mirrored, whichever is nearer."""
    plain, turned, n_plain, n_turned = 0.0, 0.0, 0, 0
    for j in range(len(mirror)):
        k = mirror[j]
        if not _is_there(before, sure_before, j):
            continue
        if _is_there(after, sure_after, j):
            plain += _apart(before, j, after, j)
            n_plain += 1
        if _is_there(after, sure_after, k):
            turned += _apart(before, j, after, k)
            n_turned += 1
    return min(plain / n_plain, turned / n_turned) if n_plain and n_turned else math.inf


@JIT
def distances(before: F32, sure_before: F32, after: F32, sure_after: F32, mirror: Ints) -> F64:
    """Mean distances (P, Q) over common joints, as labelled or mirrored; inf for people far from each other."""
    boxes_before, boxes_after = _boxes(before, sure_before), _boxes(after, sure_after)
    result = np.full((len(before), len(after)), math.inf)
    for p in range(len(before)):
        for q in range(len(after)):
            one, other = boxes_before[p], boxes_after[q]
            scale = max(one[2], other[2])
            if scale > 0.0 and max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= scale:
                apart = _mean_distance(before[p], sure_before[p], after[q], sure_after[q], mirror)
                result[p, q] = apart / scale
    return result


@INNER
def turned_part(
    before: F32, sure_before: F32, after: F32, sure_after: F32, mirror: Ints, parts: Flags, dt_s: float
) -> int:
    """Which of the parts (H, J) of one person (J, 2) has left and right mixed up in one frame; 0 for nothing."""
    scale = max(_boxes(before[None], sure_before[None])[0, 2], _boxes(after[None], sure_after[None])[0, 2])
    best, most = 0, 0.0
    for h in range(1, len(parts)):
        plain, turned, n = 0.0, 0.0, 0
        for j in range(len(mirror)):
            k = mirror[j]
            in_both = _is_there(before, sure_before, j) and _is_there(after, sure_after, j)
            if parts[h, j] and in_both and _is_there(after, sure_after, k):
                plain += _apart(before, j, after, j)
                turned += _apart(before, j, after, k)
                n += 1
        gain = plain - turned
        if n >= 2 and gain > most and turned < 0.5 * plain and gain > n * scale * (SWAP + SWAP_PER_S * dt_s):
            best, most = h, gain
    return best


@JIT
def blend(
    before: F32,
    sure_before: F32,
    after: F32,
    sure_after: F32,
    pairs: Ints,
    mirror: Ints,
    parts: Flags,
    share: float,
    dt_s: float,
) -> tuple[F32, F32]:
    """Keypoints (N, J, 2) and confidence (N, J) of the pairs (N, 2) at a share of the way; labels of the nearer frame.

    A joint that either frame lacks is NaN with confidence 0.
    """
    n_joints = len(mirror)
    px = np.full((len(pairs), n_joints, 2), np.float32(np.nan))
    sure = np.zeros((len(pairs), n_joints), np.float32)
    for n in range(len(pairs)):
        p, q = pairs[n]
        part = turned_part(before[p], sure_before[p], after[q], sure_after[q], mirror, parts, dt_s)
        for j in range(n_joints):
            i, k = j, j
            if parts[part, j] and share > 0.5:
                i = mirror[j]
            elif parts[part, j]:
                k = mirror[j]
            if _is_there(before[p], sure_before[p], i) and _is_there(after[q], sure_after[q], k):
                px[n, j, 0] = (1.0 - share) * before[p, i, 0] + share * after[q, k, 0]
                px[n, j, 1] = (1.0 - share) * before[p, i, 1] + share * after[q, k, 1]
                sure[n, j] = (1.0 - share) * sure_before[p, i] + share * sure_after[q, k]
    return px, sure
