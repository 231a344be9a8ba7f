"""Triangulation of 33 landmarks beside aniposelib and Pose2Sim's rule, on the same points in one run.

    python -m benchmarks.triangulation [--frames N] [--ransac-frames N] [--json FILE] [--check]

Ten random rigs of 4 and of 8 cameras (1100 px focal length at 1920×1080, 3 to 6 m away), the virtual actor's demo
motion, 3 px noise, 20 % of the observations moved by about 100 px. Each frame is triangulated by itself, as a live
system has to. A point that a method does not report counts as 300 mm in the last column, and in no other. Times are
means over the frames: on this machine as it is ("ms a frame"), and with every core kept busy by another process, as
detectors do in a live system ("busy ms").

Pose2Sim's rule is rebuilt from its documentation (`benchmarks.fusion_peers`): weighted linear triangulation, and while
the mean reprojection error is over 15 px, all subsets with one camera fewer, down to two. aniposelib's plain
triangulation spreads over threads by default; it is also measured on one.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from benchmarks import fusion_peers
from benchmarks.report import Report, parser, refuse
from benchmarks.scenes import Faults, landmarks_at, observe, random_rig
from calibration.rig import CameraRig
from calibration.rigid import rotvec_from_rotation
from calibration.triangulate import RigArrays, triangulate
from nodes.machine import cores

F64 = npt.NDArray[np.float64]
Method = Callable[[F64], F64]
Sample = tuple[CameraRig, F64, F64]  # rig, keypoints_px (C, J, 2), truth in metres (J, 3)

UNREPORTED_MM = 300.0
N_RIGS = 10
FAULTS = Faults(noise_px=3.0, outlier_share=0.2, outlier_px=100.0)


def ours(rig: CameraRig) -> Method:
    """livepose3d's."""
    arrays = RigArrays.of(rig)
    return lambda keypoints_px: triangulate(arrays, keypoints_px, np.ones(keypoints_px.shape[:2])).points_m


def plain_dlt(rig: CameraRig) -> Method:
    """Textbook linear triangulation, all joints at once."""
    return lambda keypoints_px: fusion_peers.dlt(_sightings(rig, keypoints_px))


def pose2sim_rule(rig: CameraRig) -> Method:
    """Drop cameras until the mean reprojection error is below the threshold, all joints at once."""
    return lambda keypoints_px: fusion_peers.pose2sim_rule(_sightings(rig, keypoints_px))


def _sightings(rig: CameraRig, keypoints_px: F64) -> fusion_peers.Sightings:
    by_joint = keypoints_px.swapaxes(0, 1)
    return fusion_peers.Sightings.of(rig, by_joint, np.ones(by_joint.shape[:2]))


def aniposelib_plain(rig: CameraRig) -> Method:
    """aniposelib's plain triangulation."""
    plain: Method = _aniposelib(rig).triangulate
    return plain


def aniposelib_ransac(rig: CameraRig) -> Method:
    """aniposelib's triangulation with RANSAC."""
    group = _aniposelib(rig)
    return lambda keypoints_px: group.triangulate_ransac(keypoints_px)[0]


def _aniposelib(rig: CameraRig) -> Any:
    from aniposelib.cameras import Camera, CameraGroup

    return CameraGroup(
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


def measure(
    name: str, make: Callable[[CameraRig], Method], frames: list[Sample], busy_frames: int = 0
) -> dict[str, float | str]:
    """Error and time of a method over frames; also its time on busy cores, over the first few of them."""
    methods = {id(rig): make(rig) for rig, _, _ in frames}
    methods[id(frames[0][0])](frames[0][1])  # imports, compilers and caches are not what is compared
    points_m, mean_ms = _run(methods, frames)
    error_mm = 1000 * np.linalg.norm(points_m - np.stack([joints_m for _, _, joints_m in frames]), axis=2)
    reported = np.isfinite(error_mm)
    busy_ms = float("nan")
    if busy_frames:
        with busy_cores():
            busy_ms = _run(methods, frames[:busy_frames])[1]
    return {
        "method": name,
        "frames": str(len(frames)),
        "ms a frame": mean_ms,
        "busy ms": busy_ms,
        "mean mm": float(error_mm[reported].mean()),
        "median mm": float(np.median(error_mm[reported])),
        "reported %": float(100 * reported.mean()),
        "mean mm, absent = 300": float(np.where(reported, error_mm, UNREPORTED_MM).mean()),
    }


def _run(methods: dict[int, Method], frames: list[Sample]) -> tuple[F64, float]:
    """Points (T, J, 3) and the mean time of a frame, ms."""
    started_s = time.perf_counter()
    points_m = [methods[id(rig)](keypoints_px) for rig, keypoints_px, _ in frames]
    return np.stack(points_m), 1000 * (time.perf_counter() - started_s) / len(frames)


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy with a process that computes."""
    command = [sys.executable, "-c", "while True: sum(range(10**6))"]
    processes = [subprocess.Popen(command) for _ in range(cores())]
    time.sleep(0.5)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--frames", type=int, default=200, help="frames for the fast methods (default %(default)s)")
    made.add_argument("--ransac-frames", type=int, default=6, help="for aniposelib's RANSAC (default %(default)s)")
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
        mine, plain = rows[0], rows[3]
        report.aim(f"{n_cameras} cameras, mean error in mm", float(mine["mean mm"]), mean_aim_mm)
        for condition, column in (("quiet machine", "ms a frame"), ("busy cores", "busy ms")):
            ratio = float(plain[column]) / float(mine[column])
            name = f"{n_cameras} cameras, times faster than aniposelib's plain one, {condition}"
            report.aim(name, ratio, 100, at_least=True)
    return report.finish(options)


def compare(n_cameras: int, n_frames: int, n_ransac: int) -> list[dict[str, float | str]]:
    """All methods on the same frames of one rig size; the slow ones on the first of them."""
    rng = np.random.default_rng(n_cameras)
    rigs = [random_rig(n_cameras, rng) for _ in range(N_RIGS)]
    truth = landmarks_at("demo", rng.uniform(0.0, 14.0, n_frames))
    frames = [(rigs[i % N_RIGS], observe(rigs[i % N_RIGS], x, FAULTS, rng), x) for i, x in enumerate(truth)]
    some = n_frames // 5
    rows = [
        measure("livepose3d", ours, frames, busy_frames=n_frames),
        measure("plain DLT (numpy)", plain_dlt, frames[:some]),
        measure("Pose2Sim's rule, rebuilt", pose2sim_rule, frames[:some] if n_cameras > 4 else frames),
        measure("aniposelib", aniposelib_plain, frames, busy_frames=some),
    ]
    with one_numba_thread():
        rows.append(measure("aniposelib, one thread", aniposelib_plain, frames, busy_frames=some))
    return [*rows, measure("aniposelib, RANSAC", aniposelib_ransac, frames[: max(1, n_ransac)])]


@contextlib.contextmanager
def one_numba_thread() -> Iterator[None]:
    """aniposelib's kernels on one thread."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


if __name__ == "__main__":
    sys.exit(main())
