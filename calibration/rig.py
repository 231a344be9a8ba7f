"""Calibrated cameras and the rig they form: frozen values that refuse to be wrong."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from calibration import lens as lenses
from calibration import rigid
from calibration.errors import CalibrationError
from calibration.lens import Lens

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Camera:
    """One calibrated camera.

    size_wh: width and height in pixels that K refers to. K: (3, 3) pixels. dist: OpenCV coefficients, 0, 4, 5 or 8 of
    them; of a fisheye lens 0 or 4 (`fisheye`). T_cam_world: (4, 4), p_cam = T_cam_world · p_world, metres. Raises
    CalibrationError on anything else.
    """

    name: str
    size_wh: tuple[int, int]
    K: Array
    dist: Array
    T_cam_world: Array
    lens: Lens = "pinhole"

    def __post_init__(self) -> None:
        object.__setattr__(self, "K", np.asarray(self.K, dtype=np.float64))
        object.__setattr__(self, "dist", np.asarray(self.dist, dtype=np.float64).reshape(-1))
        object.__setattr__(self, "T_cam_world", np.asarray(self.T_cam_world, dtype=np.float64))
        _refuse_wrong_camera(self)

    @cached_property
    def dist8(self) -> Array:
        """Distortion padded to eight coefficients."""
        return lenses.pad_distortion(self.lens, self.dist)

    @cached_property
    def T_world_cam(self) -> Array:
        """(4, 4), p_world = T_world_cam · p_cam."""
        return rigid.inverse(self.T_cam_world)

    def project(self, points_world_m: Array) -> Array:
        """Pixels (..., 2) of world points (..., 3) in metres; NaN behind the camera."""
        return lenses.project(self.lens, self.K, self.dist8, rigid.transform(self.T_cam_world, points_world_m))

    def undistort(self, keypoints_px: Array) -> Array:
        """Ideal normalised coordinates x/z, y/z (..., 2) in the camera frame of pixels (..., 2); NaN stays NaN."""
        return lenses.undistort(self.lens, self.K, self.dist8, keypoints_px)

    def resized(self, size_wh: tuple[int, int]) -> "Camera":
        """The same camera delivering another size; pixel centres are integers, so scaling is about (-0.5, -0.5)."""
        scale = np.array([size_wh[0] / self.size_wh[0], size_wh[1] / self.size_wh[1]])
        K = self.K.copy()
        K[:2, :2] *= scale[:, None]
        K[:2, 2] = (self.K[:2, 2] + 0.5) * scale - 0.5
        return replace(self, size_wh=size_wh, K=K)


@dataclass(frozen=True)
class CameraRig:
    """Cameras in a fixed order, told apart by name."""

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise CalibrationError("a rig needs at least one camera")
        doubles = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubles:
            raise CalibrationError(f"two cameras are called {doubles[0]!r}: give every camera a name of its own")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    def __getitem__(self, name: str) -> Camera:
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise CalibrationError(f"no camera {name!r} in the calibration; it has {', '.join(self.names)}")

    def project(self, points_world_m: Array) -> Array:
        """Pixels (C, ..., 2) of world points (..., 3) in all C cameras; NaN behind a camera."""
        return np.stack([camera.project(points_world_m) for camera in self.cameras])

    def select(self, names: tuple[str, ...]) -> "CameraRig":
        """The rig of these cameras in this order. Raises CalibrationError for a name that is not in the rig."""
        return CameraRig(tuple(self[name] for name in names))


def _refuse_wrong_camera(camera: Camera) -> None:
    label = f"camera {camera.name!r}"
    width, height = camera.size_wh
    if not camera.name:
        raise CalibrationError("a camera has an empty name")
    if width <= 0 or height <= 0:
        raise CalibrationError(f"{label}: size {width}x{height} is not a picture size")
    if camera.K.shape != (3, 3) or not np.isfinite(camera.K).all() or camera.K[0, 0] <= 0 or camera.K[1, 1] <= 0:
        raise CalibrationError(f"{label}: the matrix must be 3x3, finite, with positive focal lengths, not {camera.K}")
    if camera.K[1, 0] != 0.0 or not np.allclose(camera.K[2], (0.0, 0.0, 1.0)):
        raise CalibrationError(f"{label}: the matrix must be of the form fx s cx / 0 fy cy / 0 0 1, not {camera.K}")
    try:
        lenses.pad_distortion(camera.lens, camera.dist)
    except CalibrationError as error:
        raise CalibrationError(f"{label}: {error}") from error
    if not np.isfinite(camera.dist).all():
        raise CalibrationError(f"{label}: distortion {camera.dist} is not finite")
    T = camera.T_cam_world
    if T.shape != (4, 4) or not np.isfinite(T).all() or not np.allclose(T[3], (0.0, 0.0, 0.0, 1.0)):
        raise CalibrationError(f"{label}: the pose must be a finite 4x4 matrix with last row 0 0 0 1, not {T}")
    R = T[:3, :3]
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-4) or np.linalg.det(R) < 0:
        raise CalibrationError(f"{label}: its rotation is not a rotation (R·Rᵀ is not 1): calibrate it again")
