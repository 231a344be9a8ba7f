"""A made-up running system on a hub: everything that the live page shows, without cameras, detector or fusion.

    python -m nodes.hub & python -m benchmarks.acting_system & python -m nodes.viewer

People walk about before a ring of cameras; `--unplug front` and `--kill left` show cameras that are in trouble.
"""

import argparse
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from benchmarks.acting_people import SIZE_WH, STAGES_NS, Cast
from benchmarks.busy_bus import schedule
from configs.schema import Config
from nodes.sessions.about import about_of
from nodes.wire.bus import DEFAULT_HUB_IN, DEFAULT_HUB_OUT, Publisher, Subscription, every, now_ns
from nodes.wire.messages import (
    About,
    CameraHealth,
    CameraInput,
    FusionHealth,
    Message,
    Pose3D,
    RecorderHealth,
    RecordRequest,
    Session,
)
from nodes.wire.requests import Mark, ProcessState, SystemRequest, SystemState

LATENCY_NS = sum(STAGES_NS.values())
SAYINGS_HZ = {"about": 1.0, "session": 2.0, "system": 2.0, "recorder": 2.0, "fusion_health": 5.0}
CAMERA_HEALTH_HZ = 4.0
RECORDED_BYTES_S = 250_000
LIFTER = "ONNX Runtime CPU: TensorRT and CUDA: no NVIDIA GPU"


class ActingSystem:
    """`with ActingSystem(inner, outer) as acting:` speaks on the hub from a thread of its own.

    Without cameras nothing is told `About`. pose_hz, keypoints_hz, preview_hz: 0 for none. distort: makes of each
    pose what is sent. recorder, system: False where a real one runs. calibrated: False: no rig in `About`.
    """

    def __init__(
        self,
        hub: str = DEFAULT_HUB_IN,
        hub_outer: str = DEFAULT_HUB_OUT,
        *,
        cameras: int = 4,
        people: int = 1,
        pose_hz: float = 30.0,
        keypoints_hz: float = 30.0,
        preview_hz: float = 10.0,
        seed: int = 0,
        cast: Cast | None = None,
        about: About | None = None,
        tells_about: bool = True,
        recorder: bool = True,
        system: bool = True,
        calibrated: bool = True,
        distort: Callable[[Pose3D], Pose3D] = lambda pose: pose,
    ) -> None:
        self.cast = cast or Cast(people, cameras, seed)
        self.config = _config(self.cast, preview_hz) if self.cast.names else None
        self.about = about
        if tells_about and about is None and self.config is not None:
            self.about = about_of(
                self.config, self.cast.rig if calibrated else None, LIFTER, skeleton=self.cast.skeleton
            )
        self.distort = distort
        self._hub, self._hub_outer = hub, hub_outer
        self._rates_hz = _rates_hz(self.cast.names, pose_hz, keypoints_hz, preview_hz)
        self._pose_hz, self._keypoints_hz = pose_hz, keypoints_hz
        self._recorder, self._system = recorder, system
        self._killed_ns: dict[str, int] = {}  # since when; they say nothing
        self._unplugged_ns: dict[str, int] = {}  # they say that there are no frames
        self._injected: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acting system", daemon=True)
        self.asked: list[Message] = []  # requests heard
        self._recording = RecorderHealth(captured_ns=0, published_ns=0, source="recorder", seq=0, state="idle")
        self._settings: dict[str, Any] = {"lift": True, "smoothing": "kalman", "calibration": "rig.toml"}
        self._note = ""
        self.began_ns = now_ns()
        self._stands_at_s: float | None = None

    def kill_camera(self, name: str) -> None:
        """From now on its process says nothing."""
        self._killed_ns[name] = now_ns()

    def unplug_camera(self, name: str) -> None:
        """From now on its process says that there are no frames."""
        self._unplugged_ns[name] = now_ns()

    def revive_camera(self, name: str) -> None:
        """As if nothing had been."""
        self._killed_ns.pop(name, None)
        self._unplugged_ns.pop(name, None)

    def stand_still(self, stands: bool = True) -> None:
        """Everybody stays as they are now, in poses, keypoints and pictures; or goes on."""
        self._stands_at_s = (now_ns() - self.began_ns) * 1e-9 if stands else None

    def inject(self, message: Message) -> None:
        """Send this, too, at once; from any thread."""
        self._injected.put(message)

    def say(self, about: About | None) -> None:
        """Another configuration at once and from now on; None: nobody says anything about the system."""
        self.about = about
        if about is not None:
            self.inject(replace(about, captured_ns=now_ns()))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ends.set()
        self._thread.join(10)

    def __enter__(self) -> "ActingSystem":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        with ExitStack() as stack:
            publisher = stack.enter_context(Publisher(self._hub))
            requests = every(RecordRequest, SystemRequest, Mark, hub_out=self._hub_outer)
            inbox: Subscription[Message] = stack.enter_context(requests)
            began_s = time.monotonic()
            for at_s, source, seq in schedule(self._rates_hz):
                if self._ends.wait(max(0.0, began_s + at_s - time.monotonic())):
                    return
                while not self._injected.empty():
                    publisher.send(self._injected.get())
                if source == "recorder":
                    self._obey(inbox)
                message = self._say(source, at_s, seq)
                if message is not None:
                    publisher.send(message)

    def _say(self, source: str, at_s: float, seq: int) -> Message | None:
        """What is due. source: `topic` or `topic/camera`."""
        topic, _, camera = source.partition("/")
        scene_s = at_s if self._stands_at_s is None else self._stands_at_s
        if camera in self._killed_ns or (camera in self._unplugged_ns and topic != "camera_health"):
            return None
        at_ns = now_ns()
        stamps: dict[str, Any] = {"captured_ns": at_ns, "published_ns": 0, "source": camera or "run_system", "seq": seq}
        match topic:
            case "about":
                return None if self.about is None else replace(self.about, captured_ns=at_ns, seq=seq)
            case "session":
                return Session(**stamps, start_ns=self.began_ns)
            case "pose":
                stamps |= {"captured_ns": at_ns - LATENCY_NS, "source": "fusion"}
                return self.distort(self.cast.pose(scene_s, stamps, self._left_out(at_ns)))
            case "keypoints":
                return self.cast.seen(camera, scene_s, stamps | {"captured_ns": at_ns - LATENCY_NS // 2})
            case "preview":
                return self.cast.preview(camera, scene_s, stamps)
            case "camera_health":
                return self._camera_health(camera, at_s, stamps)
            case "fusion_health":
                return self._fusion_health(at_s, stamps | {"source": "fusion"})
            case "recorder":
                return self._recorder_health(stamps | {"source": "recorder"})
        return self._system_state(stamps)

    def _left_out(self, at_ns: int) -> dict[str, str]:
        gone_ns = self._unplugged_ns | self._killed_ns
        return {
            name: f"last frame {(at_ns - since_ns) / 1e6:.0f} ms before this tick" for name, since_ns in gone_ns.items()
        }

    def _camera_health(self, camera: str, at_s: float, stamps: dict[str, Any]) -> CameraHealth:
        since_ns = self._unplugged_ns.get(camera)
        silent_s = 0.0 if since_ns is None else (stamps["captured_ns"] - since_ns) * 1e-9
        return CameraHealth(
            **stamps,
            state="streaming" if since_ns is None else "reconnecting",
            asked_size_wh=SIZE_WH,
            granted_size_wh=SIZE_WH,
            asked_fps=30.0,
            granted_fps=30.0,
            granted_format="MJPG",
            fps=self._keypoints_hz if since_ns is None else 0.0,
            frames=int(at_s * self._keypoints_hz),
            dropped=int(at_s / 5),
            reconnects=int(silent_s / 3),
            detect_ms_p50=STAGES_NS["detect"] / 1e6,
            note="" if since_ns is None else f"no frame for {silent_s:.1f} s",
        )

    def _fusion_health(self, at_s: float, stamps: dict[str, Any]) -> FusionHealth:
        gone_ns = self._unplugged_ns | self._killed_ns
        left_out = self._left_out(stamps["captured_ns"])
        inputs = {}
        for index, name in enumerate(self.cast.names):
            age_ns = stamps["captured_ns"] - gone_ns[name] if name in gone_ns else 20_000_000
            alive = age_ns < 500_000_000
            inputs[name] = CameraInput(
                alive=alive,
                on_time=alive and name not in left_out,
                valid=alive,
                age_ms=age_ns / 1e6,
                skew_ms=3.0 * index,
                frames=int(at_s * self._keypoints_hz),
                late=int(at_s / 7),
                note="" if alive else f"no frames for {age_ns * 1e-9:.1f} s",
                reprojection_px=2.0 + 0.3 * index,
            )
        return FusionHealth(
            **stamps,
            cameras=inputs,
            ticks=int(at_s * self._pose_hz),
            rate_hz=self._pose_hz,
            people=self.cast.n_people,
            reprojection_px_p50=2.0,
            fused_until_ns=stamps["captured_ns"] - LATENCY_NS,
            lifter=LIFTER,
        )

    def _recorder_health(self, stamps: dict[str, Any]) -> RecorderHealth | None:
        if not self._recorder:
            return None
        told = replace(self._recording, captured_ns=stamps["captured_ns"], seq=stamps["seq"])
        if told.state != "recording":
            return told
        seconds = (told.captured_ns - told.began_ns) * 1e-9
        rate_hz = self._pose_hz + self._keypoints_hz * len(self.cast.names)
        self._recording = replace(told, messages=int(seconds * rate_hz), bytes=int(seconds * RECORDED_BYTES_S))
        return self._recording

    def _system_state(self, stamps: dict[str, Any]) -> SystemState | None:
        if not self._system:
            return None
        names = ("hub", "recorder", "fusion", *self.cast.names, "viewer")
        processes = {
            name: ProcessState(
                state="restarting" if name in self._killed_ns else "running", restarts=int(name in self._killed_ns)
            )
            for name in names
        }
        said = tuple(f"{name}: ended by signal 9; starting it again in 1 s" for name in self._killed_ns)
        return SystemState(
            **stamps,
            processes=processes,
            began_ns=self.began_ns,
            config="acting.yaml",
            said=said,
            note=self._note,
            **self._settings,
        )

    def _obey(self, inbox: Subscription[Message]) -> None:
        """Do as if what is asked for were done."""
        while (message := inbox.receive(0)) is not None:
            self.asked.append(message)
            match message:
                case RecordRequest(action="start"):
                    path = f"recordings/{message.name or time.strftime('%Y-%m-%d_%H-%M-%S')}.mcap"
                    began: dict[str, Any] = {"began_ns": now_ns(), "messages": 0, "bytes": 0}
                    self._recording = replace(
                        self._recording, state="recording", path=path, video=message.video, **began
                    )
                case RecordRequest(action="stop"):
                    self._recording = replace(self._recording, state="stopped")
                case SystemRequest():
                    wanted = {"lift": message.lift and message.lift == "on", "smoothing": message.smoothing}
                    self._settings |= {key: value for key, value in wanted.items() if value != ""}
                    self._settings["calibration"] = message.calibration or self._settings["calibration"]
                    self._note = "fusion was started again with the new settings"


def _config(cast: Cast, preview_hz: float) -> Config:
    cameras = {name: {"source": "device", "device": k, "size_wh": SIZE_WH} for k, name in enumerate(cast.names)}
    preview = {"enabled": True, "rate_hz": preview_hz} if preview_hz else {"enabled": False}
    return Config.model_validate({"calibration": "rig.toml", "cameras": cameras, "preview": preview})


def _rates_hz(names: tuple[str, ...], pose_hz: float, keypoints_hz: float, preview_hz: float) -> dict[str, float]:
    rates_hz = {**SAYINGS_HZ, "pose": pose_hz}
    for name in names:
        rates_hz[f"keypoints/{name}"] = keypoints_hz
        rates_hz[f"preview/{name}"] = preview_hz
        rates_hz[f"camera_health/{name}"] = CAMERA_HEALTH_HZ
    return {source: hz for source, hz in rates_hz.items() if hz}


def main() -> int:
    """Play until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hub", default=DEFAULT_HUB_IN, help="the hub's inner address (default %(default)s)")
    parser.add_argument("--hub-outer", default=DEFAULT_HUB_OUT, help="its outer address (default %(default)s)")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--hz", type=float, default=30.0, help="of poses and keypoints (default %(default)s)")
    parser.add_argument("--preview-hz", type=float, default=10.0, help="0: none (default %(default)s)")
    parser.add_argument("--unplug", action="append", default=[], help="a camera that has no frames, after 3 s")
    parser.add_argument("--kill", action="append", default=[], help="a camera that says nothing, after 3 s")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    acting = ActingSystem(
        given.hub, given.hub_outer, cameras=given.cameras, people=given.people, pose_hz=given.hz,
        keypoints_hz=given.hz, preview_hz=given.preview_hz,
    )  # fmt: skip
    try:
        with acting:
            time.sleep(3)
            for names, strike in ((given.unplug, acting.unplug_camera), (given.kill, acting.kill_camera)):
                for name in names:
                    strike(name)
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
