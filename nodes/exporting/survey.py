"""The first look at a session's poses: who is in them, from when to when, how often, and poses to measure bodies by.

Pure, over an iterator, in bounded memory: of each person, at most SAMPLES poses are kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from nodes.wire.messages import Origin, Person3D, Pose3D

F32 = npt.NDArray[np.float32]
T = TypeVar("T")

SAMPLES = 512  # poses per person: the error of a median of them is a twentieth of their scatter
INTERVALS = 4096
USUAL_RATES = np.array([*range(1, 241), 24 / 1.001, 30 / 1.001, 60 / 1.001, 120 / 1.001])
SAME_RATE = 3e-4  # ticks are rounded to whole nanoseconds, and clocks drift
UNSURE_M = 0.05  # a joint's sigma above which no bone is measured by it


@dataclass(frozen=True)
class Series:
    """Poses that belong together: of one fusion node, one skeleton and one frame of reference."""

    source: str
    skeleton: str
    frame: str


class EvenSample(Generic[T]):
    """Some of many things, evenly spread: at first every one, later every second, every fourth and so on."""

    def __init__(self, most: int) -> None:
        self.kept: list[T] = []
        self._most, self._step, self._count = most, 1, 0

    def add(self, thing: T) -> None:
        if self._count % self._step == 0:
            if len(self.kept) == self._most:
                self.kept = self.kept[::2]
                self._step *= 2
            if self._count % self._step == 0:
                self.kept.append(thing)
        self._count += 1


@dataclass
class Stay:
    """One id's time in the session. sample: some of the poses, (J, 3) metres, NaN where absent or unsure."""

    id: int
    first_ns: int
    last_ns: int
    poses: int = 0
    sample: EvenSample[F32] = field(default_factory=lambda: EvenSample(SAMPLES))

    @property
    def seconds(self) -> float:
        return (self.last_ns - self.first_ns) * 1e-9


@dataclass(frozen=True)
class Survey:
    """What there is to export. n_joints: 0 when nobody is in it. moments: poses of the series.

    cameras: all that `views` may speak of, in order. rate_hz: the usual one, NaN of a single pose. restarts: how often
    fusion began anew. left_out: poses of other series, or not later than the one before.
    """

    series: Series
    n_joints: int
    stays: tuple[Stay, ...]
    cameras: tuple[str, ...]
    first_ns: int
    last_ns: int
    moments: int
    rate_hz: float
    restarts: int
    left_out: int


@dataclass
class _Found:
    first_ns: int
    last_ns: int
    seq: int = -1
    moments: int = 0
    restarts: int = 0
    n_joints: int = 0
    stays: dict[int, Stay] = field(default_factory=dict)
    cameras: dict[str, None] = field(default_factory=dict)
    steps_ns: EvenSample[int] = field(default_factory=lambda: EvenSample(INTERVALS))


def survey(poses: Iterable[Pose3D]) -> Survey | None:
    """Look through the poses; None when there is none. Of several series, the one with most poses is taken."""
    found: dict[Series, _Found] = {}
    total = 0
    for pose in poses:
        total += 1
        _note(found.setdefault(series_of(pose), _Found(pose.captured_ns, pose.captured_ns - 1)), pose)
    if not found:
        return None
    series, most = max(found.items(), key=lambda each: each[1].moments)
    return Survey(
        series=series,
        n_joints=most.n_joints,
        stays=tuple(sorted(most.stays.values(), key=lambda stay: stay.id)),
        cameras=tuple(most.cameras),
        first_ns=most.first_ns,
        last_ns=most.last_ns,
        moments=most.moments,
        rate_hz=usual_rate_hz(most.steps_ns.kept),
        restarts=most.restarts,
        left_out=total - most.moments,
    )


def series_of(pose: Pose3D) -> Series:
    """What series a pose belongs to."""
    return Series(pose.source, pose.skeleton, pose.frame)


def rising(poses: Iterable[Pose3D], series: Series) -> Iterator[Pose3D]:
    """The poses of a series, each later than the one before."""
    last_ns = -1
    for pose in poses:
        if series_of(pose) == series and pose.captured_ns > last_ns:
            last_ns = pose.captured_ns
            yield pose


def known_joints(person: Person3D) -> F32:
    """joints_m (J, 3), NaN where any of it is absent."""
    absent = (person.origin == Origin.ABSENT) | ~np.isfinite(person.joints_m).all(axis=1)
    return np.where(absent[:, None], np.float32(np.nan), person.joints_m)


def usual_rate_hz(steps_ns: list[int]) -> float:
    """Poses per second by the median step; a usual rate, where it is one."""
    if not steps_ns:
        return float("nan")
    rate = 1e9 / float(np.median(steps_ns))
    nearest = float(USUAL_RATES[np.abs(USUAL_RATES - rate).argmin()])
    return nearest if abs(nearest / rate - 1.0) < SAME_RATE else round(rate, 3)


def _note(found: _Found, pose: Pose3D) -> None:
    if pose.seq < found.seq:
        found.restarts += 1
    found.seq = pose.seq
    if pose.captured_ns <= found.last_ns:
        return
    if found.moments:
        found.steps_ns.add(pose.captured_ns - found.last_ns)
    found.last_ns = pose.captured_ns
    found.moments += 1
    found.cameras.update(dict.fromkeys(pose.cameras))
    for person in pose.people:
        joints_m = known_joints(person)
        found.n_joints = found.n_joints or len(joints_m)
        if len(joints_m) == found.n_joints and np.isfinite(joints_m).any():
            _note_person(found, pose.captured_ns, person, joints_m)


def _note_person(found: _Found, captured_ns: int, person: Person3D, joints_m: F32) -> None:
    stay = found.stays.get(person.id)
    if stay is None:
        stay = found.stays[person.id] = Stay(person.id, captured_ns, captured_ns)
    stay.last_ns = captured_ns
    stay.poses += 1
    unsure = (person.origin == Origin.PREDICTED) | (person.sigma_m > UNSURE_M)
    stay.sample.add(np.where(unsure[:, None], np.float32(np.nan), joints_m))
