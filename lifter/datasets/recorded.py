"""Random batches from recordings, for training and adaptation."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lifter.datasets.batch import Batch, batch_of
from lifter.datasets.errors import DatasetError
from lifter.datasets.recording import Recording
from lifter.skeleton import Skeleton

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
MIRROR = np.array([-1.0, 1.0, 1.0])  # a mirrored world: x to −x in the world and in every camera


class RecordingSource:
    """Windows of recordings that may have different rigs; where one has fewer cameras, the rest saw nothing.

    mirrored: share of samples shown as in a mirror (cameras, sides and 2D alike), which doubles the motion.
    level: whether the rigs' z axes point up, so that the network may be told the cameras' tilt.
    """

    def __init__(
        self, recordings: Sequence[Recording], skeleton: Skeleton, window: int, mirrored: float, level: bool
    ) -> None:
        self.skeleton = skeleton
        self._mirrored, self._level = mirrored, level
        if not recordings:
            raise DatasetError("there is no recording to learn from: the files hold no person; name others in `files`")
        cameras = [len(recording.rig.cameras) for recording in recordings]
        self.cameras, self.fewest_cameras = max(cameras), min(cameras)
        rows = [_rows(recording.as_skeleton(skeleton), self.cameras) for recording in recordings]
        self._rays, self._confidence, self._joints_m = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        self._R_cam_world, self._centre_m = _cameras(recordings, self.cameras)
        self._recording = np.repeat(np.arange(len(recordings)), [len(recording.chunk) for recording in recordings])
        self._starts = _starts(recordings, window)
        if not len(self._starts):
            raise DatasetError(f"no recording has {window} consecutive frames, which a window needs; lower `window`")
        self._window = np.arange(window)
        self.frames = len(self._rays)
        self.labelled = bool(np.isfinite(self._joints_m[:, skeleton.root]).any())

    def draw(self, samples: int, rng: np.random.Generator) -> Batch:
        """A batch of `samples` windows."""
        starts = self._starts[rng.integers(len(self._starts), size=samples)]
        mirrored = rng.random(samples) < self._mirrored
        return self.at(starts, mirrored)

    def at(self, starts: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]) -> Batch:
        """The windows that begin at these frames (rows over all recordings), mirrored or as they are."""
        frames = starts[:, None] + self._window
        rays, confidence = self._rays[frames].swapaxes(1, 2), self._confidence[frames].swapaxes(1, 2)
        joints_m, rig = self._joints_m[frames], self._recording[starts]
        R_cam_world, centre_m = self._R_cam_world[rig], self._centre_m[rig]
        swap, m = list(self.skeleton.mirror), mirrored
        rays[m], confidence[m] = rays[m][..., swap, :] * MIRROR[:2], confidence[m][..., swap]
        joints_m[m], centre_m[m] = joints_m[m][..., swap, :] * MIRROR, centre_m[m] * MIRROR
        R_cam_world[m] *= MIRROR[:, None] * MIRROR
        return batch_of(rays, confidence, R_cam_world, centre_m, joints_m, np.full(len(starts), self._level))


def _rows(recording: Recording, cameras: int) -> tuple[F64, F64, F64]:
    """Rays (T, cameras, J, 2), confidence (T, cameras, J) and truth (T, J, 3), with absent cameras added."""
    T, C, J, _ = recording.keypoints_px.shape
    rays, confidence = np.full((T, cameras, J, 2), np.nan), np.zeros((T, cameras, J))
    for i, camera in enumerate(recording.rig.cameras):
        rays[:, i] = camera.undistort(recording.keypoints_px[:, i].astype(np.float64))
    confidence[:, :C] = recording.confidence
    truth = np.full((T, J, 3), np.nan) if recording.joints_m is None else recording.joints_m.astype(np.float64)
    return rays, confidence, truth


def _cameras(recordings: Sequence[Recording], cameras: int) -> tuple[F64, F64]:
    """R_cam_world (recordings, cameras, 3, 3) and centres (recordings, cameras, 3)."""
    R = np.tile(np.eye(3), (len(recordings), cameras, 1, 1))
    centre_m = np.zeros((len(recordings), cameras, 3))
    for r, recording in enumerate(recordings):
        for c, camera in enumerate(recording.rig.cameras):
            R[r, c], centre_m[r, c] = camera.T_cam_world[:3, :3], camera.T_world_cam[:3, 3]
    return R, centre_m


def _starts(recordings: Sequence[Recording], window: int) -> npt.NDArray[np.int64]:
    """Frames (over all recordings) from which `window` frames follow each other in one chunk."""
    chunks = np.concatenate([recording.chunk for recording in recordings])
    recording_of = np.repeat(np.arange(len(recordings)), [len(recording.chunk) for recording in recordings])
    last = len(chunks) - window + 1
    if last <= 0:
        return np.empty(0, dtype=np.int64)
    whole = (chunks[:last] == chunks[window - 1 :]) & (recording_of[:last] == recording_of[window - 1 :])
    return np.flatnonzero(whole)
