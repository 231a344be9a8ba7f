"""One person, seen by the calibrated cameras of one rig: 2D poses and, where it is known, the 3D truth.

Absent 2D is NaN with confidence 0; a joint whose truth is unknown is NaN. World: metres, as the recording's rig has it.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from lifter.datasets.errors import DatasetError
from lifter.derive import derive
from lifter.skeleton import Skeleton

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recording:
    """T frames of one person from C cameras, with J joints in the order of `skeleton`.

    Arrays are brought to their types, and what is half absent (a coordinate that is not finite, no confidence) becomes
    wholly absent. Raises DatasetError when shapes do not belong together or a confidence is above 1.
    """

    name: str
    skeleton: Skeleton
    rig: CameraRig
    keypoints_px: F32  # (T, C, J, 2), NaN where absent
    confidence: F32  # (T, C, J), 0 where absent
    joints_m: F32 | None  # (T, J, 3) world, the truth; NaN where unknown
    action: npt.NDArray[np.str_]  # (T,)
    chunk: npt.NDArray[np.int64]  # (T,): frames with the same number follow each other in time without a gap
    fps: float  # NaN when unknown

    def __post_init__(self) -> None:
        typed: dict[str, Any] = {
            "keypoints_px": np.asarray(self.keypoints_px, dtype=np.float32),
            "confidence": np.asarray(self.confidence, dtype=np.float32),
            "action": np.asarray(self.action, dtype=np.str_),
            "chunk": np.asarray(self.chunk, dtype=np.int64),
            "joints_m": None if self.joints_m is None else np.asarray(self.joints_m, dtype=np.float32),
        }
        _set(self, typed)
        _refuse_wrong_shapes(self)
        _set(self, _wholly_absent(self.keypoints_px, self.confidence, self.joints_m))

    def frames(self, mask: npt.NDArray[np.bool_]) -> "Recording":
        """The frames where mask (T,) is true. Chunks are numbered anew: one ends where a frame was left out."""
        mask = np.asarray(mask)
        if mask.dtype != np.bool_ or mask.shape != self.chunk.shape:
            raise DatasetError(f"{self.name}: frames wants {len(self.chunk)} booleans, got {mask.dtype} {mask.shape}")
        kept = np.flatnonzero(mask)
        begins = (np.diff(kept) > 1) | (np.diff(self.chunk[kept]) != 0)
        return _taken(self, kept, numbered(begins, len(kept)), self.fps)

    def every(self, n: int) -> "Recording":
        """Each chunk's first frame and every n-th after it, at an n-th of the rate."""
        if n < 1:
            raise DatasetError(f"{self.name}: every wants a step of at least 1, got {n}")
        begins = np.diff(self.chunk) != 0
        first = np.concatenate([[0], np.flatnonzero(begins) + 1])[numbered(begins, len(self.chunk))]
        kept = np.flatnonzero((np.arange(len(self.chunk)) - first) % n == 0)
        return _taken(self, kept, self.chunk[kept], self.fps / n)

    def select_cameras(self, names: Collection[str]) -> "Recording":
        """The same with these cameras in this order. Raises DatasetError for a camera that it does not have."""
        try:
            rig = self.rig.select(tuple(names))
        except CalibrationError as error:
            raise DatasetError(f"{self.name}: {error}") from error
        order = [self.rig.names.index(name) for name in rig.names]
        return replace(self, rig=rig, keypoints_px=self.keypoints_px[:, order], confidence=self.confidence[:, order])

    def as_skeleton(self, target: Skeleton) -> "Recording":
        """The same in another joint order. Raises `lifter.derive.DeriveError` naming joints that cannot be had."""
        if target == self.skeleton:
            return self
        keypoints_px, confidence = derive(self.keypoints_px, self.confidence, self.skeleton, target)
        joints_m = self.joints_m
        if joints_m is not None:
            known = np.isfinite(joints_m).all(-1).astype(np.float32)
            joints_m, _ = derive(joints_m, known, self.skeleton, target)
        return replace(self, skeleton=target, keypoints_px=keypoints_px, confidence=confidence, joints_m=joints_m)


def projected(recording: Recording) -> Recording:
    """The same with the truth's projection for 2D, confidence 1, whether or not it lies within the pictures.

    A joint is absent where its truth is unknown or behind the camera. Raises DatasetError when there is no truth.
    """
    if recording.joints_m is None or np.isnan(recording.joints_m).all():
        raise DatasetError(
            f"{recording.name}: there is no 3D truth to project; set `keypoints: detected` to use its detections"
        )
    keypoints_px = np.moveaxis(recording.rig.project(recording.joints_m.astype(np.float64)), 0, 1)
    confidence = np.isfinite(keypoints_px).all(-1)
    return replace(recording, keypoints_px=keypoints_px.astype(np.float32), confidence=confidence.astype(np.float32))


def numbered(begins: npt.NDArray[np.bool_], n_frames: int) -> npt.NDArray[np.int64]:
    """Chunk numbers (T,), 0, 1, … in order, from where one begins among the frames 1 to T - 1."""
    return np.concatenate([[0], np.cumsum(begins)]).astype(np.int64)[:n_frames]


def _taken(recording: Recording, kept: npt.NDArray[np.int64], chunk: npt.NDArray[np.int64], fps: float) -> Recording:
    return replace(
        recording,
        keypoints_px=recording.keypoints_px[kept],
        confidence=recording.confidence[kept],
        joints_m=None if recording.joints_m is None else recording.joints_m[kept],
        action=recording.action[kept],
        chunk=chunk,
        fps=fps,
    )


def _set(recording: Recording, fields: dict[str, Any]) -> None:
    """What a frozen dataclass allows to itself alone."""
    for field, value in fields.items():
        object.__setattr__(recording, field, value)


def _refuse_wrong_shapes(recording: Recording) -> None:
    if recording.keypoints_px.ndim != 4:
        raise DatasetError(
            f"{recording.name}: keypoints_px must be frames × cameras × joints × 2, got {recording.keypoints_px.shape}"
        )
    T, C, J = len(recording.keypoints_px), len(recording.rig.cameras), len(recording.skeleton.joints)
    wanted: dict[str, tuple[int, ...]] = {
        "keypoints_px": (T, C, J, 2),
        "confidence": (T, C, J),
        "joints_m": (T, J, 3),
        "action": (T,),
        "chunk": (T,),
    }
    for field, shape in wanted.items():
        array = getattr(recording, field)
        if array is not None and array.shape != shape:
            raise DatasetError(
                f"{recording.name}: {field} has the shape {array.shape}, which must be {shape}: {T} frames, {C} "
                f"cameras ({', '.join(recording.rig.names)}), {J} joints of {recording.skeleton.name}"
            )
    if recording.confidence.size and np.nanmax(recording.confidence, initial=0.0) > 1.0:
        raise DatasetError(f"{recording.name}: a confidence is {np.nanmax(recording.confidence):.3g}; it is 0 to 1")
    changes = np.flatnonzero(np.diff(recording.chunk)) + 1
    runs = recording.chunk[np.concatenate([[0], changes])] if T else recording.chunk
    if len(np.unique(runs)) != len(runs):
        raise DatasetError(f"{recording.name}: a chunk's frames do not follow each other: number every stretch anew")


def _wholly_absent(keypoints_px: F32, confidence: F32, joints_m: F32 | None) -> dict[str, F32 | None]:
    seen = np.isfinite(keypoints_px).all(-1) & (confidence > 0)  # NaN compares false: a NaN confidence is no sight
    truth = joints_m
    if joints_m is not None:
        truth = np.where(np.isfinite(joints_m).all(-1, keepdims=True), joints_m, np.float32(np.nan))
    return {
        "keypoints_px": np.where(seen[..., None], keypoints_px, np.float32(np.nan)),
        "confidence": np.where(seen, confidence, np.float32(0.0)),
        "joints_m": truth,
    }
