"""The compiled inner loop of swap repair (numba): which joints fit their counterpart's place better than their own.

Axes: M people, C cameras, J joints, H sets of joints that may be mixed up together.
"""

import math

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INNER, JIT, MIN_DEPTH_M
from nodes.stages.matching_kernel import RAY_SIGMA, is_number

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

FLOOR_M = 0.03  # of a joint's place: what detectors err by, along the body; less than across a body
MIN_CONFIDENCE = 0.05  # noise is taken as inverse to confidence down to here
CAP = 9.0  # three sigmas, squared: beyond, a joint is wrong either way and says no more
APART2 = 9.0  # squared sigmas between a joint's place and its counterpart's: nearer, as edge-on, is no evidence
MIN_EVIDENCE = 2  # joints that speak: a single one may have gone astray
# Mean gain per joint that speaks, in squared sigmas (of at most 9). A prediction off by two sigmas in all joints at
# once reaches 3 at the least distance that counts; a true swap gives 9 less the noise's 2.
MARGIN = 4.0


@INNER
def _places(T: F64, joints_m: F64, sigma_m: F64, xy: F64, variance: F64) -> None:
    """Where joints (J, 3) are in a camera's rays (J, 2), and the variance of that; infinite where unknown or behind."""
    for j in range(len(joints_m)):
        X, Y, Z = joints_m[j, 0], joints_m[j, 1], joints_m[j, 2]
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
        variance[j] = math.inf
        if z >= MIN_DEPTH_M and is_number(sigma_m[j]):  # NaN fails, too
            xy[j, 0] = (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]) / z
            xy[j, 1] = (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]) / z
            variance[j] = (FLOOR_M * FLOOR_M + sigma_m[j] * sigma_m[j]) / (z * z)


@INNER
def _gains(rays: F64, confidence: F64, xy: F64, place_variance: F64, mirror: Ints, gain: F64, speaks: Flags) -> None:
    """How much better each joint (J,) fits its counterpart's place, and whether it is evidence enough to begin with."""
    for j in range(len(mirror)):
        gain[j], speaks[j] = 0.0, False
        other = mirror[j]
        if other == j or not (confidence[j] > 0.0 and is_number(max(place_variance[j], place_variance[other]))):
            continue
        noise = RAY_SIGMA / max(confidence[j], MIN_CONFIDENCE)
        variance = max(place_variance[j], place_variance[other]) + noise * noise
        apart2 = ((xy[j, 0] - xy[other, 0]) ** 2 + (xy[j, 1] - xy[other, 1]) ** 2) / variance
        own = ((rays[j, 0] - xy[j, 0]) ** 2 + (rays[j, 1] - xy[j, 1]) ** 2) / variance
        mirrored = ((rays[j, 0] - xy[other, 0]) ** 2 + (rays[j, 1] - xy[other, 1]) ** 2) / variance
        if is_number(own):
            speaks[j] = apart2 >= APART2
            gain[j] = min(own, CAP) - min(mirrored, CAP)


@JIT
def decide(
    Ts_cam_world: F64, rays: F64, confidence: F64, joints_m: F64, sigma_m: F64, mirror: Ints, parts: Flags
) -> tuple[Ints, Ints]:
    """Which of the parts (H, J) of each person in each view to turn round (M, C), and what the whole body says (M, C).

    rays (M, C, J, 2), confidence (M, C, J). The first part is nothing, the last the whole body. Of those that fit
    clearly better turned round, the one that gains most. The whole body says 1: turn me, -1: do not, 0: nothing.
    """
    n_people, n_cameras, n_joints = confidence.shape
    best = np.zeros((n_people, n_cameras), np.int64)
    whole = np.zeros((n_people, n_cameras), np.int64)
    xy, variance = np.empty((n_joints, 2)), np.empty(n_joints)
    gain, speaks = np.empty(n_joints), np.empty(n_joints, np.bool_)
    for m in range(n_people):
        for c in range(n_cameras):
            _places(Ts_cam_world[c], joints_m[m], sigma_m[m], xy, variance)
            _gains(rays[m, c], confidence[m, c], xy, variance, mirror, gain, speaks)
            most = 0.0
            for h in range(1, len(parts)):
                evidence, total, n = 0.0, 0.0, 0
                for j in range(n_joints):
                    if parts[h, j]:
                        total += gain[j]
                        evidence += gain[j] * speaks[j]
                        n += speaks[j]
                clear = n >= MIN_EVIDENCE and evidence >= MARGIN * n
                if clear and total > most:
                    most, best[m, c] = total, h
                if h == len(parts) - 1 and n >= MIN_EVIDENCE:
                    whole[m, c] = 1 if clear else -1
    return best, whole
