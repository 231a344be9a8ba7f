"""Skeletons and cameras as Foxglove draws them (foxglove.SceneUpdate as JSON), a few times a second beside the poses.

https://docs.foxglove.dev/docs/visualization/message-schemas/scene-update
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from lifter.skeleton import SKELETONS
from nodes.sessions.logged import Logged
from nodes.wire.errors import WireError
from nodes.wire.messages import Person3D, Pose3D

EVERY_NS = 200_000_000
LINE_LIST = 2  # of foxglove.LinePrimitive
THICKNESS_M = 0.02
LIFETIME_NS = 500_000_000
COLOURS = ((0.9, 0.4, 0.1), (0.1, 0.6, 0.9), (0.2, 0.8, 0.3), (0.8, 0.2, 0.7), (0.9, 0.8, 0.1))
TIME = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}
SCHEMA = {
    "title": "foxglove.SceneUpdate",
    "type": "object",
    "properties": {
        "deletions": {"type": "array", "items": {"type": "object"}},
        "entities": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "timestamp": TIME,
                    "frame_id": {"type": "string"},
                    "id": {"type": "string"},
                    "lifetime": TIME,
                    "lines": {"type": "array", "items": {"type": "object"}},
                },
            },
        },
    },
}


@dataclass(frozen=True)
class Scene:
    """One message of a channel of its own."""

    data: bytes
    topic: str = "scene"
    schema_name: str = "foxglove.SceneUpdate"
    schema: bytes = json.dumps(SCHEMA).encode()


class SceneMaker:
    """Makes a scene of a pose when one is due."""

    def __init__(self) -> None:
        self._due_ns = 0

    def is_due(self, log_ns: int) -> bool:
        """Whether a pose that is logged at log_ns is to be drawn."""
        return not self._due_ns - EVERY_NS <= log_ns < self._due_ns

    def of(self, logged: Logged) -> Scene | None:
        """The scene of a logged pose; None for what is no pose."""
        try:
            pose = logged.message()
        except WireError:
            return None
        if not isinstance(pose, Pose3D):
            return None
        self._due_ns = logged.log_ns + EVERY_NS
        return Scene(json.dumps({"deletions": [], "entities": [_entity(pose, who) for who in pose.people]}).encode())


def _entity(pose: Pose3D, person: Person3D) -> dict[str, Any]:
    skeleton = SKELETONS.get(pose.skeleton)
    fits = skeleton is not None and len(skeleton.joints) == len(person.joints_m)
    bones = skeleton.bones if skeleton is not None and fits else ()
    known = np.isfinite(person.joints_m).all(axis=1).tolist()
    joints = [_xyz(*joint_m) for joint_m in np.round(person.joints_m.astype(float), 4).tolist()]
    points = [joints[end] for bone in bones if known[bone[0]] and known[bone[1]] for end in bone]
    r, g, b = COLOURS[person.id % len(COLOURS)]
    line = {
        "type": LINE_LIST,
        "pose": {"position": _xyz(0, 0, 0), "orientation": {**_xyz(0, 0, 0), "w": 1}},
        "thickness": THICKNESS_M,
        "scale_invariant": False,
        "points": points,
        "color": {"r": r, "g": g, "b": b, "a": 1},
        "colors": [],
        "indices": [],
    }
    return {
        "timestamp": _time(pose.captured_ns),
        "frame_id": pose.frame,
        "id": f"person {person.id}",
        "lifetime": _time(LIFETIME_NS),
        "frame_locked": False,
        "metadata": [],
        "lines": [line],
    }


def _xyz(x: float, y: float, z: float) -> dict[str, float]:
    return {"x": x, "y": y, "z": z}


def _time(ns: int) -> dict[str, int]:
    return {"sec": ns // 1_000_000_000, "nsec": ns % 1_000_000_000}
