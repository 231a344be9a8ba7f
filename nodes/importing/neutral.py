"""The neutral multi-view file (docs/reprocess.md): its detections as messages."""

from dataclasses import replace
from pathlib import Path

from calibration.rig_file import load_rig
from lifter.datasets.errors import DatasetError
from nodes.importing.calibration import in_session, with_names
from nodes.importing.camera_names import matched, named
from nodes.importing.imported import Given, Imported, config_of
from nodes.offline.messages import messages_of, stream_of
from nodes.offline.sequence import load_sequence
from nodes.sessions.errors import SessionError


def import_neutral(path: Path, given: Given) -> Imported:
    """The recording of a .npz, with its own calibration or, where one is given, that one.

    Raises SessionError, CalibrationError, ConfigError.
    """
    try:
        sequence = load_sequence(path)
    except DatasetError as error:
        raise SessionError(str(error)) from error
    told: list[str] = []
    rig = sequence.rig
    if given.calibration is not None:
        whole = load_rig(given.calibration)
        ours = rig.names
        pairs = named(ours, given.names, whole.names, "camera") if given.names else matched(ours, whole.names, "camera")
        told = [f"camera {old} is camera {new} of {given.calibration}" for old, new in pairs.items() if old != new]
        rig = whole.select(tuple(pairs.values()))
    elif given.names:
        rig = with_names(rig, named(rig.names, given.names, given.names, "camera"))
    rig, renamed = in_session(rig)
    sequence = replace(sequence, rig=rig, fps=given.fps or sequence.fps)
    stream = stream_of(sequence)
    calibration = given.calibration or path
    config = config_of(dict.fromkeys(rig.names, path), calibration, given.settings, sequence.fps)
    messages = messages_of(sequence, stream, round(config.fusion.synchroniser.max_gap_ms * 1e6))
    total = sequence.keypoints.shape[0] * sequence.keypoints.shape[1]
    notes = (*told, *renamed, f"joints are {sequence.skeleton.name}'s")
    return Imported(config, rig, sequence.skeleton, messages, total, notes)
