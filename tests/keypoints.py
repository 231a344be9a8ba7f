"""Keypoints of the virtual actor as cameras would send them; for tests of the stages."""

import numpy as np

from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS, SYNTHETIC_JOINTS, joints_at
from nodes.wire.messages import Keypoints2D

START_NS = 1_800_000_000_000_000_000
LANDMARKS = [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]
MS = 1_000_000


def rig_of(n_cameras: int) -> CameraRig:
    return ring_rig(n_cameras, 4.0, 2.0, (1280, 720), 900.0)


def truth_m(captured_ns, motion="walk"):
    """Exact landmarks (T, 33, 3) at capture times."""
    t_s = (np.atleast_1d(captured_ns) - START_NS) * 1e-9
    return joints_at(MOTIONS[motion], t_s)[:, LANDMARKS]


def keypoints(camera, captured_ns, seq=0, *, noise_px=0.0, delay_ms=20.0, motion="walk", rng=None):
    """What the camera's detector would send of one frame."""
    keypoints_px = camera.project(truth_m(captured_ns, motion)[0])
    if noise_px:
        keypoints_px = keypoints_px + rng.normal(0, noise_px, keypoints_px.shape)
    return Keypoints2D(
        captured_ns=captured_ns,
        published_ns=captured_ns + round(delay_ms * MS),
        source=camera.name,
        seq=seq,
        skeleton="mediapipe33",
        size_wh=camera.size_wh,
        keypoints_px=keypoints_px[None].astype(np.float32),
        confidence=np.ones((1, 33), dtype=np.float32),
        stages_ns={"queue": 2 * MS},
    )


def stream(rig, seconds=2.0, fps=30.0, phases=None, **options):
    """All cameras' frames in the order of their sending; phases in periods, one per camera."""
    rng = np.random.default_rng(0)
    messages = []
    for index, camera in enumerate(rig.cameras):
        phase = phases[index] if phases else 0.0
        for k in range(round(seconds * fps)):
            captured_ns = START_NS + round((k + phase) * 1e9 / fps)
            messages.append(keypoints(camera, captured_ns, k, rng=rng, **options))
    return sorted(messages, key=lambda m: (m.published_ns, m.source))
