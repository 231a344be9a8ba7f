"""What the doctor finds about a configuration: its calibration, cameras, truth and ports."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nodes.system.doctor_cameras import check_source
from nodes.system.finding import Finding, fault, news, ok

if TYPE_CHECKING:  # the doctor starts where pydantic is missing
    from configs.schema import Viewer

MISSING = "the configuration cannot be checked before the packages above are there"


def check_config(path: Path | None) -> Iterator[Finding]:
    """Without a configuration: whether the demo's ports are free."""
    try:
        from calibration.errors import CalibrationError
        from configs.errors import ConfigError
        from configs.load import load_config
        from configs.schema import Viewer
        from nodes.system.prepare import check_calibration
        from nodes.watching.accuracy import load_truth
        from nodes.wire.bus import DEFAULT_HUB_IN, DEFAULT_HUB_OUT
    except ImportError:
        yield news("config", MISSING)
        return
    if path is None:
        yield from _check_ports(DEFAULT_HUB_IN, DEFAULT_HUB_OUT)
        yield _page(Viewer())
        yield news("config", "none given: doctor --config FILE checks also its cameras and calibration")
        return
    try:
        config = load_config(path)
    except ConfigError as error:
        yield from (fault("config", line) for line in str(error).splitlines())
        return
    yield ok("config", f"{path}: {', '.join(config.cameras)}")
    yield from _check_ports(config.hub.inner, config.hub.outer)
    yield _page(config.viewer)
    try:
        check_calibration(config)
        yield _calibration(config.calibration)
    except CalibrationError as error:
        yield fault("calibration", str(error))
    if config.truth is not None:
        try:
            load_truth(config.truth)
            yield ok("truth", str(config.truth))
        except ConfigError as error:
            yield fault("truth", str(error))
    for name, source in config.cameras.items():
        yield from check_source(name, source)


def _calibration(path: Path | None) -> Finding:
    if path is not None:
        return ok("calibration", str(path))
    return news(
        "calibration", "none: one camera alone gives poses relative to the hips, not where in the room they are"
    )


def _page(viewer: "Viewer") -> Finding:
    from nodes.page.address import check_address, told_address
    from nodes.wire.errors import WireError

    try:
        check_address(viewer.host, viewer.port)
    except WireError as error:
        return fault("page", str(error))
    return ok("page", f"{told_address(viewer.host, viewer.port)} is free")


def _check_ports(*addresses: str) -> Iterator[Finding]:
    from nodes.system.prepare import check_port
    from nodes.wire.errors import WireError

    for address in addresses:
        try:
            check_port(address)
            yield ok("port", f"{address} is free")
        except WireError as error:
            yield fault("port", str(error))
