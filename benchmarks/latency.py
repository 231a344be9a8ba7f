"""Added latency: from the last camera's keypoints published to the 3D pose received by a client. No detector.

    python -m benchmarks.latency [--seconds S] [--json FILE] [--check]

Real processes: hub, fusion, a process that publishes for 2, 4, 8 or 16 cameras at 30 Hz (all at once, the worst case
for the queue before fusion), and this one as the client. Beside it, in the same run, the hub alone: the same keypoints
received without fusion. Also the processor time that fusion takes for a tick.
"""

import contextlib
import multiprocessing
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import yaml

from benchmarks.ports import free_port_pair
from benchmarks.report import Report, parser
from benchmarks.scenes import Faults, landmarks_at, observe, random_rig
from calibration.rig import CameraRig
from calibration.rig_file import save_rig
from nodes.wire.bus import Publisher, every, now_ns
from nodes.wire.client import PoseClient
from nodes.wire.messages import Keypoints2D

FPS = 30
N_CAMERAS = (2, 4, 8, 16)
LOOP_FRAMES = 300
WARM_UP_POSES = 30


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=20.0, help="for each number of cameras (default %(default)s)")
    options = made.parse_args()
    report = Report("added latency at 30 Hz without the detector, ms")
    cost_ms = {}
    for n_cameras in N_CAMERAS:
        figures = measure(n_cameras, options.seconds)
        report.row(cameras=n_cameras, **figures)
        cost_ms[n_cameras] = figures["fusion CPU ms a tick"]
        if n_cameras == 8:
            report.aim("8 cameras, p50 ms", figures["p50"], 2.0)
            report.aim("8 cameras, p99 ms", figures["p99"], 10.0)
    report.aim("cost of a tick, 16 cameras over twice 8 cameras", cost_ms[16] / (2 * cost_ms[8]), 1.1)
    return report.finish(options)


def measure(n_cameras: int, seconds: float) -> dict[str, float]:
    """One number of cameras, for so many seconds."""
    rig = random_rig(n_cameras, np.random.default_rng(n_cameras))
    with tempfile.TemporaryDirectory() as folder, _system(rig, Path(folder)) as (inner, outer, fusion):
        publisher = multiprocessing.get_context("spawn").Process(target=publish, args=(rig, inner, seconds + 3))
        hub_ms: list[float] = []
        stop = threading.Event()
        listener = threading.Thread(target=_listen, args=(outer, rig.names[-1], hub_ms, stop))
        listener.start()
        publisher.start()
        try:
            added_ms, cpu_ms = _receive(outer, fusion, round(seconds * FPS))
        finally:
            stop.set()
            listener.join()
            publisher.terminate()
            publisher.join()
    p50, p95, p99 = np.percentile(added_ms, (50, 95, 99))
    hub_p50 = float(np.median(hub_ms))
    return {
        "poses": len(added_ms),
        "p50": float(p50),
        "p95": float(p95),
        "p99": float(p99),
        "hub alone p50": hub_p50,
        "p50 over hub alone": float(p50) / hub_p50,
        "fusion CPU ms a tick": cpu_ms,
    }


def _receive(outer: str, fusion: psutil.Process, n_poses: int) -> tuple[list[float], float]:
    """Latency of n_poses in ms, and fusion's processor time per tick in ms."""
    added_ms = []
    with PoseClient(outer, timeout_s=20.0) as client:
        for _ in range(WARM_UP_POSES):
            client.receive()
        cpu_before_s = sum(fusion.cpu_times()[:2])
        for _ in range(n_poses):
            pose = client.receive()
            received_ns = now_ns()
            if pose is None:
                raise SystemExit("no pose for 20 s: is another system using the processor?")
            stages_ns = pose.stages_ns
            sent_ns = pose.captured_ns + stages_ns["interpolate"] + stages_ns["queue"] + stages_ns["detect"]
            added_ms.append((received_ns - sent_ns) * 1e-6)
        cpu_ms = 1000 * (sum(fusion.cpu_times()[:2]) - cpu_before_s) / n_poses
    return added_ms, cpu_ms


def _listen(outer: str, camera: str, hub_ms: list[float], stop: threading.Event) -> None:
    """Latency of the last camera's keypoints through the hub alone."""
    with every(Keypoints2D, hub_out=outer, source=camera) as keypoints:
        while not stop.is_set():
            message = keypoints.receive(timeout_ms=100)
            if message is not None:
                hub_ms.append((now_ns() - message.published_ns) * 1e-6)


def publish(rig: CameraRig, inner: str, seconds: float) -> None:
    """Keypoints of all cameras, at once, 30 times a second, each through a socket of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    truth = landmarks_at("demo", np.arange(LOOP_FRAMES) * 14.0 / LOOP_FRAMES)
    keypoints_px = observe(rig, truth, Faults(), np.random.default_rng(0)).astype(np.float32)
    confidence = np.ones((1, keypoints_px.shape[2]), dtype=np.float32)
    buses = [Publisher(inner) for _ in rig.cameras]
    time.sleep(1.0)  # connections take a moment; what is sent before they stand is lost
    started_s = time.monotonic()
    for tick in range(round(seconds * FPS)):
        time.sleep(max(0.0, started_s + tick / FPS - time.monotonic()))
        captured_ns = now_ns()
        for bus, camera, frames_px in zip(buses, rig.cameras, keypoints_px, strict=True):
            bus.send(
                Keypoints2D(
                    captured_ns=captured_ns,
                    published_ns=0,
                    source=camera.name,
                    seq=tick,
                    skeleton="mediapipe33",
                    size_wh=camera.size_wh,
                    keypoints_px=frames_px[tick % LOOP_FRAMES][None],
                    confidence=confidence,
                )
            )


@contextlib.contextmanager
def _system(rig: CameraRig, folder: Path) -> Iterator[tuple[str, str, psutil.Process]]:
    """Hub and fusion as processes of their own; the hub's addresses and the fusion process."""
    port = free_port_pair()
    inner, outer = f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 1}"
    save_rig(rig, folder / "rig.toml")
    config = {
        "calibration": "rig.toml",
        "cameras": {camera.name: {"source": "device", "device": 0} for camera in rig.cameras},
        "hub": {"inner": inner, "outer": outer},
        "fusion": {"synchroniser": {"rate_hz": FPS}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    python = [sys.executable, "-m"]
    hub = subprocess.Popen([*python, "nodes.hub", "--inner", inner, "--outer", outer], stdout=subprocess.DEVNULL)
    fusion = subprocess.Popen([*python, "nodes.fusion", "--config", str(folder / "config.yaml")])
    try:
        yield inner, outer, psutil.Process(fusion.pid)
    finally:
        for process in (fusion, hub):
            process.send_signal(signal.SIGINT)
            process.wait(timeout=10)


if __name__ == "__main__":
    sys.exit(main())
