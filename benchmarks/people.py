"""Several people from pictures to poses: detection told by fusion where to look, beside MediaPipe's own num_poses.

    python -m benchmarks.people [--scenes "two pass" …] [--seconds 12] [--json FILE] [--check]

Rendered actors who pass, cross and meet, and three at once (`people_scenes.py`), before four cameras that are out of
step, 15 frames a second each; truth is exact. Both methods run real MediaPipe on every picture and the same fusion with
the lifter, which gives 15 poses a second. What fusion expects comes to the cameras two frames late. A person is
crossing while another pelvis is nearer than 0.8 m, else apart.

Columns, of the twelve limb joints: share within 100 mm while apart and while crossing, an unreported joint is not;
median error of those reported; how often a person's id changed; share of the people missed, and people a tick who are
nobody; views used of each joint; CPU time of a camera's frame, and of a tick's fusion with its lifts.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.detection import Peer
from benchmarks.people_scenes import FPS, Film, film, gaps_m, rig, scenes
from benchmarks.report import Report, parser, refuse
from configs import schema
from lifter.runtime import Lifter, load
from lifter.skeleton import MEDIAPIPE33
from nodes.detect.detector import Detections
from nodes.detect.mediapipe_pose import MediaPipePose
from nodes.detect.pose_bundle import wheel_models, write_bundle
from nodes.detect.regions import Regions, regions_at
from nodes.offline.pairing import Paired, pair
from nodes.offline.result_file import result_of
from nodes.offline.scores import id_switches, mean
from nodes.offline.sequence import Sequence, Truth
from nodes.reprocess import offline
from nodes.sources.source import Frame
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import Expected, Keypoints2D, Pose3D

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CROSSING_M = 0.8  # between two pelvises
NEAR_M = 0.1
LIMBS = list(MEDIAPIPE33.limb_indices())
LATE_NS = 2 * 10**9 // FPS  # from a picture to what fusion says of it
NOBODY = Regions(np.empty(0, dtype=np.int64), np.empty((0, 4)))


class Ours:
    """One camera node's detector, and what fusion has told it so far."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._detector = MediaPipePose(schema.Detector())

    def detect(self, frame: Frame, told: Expected | None) -> Detections:
        height, width = frame.image_rgb.shape[:2]
        return self._detector.detect(frame, regions_at(told, self._camera, frame.captured_ns, (width, height)))

    def close(self) -> None:
        self._detector.close()


class NumPoses:
    """PoseLandmarker's own mode for several people; nobody tells it anything."""

    def __init__(self, bundle: Path, n_people: int) -> None:
        self._peer = Peer(bundle, n_people)

    def detect(self, frame: Frame, told: Expected | None) -> Detections:
        found = self._peer.detect(frame, NOBODY).astype(np.float32)
        return Detections(found[..., :2], found[..., 2])

    def close(self) -> None:
        self._peer.close()


@dataclass
class Run:
    """What came of a film. keypoints: every message, in order. CPU seconds of each frame's detection, of all fusion."""

    keypoints: list[Keypoints2D]
    poses: list[Pose3D]
    detect_s: list[float]
    fuse_s: float


def run(filmed: Film, detectors: dict[str, Ours | NumPoses], lifter: Lifter | None) -> Run:
    """Detect and fuse frame by frame, as live; what fusion expects is heard LATE_NS after the picture it rests on."""
    cameras = filmed.rig.names
    pipeline = FusionPipeline(
        filmed.rig,
        cameras,
        offline(schema.Fusion(), FPS),
        MEDIAPIPE33,
        lifter=lifter,
        ticks_ns=tuple(filmed.ticks_ns.tolist()),
    )
    pipeline.warm_up()
    done, said = Run([], [], [], 0.0), list[tuple[int, Expected]]()
    for camera, frame in filmed.frames:
        told = next((word for when_ns, word in reversed(said) if when_ns + LATE_NS <= frame.captured_ns), None)
        started_s = time.process_time()
        found = detectors[camera].detect(frame, told)
        done.detect_s.append(time.process_time() - started_s)
        message = _message(camera, frame, found)
        started_s = time.process_time()
        poses = pipeline.push(message)
        if poses:
            said.append((frame.captured_ns, pipeline.expected()))
        done.fuse_s += time.process_time() - started_s
        done.keypoints.append(message)
        done.poses += poses
    done.poses += pipeline.finish()
    return done


def _message(camera: str, frame: Frame, found: Detections) -> Keypoints2D:
    height, width = frame.image_rgb.shape[:2]
    return Keypoints2D(
        captured_ns=frame.captured_ns,
        published_ns=frame.captured_ns,
        source=camera,
        seq=frame.frame_id,
        skeleton=MEDIAPIPE33.name,
        size_wh=(width, height),
        keypoints_px=found.keypoints_px,
        confidence=found.confidence,
        asked_ids=found.asked_ids,
    )


def paired(filmed: Film, poses: list[Pose3D]) -> Paired:
    """Everybody found beside whom they are of the truth, limb joints only."""
    n = len(filmed.ticks_ns)
    order = list(range(len(MEDIAPIPE33.joints)))
    nothing = np.empty((n, len(filmed.rig.cameras), 0, len(order), 3), dtype=np.float32)
    sequence = Sequence(
        filmed.rig, MEDIAPIPE33.joints, MEDIAPIPE33, order, nothing, FPS, filmed.ticks_ns, None, np.arange(n)
    )
    names = tuple(MEDIAPIPE33.joints[j] for j in LIMBS)
    truth = Truth(names, filmed.truth_m[:, :, LIMBS], filmed.ticks_ns)
    return pair(result_of(poses, sequence, shift_ns=0), truth)


def figures(filmed: Film, done: Run) -> dict[str, float]:
    """The columns of the table."""
    both = paired(filmed, done.poses)
    error_m = np.linalg.norm(both.found_m - both.truth_m, axis=-1)
    is_crossing = gaps_m(filmed.pelvis_m) < CROSSING_M
    views = [int(v).bit_count() for pose in done.poses for p in pose.people for v in p.views[LIMBS]]
    return {
        "apart": share_near(error_m, ~is_crossing),
        "crossing": share_near(error_m, is_crossing),
        "p50 mm apart": median_mm(error_m, ~is_crossing),
        "crossing ": median_mm(error_m, is_crossing),
        "id switches": id_switches(both),
        "missed": mean(both.person_id < 0),
        "invented": float(both.extra_people.mean()),
        "views": mean(np.array(views)),
        "CPU ms frame": 1e3 * float(np.mean(done.detect_s)),
        "CPU ms tick": 1e3 * done.fuse_s / len(filmed.ticks_ns),
    }


def share_near(error_m: F64, of: Mask) -> float:
    """Share of joints (T, P, K) within NEAR_M for the people and ticks of a mask (T, P); NaN is not, of nobody NaN."""
    return mean((error_m <= NEAR_M)[of])


def median_mm(error_m: F64, of: Mask) -> float:
    """Of the joints that were reported; NaN of none."""
    known = error_m[of][np.isfinite(error_m[of])]
    return 1e3 * float(np.median(known)) if known.size else float("nan")


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    known = scenes()
    made.add_argument("--scenes", nargs="+", default=list(known), metavar="NAME", help=f"of {', '.join(known)} (all)")
    made.add_argument("--seconds", type=float, default=12.0, help="of each scene (12: the whole loop)")
    options = made.parse_args()
    if unknown := set(options.scenes) - set(known):
        return refuse(f"there is no scene {', '.join(sorted(unknown))}: choose of {', '.join(known)}")
    lifter = load(skeleton=MEDIAPIPE33)
    report = Report(f"several people, 4 cameras, {options.seconds:g} s at {FPS} frames a second")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "as_shipped.task"
        write_bundle(bundle, *(model.read_bytes() for model in wheel_models()))
        for name in options.scenes:
            filmed = film(known[name], rig(), options.seconds)
            for method, make in methods(bundle, len(known[name].actors)).items():
                detectors = {camera: make(camera) for camera in filmed.rig.names}
                row = figures(filmed, run(filmed, detectors, lifter))
                for detector in detectors.values():
                    detector.close()
                report.row(scene=name, method=method, **row)
                if method == "with feedback":
                    hold_against_aims(report, name, row)
    return report.finish(options)


def methods(bundle: Path, n_people: int) -> dict[str, Callable[[str], Ours | NumPoses]]:
    """What is compared, by name: makes a camera's detector."""
    return {"with feedback": Ours, "num_poses": lambda _: NumPoses(bundle, n_people)}


def hold_against_aims(report: Report, scene: str, row: dict[str, float]) -> None:
    """The issue's aims for several people."""
    report.aim(f"{scene}: within 100 mm while apart", row["apart"], 0.95, at_least=True)
    report.aim(f"{scene}: within 100 mm while crossing", row["crossing"], 0.8, at_least=True)
    report.aim(f"{scene}: id switches", row["id switches"], 0)


if __name__ == "__main__":
    raise SystemExit(main())
