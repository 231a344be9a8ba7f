"""What lifts say bone by bone, and which joints would spoil them: the compiled loops (numba).

Axes: M people, C cameras, J joints of the detector, N of the body tree, L of the lifter, B bones that a lift tells.
"""

import math

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INNER, JIT, MIN_DEPTH_M
from lifter.merge import SIGMA_RAY
from nodes.stages.matching_kernel import is_number
from nodes.stages.person_problem import Expected, Lengths

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

BONE_VARIANCE = 2.0  # along the line of sight, per axis-mean variance that a lift adds from parent to child
LEAST_BONE = 0.25  # of a joint's own sigma
ACROSS = 2.0  # times SIGMA_RAY: across, a lift repeats the 2D that it was made of
UNSEEN = 2.0  # times the bone's sigma: a lift that did not see the joint
LOOSE2 = 7.0  # in place of 3, which gives the mean variance by axis: along a line of sight more is unknown
LEAST_SCALE, MOST_SCALE = 0.6, 1.6  # between children and giants
NEAREST_M = 0.3  # nobody is nearer to a camera, whatever is guessed
SHORT_M = 0.05  # of a bone that is shorter, the length says no more


@JIT
def far_off(
    rays: F64, expected: Expected, sigma: float, outlier_sigmas: float, R_cam_world: F64, centre_m: F64
) -> Flags:
    """(M, C, J): joints of rays (M, C, J, 2) far from where they were expected. sigma: of a sure joint's ray."""
    n_people, n_cameras, n_joints = rays.shape[:3]
    far = np.zeros((n_people, n_cameras, n_joints), np.bool_)
    for m in range(n_people):
        for j in range(n_joints):
            A = expected.witness[m, j]
            if not A[0, 0] > 0.0:
                continue
            sigma_m = math.sqrt(LOOSE2 / max(A[0, 0] + A[1, 1] + A[2, 2], 1e-9))
            for c in range(n_cameras):
                R = R_cam_world[c]
                x = expected.joints_m[m, j, 0] - centre_m[c, 0]
                y = expected.joints_m[m, j, 1] - centre_m[c, 1]
                z = expected.joints_m[m, j, 2] - centre_m[c, 2]
                depth = max(R[2, 0] * x + R[2, 1] * y + R[2, 2] * z, MIN_DEPTH_M)
                u = (R[0, 0] * x + R[0, 1] * y + R[0, 2] * z) / depth - rays[m, c, j, 0]
                v = (R[1, 0] * x + R[1, 1] * y + R[1, 2] * z) / depth - rays[m, c, j, 1]
                far[m, c, j] = math.sqrt(u * u + v * v) > outlier_sigmas * math.hypot(sigma_m / depth, sigma)
    return far


@JIT
def bones(
    joints_cam_m: F64,
    sigma_m: F64,
    confidence: F64,
    expected: Expected,
    lengths: Lengths,
    of_lift: Ints,
    of_tree: Ints,
    noise_scale: float,
    R_cam_world: F64,
    centre_m: F64,
) -> tuple[F64, F64, F64]:
    """As `Lifting.bones`. of_lift (B, 2): a bone's child and parent among the lifter's joints; of_tree (B,): its child
    in the tree."""
    n_people, n_cameras, n = len(joints_cam_m), len(centre_m), lengths.length_m.shape[1]
    bone_m = np.zeros((n_people, n_cameras, n, 3))
    along, across = np.zeros((n_people, n_cameras, n)), np.zeros((n_people, n_cameras, n))
    middle = np.empty(3)
    for m in range(n_people):
        _middle(expected, m, middle)
        for c in range(n_cameras):
            if not is_number(joints_cam_m[m, c, 0, 0]):
                continue
            x, y, z = middle[0] - centre_m[c, 0], middle[1] - centre_m[c, 1], middle[2] - centre_m[c, 2]
            sigma_2d_m = ACROSS * SIGMA_RAY * noise_scale * max(math.sqrt(x * x + y * y + z * z), NEAREST_M)
            for b in range(len(of_tree)):
                child, parent, k = of_lift[b, 0], of_lift[b, 1], of_tree[b]
                _vector(joints_cam_m[m, c], child, parent, R_cam_world[c], bone_m[m, c, k])
                own2 = sigma_m[m, c, child] ** 2
                added = max(own2 - sigma_m[m, c, parent] ** 2, LEAST_BONE * LEAST_BONE * own2)
                along[m, c, k] = 1.0 / (BONE_VARIANCE * added)
                sure = min(confidence[m, c, child], confidence[m, c, parent])
                if sure > 0.0:
                    across[m, c, k] = (sure / sigma_2d_m) ** 2
                else:
                    along[m, c, k] /= UNSEEN * UNSEEN
                    across[m, c, k] = along[m, c, k]
            _scale(bone_m[m, c], lengths.length_m[m], lengths.information[m], of_tree)
    return bone_m, along, across


@INNER
def _vector(joints_cam_m: F64, child: int, parent: int, R_cam_world: F64, out: F64) -> None:
    """Put the vector from parent to child in world axes into out (3,)."""
    for i in range(3):
        out[i] = 0.0
        for k in range(3):
            out[i] += (joints_cam_m[child, k] - joints_cam_m[parent, k]) * R_cam_world[k, i]


@INNER
def _scale(bone_m: F64, length_m: F64, information: F64, of_tree: Ints) -> None:
    """Let the bones (N, 3) of a lift grow to fit the lengths (N,) that are known of its person's bones."""
    informed, fit, square = 0.0, 0.0, 0.0
    for j in of_tree:
        length = math.sqrt(bone_m[j, 0] ** 2 + bone_m[j, 1] ** 2 + bone_m[j, 2] ** 2)
        of_ratio = information[j] / max(length, SHORT_M) ** 2
        informed += of_ratio
        fit += of_ratio * length_m[j] * length
        square += of_ratio * length * length
    if informed > 0.0:
        ratio = min(max(fit / max(square, 1e-12), LEAST_SCALE), MOST_SCALE)
        for j in of_tree:
            for i in range(3):
                bone_m[j, i] *= ratio


@INNER
def _middle(expected: Expected, m: int, out: F64) -> None:
    """The middle of the joints that are expected somewhere, else the world's origin."""
    out[:] = 0.0
    count = 0
    for j in range(expected.joints_m.shape[1]):
        if expected.witness[m, j, 0, 0] > 0.0:
            count += 1
            for i in range(3):
                out[i] += expected.joints_m[m, j, i]
    for i in range(3):
        out[i] /= max(count, 1)
