"""How far two results of the same instant are apart, person by person. Pure; joints are matched by their names."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lifter.datasets.errors import DatasetError
from lifter.skeleton import Skeleton
from nodes.offline.compared import Compared, Named, compared, named
from nodes.page.bodies import skeleton_named
from nodes.wire.messages import Person3D, Pose3D

F64 = npt.NDArray[np.float64]
SAME_PERSON_M = 0.5  # mean distance beyond which two are not the same person; as `compare` has it
APART_NS = 150_000_000  # instants farther apart are not compared


@dataclass(frozen=True)
class Apart:
    """One person in both results: their ids, distances of the joints that both have, and the farthest one's name."""

    id: int
    beside_id: int
    mean_mm: float
    largest_mm: float
    joint: str
    n_joints: int


@dataclass(frozen=True)
class Difference:
    """Of two poses. alone, beside_alone: ids of those that one of them has alone. why_not: why nothing is told."""

    people: tuple[Apart, ...] = ()
    alone: tuple[int, ...] = ()
    beside_alone: tuple[int, ...] = ()
    why_not: str = ""

    @property
    def mean_mm(self) -> float:
        """Over all joints of everybody; NaN of nobody."""
        joints = sum(person.n_joints for person in self.people)
        total = sum(person.mean_mm * person.n_joints for person in self.people)
        return total / joints if joints else float("nan")

    @property
    def largest_mm(self) -> float:
        return max((person.largest_mm for person in self.people), default=float("nan"))


def difference(pose: Pose3D, beside: Pose3D, told: Skeleton | None) -> Difference:
    """Everybody of the one beside the nearest of the other. told: the skeleton that the system describes."""
    if abs(pose.captured_ns - beside.captured_ns) > APART_NS:
        return Difference(why_not="the second result has nothing at this instant")
    names = (_joints(pose, told), _joints(beside, told))
    both = _both(names[0], names[1])
    if both is None:
        return Difference(why_not=f"{pose.skeleton} and {beside.skeleton} have no joint in common")
    ours, theirs = (_positions(pose, names[0], both.of_truth), _positions(beside, names[1], both.of_found))
    distances_m = np.array([[_distances_m(a, b) for b in theirs] for a in ours])
    distances_m = distances_m.reshape(len(ours), len(theirs), len(both.names))
    pairs = _pairs(distances_m)
    return Difference(
        people=tuple(
            _apart(pose.people[a], beside.people[b], distances_m[a, b], both.names) for a, b in sorted(pairs.items())
        ),
        alone=tuple(person.id for a, person in enumerate(pose.people) if a not in pairs),
        beside_alone=tuple(person.id for b, person in enumerate(beside.people) if b not in pairs.values()),
    )


def _joints(pose: Pose3D, told: Skeleton | None) -> tuple[str, ...]:
    """Their names; numbers where nobody knows the skeleton."""
    count = max((len(person.joints_m) for person in pose.people), default=0)
    skeleton = skeleton_named(pose.skeleton, told)
    if skeleton is not None and count in (0, len(skeleton.joints)):
        return skeleton.joints
    return tuple(f"{pose.skeleton} joint {index}" for index in range(count))


@lru_cache(maxsize=16)
def _both(ours: tuple[str, ...], theirs: tuple[str, ...]) -> Compared | None:
    try:
        return compared(_named(ours), _named(theirs))
    except DatasetError:
        return None


@lru_cache(maxsize=16)
def _named(joints: tuple[str, ...]) -> Named:
    return named(joints)


def _positions(pose: Pose3D, joints: tuple[str, ...], wanted: tuple[dict[str, float], ...]) -> list[F64]:
    """(K, 3) of each person; NaN where absent."""
    fits = [person.joints_m.shape == (len(joints), 3) for person in pose.people]
    nothing = np.full((len(wanted), 3), np.nan)
    return [
        _named(joints).positions(person.joints_m, wanted) if fit else nothing
        for person, fit in zip(pose.people, fits, strict=True)
    ]


def _distances_m(a: F64, b: F64) -> F64:
    with np.errstate(over="ignore", invalid="ignore"):
        distances_m: F64 = np.linalg.norm(a - b, axis=-1)
    return np.where(np.isfinite(distances_m), distances_m, np.nan)


def _pairs(distances_m: F64) -> dict[int, int]:
    """Whom of the second result each of the first is, the nearest pair first."""
    count = np.isfinite(distances_m).sum(axis=-1)
    mean_m = np.where(count > 0, np.nansum(distances_m, axis=-1) / np.maximum(count, 1), np.inf)
    pairs: dict[int, int] = {}
    for flat in np.argsort(mean_m, axis=None, kind="stable"):
        a, b = (int(index) for index in np.unravel_index(flat, mean_m.shape))
        if mean_m[a, b] <= SAME_PERSON_M and a not in pairs and b not in pairs.values():
            pairs[a] = b
    return pairs


def _apart(ours: Person3D, theirs: Person3D, distances_m: F64, names: tuple[str, ...]) -> Apart:
    farthest = int(np.nanargmax(distances_m))
    return Apart(
        id=ours.id,
        beside_id=theirs.id,
        mean_mm=1000 * float(np.nanmean(distances_m)),
        largest_mm=1000 * float(distances_m[farthest]),
        joint=names[farthest].replace("_", " "),
        n_joints=int(np.isfinite(distances_m).sum()),
    )
