"""What an import makes of other people's files: configuration, rig, skeleton, and messages as live cameras send."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from calibration.rig import CameraRig
from configs.errors import ConfigError
from configs.load import explain
from configs.schema import Config, Fusion, Section
from lifter.skeleton import Skeleton
from nodes.reprocess import MIN_GAP_FRAMES, offline, settings_document
from nodes.wire.messages import CameraHealth, Keypoints2D

BEGIN_NS = 1_000_000_000  # of recordings that do not say when they were made; a bus's clock at zero has not begun
TAKEN_OVER = ("fusion", "detector", "crop_offset_px")  # of --settings

Messages = Iterator[Keypoints2D | CameraHealth]


@dataclass(frozen=True)
class Given:
    """What the command line says besides the files; None and () where it says nothing."""

    calibration: Path | None = None
    names: tuple[str, ...] = ()
    fps: float | None = None
    skeleton: str | None = None
    settings: Path | None = None


@dataclass(frozen=True)
class Imported:
    """messages: in the order of their published_ns, read while they are taken. total: about how many they are.

    notes: what the user should know of how the files were understood, one line each.
    """

    config: Config
    rig: CameraRig | None
    skeleton: Skeleton
    messages: Messages
    total: int
    notes: tuple[str, ...] = ()


class _Settings(Section):
    """The part of --settings that is needed before the rest."""

    fusion: Fusion = Fusion()


def config_of(
    files: Mapping[str, Path],
    calibration: Path | None,
    settings: Path | None,
    fps: float,
    slowest_fps: float | None = None,
) -> Config:
    """The configuration of a recording. files: camera → where its frames come from, in the order of the cameras.

    fps: of the fastest camera. Raises ConfigError.
    """
    document = {} if settings is None else settings_document(settings, "keys such as `fusion:`")
    folder = Path() if settings is None else settings.parent.resolve()
    given = {key: document[key] for key in TAKEN_OVER if key in document}
    try:
        fusion = _Settings.model_validate({"fusion": given.get("fusion", {})}).fusion
        whole = {
            **given,
            "cameras": {
                name: {"source": "video", "path": str(path.resolve()), "pace": "pipeline"}
                for name, path in files.items()
            },
            "calibration": None if calibration is None else str(calibration.resolve()),
            "fusion": _waiting(fusion, fps, slowest_fps or fps).model_dump(),
        }
        return Config.model_validate(whole, context={"folder": folder})
    except ValidationError as error:
        raise ConfigError("\n".join(f"{settings or 'import'}: {line}" for line in explain(error))) from None


def _waiting(fusion: Fusion, fps: float, slowest_fps: float) -> Fusion:
    fusion = offline(fusion, fps)
    gap_ms = max(fusion.synchroniser.max_gap_ms, MIN_GAP_FRAMES * 1000.0 / slowest_fps)
    return fusion.model_copy(update={"synchroniser": fusion.synchroniser.model_copy(update={"max_gap_ms": gap_ms})})
