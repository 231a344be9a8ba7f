"""Cameras out of phase: interpolating to the tick, beside the nearest frame, beside the same cameras in phase.

    python -m benchmarks.subframe [--pixels] [--json FILE] [--check]

Four cameras at 30 Hz see the virtual actor walk and reach; each starts up to half a period late. Everything goes
through the live stages (synchroniser, triangulation, smoothing), the joints are held against the exact ones at the
tick's own time. Keypoints are the true projections, without noise (what timing alone costs) and with 3 px noise;
--pixels renders the pictures and runs the real detector on them (minutes).
"""

import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, parser
from benchmarks.scenes import FOCAL_PX, LANDMARKS, SIZE_WH
from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from configs import schema
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS, joints_at
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import Keypoints2D

F64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32 | np.float64]

FPS = 30.0
PERIOD_NS = round(1e9 / FPS)
PHASES = (0.0, 0.5, 0.17, 0.33)  # of a period
SECONDS = 10.0
START_NS = 1_800_000_000_000_000_000
NOISE_PX = 3.0
WITHIN = 1.10
LIMBS = MEDIAPIPE33.limb_indices()
WRISTS = [MEDIAPIPE33.index(f"{side}_wrist") for side in ("left", "right")]


def truth_at(motion: str, captured_ns: npt.ArrayLike) -> F64:
    """Exact landmarks (T, 33, 3) at capture times."""
    return np.asarray(joints_at(MOTIONS[motion], (np.asarray(captured_ns) - START_NS) * 1e-9)[:, LANDMARKS])


def projected(rig: CameraRig, motion: str, captured_ns: list[list[int]], noise_px: float) -> Iterator[Keypoints2D]:
    """Keypoints of all cameras as a detector with Gaussian noise would give them."""
    rng = np.random.default_rng(1)
    for camera, times_ns in zip(rig.cameras, captured_ns, strict=True):
        keypoints_px = camera.project(truth_at(motion, times_ns))
        keypoints_px = keypoints_px + rng.normal(0, noise_px, keypoints_px.shape)
        for seq, (time_ns, frame_px) in enumerate(zip(times_ns, keypoints_px, strict=True)):
            yield message(camera.name, time_ns, seq, camera.size_wh, frame_px[None], np.ones((1, 33)))


def detected(rig: CameraRig, motion: str, captured_ns: list[list[int]]) -> Iterator[Keypoints2D]:
    """Keypoints that the real detector finds in rendered pictures."""
    from nodes.detect.opening import open_detector
    from nodes.sources.source import Frame
    from nodes.sources.virtual.render import Renderer
    from nodes.sources.virtual.scene import stage

    scene = stage(rig, motion, 1, 0, sensor_noise=2.0, seed=0)
    for camera, times_ns in zip(rig.cameras, captured_ns, strict=True):
        detector = open_detector(schema.Detector())
        renderer = Renderer(scene, camera)
        for seq, time_ns in enumerate(times_ns):
            frame = Frame(renderer.image_at((time_ns - START_NS) * 1e-9, seq), time_ns, seq)
            found = detector.detect(frame)
            yield message(camera.name, time_ns, seq, camera.size_wh, found.keypoints_px, found.confidence)
        detector.close()


def message(
    camera: str, captured_ns: int, seq: int, size_wh: tuple[int, ...], keypoints_px: Floats, confidence: Floats
) -> Keypoints2D:
    """As the camera node sends it, 20 ms after capture."""
    return Keypoints2D(
        captured_ns=captured_ns,
        published_ns=captured_ns + 20_000_000,
        source=camera,
        seq=seq,
        skeleton=MEDIAPIPE33.name,
        size_wh=size_wh,
        keypoints_px=keypoints_px.astype(np.float32),
        confidence=confidence.astype(np.float32),
    )


def nearest_grouping(messages: list[Keypoints2D]) -> list[Keypoints2D]:
    """The usual way: every frame is taken for having been captured at the nearest tick."""
    grouped = []
    for frame in messages:
        tick_ns = START_NS + round((frame.captured_ns - START_NS) / PERIOD_NS) * PERIOD_NS
        grouped.append(message(frame.source, tick_ns, frame.seq, frame.size_wh, frame.keypoints_px, frame.confidence))
    return grouped


def errors_mm(rig: CameraRig, motion: str, messages: list[Keypoints2D], smoothing: str) -> tuple[F64, F64]:
    """Errors (T, 12) of the limb joints and (T, 2) of the wrists, through the live stages."""
    settings = schema.Fusion(synchroniser=schema.Synchroniser(rate_hz=FPS), smoothing=schema.Smoothing(kind=smoothing))
    pipeline = FusionPipeline(rig, rig.names, settings, MEDIAPIPE33)
    in_order = sorted(messages, key=lambda frame: (frame.published_ns, frame.source))
    poses = [pose for frame in in_order for pose in pipeline.push(frame)]
    poses = [pose for pose in poses if pose.people and len(pose.left_out) == 0][10:]  # the filter has settled
    joints_m = np.stack([pose.people[0].joints_m for pose in poses])
    error_mm = 1000 * np.linalg.norm(joints_m - truth_at(motion, [pose.captured_ns for pose in poses]), axis=2)
    return error_mm[:, LIMBS], error_mm[:, WRISTS]


def capture_times(phases: tuple[float, ...]) -> list[list[int]]:
    """Capture times of each camera, ns."""
    n_frames = round(SECONDS * FPS)
    return [[START_NS + round((k + phase) * 1e9 / FPS) for k in range(n_frames)] for phase in phases]


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--pixels", action="store_true", help="render pictures and run the real detector")
    options = made.parse_args()
    report = Report("cameras up to half a period out of phase" + (", from pixels" if options.pixels else ""))
    for motion in ("walk", "reach"):
        for noise_px in (None,) if options.pixels else (0.0, NOISE_PX):
            compare(report, motion, noise_px)
    return report.finish(options)


def compare(report: Report, motion: str, noise_px: float | None) -> None:
    """The three groupings of one motion, unsmoothed and smoothed. noise_px None: rendered pictures."""
    size_wh, focal_px = (SIZE_WH, FOCAL_PX) if noise_px is not None else ((640, 480), 620.0)
    rig = ring_rig(4, 4.0, 2.0, size_wh, focal_px)

    def see(phases: tuple[float, ...]) -> list[Keypoints2D]:
        times_ns = capture_times(phases)
        if noise_px is None:
            return list(detected(rig, motion, times_ns))
        return list(projected(rig, motion, times_ns, noise_px))

    in_phase, out_of_phase = see((0.0,) * 4), see(PHASES)
    groupings = {
        "in phase": in_phase,
        "out of phase, interpolated": out_of_phase,
        "out of phase, nearest frame": nearest_grouping(out_of_phase),
    }
    for smoothing in ("none", "kalman"):
        means = {}
        for name, messages in groupings.items():
            limbs_mm, wrists_mm = errors_mm(rig, motion, messages, smoothing)
            means[name] = float(np.nanmean(limbs_mm))
            report.row(
                motion=motion,
                noise="detector" if noise_px is None else f"{noise_px:g} px",
                smoothing=smoothing,
                cameras=name,
                **{
                    "limbs mean mm": means[name],
                    "wrists mean mm": float(np.nanmean(wrists_mm)),
                    "wrists p95 mm": float(np.nanpercentile(wrists_mm, 95)),
                    "times in phase": means[name] / means["in phase"],
                },
            )
        if noise_px == 0.0:
            continue  # against an error of nothing, a ratio says nothing
        ratio = means["out of phase, interpolated"] / means["in phase"]
        report.aim(f"{motion}, smoothing {smoothing}: interpolated over in phase", ratio, WITHIN)


if __name__ == "__main__":
    sys.exit(main())
