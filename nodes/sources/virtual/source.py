"""A camera of the virtual rig as a source of frames."""

import math
import time
from collections.abc import Callable
from typing import Literal

from calibration.rig import Camera
from nodes.sources.source import Frame, Granted
from nodes.sources.virtual.render import Renderer
from nodes.sources.virtual.scene import Scene

NS_PER_S = 1_000_000_000


class VirtualCamera:
    """Frame k is captured at start_ns + phase_s + k / fps.

    The scene's time is captured_ns - start_ns. Give all cameras of a system the same start_ns: whenever their processes
    come up, they see the same actor in the same posture, and the truth at captured_ns is known.
    Pace "realtime" waits for each frame's instant and skips those it is too late for (frame_id jumps); "pipeline"
    renders every frame as fast as it can. After `frames` frames, or never, the stream ends.
    """

    def __init__(
        self,
        scene: Scene,
        camera: Camera,
        fps: float,
        phase_s: float = 0.0,
        start_ns: int = 0,
        pace: Literal["realtime", "pipeline"] = "realtime",
        frames: int | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.granted = Granted(camera.size_wh, fps, "rgb24")
        self._scene = scene
        self._renderer = Renderer(scene, camera)
        self._first_ns = start_ns + round(phase_s * NS_PER_S)
        self._start_ns = start_ns
        self._fps = fps
        self._pace = pace
        self._frames = math.inf if frames is None else frames
        self._next_id = 0
        self._now_ns = now_ns
        self._sleep = sleep

    def captured_ns(self, frame_id: int) -> int:
        """When a frame is captured."""
        return self._first_ns + round(frame_id * NS_PER_S / self._fps)

    def read(self) -> Frame | None:
        """The next frame, not before it is due; None after the last."""
        if self._pace == "realtime":
            self._next_id = max(self._next_id, math.floor((self._now_ns() - self._first_ns) * self._fps / NS_PER_S))
        if self._next_id >= self._frames:
            return None
        frame_id, captured_ns = self._next_id, self.captured_ns(self._next_id)
        image_rgb = self._renderer.image_at(self._scene_s(captured_ns), frame_id)
        if self._pace == "realtime":
            self._sleep(max(0.0, (captured_ns - self._now_ns()) / NS_PER_S))  # drawn ahead, shown when it is due
        self._next_id += 1
        return Frame(image_rgb, captured_ns, frame_id)

    def close(self) -> None:
        """Nothing is held: the stream just ends."""
        self._frames = 0

    def _scene_s(self, captured_ns: int) -> float:
        """Seconds in the scene; taken within the loop as an integer, which keeps nanoseconds exact."""
        since_ns = captured_ns - self._start_ns
        if self._scene.loop_s is not None:
            since_ns %= round(self._scene.loop_s * NS_PER_S)
        return since_ns / NS_PER_S
