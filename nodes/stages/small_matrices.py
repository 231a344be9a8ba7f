"""Symmetric (3, 3) matrices in compiled loops (numba): LAPACK's calls cost more than the arithmetic."""

import numpy as np
import numpy.typing as npt

from calibration.triangulate_kernel import INLINE, INNER

Array = npt.NDArray[np.float64]


@INLINE
def quadratic(A: Array, dx: float, dy: float, dz: float) -> float:
    """vᵀ A v."""
    return (
        A[0, 0] * dx * dx
        + A[1, 1] * dy * dy
        + A[2, 2] * dz * dz
        + 2.0 * (A[0, 1] * dx * dy + A[0, 2] * dx * dz + A[1, 2] * dy * dz)
    )


@INNER
def put33(A: Array, of: Array) -> None:
    """A = of, (3, 3)."""
    for i in range(3):
        for k in range(3):
            A[i, k] = of[i, k]


@INNER
def inverse3(A: Array, out: Array) -> bool:
    """out = A⁻¹ of a symmetric positive (3, 3) A; False when it is as good as singular."""
    c00 = A[1, 1] * A[2, 2] - A[1, 2] * A[1, 2]
    c01 = A[0, 2] * A[1, 2] - A[0, 1] * A[2, 2]
    c02 = A[0, 1] * A[1, 2] - A[0, 2] * A[1, 1]
    det = A[0, 0] * c00 + A[0, 1] * c01 + A[0, 2] * c02
    scale = (A[0, 0] + A[1, 1] + A[2, 2]) / 3
    if not det > 1e-14 * scale * scale * scale:
        return False
    out[0, 0] = c00 / det
    out[0, 1] = out[1, 0] = c01 / det
    out[0, 2] = out[2, 0] = c02 / det
    out[1, 1] = (A[0, 0] * A[2, 2] - A[0, 2] * A[0, 2]) / det
    out[1, 2] = out[2, 1] = (A[0, 1] * A[0, 2] - A[0, 0] * A[1, 2]) / det
    out[2, 2] = (A[0, 0] * A[1, 1] - A[0, 1] * A[0, 1]) / det
    return True


@INNER
def multiply3(A: Array, B: Array, out: Array) -> None:
    """out = A B of (3, 3)."""
    for i in range(3):
        for k in range(3):
            out[i, k] = A[i, 0] * B[0, k] + A[i, 1] * B[1, k] + A[i, 2] * B[2, k]
