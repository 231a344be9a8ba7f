"""The same session live, replayed and reprocessed: the same poses, byte for byte. Real processes on a real bus."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from nodes.compiling import compile_kernels
from nodes.sessions.sameness import fused_bytes
from nodes.wire.bus import every
from nodes.wire.messages import CameraHealth, FusionHealth, Message, Pose3D
from tests.hub import PATIENCE_S, running_hub
from tests.reference import REFERENCE, differences, fused_poses, held_poses


@pytest.fixture(scope="module")
def again():
    """The reference fused again, here."""
    return fused_poses()


def test_fusion_makes_of_the_reference_what_it_made_once(again):
    assert differences(held_poses(), again) == []


def test_a_difference_is_found(again):
    moved = replace(again[40].people[0], joints_m=again[40].people[0].joints_m + np.float32(0.0002))
    assert differences(again, [*again[:40], replace(again[40], people=(moved,)), *again[41:]])[0].startswith(
        "pose 40: "
    )
    assert differences(again, again[1:])


def played(count: int, *options: str) -> list[Pose3D]:
    """The poses, so many, that a real fusion makes of the reference, played on a real bus."""
    compile_kernels(print)
    poses: list[Pose3D] = []
    with running_hub() as hub:
        addresses = ["--hub", hub.inner, "--hub-outer", hub.outer]
        fusion = [sys.executable, "-m", "nodes.fusion", "--session", str(REFERENCE), *addresses]
        replay = [sys.executable, "-m", "nodes.replay", str(REFERENCE), *options, *addresses]
        with (
            subprocess.Popen(fusion) as fusing,
            every(Pose3D, CameraHealth, FusionHealth, hub_out=hub.outer, high_water_mark=20_000) as bus,
        ):
            try:
                while not isinstance(bus.receive(int(1000 * PATIENCE_S)), FusionHealth):
                    assert fusing.poll() is None
                with subprocess.Popen(replay) as playing:
                    ended: set[str] = set()
                    give_up_s = time.monotonic() + PATIENCE_S
                    while time.monotonic() < give_up_s and not (len(ended) == 4 and len(poses) >= count):
                        message: Message | None = bus.receive(200)
                        if isinstance(message, Pose3D):
                            poses.append(message)
                            give_up_s = time.monotonic() + PATIENCE_S
                        elif isinstance(message, CameraHealth) and message.state == "ended":
                            ended.add(message.source)
                    assert playing.wait(PATIENCE_S) == 0
            finally:
                fusing.send_signal(signal.SIGINT)
    return poses


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--speed", "10"), ("--speed", "max", "--stamps", "recorded")])
def test_the_reference_replayed_gives_the_poses_of_the_reference_reprocessed(again, options):
    poses = played(len(again), *options)
    shift_ns = poses[0].captured_ns - again[0].captured_ns
    assert (shift_ns == 0) is ("recorded" in options)
    found = [fused_bytes(replace(pose, captured_ns=pose.captured_ns - shift_ns)) for pose in poses]
    assert len(again) > 100
    # the last ticks wait for frames that the recording does not have: a replay says that the cameras have ended
    assert found[: len(again)] == [fused_bytes(pose) for pose in again]
