"""Stand-ins at the edge of the live system: they speak on the real bus and neither see nor fuse anything.

`python -m tests.stub_nodes camera|fusion NAME HUB_IN HUB_OUT BEHAVIOUR`. Behaviours of a camera: `steady`, `short` (its
recording ends after twenty frames), `refuse` (exit code 2), `mute` (freezes in its first life once the session began).
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from nodes.wire.bus import Publisher, every, now_ns
from nodes.wire.messages import CameraHealth, FusionHealth, Person3D, Pose3D, Session

PERIOD_S = 0.05


def camera(name: str, hub_in: str, hub_out: str, behaviour: str) -> int:
    if behaviour == "refuse":
        print(f"{name}: /dev/video9 is no camera: choose another", file=sys.stderr)
        return 2
    with Publisher(hub_in) as bus, every(Session, hub_out=hub_out) as sessions:
        began, frames, seq = False, 0, 0
        while True:
            began = began or sessions.receive(0) is not None
            frames += began
            ended = behaviour == "short" and frames >= 20
            state = "ended" if ended else "streaming" if began else "ready"
            now = now_ns()
            bus.send(
                CameraHealth(
                    captured_ns=now, published_ns=0, source=name, seq=seq, state=state, frames=frames, fps=20.0
                )
            )
            seq += 1
            if ended:
                return 0
            if behaviour.startswith("mute:") and began and _first_life(behaviour):
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(PERIOD_S)


def fusion(name: str, hub_in: str, hub_out: str, behaviour: str) -> int:
    with Publisher(hub_in) as bus:
        seq = 0
        while True:
            now = now_ns()
            stamps: dict[str, Any] = {"captured_ns": now - 80_000_000, "published_ns": 0, "source": name, "seq": seq}
            bus.send(
                FusionHealth(
                    **stamps, cameras={}, ticks=seq, rate_hz=20.0, people=1, reprojection_px_p50=1.0, fused_until_ns=now
                )
            )
            if behaviour != "idle":
                bus.send(Pose3D(**stamps, skeleton="mediapipe33", people=(_person(),), cameras=("left",), valid=True))
            seq += 1
            time.sleep(PERIOD_S)


def _person() -> Person3D:
    return Person3D(
        id=1,
        joints_m=np.zeros((33, 3), np.float32),
        sigma_m=np.zeros(33, np.float32),
        reprojection_px=np.ones(33, np.float32),
        views=np.zeros(33, np.uint32),
        origin=np.ones(33, np.uint8),
    )


def _first_life(behaviour: str) -> bool:
    """`mute:FILE`: the file is made in the first life."""
    marker = Path(behaviour.partition(":")[2])
    if marker.exists():
        return False
    marker.touch()
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit({"camera": camera, "fusion": fusion}[sys.argv[1]](*sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(0)
