"""The trainer and its losses: it learns, survives kill -9 bit for bit, and says what is wrong."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from configs.training import Faults, Rigs
from lifter import checkpoint, losses
from lifter.datasets.motion import observe
from lifter.datasets.neutral import save_neutral
from lifter.datasets.opening import open_source
from lifter.devices import Device
from lifter.errors import LifterError
from lifter.forward import lift_batch
from lifter.model import Lift, build
from lifter.skeleton import BODY17
from lifter.train import main
from lifter.validation import single_view_mpjpe_mm
from tests.hub import free_ports
from tests.lifter_data import body17_motion_m, write_motion_file
from tests.multiview_files import actor_recording

pytestmark = pytest.mark.usefixtures("one_torch_thread")

PROJECT = Path(__file__).parent.parent
CPU = Device(torch.device("cpu"), 0, 1, False)
WAYS = ("supervised", "published", "label_free")
PATIENCE_S = 100.0

SETTINGS = {
    "model": {"width": 48, "blocks": 1},
    "train": {"kind": "motion", "files": ["motion.npz"], "split": "train", "bodies": {"tilted": 0.0}},
    "way": "label_free",
    "steps": 200,
    "frames_per_step": 32,
    "learning_rate": 0.004,
    "precision": "float32",
    "checkpoint_every": 5,
}


@pytest.fixture
def data(tmp_path):
    """A folder with motion.npz and settings.yaml."""
    motions = {name: body17_motion_m(name, 150) for name in ("walk", "reach", "demo")}
    write_motion_file(tmp_path, motions)
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    return tmp_path


def command(data, out, *changes):
    arguments = ["--config", data / "settings.yaml", "--data", data, "--out", out, "--device", "cpu", "--threads", 1]
    return [str(argument) for argument in arguments] + (["--set", *changes] if changes else [])


def start(data, out, *changes):
    """The trainer as a process of its own; its output is read through a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "lifter.train", *command(data, out, *changes)],
        cwd=PROJECT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for(path, process):
    deadline = time.monotonic() + PATIENCE_S
    while not path.is_file():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def weights(path):
    return checkpoint.load(path).model.state_dict()


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("way", ["supervised", "label_free"])
def test_it_learns(data, way):
    validate = "validate={kind: motion, files: [motion.npz], split: train, bodies: {tilted: 0}}"
    assert main(command(data, data / "out", f"way={way}", validate)) == 0
    learned = checkpoint.load(data / "out" / "lifter.pt")
    torch.manual_seed(0)
    source = open_source(learned.training.train, data, BODY17, 1)
    before_mm = single_view_mpjpe_mm(build(learned.training.model, BODY17), source, CPU)
    assert learned.step == 200
    assert learned.metrics["validation_mpjpe_mm"] < 0.5 * before_mm  # 200 before, 56 after


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_very_same_weights(data):
    changes = ("optimizer=muon", "model.dropout=0.2", "train.faults.missing=0.1", "frames_per_step=8")
    process = start(data, data / "killed", *changes)
    wait_for(data / "killed" / "last.pt", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    stopped_at = checkpoint.load(data / "killed" / "last.pt").step
    assert 0 < stopped_at < 200
    assert main(command(data, data / "killed", *changes)) == 0
    assert main(command(data, data / "whole", *changes)) == 0
    assert_same_weights(weights(data / "killed" / "lifter.pt"), weights(data / "whole" / "lifter.pt"))


@pytest.mark.slow
def test_ctrl_c_saves_says_so_and_the_same_command_goes_on(data):
    process = start(data, data / "out", "steps=100000", "frames_per_step=4")
    wait_for(data / "out" / "last.pt", process)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "the same command goes on from here" in told
    stopped_at = checkpoint.load(data / "out" / "last.pt").step
    assert f"stopped at step {stopped_at};" in told
    process = start(data, data / "out", "steps=100000", "frames_per_step=4")
    deadline = time.monotonic() + PATIENCE_S
    while checkpoint.load(data / "out" / "last.pt").step == stopped_at and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert checkpoint.load(data / "out" / "last.pt").step > stopped_at


def test_a_run_does_not_go_on_with_other_settings(data, capsys):
    assert main(command(data, data / "out", "steps=2")) == 0
    assert main(command(data, data / "out", "steps=2", "learning_rate=0.1")) == 2
    assert "is of a training with other settings; give another --out, or remove it" in capsys.readouterr().err


def test_a_complete_run_that_is_started_again_keeps_its_weights(data):
    assert main(command(data, data / "out", "steps=3")) == 0
    before = weights(data / "out" / "lifter.pt")
    assert main(command(data, data / "out", "steps=3")) == 0
    assert_same_weights(before, weights(data / "out" / "lifter.pt"))


TWO_PROCESSES = """
import os
import sys
from pathlib import Path
import torch
import torch.distributed as dist
import lifter.train as trainer

class Kept(trainer.DistributedDataParallel):
    last = None
    def __init__(self, model, **settings):
        super().__init__(model, **settings)
        Kept.last = model

trainer.DistributedDataParallel = Kept
code = trainer.main(sys.argv[2:])
assert not dist.is_initialized()
torch.save(Kept.last.state_dict(), Path(sys.argv[1]) / f"rank{os.environ['RANK']}.pt")
sys.exit(code)
"""


def start_two(data, *changes):
    (data / "two.py").write_text(TWO_PROCESSES)
    (port,) = free_ports(1)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    return subprocess.Popen(
        [*torchrun, str(data / "two.py"), str(data), *command(data, data / "out", *changes)],
        cwd=PROJECT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.live
def test_two_processes_train_one_model(data):
    process = start_two(data, "steps=6", "way=published")
    told, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told
    assert_same_weights(both_have(data), weights(data / "out" / "lifter.pt"))
    assert checkpoint.load(data / "out" / "lifter.pt").step == 6


def both_have(data):
    """The first process's weights. The other one has the same parameters; running means are of each one's batches."""
    one, other = (torch.load(data / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    parameters = {name for name in one if "running" not in name and "num_batches" not in name}
    assert parameters
    assert_same_weights({name: one[name] for name in parameters}, {name: other[name] for name in parameters})
    return one


@pytest.mark.slow
@pytest.mark.live
def test_two_processes_stop_together(data):
    """Label-free, where `published` trains above."""
    process = start_two(data, "steps=100000", "frames_per_step=8")
    wait_for(data / "out" / "last.pt", process)
    process.send_signal(signal.SIGINT)  # torchrun hands it on to both
    told, _ = process.communicate(timeout=PATIENCE_S)
    stopped_at = checkpoint.load(data / "out" / "last.pt").step
    assert f"stopped at step {stopped_at};" in told
    both_have(data)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["model.widht=3"], "settings.yaml: model.widht: Extra inputs are not permitted"),
        (["train.rigs.camera=2"], "rigs.camera: Extra inputs are not permitted"),
        (["way=unsupervised"], "way: Input should be 'supervised', 'published' or 'label_free'"),
        (["skeleton=body18"], "there is no 'body18'; known are mediapipe33"),
        (["train.files=[nothing.npz]"], "no file matches nothing.npz; it has motion.npz"),
        (["train.rigs.cameras=1"], "way: label_free learns from how views agree: it needs two cameras"),
        (["train.rigs.cameras=1", "way=published"], "way: published learns from how views agree"),
        (["steps=10", "epochs=2"], "give either steps or epochs"),
        (["model={"], "--set model={: '{' is not YAML"),
        (["window=1000"], "no clip has 1000 frames, which a window needs"),
    ],
)
def test_what_cannot_be_trained_is_told(data, capsys, changes, told):
    assert main(command(data, data / "out", *changes)) == 2
    assert told in capsys.readouterr().err


def test_every_set_counts(data, capsys):
    assert main([*command(data, data / "out", "steps=2"), "--set", "way=none"]) == 2
    assert main([*command(data, data / "out", "steps=2"), "--set", "seed=1", "--set", "model.width=32"]) == 0
    training = checkpoint.load(data / "out" / "lifter.pt").training
    assert (training.steps, training.seed, training.model.width) == (2, 1, 32)


def test_a_device_that_is_none_is_told(data, capsys):
    assert main([*command(data, data / "out"), "--device", "foo"]) == 2
    assert "--device foo: torch has no such device" in capsys.readouterr().err


def test_recordings_without_labels_cannot_supervise(data, capsys):
    save_neutral(replace(actor_recording(), joints_m=None), data / "bare.npz")
    assert main(command(data, data / "out", "train={kind: recordings, files: [bare.npz]}", "way=supervised")) == 2
    assert "way: supervised needs 3D labels, and these recordings have none (gt3d)" in capsys.readouterr().err


@pytest.mark.parametrize("steps", [3, 40])
def test_weights_that_are_no_numbers_are_never_written(data, capsys, steps):
    changes = (f"steps={steps}", "learning_rate=1e30", "schedule=constant", "clip_norm=null", "checkpoint_every=1000")
    assert main(command(data, data / "out", *changes)) == 2
    assert f"the loss is no number at step {min(steps, 20)}; lower learning_rate" in capsys.readouterr().err
    assert not list((data / "out").glob("*.pt"))


def test_a_second_ctrl_c_is_no_traceback(data, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lifter.train._step", interrupted)
    assert main(command(data, data / "out")) == 130
    assert capsys.readouterr().err == "train: stopped at once; the same command goes on from the last checkpoint\n"


@pytest.mark.parametrize("without", ["training", "step", "optimizers"])
def test_a_checkpoint_that_lacks_something_is_told(data, without):
    assert main(command(data, data / "out", "steps=1")) == 0
    path = data / "out" / "last.pt"
    content = torch.load(path, weights_only=True)
    del content[without]
    torch.save(content, path)
    with pytest.raises(LifterError, match=f"last.pt .*{without}"):
        checkpoint.load(path)


def test_one_camera_is_enough_where_there_are_labels(data):
    assert main(command(data, data / "out", "train.rigs.cameras=1", "way=supervised", "steps=2")) == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_in_which_everything_is_missing_leaves_no_nan(data, way):
    assert main(command(data, data / "out", f"way={way}", "train.faults.missing=1.0", "steps=5")) == 0
    assert all(torch.isfinite(tensor).all() for tensor in weights(data / "out" / "lifter.pt").values())


# The losses, on poses whose truth is known.


class _Nothing(nn.Module):
    """A network whose result does not matter: `lift_batch` is asked for the scene alone."""

    kind = "frame"

    def forward(self, keypoints, context):
        n, joints = keypoints.shape[:2]
        return Lift(torch.zeros(n, joints, 3), torch.ones(n, joints), torch.zeros(n, 3))


def scene_of(faults, samples=6):
    """A scene in double precision, and the lift that is right in it."""
    joints_m = body17_motion_m("demo", 200)[:: 200 // samples][:samples, None].copy()
    joints_m[..., :2] -= joints_m[:, :, :1, :2]
    batch = observe(joints_m, BODY17, Rigs(), faults, np.random.default_rng(5))
    _, scene = lift_batch(_Nothing(), batch, CPU)
    scene = losses.Scene(*(tensor.double() for tensor in scene))
    return scene, true_lift(scene)


def true_lift(scene):
    R_view_world = scene.R_world_view.transpose(-1, -2)
    root_m = scene.joints_m[:, :1]
    joints_m = torch.einsum("npij,nkj->npki", R_view_world, scene.joints_m - root_m)
    root_view_m = torch.einsum("npij,npj->npi", R_view_world, root_m - scene.centre_m)
    return Lift(joints_m, torch.full(joints_m.shape[:-1], 0.05, dtype=torch.float64), root_view_m)


EXACT = Faults(noise_px=(0, 0))


def test_the_label_free_loss_of_the_truth_is_nothing_wherever_the_network_puts_the_root():
    scene, lift = scene_of(EXACT)
    somewhere = lift._replace(root_m=lift.root_m + 7.0)
    assert losses.label_free(lift, scene).miss_m < 1e-5  # the rays are float32
    torch.testing.assert_close(losses.label_free(somewhere, scene).miss_m, losses.label_free(lift, scene).miss_m)


def test_the_published_loss_of_the_truth_is_nothing_and_grows_with_a_wrong_root():
    scene, lift = scene_of(EXACT)
    assert losses.published(lift, scene).total < 2e-5  # the floor of the square root that keeps its gradient finite
    aside = lift._replace(root_m=lift.root_m + torch.tensor([0.1, 0.0, 0.0], dtype=torch.float64))
    assert losses.published(aside, scene).total > 0.01


def test_errors_are_of_the_joints_that_are_known_in_views_that_saw_something():
    scene, lift = scene_of(EXACT)
    scene.weight[0, 1] = 0.0
    scene.joints_m[2, 3] = torch.nan
    error_m = losses.joint_errors_m(lift._replace(joints_m=lift.joints_m + 0.1), scene, 0)
    unknown = torch.zeros_like(error_m, dtype=torch.bool)
    unknown[0, 1] = unknown[2, :, 3] = True
    assert torch.equal(error_m.isnan(), unknown)
    torch.testing.assert_close(error_m[~unknown], torch.full_like(error_m[~unknown], 0.1 * 3**0.5))


@pytest.mark.parametrize("way", WAYS)
def test_every_loss_grows_with_the_error_of_the_pose(way):
    scene, lift = scene_of(EXACT)
    error = torch.from_numpy(np.random.default_rng(6).normal(size=lift.joints_m.shape))
    error[..., 0, :] = 0.0
    sizes_m = (0.0, 0.01, 0.03, 0.1)
    found = [losses.of_way(way, lift._replace(joints_m=lift.joints_m + m * error), scene, 0).miss_m for m in sizes_m]
    assert all(less < more for less, more in pairwise(found))


def test_the_label_free_miss_is_in_metres_at_the_joint():
    """One joint of 17 is 10 cm too high, as all cameras see; placing the body gives the others a part of it."""
    scene, _ = scene_of(EXACT)
    moved = scene.joints_m.clone()
    wrist = BODY17.index("left_wrist")
    moved[:, wrist, 2] += 0.1
    miss_m = losses.label_free(true_lift(scene._replace(joints_m=moved)), scene).miss_m
    assert 0.09 < 17 * miss_m < 0.2


def test_outliers_hardly_move_the_body_that_they_are_held_against():
    """The truth misses the outliers by their own size and nothing else by more than 8 mm."""
    clean, lift = scene_of(EXACT)
    outliers = clean.rays.clone()
    outliers[:, 1, 3] += 0.1  # 40 cm or so: one joint of 17 in one view of four
    outliers[:, 3, 12] -= 0.1
    scene = clean._replace(rays=outliers)
    without = scene.weight.clone()
    without[:, 1, 3] = without[:, 3, 12] = 0.0
    all_m = losses.label_free(lift, scene).miss_m * scene.weight.sum()
    rest_m = all_m - losses_at_outliers_m(clean, outliers)
    assert rest_m / without.sum() < 0.008


def losses_at_outliers_m(clean, outliers):
    """How far the outliers are from the truth, metres at the joint, summed."""
    from_cam = clean.joints_m[:, None] - clean.centre_m[:, :, None]
    depth_m = torch.einsum("ncij,nckj->ncki", clean.R_cam_world, from_cam)[..., 2]
    return ((outliers - clean.rays).norm(dim=-1) * depth_m).sum()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("missing", [0.0, 0.9, 1.0])
def test_gradients_are_finite_whatever_is_missing(way, missing):
    scene, lift = scene_of(Faults(noise_px=(3, 3), missing=missing))
    scene.joints_m[0, 3] = torch.nan
    lift = Lift(*(tensor.clone().requires_grad_() for tensor in lift))
    losses.of_way(way, lift, scene, 0).total.backward()
    for tensor in lift:
        assert tensor.grad is None or torch.isfinite(tensor.grad).all()


def test_a_pose_behind_the_cameras_is_pulled_to_the_front_not_divided_by_nothing():
    scene, lift = scene_of(EXACT)
    root_m = (-lift.root_m).requires_grad_()
    loss = losses.published(lift._replace(root_m=root_m), scene).total
    loss.backward()
    assert torch.isfinite(loss)
    assert root_m.grad is not None
    assert torch.isfinite(root_m.grad).all()
