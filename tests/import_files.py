"""What other programs write, made of a recording of the virtual actor; and sessions read back."""

import argparse
import json
from pathlib import Path

import numpy as np

from calibration.rig_file import save_rig
from configs.schema import Fusion
from nodes.commands import import_
from nodes.sessions.reader import SessionReader
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import CameraHealth, Keypoints2D
from tests.multiview_files import actor_recording


def recorded(skeleton, n_frames=12, n_cameras=3, **options):
    recording = actor_recording(skeleton, n_frames, n_cameras, **options)
    recording.confidence[:] = 0.9
    return recording


def detections(recording):
    """(T, C, 1, J, 3)."""
    return np.concatenate([recording.keypoints_px, recording.confidence[..., None]], axis=-1)[:, :, None]


def write_frame(path: Path, people) -> None:
    """OpenPose's JSON of people (P, J, 3); 0 where absent."""
    each = [
        {"person_id": [-1], "pose_keypoints_2d": np.nan_to_num(person).astype(float).round(3).ravel().tolist()}
        for person in people
    ]
    path.write_text(json.dumps({"version": 1.3, "people": each}))


def write_project(folder: Path, recording, config: str = "[project]\nframe_rate = 30\n", name: str = "cam{}") -> Path:
    """A project as Pose2Sim lays it out, whose folders are called otherwise than the cameras: cam1_json is `cam_1`."""
    values = detections(recording)
    for c in range(values.shape[1]):
        place = folder / "pose" / f"{name.format(c + 1)}_json"
        place.mkdir(parents=True)
        for t in range(len(values)):
            write_frame(place / f"{name.format(c + 1)}_{t:06d}.json", values[t, c])
    (folder / "calibration").mkdir()
    rig = renamed(recording.rig, [f"cam_{c + 1:02d}" for c in range(values.shape[1])])
    save_rig(rig, folder / "calibration" / "Calib.toml")
    if config:
        (folder / "Config.toml").write_text(config)
    return folder


def renamed(rig, names):
    from nodes.importing.calibration import with_names

    return with_names(rig, dict(zip(rig.names, names, strict=True)))


def run(*arguments) -> int:
    """`run_system.py import …`."""
    parser = argparse.ArgumentParser()
    import_.add(parser.add_subparsers())
    options = parser.parse_args(["import", *map(str, arguments)])
    return int(options.run(options))


def content(path: Path):
    """What a session holds: its keypoints, its words of ended cameras, configuration, rig and skeleton."""
    with SessionReader(path) as session:
        messages = list(session.messages(Keypoints2D, CameraHealth))
        log_ns = [logged.log_ns for logged in session.logged()]
        assert log_ns == sorted(log_ns)
        assert session.undecodable == 0
        return messages, session.config(), session.rig(), session.skeleton()


def of_camera(messages, camera):
    return [each for each in messages if isinstance(each, Keypoints2D) and each.source == camera]


def fused_m(path: Path):
    """Poses (T, J, 3) of the first person in a session, fused again without the lifter."""
    messages, config, rig, skeleton = content(path)
    pipeline = FusionPipeline(rig, tuple(config.cameras), config.fusion, skeleton, config.crop_offset_px)
    assert config.fusion.synchroniser.deadline_ms is None
    assert isinstance(config.fusion, Fusion)
    poses = [pose for message in messages for pose in pipeline.push(message)] + pipeline.finish()
    return np.array([pose.people[0].joints_m for pose in poses if pose.people])
