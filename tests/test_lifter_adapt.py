"""Adapting to recordings without labels: it lowers the true error, stops in time, and admits when it does not help."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from calibration.synthetic import ring_rig
from configs.adaptation import Adaptation
from configs.training import Model
from lifter import checkpoint
from lifter.adapt import adapt, main, withheld
from lifter.datasets.errors import DatasetError
from lifter.datasets.neutral import save_neutral
from lifter.datasets.recording import Recording
from lifter.derive import derive
from lifter.model import build
from lifter.skeleton import BODY17, MEDIAPIPE33
from lifter.synthetic import MOTIONS, Body, joints_at
from lifter.train import main as train
from tests.lifter_data import LANDMARKS, body17_motion_m, write_motion_file

pytestmark = pytest.mark.usefixtures("one_torch_thread")

FAST = Adaptation(learning_rate=5e-4, steps=150, frames_per_step=48, judge_every=30, patience=2, block_s=0.5)
SHORT_LEGS = Body(stature=1.6, thigh=0.34, shin=0.33, spine=0.56, upper_arm=0.34, forearm=0.30)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network that has learnt the actor's usual body."""
    folder = tmp_path_factory.mktemp("trained")
    write_motion_file(folder, {name: body17_motion_m(name, 200) for name in ("walk", "reach", "demo")})
    settings = {
        "model": {"width": 64, "blocks": 1},
        "train": {"kind": "motion", "files": ["motion.npz"], "bodies": {"stature": 0.02, "bones": 0.02, "tilted": 0.0}},
        "steps": 200,
        "frames_per_step": 32,
        "learning_rate": 0.004,
        "precision": "float32",
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    arguments = ["--config", folder / "settings.yaml", "--data", folder, "--out", folder, "--threads", 1]
    assert train([str(argument) for argument in [*arguments, "--device", "cpu"]]) == 0
    return folder / "lifter.pt"


@pytest.fixture
def model(weights):
    return checkpoint.load(weights).model


def a_recording(body=SHORT_LEGS, cameras=4, frames=120, bias_px=6.0, noise_px=2.0, seed=1):
    """An unusual body before a detector that puts each joint beside its place, always the same way in the picture."""
    rng = np.random.default_rng(seed)
    landmarks_m = joints_at(MOTIONS["reach"], np.arange(frames) / 15.0, body)[:, LANDMARKS]
    joints_m, _ = derive(landmarks_m, np.ones(landmarks_m.shape[:2]), MEDIAPIPE33, BODY17)
    rig = ring_rig(cameras, 3.5, 1.6, (1280, 720), 900.0)
    keypoints_px = np.moveaxis(rig.project(joints_m), 0, 1)
    keypoints_px = (
        keypoints_px + bias_px * rng.standard_normal((17, 2)) + noise_px * rng.normal(size=keypoints_px.shape)
    )
    return Recording(
        name="somebody",
        skeleton=BODY17,
        rig=rig,
        keypoints_px=keypoints_px.astype(np.float32),
        confidence=np.ones(keypoints_px.shape[:-1], np.float32),
        joints_m=joints_m.astype(np.float32),
        action=np.array(["reach"] * frames),
        chunk=np.zeros(frames, np.int64),
        fps=15.0,
    )


def assert_same_weights(model, other):
    for (name, one), another in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(one, another), name


def without_labels(recording):
    return replace(recording, joints_m=None)


@pytest.mark.slow
@pytest.mark.parametrize("cameras", [["front", "right"], ["front", "right", "back"]])
def test_it_lowers_the_true_error_without_seeing_the_truth(model, cameras):
    recording = a_recording().select_cameras(cameras)
    adapted = adapt(model, [recording], FAST)
    assert adapted.helped
    assert adapted.best.mpjpe_mm < 0.8 * adapted.history[0].mpjpe_mm
    blind = adapt(model, [without_labels(recording)], FAST)
    assert np.isnan(blind.best.mpjpe_mm)
    assert_same_weights(adapted.model, blind.model)


def test_a_sequence_model_adapts_to_windows():
    torch.manual_seed(0)
    untrained = build(Model(kind="sequence", width=32, blocks=1, dilations=(1, 2)), BODY17)
    settings = FAST.model_copy(update={"window": 8, "frames_per_step": 64, "steps": 30})
    adapted = adapt(untrained, [a_recording()], settings)
    assert adapted.helped
    assert adapted.model.kind == "sequence"


def test_the_model_that_was_given_and_the_batch_statistics_stay_as_they_were(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    adapted = adapt(model, [a_recording()], FAST.model_copy(update={"steps": 30}))
    assert adapted.helped
    after = adapted.model.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        if "running" in name:
            assert torch.equal(tensor, after[name])
    assert not torch.equal(after["head.pose.weight"], before["head.pose.weight"])


def test_it_stops_when_it_only_learns_the_noise_by_heart(model):
    few = a_recording(body=Body(), frames=16, bias_px=0.0, noise_px=25.0)
    settings = FAST.model_copy(update={"steps": 3000, "judge_every": 20, "mirrored": 0.0})
    adapted = adapt(model, [few], settings)
    assert adapted.history[-1].step < 1500
    assert adapted.history[-1].miss_mm > adapted.best.miss_mm


def test_weights_that_get_worse_are_not_kept(model):
    adapted = adapt(model, [a_recording()], FAST.model_copy(update={"learning_rate": 10.0, "steps": 60}))
    assert not adapted.helped
    assert len(adapted.history) > 1
    assert_same_weights(model, adapted.model)


def test_each_camera_is_withheld_in_turn_and_never_all_but_one():
    mask = withheld(a_recording(cameras=4, frames=120), block_s=1.0)
    assert (mask.sum(1) == 1).all()
    np.testing.assert_array_equal(mask[::15].argmax(1), [0, 1, 2, 3, 0, 1, 2, 3])
    mask = withheld(a_recording(cameras=2, frames=120), block_s=1.0)
    assert mask.any(1).mean() == pytest.approx(0.2, abs=0.1)
    assert (mask.all(1) == mask.any(1)).all()


def test_short_recordings_have_every_camera_withheld_at_least_once():
    assert withheld(a_recording(cameras=4, frames=9), block_s=2.0).any(0).all()


def test_recordings_that_teach_nothing_are_refused(model):
    with pytest.raises(DatasetError, match="somebody has one camera; adaptation learns from how cameras agree"):
        adapt(model, [a_recording(cameras=4).select_cameras(["front"])], FAST)
    nobody = a_recording()
    with pytest.raises(DatasetError, match="too few people or joints seen"):
        adapt(model, [replace(nobody, confidence=np.zeros_like(nobody.confidence))], FAST)


def command(weights, folder, *changes):
    files = ["--weights", weights, "--data", folder, "--out", folder / "adapted.pt", "--device", "cpu"]
    each = [argument for change in changes for argument in ("--set", change)]
    return [str(argument) for argument in [*files, "--threads", 1]] + each


def test_the_command_tells_before_and_after_and_writes_weights(weights, tmp_path, capsys):
    save_neutral(a_recording(), tmp_path / "somebody.npz")
    changes = ["learning_rate=5e-4", "steps=60", "frames_per_step=48", "judge_every=30", "block_s=0.5"]
    assert main(command(weights, tmp_path, *changes)) == 0
    told = capsys.readouterr().out
    assert "1 recordings, 120 frames: somebody" in told
    misses = re.findall(r"(?:before|after): +withheld views missed by ([\d.]+) mm, single-view MPJPE [\d.]+ mm", told)
    before, after = map(float, misses)
    assert after < before
    written = checkpoint.load(tmp_path / "adapted.pt")
    assert "validation_mpjpe_mm" not in written.metrics
    assert written.metrics["adapted_to_miss_mm"] == pytest.approx(after, abs=0.06)


def test_the_command_says_plainly_when_it_does_not_help(weights, tmp_path, capsys):
    save_neutral(without_labels(a_recording()), tmp_path / "somebody.npz")
    assert main(command(weights, tmp_path, "learning_rate=10", "steps=60", "frames_per_step=16")) == 0
    assert "adaptation does not help on these recordings: the weights are written as they were given" in (
        capsys.readouterr().out
    )
    assert_same_weights(*(checkpoint.load(path).model for path in (weights, tmp_path / "adapted.pt")))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["learnign_rate=3"], "--set learnign_rate: Extra inputs are not permitted (known: learning_rate, steps"),
        (["steps"], "--set steps: expected key=value"),
        (["steps=0"], "--set steps: Input should be greater than 0"),
        (["steps={"], "--set steps={: '{' is not YAML"),
    ],
)
def test_settings_that_are_none_are_told(weights, tmp_path, capsys, changes, told):
    assert main(command(weights, tmp_path, *changes)) == 2
    assert told in capsys.readouterr().err


def test_a_part_of_the_recordings_can_be_chosen(weights, tmp_path, capsys):
    save_neutral(a_recording(), tmp_path / "somebody.npz")
    for choice, told in (
        (["--cameras", "front"], "somebody has one camera"),
        (["--actions", "swim"], "no frame is of the actions swim"),
        (["--cameras", "front", "right", "--keypoints", "projected"], ""),
    ):
        assert main(command(weights, tmp_path, "steps=1") + choice) == (2 if told else 0)
        assert told in capsys.readouterr().err


def test_a_folder_without_recordings_and_a_missing_checkpoint_are_told(weights, tmp_path, capsys):
    assert main(command(weights, tmp_path, "steps=1")) == 2
    assert "no file matches *.npz" in capsys.readouterr().err
    assert main(command(tmp_path / "none.pt", tmp_path, "steps=1")) == 2
    assert "none.pt does not exist" in capsys.readouterr().err
