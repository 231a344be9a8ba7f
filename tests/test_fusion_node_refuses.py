"""What the fusion node refuses, as a process around a real hub, and what it does without."""

import os
import subprocess
import sys

import pytest

from calibration.rig_file import save_rig
from tests.hub import running
from tests.keypoints import rig_of

PATIENCE_S = 60.0  # the kernels may have to be compiled first


@pytest.fixture
def rig():
    return rig_of(3)


@pytest.fixture
def config(tmp_path, rig):
    save_rig(rig, tmp_path / "rig.toml")
    cameras = "\n".join(f"  {name}: {{source: device, device: 0}}" for name in rig.names)
    path = tmp_path / "config.yaml"
    path.write_text(f"calibration: rig.toml\ncameras:\n{cameras}\nfusion: {{smoothing: {{kind: none}}}}\n")
    return path


def fusion(config, hub):
    command = [sys.executable, "-m", "nodes.fusion", "--config", str(config)]
    return running([*command, "--hub", hub.inner, "--hub-outer", hub.outer])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "rig.toml").unlink(), "does not exist"),
        (lambda folder: (folder / "rig.toml").write_text("[cam_0]\nname = 'other'\n"), "no camera"),
        (lambda folder: (folder / "rig.toml").write_text("{"), "not TOML"),
    ],
)
def test_a_wrong_calibration_is_refused_with_the_file_named(config, hub, change, said):
    change(config.parent)
    with fusion(config, hub) as process:
        assert process.wait(PATIENCE_S) == 2
        words = process.stderr.read()
    assert said in words
    assert "rig.toml" in words
    assert "Traceback" not in words


def test_a_camera_missing_in_the_calibration_is_named(config, hub, rig):
    save_rig(rig.select(rig.names[:2]), config.parent / "rig.toml")
    with fusion(config, hub) as process:
        assert process.wait(PATIENCE_S) == 2
        assert rig.names[2] in process.stderr.read()


def test_it_needs_no_gpu_and_no_torch(config, hub):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    code = (
        "import nodes.fusion, sys; sys.exit(any(m.split('.')[0] in ('torch', 'mediapipe', 'cv2') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
