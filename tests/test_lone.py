"""People whom one view alone shows, and two who are followed and are one."""

import numpy as np
import pytest

from lifter.skeleton import MEDIAPIPE33
from nodes.stages.evidence import doubles
from nodes.stages.lone import LONE_S, regroup
from nodes.stages.newcomers import Newcomers
from tests.crowd import Actor, look, rig_of

N_CAMERAS = 4
NEVER_PLACED = np.inf
LONG_S = 5.0
PLACED = np.array([False])


def newcomers(*groups):
    """People of these detections (C,), of whom nothing else is known."""
    who = np.array(groups).reshape(-1, N_CAMERAS)
    n = len(who)
    as_is = np.zeros(who.shape, dtype=np.bool_)
    return Newcomers(who, as_is, np.zeros((n, 33, 3)), np.ones((n, 33)), np.zeros(n), np.ones(n))


class Search:
    """Finds one newcomer: the free detections (C,) and those that are lent. asked: what was lent each time."""

    def __init__(self, *free):
        self._free = free
        self.asked: list[list[list[int]]] = []

    def __call__(self, lent):
        self.asked.append(lent.tolist())
        together = np.max([self._free, *lent], axis=0)
        return newcomers(together) if (together >= 0).sum() >= 2 else newcomers()


def people(*rows):
    return np.array(rows).reshape(-1, N_CAMERAS)


def never(newcomer, k):
    return False


def always(newcomer, k):
    return True


def test_who_was_never_placed_is_the_newcomer_of_the_other_views_under_the_same_id():
    grouped = regroup(
        people([-1, -1, 0, -1]), np.array([NEVER_PLACED]), PLACED, np.array([True]), Search(0, 0, -1, 0), never
    )
    assert grouped.newcomers.who.tolist() == [[0, 0, 0, 0]]
    assert grouped.heir_of.tolist() == [0]
    assert grouped.who.tolist() == [[-1, -1, -1, -1]]


@pytest.mark.parametrize(("is_shown", "heir"), [((False, False), 0), ((False, True), 1), ((True, True), 0)])
def test_of_two_never_placed_the_older_goes_on_and_sooner_one_who_is_shown(is_shown, heir):
    who = people([-1, -1, 0, -1], [-1, 0, -1, -1])
    grouped = regroup(
        who, np.full(2, NEVER_PLACED), np.zeros(2, dtype=bool), np.array(is_shown), Search(0, -1, -1, -1), never
    )
    assert grouped.heir_of.tolist() == [heir]
    assert grouped.newcomers.who.tolist() == [[0, 0, 0, -1]]
    assert (grouped.who < 0).all()


def test_who_has_been_placed_near_there_takes_the_views_over():
    grouped = regroup(
        people([-1, -1, 0, -1]), np.array([LONG_S]), PLACED, np.array([True]), Search(0, -1, -1, -1), always
    )
    assert grouped.who.tolist() == [[0, -1, 0, -1]]
    assert len(grouped.newcomers.who) == 0


def test_who_has_been_placed_elsewhere_keeps_the_view_and_the_others_are_somebody_new():
    find = Search(0, 0, -1, -1)
    grouped = regroup(people([-1, -1, 0, -1]), np.array([LONG_S]), PLACED, np.array([True]), find, never)
    assert grouped.who.tolist() == [[-1, -1, 0, -1]]
    assert grouped.newcomers.who.tolist() == [[0, 0, -1, -1]]
    assert [len(lent) for lent in find.asked] == [1, 0]


def test_two_who_have_been_placed_are_never_one():
    who = people([-1, -1, 0, -1], [-1, 0, -1, -1])
    grouped = regroup(
        who, np.array([LONG_S, LONG_S]), np.zeros(2, dtype=bool), np.ones(2, dtype=bool), Search(-1, -1, -1, -1), always
    )
    assert grouped.who.tolist() == who.tolist()
    assert len(grouped.newcomers.who) == 0


@pytest.mark.parametrize(("row", "alone_s"), [([0, -1, 0, -1], NEVER_PLACED), ([-1, -1, 0, -1], LONE_S / 2)])
def test_nothing_is_lent_by_whom_two_views_show_or_showed_a_moment_ago(row, alone_s):
    find = Search(-1, 0, -1, 0)
    grouped = regroup(people(row), np.array([alone_s]), PLACED, np.array([True]), find, always)
    assert grouped.who.tolist() == [row]
    assert grouped.newcomers.who.tolist() == [[-1, 0, -1, 0]]
    assert find.asked == [[]]


def test_whose_double_was_found_lends_all_views_and_goes_on_with_those_of_both():
    who = people([-1, 0, 0, -1])
    grouped = regroup(who, np.zeros(1), ~PLACED, np.array([True]), Search(0, -1, -1, 0), never)
    assert grouped.newcomers.who.tolist() == [[0, 0, 0, 0]]
    assert grouped.heir_of.tolist() == [0]


def test_without_anybody_it_is_the_search_alone():
    nobody, none = people(), np.zeros(0)
    grouped = regroup(nobody, none, none.astype(bool), none.astype(bool), lambda lent: newcomers([0, 0, -1, -1]), never)
    assert grouped.newcomers.who.tolist() == [[0, 0, -1, -1]]
    assert grouped.heir_of.tolist() == [-1]


def seen_by(joints_m, views_of):
    """Rays (K, C, J, 2) and confidence (K, C, J) of people (K, 33, 3), each in the views of K lists."""
    seen = look(rig_of(N_CAMERAS), joints_m, np.random.default_rng(0), keep_order=True)
    there = np.array([[c in views for c in range(N_CAMERAS)] for views in views_of])[..., None]
    rays, confidence = (np.moveaxis(each, 0, 1) for each in (seen.detected.rays, seen.detected.confidence))
    return seen.arrays, np.where(there[..., None], rays, np.nan), np.where(there, confidence, 0.0), MEDIAPIPE33


@pytest.mark.parametrize(
    ("views_of", "expected"),
    [
        (([0, 3], [1]), [(0, 1)]),
        (([0, 3], [1, 2]), [(0, 1)]),
        (([0, 3], [1, 3]), []),  # a view shows both
        (([0], [1]), []),  # two views agree by chance
        (([0, 3], []), []),
    ],
)
def test_two_whom_no_view_shows_together_and_whose_views_agree_are_one(views_of, expected):
    joints_m = Actor().joints_m(0.0)[[0, 0]]
    assert doubles(*seen_by(joints_m, views_of)) == expected


@pytest.mark.parametrize("apart_m", [0.35, 0.6, 2.0])
def test_two_who_stand_apart_are_two_whatever_the_views_are(apart_m):
    joints_m = np.concatenate([Actor().joints_m(0.0), Actor(place_m=(0.0, apart_m), after_s=0.7).joints_m(0.0)])
    for views_of in (([0, 3], [1]), ([0, 1], [2, 3]), ([0, 2, 3], [1]), ([0, 2], [1, 3])):
        assert doubles(*seen_by(joints_m, views_of)) == []
