"""The calibrated rig as its cameras really deliver their pictures: of another size, or cropped."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from calibration.triangulate import RigArrays
from nodes.stages.synchroniser import View

F64 = npt.NDArray[np.float64]

SAME_SHAPE = 0.005  # pictures whose aspect ratios differ by less are the same picture, scaled


class DeliveredRig:
    """`rig` and its arrays follow what the cameras deliver. misfits: camera → why its pictures do not fit."""

    def __init__(self, calibrated: CameraRig, crop_offset_px: dict[str, tuple[float, float]]) -> None:
        self._calibrated = calibrated
        self._crop_offset_px = crop_offset_px
        self._delivered = {camera.name: camera for camera in calibrated.cameras}
        self._judged_wh: dict[str, tuple[int, ...]] = {}  # size that each camera was last fitted to, or found unfit at
        self.misfits: dict[str, str] = {}
        self._take_over()

    def _take_over(self) -> None:
        self.rig = CameraRig(tuple(self._delivered.values()))
        self.arrays = RigArrays.of(self.rig)
        R = self.arrays.Ts_cam_world[:, :, :3]
        self.R_cam_world = np.ascontiguousarray(R)
        self.centre_m = np.ascontiguousarray(-np.einsum("cji,cj->ci", R, self.arrays.Ts_cam_world[:, :, 3]))

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
            self._take_over()

    def pose(self, name: str) -> F64:
        """T_cam_world (4, 4) that a camera is believed to stand at."""
        return self._calibrated[name].T_cam_world

    def correct(self, name: str, T_cam_world: F64) -> None:
        """Believe a camera to stand elsewhere from now on."""
        cameras = self._calibrated.cameras
        self._calibrated = CameraRig(
            tuple(replace(each, T_cam_world=T_cam_world) if each.name == name else each for each in cameras)
        )
        self._delivered[name] = replace(self._delivered[name], T_cam_world=T_cam_world)
        self._take_over()

    @property
    def calibrated(self) -> CameraRig:
        """The calibration, with what was corrected in it."""
        return self._calibrated

    def rays(self, keypoints_px: F64) -> F64:
        """Undistorted normalised coordinates (C, …, 2) of pixels (C, …, 2), one row per camera of the rig."""
        flat = np.ascontiguousarray(keypoints_px.reshape(len(keypoints_px), -1, 2), dtype=np.float64)
        return self.arrays.rays(flat).reshape(keypoints_px.shape)


def delivered(camera: Camera, size_wh: tuple[int, ...], crop_offset_px: tuple[float, float] | None) -> Camera:
    """The calibrated camera as it delivers pictures of another size: scaled, or cropped from an offset.

    Raises CalibrationError when the picture has another shape and no crop offset says why.
    """
    width, height = size_wh[0], size_wh[1]
    if crop_offset_px is not None:
        K = camera.K.copy()
        K[:2, 2] -= crop_offset_px
        return replace(camera, size_wh=(width, height), K=K)
    aspect, calibrated_aspect = width / height, camera.size_wh[0] / camera.size_wh[1]
    if abs(aspect / calibrated_aspect - 1.0) > SAME_SHAPE:
        raise CalibrationError(
            f"delivers {width}x{height} but was calibrated at {camera.size_wh[0]}x{camera.size_wh[1]}: choose that "
            f"size, or, if the picture is a crop, say where it begins: `crop_offset_px: {{{camera.name}: [0, 0]}}`"
        )
    return camera.resized((width, height))
