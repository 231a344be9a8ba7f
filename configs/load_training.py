"""Reads a training's YAML file; every fault stops the start with file, key and what is allowed."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.training import Training


def load_training(path: Path, changes: list[str] | None = None) -> Training:
    """The training in a YAML file. changes: `key.key=value` from the command line. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"training settings {path} do not exist; try configs/lifter/best_frame.yaml")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not YAML: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected keys such as `train:` and `steps:`, found {type(document).__name__}")
    for change in changes or []:
        _set(document, change)
    try:
        return Training.model_validate(document)
    except ValidationError as error:
        lines = (f"{path}: {'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigError("\n".join(lines)) from None


def parse_change(change: str, example: str) -> tuple[str, Any]:
    """Key and value of a `--set key=value`; the value is YAML. Raises ConfigError, which shows the example."""
    key, equals, value = change.partition("=")
    if not equals:
        raise ConfigError(f"--set {change}: expected key=value, as in {example}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {change}: {value!r} is not YAML") from None


def _set(document: dict[str, Any], change: str) -> None:
    keys, value = parse_change(change, "model.width=256")
    *path, last = keys.split(".")
    for key in path:
        document = document.setdefault(key, {})
        if not isinstance(document, dict):
            raise ConfigError(f"--set {change}: {key} has no keys of its own")
    document[last] = value
