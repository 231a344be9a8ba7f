"""Everything that a report tells of a take, gathered in one pass over its session, in memory that does not grow."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lifter.skeleton import MEDIAPIPE33, SKELETONS, Skeleton
from nodes.report.cameras_seen import CamerasSeen
from nodes.report.people_seen import PeopleSeen
from nodes.report.reprojection import Reprojection
from nodes.report.timeline import Spread, Timeline
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.wire.errors import WireError
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D
from nodes.wire.requests import Mark

STAGES = ("interpolate", "queue", "detect", "send", "fuse")
LATENCY_MS = (0.1, 20_000.0)
LATENCY_STEPS = 240  # over time: 5 % each
MOST_GAPS = 10
MOST_MARKS = 200
GAP_PERIODS = 2.5
LIVE_NS = 5_000_000_000  # no live pose is older

Progress = Callable[[float], None]


class Ledger:
    """Where the time between capture and pose went. over_time: T × steps of the total; means: sums of stages, count."""

    def __init__(self) -> None:
        self.spread = Spread(len(STAGES) + 1, *LATENCY_MS)  # the stages, and the total
        self.over_time = Timeline(LATENCY_STEPS)
        self.means = Timeline(len(STAGES) + 1)

    def add(self, at_s: float, pose: Pose3D) -> None:
        """One tick; one without stages (made offline) has none to tell."""
        if not pose.stages_ns:
            return
        stages_ms = [pose.stages_ns.get(stage, 0) / 1e6 for stage in STAGES]
        total_ms = (pose.published_ns - pose.captured_ns) / 1e6
        self.spread.add([*stages_ms, total_ms])
        low, high = np.log(LATENCY_MS)
        step = int(np.clip((np.log(max(total_ms, LATENCY_MS[0])) - low) / (high - low), 0, 0.9999) * LATENCY_STEPS)
        self.over_time.add(at_s, np.eye(1, LATENCY_STEPS, step)[0])
        self.means.add(at_s, (*stages_ms, 1))


@dataclass
class Rhythm:
    """The stream of poses itself: how many, how far apart, its longest gaps (start, length in s)."""

    poses: int = 0
    valid: int = 0
    gaps_s: list[tuple[float, float]] = field(default_factory=list)
    _last_s: float | None = None
    _even_s: float = 0.0  # sum of the steps that are no gaps
    _even: int = 0

    @property
    def usual_s(self) -> float:
        """Mean step without the gaps; 0 before two poses."""
        return self._even_s / self._even if self._even else 0.0

    def add(self, at_s: float, pose: Pose3D) -> None:
        """One tick."""
        self.poses += 1
        self.valid += pose.valid
        if self._last_s is not None and at_s > self._last_s:
            step_s = at_s - self._last_s
            if self._even and step_s > GAP_PERIODS * self.usual_s:
                self.gaps_s = sorted([*self.gaps_s, (self._last_s, step_s)], key=lambda gap: -gap[1])[:MOST_GAPS]
            else:
                self._even_s, self._even = self._even_s + step_s, self._even + 1
        self._last_s = at_s


@dataclass
class Gathered:
    """A take. skeleton: of its poses. reprojection: None where there is no calibration. marks: seconds and words."""

    skeleton: Skeleton
    people: PeopleSeen
    cameras: CamerasSeen
    ledger: Ledger
    rhythm: Rhythm
    reprojection: Reprojection | None
    frame: str = "world"
    end_s: float = 0.0
    marks: list[tuple[float, str]] = field(default_factory=list)


def gather(session: SessionReader, progress: Progress = lambda _: None) -> Gathered:
    """Read the take. Times are seconds of capture since its first pose, whose log time places it in the take."""
    skeleton = _skeleton(session)
    rig = session.rig() if session.about is not None else None
    poses = sum(count for topic, count in session.counts.items() if topic.startswith("pose/"))
    crops = dict(session.config().crop_offset_px) if session.about is not None else {}
    gathered = Gathered(
        skeleton=skeleton,
        people=PeopleSeen(skeleton),
        cameras=CamerasSeen(session.cameras),
        ledger=Ledger(),
        rhythm=Rhythm(),
        reprojection=Reprojection(rig, len(skeleton.joints), crops, poses) if rig is not None else None,
    )
    zero_ns: int | None = None  # capture time of second 0
    span_ns = max(1, session.end_ns - session.start_ns)
    for logged in session.logged(Pose3D, Keypoints2D, CameraHealth, FusionHealth, Mark):
        try:
            message = logged.message()
        except WireError:
            session.undecodable += 1
            continue
        since_ns = logged.log_ns - session.start_ns
        if zero_ns is None and isinstance(message, Pose3D):
            zero_ns = message.captured_ns - since_ns + _latency_ns(message, since_ns)
        captured_s = (message.captured_ns - zero_ns) * 1e-9 if zero_ns is not None else 0.0
        is_instant = isinstance(message, Pose3D) or (isinstance(message, Mark) and captured_s > 0)
        _take_in(gathered, message, captured_s if is_instant else since_ns * 1e-9)
        progress(since_ns / span_ns)
    gathered.end_s = max(gathered.end_s, (session.end_ns - session.start_ns) * 1e-9)
    return gathered


def _take_in(gathered: Gathered, message: Message, at_s: float) -> None:
    match message:
        case Pose3D():
            if any(len(person.joints_m) != len(gathered.skeleton.joints) for person in message.people):
                raise SessionError(
                    f"it has poses of {len(message.people[0].joints_m)} joints, and says that its skeleton "
                    f"{gathered.skeleton.name} has {len(gathered.skeleton.joints)}: it was put together of two takes"
                )
            gathered.frame = message.frame
            gathered.end_s = max(gathered.end_s, at_s)
            gathered.rhythm.add(at_s, message)
            gathered.people.add(at_s, message)
            gathered.cameras.add_pose(at_s, message)
            gathered.ledger.add(at_s, message)
            if gathered.reprojection is not None:
                gathered.reprojection.add_pose(at_s, message)
        case Keypoints2D():
            if gathered.reprojection is not None:
                gathered.reprojection.add_keypoints(message)
        case CameraHealth():
            gathered.cameras.add_health(at_s, message)
        case Mark() if len(gathered.marks) < MOST_MARKS:
            gathered.marks.append((at_s, message.text))
        case FusionHealth():
            gathered.cameras.add_fusion(at_s, message)


def _latency_ns(pose: Pose3D, since_ns: int) -> int:
    """How old a pose was when it was logged; 0 where its times are a recording's."""
    latency_ns = pose.published_ns - pose.captured_ns
    return latency_ns if 0 <= latency_ns <= min(LIVE_NS, since_ns) else 0


def _skeleton(session: SessionReader) -> Skeleton:
    """Of the poses. Raises SessionError when nobody knows it."""
    told = session.skeleton()
    if told is not None:
        return told
    first = next(session.messages(Pose3D), None)
    if first is None:
        return MEDIAPIPE33
    if first.skeleton not in SKELETONS:
        raise SessionError(f"{session.path}: it does not say which joints its skeleton {first.skeleton!r} has")
    return SKELETONS[first.skeleton]
