"""Several people in one camera's pictures: detected where fusion expects them, and by MediaPipe's own num_poses.

    python -m benchmarks.detection [--people 1 2 3] [--frames 45] [--size 640 480] [--json FILE] [--check]

Rendered actors, who each walk about a place of their own, 1.1 m from the next one's; and a pair in step, 1.2 m apart.
They are seen by the demo's four cameras at 15 frames a second; truth is exact. The stand-in for fusion tells each
camera where the truth was 100 ms ago and how fast it was, 20 mm wrong.

Columns: share of people found, of those whose hips are not hidden behind somebody; seconds until everybody had been
found once (the film's length: never), in the camera that took longest; error of the limb joints of all who were found,
half hidden ones, too, as far as the detector's confidence in a joint is over 0.3; detections a frame of nobody, or of
somebody for the second time; the process's CPU time a frame; detections in a second of one core.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, parser
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from configs import schema
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import SYNTHETIC_JOINTS
from nodes.detect.mediapipe_pose import MediaPipePose
from nodes.detect.pose_bundle import wheel_models, write_bundle
from nodes.detect.regions import Regions, regions_at
from nodes.sources.source import Frame
from nodes.sources.virtual.body import WARDROBE
from nodes.sources.virtual.render import Renderer
from nodes.sources.virtual.scene import Scene, stage
from nodes.stages.expectation import expect

F64 = npt.NDArray[np.float64]
Detect = Callable[[Frame, Regions], F64]

DEMO = Path(schema.__file__).parent / "demo"
START_NS = 1_700_000_000_000_000_000
FPS = 15
LAG_NS = 100_000_000  # from capture to the expectation that comes back
WRONG_M = 0.02
NEAR = 0.25  # of the person's size in the picture (hips to farthest joint): so near a detection is of that person
MIN_CONFIDENCE = 0.3  # as fusion has it
MIN_SURE = 4  # limb joints over that; with fewer a detection counts for nothing
HIDES = 0.2  # of the nearer person's size: about the half width of a body
LANDMARKS = [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]
LIMBS = MEDIAPIPE33.limb_indices()
HIPS = [MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]
NOBODY = Regions(np.empty(0, dtype=np.int64), np.empty((0, 4)))


@dataclass(frozen=True)
class Film:
    """What one camera filmed. frames in order; truth_px: (T, P, 33, 2). visible: (T, P)."""

    camera: str
    frames: list[Frame]
    truth_px: F64
    visible: npt.NDArray[np.bool_]


@dataclass
class Tally:
    """What one method made of the films."""

    errors_px: list[F64] = field(default_factory=list)
    found: list[npt.NDArray[np.bool_]] = field(default_factory=list)  # (T, P) a film
    visible: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    extra: int = 0
    cpu_s: list[float] = field(default_factory=list)

    def add(self, film: Film, detected: list[F64]) -> None:
        """Hold the detections (P', 33, 3: x, y, confidence) of every frame against the truth."""
        hits = np.zeros(film.truth_px.shape[:2], dtype=np.bool_)
        for t, (truth_px, people) in enumerate(zip(film.truth_px, detected, strict=True)):
            _, size_px = hips_and_size(truth_px)
            apart_px = np.linalg.norm(people[:, None, LIMBS, :2] - truth_px[None, :, LIMBS], axis=3)
            sure = people[:, LIMBS, 2] > MIN_CONFIDENCE
            for p in range(len(truth_px)):
                near_px = [
                    error_px[of] for error_px, of in zip(apart_px[:, p], sure, strict=True) if of.sum() >= MIN_SURE
                ]
                nearest_px = min(near_px, key=np.mean, default=np.array([np.inf]))
                if nearest_px.mean() < NEAR * size_px[p]:
                    hits[t, p] = True
                    self.errors_px.append(nearest_px)
            self.extra += max(0, int((sure.sum(axis=1) >= MIN_SURE).sum() - hits[t].sum()))
        self.found.append(hits)
        self.visible.append(film.visible)

    def latest_first_s(self) -> float:
        """Until everybody had been found for a first time, in the worst film; its length when somebody never was."""
        return max(float(np.where(hits.any(axis=0), hits.argmax(axis=0), len(hits)).max()) / FPS for hits in self.found)

    def figures(self) -> dict[str, float]:
        """The columns of the table."""
        errors_px = np.concatenate(self.errors_px)
        n_found = sum(int(hits.sum()) for hits in self.found)
        return {
            "found": float(np.concatenate(self.found)[np.concatenate(self.visible)].mean()),
            "all by s": self.latest_first_s(),
            "p50 px": float(np.median(errors_px)),
            "p90 px": float(np.percentile(errors_px, 90)),
            "extra": self.extra / len(self.cpu_s),
            "CPU ms": 1e3 * float(np.mean(self.cpu_s)),
            "p95 ms": 1e3 * float(np.percentile(self.cpu_s, 95)),
            "per core s": n_found / sum(self.cpu_s),
        }


class Peer:
    """PoseLandmarker in VIDEO mode as its users run it, with the models as the wheel carries them."""

    def __init__(self, bundle: Path, num_poses: int) -> None:
        import mediapipe as mp
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(bundle)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=num_poses,
        )
        self._mp = mp
        self._landmarker = vision.PoseLandmarker.create_from_options(options)

    def detect(self, frame: Frame, regions: Regions) -> F64:
        image = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=frame.image_rgb)
        people = self._landmarker.detect_for_video(image, frame.captured_ns // 1_000_000).pose_landmarks
        height, width = frame.image_rgb.shape[:2]
        marks = np.array([[(m.x, m.y, m.visibility) for m in person] for person in people]).reshape(-1, 33, 3)
        return np.asarray(marks * (width, height, 1.0) - (0.5, 0.5, 0.0))

    def close(self) -> None:
        self._landmarker.close()


class Ours:
    """The camera node's detector. asks: whether fusion says where to look, and not only that it lives."""

    def __init__(self, asks: bool) -> None:
        self._detector = MediaPipePose(schema.Detector())
        self._asks = asks

    def detect(self, frame: Frame, regions: Regions) -> F64:
        found = self._detector.detect(frame, regions if self._asks else NOBODY)
        return np.concatenate([found.keypoints_px, found.confidence[..., None]], axis=2, dtype=np.float64)

    def close(self) -> None:
        self._detector.close()


def films_of(scene: Scene, rig: CameraRig, n_frames: int) -> list[Film]:
    """The scene from every camera."""
    t_s = np.arange(n_frames) / FPS
    joints_m = scene.joints_at(t_s)[:, :, LANDMARKS]
    films = []
    for camera in rig.cameras:
        renderer = Renderer(scene, camera)
        frames = [Frame(renderer.image_at(t, k), START_NS + round(t * 1e9), k) for k, t in enumerate(t_s)]
        truth_px = camera.project(joints_m)
        away_m2 = ((joints_m[:, :, HIPS].mean(axis=2) - camera.T_world_cam[:3, 3]) ** 2).sum(axis=2)
        films.append(Film(camera.name, frames, truth_px, visible(truth_px, away_m2)))
    return films


def hips_and_size(truth_px: F64) -> tuple[F64, F64]:
    """The middle of the hips (…, 2), and the distance of the joint farthest from there (…,)."""
    hips_px = truth_px[..., HIPS, :].mean(axis=-2)
    return hips_px, np.linalg.norm(truth_px - hips_px[..., None, :], axis=-1).max(axis=-1)


def visible(truth_px: F64, depth: F64) -> npt.NDArray[np.bool_]:
    """(T, P): nobody nearer (depth (T, P), any rising measure) stands before the hips."""
    hips_px, size_px = hips_and_size(truth_px)
    apart_px = np.linalg.norm(hips_px[:, :, None] - hips_px[:, None], axis=3)
    before = (depth[:, None] < depth[:, :, None]) & (apart_px < HIDES * size_px[:, None])
    return ~np.asarray(before.any(axis=2))


def regions_for(scene: Scene, rig: CameraRig, film: Film) -> list[Regions]:
    """What the stand-in for fusion tells this camera at each frame."""
    rng = np.random.default_rng(0)
    told = []
    for frame in film.frames:
        t_s = (frame.captured_ns - LAG_NS - START_NS) * 1e-9
        before_m, joints_m = scene.joints_at([t_s - 0.03, t_s])[:, :, LANDMARKS]
        moved_m = joints_m + rng.normal(0.0, WRONG_M, (len(joints_m), 1, 3))
        sigma_m = np.full(joints_m.shape[:2], WRONG_M)
        speed = (joints_m - before_m) / 0.03
        ids = range(len(joints_m))
        expected = expect(frame.captured_ns - LAG_NS, ids, moved_m, speed, sigma_m, rig, MEDIAPIPE33)
        height, width = frame.image_rgb.shape[:2]
        told.append(regions_at(expected, film.camera, frame.captured_ns, (width, height)) or NOBODY)
    return told


def tally(make: Callable[[], Peer | Ours], films: list[Film], told: list[list[Regions]]) -> Tally:
    """Run a fresh detector over each film."""
    result = Tally()
    for film, regions in zip(films, told, strict=True):
        detector, detected = make(), []
        for frame, where in zip(film.frames, regions, strict=True):
            started_s = time.process_time()
            detected.append(detector.detect(frame, where))
            result.cpu_s.append(time.process_time() - started_s)
        detector.close()
        result.add(film, detected)
    return result


def scenes(rig: CameraRig, numbers: list[int]) -> dict[str, Scene]:
    """What is filmed, by name."""
    casts = {str(n_people): stage(rig, "demo", n_people) for n_people in numbers}
    alone = stage(rig, "demo")
    pair = [
        replace(alone.actors[0], offset_m=(x_m, 0.0), clothing=clothing)
        for x_m, clothing in zip((-0.6, 0.6), WARDROBE, strict=False)
    ]
    return {**casts, "a pair": replace(alone, actors=tuple(pair))} if 2 in numbers else casts


def methods(as_shipped: Path, n_people: int) -> dict[str, Callable[[], Peer | Ours]]:
    """What is compared, by name."""
    return {
        "num_poses": lambda: Peer(as_shipped, n_people),
        "by itself": lambda: Ours(asks=False),
        "with feedback": lambda: Ours(asks=True),
    }


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--people", type=int, nargs="+", default=[1, 2, 3], help="how many, one run each (1 2 3)")
    made.add_argument("--frames", type=int, default=45, help="of each camera (45: three seconds)")
    made.add_argument("--size", type=int, nargs=2, metavar=("W", "H"), default=[640, 480], help="of the pictures")
    options = made.parse_args()
    width, height = options.size
    rig = CameraRig(tuple(camera.resized((width, height)) for camera in load_rig(DEMO / "rig.toml").cameras))
    report = Report(f"people in pictures of {width}x{height}, {len(rig.cameras)} cameras, {options.frames} frames each")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "as_shipped.task"
        write_bundle(bundle, *(model.read_bytes() for model in wheel_models()))
        for name, scene in scenes(rig, options.people).items():
            n_people = len(scene.actors)
            films = films_of(scene, rig, options.frames)
            told = [regions_for(scene, rig, film) for film in films]
            figures = {name: tally(make, films, told).figures() for name, make in methods(bundle, n_people).items()}
            for method, row in figures.items():
                report.row(people=name, method=method, **row)
            hold_against_aims(report, name, *figures.values())
    return report.finish(options)


def hold_against_aims(
    report: Report, people: str, peer: dict[str, float], alone: dict[str, float], asked: dict[str, float]
) -> None:
    """The issue's aims, as far as one camera can show them."""
    worth_s = asked["per core s"] / peer["per core s"]
    report.aim(f"{people}: found with feedback", asked["found"], 0.95, at_least=True)
    report.aim(f"{people}: seconds until all are found, by itself", alone["all by s"], 2.0)
    report.aim(f"{people}: detections per core second over MediaPipe's", worth_s, 1.0, at_least=True)
    report.aim(f"{people}: median error over MediaPipe's", asked["p50 px"] / peer["p50 px"], 1.1)


if __name__ == "__main__":
    raise SystemExit(main())
