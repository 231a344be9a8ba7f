"""From one person in several views to 3D joints with their uncertainty, reprojection error and contributing views.

The per-view lifter will stand before this stage and hand its lifts in; until then, geometry alone: robust,
confidence-weighted triangulation, whose noise is learnt from how well the views agree.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from calibration.triangulate import REFERENCE_FOCAL_PX, RigArrays, Triangulated, triangulate
from configs.schema import Triangulation as Settings
from nodes.stages.association import Seen
from nodes.stages.synchroniser import View

F64 = npt.NDArray[np.float64]

SAME_SHAPE = 0.005  # pictures whose aspect ratios differ by less are the same picture, scaled
NOISE_GAIN = 1 / 32  # one tick's say in the noise learnt: about a second at 30 Hz
MAX_NOISE_SCALE = 4.0  # beyond, it is the calibration that is wrong
MEDIAN_OF_UNIT_NOISE = 0.9  # median reprojection error, in sigmas, of four views of a joint (2-D, 5 of 8 degrees left)


@dataclass(frozen=True)
class Fused:
    """One person at one tick. joints_m: (J, 3), NaN where absent. sigma_m, reprojection_px: (J,). views: (J,) bits."""

    joints_m: F64
    sigma_m: F64
    reprojection_px: F64
    views: npt.NDArray[np.uint32]


class Fuser:
    """Triangulates with the rig as its cameras really deliver, and learns the detector's noise on the way."""

    def __init__(self, rig: CameraRig, settings: Settings, crop_offset_px: dict[str, tuple[float, float]]) -> None:
        self._calibrated = rig
        self._settings = settings
        self._crop_offset_px = crop_offset_px
        self._delivered = {camera.name: camera for camera in rig.cameras}
        self._arrays = RigArrays.of(rig)
        self._bits = (np.uint32(1) << np.arange(len(rig.cameras), dtype=np.uint32))[:, None]
        self._judged_wh: dict[str, tuple[int, ...]] = {}  # size that each camera was last fitted to, or found unfit at
        self.noise_scale = 1.0
        self.misfits: dict[str, str] = {}

    def warm_up(self) -> None:
        """Run the compiled kernels once on nothing."""
        nothing = np.full((len(self._delivered), 1, 2), np.nan, dtype=np.float32)
        triangulate(self._arrays, nothing, np.zeros(nothing.shape[:2], dtype=np.float32))

    def adapt(self, views: dict[str, View]) -> None:
        """Fit the calibration to the sizes that the cameras deliver; those that cannot be fitted become `misfits`."""
        for name, view in views.items():
            if view.size_wh == self._judged_wh.get(name, self._calibrated[name].size_wh):
                continue
            self._judged_wh[name] = view.size_wh
            camera = self._calibrated[name]
            try:
                self._delivered[name] = delivered(camera, view.size_wh, self._crop_offset_px.get(name))
                self.misfits.pop(name, None)
            except CalibrationError as error:
                self.misfits[name] = str(error)
            self._arrays = RigArrays.of(CameraRig(tuple(self._delivered.values())))

    def fuse(self, seen: Seen) -> Fused:
        """The person's joints, from all views that agree."""
        confidence = seen.confidence
        if self.misfits:
            fits = np.array([[name not in self.misfits] for name in self._calibrated.names], dtype=np.float32)
            confidence = confidence * fits
        result = triangulate(
            self._arrays,
            seen.keypoints_px,
            confidence,
            sigma_px=self._settings.detector_sigma_px * self.noise_scale,
            outlier_sigmas=self._settings.outlier_sigmas,
            min_confidence=self._settings.min_confidence,
        )
        self._learn_noise(result, confidence)
        n_used = np.maximum(result.used.sum(axis=0), 1)
        square = np.where(result.used, result.residual_px, 0.0) ** 2
        reprojection_px = np.where(result.used.any(axis=0), np.sqrt(square.sum(axis=0) / n_used), np.nan)
        views = np.bitwise_or.reduce(np.where(result.used, self._bits, np.uint32(0)), axis=0).astype(np.uint32)
        return Fused(result.points_m, result.sigma_m, reprojection_px, views)

    def _learn_noise(self, result: Triangulated, confidence: npt.NDArray[np.float32]) -> None:
        """Measured noise over assumed noise, smoothed; from joints that three views saw, as two always half agree."""
        judged = np.isfinite(result.residual_px) & (np.isfinite(result.residual_px).sum(axis=0) >= 3)
        if not judged.any():
            return
        sigma_px = self._settings.detector_sigma_px * self._arrays.focal_px[:, None] / REFERENCE_FOCAL_PX
        in_sigmas = (result.residual_px / sigma_px * confidence)[judged]
        measured = float(np.median(in_sigmas)) / MEDIAN_OF_UNIT_NOISE
        self.noise_scale += NOISE_GAIN * (min(max(measured, 1.0), MAX_NOISE_SCALE) - self.noise_scale)


def delivered(camera: Camera, size_wh: tuple[int, ...], crop_offset_px: tuple[float, float] | None) -> Camera:
    """The calibrated camera as it delivers pictures of another size: scaled, or cropped from an offset.

    Raises CalibrationError when the picture has another shape and no crop offset says why.
    """
    width, height = size_wh[0], size_wh[1]
    if crop_offset_px is not None:
        K = camera.K.copy()
        K[:2, 2] -= crop_offset_px
        return Camera(camera.name, (width, height), K, camera.dist, camera.T_cam_world)
    aspect, calibrated_aspect = width / height, camera.size_wh[0] / camera.size_wh[1]
    if abs(aspect / calibrated_aspect - 1.0) > SAME_SHAPE:
        raise CalibrationError(
            f"delivers {width}x{height} but was calibrated at {camera.size_wh[0]}x{camera.size_wh[1]}: choose that "
            f"size, or, if the picture is a crop, say where it begins: `crop_offset_px: {{{camera.name}: [0, 0]}}`"
        )
    return camera.resized((width, height))
