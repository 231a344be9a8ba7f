"""A recording with videos from its pictures on: detected again, and fused."""

from collections.abc import Callable, Iterator
from pathlib import Path

from configs.schema import Config
from nodes.detect_again import detect_again
from nodes.offline.timeline import with_silences
from nodes.recorded_video import RecordedVideo, recorded_videos
from nodes.sessions.fuse_again import Refuser, Tally
from nodes.sessions.logged import Logged
from nodes.sessions.reader import SessionReader
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import CameraHealth, Message


def waiting_for_all(config: Config) -> Config:
    """The same, with no frame late: of pictures in files every one is waited for."""
    synchroniser = config.fusion.synchroniser.model_copy(update={"deadline_ms": None})
    return config.model_copy(update={"fusion": config.fusion.model_copy(update={"synchroniser": synchroniser})})


def videos_of(session: SessionReader, folder: Path | None) -> dict[str, RecordedVideo]:
    """The videos of a take, by the names that the camera nodes told. Raises SessionError for those that are missing."""
    cameras = session.cameras
    told: dict[str, list[str]] = {camera: [] for camera in cameras}
    for health in session.messages(CameraHealth):
        if health.source in told and health.video_file and health.video_file not in told[health.source]:
            told[health.source].append(health.video_file)
    return recorded_videos(session.path, cameras, told, folder)


def fused_from_video(
    session: SessionReader,
    config: Config,
    pipeline: FusionPipeline,
    tally: Tally,
    folder: Path | None,
    progress: Callable[[int], None],
) -> Iterator[tuple[Logged | Message, int]]:
    """(message, log time) of keypoints, poses and health. Raises SessionError."""
    frames = {camera: video.frames() for camera, video in videos_of(session, folder).items()}
    refuser = Refuser(pipeline, tally)
    max_gap_ns = round(config.fusion.synchroniser.max_gap_ms * 1e6)
    for message in with_silences(detect_again(frames, config, pipeline), tuple(frames), max_gap_ns):
        log_ns = message.published_ns
        progress(log_ns)
        yield message, log_ns
        for new in refuser.take(message, log_ns):
            yield new, log_ns
