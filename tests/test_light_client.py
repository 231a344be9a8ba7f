"""The light client needs numpy, pyzmq and msgpack, and nothing else of what the system uses."""

import subprocess
import sys
import tomllib
from pathlib import Path

from nodes.wire.bus import Publisher
from tests import messages as make
from tests.hub import PATIENCE_S

HEAVY = (
    *("torch", "cv2", "mediapipe", "onnxruntime", "tensorrt", "scipy", "yaml", "pydantic", "numba", "av", "psutil"),
    *("rich", "tomli_w", "flatbuffers", "google", "matplotlib"),
)
CLIENT = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ImportError(name + " is not installed")

sys.meta_path.insert(0, Blocked())
from nodes.wire.client import PoseClient

print("subscribed", flush=True)
with PoseClient(sys.argv[1], newest_only=sys.argv[2] == "newest", timeout_s={PATIENCE_S}) as poses:
    for pose in poses:
        person = pose.people[0]
        print(pose.source, person.id, person.joints_m.shape, float(person.joints_m[2, 1]))
        break
print(sorted(name for name in {HEAVY!r} if name in sys.modules))
"""


def test_a_pose_is_received_with_everything_heavy_blocked(hub):
    for mode in ("every", "newest"):
        with (
            Publisher(hub.inner) as bus,
            subprocess.Popen(
                [sys.executable, "-c", CLIENT, hub.outer, mode], stdout=subprocess.PIPE, text=True
            ) as client,
        ):
            while client.poll() is None:
                bus.send(make.pose("light"))
                try:
                    client.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
            assert client.stdout is not None
            assert client.stdout.read().splitlines() == ["subscribed", "light 12 (17, 3) 0.875", "[]"]
            assert client.returncode == 0


def test_without_a_pose_the_iteration_ends_after_the_timeout(hub):
    from nodes.wire.client import PoseClient

    with PoseClient(hub.outer, timeout_s=0.05) as poses:
        assert list(poses) == []


def test_the_base_install_is_the_light_client():
    """A wheel without extras brings these three packages, whatever their versions."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    names = {requirement.partition(">")[0].partition("=")[0].strip() for requirement in project["dependencies"]}
    assert names == {"numpy", "pyzmq", "msgpack"}
