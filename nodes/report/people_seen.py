"""What a take tells of each person: paths of the main joints, when seen, how surely and by whom. Bounded memory."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lifter.skeleton import Skeleton
from nodes.offline.compared import HIPS, named
from nodes.report.timeline import Spread, Timeline
from nodes.wire.messages import Origin, Person3D, Pose3D

F64 = npt.NDArray[np.float64]

MOST_FOLLOWED = 24  # people whose paths are kept; of others the times
MOST_KNOWN = 2000
GAP_S = 0.25  # unseen for longer than fusion carries somebody on
MAIN = {
    "middle of the hips": (HIPS, ("pelvis",)),
    "head": (("nose",), ("head",), ("head_top",)),
    "left wrist": (("left_wrist",),),
    "right wrist": (("right_wrist",),),
    "left ankle": (("left_ankle",),),
    "right ankle": (("right_ankle",),),
}
SIGMA_M = (1e-4, 10.0)


@dataclass
class Seen:
    """When somebody was there. gaps: times without, longer than GAP_S, before the same id came back."""

    first_s: float
    last_s: float
    poses: int = 0
    gaps: int = 0
    longest_gap_s: float = 0.0
    joints: int = 0  # reported, over all poses


@dataclass
class Path:
    """Where somebody was: sums of x, y, z and how many (T, K, 4), least and greatest height (T, K)."""

    places: Timeline = field(default_factory=lambda: Timeline(len(MAIN), 4))
    lowest: Timeline = field(default_factory=lambda: Timeline(len(MAIN), combine=np.minimum))
    highest: Timeline = field(default_factory=lambda: Timeline(len(MAIN), combine=np.maximum))


class PeopleSeen:
    """Takes in poses one by one. seen: by id; paths: of those who are followed. crowd: people in each pose."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._main = _main_joints(skeleton)
        n_joints = len(skeleton.joints)
        self.seen: dict[int, Seen] = {}
        self.paths: dict[int, Path] = {}
        self.unknown = 0  # people beyond MOST_KNOWN
        self.sigma_m = Spread(n_joints, *SIGMA_M)
        self.origins = Timeline(len(Origin))
        self.origin_of = np.zeros((n_joints, len(Origin)), dtype=np.int64)
        self.crowd = Timeline(2)  # poses, people in them
        self.people_in_poses: dict[int, int] = {}

    def add(self, at_s: float, pose: Pose3D) -> None:
        """One tick."""
        self.crowd.add(at_s, (1, len(pose.people)))
        self.people_in_poses[len(pose.people)] = self.people_in_poses.get(len(pose.people), 0) + 1
        for person in pose.people:
            self._add_person(at_s, person)

    def _add_person(self, at_s: float, person: Person3D) -> None:
        kinds = np.minimum(person.origin, len(Origin) - 1)
        self.origins.add(at_s, np.bincount(kinds, minlength=len(Origin)))
        self.origin_of[np.arange(len(kinds)), kinds] += 1
        self.sigma_m.add(person.sigma_m)
        present = np.isfinite(person.joints_m).all(axis=1)
        seen = self.seen.get(person.id)
        if seen is None:
            if len(self.seen) >= MOST_KNOWN:
                self.unknown += 1
                return
            seen = self.seen[person.id] = Seen(at_s, at_s)
        gap_s = at_s - seen.last_s
        if gap_s > GAP_S:
            seen.gaps, seen.longest_gap_s = seen.gaps + 1, max(seen.longest_gap_s, gap_s)
        seen.last_s, seen.poses, seen.joints = at_s, seen.poses + 1, seen.joints + int(present.sum())
        self._follow(at_s, person)

    def _follow(self, at_s: float, person: Person3D) -> None:
        path = self.paths.get(person.id)
        if path is None:
            if len(self.paths) >= MOST_FOLLOWED:  # make room for newcomers at the cost of who was there the least
                del self.paths[min(self.paths, key=lambda known: self.seen[known].poses)]
            path = self.paths[person.id] = Path()
        places = np.array([_middle(person.joints_m, rows) for rows in self._main], dtype=np.float64)
        known = np.isfinite(places).all(axis=1)
        path.places.add(at_s, np.column_stack([np.where(known[:, None], places, 0.0), known]))
        path.lowest.add(at_s, np.where(known, places[:, 2], np.inf))
        path.highest.add(at_s, np.where(known, places[:, 2], -np.inf))


def longest_first(people: PeopleSeen) -> list[int]:
    """Ids of those whose paths are kept, who was there the most first."""
    return sorted(people.paths, key=lambda known: -people.seen[known].poses)


def _main_joints(skeleton: Skeleton) -> list[list[int]]:
    """Rows of the joints that each of MAIN is the middle of; all joints for the hips of a skeleton without."""
    joints = named(skeleton.joints).joints
    rows = []
    for choices in MAIN.values():
        chosen = next((parts for parts in choices if set(parts) <= set(joints)), ())
        rows.append([joints.index(joint) for joint in chosen])
    rows[0] = rows[0] or list(range(len(joints)))
    return rows


def _middle(joints_m: npt.NDArray[np.float32], rows: list[int]) -> tuple[float, ...]:
    if not rows:
        return (math.nan,) * 3
    return tuple(joints_m[rows].mean(axis=0).tolist())
