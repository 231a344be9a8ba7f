"""One person as one camera saw it: keypoints over time, and what they are between two frames.

Each camera has frame times of its own. `captured_s` is what the camera's clock says; the true time is that plus the
camera's offset, which is what is looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.rig import Camera

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

HALF_WINDOW_S = 0.1  # of the local fit: half a step takes three times as long
WIDER = 2.0  # the window of velocities
LEAST_HALF_WINDOW_FRAMES = 2.05  # so that three frames at least have a say at any rate
MAX_GAP_S = 0.25  # longer without a joint, it is unknown
OUTSIDE = 0.02  # of the picture: beyond its rim, detectors guess


@dataclass(frozen=True, eq=False)
class PersonTrack:
    """N frames of one camera in time order, with J joints of one person.

    captured_s: (N,) rising, on the camera's clock. keypoints_px: (N, J, 2) as detected (distorted), NaN where absent.
    confidence: (N, J), 0 there. joints: J names.
    """

    camera: str
    captured_s: Array
    keypoints_px: Array
    confidence: Array
    joints: tuple[str, ...]

    def __post_init__(self) -> None:
        N, J = len(self.captured_s), len(self.joints)
        for name, shape in (("captured_s", (N,)), ("keypoints_px", (N, J, 2)), ("confidence", (N, J))):
            if getattr(self, name).shape != shape:
                raise CalibrationError(f"camera {self.camera!r}: {name} is {getattr(self, name).shape}, not {shape}")
        if not np.isfinite(self.captured_s).all() or (np.diff(self.captured_s) <= 0).any():
            raise CalibrationError(
                f"camera {self.camera!r}: its frame times do not rise from frame to frame: give each frame a time of "
                "its own, or leave frames without one out"
            )

    @property
    def seen(self) -> Bools:
        """(N, J) joints that were found."""
        return np.asarray(np.isfinite(self.keypoints_px).all(-1) & (self.confidence > 0))

    @property
    def period_s(self) -> float:
        """Between two frames."""
        return float(np.median(np.diff(self.captured_s)))

    def of_joints(self, joints: Sequence[str]) -> "PersonTrack":
        """The same with these joints alone."""
        at = [self.joints.index(joint) for joint in joints]
        return replace(
            self, keypoints_px=self.keypoints_px[:, at], confidence=self.confidence[:, at], joints=tuple(joints)
        )


@dataclass(frozen=True, eq=False)
class Views:
    """What C cameras saw of J joints at T instants of the common time.

    xy: (C, T, J, 2) ideal normalised coordinates, NaN where unknown. velocity: their change per second. confidence:
    (C, T, J), 0 where unknown.
    """

    xy: Array
    velocity: Array
    confidence: Array

    @property
    def seen(self) -> Bools:
        """(C, T, J)."""
        return self.confidence > 0

    def at(self, instants: npt.NDArray[np.int64] | Bools) -> "Views":
        """Only these instants."""
        return Views(self.xy[:, instants], self.velocity[:, instants], self.confidence[:, instants])

    def of_cameras(self, cameras: Sequence[int]) -> "Views":
        """Only these cameras."""
        at = list(cameras)
        return Views(self.xy[at], self.velocity[at], self.confidence[at])


def straightened(track: PersonTrack, camera: Camera) -> tuple[Array, Array]:
    """Ideal normalised coordinates (N, J, 2) and confidence (N, J); what lies beyond the picture is absent."""
    size = np.array(camera.size_wh, dtype=np.float64)
    inside = (np.abs(track.keypoints_px - (size - 1) / 2) <= size * (0.5 + OUTSIDE)).all(-1)  # NaN compares false
    confidence = np.where(track.seen & inside, np.clip(track.confidence, 0.0, 1.0), 0.0)
    xy = camera.undistort(np.where(confidence[..., None] > 0, track.keypoints_px, np.nan))
    confidence = np.where(np.isfinite(xy).all(-1), confidence, 0.0)
    return np.where(confidence[..., None] > 0, xy, np.nan), confidence


def between_frames(captured_s: Array, xy: Array, confidence: Array, at_s: Array) -> tuple[Array, Array, Array]:
    """Position (T, J, 2), velocity per second and confidence (T, J) at times at_s (T,) of the camera's own clock.

    A parabola is fitted to the frames around (local regression, Cleveland 1979): what interpolates between two frames
    has less noise in the middle than at them, and offsets would be drawn to half frames. Velocity is of more frames:
    its noise would make every step towards the offsets too short.
    """
    period_s = float(np.median(np.diff(captured_s)))
    half_s = max(HALF_WINDOW_S, LEAST_HALF_WINDOW_FRAMES * period_s)
    fit, weight, near = _parabolas(captured_s, xy, confidence, at_s, half_s)
    wide = _parabolas(captured_s, xy, confidence, at_s, WIDER * half_s)[0]
    from_s, sure = near
    gap_s = min(MAX_GAP_S, half_s)
    counts = weight > 0
    before = (counts & ((from_s <= 0) & (from_s >= -gap_s))[..., None]).any(1)
    after = (counts & ((from_s >= 0) & (from_s <= gap_s))[..., None]).any(1)
    known = before & after & (counts.sum(1) >= 3)
    mean = (weight * sure).sum(1) / np.maximum(weight.sum(1), 1e-12)
    missing = ~known[..., None]
    return (
        np.where(missing, np.nan, fit[:, :, 0]),
        np.where(missing, 0.0, wide[:, :, 1]),
        np.where(known, mean, 0.0),
    )


def _parabolas(
    captured_s: Array, xy: Array, confidence: Array, at_s: Array, half_s: float
) -> tuple[Array, Array, tuple[Array, Array]]:
    """Coefficients (T, J, 3, 2) in seconds from at_s; and of the W frames around: weights (T, W, J), how far off they
    are in seconds (T, W), and confidence (T, W, J)."""
    width = int(np.ceil(half_s / float(np.median(np.diff(captured_s))))) + 1
    index = np.searchsorted(captured_s, at_s)[:, None] + np.arange(-width, width)  # (T, W)
    inside = (index >= 0) & (index < len(captured_s))
    index = np.clip(index, 0, len(captured_s) - 1)
    from_s = captured_s[index] - at_s[:, None]
    u = from_s / half_s
    kernel = np.where(inside, np.maximum(1 - u**2, 0.0) ** 2, 0.0)
    sure = confidence[index]
    weight = kernel[..., None] * sure
    powers = np.stack([np.ones_like(u), u, u * u], axis=-1)  # (T, W, 3)
    products = (powers[..., :, None] * powers[..., None, :]).reshape(*u.shape, 9)
    normal = (weight.swapaxes(1, 2) @ products).reshape(*weight.shape[::2], 3, 3)
    weighted = weight[..., None] * np.nan_to_num(xy[index])  # (T, W, J, 2)
    right = (powers.swapaxes(1, 2) @ weighted.reshape(*u.shape, -1)).reshape(len(at_s), 3, -1, 2).swapaxes(1, 2)
    fit = np.linalg.solve(normal + 1e-9 * np.eye(3), right)
    return fit / half_s ** np.arange(3)[:, None], weight, (from_s, sure)


@dataclass(frozen=True, eq=False)
class Straightened:
    """The tracks of C cameras in ideal coordinates, for looking up any instant again and again."""

    captured_s: tuple[Array, ...]
    xy: tuple[Array, ...]
    confidence: tuple[Array, ...]

    @staticmethod
    def of(tracks: Sequence[PersonTrack], cameras: Sequence[Camera]) -> "Straightened":
        both = [straightened(track, camera) for track, camera in zip(tracks, cameras, strict=True)]
        return Straightened(
            tuple(track.captured_s for track in tracks), tuple(xy for xy, _ in both), tuple(sure for _, sure in both)
        )

    def views(self, instants_s: Array, offsets_s: Array) -> Views:
        """What each camera saw at instants (T,) of the common time, its clock being wrong by offsets_s (C,)."""
        parts = [
            between_frames(captured_s, xy, sure, instants_s - offset_s)
            for captured_s, xy, sure, offset_s in zip(self.captured_s, self.xy, self.confidence, offsets_s, strict=True)
        ]
        return Views(*(np.stack([part[i] for part in parts]) for i in range(3)))

    def camera(self, index: int, instants_s: Array, offset_s: float) -> Views:
        """The same of one camera."""
        xy, velocity, sure = between_frames(
            self.captured_s[index], self.xy[index], self.confidence[index], instants_s - offset_s
        )
        return Views(xy[None], velocity[None], sure[None])
