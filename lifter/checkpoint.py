"""Checkpoints that rebuild themselves: network, settings, skeleton, progress and where they come from, in one file."""

import os
import pickle
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from configs.training import Training
from lifter.errors import LifterError
from lifter.model import FrameModel, SequenceModel, build
from lifter.skeleton import SKELETONS

FORMAT = "livepose3d-checkpoint-1"


@dataclass
class Checkpoint:
    """A training at some step. `optimizers` are only in the trainer's own last.pt, not in the final file."""

    model: FrameModel | SequenceModel
    training: Training
    step: int
    metrics: dict[str, float] = field(default_factory=dict)
    commit: str = "unknown"
    optimizers: list[dict[str, Any]] = field(default_factory=list)


def save(checkpoint: Checkpoint, path: Path, half: bool = False) -> None:
    """Write it beside the file, then put it in its place: a kill leaves the old or the new file, never half of one.

    half: weights in float16 and no optimizer, as checkpoints are shipped to begin an adaptation with.
    """
    weights = checkpoint.model.state_dict()
    content = {
        "format": FORMAT,
        "training": checkpoint.training.model_dump_json(by_alias=True),
        "joints": list(checkpoint.model.skeleton.joints),
        "step": checkpoint.step,
        "metrics": checkpoint.metrics,
        "commit": checkpoint.commit,
        "model": {name: w.half() if w.is_floating_point() else w for name, w in weights.items()} if half else weights,
        "optimizers": [] if half else checkpoint.optimizers,
    }
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load(path: Path) -> Checkpoint:
    """Read it without running anything that it contains. Raises LifterError when it is not one of ours, or damaged."""
    if not path.is_file():
        raise LifterError(f"checkpoint {path} does not exist; `python -m lifter.train --help` tells how to make one")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        raise LifterError(f"{path} is damaged or is not a checkpoint of ours: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LifterError(f"{path} is not a checkpoint of `lifter.train` (expected the format {FORMAT})")
    try:
        training = Training.model_validate_json(content["training"])
    except (ValidationError, KeyError, TypeError) as error:
        raise LifterError(
            f"{path} was made by another version, with settings that are unknown here: {error}"
        ) from error
    try:
        return _rebuilt(content, training, path)
    except (KeyError, TypeError, AttributeError) as error:
        raise LifterError(f"{path} is damaged, or was made by another version: {error!r}") from error


def _rebuilt(content: dict[str, Any], training: Training, path: Path) -> Checkpoint:
    skeleton = SKELETONS.get(training.skeleton)
    if skeleton is None or list(skeleton.joints) != content["joints"]:
        raise LifterError(f"{path} was trained for {training.skeleton} with joints {content['joints']}, unlike ours")
    model = build(training.model, skeleton)
    _load_weights(model, content["model"], path)
    return Checkpoint(model, training, content["step"], content["metrics"], content["commit"], content["optimizers"])


def _load_weights(model: FrameModel | SequenceModel, weights: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise LifterError(f"{path}: its weights do not fit its own settings: {error}") from error


def commit_of(folder: Path) -> str:
    """The version of the code, for the record: git's short hash, with + when files were changed; else unknown."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude", "*"],
            cwd=folder, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
