"""A bus as busy as that of a live system, from one process without cameras: made-up keypoints and poses, evenly spaced.

    python -m benchmarks.busy_bus --hub ADDRESS [--cameras N --hz F --poses-hz F --people N --sent FILE]

Until SIGTERM; then it writes to FILE what it has sent, a line `topic seq published_ns` for each message.
"""

import argparse
import heapq
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from configs.schema import Config
from nodes.sessions.about import about_of
from nodes.wire.bus import DEFAULT_HUB_IN, Publisher, now_ns
from nodes.wire.messages import About, Keypoints2D, Message, Origin, Person3D, Pose3D
from nodes.wire.topics import BY_MESSAGE

JOINTS = 33
SIZE_WH = (1280, 720)
POOL = 64  # contents that take turns; noise all through, so that they compress as badly as what is measured
ABOUT_HZ = 2.0
Sent = tuple[str, int, int]  # topic, seq, published_ns


def camera_names(cameras: int) -> tuple[str, ...]:
    """What so many cameras are called."""
    return tuple(f"camera{k}" for k in range(cameras))


def made_up_about(cameras: int) -> About:
    """What whoever runs such a system would say about it."""
    names = camera_names(cameras)
    config = Config.model_validate(
        {"calibration": "rig.toml", "cameras": {name: {"source": "device", "device": 0} for name in names}}
    )
    ring = ring_rig(max(cameras, 2), 4.0, 2.0, SIZE_WH, 900.0)
    rig = CameraRig(tuple(replace(camera, name=name) for camera, name in zip(ring.cameras, names, strict=False)))
    return about_of(config, rig, "none")


def made_up_messages(cameras: int, people: int) -> dict[str, list[Message]]:
    """By source: contents without their times."""
    rng = np.random.default_rng(0)
    names = camera_names(cameras)
    contents: dict[str, list[Message]] = {"fusion": [_pose(rng, names, people) for _ in range(POOL)]}
    return contents | {name: [_keypoints(rng, name, people) for _ in range(POOL)] for name in names}


def schedule(rates_hz: dict[str, float]) -> Iterator[tuple[float, str, int]]:
    """Seconds since the beginning, source and seq, in the order of time; sources of one rate take turns evenly."""
    turns = {source: k / len(rates_hz) / hz for k, (source, hz) in enumerate(rates_hz.items())}
    due = [(phase_s, source, 0) for source, phase_s in turns.items()]
    heapq.heapify(due)
    while due:
        at_s, source, seq = due[0]
        yield at_s, source, seq
        heapq.heapreplace(due, (turns[source] + (seq + 1) / rates_hz[source], source, seq + 1))


def _stamps(source: str) -> dict[str, Any]:
    return {"captured_ns": 0, "published_ns": 0, "source": source, "seq": 0}


def _keypoints(rng: np.random.Generator, camera: str, people: int) -> Keypoints2D:
    return Keypoints2D(
        **_stamps(camera),
        skeleton="mediapipe33",
        size_wh=SIZE_WH,
        keypoints_px=rng.uniform(0, 720, (people, JOINTS, 2)).astype(np.float32),
        confidence=rng.uniform(0.5, 1, (people, JOINTS)).astype(np.float32),
        stages_ns={"queue": 2_000_000, "detect": 20_000_000},
    )


def _pose(rng: np.random.Generator, cameras: tuple[str, ...], people: int) -> Pose3D:
    found = tuple(
        Person3D(
            id=k + 1,
            joints_m=rng.normal(size=(JOINTS, 3)).astype(np.float32),
            sigma_m=rng.uniform(0.005, 0.02, JOINTS).astype(np.float32),
            reprojection_px=rng.uniform(0, 5, JOINTS).astype(np.float32),
            views=rng.integers(0, 2 ** len(cameras), JOINTS, dtype=np.uint32),
            origin=np.full(JOINTS, Origin.FUSED, np.uint8),
        )
        for k in range(people)
    )
    stages_ns = {"interpolate": 9_000_000, "queue": 2_000_000, "detect": 20_000_000, "send": 300_000, "fuse": 900_000}
    return Pose3D(
        **_stamps("fusion"),
        skeleton="mediapipe33",
        people=found,
        cameras=cameras,
        valid=True,
        stages_ns=stages_ns,
    )


def _play(bus: Publisher, options: argparse.Namespace, sent: list[Sent]) -> None:
    """Send for ever, what is late at once."""
    about, contents = made_up_about(options.cameras), made_up_messages(options.cameras, options.people)
    rates_hz = dict.fromkeys(camera_names(options.cameras), options.hz) | {"about": ABOUT_HZ}
    rates_hz |= {"fusion": options.poses_hz} if options.poses_hz else {}
    began_s = time.monotonic()
    for at_s, source, seq in schedule(rates_hz):
        time.sleep(max(0.0, began_s + at_s - time.monotonic()))
        content = about if source == "about" else contents[source][seq % POOL]
        message = bus.send(replace(content, captured_ns=now_ns(), seq=seq))
        if source != "about":
            sent.append((f"{BY_MESSAGE[type(message)].name}/{source}", seq, message.published_ns))


def main() -> int:
    """Play until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hub", default=DEFAULT_HUB_IN, help="the hub's inner address (default %(default)s)")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--hz", type=float, default=60.0, help="of each camera (default %(default)s)")
    parser.add_argument("--poses-hz", type=float, default=120.0, help="0: no poses (default %(default)s)")
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--sent", type=Path, help="what was sent, written at the end")
    options = parser.parse_args()
    sent: list[Sent] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Publisher(options.hub) as bus:
            _play(bus, options, sent)
    except KeyboardInterrupt:
        pass
    if options.sent is not None:
        options.sent.write_text("".join(f"{topic} {seq} {published_ns}\n" for topic, seq, published_ns in sent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
