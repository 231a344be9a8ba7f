"""Sessions with poses for tests of export: made of arrays, and read back by other people's software."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS, joints_at
from nodes.sessions.writer import new_session
from nodes.wire.messages import About, Origin, Person3D, Pose3D
from tests.messages import START_NS

SECOND_NS = 1_000_000_000


def person(who: int, joints_m: npt.NDArray[Any], **changes: Any) -> Person3D:
    """Somebody whose joints are NaN where absent."""
    there = np.isfinite(joints_m).all(axis=1)
    content: dict[str, Any] = {
        "id": who,
        "joints_m": joints_m.astype(np.float32),
        "sigma_m": np.where(there, 0.01, np.nan).astype(np.float32),
        "reprojection_px": np.where(there, 1.5, np.nan).astype(np.float32),
        "views": np.where(there, 3, 0).astype(np.uint32),
        "origin": np.where(there, Origin.TRIANGULATED, Origin.ABSENT).astype(np.uint8),
    }
    return Person3D(**{**content, **changes})


def pose(time_s: float, people: Iterable[Person3D] = (), **changes: Any) -> Pose3D:
    captured_ns = START_NS + round(time_s * SECOND_NS)
    content: dict[str, Any] = {
        **{"captured_ns": captured_ns, "published_ns": captured_ns + 50_000_000, "source": "fusion"},
        **{"seq": round(time_s * 1000), "skeleton": "coco17", "people": tuple(people)},
        **{"cameras": ("left", "right"), "valid": True},
    }
    return Pose3D(**{**content, **changes})


def poses_of(joints_m: dict[int, npt.NDArray[Any]], rate_hz: float, **changes: Any) -> list[Pose3D]:
    """Poses of people's joints (T, J, 3); somebody of whom all is NaN is not there."""
    T = max(len(each) for each in joints_m.values())
    return [
        pose(t / rate_hz, [person(who, x[t]) for who, x in joints_m.items() if np.isfinite(x[t]).any()], **changes)
        for t in range(T)
    ]


def about(**changes: Any) -> About:
    content: dict[str, Any] = {"captured_ns": 0, "published_ns": 0, "source": "test", "seq": 0, "config_yaml": ""}
    return About(**{**content, "rig_name": "", "rig_text": "", "facts_json": "{}", **changes})


def save(path: Path, poses: Sequence[Pose3D], **changes: Any) -> Path:
    """A session with these poses."""
    with new_session(path, about(**changes), force=True) as writer:
        for each in poses:
            writer.write(each, each.published_ns)
    return path


def walker(seconds: float, rate_hz: float = 30.0, motion: str = "demo", noise_m: float = 0.0) -> npt.NDArray[Any]:
    """The virtual actor's joints (T, 33, 3) in the order of mediapipe33."""
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    joints_m = joints_at(MOTIONS[motion], times_s)[:, : len(MEDIAPIPE33.joints)]
    return joints_m + np.random.default_rng(7).normal(0.0, noise_m, joints_m.shape)
