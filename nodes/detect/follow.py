"""Several people in one camera's pictures: whom to look for where, who is new, who was found twice. Pure.

Everybody is followed from frame to frame by the circle that the landmark model itself gives for the next one (see
`nodes.detect.regions`). What fusion expects says who that is, and takes over where the two disagree: a crop that has
slipped onto somebody else, or a person who was hidden. By turns the whole picture and tiles are searched for newcomers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nodes.detect.regions import Regions

F64 = npt.NDArray[np.float64]
Window = tuple[int, int, int, int]  # left, top, width, height in px

# Distances are in radii of the circle: about 0.95 m of a standing person.
AGREES = 0.35  # a circle's middle this near is the same person's
ALIKE = 1.5  # and its radius within this factor
MEETS = 0.6  # of both radii: bodies are narrower than their circles
SLIPPED = 0.5  # what is found farther off than this is not whom the circle was meant for
TWICE = 0.12  # mean distance of all joints: two crops of one person differ by 0.03, two people stand farther apart
MAX_STRANGERS = 4  # people nobody asked for, whom a camera follows by itself
MAX_NEW = 2  # newcomers looked at in one frame, so that its cost stays even


@dataclass(frozen=True)
class Found:
    """A person in the picture. keypoints_px: (J, 2). confidence: (J,). presence: in [0, 1], how surely it is one.

    circle: (4,) where the person is and, but for its motion, will be in the next frame.
    """

    keypoints_px: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    presence: float
    circle: F64


class Look(Protocol):
    """One picture, and the models to look at it."""

    size_wh: tuple[int, int]

    def person_at(self, circle: F64, before: Sequence[Found]) -> Found | None:
        """The person whom this circle is around, behind those before; None when there is none."""

    def people_in(self, window: Window, known: Sequence[Found]) -> F64:
        """Circles (N, 4), surest first, of people in a part of the picture, other than those known."""


@dataclass(frozen=True)
class _Wanted:
    """A circle to look at: asked_id -1 and expected None when nobody asked for it."""

    circle: F64
    asked_id: int = -1
    expected: F64 | None = None

    def distance(self, found: Found) -> float:
        """From where it was expected, in radii; infinite when it was not."""
        return np.inf if self.expected is None else _distance(found.circle, self.expected)


@dataclass(frozen=True)
class Person:
    """Somebody found, and as whom: the id that was asked for, or -1."""

    found: Found
    asked_id: int
    distance: float


class Follower:
    """The memory from frame to frame of one camera. search_every: frames between two looks for newcomers."""

    def __init__(self, search_every: int) -> None:
        self._search_every = search_every
        self._followed: list[Person] = []
        self._since_search = search_every
        self._turn = 0

    def step(self, look: Look, regions: Regions) -> list[Person]:
        """Everybody in the next picture."""
        people = without_doubles(_look_at(look, wanted_circles(self._followed, regions)))
        self._since_search += 1
        if self._since_search >= self._search_every or not people:
            people = self._with_newcomers(look, people)
        self._followed = people
        return people

    def _with_newcomers(self, look: Look, people: list[Person]) -> list[Person]:
        """Search one window; again in the next frame when somebody was there, who may have stood before others."""
        windows = search_turns(look.size_wh)
        known = [person.found for person in people]
        circles = [
            circle
            for circle in look.people_in(windows[self._turn % len(windows)], known)
            if not any(_distance(circle, found.circle) < AGREES for found in known)
        ]
        found = [look.person_at(circle, ()) for circle in circles[:MAX_NEW]]
        strangers = [Person(one, -1, np.inf) for one in found if one is not None]  # who it is, the next frame tells
        more = without_doubles([*people, *strangers])
        if len(more) > len(people):
            self._since_search = self._search_every
        else:
            self._since_search, self._turn = 0, self._turn + 1
        return more


def _look_at(look: Look, wanted: list[_Wanted]) -> list[Person]:
    """Who is found, the nearest first, so that whoever stands behind is looked for behind those already found.

    Where two overlap, the crop of the one behind shows both, and the model takes the one in front.
    """
    people: list[Person] = []
    for one in wanted:
        in_front = [
            p.found for p in people if p.asked_id >= 0 and one.asked_id >= 0 and _meet(p.found.circle, one.circle)
        ]
        found = look.person_at(one.circle, in_front)
        if found is not None:
            people.append(_as_whom(one, found))
    return people


def wanted_circles(followed: list[Person], regions: Regions) -> list[_Wanted]:
    """Whom to look for where: who is asked for, at its followed circle where that agrees, then a few strangers."""
    pairs = sorted(
        (_distance(person.found.circle, circle) - AGREES * (person.asked_id == asked_id), k, f)
        for f, person in enumerate(followed)
        for k, (asked_id, circle) in enumerate(zip(regions.ids.tolist(), regions.circles, strict=True))
        if _agree(person.found.circle, circle)
    )
    follows: dict[int, int] = {}  # region → followed
    for _, k, f in pairs:
        if k not in follows and f not in follows.values():
            follows[k] = f
    asked = [
        _Wanted(followed[follows[k]].found.circle if k in follows else circle, asked_id, circle)
        for k, (asked_id, circle) in enumerate(zip(regions.ids.tolist(), regions.circles, strict=True))
    ]
    strangers = [_Wanted(p.found.circle) for f, p in enumerate(followed) if f not in follows.values()]
    return asked + strangers[:MAX_STRANGERS]


def without_doubles(people: list[Person]) -> list[Person]:
    """One detection a person: the one nearest to where it was expected; among strangers, the surest."""
    kept: list[Person] = []
    for person in sorted(people, key=lambda p: (p.distance, -p.found.presence)):
        if not any(is_same(person.found, other.found) for other in kept):
            kept.append(person)
    return kept


def is_same(one: Found, other: Found) -> bool:
    """Whether two detections are of the same person."""
    apart_px = np.linalg.norm(one.keypoints_px - other.keypoints_px, axis=1).mean()
    return bool(apart_px < TWICE * max(one.circle[2], other.circle[2]))


def search_turns(size_wh: tuple[int, int]) -> list[Window]:
    """Where to look for newcomers, one look a turn: the whole picture and, in between, overlapping halves of it."""
    width, height = size_wh
    whole = (0, 0, width, height)
    if width >= height:
        halves = [(start, 0, width // 2, height) for start in (0, width // 4, width - width // 2)]
    else:
        halves = [(0, start, width, height // 2) for start in (0, height // 4, height - height // 2)]
    return [window for half in halves for window in (whole, half)]


def _as_whom(wanted: _Wanted, found: Found) -> Person:
    """Found at a circle; a stranger when it is not where the one asked for was expected."""
    distance = wanted.distance(found)
    return Person(found, wanted.asked_id, distance) if distance < SLIPPED else Person(found, -1, np.inf)


def _agree(circle: F64, other: F64) -> bool:
    return _distance(circle, other) < AGREES and 1 / ALIKE < circle[2] / other[2] < ALIKE


def _meet(circle: F64, other: F64) -> bool:
    """Whether the bodies may overlap in the picture."""
    return bool(np.hypot(*(circle[:2] - other[:2])) < MEETS * (circle[2] + other[2]))


def _distance(circle: F64, other: F64) -> float:
    """Between the middles, in radii of the larger one."""
    return float(np.hypot(*(circle[:2] - other[:2])) / max(circle[2], other[2]))
