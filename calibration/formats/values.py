"""Values of other programs' calibration files made into cameras; whatever is wrong in them names the camera."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.lens import Lens
from calibration.rig import Camera

Array = npt.NDArray[np.float64]

ROUNDED = 1e-4  # of R·Rᵀ: files of six digits, or of single precision, are meant as rotations
MOST_TURN_RAD = 1e3  # of a rotation vector's entries; a larger one is something else


def camera_of(
    name: str, size_wh: Any, matrix: Any, dist: Any, rotation: Any, translation_m: Any, lens: Lens = "pinhole"
) -> Camera:
    """A camera of what a file holds: rotation a matrix or a rotation vector, world to camera, as the translation is.

    Raises CalibrationError that names the camera.
    """
    try:
        width, height = (int(side) for side in size_wh)
        translation = np.asarray(translation_m, dtype=np.float64).reshape(3)
        return Camera(
            name=name,
            size_wh=(width, height),
            K=np.asarray(matrix, dtype=np.float64),
            dist=np.asarray(dist, dtype=np.float64),
            T_cam_world=rigid.from_rotation(rotation_of(rotation), translation),
            lens=lens,
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise CalibrationError(f"camera {name!r} has a value of the wrong kind: {error}") from error


def rotation_of(values: Any) -> Array:
    """Rotation (3, 3) of a matrix, or of a rotation vector (3,), (3, 1) or (1, 3). Raises ValueError.

    A matrix with rounded digits gives the nearest rotation; one that is exact stays as it is.
    """
    R = np.asarray(values, dtype=np.float64)
    if R.size == 3 and (np.abs(R) <= MOST_TURN_RAD).all():
        return rigid.rotation_from_rotvec(R)
    within = R.shape == (3, 3) and bool((np.abs(R) <= 2.0).all())  # also finite
    if not within or not np.allclose(R @ R.T, np.eye(3), atol=ROUNDED) or np.linalg.det(R) < 0:
        raise ValueError(f"not a rotation matrix (3, 3) with determinant +1:\n{R}")
    if np.allclose(R @ R.T, np.eye(3), rtol=0.0, atol=1e-12):
        return R
    U, _, Vt = np.linalg.svd(R)
    return np.asarray(U @ Vt)


def needed(table: Mapping[str, Any], keys: Iterable[str], name: str, kind: str) -> Any:
    """The value of the first of these keys that the table has. Raises CalibrationError that names camera and key."""
    keys = tuple(keys)
    for key in keys:
        if key in table:
            return table[key]
    raise CalibrationError(f"camera {name!r} lacks `{keys[0]}`{kind}: a camera without it is not calibrated")
