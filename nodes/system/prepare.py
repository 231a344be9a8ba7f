"""Everything that can be refused before a process is started: configuration, calibration, truth, ports, files."""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.rig_file import load_rig
from configs.errors import ConfigError
from configs.load import load_config
from configs.schema import Config, VideoSource
from nodes.ports import holder_of, port_of
from nodes.system.accuracy import Truth, load_truth
from nodes.system.process_table import Setup, from_this_machine
from nodes.wire.errors import WireError


@dataclass(frozen=True)
class Prepared:
    """What a live run needs, found to be right."""

    setup: Setup
    hub: tuple[str, str]  # inner and outer address, as reached from this machine
    truth: Truth | None


def prepare(config_path: Path, hub_port: int | None, summary: Path | None) -> Prepared:
    """Read and check everything. Raises ConfigError, CalibrationError or WireError, each with what to do."""
    config = load_config(config_path)
    check_calibration(config)
    check_clips(config)
    check_opencv()
    truth = None if config.truth is None else load_truth(config.truth)
    if summary is not None and not (summary.parent.is_dir() and os.access(summary.parent, os.W_OK)):
        raise ConfigError(f"--summary {summary}: cannot write into the folder {summary.parent}; make it first")
    inner, outer = hub_addresses(config, hub_port)
    for address in (inner, outer):
        check_port(address)
    reached = (from_this_machine(inner), from_this_machine(outer))
    setup = Setup(
        config=_short(config_path),
        cameras=tuple(config.cameras),
        inner=inner,
        outer=outer,
        trust_network=config.hub.trust_network,
        told_hub=None if reached == (config.hub.inner, config.hub.outer) else reached,
        by_hand=frozenset(name for name, source in config.cameras.items() if not source.start),
    )
    return Prepared(setup, reached, truth)


def check_calibration(config: Config) -> None:
    """Raise CalibrationError unless every camera of the configuration is in the calibration file, if it has one."""
    if config.calibration is None:  # one camera: the schema has seen to that
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
