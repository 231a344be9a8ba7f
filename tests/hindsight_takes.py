"""Recordings of actors whose truth is known, as sessions; for tests of smoothing with hindsight."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.rig import CameraRig
from lifter.skeleton import MEDIAPIPE33
from nodes.sessions.about import about_of
from nodes.sessions.reader import SessionReader
from nodes.sessions.writer import new_session
from nodes.wire.messages import CameraHealth, Keypoints2D, Message, Pose3D
from tests import session_files
from tests.crowd import SIZE_WH, Actor, look, rig_of

F64 = npt.NDArray[np.float64]

START_NS = 1_800_000_000_000_000_000
MS = 1_000_000
FPS = 30.0
NAMES = ("front", "right", "back", "left")
LIMBS = list(MEDIAPIPE33.limb_indices())
Away = Callable[[int, int, float], bool]  # of a camera's number, an actor's number and a time: unseen there


def nobody_away(camera: int, actor: int, t_s: float) -> bool:
    return False


def recorded(
    path: Path,
    cast: Sequence[Actor],
    seconds: float,
    *,
    away: Away = nobody_away,
    false: Callable[[float], int] = lambda _: 0,
    silent: Callable[[int, float], bool] = lambda *_: False,
    delay_ms: Sequence[float] = (20.0, 20.0, 20.0, 20.0),
    noise_px: float = 3.0,
) -> Path:
    """A session of four cameras. false: people of a time who are not there, other ones in each view. silent: whether a
    camera gives no frame at all. delay_ms: from capture to the bus, of each camera."""
    rng, rig, messages = np.random.default_rng(0), _rig(), list[Message]()
    for seq in range(round(seconds * FPS)):
        t_s = seq / FPS
        joints_m = np.array([actor.joints_m(t_s)[0] for actor in cast])
        seen = look(rig, joints_m, rng, noise_px=noise_px, false=false(t_s))
        for c in [c for c in range(len(NAMES)) if not silent(c, t_s)]:
            in_picture = np.isfinite(seen.keypoints_px[c]).all((-1, -2))
            there = [p for p, k in enumerate(seen.who[c]) if in_picture[p] and (k < 0 or not away(c, k, t_s))]
            messages.append(_message(c, seq, seen.keypoints_px[c, there], delay_ms[c]))
    messages.append(CameraHealth(captured_ns=START_NS, published_ns=START_NS, source="front", seq=0, state="streaming"))
    about = about_of(session_files.config_of(NAMES), rig, skeleton=MEDIAPIPE33)
    with new_session(path, about, force=True, at_ns=START_NS) as writer:
        for message in sorted(messages, key=lambda each: each.published_ns):
            writer.write(message, message.published_ns)
    return path


def _message(c: int, seq: int, keypoints_px: F64, delay_ms: float) -> Keypoints2D:
    captured_ns = START_NS + round(seq / FPS * 1e9)
    return Keypoints2D(
        captured_ns=captured_ns,
        published_ns=captured_ns + round(delay_ms * MS),
        source=NAMES[c],
        seq=seq,
        skeleton="mediapipe33",
        size_wh=SIZE_WH,
        keypoints_px=keypoints_px.astype(np.float32).reshape(-1, 33, 2),
        confidence=np.ones((len(keypoints_px), 33), np.float32),
    )


def _rig() -> CameraRig:
    cameras = zip(rig_of(4).cameras, NAMES, strict=True)
    return CameraRig(tuple(replace(camera, name=name) for camera, name in cameras))


def poses_of(path: Path) -> list[Pose3D]:
    with SessionReader(path) as session:
        return list(session.messages(Pose3D))


def truth_m(cast: Sequence[Actor], pose: Pose3D) -> F64:
    """(K, 33, 3) at the pose's instant."""
    t_s = (pose.captured_ns - START_NS) * 1e-9
    return np.array([actor.joints_m(t_s)[0] for actor in cast])


def ids_of(cast: Sequence[Actor], poses: Sequence[Pose3D]) -> tuple[list[list[int]], F64, int]:
    """Ids (T, K) of who stands where each actor is, -1 for nobody; errors (T, K) of the limbs in metres; how many
    others are shown in all."""
    ids, errors, others = [], np.full((len(poses), len(cast)), np.nan), 0
    for t, pose in enumerate(poses):
        truth, row = truth_m(cast, pose), [-1] * len(cast)
        for person in pose.people:
            off = np.nanmean(np.linalg.norm(person.joints_m - truth, axis=-1)[:, LIMBS], axis=1)
            k = int(off.argmin())
            if off[k] < 0.5 and row[k] < 0:
                row[k], errors[t, k] = person.id, off[k]
            else:
                others += 1
        ids.append(row)
    return ids, errors, others
