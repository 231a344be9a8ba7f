from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load_training import load_training
from lifter.model import build
from lifter.skeleton import SKELETONS

FOLDER = Path(__file__).parents[1] / "configs" / "lifter"


def a_file(tmp_path, text):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_training_is_valid_and_builds_its_network(path):
    training = load_training(path)
    assert build(training.model, SKELETONS[training.skeleton]).skeleton.name == training.skeleton


def test_the_papers_own_settings():
    for name, epochs in (("paper_h36m", 25), ("paper_humaneva", 150)):
        training = load_training(FOLDER / f"{name}.yaml")
        assert (training.model.width, training.model.blocks, training.model.dropout) == (1024, 2, 0.5)
        assert (training.optimizer, training.learning_rate, training.schedule) == ("adam", 3e-4, "constant")
        assert (training.frames_per_step, training.epochs, training.dropout_until) == (128, epochs, 0.5)
        assert training.way == "published"
        assert training.clip_norm is None


def test_changes_from_the_command_line():
    training = load_training(FOLDER / "compare.yaml", ["way=supervised", "model.width=64", "train.rigs.cameras=6"])
    assert (training.way, training.model.width) == ("supervised", 64)
    assert training.train.kind == "motion"
    assert training.train.rigs.cameras == 6


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train: {kind: motion}\nsteps: 5\nlerning_rate: 1", "lerning_rate: Extra inputs"),
        ("train: {kind: motion}", "give either steps or epochs"),
        ("train: {kind: motion}\nsteps: 5\nepochs: 5", "give either steps or epochs"),
        ("train: {kind: tape}\nsteps: 5", "train"),
        (
            "train: {kind: motion}\nsteps: 5\nmodel: {kind: sequence, dilations: [1, 2]}\nwindow: 3",
            "window: 3 frames never fill the memory of a sequence model that looks back 3; set window=4 or more",
        ),
        ("- 1", "found list"),
        ("a: [", "is not YAML"),
    ],
)
def test_faults_are_told_with_file_and_key(tmp_path, text, told):
    path = a_file(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_training(path)
    assert str(path) in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize("change", ["steps", "steps.deeper=1", "steps={"])
def test_changes_that_cannot_be_made(tmp_path, change):
    with pytest.raises(ConfigError, match="--set steps"):
        load_training(a_file(tmp_path, "train: {kind: motion}\nsteps: 5"), [change])


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigError, match=r"nowhere\.yaml do not exist"):
        load_training(Path("nowhere.yaml"))
