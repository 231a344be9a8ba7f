"""Reads a configuration file into the schema; every fault stops the start with file, key and what is allowed."""

import difflib
import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from yaml.composer import ComposerError

from configs import schema
from configs.errors import ConfigError

SOURCES = {
    get_args(model.model_fields["source"].annotation)[0]: model
    for model in (schema.DeviceSource, schema.StreamSource, schema.VideoSource, schema.VirtualSource)
}


class _StrictLoader(yaml.SafeLoader):
    """Of two equal keys, two cameras of one name, PyYAML keeps the last and says nothing."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise ComposerError(None, None, f"the key `{key.value}` stands here twice", key.start_mark)
            seen.add(key.value)
        return node


def load_config(path: str | Path, *, keypoints_only: bool = False) -> schema.Config:
    """The configuration in a YAML file. keypoints_only: as the key of this name. Raises ConfigError."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"configuration {path} does not exist; try configs/demo.yaml, or copy configs/webcams.yaml")
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not YAML: {_place(error)}") from None  # its own message shows the line
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path}: expected keys such as `cameras:` and `calibration:`, found {type(document).__name__}"
        )
    if keypoints_only:
        document = {**document, "keypoints_only": True}
    try:
        return schema.Config.model_validate(document, context={"folder": path.parent.resolve()})
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in explain(error))) from error


def _place(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """What is wrong and where, without the text of the line: it may hold the password of a network camera."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error)
    return f"{error.problem}, in line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"


def explain(error: ValidationError) -> list[str]:
    """One line for each fault: key, what is wrong, what is allowed."""
    lines = []
    for fault in error.errors():
        keys = [str(key) for key in fault["loc"]]
        where = ".".join(key for position, key in enumerate(keys) if not _is_source_tag(keys, position))
        if fault["type"] == "extra_forbidden":
            allowed = sorted(_section(keys[:-1]).model_fields)
            close = difflib.get_close_matches(keys[-1], allowed, n=1)
            guess = f", did you mean `{close[0]}`?" if close else "."
            lines.append(f"{where}: unknown key{guess} Allowed here: {', '.join(allowed)}")
        else:
            lines.append(f"{where or 'file'}: {fault['msg']}{_given(keys, fault['input'])}")
    return lines


def _given(keys: list[str], value: Any) -> str:
    """The faulty value, unless it may hold the password of a network camera."""
    is_address = keys[-1:] == ["url"] or re.search("//.*[@?]", str(value)) is not None
    return "" if isinstance(value, dict) or is_address else f" (given: {value!r})"


def _is_source_tag(keys: list[str], position: int) -> bool:
    """pydantic puts the kind of source behind the camera's name in a fault's place; it is no key of the file."""
    return position == 2 and keys[0] == "cameras" and keys[position] in SOURCES


def _section(keys: list[str]) -> type[BaseModel]:
    """The part of the schema at a place in the file."""
    if len(keys) >= 3 and keys[0] == "cameras":
        return SOURCES[keys[2]]
    section: type[BaseModel] = schema.Config
    for key in keys:
        inner = section.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            section = inner
    return section
