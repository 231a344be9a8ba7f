"""Several rendered people who walk past, meet and hide one another, and what four cameras film of them.

Everybody paces to and fro through the middle of the room, or walks up to it, keeping right: so pelvises come within
about half a metre of one another, and in some camera one always stands before the other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.rig import Camera, CameraRig
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import SYNTHETIC_JOINTS, Body, Motion
from lifter.synthetic_choreography import FRONT
from lifter.synthetic_motions import HANGING, Keys, Step, alternating_steps, keyed_root
from nodes.sources.source import Frame
from nodes.sources.virtual.body import WARDROBE
from nodes.sources.virtual.render import Renderer
from nodes.sources.virtual.scene import STATURES_M, Actor, Scene

F64 = npt.NDArray[np.float64]

SIZE_WH = (640, 480)
FOCAL_PX = 620.0
AWAY_M, HEIGHTS_M = 4.3, (1.8, 1.3, 2.1, 1.5)
FPS = 15
PERIOD_S = 12.0
START_NS = 1_700_000_000_000_000_000
LANDMARKS = [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]
PELVIS = SYNTHETIC_JOINTS.index("pelvis")

FAR_M = 1.25  # from the middle, where everybody turns round
RIGHT_M = 0.25  # beside the line through the middle: two who pass are twice as far apart
REACH_M = 0.33  # from the middle, who meet: their hands touch


def rig() -> CameraRig:
    """Four cameras around the room, at different heights, that see all of it."""
    cameras = []
    for index, height_m in enumerate(HEIGHTS_M):
        azimuth = np.radians(28.0 + 90.0 * index)
        position = (AWAY_M * np.cos(azimuth), AWAY_M * np.sin(azimuth), height_m)
        (width, height), K = SIZE_WH, np.diag([FOCAL_PX, FOCAL_PX, 1.0])
        K[:2, 2] = (width - 1) / 2, (height - 1) / 2
        T_cam_world = rigid.inverse(rigid.look_at(position, (0.0, 0.0, 0.9)))
        cameras.append(Camera(("front", "right", "back", "left")[index], SIZE_WH, K, np.zeros(5), T_cam_world))
    return CameraRig(tuple(cameras))


def _steps(walks_s: tuple[tuple[float, float, int], ...]) -> tuple[Step, ...]:
    """Walks as (begin, end, number of steps)."""
    return tuple(step for begin, end, n in walks_s for step in alternating_steps(0, begin, n, (end - begin) / n))


def _pace() -> Motion:
    """Through the room, round, back, round; always on the right."""
    path = (
        (0.1, (-FAR_M, -RIGHT_M, 0.0)), (4.1, (FAR_M, -RIGHT_M, 0.0)), (5.9, (FAR_M, RIGHT_M, np.pi)),
        (6.1, (FAR_M, RIGHT_M, np.pi)), (10.1, (-FAR_M, RIGHT_M, np.pi)), (11.9, (-FAR_M, -RIGHT_M, 2 * np.pi)),
    )  # fmt: skip
    steps = _steps(((0.1, 4.1, 8), (4.1, 5.9, 4), (6.1, 10.1, 8), (10.1, 11.9, 4)))
    return Motion("pace", PERIOD_S, keyed_root(path, PERIOD_S), steps)


def _meet() -> Motion:
    """Up to the middle, a hand held out, round, back, round."""
    path = (
        (0.2, (-FAR_M, 0.0, 0.0)), (2.6, (-REACH_M, 0.0, 0.0)), (6.4, (-REACH_M, 0.0, 0.0)),
        (8.2, (-REACH_M, 0.0, np.pi)), (10.2, (-FAR_M, 0.0, np.pi)), (11.9, (-FAR_M, 0.0, 2 * np.pi)),
    )  # fmt: skip
    steps = _steps(((0.2, 2.6, 5), (6.4, 8.2, 5), (8.2, 10.2, 4), (10.2, 11.9, 5)))
    hand: Keys = ((0.0, HANGING), (3.0, HANGING), (3.8, FRONT), (5.2, FRONT), (6.0, HANGING))
    return Motion("meet", PERIOD_S, keyed_root(path, PERIOD_S), steps, {"right_wrist": hand})


def _actors(motion: Motion, yaws_deg: tuple[float, ...], phases_s: tuple[float, ...]) -> tuple[Actor, ...]:
    return tuple(
        Actor(motion, Body.of_stature(stature_m), clothing, yaw=float(np.radians(yaw_deg)), phase_s=phase_s)
        for yaw_deg, phase_s, stature_m, clothing in zip(yaws_deg, phases_s, STATURES_M, WARDROBE, strict=False)
    )


def scenes() -> dict[str, Scene]:
    """By name. The phases keep those whose ways cross from walking through one another."""
    casts = {
        "two pass": _actors(_pace(), (0.0, 180.0), (0.0, 0.0)),
        "two cross": _actors(_pace(), (20.0, 100.0), (0.0, 0.35)),
        "two meet": _actors(_meet(), (65.0, 245.0), (0.0, 0.1)),
        "three pass": _actors(_pace(), (0.0, 120.0, 240.0), (0.0, 1.0, 2.0)),
        "three at once": _actors(_pace(), (0.0, 120.0, 240.0), (0.0, 0.0, 0.0)),
    }
    return {name: Scene(actors, room_half_m=AWAY_M + 1.5) for name, actors in casts.items()}


@dataclass(frozen=True)
class Film:
    """What the cameras of a rig filmed, out of step by a quarter of a frame from one to the next.

    frames: (camera, its frame), all of them by time. ticks_ns: (T,) instants to be fused. truth_m: (T, P, 33, 3) there.
    pelvis_m: (T, P, 3).
    """

    scene: Scene
    rig: CameraRig
    frames: list[tuple[str, Frame]]
    ticks_ns: npt.NDArray[np.int64]
    truth_m: F64
    pelvis_m: F64


def film(scene: Scene, cameras: CameraRig, seconds: float) -> Film:
    """Render it, in memory."""
    frames, n_frames = [], round(seconds * FPS)
    for index, camera in enumerate(cameras.cameras):
        renderer = Renderer(scene, camera)
        for number in range(n_frames):
            t_s = (number + index / len(cameras.cameras)) / FPS
            frame = Frame(renderer.image_at(t_s, number), START_NS + round(t_s * 1e9), number)
            frames.append((camera.name, frame))
    since_ns = np.arange(1, n_frames) * round(1e9 / FPS)  # from when on all have a frame
    joints_m = scene.joints_at(since_ns * 1e-9)
    in_order = sorted(frames, key=lambda one: one[1].captured_ns)
    return Film(scene, cameras, in_order, START_NS + since_ns, joints_m[:, :, LANDMARKS], joints_m[:, :, PELVIS])


def gaps_m(pelvis_m: F64) -> F64:
    """(T, P): how far away the nearest other pelvis is; inf for who is alone. pelvis_m: (T, P, 3)."""
    apart_m = np.linalg.norm(pelvis_m[:, :, None] - pelvis_m[:, None], axis=-1)
    own = np.arange(apart_m.shape[1])
    apart_m[:, own, own] = np.inf
    return np.asarray(apart_m.min(axis=2))
