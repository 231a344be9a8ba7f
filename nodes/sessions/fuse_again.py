"""A recording through the pipeline again: its records, with new poses in place of the old ones. Constant memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

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


class Refuser:
    """Pushes messages through a pipeline, and hands out what a fusion node would have sent."""

    def __init__(self, pipeline: FusionPipeline, tally: Tally, compare: bool = False) -> None:
        self._pipeline = pipeline
        self._tally = tally
        self._compare = compare
        self._health_due_ns = 0
        self._health_seq = 0

    def take(self, message: Keypoints2D | CameraHealth, log_ns: int) -> Iterator[Message]:
        """The poses that a message completes, as if fusing took no time; and health, a few times a second."""
        for pose in self._pipeline.push(message):
            self._tally.poses += 1
            self._tally.people += len(pose.people)
            if self._compare:
                self._tally.sameness.again(pose)
            yield replace(pose, published_ns=message.published_ns)
        if log_ns >= self._health_due_ns:
            self._health_due_ns = log_ns + HEALTH_EVERY_NS
            yield self._pipeline.health(log_ns, seq=self._health_seq)
            self._health_seq += 1


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
    refuser = Refuser(pipeline, tally, compare)
    for logged in records:
        progress(logged.log_ns)
        if logged.kind is Pose3D or logged.kind is FusionHealth:
            if compare or logged.kind is FusionHealth:
                _note_old(_decoded(logged, tally), tally, compare)
            continue
        yield logged, logged.log_ns
        if logged.kind is Keypoints2D or logged.kind is CameraHealth:
            message = _decoded(logged, tally)
            if isinstance(message, Keypoints2D | CameraHealth):
                for new in refuser.take(message, logged.log_ns):
                    yield new, logged.log_ns


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
