"""Videos of calibrated cameras: the 2D detector runs on each, and fusion beside it tells it where to look.

What it sees is kept; the poses are not: `reprocess` fuses again, with the calibration and lifter of the day.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from configs.schema import Config
from lifter.skeleton import SKELETONS, Skeleton
from nodes.detect_again import detect_again
from nodes.fusing import pipeline_for, usable_lifter
from nodes.importing.calibration import in_session
from nodes.importing.camera_names import matched, named, usable
from nodes.importing.imported import BEGIN_NS, Given, Imported, Messages, config_of
from nodes.offline.timeline import with_silences
from nodes.sessions.errors import SessionError
from nodes.sources.clip import Clip
from nodes.sources.source import Frame, SourceError
from nodes.sources.video_file import VideoFile
from nodes.stages.delivered import delivered


@dataclass(frozen=True)
class Measured:
    """What a video says about itself."""

    size_wh: tuple[int, int]
    fps: float
    frames: int


def import_videos(paths: list[Path], given: Given) -> Imported:
    """The recording of videos that begin together. Raises SessionError, CalibrationError, ConfigError."""
    if given.skeleton is not None or given.fps is not None:
        raise SessionError("--skeleton and --fps are for keypoints: of videos the detector and the files tell both")
    measured = {path: _measured(path) for path in paths}
    rig, videos, told = _cameras(paths, given)
    rates = [measured[path].fps for path in videos.values()]
    config = config_of(videos, given.calibration, given.settings, max(rates), min(rates))
    misfits = _misfits(rig, config, {name: measured[path].size_wh for name, path in videos.items()})
    skeleton = SKELETONS[config.detector.skeleton]
    return Imported(
        config=config,
        rig=rig,
        skeleton=skeleton,
        messages=_detected(videos, config, rig, skeleton),
        total=sum(measured[path].frames for path in videos.values()),
        notes=(*told, *misfits),
    )


def _cameras(paths: list[Path], given: Given) -> tuple[CameraRig | None, dict[str, Path], list[str]]:
    """The calibrated cameras in use, the video of each, and notes."""
    stems = [path.stem for path in paths]
    double = next((stem for stem in stems if stems.count(stem) > 1), None)
    if double is not None and not given.names:
        raise SessionError(f"two videos are called {double}: say which cameras they are, --names one other")
    if given.calibration is None:
        if len(paths) > 1:
            raise SessionError(
                f"{len(paths)} videos together need a calibration, --calibration rig.toml; one alone can do without"
            )
        name = given.names[0] if given.names else stems[0]
        return None, {usable([name])[name]: paths[0]}, []
    whole = load_rig(given.calibration)
    keys = [str(path) for path in paths] if given.names else stems
    by_key = dict(zip(keys, paths, strict=True))
    pairs = named(keys, given.names, whole.names, "video") if given.names else matched(keys, whole.names, "video")
    rig, renamed = in_session(whole.select(tuple(pairs.values())))
    ours = usable(list(pairs.values()))
    told = [f"{by_key[key].name} is camera {camera}" for key, camera in pairs.items() if key != camera]
    return rig, {ours[camera]: by_key[key] for key, camera in pairs.items()}, [*told, *renamed]


def _measured(path: Path) -> Measured:
    try:
        clip = Clip(path)
    except SourceError as error:
        raise SessionError(str(error)) from error
    try:
        return Measured(clip.size_wh, float(clip.rate), clip.frame_count)
    finally:
        clip.close()


def _misfits(rig: CameraRig | None, config: Config, sizes_wh: Mapping[str, tuple[int, int]]) -> list[str]:
    """Cameras that fusion will leave out, said before the long work and not after it."""
    if rig is None:
        return []
    notes = []
    for name, size_wh in sizes_wh.items():
        try:
            if size_wh != rig[name].size_wh:
                delivered(rig[name], size_wh, config.crop_offset_px.get(name))
        except CalibrationError as error:
            notes.append(f"camera {name} will be left out when fused: it {error}; in a file for --settings")
    return notes


def _detected(videos: Mapping[str, Path], config: Config, rig: CameraRig | None, skeleton: Skeleton) -> Messages:
    cameras = tuple(videos)
    pipeline = pipeline_for(config, rig, skeleton, usable_lifter(skeleton)[0])
    frames = {name: _frames(name, path) for name, path in videos.items()}
    max_gap_ns = round(config.fusion.synchroniser.max_gap_ms * 1e6)
    for message in with_silences(detect_again(frames, config, pipeline), cameras, max_gap_ns):
        yield message
        pipeline.push(message)


def _frames(name: str, path: Path) -> Iterator[Frame]:
    try:
        video = VideoFile(path, "pipeline", loop=False, start_ns=BEGIN_NS)
        try:
            while (frame := video.read()) is not None:
                yield frame
        finally:
            video.close()
    except SourceError as error:
        raise SessionError(f"camera {name}: {error}") from error
