"""One picture, one pose: our lifter beside MediaPipe's own 3D, on the same detections of the virtual actor.

    python -m benchmarks.lifter_actor [--weights FILE …] [--motion demo walk …] [--seeds 2] [--json FILE] [--check]

Without --motion: the four clips of configs/demo. With it: each motion is rendered for --seconds, with as many bodies
and random rigs of two cameras as there are seeds (slower). The detector runs as it does live, on consecutive frames.
Both 3D poses come from one view alone, in that camera's axes, relative to the middle of the hips; both are judged on
the joints of body17, against the exact ones, on the frames that both have. Nothing is kept on disk.
"""

import logging
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, parser, refuse
from benchmarks.scenes import LANDMARKS, random_rig
from calibration.pinhole import undistort
from calibration.rig import Camera, CameraRig
from calibration.rig_file import load_rig
from configs import schema
from lifter.derive import derive
from lifter.errors import LifterError
from lifter.metrics import Tally
from lifter.runtime import WEIGHTS, Lifter, load
from lifter.skeleton import BODY17, MEDIAPIPE33
from lifter.synthetic import MOTIONS, Body

F64 = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

DEMO = Path(__file__).parent.parent / "configs" / "demo"
SIZE_WH = (640, 480)
FPS = 25.0
RATE_HZ = 30.0  # of the motion that sequence models are trained on
MEDIAPIPE = "MediaPipe pose_world_landmarks"
ARMS = [BODY17.index(f"{side}_{joint}") for joint in ("elbow", "wrist") for side in ("left", "right")]


@dataclass(frozen=True)
class Shot:
    """What one camera films."""

    name: str
    camera: Camera
    pictures: Iterator[Picture]
    truth_m: F64  # (T, 33, 3) MediaPipe's landmarks, world


@dataclass(frozen=True)
class Seen:
    """What the detector makes of a shot: NaN where it found nobody."""

    keypoints_px: F64  # (T, 33, 2)
    confidence: F64  # (T, 33)
    world_m: F64  # (T, 33, 3) MediaPipe's own 3D, in the camera's axes


def demo_shots() -> Iterator[Shot]:
    """The clips that come with the demo, and their truth."""
    rig = load_rig(DEMO / "rig.toml")
    with np.load(DEMO / "truth.npz") as truth:
        of_33 = [list(truth["gt_joints"]).index(joint) for joint in MEDIAPIPE33.joints]
        truth_m = truth["gt3d"][:, 0, of_33].astype(np.float64)
    for camera in rig.cameras:
        yield Shot(f"demo, {camera.name}", camera, _frames_of(DEMO / f"{camera.name}.mp4"), truth_m)


def _frames_of(path: Path) -> Iterator[Picture]:
    import av

    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def rendered_shots(motion: str, seed: int, seconds: float) -> Iterator[Shot]:
    """A body of another stature and dress, seen by two cameras of a random rig."""
    from nodes.sources.virtual.body import WARDROBE
    from nodes.sources.virtual.render import Renderer
    from nodes.sources.virtual.scene import Actor, Scene

    rng = np.random.default_rng([2026, seed])
    body, clothing = Body.of_stature(rng.uniform(1.55, 1.9)), WARDROBE[seed % len(WARDROBE)]
    scene = Scene((Actor(MOTIONS[motion], body, clothing),), seed=seed, room_half_m=8.0)
    rig = CameraRig(tuple(camera.resized(SIZE_WH) for camera in random_rig(2, rng).cameras))
    t_s = np.arange(round(seconds * FPS)) / FPS
    truth_m = scene.joints_at(t_s)[:, 0, LANDMARKS]
    for camera in rig.cameras:
        renderer = Renderer(scene, camera)
        pictures = (renderer.image_at(float(t), frame_id) for frame_id, t in enumerate(t_s))
        yield Shot(f"{motion}, seed {seed}, {camera.name}", camera, pictures, truth_m)


class _WithWorld:
    """MediaPipe's landmarker, with its own 3D of the last frame kept."""

    def __init__(self, landmarker: object) -> None:
        self._landmarker = landmarker
        self.world_m: F64 | None = None

    def detect_for_video(self, *frame: object) -> object:
        found = self._landmarker.detect_for_video(*frame)  # type: ignore[attr-defined]
        people = found.pose_world_landmarks
        self.world_m = np.array([(mark.x, mark.y, mark.z) for mark in people[0]]) if people else None
        return found

    def close(self) -> None:
        self._landmarker.close()  # type: ignore[attr-defined]


def watch(shot: Shot) -> Seen:
    """Run the live detector over a shot."""
    from nodes.detect.mediapipe_pose import MediaPipePose
    from nodes.sources.source import Frame

    detector = MediaPipePose(schema.Detector())
    kept = detector._landmarker = _WithWorld(detector._landmarker)
    n_frames = len(shot.truth_m)
    seen = Seen(np.full((n_frames, 33, 2), np.nan), np.zeros((n_frames, 33)), np.full((n_frames, 33, 3), np.nan))
    for i, picture in enumerate(shot.pictures):
        found = detector.detect(Frame(picture, round(i * 1e9 / FPS), i))
        if len(found.confidence) and kept.world_m is not None:
            seen.keypoints_px[i], seen.confidence[i] = found.keypoints_px[0], found.confidence[0]
            seen.world_m[i] = kept.world_m
    detector.close()
    return seen


def lift(lifter: Lifter, shot: Shot, seen: Seen) -> tuple[F64, F64]:
    """Our joints (T, 17, 3) in the camera's axes and their sigmas (T, 17)."""
    rays = undistort(shot.camera.K, shot.camera.dist8, seen.keypoints_px)
    up_cam = shot.camera.T_cam_world[:3, 2]
    if lifter.kind == "frame":
        lifts = lifter.lift(rays, seen.confidence, up_cam)
        return lifts.joints_cam_m, lifts.sigma_m
    state = lifter.start(1)
    rows = []
    for ray, confidence in zip(rays, seen.confidence, strict=True):
        lifts, state = lifter.lift_stream(ray[None], confidence[None], up_cam, state)
        rows.append((lifts.joints_cam_m[0], lifts.sigma_m[0]))
    joints_m, sigma_m = zip(*rows, strict=True)
    return np.stack(joints_m), np.stack(sigma_m)


def judge(shot: Shot, seen: Seen, lifters: dict[str, Lifter]) -> dict[str, Tally]:
    """All methods on one shot, on the frames that all of them have."""
    truth_m = as_body17(shot.truth_m) @ shot.camera.T_cam_world[:3, :3].T
    found: dict[str, tuple[F64, F64 | None]] = {MEDIAPIPE: (as_body17(seen.world_m), None)}
    found |= {name: lift(lifter, shot, seen) for name, lifter in lifters.items()}
    given = np.all([np.isfinite(joints_m).all((1, 2)) for joints_m, _ in found.values()], axis=0)
    return {
        name: Tally.of(joints_m[given], truth_m[given], BODY17.root, None if sigma_m is None else sigma_m[given])
        for name, (joints_m, sigma_m) in found.items()
    }


def as_body17(landmarks_m: F64) -> F64:
    """MediaPipe's landmarks (T, 33, 3) as body17 (T, 17, 3): the same definitions for truth and methods."""
    return np.asarray(derive(landmarks_m, np.ones(landmarks_m.shape[:2]), MEDIAPIPE33, BODY17)[0], dtype=np.float64)


def open_lifters(paths: list[Path]) -> dict[str, Lifter]:
    """Weight files, or checkpoints of `lifter.train`, which are exported on the fly. Raises LifterError."""
    lifters = {}
    with tempfile.TemporaryDirectory() as folder:
        for i, path in enumerate(paths):
            weights = _exported(path, Path(folder) / f"{i}.onnx") if path.suffix == ".pt" else path
            lifter = load(weights, skeleton=MEDIAPIPE33)
            lifters[f"{lifter.kind} model, {path.name}"] = lifter
    return lifters


def _exported(path: Path, weights: Path) -> Path:
    from lifter import checkpoint
    from lifter.export import card_of, export

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    read = checkpoint.load(path)
    weights.write_bytes(export(read.model, card_of(read, RATE_HZ))[0])
    return weights


def shots_of(motions: list[str], seeds: int, seconds: float) -> Iterator[Shot]:
    """The demo, or what was asked for instead."""
    if not motions:
        yield from demo_shots()
    for motion in motions:
        for seed in range(seeds):
            yield from rendered_shots(motion, seed, seconds)


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--weights", type=Path, nargs="+", metavar="FILE", help=".onnx or checkpoints; default: ours")
    made.add_argument("--motion", nargs="+", default=[], choices=MOTIONS, help="render these in place of the demo")
    made.add_argument("--seeds", type=int, default=2, help="bodies and rigs per motion (default: 2)")
    made.add_argument("--seconds", type=float, default=8.0, help="of each rendered shot (default: 8)")
    options = made.parse_args()
    try:
        lifters = open_lifters(options.weights or sorted(WEIGHTS.glob("body17_*.onnx")))
    except LifterError as error:
        return refuse(str(error))
    if not lifters:
        return refuse(f"no weights in {WEIGHTS}; name a file or a checkpoint: --weights FILE")
    report = Report("one view of the virtual actor: 3D error relative to the hips, mm")
    sums: dict[str, Tally] = {}
    for shot in shots_of(options.motion, options.seeds, options.seconds):
        for name, tally in judge(shot, watch(shot), lifters).items():
            sums[name] = sums[name] + tally if name in sums else tally
            tell(report, shot.name, name, tally)
    for name, tally in sums.items():
        tell(report, "all", name, tally)
    theirs_mm = sums[MEDIAPIPE].figures()["mpjpe_mm"]
    for name in lifters:
        report.aim(f"{name}: MPJPE over MediaPipe's", sums[name].figures()["mpjpe_mm"] / theirs_mm, 0.5)
    return report.finish(options)


def tell(report: Report, shot: str, method: str, tally: Tally) -> None:
    """A row of the table."""
    figures = tally.figures()
    report.row(
        shot=shot,
        method=method,
        frames=int(tally.count[0].max()),
        mpjpe=figures["mpjpe_mm"],
        p_mpjpe=figures["p_mpjpe_mm"],
        n_mpjpe=figures["n_mpjpe_mm"],
        arms=float(np.mean(tally.mpjpe_mm_per_joint()[ARMS])),
        sigma_calibration=figures["sigma_calibration"],
    )


if __name__ == "__main__":
    sys.exit(main())
