"""Real video through the whole system, beside plain confidence-weighted DLT on the very same detections.

    python -m benchmarks.real_video [--config configs/pose2sim_single.yaml] [--json FILE] [--check]

Starts `run_system.py live`, listens on the bus, and reprojects both results into every view that saw the joint
(confidence over 0.3). There is no truth here: the error is what the calibration, the detector and the method leave.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.ports import free_port_pair
from benchmarks.report import Report, parser, refuse
from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from calibration.triangulate import RigArrays
from calibration.triangulate_kernel import undistort
from configs.errors import ConfigError
from configs.load import load_config
from configs.schema import Config
from nodes.stages.delivered import delivered
from nodes.wire.bus import every
from nodes.wire.messages import Keypoints2D, Pose3D

F64 = npt.NDArray[np.float64]

PROJECT = Path(__file__).parent.parent
MIN_CONFIDENCE = 0.3
QUIET_MS = 1000  # on the bus after the system has ended


@dataclass
class Heard:
    """What was on the bus of one run."""

    keypoints: dict[tuple[str, int], Keypoints2D]  # by camera and captured_ns
    poses: list[Pose3D]


def run(config_path: Path) -> Heard:
    """Run the system on the configuration to its end and keep all keypoints and poses."""
    port = free_port_pair()
    heard = Heard({}, [])
    command = ["run_system.py", "live", "--config", str(config_path), "--headless", "--hub-port", str(port)]
    with every(Keypoints2D, Pose3D, hub_out=f"tcp://127.0.0.1:{port + 1}") as bus:
        system = subprocess.Popen([sys.executable, *command], cwd=PROJECT)
        while (message := bus.receive(QUIET_MS)) is not None or system.poll() is None:
            if isinstance(message, Keypoints2D):
                heard.keypoints[message.source, message.captured_ns] = message
            elif isinstance(message, Pose3D):
                heard.poses.append(message)
    if system.returncode:
        raise SystemExit(f"run_system.py ended with {system.returncode}; its last words stand above")
    return heard


def rig_as_delivered(config: Config, heard: Heard) -> CameraRig:
    """The calibration as fusion uses it: fitted to the sizes that the videos have."""
    assert config.calibration is not None  # there is more than one camera
    rig = load_rig(config.calibration).select(tuple(config.cameras))
    sizes = {name: message.size_wh for (name, _), message in heard.keypoints.items()}
    return CameraRig(tuple(delivered(c, sizes[c.name], config.crop_offset_px.get(c.name)) for c in rig.cameras))


def detections_at(heard: Heard, names: tuple[str, ...], captured_ns: int) -> tuple[F64, F64] | None:
    """Keypoints (C, J, 2) and confidences (C, J) of the frames at a tick; None unless every camera has one there."""
    found = [
        next((m for (n, t), m in heard.keypoints.items() if n == name and abs(t - captured_ns) < 10**6), None)
        for name in names
    ]
    if any(message is None for message in found):
        return None
    keypoints_px = np.full((len(names), 33, 2), np.nan)
    confidence = np.zeros((len(names), 33))
    for camera, message in enumerate(found):
        if message is not None and len(message.confidence):
            keypoints_px[camera], confidence[camera] = message.keypoints_px[0], message.confidence[0]
    return keypoints_px, np.where(confidence > MIN_CONFIDENCE, confidence, 0.0)


def plain_dlt(rig: CameraRig, keypoints_px: F64, confidence: F64) -> F64:
    """Confidence-weighted linear triangulation (J, 3) over all views, undistorted, nothing else."""
    arrays = RigArrays.of(rig)
    rays = undistort(arrays.K, arrays.dist8, np.nan_to_num(keypoints_px))
    points_m = np.full((keypoints_px.shape[1], 3), np.nan)
    for j in range(len(points_m)):
        seen = np.flatnonzero(confidence[:, j])
        if len(seen) >= 2:
            T = arrays.Ts_cam_world[seen]
            rows = confidence[seen, j, None, None] * (rays[seen, j, :, None] * T[:, 2:3] - T[:, :2])
            point = np.linalg.svd(rows.reshape(-1, 4))[2][-1]
            points_m[j] = point[:3] / point[3]
    return points_m


def compare(config_path: Path) -> tuple[dict[str, float], F64, F64]:
    """Counts, and the reprojection errors of ours and of plain DLT over the same observations, px."""
    config = load_config(config_path)
    heard = run(config_path)
    rig = rig_as_delivered(config, heard)
    ours: list[F64] = []
    plain: list[F64] = []
    for pose in heard.poses:
        detections = detections_at(heard, rig.names, pose.captured_ns)
        if detections is None or not pose.people:
            continue
        keypoints_px, confidence = detections
        for errors, points_m in ((ours, pose.people[0].joints_m), (plain, plain_dlt(rig, keypoints_px, confidence))):
            error_px = np.linalg.norm(rig.project(np.asarray(points_m, dtype=np.float64)) - keypoints_px, axis=2)
            errors.append(np.where(confidence > 0, error_px, np.nan))
    times_ns = [{t for n, t in heard.keypoints if n == name} for name in rig.names]
    overlap = [t for t in times_ns[0] if max(map(min, times_ns)) <= t <= min(map(max, times_ns))]
    counts = {"ticks of the overlap": float(len(overlap)), "fused": float(len(ours))}
    return counts, np.stack(ours), np.stack(plain)


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--config", type=Path, default=PROJECT / "configs" / "pose2sim_single.yaml")
    options = made.parse_args()
    try:
        counts, ours_px, plain_px = compare(options.config)
    except (ConfigError, CalibrationError) as error:
        return refuse(str(error))
    report = Report(f"real video, {options.config.stem}: reprojection error in px over the same observations")
    both = np.isfinite(ours_px) & np.isfinite(plain_px)
    for name, error_px in (("livepose3d", ours_px), ("plain confidence-weighted DLT", plain_px)):
        figures = {"p50": float(np.median(error_px[both])), "p90": float(np.percentile(error_px[both], 90))}
        report.row(
            method=name, **figures, mean=float(error_px[both].mean()), reported=float(np.isfinite(error_px).mean())
        )
    report.aim(
        "fused ticks over ticks of the overlap", counts["fused"] / counts["ticks of the overlap"], 1.0, at_least=True
    )
    ratio = float(np.median(ours_px[both]) / np.median(plain_px[both]))
    report.aim("median reprojection error over plain DLT's", ratio, 1.0)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
