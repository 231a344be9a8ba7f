"""`reprocess --smooth`: a recording fused forward and backward in time, and what both say of it smoothed.

forward (every frame, every camera waited for) → backward over the same ticks → who is who over the whole take → smooth
paths, gaps filled. Poses are put aside on disk meanwhile: memory does not grow with the length of a take.
"""

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path

from configs.schema import Config
from nodes.hindsight.both import pairs_of
from nodes.hindsight.identities import Identities, Survey
from nodes.hindsight.paths import Filled, smoothed_poses
from nodes.hindsight.spool import Spool
from nodes.hindsight.time_order import Event, Timed, by_capture, mirrored, with_silences
from nodes.sessions.fuse_again import HEALTH_EVERY_NS, Tally
from nodes.sessions.logged import Logged
from nodes.sessions.reader import SessionReader
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.errors import WireError
from nodes.wire.messages import FusionHealth, Keypoints2D, Message, Pose3D

MakePipeline = Callable[[Sequence[int]], FusionPipeline]  # of instants to fuse; of none, on the even grid
FORWARD_SHARE, BACKWARD_SHARE = 0.42, 0.46  # of the work; the rest is smoothing and writing


@dataclass
class Hindsight(Tally):
    """What came of it. joined: ids that were somebody else's; ghosts: ids that were nobody's. turned_back: frames whose
    camera's clock had been set back, which have no place in one order of time."""

    joined: int = 0
    ghosts: int = 0
    turned_back: int = 0
    filled: Filled = field(default_factory=Filled)

    @property
    def told(self) -> str:
        """In words."""
        return (
            f"{self.filled.people_filled} of {self.filled.people} people filled in where nobody saw them, "
            f"{self.joined} ids joined to others, {self.ghosts} dropped that were seen for a moment only"
            + (f"; {self.turned_back} frames passed over, their clock went back" if self.turned_back else "")
        )


def smoothed_again(
    session: SessionReader,
    config: Config,
    make: MakePipeline,
    folder: Path,
    tally: Hindsight,
    progress: Callable[[float], None] = lambda _: None,
) -> Iterator[tuple[Logged | Message, int]]:
    """(record as it is, or new pose or health; log time) in the order of a session.

    make: a pipeline that waits for every camera. folder: for what is put aside, about as much as the recording.
    progress: told the share that is done. Raises OSError when there is no room.
    """
    gap_ns = round(config.fusion.synchroniser.max_gap_ms * 1e6)
    cameras = tuple(config.cameras)
    span_ns = max(1, session.end_ns - session.start_ns)
    with Spool(Pose3D, folder) as ahead, Spool(Pose3D, folder) as back, Spool(FusionHealth, folder) as healths:
        messages = _keypoints(session, tally, lambda ns: progress(FORWARD_SHARE * (ns - session.start_ns) / span_ns))
        events = with_silences(by_capture(messages), cameras, gap_ns)
        tally.turned_back = fuse_forward(events, make(()), ahead, healths)
        if len(ahead):
            pivot_ns = ahead.captured_ns[0] + ahead.captured_ns[-1]
            reverse = _reversed(session, pivot_ns, lambda done: progress(FORWARD_SHARE + BACKWARD_SHARE * done))
            ticks_ns = [pivot_ns - ns for ns in reversed(ahead.captured_ns)]
            fuse_backward(with_silences(by_capture(reverse), cameras, gap_ns), make(ticks_ns), back)
        poses = hindsight(ahead, back, config.fusion.people.max_sigma_m, tally)
        others = (each for each in session.logged() if each.kind is not Pose3D and each.kind is not FusionHealth)
        streams: list[Iterable[tuple[int, Logged | Message]]] = [
            ((each.log_ns, each) for each in others),
            healths.timed(),
            zip(ahead.log_ns, poses, strict=True),
        ]
        first_share = FORWARD_SHARE + BACKWARD_SHARE
        for log_ns, item in heapq.merge(*streams, key=itemgetter(0)):
            progress(first_share + (1.0 - first_share) * (log_ns - session.start_ns) / span_ns)
            yield item, log_ns


def fuse_forward(
    events: Iterable[Event], pipeline: FusionPipeline, poses: Spool[Pose3D], healths: Spool[FusionHealth]
) -> int:
    """The poses, each as of when the frame was logged that completed it, and the pipeline's health now and then.

    How many frames were passed over because time went back.
    """
    log_ns = published_ns = health_due_ns = newest_ns = turned_back = 0
    for message, log_ns in events:
        if isinstance(message, Keypoints2D):
            turned_back += message.captured_ns < newest_ns
            newest_ns = max(newest_ns, message.captured_ns)
        published_ns = max(published_ns, message.published_ns)
        for pose in pipeline.push(message):
            poses.append(replace(pose, published_ns=published_ns), log_ns)
        if log_ns >= health_due_ns:
            health_due_ns = log_ns + HEALTH_EVERY_NS
            healths.append(pipeline.health(log_ns, seq=len(healths)), log_ns)
    for pose in pipeline.finish():
        poses.append(replace(pose, published_ns=published_ns), log_ns)
    return turned_back


def fuse_backward(events: Iterable[Event], pipeline: FusionPipeline, poses: Spool[Pose3D]) -> None:
    """The poses of a recording that is mirrored in time."""
    for message, log_ns in events:
        for pose in pipeline.push(message):
            poses.append(pose, log_ns)
    for pose in pipeline.finish():
        poses.append(pose, 0)


def hindsight(ahead: Spool[Pose3D], back: Spool[Pose3D], max_sigma_m: float, tally: Hindsight) -> Iterator[Pose3D]:
    """The smooth poses, one for each of the forward ones."""
    backward = _Backward(ahead, back)
    identities = _who_is_who(ahead, backward)
    tally.joined, tally.ghosts = identities.joined, identities.ghosts
    for pose in smoothed_poses(
        ahead.captured_ns, ahead.__getitem__, backward.at, identities, max_sigma_m, tally.filled
    ):
        tally.poses += 1
        tally.people += len(pose.people)
        yield pose


class _Backward:
    """The backward poses by number of the forward tick; an empty one where there is none."""

    def __init__(self, ahead: Spool[Pose3D], back: Spool[Pose3D]) -> None:
        self._ahead, self._back = ahead, back
        self._pivot_ns = ahead.captured_ns[0] + ahead.captured_ns[-1] if len(ahead) else 0

    def at(self, tick: int) -> Pose3D:
        mirrored_ns = self._pivot_ns - self._ahead.captured_ns[tick]
        number = bisect_left(self._back.captured_ns, mirrored_ns)
        if number < len(self._back) and self._back.captured_ns[number] == mirrored_ns:
            return self._back[number]
        return replace(self._ahead[tick], people=())


def _who_is_who(ahead: Spool[Pose3D], backward: _Backward) -> Identities:
    survey = Survey()
    for tick, captured_ns in enumerate(ahead.captured_ns):
        survey.take(captured_ns, pairs_of(ahead[tick].people, backward.at(tick).people))
    return survey.identities()


def _keypoints(session: SessionReader, tally: Tally, at: Callable[[int], None]) -> Iterator[Timed]:
    """All detections with their log times. at: told each of these."""
    before = session.undecodable
    for logged in session.logged(Keypoints2D):
        at(logged.log_ns)
        message = _decoded(session, logged)
        if message is not None:
            yield message, logged.log_ns
    tally.undecodable += session.undecodable - before


def _reversed(session: SessionReader, pivot_ns: int, at: Callable[[float], None]) -> Iterator[Timed]:
    """The same mirrored in time, the last one first."""
    span_ns = max(1, session.end_ns - session.start_ns)
    for logged in session.logged(Keypoints2D, reverse=True):
        at((session.end_ns - logged.log_ns) / span_ns)
        message = _decoded(session, logged)
        if message is not None and message.captured_ns <= pivot_ns:
            yield mirrored(message, pivot_ns), 0


def _decoded(session: SessionReader, logged: Logged) -> Keypoints2D | None:
    try:
        message = logged.message()
    except WireError:
        session.undecodable += 1
        return None
    assert isinstance(message, Keypoints2D)
    return message
