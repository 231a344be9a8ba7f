"""What a recording says about itself and how that is read back: configuration, calibration, versions, skeleton."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.rig_file import load_rig, save_rig
from configs.load import explain
from configs.schema import Config
from configs.stream_url import without_password
from lifter.runtime import DEFAULT
from lifter.skeleton import SKELETONS, Skeleton
from nodes.machine import versions
from nodes.sessions.errors import SessionError
from nodes.wire.messages import About

RIG_ENDINGS = {".toml": "rig.toml", ".txt": "rig.qca.txt", ".qca": "rig.qca.txt", ".xml": "rig.xml"}


def about_of(
    config: Config,
    calibration: CameraRig | Path | None,
    lifter: str = "",
    *,
    skeleton: Skeleton | None = None,
    at_ns: int = 0,
    seq: int = 0,
    source: str = "run_system",
) -> About:
    """The words about a system. calibration: a file is kept as it is, to the last digit. lifter: what it runs on, if
    that is known. skeleton: default, the detector's. Raises OSError.
    """
    skeleton = skeleton or SKELETONS[config.detector.skeleton]
    facts = {
        "versions": versions(),
        "skeleton": {"name": skeleton.name, "joints": skeleton.joints, "bones": skeleton.bones},
        "lifter": lifter or (weights_told() if config.fusion.lift else "off"),
    }
    name, text = _rig_file(calibration)
    return About(
        captured_ns=at_ns,
        published_ns=0,
        source=source,
        seq=seq,
        config_yaml=config_text(config, name),
        rig_name=name,
        rig_text=text,
        facts_json=json.dumps(facts),
    )


def config_text(config: Config, rig_name: str) -> str:
    """A configuration as YAML, every default written out, without passwords, its calibration called rig_name."""
    document = config.model_dump(mode="json", exclude_none=True)
    document.pop("calibration", None)
    document.pop("truth", None)  # belongs to a demonstration, and to its machine
    if rig_name:
        document = {"calibration": rig_name, **document}
    if config.fusion.synchroniser.deadline_ms is None:
        document["fusion"]["synchroniser"]["deadline_ms"] = None
    for camera in document["cameras"].values():
        if "url" in camera:
            camera["url"] = without_password(camera["url"])
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def config_of(about: About) -> Config:
    """The configuration in a recording. Raises SessionError (without the path)."""
    try:
        document = yaml.load(about.config_yaml, _Plain)  # it is a safe loader
        return Config.model_validate(document)
    except ValidationError as error:
        raise SessionError("its configuration is not one of this version: " + "; ".join(explain(error))) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none; lists in lists without end
        raise SessionError(f"its configuration is not YAML: {' '.join(str(error).split())}") from None


class _Plain(yaml.SafeLoader):
    """Without aliases, by which a short text can stand for an endless one; `config_text` writes none."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases (*name)")
        return super().compose_node(parent, index)


def rig_of(about: About) -> CameraRig | None:
    """The calibration in a recording; None without one. Raises SessionError (without the path)."""
    if not about.rig_name:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            return load_rig(unpack_rig(about, Path(folder)))
        except CalibrationError as error:
            raise SessionError(f"its calibration: {str(error).removeprefix(folder)}") from None
        except RecursionError as error:
            raise SessionError(f"its calibration: {error}") from None


def unpack_rig(about: About, folder: Path) -> Path:
    """Put the calibration of a recording into a folder; its path there."""
    path = folder / about.rig_name
    path.write_text(about.rig_text, encoding="utf-8", newline="")
    return path


def facts_of(about: About) -> dict[str, Any]:
    """Versions, skeleton, lifter; {} where they are not told."""
    try:
        facts = json.loads(about.facts_json)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def skeleton_of(about: About) -> Skeleton | None:
    """The skeleton that the recording's keypoints are of; None where it is not told."""
    told = facts_of(about).get("skeleton")
    if not isinstance(told, dict):
        return None
    try:
        bones = tuple((int(parent), int(child)) for parent, child in told["bones"])
        skeleton = Skeleton(str(told["name"]), tuple(map(str, told["joints"])), bones)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    known = SKELETONS.get(skeleton.name)
    return known if known is not None and known.joints == skeleton.joints else skeleton


def weights_told(weights: Path = DEFAULT) -> str:
    """Weights of the lifter by name and content."""
    return f"{weights.name} sha256 {hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}"


def _rig_file(calibration: CameraRig | Path | None) -> tuple[str, str]:
    """Name and text of a calibration file. Raises CalibrationError for a kind that recordings do not hold."""
    if calibration is None:
        return "", ""
    if isinstance(calibration, Path):
        if calibration.suffix not in RIG_ENDINGS or calibration.is_dir():
            raise CalibrationError(
                f"{calibration}: a system records its calibration, and does so with TOML and Qualisys files alone: "
                f"`python run_system.py calibrate convert {calibration} {calibration.with_suffix('.toml').name}` "
                "makes the one of it"
            )
        with calibration.open(encoding="utf-8", newline="") as file:
            return RIG_ENDINGS[calibration.suffix], file.read()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rig.toml"
        save_rig(calibration, path)
        return "rig.toml", path.read_text(encoding="utf-8")
