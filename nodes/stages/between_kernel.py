"""The compiled inner loops of matching people between two frames of one camera (numba).

Axes: P people of the earlier, Q of the later frame, J joints, H sets of joints that may be mixed up together. Distances
are shares of a person's size in the picture, the longer side of the box around its joints.
"""

import math

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INLINE, JIT
from nodes.stages.matching_kernel import is_number

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

# Half a height away, and nothing of a person who ran 2.5 heights a second would be where it was.
REACH, REACH_PER_S = 0.15, 2.5
# What a joint must gain by its counterpart's label, on average over a part. Legs that pass each other gain at most
# twice their speed against the body: 4 m/s for a runner's feet, half of it for a leg on average, 1.7 m of height.
SWAP, SWAP_PER_S = 0.04, 1.2


@INLINE
def _is_there(px: F32, confidence: F32, j: int) -> bool:
    return confidence[j] > 0.0 and is_number(px[j, 0]) and is_number(px[j, 1])


@JIT
def size(px: F32, confidence: F32) -> float:
    """The longer side of the box around the joints (J, 2) that are there; 0 for none."""
    low_x, low_y, high_x, high_y = math.inf, math.inf, -math.inf, -math.inf
    for j in range(len(confidence)):
        if _is_there(px, confidence, j):
            low_x, high_x = min(low_x, px[j, 0]), max(high_x, px[j, 0])
            low_y, high_y = min(low_y, px[j, 1]), max(high_y, px[j, 1])
    return max(high_x - low_x, high_y - low_y, 0.0)


@JIT
def distances(before: F32, sure_before: F32, after: F32, sure_after: F32, mirror: Ints) -> F64:
    """Mean distances (P, Q) over common joints, as labelled or mirrored, whichever is nearer; inf without any."""
    n_before, n_after, n_joints = len(before), len(after), len(mirror)
    result = np.full((n_before, n_after), math.inf)
    for p in range(n_before):
        size_p = size(before[p], sure_before[p])
        for q in range(n_after):
            scale = max(size_p, size(after[q], sure_after[q]))
            plain, turned, n_plain, n_turned = 0.0, 0.0, 0, 0
            for j in range(n_joints):
                k = mirror[j]
                if not _is_there(before[p], sure_before[p], j):
                    continue
                if _is_there(after[q], sure_after[q], j):
                    plain += math.hypot(before[p, j, 0] - after[q, j, 0], before[p, j, 1] - after[q, j, 1])
                    n_plain += 1
                if _is_there(after[q], sure_after[q], k):
                    turned += math.hypot(before[p, j, 0] - after[q, k, 0], before[p, j, 1] - after[q, k, 1])
                    n_turned += 1
            if n_plain and n_turned and scale > 0.0:
                result[p, q] = min(plain / n_plain, turned / n_turned) / scale
    return result


@JIT
def turned_part(
    before: F32, sure_before: F32, after: F32, sure_after: F32, mirror: Ints, parts: Flags, dt_s: float
) -> int:
    """Which of the parts (H, J) of one person (J, 2) has left and right mixed up in one frame; 0 for nothing."""
    scale = max(size(before, sure_before), size(after, sure_after))
    best, most = 0, 0.0
    for h in range(1, len(parts)):
        plain, turned, n = 0.0, 0.0, 0
        for j in range(len(mirror)):
            k = mirror[j]
            in_both = _is_there(before, sure_before, j) and _is_there(after, sure_after, j)
            if parts[h, j] and in_both and _is_there(after, sure_after, k):
                plain += math.hypot(before[j, 0] - after[j, 0], before[j, 1] - after[j, 1])
                turned += math.hypot(before[j, 0] - after[k, 0], before[j, 1] - after[k, 1])
                n += 1
        gain = plain - turned
        if n >= 2 and gain > most and turned < 0.5 * plain and gain > n * scale * (SWAP + SWAP_PER_S * dt_s):
            best, most = h, gain
    return best
