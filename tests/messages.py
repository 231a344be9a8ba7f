"""One message of every kind with fixed content, for tests; and what it is for two messages to be the same."""

import math
from dataclasses import fields
from typing import Any

import numpy as np

from nodes.wire.messages import (
    About,
    CameraHealth,
    CameraInput,
    Expected,
    ExpectedView,
    FusionHealth,
    Keypoints2D,
    Message,
    Origin,
    Person3D,
    Pose3D,
    PoseNow,
    Preview,
    RecorderHealth,
    RecordRequest,
    Session,
)
from nodes.wire.requests import (
    BoardCoverage,
    BoardSeen,
    CalibrationRequest,
    CalibrationState,
    Mark,
    PlayMark,
    PlayRequest,
    PlayState,
    ProcessState,
    SystemRequest,
    SystemState,
)

START_NS = 1_700_000_000_000_000_000


def stamps(source: str = "left", seq: int = 7) -> dict[str, Any]:
    return {"captured_ns": START_NS, "published_ns": START_NS + 40_000_000, "source": source, "seq": seq}


def keypoints(source: str = "left", seq: int = 7, people: int = 2, **changes: Any) -> Keypoints2D:
    """Two people with 33 joints, of whom one joint is absent."""
    keypoints_px = np.arange(people * 33 * 2, dtype=np.float32).reshape(people, 33, 2) / 4
    confidence = np.linspace(0.5, 1.0, people * 33, dtype=np.float32).reshape(people, 33)
    keypoints_px[:1, 5] = np.nan
    confidence[:1, 5] = 0.0
    content: dict[str, Any] = {
        **stamps(source, seq),
        "skeleton": "mediapipe33",
        "size_wh": (640, 480),
        "keypoints_px": keypoints_px,
        "confidence": confidence,
        "stages_ns": {"queue": 3_000_000},
    }
    return Keypoints2D(**{**content, **changes})


def person(n_joints: int = 17, **changes: Any) -> Person3D:
    joints_m = np.arange(n_joints * 3, dtype=np.float32).reshape(n_joints, 3) / 8
    joints_m[3] = np.nan
    content: dict[str, Any] = {
        "id": 12,
        "joints_m": joints_m,
        "sigma_m": np.full(n_joints, 0.015625, np.float32),
        "reprojection_px": np.full(n_joints, 1.5, np.float32),
        "views": np.full(n_joints, 0x8000_0003, np.uint32),
        "origin": np.full(n_joints, Origin.TRIANGULATED, np.uint8),
    }
    return Person3D(**{**content, **changes})


def pose(source: str = "fusion", seq: int = 7, **changes: Any) -> Pose3D:
    content: dict[str, Any] = {
        **stamps(source, seq),
        "skeleton": "coco17",
        "people": (person(), person(id=13)),
        "cameras": ("left", "right"),
        "valid": True,
        "left_out": {"back": "stale"},
        "stages_ns": {"interpolate": -1, "queue": 2, "detect": 3, "send": 4, "fuse": 5},
    }
    return Pose3D(**{**content, **changes})


def pose_now(source: str = "fusion", seq: int = 7, **changes: Any) -> PoseNow:
    content: dict[str, Any] = {
        **stamps(source, seq),
        "rests_on_ns": START_NS - 80_000_000,
        "skeleton": "coco17",
        "people": (person(origin=np.full(17, Origin.PREDICTED, np.uint8), views=np.zeros(17, np.uint32)),),
        "cameras": ("left", "right"),
        "valid": True,
    }
    return PoseNow(**{**content, **changes})


def camera_health(source: str = "left", seq: int = 7, **changes: Any) -> CameraHealth:
    content: dict[str, Any] = {
        **stamps(source, seq),
        "state": "streaming",
        "asked_size_wh": (1280, 720),
        "granted_size_wh": (640, 480),
        "asked_fps": 30.0,
        "granted_fps": 25.0,
        "granted_format": "MJPG",
        "fps": 24.5,
        "frames": 100,
        "dropped": 2,
        "reconnects": 1,
        "detect_ms_p50": 31.25,
        "note": "asked for 1280×720, gives 640×480",
    }
    return CameraHealth(**{**content, **changes})


def camera_input(**changes: Any) -> CameraInput:
    content: dict[str, Any] = {
        "alive": True,
        "on_time": False,
        "valid": True,
        "age_ms": 12.5,
        "skew_ms": 3.0,
        "frames": 90,
        "late": 4,
        "rejected": {"size": 3},
        "note": "late",
    }
    return CameraInput(**{**content, **changes})


def fusion_health(source: str = "fusion", seq: int = 7, **changes: Any) -> FusionHealth:
    content: dict[str, Any] = {
        **stamps(source, seq),
        "cameras": {"left": camera_input(), "right": camera_input(note="", rejected={})},
        "ticks": 50,
        "rate_hz": 29.5,
        "people": 1,
        "reprojection_px_p50": 2.25,
        "fused_until_ns": START_NS,
        "undecodable": 6,
        "notes": ("left: late", "Küche: is not in the configuration"),
    }
    return FusionHealth(**{**content, **changes})


def expected_view(people: int = 2, **changes: Any) -> ExpectedView:
    """People side by side, who walk to the right."""
    circles = np.array([(160 + 128 * k, 240, 96, 0.125) for k in range(people)], dtype=np.float32).reshape(people, 4)
    content: dict[str, Any] = {
        "size_wh": (640, 480),
        "ids": np.arange(12, 12 + people, dtype=np.int64),
        "circles": circles,
        "velocity_px_s": np.full((people, 2), (64, 0), dtype=np.float32),
    }
    return ExpectedView(**{**content, **changes})


def expected(source: str = "fusion", seq: int = 7, **changes: Any) -> Expected:
    cameras = {"left": expected_view(), "right": expected_view(people=0)}
    return Expected(**{**stamps(source, seq), "cameras": cameras, **changes})


def session(source: str = "run_system", seq: int = 7, **changes: Any) -> Session:
    return Session(**{**stamps(source, seq), "start_ns": START_NS, **changes})


def preview(source: str = "left", seq: int = 7, **changes: Any) -> Preview:
    return Preview(**{**stamps(source, seq), "size_wh": (320, 240), "jpeg": b"\xff\xd8\x00\xff\xd9", **changes})


def about(source: str = "run_system", seq: int = 7, **changes: Any) -> About:
    content: dict[str, Any] = {
        **stamps(source, seq),
        "config_yaml": "cameras: {}\n",
        "rig_name": "rig.toml",
        "rig_text": "[cam_0]\n",
        "facts_json": '{"versions": {"numpy": "1.26.4"}}',
    }
    return About(**{**content, **changes})


def record_request(source: str = "page", seq: int = 7, **changes: Any) -> RecordRequest:
    return RecordRequest(**{**stamps(source, seq), "action": "start", "name": "walk", "video": True, **changes})


def recorder_health(source: str = "recorder", seq: int = 7, **changes: Any) -> RecorderHealth:
    content: dict[str, Any] = {
        **stamps(source, seq),
        "state": "recording",
        "path": "takes/walk.mcap",
        "video": True,
        "began_ns": START_NS,
        "messages": 1200,
        "bytes": 600_000,
        "lost": 2,
        "note": "2 messages were lost",
    }
    return RecorderHealth(**{**content, **changes})


def play_state(source: str = "replay", seq: int = 7, **changes: Any) -> PlayState:
    content: dict[str, Any] = {
        **stamps(source, seq),
        "path": "takes/walk.mcap",
        "position_s": 12.5,
        "duration_s": 60.0,
        "speed": 0.5,
        "playing": False,
        "shift_ns": -(10**15),
        "fuses": False,
        "beside": "takes/better.mcap",
        "marks": (PlayMark(at_s=1.5, text="jump"), PlayMark(at_s=7.25, text="")),
        "note": "stands at a mark",
    }
    return PlayState(**{**content, **changes})


def board_seen(source: str = "left", seq: int = 7, **changes: Any) -> BoardSeen:
    corners_px = np.array([[10.5, 20.25], [np.nan, np.nan], [30, 21]], dtype=np.float32)
    content: dict[str, Any] = {"size_wh": (640, 480), "corners_px": corners_px, "mirrored": True, "frame_id": 3}
    return BoardSeen(**{**stamps(source, seq), **content, **changes})


def calibration_request(source: str = "viewer", seq: int = 7, **changes: Any) -> CalibrationRequest:
    return CalibrationRequest(
        **{**stamps(source, seq), "action": "look", "board_toml": "[board]\n", "person": 3, **changes}
    )


def calibration_state(source: str = "calibrator", seq: int = 7, **changes: Any) -> CalibrationState:
    covered = np.eye(4, 6, dtype=np.uint8)
    left = BoardCoverage(useful=5, wanted=25, in_sight=12, covered=covered, together={"right": 4}, note="slow")
    content: dict[str, Any] = {
        **stamps(source, seq),
        "state": "looking",
        "board_toml": "[board]\n",
        "cameras": {"left": left},
        "todo": ("hold it closer to `left`",),
        "doing": "corners",
        "share": 0.5,
        "verdict": "usable",
        "headline": "usable: 0.4 px",
        "calibration": "calibrations/rig.toml",
        "report": "calibrations/rig/report.html",
        "note": "a word",
    }
    return CalibrationState(**{**content, **changes})


def system_state(source: str = "run_system", seq: int = 7, **changes: Any) -> SystemState:
    content: dict[str, Any] = {
        **stamps(source, seq),
        "processes": {"fusion": ProcessState(state="restarting", restarts=2)},
        "began_ns": START_NS,
        "fuses": True,
        "lift": False,
        "smoothing": "one_euro",
        "calibration": "rig.toml",
        "config": "my.yaml",
        "said": ("left: opened", "fusion: ready"),
        "note": "fusion starts again",
    }
    return SystemState(**{**content, **changes})


SAMPLES: dict[str, Message] = {
    "keypoints": keypoints(),
    "keypoints_of_nobody": keypoints(people=0),
    "pose": pose(),
    "pose_of_nobody": pose(people=(), valid=False, left_out={}),
    "pose_root_relative": pose(cameras=("webcam",), valid=False, left_out={}, frame="root_relative"),
    "pose_now": pose_now(),
    "expected": expected(),
    "camera_health": camera_health(),
    "camera_health_unknown": CameraHealth(**stamps(), state="starting"),
    "fusion_health": fusion_health(),
    "session": session(),
    "preview": preview(),
    "camera_health_video": camera_health(video_file="walk.left.mkv", video_frames=240, video_dropped=3),
    "fusion_health_began": fusion_health(began_source="left", began_ns=START_NS),
    "fusion_health_lifter": fusion_health(
        cameras={"left": camera_input(reprojection_px=2.5)}, lifter="ONNX Runtime CPU: no GPU"
    ),
    "about": about(),
    "record_request": record_request(),
    "recorder_health": recorder_health(),
    "mark": Mark(**stamps("viewer"), text="jump"),
    "play_request": PlayRequest(**stamps("viewer"), action="seek", value=2.5),
    "play_state": play_state(),
    "play_state_late": play_state(timely=False),
    "board_seen": board_seen(),
    "calibration_request": calibration_request(),
    "calibration_state": calibration_state(),
    "system_request": SystemRequest(**stamps("viewer"), lift="off", smoothing="none", calibration="rig-2.toml"),
    "system_state": system_state(),
}


def same(one: Any, other: Any) -> bool:
    """Whether two messages, or parts of them, say the same. NaN is the same as NaN; a dtype counts."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if hasattr(one, "to_wire"):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)
