"""What the benchmark of calibrating from people looks at: a rendered walker whom the real detector sees."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from lifter.synthetic_choreography import FRONT, OVERHEAD
from lifter.synthetic_motions import HANGING, Keys, Motion, alternating_steps

F64 = npt.NDArray[np.float64]

FPS = 30.0
SECONDS = 32.0
OFFSETS_S = (0.0, 0.137, -0.221, 0.318)  # what the cameras' clocks are wrong by; neither whole frames nor half ones
SIZE_WH, FOCAL_PX = (640, 480), 620.0
PERIOD_S = 16.0  # once round the eight
HALF_M = (1.25, 0.8)  # of the eight, along x and y


def _eight(t_s: F64) -> F64:
    """A walk along a figure of eight, facing ahead: x, y, yaw (T, 3)."""
    turn = 2 * np.pi * t_s / PERIOD_S
    a, b = HALF_M
    heading = np.arctan2(2 * b * np.cos(2 * turn), a * np.cos(turn)) + np.pi / 2
    yaw = np.mod(heading + np.pi, 2 * np.pi) - np.pi - np.pi / 2  # never leaves (-225°, 45°), so it never jumps
    return np.stack([a * np.sin(turn), b * np.sin(2 * turn), yaw], axis=-1)


def walker() -> Motion:
    """Somebody who walks an eight of 2.5 x 1.6 m, and lifts an arm now and then."""
    arm: Keys = ((0.0, HANGING), (3.0, HANGING), (4.0, OVERHEAD), (5.0, HANGING), (9.0, HANGING), (10.0, FRONT),
                 (11.0, HANGING))  # fmt: skip
    steps = alternating_steps(0, 0.05, count=32, step_s=PERIOD_S / 32)
    return Motion("eight", PERIOD_S, _eight, steps, {"left_wrist": arm})


def virtual_rig() -> CameraRig:
    """Four cameras, 4 m from the middle."""
    return ring_rig(4, 4.0, 2.0, SIZE_WH, FOCAL_PX)


def frame_times() -> F64:
    """(N,) what each camera says of its frames' times."""
    return np.arange(round(SECONDS * FPS)) / FPS


def detected(cache: Path) -> tuple[F64, F64]:
    """Keypoints (C, N, 33, 2) and confidence (C, N, 33) of the real detector on rendered pictures, made once."""
    folder = cache / "calibrate_people_eight"
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for index, camera in enumerate(virtual_rig().names):
        file = folder / f"{camera}.npz"
        if not file.exists():
            keypoints_px, confidence = _detect(index)
            np.savez_compressed(file, keypoints_px=keypoints_px, confidence=confidence)
        with np.load(file) as arrays:
            found.append((arrays["keypoints_px"], arrays["confidence"]))
    return np.stack([px for px, _ in found]), np.stack([sure for _, sure in found])


def _detect(index: int) -> tuple[F64, F64]:
    """One camera's keypoints (N, 33, 2) and confidence (N, 33), NaN and 0 where nobody is found."""
    from configs import schema
    from nodes.detect.opening import open_detector
    from nodes.sources.source import Frame
    from nodes.sources.virtual.render import Renderer
    from nodes.sources.virtual.scene import Actor, Scene

    rig = virtual_rig()
    renderer = Renderer(Scene(actors=(Actor(walker()),), room_half_m=5.5), rig.cameras[index])
    detector = open_detector(schema.Detector())
    times_s = frame_times()
    keypoints_px, confidence = np.full((len(times_s), 33, 2), np.nan), np.zeros((len(times_s), 33))
    for n, said_s in enumerate(times_s):
        image = renderer.image_at(said_s + OFFSETS_S[index], n)
        people = detector.detect(Frame(image, 1_800_000_000_000_000_000 + round(said_s * 1e9), n))
        if len(people.keypoints_px):
            keypoints_px[n], confidence[n] = people.keypoints_px[0], people.confidence[0]
    detector.close()
    return keypoints_px, confidence
