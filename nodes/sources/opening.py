"""The one table from the kinds of source in the configuration to what opens them.

Each kind is imported when it is opened: a camera process needs no renderer, and a renderer no camera libraries.
"""

from calibration.rig import CameraRig
from configs import schema
from configs.errors import ConfigError
from nodes.sources.source import Source, SourceError


def open_source(name: str, source: schema.Source, rig: CameraRig | None, start_ns: int) -> Source:
    """Open the source of the camera called `name`.

    rig: the calibration, needed by virtual cameras alone: all of them must build the same scene. start_ns: int64
    nanoseconds since the epoch, when files and virtual cameras begin; give every camera of a system the same.
    Raises SourceError for what may mend itself (a cable, a server), ConfigError for what only the user can mend.
    """
    match source:
        case schema.DeviceSource():
            return _open_device(source)
        case schema.StreamSource():
            return _open_stream(source)
        case schema.VideoSource():
            return _open_video(name, source, start_ns)
        case schema.VirtualSource():
            return _open_virtual(name, source, rig, start_ns)


def _open_device(source: schema.DeviceSource) -> Source:
    from nodes.sources.camera_device import CameraDevice

    return CameraDevice(source.device, source.size_wh, source.fps, source.pixel_format, source.latency_ms)


def _open_stream(source: schema.StreamSource) -> Source:
    from nodes.sources.network_stream import NetworkStream

    return NetworkStream(source.url, source.transport, source.timeout_s, source.latency_ms)


def _open_video(name: str, source: schema.VideoSource, start_ns: int) -> Source:
    from nodes.sources.video_file import VideoFile

    try:
        return VideoFile(source.path, source.pace, source.loop, start_ns)
    except SourceError as error:  # a file that is missing or is no video does not mend itself
        raise ConfigError(f"cameras.{name}.path: {error}") from error


def _open_virtual(name: str, source: schema.VirtualSource, rig: CameraRig | None, start_ns: int) -> Source:
    from nodes.sources.virtual.scene import stage
    from nodes.sources.virtual.source import VirtualCamera

    if rig is None:
        raise ConfigError(f"cameras.{name}: a virtual camera needs the calibration it is to be seen with")
    scene = stage(rig, source.motion, source.actors, source.occluders, sensor_noise=source.noise, seed=source.seed)
    return VirtualCamera(scene, rig[name], source.fps, source.phase_ms / 1000, start_ns, source.pace)
