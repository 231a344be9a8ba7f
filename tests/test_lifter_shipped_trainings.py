"""The published trainings' settings, as they are shipped, run on files of the names that they ask for."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra `train`")

from lifter import checkpoint, evaluate, train
from lifter.datasets.neutral import save_neutral
from lifter.skeleton import H36M17, HUMANEVA15
from tests.multiview_files import actor_recording

CONFIGS = Path(__file__).parent.parent / "configs" / "lifter"
FRAMES = 64  # a window of the sequence models is 48
FILES = {
    "h36m": (H36M17, 10.0, ("Walking", "Greeting", "Smoking", "Sitting"), ("h36m_S1_10hz", "h36m_S9_10hz")),
    "humaneva": (HUMANEVA15, 60.0, ("Walking", "Jog", "Box"), ("humaneva_S1_train", "humaneva_S1_validate")),
}

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:.*no file (is called|matches)"),  # of the other subjects
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with two small recordings of each data set."""
    folder = tmp_path_factory.mktemp("data")
    for skeleton, fps, actions, names in FILES.values():
        recording = actor_recording(skeleton, FRAMES, n_cameras=4, fps=fps)
        recording = replace(recording, action=np.array(actions)[np.arange(FRAMES) * len(actions) // FRAMES])
        for name in names:
            save_neutral(recording, folder / f"{name}.npz")
    return folder


def trained(name, data, out, *changes, init=None):
    """The checkpoint of a short training with shipped settings."""
    arguments = ["--config", CONFIGS / f"{name}.yaml", "--data", data, "--out", out, "--device", "cpu", "--threads", 1]
    arguments += [] if init is None else ["--init", init]
    arguments += ["--set", "model.width=16", "validate_every=3", *changes]
    assert train.main([str(argument) for argument in arguments]) == 0
    read = checkpoint.load(out / "lifter.pt")
    assert math.isfinite(read.metrics["validation_mpjpe_mm"])
    return read


@pytest.mark.parametrize("dataset", FILES)
def test_the_papers_settings_train(dataset, data, tmp_path):
    read = trained(f"paper_{dataset}", data, tmp_path, "epochs=1", "frames_per_step=32")
    assert (read.step, read.model.skeleton) == (FRAMES // 32, FILES[dataset][0])


@pytest.mark.parametrize("dataset", FILES)
def test_our_settings_train_a_frame_model_and_from_it_a_sequence_model(dataset, data, tmp_path):
    frame = trained(f"best_{dataset}", data, tmp_path / "frame", "steps=3", "frames_per_step=32")
    init = tmp_path / "frame" / "lifter.pt"
    sequence = trained(
        f"best_{dataset}_sequence", data, tmp_path / "sequence", "steps=3", "frames_per_step=96", init=init
    )
    assert (frame.model.kind, sequence.model.kind) == ("frame", "sequence")
    assert frame.step == sequence.step == 3


def test_a_result_is_measured_on_the_test_subjects_as_the_settings_say(data, tmp_path):
    trained("best_h36m", data, tmp_path, "steps=3", "frames_per_step=32")
    chosen = ["--files", "h36m_S9_*.npz", "--actions", "Walking", "--keypoints", "projected"]
    paths = ["--weights", tmp_path / "lifter.pt", "--data", data, "--json", tmp_path / "figures.json"]
    assert evaluate.main([str(argument) for argument in (*paths, *chosen)]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["frames"] == FRAMES // 4
    assert 0 < figures["single_view"]["mpjpe_mm"] < 2000
