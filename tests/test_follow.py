"""Whom a camera looks for where, on pictures made of circles: the models are stood in for by what is really there."""

from collections.abc import Sequence

import numpy as np
import pytest

from nodes.detect.follow import MAX_NEW, MAX_STRANGERS, Follower, Found, Person, Window, search_turns, without_doubles
from nodes.detect.regions import Regions

SIZE_WH = (640, 480)
BODY = np.random.default_rng(0).uniform(-0.5, 0.5, (33, 2))
NOBODY = Regions(np.empty(0, dtype=np.int64), np.empty((0, 4)))


def circle(x: float, y: float = 240.0, radius: float = 100.0) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([x, y, radius, 0.0])


def found(x: float, presence: float = 0.9, radius: float = 100.0) -> Found:
    keypoints_px = (BODY * radius + [x, 240.0]).astype(np.float32)
    return Found(keypoints_px, np.ones(33, dtype=np.float32), presence, circle(x, radius=radius))


def asked(*people: tuple[int, float]) -> Regions:
    ids = np.array([person_id for person_id, _ in people], dtype=np.int64)
    return Regions(ids, np.array([circle(x) for _, x in people]).reshape(-1, 4))


class Scene:
    """People at places along the picture's middle. A crop shows the one nearest to its centre, within its radius."""

    size_wh = SIZE_WH

    def __init__(self, *places: float) -> None:
        self.places = places
        self.looked: list[float] = []
        self.searched: list[Window] = []
        self.before: list[list[float]] = []

    def person_at(self, circle, before):
        self.looked.append(float(circle[0]))
        self.before.append([float(one.circle[0]) for one in before])
        near = sorted(self.places, key=lambda x: abs(x - circle[0]))
        return found(near[0]) if near and abs(near[0] - circle[0]) < circle[2] else None

    def people_in(self, window: Window, known: Sequence[Found]):
        self.searched.append(window)
        hidden = [one.circle[0] for one in known]
        seen = [x for x in self.places if window[0] <= x < window[0] + window[2]]
        return np.array([circle(x) for x in seen if x not in hidden]).reshape(-1, 4)


def who(people: list[Person]) -> dict[int, float]:
    """Where each asked id was found; strangers are told as -1."""
    return {person.asked_id: float(person.found.circle[0]) for person in people}


def test_from_nothing_everybody_is_found_and_then_followed_without_a_search():
    follower = Follower(search_every=6)
    scene = Scene(150, 320)
    assert sorted(p.found.circle[0] for p in follower.step(scene, NOBODY)) == [150, 320]
    follower.step(scene, NOBODY)
    moved = Scene(160, 330)
    people = follower.step(moved, NOBODY)
    assert sorted(p.found.circle[0] for p in people) == [160, 330]
    assert [p.asked_id for p in people] == [-1, -1]
    assert moved.searched == []
    assert moved.looked == [150, 320], "where they were in the frame before"


def test_fusion_says_who_it_is_and_the_newer_place_is_looked_at():
    follower = Follower(search_every=100)
    follower.step(Scene(150, 400), NOBODY)
    scene = Scene(150, 400)
    assert who(follower.step(scene, asked((7, 410), (8, 140)))) == {7: 400, 8: 150}
    assert sorted(scene.looked) == [150, 400]


def test_whom_the_camera_had_lost_is_looked_for_where_fusion_expects_them():
    follower = Follower(search_every=100)
    follower.step(Scene(150), NOBODY)
    assert who(follower.step(Scene(150, 450), asked((7, 150), (8, 460)))) == {7: 150, 8: 450}


def test_a_crop_that_slipped_onto_somebody_else_is_set_right():
    """Person 8 was hidden and both circles came to lie on 7; when 8 shows again, the expectation finds them."""
    follower = Follower(search_every=100)
    follower.step(Scene(300, 330), asked((7, 300), (8, 330)))
    hidden = follower.step(Scene(300), asked((7, 300), (8, 340)))
    assert who(hidden) == {7: 300}, "one person is told once"
    assert who(follower.step(Scene(300, 420), asked((7, 300), (8, 420)))) == {7: 300, 8: 420}


def test_what_is_found_far_from_where_it_was_expected_is_nobody_that_was_asked_for():
    follower = Follower(search_every=100)
    follower.step(Scene(), NOBODY)
    assert who(follower.step(Scene(300), asked((7, 380)))) == {-1: 300}


def test_who_stands_behind_another_is_looked_for_behind_that_one():
    follower = Follower(search_every=100)
    follower.step(Scene(), NOBODY)
    scene = Scene(100, 300, 350)
    follower.step(scene, asked((7, 350), (8, 300), (9, 100)))
    assert scene.looked == [350, 300, 100], "the nearest first, as fusion says"
    assert scene.before == [[], [350], []]


def test_two_who_cross_keep_their_names():
    follower = Follower(search_every=100)
    names = []
    for step in range(21):
        a, b = 200 + 10 * step, 400 - 10 * step
        people = follower.step(Scene(a, b), asked((1, a + 3), (2, b - 3)))
        names.append({p.asked_id: p.found.circle[0] for p in people})
    assert names[0] == {1: 200, 2: 400}
    assert names[-1] == {1: 400, 2: 200}


def test_who_is_told_of_once_the_one_in_front_is_known_comes_with_the_next_frame():
    """A person model that gives only the most striking person of those it does not know."""

    class OneAtATime(Scene):
        def people_in(self, window, known):
            return super().people_in(window, known)[:1]

    follower = Follower(search_every=100)
    assert [len(follower.step(OneAtATime(150, 300, 450), NOBODY)) for _ in range(3)] == [1, 2, 3]


def test_who_leaves_is_forgotten():
    follower = Follower(search_every=100)
    follower.step(Scene(150, 400), NOBODY)
    assert len(follower.step(Scene(150), NOBODY)) == 1
    scene = Scene(150)
    follower.step(scene, NOBODY)
    assert scene.looked == [150]


def test_newcomers_are_looked_for_now_and_then_and_in_an_empty_picture_every_time():
    follower = Follower(search_every=5)
    searched = []
    for _ in range(21):
        scene = Scene(150)
        follower.step(scene, NOBODY)
        searched.append(len(scene.searched))
    assert searched == [1] + [1, 0, 0, 0, 0] * 4, "and at once again where somebody was found"
    for _ in range(3):
        empty = Scene()
        follower.step(empty, NOBODY)
        assert len(empty.searched) == 1


@pytest.mark.parametrize("size_wh", [(640, 480), (480, 640), (1920, 1080), (33, 7), (1, 1)])
def test_a_round_of_searches_covers_the_picture_with_overlapping_tiles(size_wh):
    turns = search_turns(size_wh)
    assert len({turn for turn in turns if turn != (0, 0, *size_wh)}) <= 3
    covered = np.zeros(size_wh[::-1], dtype=int)
    for left, top, width, height in turns[1::2]:
        assert left >= 0
        assert top >= 0
        assert left + width <= size_wh[0]
        assert top + height <= size_wh[1]
        covered[top : top + height, left : left + width] += 1
    assert (covered >= (size_wh != (1, 1))).all()
    follower = Follower(search_every=1)
    looks = []
    for _ in turns:
        scene = Scene()
        scene.size_wh = size_wh
        follower.step(scene, NOBODY)
        looks += scene.searched
    assert looks == turns, "by turns, the whole picture first"


def test_a_crowd_of_strangers_costs_no_more_than_a_few():
    crowd = Scene(*range(0, 640, 40))
    follower = Follower(search_every=1)
    for _ in range(20):
        crowd.looked.clear()
        follower.step(crowd, asked((1, 0.0)))
        assert len(crowd.looked) <= 1 + MAX_STRANGERS + MAX_NEW


def test_of_two_detections_of_one_person_the_expected_or_the_surer_one_stays():
    near, far = Person(found(300, 0.6), 7, 0.1), Person(found(304, 0.9), 8, 0.3)
    stranger = Person(found(302, 0.99), -1, np.inf)
    assert [p.asked_id for p in without_doubles([stranger, far, near])] == [7]
    sure, unsure = Person(found(300, 0.9), -1, np.inf), Person(found(304, 0.6), -1, np.inf)
    assert without_doubles([unsure, sure]) == [sure]
    assert len(without_doubles([near, Person(found(330), 8, 0.1)])) == 2, "a hand's breadth apart they are two"
