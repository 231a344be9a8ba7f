"""A recording through the pipeline again: its records, with new poses in place of the old ones. Constant memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

from nodes.sessions.logged import Logged
from nodes.sessions.sameness import Sameness
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.errors import WireError
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D

HEALTH_EVERY_NS = 200_000_000


@dataclass
class Tally:
    """What went through. undecodable: messages that were passed over. lives: fusions that spoke in the recording."""

    poses: int = 0
    people: int = 0
    undecodable: int = 0
    sameness: Sameness = field(default_factory=Sameness)
    lives: set[tuple[str, int]] = field(default_factory=set)


def fused_again(
    records: Iterable[Logged],
    pipeline: FusionPipeline,
    tally: Tally,
    compare: bool,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[Logged | Message, int]]:
    """(record as it is, or new message; log time) in the order of a session.

    compare: hold the new poses against the recorded ones. progress: told the log time of each record.
    """
    health_due_ns = health_seq = 0
    for logged in records:
        progress(logged.log_ns)
        if logged.kind is Pose3D or logged.kind is FusionHealth:
            if compare or logged.kind is FusionHealth:
                _note_old(_decoded(logged, tally), tally, compare)
            continue
        yield logged, logged.log_ns
        if logged.kind is not Keypoints2D and logged.kind is not CameraHealth:
            continue
        message = _decoded(logged, tally)
        if message is None:
            continue
        for pose in pipeline.push(cast(Keypoints2D | CameraHealth, message)):
            tally.poses += 1
            tally.people += len(pose.people)
            if compare:
                tally.sameness.again(pose)
            yield _stamped(pose, message.published_ns), logged.log_ns
        if logged.log_ns >= health_due_ns:
            health_due_ns = logged.log_ns + HEALTH_EVERY_NS
            yield pipeline.health(logged.log_ns, seq=health_seq), logged.log_ns
            health_seq += 1


def _stamped(pose: Pose3D, published_ns: int) -> Pose3D:
    """As if fusion took no time: sent when the message was that completed it."""
    return replace(pose, published_ns=published_ns)


def _note_old(message: Message | None, tally: Tally, compare: bool) -> None:
    if isinstance(message, Pose3D) and compare:
        tally.sameness.live(message)
    elif isinstance(message, FusionHealth) and message.began_source:
        tally.lives.add((message.began_source, message.began_ns))


def _decoded(logged: Logged, tally: Tally) -> Message | None:
    try:
        return logged.message()
    except WireError:
        tally.undecodable += 1
        return None
