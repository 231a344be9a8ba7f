"""What the doctor finds about the cameras of a configuration: each is looked for, and a network camera opened once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nodes.system.finding import Finding, fault, news, ok
from nodes.system.v4l2 import Mode, camera_modes

if TYPE_CHECKING:  # the doctor starts where pydantic is missing
    from configs.schema import DeviceSource, Source, StreamSource, VideoSource, VirtualSource

SHOWN_MODES = 6


def check_source(name: str, source: Source) -> Iterator[Finding]:
    """One line for the camera called `name`."""
    from configs.schema import DeviceSource, StreamSource, VideoSource, VirtualSource

    if not source.start:
        yield news(name, "its node is started by hand, perhaps elsewhere: not looked for here")
        return
    try:
        match source:
            case DeviceSource():
                yield _device(name, source)
            case StreamSource():
                yield _stream(name, source)
            case VideoSource():
                yield _video(name, source)
            case VirtualSource():
                yield _virtual(name, source)
    except ImportError as error:
        yield news(name, f"cannot be checked before the packages above are there ({error})")


def _device(name: str, source: DeviceSource) -> Finding:
    from nodes.sources.camera_device import device_path

    device = device_path(source.device)
    if isinstance(device, int):
        return news(name, f"camera number {device}: only Linux tells without opening it whether it is there")
    node = Path(device)
    if not node.exists():
        return fault(name, f"{node} is not there: plug the camera in, or choose one of the lines above")
    if not node.is_char_device():
        return ok(name, f"{node}, a file in place of a camera")
    try:
        found = camera_modes(node)
    except PermissionError:
        return fault(name, f"{node} may not be opened: sudo usermod -aG video $USER, then log in again")
    except OSError as error:
        return fault(name, f"{node} does not answer as a camera ({error.strerror}): choose one of the lines above")
    if found is None:
        return fault(name, f"{node} takes no pictures (a camera's second node?): choose one of the lines above")
    return _held_against(name, source, f"{node}, {found[0]}", found[1])


def _held_against(name: str, source: DeviceSource, camera: str, modes: list[Mode]) -> Finding:
    """What is asked of a camera beside what it grants."""
    asked = f"{source.pixel_format} {source.size_wh[0]}x{source.size_wh[1]} @ {source.fps:g}"
    if not modes:
        return ok(name, f"{camera}: tells no sizes; asked for {asked}")
    if any(mode.grants(source.pixel_format, source.size_wh, source.fps) for mode in modes):
        return ok(name, f"{camera}: {asked}")
    near = sorted(modes, key=lambda mode: (mode.size_wh != source.size_wh, mode.pixel_format != source.pixel_format))
    granted = ", ".join(str(mode) for mode in near[:SHOWN_MODES])
    return fault(name, f"{camera} does not grant {asked}: set pixel_format, size_wh and fps to what it does: {granted}")


def _stream(name: str, source: StreamSource) -> Finding:
    from nodes.sources.network_stream import NetworkStream
    from nodes.sources.source import SourceError

    try:
        stream = NetworkStream(source.url, source.transport, source.timeout_s)
        try:
            frame = stream.read()
        finally:
            stream.close()
    except SourceError as error:
        return fault(name, str(error))
    height, width = frame.image_rgb.shape[:2] if frame is not None else (0, 0)
    rate = f"{stream.granted.fps:g} frames per second" if stream.granted.fps else "does not tell its rate"
    return ok(name, f"{stream.address}: {stream.granted.pixel_format} {width}x{height}, {rate}")


def _video(name: str, source: VideoSource) -> Finding:
    if not source.path.is_file():
        return fault(name, f"{source.path} does not exist: correct `path`")
    return ok(name, str(source.path))


def _virtual(name: str, source: VirtualSource) -> Finding:
    from lifter.synthetic import MOTIONS

    if source.motion not in MOTIONS:
        return fault(name, f"there is no motion {source.motion!r}: choose one of {', '.join(MOTIONS)}")
    return ok(name, f"virtual, motion {source.motion!r}")
