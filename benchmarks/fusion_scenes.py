"""What `benchmarks.fusion` looks at: captured motion, random rigs, a detector like MediaPipe, and what goes wrong.

Motion keeps its own path (only the window's mean place is brought to the middle of the rig), so that temporal filters
meet what they will meet; between its 30 Hz frames it is a Catmull-Rom spline. Rigs are those of `lifter.protocol`; two
and three views are the first cameras of such a rig of four, so two cameras do not face each other. What is beyond the
picture's edge is seen all the same, as there.

The detector: a joint hidden behind the body's own trunk, head or legs has confidence 0.35 to 0.8, any other 0.85 to 1;
noise is Gaussian, fresh in every frame, and grows with lost confidence as measured (`lifter.datasets.motion`); over all
joints, views and frames of a window its RMS is 3 px. Each random choice has a generator of its own, so the same window
has the same rig and the same noise in all conditions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.scenes import FOCAL_PX, SIZE_WH
from calibration.rig import Camera, CameraRig
from lifter.datasets.motion import SPELL_FRAMES, SURE, WORST_OTHERS, random_cameras
from lifter.datasets.motion_file import Clip
from lifter.protocol import NOISE_PX, RIGS
from lifter.skeleton import BODY17
from nodes.wire.messages import Keypoints2D

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SEED = 2026
FPS = 30.0
START_NS = 1_800_000_000_000_000_000
LONGEST_S = 5.0
SHORTEST_S = 1.0
ROOM_M = 2.0  # around the middle of a rig whose cameras are 3 to 6 m away
MARGIN = 4  # frames before and after a window that ticks do not use: cameras out of phase and the search for lag do
HIDDEN_CONFIDENCE = (0.35, 0.8)  # all above what the fusion and its peers ask for: a low confidence is no missing joint
OUTLIER_PX = (20.0, 200.0)
BESIDE_M = 1.0  # how far the other person stands
ALONE_S = 2.0  # one view only
# bones that hide what is behind them, with their radius
FLESH = (("pelvis>thorax", 0.14), ("thorax>head", 0.09), ("*_hip>*_knee", 0.08), ("*_knee>*_ankle", 0.06))
CLEAR_M = 0.06  # what lies nearer than this behind the surface that would hide it is part of it


@dataclass(frozen=True)
class Window:
    """A stretch of one person's motion: T ticks, MARGIN frames more on both sides.

    joints_m, other_m: (T + 2 MARGIN, J, 3) world; other_m is somebody else's motion, in the middle of the rig as well.
    """

    name: str
    number: int
    joints_m: F64
    other_m: F64

    @property
    def ticks(self) -> int:
        return len(self.joints_m) - 2 * MARGIN


@dataclass(frozen=True)
class Scene:
    """A window as C cameras saw it in F frames each; NaN and confidence 0 where a joint was not detected."""

    window: Window
    rig: CameraRig
    captured_ns: I64  # (C, F)
    keypoints_px: F64  # (C, F, J, 2)
    confidence: F64  # (C, F, J)

    @property
    def ticks_ns(self) -> list[int]:
        return [START_NS + round(k * 1e9 / FPS) for k in range(self.window.ticks)]

    def truth_m(self, later_ms: float = 0.0) -> F64:
        """The joints (T, J, 3) at the ticks, or a little later."""
        return at(self.window.joints_m, np.arange(self.window.ticks) + later_ms * FPS / 1000.0)

    def nearest(self) -> tuple[F64, F64]:
        """Keypoints (T, C, J, 2) and confidence (T, C, J) of each camera's frame that is nearest to each tick."""
        off_ns = np.abs(self.captured_ns[:, :, None] - np.array(self.ticks_ns))
        frames = off_ns.argmin(axis=1)  # (C, T)
        cameras = np.arange(len(frames))[:, None]
        return self.keypoints_px[cameras, frames].swapaxes(0, 1), self.confidence[cameras, frames].swapaxes(0, 1)

    def messages(self) -> Iterator[Keypoints2D]:
        """What the cameras send, in the order of sending; a frame in which nothing is seen has no person."""
        for frame in range(self.captured_ns.shape[1]):
            for c in np.argsort(self.captured_ns[:, frame], kind="stable"):
                someone = slice(0, int((self.confidence[c, frame] > 0).any()))
                yield Keypoints2D(
                    captured_ns=int(self.captured_ns[c, frame]),
                    published_ns=int(self.captured_ns[c, frame]) + 20_000_000,
                    source=self.rig.names[c],
                    seq=frame,
                    skeleton=BODY17.name,
                    size_wh=self.rig.cameras[c].size_wh,
                    keypoints_px=self.keypoints_px[c, frame][None][someone].astype(np.float32),
                    confidence=self.confidence[c, frame][None][someone].astype(np.float32),
                )


def at(joints_m: F64, ticks: F64) -> F64:
    """The motion (T + 2 MARGIN, J, 3) at fractional ticks: a Catmull-Rom spline through its frames."""
    frames = ticks + MARGIN
    before = np.floor(frames).astype(np.int64)
    u = (frames - before)[:, None, None]
    a, b, c, d = (joints_m[np.clip(before + i, 0, len(joints_m) - 1)] for i in (-1, 0, 1, 2))
    return b + u / 2 * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))


def choose(clips: Sequence[Clip], n_windows: int, shortest_s: float = SHORTEST_S) -> list[Window]:
    """Windows in which the person stays in the middle of the rig: from every subject in turn, at random among its own.

    At most n_windows. shortest_s: how long each is at least; no longer than LONGEST_S.
    """
    rng = np.random.default_rng(SEED)
    by_subject: dict[str, list[tuple[str, F64]]] = {}
    for clip in clips:
        by_subject.setdefault(clip.subject, []).extend(_cut(clip, shortest_s))
    queues = [[each[i] for i in rng.permutation(len(each))] for each in by_subject.values() if each]
    longest = max((len(queue) for queue in queues), default=0)
    chosen = [queue[i] for i in range(longest) for queue in queues if i < len(queue)][:n_windows]
    others = [chosen[(i + len(chosen) // 2) % len(chosen)][1] for i in range(len(chosen))]
    return [
        Window(name, number, joints_m, _as_long_as(joints_m, other_m))
        for number, ((name, joints_m), other_m) in enumerate(zip(chosen, others, strict=True))
    ]


def _cut(clip: Clip, shortest_s: float) -> Iterator[tuple[str, F64]]:
    """The clip in equal parts of at most LONGEST_S, those that stay within ROOM_M, about their mean place."""
    total = len(clip.joints_m)
    longest = round(LONGEST_S * FPS) + 2 * MARGIN
    n_parts = max(1, total // longest if shortest_s == LONGEST_S else -(-total // longest))
    length = min(total // n_parts, longest)
    if length < round(shortest_s * FPS) + 2 * MARGIN:
        return
    for begin in range(0, n_parts * length, length):
        joints_m = clip.joints_m[begin : begin + length].astype(np.float64)
        joints_m[..., :2] -= joints_m[:, BODY17.root, :2].mean(axis=0)
        if np.linalg.norm(joints_m[:, BODY17.root, :2], axis=-1).max() <= ROOM_M:
            yield f"{clip.name}[{begin}:]", joints_m


def _as_long_as(joints_m: F64, other_m: F64) -> F64:
    """The other motion, to and fro if it is shorter."""
    turn = len(other_m) - 1
    return other_m[turn - np.abs(turn - np.arange(len(joints_m)) % (2 * turn))]


def seen(window: Window, n_views: int, out_of_phase: bool = False) -> Scene:
    """The window as the first cameras of its rig see it, all joints detected.

    out_of_phase: each camera's frames come up to half a period before or after the ticks, with true stamps.
    """
    rig = _rig(window).select(tuple(f"cam{i}" for i in range(n_views)))
    frames = np.arange(-1, window.ticks + 1)
    phases = _rng(window, "phases").uniform(-0.5, 0.5, RIGS.cameras)[:n_views] * out_of_phase
    times = frames + phases[:, None]  # (C, F) in ticks
    joints_m = np.stack([at(window.joints_m, each) for each in times])
    keypoints_px, confidence = _detected(window, rig, joints_m)
    captured_ns = START_NS + np.round(times * 1e9 / FPS).astype(np.int64)
    return Scene(window, rig, captured_ns, keypoints_px, confidence)


def moved(scene: Scene, share: float) -> Scene:
    """A share of the observations moved by 20 to 200 px in any direction, their confidence as before."""
    rng = _rng(scene.window, "outliers")
    shape = (RIGS.cameras, *scene.confidence.shape[1:])
    gone, angle, length_px = rng.random(shape), rng.uniform(0, 2 * np.pi, shape), rng.uniform(*OUTLIER_PX, shape)
    by_px = np.where(gone < share, length_px, 0.0)[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return replace(scene, keypoints_px=scene.keypoints_px + by_px[: len(scene.confidence)])


def missing(scene: Scene, share: float) -> Scene:
    """A share of the observations missing, each by itself."""
    shape = (RIGS.cameras, *scene.confidence.shape[1:])
    return _without(scene, (_rng(scene.window, "missing").random(shape) < share)[: len(scene.confidence)])


def missing_for_long(scene: Scene, share: float) -> Scene:
    """A share of the observations missing for a second at a time."""
    C, F, J = scene.confidence.shape
    lasting = round(FPS)
    drawn = _rng(scene.window, "missing").random((RIGS.cameras, -(-F // lasting) + 1, J))
    begins = _rng(scene.window, "missing begins").integers(lasting, size=(RIGS.cameras, J))
    spell = (np.arange(F)[:, None] + begins[:, None]) // lasting  # (4, F, J)
    gone = np.take_along_axis(drawn, spell, axis=1) < share
    return _without(scene, gone[:C])


def alone(scene: Scene) -> Bools:
    """(T,) the ticks of the two seconds in the middle in which `one_view` leaves one view."""
    t_s = np.arange(scene.window.ticks) / FPS
    return np.abs(t_s - t_s[-1] / 2) <= ALONE_S / 2


def one_view(scene: Scene) -> Scene:
    """For two seconds in the middle, all views but one see nobody."""
    gone = np.zeros(scene.confidence.shape, dtype=np.bool_)
    gone[:, 1:-1] = alone(scene)[:, None]
    gone[_rng(scene.window, "view").integers(len(gone))] = False
    return _without(scene, gone)


def swapped(scene: Scene, share: float) -> Scene:
    """Left and right swapped in one view, in a share of the time, a quarter of a second at a time."""
    which = _rng(scene.window, "view").integers(len(scene.confidence))
    n_frames = scene.confidence.shape[1]
    drawn = _rng(scene.window, "swaps").random(-(-n_frames // SPELL_FRAMES)) < share
    frames = np.flatnonzero(drawn.repeat(SPELL_FRAMES)[:n_frames])
    keypoints_px, confidence = scene.keypoints_px.copy(), scene.confidence.copy()
    mirror = list(BODY17.mirror)
    keypoints_px[which, frames] = keypoints_px[which, frames][:, mirror]
    confidence[which, frames] = confidence[which, frames][:, mirror]
    return replace(scene, keypoints_px=keypoints_px, confidence=confidence)


def bystander(scene: Scene) -> Scene:
    """One camera sees somebody else, a metre beside, in place of the person."""
    which = _rng(scene.window, "view").integers(len(scene.confidence))
    angle = _rng(scene.window, "beside").uniform(0, 2 * np.pi)
    beside_m = scene.window.other_m + BESIDE_M * np.array([np.cos(angle), np.sin(angle), 0.0])
    ticks = (scene.captured_ns - START_NS) * (FPS / 1e9)  # (C, F)
    other_px, confidence = _detected(scene.window, scene.rig, np.stack([at(beside_m, each) for each in ticks]))
    here = (np.arange(len(confidence)) == which)[:, None, None]
    return replace(
        scene,
        keypoints_px=np.where(here[..., None], other_px, scene.keypoints_px),
        confidence=np.where(here, confidence, scene.confidence),
    )


def without_view(scene: Scene) -> Scene:
    """The rig without the camera that sees somebody else in `bystander`."""
    which = _rng(scene.window, "view").integers(len(scene.confidence))
    kept = np.arange(len(scene.confidence)) != which
    return Scene(
        scene.window,
        scene.rig.select(tuple(name for name, each in zip(scene.rig.names, kept, strict=True) if each)),
        scene.captured_ns[kept],
        scene.keypoints_px[kept],
        scene.confidence[kept],
    )


def _without(scene: Scene, gone: Bools) -> Scene:
    return replace(
        scene,
        keypoints_px=np.where(gone[..., None], np.nan, scene.keypoints_px),
        confidence=np.where(gone, 0.0, scene.confidence),
    )


def _rng(window: Window, purpose: str) -> np.random.Generator:
    return np.random.default_rng([SEED, window.number, *purpose.encode()])


def _rig(window: Window) -> CameraRig:
    centres_m, Rs_cam_world = random_cameras(1, RIGS, _rng(window, "rig"))
    K = np.array([[FOCAL_PX, 0, (SIZE_WH[0] - 1) / 2], [0, FOCAL_PX, (SIZE_WH[1] - 1) / 2], [0, 0, 1.0]])
    cameras = []
    for i, (centre_m, R_cam_world) in enumerate(zip(centres_m[0], Rs_cam_world[0], strict=True)):
        T_cam_world = np.eye(4)
        T_cam_world[:3, :3], T_cam_world[:3, 3] = R_cam_world, -R_cam_world @ centre_m
        cameras.append(Camera(f"cam{i}", SIZE_WH, K, np.zeros(5), T_cam_world))
    return CameraRig(tuple(cameras))


def _detected(window: Window, rig: CameraRig, joints_m: F64) -> tuple[F64, F64]:
    """Pixels (C, F, J, 2) and confidence (C, F, J) of joints (C, F, J, 3), each camera's at its own times."""
    shape = joints_m.shape[1:-1]
    keypoints_px, confidence = np.empty((len(rig.cameras), *shape, 2)), np.empty((len(rig.cameras), *shape))
    for c, camera in enumerate(rig.cameras):
        rng = _rng(window, camera.name)
        confidence[c] = _confidence(joints_m[c], camera.T_world_cam[:3, 3], rng)
        sigma = 1 + WORST_OTHERS * (1 - confidence[c])
        sigma_px = NOISE_PX * sigma / np.sqrt(np.mean(sigma**2))
        keypoints_px[c] = camera.project(joints_m[c]) + sigma_px[..., None] * rng.standard_normal((*shape, 2))
    return keypoints_px, np.where(np.isfinite(keypoints_px).all(-1), confidence, 0.0)


def _confidence(joints_m: F64, centre_m: F64, rng: np.random.Generator) -> F64:
    """Confidence (F, J) of joints (F, J, 3): high where they are seen, low for a while where the body hides them."""
    n_frames, n_joints = joints_m.shape[:2]
    drawn = rng.uniform(*HIDDEN_CONFIDENCE, (-(-n_frames // SPELL_FRAMES), n_joints))
    low = drawn.repeat(SPELL_FRAMES, axis=0)[:n_frames] + rng.uniform(-0.05, 0.05, (n_frames, n_joints))
    high = rng.uniform(SURE, 1.0, (n_frames, n_joints))
    return np.where(hidden(joints_m, centre_m), np.clip(low, *HIDDEN_CONFIDENCE), high)


def hidden(joints_m: F64, centre_m: F64) -> Bools:
    """(F, J) whether the body itself stands between the camera's centre and a joint of (F, J, 3)."""
    balls_m, radius_m = _balls(joints_m)
    towards = joints_m - centre_m
    distance_m = np.linalg.norm(towards, axis=-1)
    balls = balls_m - centre_m
    along = np.einsum("fbi,fji->fjb", balls, towards / distance_m[..., None])
    off2 = (balls**2).sum(-1)[:, None] - along**2
    return ((off2 < radius_m**2) & (along < distance_m[..., None] - radius_m - CLEAR_M)).any(axis=-1)


def _balls(joints_m: F64) -> tuple[F64, F64]:
    """The flesh on the bones as balls: (F, B, 3) centres and (B,) radii."""
    centres_m, radii_m = [], []
    for bone, radius_m in FLESH:
        for side in ("left", "right") if "*" in bone else ("",):
            ends = [joints_m[:, BODY17.index(name)] for name in bone.replace("*", side).split(">")]
            for share in np.linspace(0.0, 1.0, 6):
                centres_m.append((1 - share) * ends[0] + share * ends[1])
                radii_m.append(radius_m)
    return np.stack(centres_m, axis=1), np.array(radii_m)
