"""Everything that can be refused before a process is started: configuration, calibration, truth, ports, files."""

import importlib
import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.rig_file import load_rig
from configs.errors import ConfigError
from configs.load import load_config
from configs.schema import Config, Hub, VideoSource, Viewer
from nodes.page.address import check_address
from nodes.ports import holder_of, port_of
from nodes.sessions.about import about_of
from nodes.sessions.reader import SessionReader
from nodes.sessions.target import check_target
from nodes.system.process_table import Setup, from_this_machine
from nodes.watching.accuracy import Truth, load_truth
from nodes.wire.errors import WireError
from nodes.wire.messages import About


@dataclass(frozen=True)
class Prepared:
    """What a live run needs, found to be right."""

    setup: Setup
    hub: tuple[str, str]  # inner and outer address, as reached from this machine
    truth: Truth | None
    about: About
    config: Config  # in force: with what the command line changes


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for. record: the recording to make, video: with pictures, force: in place of one that
    is there. self_repair, keypoints_only, preview: as the settings of these names. page_port: of the live page, in
    place of the configured one; headless: without the page.
    """

    record: Path | None = None
    video: bool = False
    force: bool = False
    self_repair: bool = False
    keypoints_only: bool = False
    preview: bool = False
    page_port: int | None = None
    headless: bool = False


AS_CONFIGURED = Wishes()


def prepare(config_path: Path, hub_port: int | None, summary: Path | None, wishes: Wishes = AS_CONFIGURED) -> Prepared:
    """Read and check everything. Raises ConfigError, CalibrationError, SessionError or WireError, with what to do."""
    config = _in_force(config_path, wishes)
    check_calibration(config)
    check_clips(config)
    check_opencv()
    truth = None if config.truth is None else load_truth(config.truth)
    check_recording(wishes.record, wishes.video)
    check_summary(summary)
    inner, outer = hub_addresses(config, hub_port)
    for address in (inner, outer):
        check_port(address)
    page = page_address(config.viewer, wishes.page_port, wishes.headless)
    if wishes.record is not None:
        check_target(wishes.record, (), wishes.force)
    reached = (from_this_machine(inner), from_this_machine(outer))
    setup = Setup(
        config=_short(config_path),
        cameras=tuple(config.cameras),
        inner=inner,
        outer=outer,
        trust_network=config.hub.trust_network,
        told_hub=None if reached == (config.hub.inner, config.hub.outer) else reached,
        by_hand=frozenset(name for name, source in config.cameras.items() if not source.start),
        recordings=config.recording.folder,
        page=page,
    )
    setup = _wished(setup, wishes, config.keypoints_only)
    return Prepared(setup, reached, truth, about_of(config, config.calibration), config)


def _in_force(config_path: Path, wishes: Wishes) -> Config:
    """The configuration with what the command line changes. Raises ConfigError."""
    config = load_config(config_path, keypoints_only=wishes.keypoints_only)
    config = config.self_repairing() if wishes.self_repair else config
    config = config.previewing() if wishes.preview else config
    if config.keypoints_only and config.calibration is not None and not config.calibration.exists():
        config = config.model_copy(update={"calibration": None})  # the one that is to be made
    return config


def _wished(setup: Setup, wishes: Wishes, keypoints_only: bool) -> Setup:
    """What the processes are told of the wishes."""
    return replace(
        setup,
        record=wishes.record,
        video=wishes.video,
        self_repair=wishes.self_repair,
        keypoints_only=keypoints_only,
        preview=wishes.preview,
        headless=wishes.headless,
    )


def prepare_replay(
    session: Path, play: tuple[str, ...], hub_port: int | None, page_port: int | None = None, headless: bool = False
) -> Prepared:
    """The same for a recording that is played in place of cameras. Raises ConfigError, SessionError or WireError.

    Addresses are the default ones: those in the recording are of the machine that it was made on.
    """
    with SessionReader(session) as recorded:
        config, about = recorded.config(), recorded.about
    assert about is not None  # it has a configuration
    inner, outer = hub_addresses(config.model_copy(update={"hub": Hub()}), hub_port)
    for address in (inner, outer):
        check_port(address)
    setup = Setup(
        config=Path(),
        cameras=tuple(config.cameras),
        inner=inner,
        outer=outer,
        told_hub=(inner, outer),
        recordings=config.recording.folder,
        session=_short(session),
        play=play,
        page=page_address(Viewer(), page_port, headless),
        headless=headless,
    )
    return Prepared(setup, (inner, outer), None, about, config)


def check_summary(summary: Path | None) -> None:
    """Raise ConfigError where the summary could not be written at the end."""
    if summary is not None and not (summary.parent.is_dir() and os.access(summary.parent, os.W_OK)):
        raise ConfigError(f"--summary {summary}: cannot write into the folder {summary.parent}; make it first")


def check_recording(record: Path | None, video: bool) -> None:
    """Raise ConfigError for what would be noticed after the take only."""
    if video and record is None:
        raise ConfigError("--video belongs to a recording: add --record OUT.mcap")
    if record is not None and record.suffix != ".mcap":
        raise ConfigError(f"--record {record}: the name of a recording ends in .mcap")
    if record is not None and importlib.util.find_spec("mcap") is None:
        raise ConfigError('recordings need the package mcap: pip install "livepose3d[live]"')


def check_calibration(config: Config) -> None:
    """Raise CalibrationError unless every camera of the configuration is in the calibration file, if it has one."""
    if config.calibration is None:  # one camera, or no fusion: the schema has seen to that
        return
    calibrated = load_rig(config.calibration).names
    missing = [name for name in config.cameras if name not in calibrated]
    if missing:
        raise CalibrationError(
            f"{config.calibration} has no camera {missing[0]!r}; it has {', '.join(calibrated)}. "
            "Give the camera one of these names under `cameras:`, or calibrate again with it"
        )


def check_clips(config: Config) -> None:
    """Raise ConfigError for a video file that is not there: waiting for it, as for a camera, is no use.

    Where the user starts the camera's node, the file may be on another machine.
    """
    for name, source in config.cameras.items():
        if isinstance(source, VideoSource) and source.start and not source.path.is_file():
            raise ConfigError(f"cameras.{name}.path: {source.path} does not exist; a path is relative to the YAML file")


def check_opencv() -> None:
    """Raise ConfigError where OpenCV does not load: bare servers lack libraries of a desktop that it links to."""
    try:
        importlib.import_module("cv2")
    except ImportError as error:
        raise ConfigError(
            f"OpenCV does not load: {error}. On Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"
        ) from error


def hub_addresses(config: Config, hub_port: int | None) -> tuple[str, str]:
    """Inner and outer address; `--hub-port N` puts N and N + 1 for the ports of the configuration."""
    addresses = (config.hub.inner, config.hub.outer)
    if hub_port is None:
        return addresses
    inner, outer = (f"{address.rpartition(':')[0]}:{hub_port + n}" for n, address in enumerate(addresses))
    return inner, outer


def page_address(viewer: Viewer, page_port: int | None, headless: bool) -> tuple[str, int]:
    """Host and port of the live page. Raises WireError where it cannot be there."""
    port = viewer.port if page_port is None else page_port
    if not headless:
        check_address(viewer.host, port)
    return viewer.host, port


def check_port(address: str) -> None:
    """Raise WireError when somebody has the port; nobody is ended for it."""
    holder = holder_of(address)
    if holder is not None:
        raise WireError(
            f"port {port_of(address)}, which the hub needs for {address}, is in use by {holder}. "
            "Stop that, or take other ports: --hub-port 7555, or `hub:` in the configuration"
        )


def _short(path: Path) -> Path:
    """The path from the working folder, which the processes share, where it lies below it: commands are shown."""
    path = path.resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
