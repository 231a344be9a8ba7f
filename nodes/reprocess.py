"""Recorded 2D detections through exactly the live stages: `run_system.py reprocess SEQ.npz --out OUT.npz`.

The stages are `FusionPipeline`, which reads no clock and no file; here is what feeds it and keeps what it says.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.load import explain
from configs.schema import Fusion, Section
from lifter.datasets.errors import DatasetError
from nodes.fusing import usable_lifter
from nodes.offline.messages import messages_of, stream_of
from nodes.offline.result_file import Result, result_of, save_result
from nodes.offline.sequence import Sequence, load_sequence
from nodes.sessions.errors import SessionError
from nodes.sessions.target import check_target
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import CameraHealth, Keypoints2D

MAX_RATE_HZ = 240.0  # of the schema
MIN_GAP_FRAMES = 2.5  # slow recordings: one lost frame must not stop the interpolation
Messages = Iterable[Keypoints2D | CameraHealth]
Progress = Callable[[Messages, int], Messages]


class _Settings(Section):
    """The part of a configuration that is about fusion."""

    fusion: Fusion = Fusion()


@dataclass(frozen=True)
class Reprocessed:
    """A result and what is worth telling of how it came about."""

    result: Result
    lifter: str  # what it ran on, or why there was none


def reprocess(path: Path, out: Path, settings: Path | None, use_lifter: bool, force: bool) -> int:
    """The command: fuse a file into another; 0, or 2 with the reason on stderr when something must be mended first."""
    try:
        check_target(out, [path], force)
        fusion = Fusion() if settings is None else load_fusion(settings)
        sequence = load_sequence(path)
        done = run(sequence, fusion, use_lifter, _shown if sys.stderr.isatty() else _told)
        save_result(done.result, out)
    except (DatasetError, ConfigError, SessionError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    print(summary(done, out))
    return 0


def run(sequence: Sequence, settings: Fusion, use_lifter: bool = True, progress: Progress | None = None) -> Reprocessed:
    """Fuse a sequence at the moments of its rows."""
    rig, skeleton = sequence.rig, sequence.skeleton
    settings = offline(settings, sequence.fps)
    stream = stream_of(sequence)
    lifter, told = usable_lifter(skeleton) if use_lifter else (None, "off")
    pipeline = FusionPipeline(
        rig, rig.names, settings, skeleton, lifter=lifter, ticks_ns=tuple(stream.ticks_ns.tolist())
    )
    max_gap_ns = round(settings.synchroniser.max_gap_ms * 1e6)
    messages: Messages = messages_of(sequence, stream, max_gap_ns)
    if progress is not None:
        messages = progress(messages, sequence.keypoints.shape[0] * sequence.keypoints.shape[1])
    poses = [pose for message in messages for pose in pipeline.push(message)]
    poses += pipeline.finish()
    return Reprocessed(result_of(poses, sequence, stream.shift_ns), told)


def offline(settings: Fusion, fps: float) -> Fusion:
    """The same for a recording: every camera is waited for, at the recording's rate."""
    period_ms = 1000.0 / fps
    synchroniser = settings.synchroniser.model_copy(
        update={
            "deadline_ms": None,
            "rate_hz": min(fps, MAX_RATE_HZ),
            "max_gap_ms": max(settings.synchroniser.max_gap_ms, MIN_GAP_FRAMES * period_ms),
        }
    )
    return settings.model_copy(update={"synchroniser": synchroniser})


def settings_document(path: Path, expected: str) -> dict[str, Any]:
    """The keys of a YAML file of settings. expected: what should be in it, for the error. Raises ConfigError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"settings {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected {expected}, found {type(document).__name__}")
    return document


def load_fusion(path: Path) -> Fusion:
    """The `fusion:` of a YAML file: a live configuration, or these settings alone. Raises ConfigError."""
    document = settings_document(path, "the key `fusion:`")
    given = document if "fusion" in document or "cameras" in document else {"fusion": document}
    try:
        return _Settings.model_validate({"fusion": given.get("fusion", {})}).fusion
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in explain(error))) from None


def summary(done: Reprocessed, out: Path) -> str:
    """One line about the result."""
    x = done.result
    rows, people, joints = x.joints_m.shape[:3]
    present = x.person_id >= 0
    reported = np.isfinite(x.joints_m).all(-1)[present].mean() if present.any() else 0.0
    return (
        f"{out}: {rows} rows, {people} {'person' if people == 1 else 'people'}, somebody in "
        f"{present.any(axis=1).mean():.0%} of the rows, {reported:.1%} of their {joints} joints reported "
        f"({x.skeleton}); lifter: {done.lifter}"
    )


def _shown(messages: Messages, total: int) -> Messages:
    """A bar on the terminal."""
    from rich.console import Console
    from rich.progress import track

    return track(messages, "fusing", total=total, console=Console(stderr=True), transient=True)


def _told(messages: Messages, total: int) -> Messages:
    """A line every tenth, for logs; a short recording is silent."""
    step = max(total // 10, 20_000)
    for count, message in enumerate(messages):
        if count and count % step == 0:
            print(f"fusing: {count} of {total} frames", file=sys.stderr, flush=True)
        yield message
