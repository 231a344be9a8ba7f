"""The compiled arithmetic of the Kalman filter of a root and its bones (numba); `smoothing` has the why.

Axes: N bones. Covariance blocks pp, pv, vv are (N, 3, 3): of position, of position and velocity, of velocity. NaN in a
bone's position: nothing is known of it.
"""

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import JIT
from nodes.stages.small_matrices import inverse3, multiply3, put33

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@JIT
def carry_on(
    bone: Array,
    velocity: Array,
    pp: Array,
    pv: Array,
    vv: Array,
    noise2: Array,
    lasting: float,
    faded: float,
    dt: float,
) -> tuple[Array, Array, Array, Array, Array]:
    """All five at a time dt later, in seconds; `lasting` is dt of a speed that fades, `faded` what is left of it.

    noise2: (N,) square of the accelerations.
    """
    n = len(bone)
    bone2, velocity2 = np.empty((n, 3)), np.empty((n, 3))
    pp2, pv2, vv2 = np.empty((n, 3, 3)), np.empty((n, 3, 3)), np.empty((n, 3, 3))
    for j in range(n):
        for i in range(3):
            bone2[j, i] = bone[j, i] + lasting * velocity[j, i]
            velocity2[j, i] = faded * velocity[j, i]
            for k in range(3):
                noise = noise2[j] if i == k else 0.0
                mixed = lasting * (pv[j, i, k] + pv[j, k, i])
                pp2[j, i, k] = pp[j, i, k] + mixed + lasting * lasting * vv[j, i, k] + noise * dt**4 / 4
                pv2[j, i, k] = faded * (pv[j, i, k] + lasting * vv[j, i, k]) + noise * dt**3 / 2
                vv2[j, i, k] = faded * faded * vv[j, i, k] + noise * dt * dt
    return bone2, velocity2, pp2, pv2, vv2


@JIT
def along_chains(
    bone: Array, velocity: Array, pp: Array, parent: Ints, order: Ints
) -> tuple[Array, Array, Array, Array, Array]:
    """Joints (N, 3), NaN where a bone on the way from the root is unknown, their velocities and covariances (N, 3, 3);
    and inverse covariances of joints and of bones, 0 for unknown ones."""
    n = len(bone)
    joints, speed = np.full((n, 3), np.nan), np.zeros((n, 3))
    covariance = np.zeros((n, 3, 3))
    of_joint, of_bone = np.zeros((n, 3, 3)), np.zeros((n, 3, 3))
    for index in range(n):
        j = order[index]
        up = parent[j]
        if np.isnan(bone[j, 0]) or (up >= 0 and np.isnan(joints[up, 0])):
            continue
        for i in range(3):
            joints[j, i] = bone[j, i] + (joints[up, i] if up >= 0 else 0.0)
            speed[j, i] = velocity[j, i] + (speed[up, i] if up >= 0 else 0.0)
            for k in range(3):
                covariance[j, i, k] = pp[j, i, k] + (covariance[up, i, k] if up >= 0 else 0.0)
        if not (inverse3(covariance[j], of_joint[j]) and inverse3(pp[j], of_bone[j])):
            of_joint[j] = 0.0
            of_bone[j] = 0.0
    return joints, speed, covariance, of_joint, of_bone


@JIT
def correct(
    before: Array,
    velocity: Array,
    pp: Array,
    pv: Array,
    vv: Array,
    joints: Array,
    covariance: Array,
    parent: Ints,
    start2: float,
) -> tuple[Array, Array, Array, Array, Array]:
    """All five after solved joints (N, 3) with covariances (N, 3, 3) of their bones have taken the place of `before`.

    The velocity follows as far as it goes with the position (regression of one on the other). start2: variance of the
    velocity of a bone that was not known before.
    """
    n = len(before)
    bone2, velocity2 = np.full((n, 3), np.nan), np.zeros((n, 3))
    pp2, pv2, vv2 = np.zeros((n, 3, 3)), np.zeros((n, 3, 3)), np.zeros((n, 3, 3))
    inverse, gain, learnt, once = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    for j in range(n):
        for i in range(3):
            bone2[j, i] = joints[j, i] - (joints[parent[j], i] if parent[j] >= 0 else 0.0)
            vv2[j, i, i] = start2
        if np.isnan(bone2[j, 0]):
            continue
        put33(pp2[j], covariance[j])
        if np.isnan(before[j, 0]) or not inverse3(pp[j], inverse):
            continue
        for i in range(3):
            for k in range(3):  # vp pp⁻¹
                gain[i, k] = pv[j, 0, i] * inverse[0, k] + pv[j, 1, i] * inverse[1, k] + pv[j, 2, i] * inverse[2, k]
        for i in range(3):
            velocity2[j, i] = velocity[j, i]
            for k in range(3):
                learnt[i, k] = pp[j, i, k] - covariance[j, i, k]
                velocity2[j, i] += gain[i, k] * (bone2[j, k] - before[j, k])
        multiply3(gain, learnt, once)
        for i in range(3):
            for k in range(3):
                vv2[j, i, k] = vv[j, i, k] - (
                    once[i, 0] * gain[k, 0] + once[i, 1] * gain[k, 1] + once[i, 2] * gain[k, 2]
                )
                pv2[j, i, k] = (
                    covariance[j, i, 0] * gain[k, 0]
                    + covariance[j, i, 1] * gain[k, 1]
                    + covariance[j, i, 2] * gain[k, 2]
                )
    return bone2, velocity2, pp2, pv2, vv2
