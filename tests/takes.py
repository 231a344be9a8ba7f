"""Sessions of people who really move, as fusion would say it, made in no time; for reports and comparisons."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.rig import CameraRig
from nodes.sessions.about import about_of
from nodes.sessions.writer import new_session
from nodes.wire.messages import CameraHealth, Keypoints2D, Message, Origin, Person3D, Pose3D
from tests import messages as make
from tests.crowd import Actor
from tests.session_files import config_of, rig_of

START_NS = make.START_NS
CAMERAS = ("left", "right", "back")
N_JOINTS = 33
LATENCY_NS = 60_000_000
LOOP_S = 8.0
STAGES_NS = {"interpolate": 10_000_000, "queue": 5_000_000, "detect": 25_000_000, "send": 2_000_000, "fuse": 18_000_000}

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Somebody who is there from one second to another, away in between now and then."""

    id: int
    actor: Actor
    from_s: float = 0.0
    to_s: float = 1e9
    away: tuple[tuple[float, float], ...] = ()

    def is_there(self, at_s: float) -> bool:
        return self.from_s <= at_s < self.to_s and not any(start <= at_s < end for start, end in self.away)


@dataclass(frozen=True)
class Take:
    """What is recorded. wrong(part, joints_m, at_s): the joints that are said in place of the true ones. moved_px: by
    camera, how far its pictures are shifted."""

    seconds: float
    cast: tuple[Part, ...]
    hz: float = 30.0
    phase_s: float = 0.0
    wrong: Callable[[Part, F64, float], F64] = lambda _part, joints_m, _at_s: joints_m
    moved_px: dict[str, float] | None = None
    keypoints: bool = True
    still: tuple[float, float] = (0.0, 0.0)  # no poses in between
    sigma_m: float = 0.01

    def messages(self) -> Iterator[tuple[Message, int]]:
        """Messages and when they are logged."""
        loops = {
            part.id: part.actor.joints_m(np.arange(round(LOOP_S * self.hz)) / self.hz + self.phase_s)
            for part in self.cast
        }
        rig = rig_of(CAMERAS)
        for tick in range(round(self.seconds * self.hz)):
            at_s = tick / self.hz + self.phase_s
            at_ns = START_NS + round(at_s * 1e9)
            people = [(p, loops[p.id][tick % len(loops[p.id])]) for p in self.cast if p.is_there(at_s)]
            if self.keypoints:
                for camera in CAMERAS:
                    yield (
                        self._seen(rig, camera, [joints_m for _, joints_m in people], tick, at_ns),
                        at_ns + LATENCY_NS // 2,
                    )
            if not self.still[0] <= at_s < self.still[1]:
                yield self._pose(people, tick, at_s, at_ns), at_ns + LATENCY_NS + 1_000_000
            if tick % round(self.hz) == 0:
                for camera in CAMERAS:
                    yield self._health(camera, tick, at_ns), at_ns + LATENCY_NS + 2_000_000

    def write(self, path: Path) -> Path:
        """The session file."""
        about = about_of(config_of(CAMERAS), rig_of(CAMERAS))
        with new_session(path, about, force=True, at_ns=START_NS) as writer:
            for message, log_ns in self.messages():
                writer.write(message, log_ns)
        return path

    def _pose(self, people: list[tuple[Part, F64]], tick: int, at_s: float, at_ns: int) -> Pose3D:
        told = tuple(
            Person3D(
                id=part.id,
                joints_m=self.wrong(part, joints_m, at_s).astype(np.float32),
                sigma_m=np.full(N_JOINTS, self.sigma_m, np.float32),
                reprojection_px=np.full(N_JOINTS, 1.5, np.float32),
                views=np.full(N_JOINTS, 0b111, np.uint32),
                origin=np.full(N_JOINTS, Origin.FUSED, np.uint8),
            )
            for part, joints_m in people
        )
        late = at_s % 10 > 9
        return Pose3D(
            captured_ns=at_ns,
            published_ns=at_ns + LATENCY_NS,
            source="fusion",
            seq=tick,
            skeleton="mediapipe33",
            people=told,
            cameras=CAMERAS,
            valid=True,
            left_out={"back": f"last frame {300 + tick % 50} ms before this tick"} if late else {},
            stages_ns=STAGES_NS,
        )

    def _seen(self, rig: CameraRig, camera: str, people: list[F64], tick: int, at_ns: int) -> Keypoints2D:
        shift = np.array([(self.moved_px or {}).get(camera, 0.0), 0.0])
        keypoints_px = np.array([rig[camera].project(joints_m) + shift for joints_m in people], np.float32)
        return make.keypoints(
            source=camera, seq=tick, captured_ns=at_ns, published_ns=at_ns + LATENCY_NS // 2, size_wh=(1280, 720),
            keypoints_px=keypoints_px.reshape(-1, N_JOINTS, 2), confidence=np.ones((len(people), N_JOINTS), np.float32),
        )  # fmt: skip

    def _health(self, camera: str, tick: int, at_ns: int) -> CameraHealth:
        return make.camera_health(
            source=camera, seq=tick, captured_ns=at_ns, published_ns=at_ns, fps=self.hz, frames=tick,
            dropped=tick // 10, note="",
        )  # fmt: skip
