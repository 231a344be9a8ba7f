"""Triangulation of 33 landmarks beside aniposelib and Pose2Sim's rule, on the same points in one run.

    python -m benchmarks.triangulation [--frames N] [--ransac-frames N] [--json FILE] [--check]

Random rigs of 4 and 8 cameras (1100 px focal length at 1920×1080, 3 to 6 m away), the virtual actor's demo motion, 3 px noise,
20 % of the observations moved by about 100 px. Each frame is triangulated by itself, as a live system has to. A point
that a method does not report counts as 300 mm in the last column, and in no other.

Pose2Sim's rule is rebuilt from its documentation: weighted linear triangulation, and while the mean reprojection error
is over 15 px, all subsets with one camera fewer, down to two.
"""

import itertools
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, parser, refuse
from benchmarks.scenes import Faults, landmarks_at, observe, random_rig
from calibration.rig import CameraRig
from calibration.rigid import rotvec_from_rotation
from calibration.triangulate import RigArrays, triangulate

F64 = npt.NDArray[np.float64]
Method = Callable[[F64], F64]

UNREPORTED_MM = 300.0
POSE2SIM_THRESHOLD_PX = 15.0
FAULTS = Faults(noise_px=3.0, outlier_share=0.2, outlier_px=100.0)


def ours(rig: CameraRig) -> Method:
    """livepose3d's."""
    arrays = RigArrays.of(rig)
    return lambda keypoints_px: triangulate(arrays, keypoints_px, np.ones(keypoints_px.shape[:2])).points_m


def plain_dlt(rig: CameraRig) -> Method:
    """Textbook linear triangulation, one singular value decomposition a joint."""
    matrices = [camera.K @ camera.T_cam_world[:3] for camera in rig.cameras]

    def method(keypoints_px: F64) -> F64:
        return np.stack([_dlt(matrices, keypoints_px[:, j]) for j in range(keypoints_px.shape[1])])

    return method


def pose2sim_rule(rig: CameraRig) -> Method:
    """Drop cameras until the mean reprojection error is below the threshold."""
    matrices = [camera.K @ camera.T_cam_world[:3] for camera in rig.cameras]

    def one_joint(keypoints_px: F64) -> F64:
        best_px, best = np.inf, np.full(3, np.nan)
        for n_off in range(len(matrices) - 1):
            for off in itertools.combinations(range(len(matrices)), n_off):
                kept = [c for c in range(len(matrices)) if c not in off]
                point = _dlt([matrices[c] for c in kept], keypoints_px[kept])
                error_px = np.mean([_error_px(matrices[c], point, keypoints_px[c]) for c in kept])
                if error_px < best_px:
                    best_px, best = error_px, point
            if best_px <= POSE2SIM_THRESHOLD_PX:
                return best
        return np.full(3, np.nan)

    return lambda keypoints_px: np.stack([one_joint(keypoints_px[:, j]) for j in range(keypoints_px.shape[1])])


def aniposelib_methods(rig: CameraRig) -> tuple[Method, Method]:
    """aniposelib's plain and RANSAC triangulation of the same cameras."""
    from aniposelib.cameras import Camera, CameraGroup

    group = CameraGroup(
        [
            Camera(
                matrix=camera.K,
                dist=camera.dist,
                size=camera.size_wh,
                rvec=rotvec_from_rotation(camera.T_cam_world[:3, :3]),
                tvec=camera.T_cam_world[:3, 3],
                name=camera.name,
            )
            for camera in rig.cameras
        ]
    )
    return group.triangulate, lambda keypoints_px: group.triangulate_ransac(keypoints_px)[0]


def _dlt(matrices: list[F64], keypoints_px: F64) -> F64:
    rows = [(kp[axis] * P[2] - P[axis]) for P, kp in zip(matrices, keypoints_px, strict=True) for axis in range(2)]
    point = np.linalg.svd(np.stack(rows))[2][-1]
    return np.asarray(point[:3] / point[3])


def _error_px(P: F64, point_m: F64, keypoint_px: F64) -> float:
    projected = P @ np.append(point_m, 1.0)
    return float(np.hypot(*(projected[:2] / projected[2] - keypoint_px)))


def measure(name: str, method: Method, frames: list[tuple[F64, F64]]) -> dict[str, float | str]:
    """Time and error of a method over frames of (keypoints_px (C, J, 2), truth (J, 3))."""
    method(frames[0][0])  # imports, compilers and caches are not what is compared
    errors_mm, times_ms = [], []
    for keypoints_px, joints_m in frames:
        started = time.perf_counter()
        points_m = method(keypoints_px)
        times_ms.append(1000 * (time.perf_counter() - started))
        errors_mm.append(1000 * np.linalg.norm(points_m - joints_m, axis=1))
    error_mm = np.concatenate(errors_mm)
    reported = np.isfinite(error_mm)
    return {
        "method": name,
        "frames": str(len(frames)),
        "ms a frame": float(np.median(times_ms)),
        "mean mm": float(error_mm[reported].mean()),
        "median mm": float(np.median(error_mm[reported])),
        "p95 mm": float(np.percentile(error_mm[reported], 95)),
        "reported %": float(100 * reported.mean()),
        "mean mm, unreported = 300": float(np.where(reported, error_mm, UNREPORTED_MM).mean()),
    }


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--frames", type=int, default=200, help="frames for the fast methods (default %(default)s)")
    made.add_argument("--ransac-frames", type=int, default=6, help="frames for aniposelib's RANSAC (default %(default)s)")
    options = made.parse_args()
    try:
        import aniposelib  # noqa: F401
    except ImportError:
        return refuse('aniposelib is not installed: pip install -e ".[dev]"')
    report = Report("triangulation, 33 joints, 3 px noise, 20 % moved by about 100 px")
    for n_cameras, mean_aim_mm in ((4, 25.0), (8, 15.0)):
        rows = compare(n_cameras, options.frames, options.ransac_frames)
        for row in rows:
            report.row(cameras=n_cameras, **row)
        mine, plain = rows[0], rows[-2]
        report.aim(f"{n_cameras} cameras, mean error in mm", float(mine["mean mm"]), mean_aim_mm)
        ratio = float(plain["ms a frame"]) / float(mine["ms a frame"])
        report.aim(f"{n_cameras} cameras, times faster than aniposelib's plain one", ratio, 100, at_least=True)
    return report.finish(options)


def compare(n_cameras: int, n_frames: int, n_ransac: int) -> list[dict[str, float | str]]:
    """All methods on the same frames of one rig size; the slow ones on the first of them."""
    rng = np.random.default_rng(n_cameras)
    rig = random_rig(n_cameras, rng)
    truth = landmarks_at("demo", np.linspace(0.0, 14.0, n_frames, endpoint=False))
    truth = truth[rng.permutation(n_frames)]  # so that the first few frames show all of the motion
    frames = [(observe(rig, joints_m, FAULTS, rng), joints_m) for joints_m in truth]
    plain, ransac = aniposelib_methods(rig)
    few = frames[: max(1, n_ransac)]
    return [
        measure("livepose3d", ours(rig), frames),
        measure("plain DLT (numpy)", plain_dlt(rig), frames),
        measure("Pose2Sim's rule, rebuilt", pose2sim_rule(rig), frames[:20] if n_cameras > 4 else frames),
        measure("aniposelib", plain, frames[:50]),
        measure("aniposelib, RANSAC", ransac, few),
    ]


if __name__ == "__main__":
    sys.exit(main())
