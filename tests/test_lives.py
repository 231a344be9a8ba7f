"""Who is born, shown, remembered and forgotten, and when."""

from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.stages.evidence import chance_misfit
from nodes.stages.lives import Arrival, Lives, State

TICK_NS = 33_000_000
GAP_NS = 250_000_000
FORGET_NS = 2_000_000_000
UNRIVALLED = Arrival(2, True, 0.1)
RIVALLED = Arrival(2, False, 0.1, crowd=3.0)
LONE = Arrival(1, False, nan)


class Story:
    """Ticks one after the other."""

    def __init__(self):
        self.lives = Lives(GAP_NS, FORGET_NS)
        self.now_ns = 0

    def tick(self, n_views=None, arrivals=(), doubted=()):
        self.now_ns += TICK_NS
        return self.lives.update(self.now_ns, n_views or {}, arrivals, doubted)

    def grown_up(self, n_people=1):
        """The keys of some who have been seen for long."""
        keys = self.tick(arrivals=[UNRIVALLED] * n_people).arrived
        for _ in range(20):
            self.tick(dict.fromkeys(keys, 3))
        return keys


@pytest.mark.parametrize(
    ("arrival", "is_shown"),
    [
        (Arrival(3, False, 0.2, crowd=3.0), True),
        (Arrival(3, False, 1.4, crowd=3.0), False),
        (Arrival(3, False, 0.4, crowd=40.0), False),
        (UNRIVALLED, True),
        (RIVALLED, False),
        (LONE, False),
    ],
)
def test_who_is_shown_at_once(arrival, is_shown):
    story = Story()
    (key,) = story.tick(arrivals=[arrival]).arrived
    assert (story.lives[key].state is State.PRESENT) == is_shown
    assert (story.lives[key].person_id is not None) == is_shown


def test_two_views_among_others_are_shown_when_seen_three_times_in_five():
    story = Story()
    (key,) = story.tick(arrivals=[RIVALLED]).arrived
    for n_views in (0, 2, 1):
        story.tick({key: n_views})
        assert story.lives[key].state is State.TENTATIVE
    story.tick({key: 2})
    assert story.lives[key].state is State.PRESENT


def test_two_views_that_do_not_come_again_are_gone():
    story = Story()
    (key,) = story.tick(arrivals=[RIVALLED]).arrived
    gone = [story.tick().gone for _ in range(3)]
    assert gone == [(), (), (key,)]
    assert story.lives.keys() == ()


def test_views_that_may_be_chance_do_not_count_for_somebody_new():
    story = Story()
    (key,) = story.tick(arrivals=[RIVALLED]).arrived
    for _ in range(3):
        story.tick({key: 3}, doubted={key})
    assert story.lives.keys() == ()


def test_the_only_view_must_see_somebody_ten_times_in_a_row():
    story = Story()
    (key,) = story.tick(arrivals=[LONE]).arrived
    for _ in range(8):
        story.tick({key: 1})
        assert story.lives[key].state is State.TENTATIVE
    story.tick({key: 1})
    assert story.lives[key].state is State.PRESENT
    (other,) = story.tick({key: 1}, arrivals=[LONE]).arrived
    assert story.tick({key: 1}).gone == (other,)


def test_who_is_not_seen_is_carried_on_then_remembered_then_forgotten():
    story = Story()
    (key,) = story.grown_up()
    states = []
    while key in story.lives.keys():  # noqa: SIM118
        states.append(story.lives[key].state)
        story.tick()
    present_ns = states.count(State.PRESENT) * TICK_NS
    assert GAP_NS - TICK_NS < present_ns <= GAP_NS + 2 * TICK_NS
    assert FORGET_NS - TICK_NS < len(states) * TICK_NS <= FORGET_NS + 2 * TICK_NS
    assert states == sorted(states, key=[State.PRESENT, State.DORMANT].index)


def test_who_comes_back_in_time_has_the_same_id():
    story = Story()
    (key,) = story.grown_up()
    person = story.lives[key].person_id
    for _ in range(30):
        story.tick()
    assert story.lives[key].state is State.DORMANT
    assert story.tick(arrivals=[Arrival(3, False, 0.1, reunited=key)]).arrived == (key,)
    assert story.lives[key].state is State.PRESENT
    assert story.lives[key].person_id == person


def test_who_was_seen_once_is_not_remembered():
    story = Story()
    (key,) = story.tick(arrivals=[UNRIVALLED]).arrived
    story.tick()
    assert story.lives[key].state is State.PRESENT
    assert story.tick().gone == (key,)


def test_who_is_proven_lives_on_one_view_but_not_on_chance_for_ever():
    story = Story()
    (key,) = story.grown_up()
    for _ in range(300):
        story.tick({key: 1})
    assert story.lives[key].state is State.PRESENT
    story.tick({key: 2})
    for _ in range(80):
        story.tick({key: 1}, doubted={key})
    assert story.lives[key].state is State.PRESENT
    for _ in range(80):
        story.tick({key: 1}, doubted={key})
    assert story.lives.keys(State.PRESENT) == ()


def test_of_two_on_top_of_each_other_the_younger_goes():
    story = Story()
    older, younger = story.grown_up(2)
    place = np.random.default_rng(0).normal(size=(17, 3))
    there = {older: place, younger: place + 0.05}
    gone: list[int] = []
    for _ in range(12):
        story.tick({older: 3, younger: 3})
        gone += story.lives.part_doubles(story.now_ns, {key: x for key, x in there.items() if key not in gone})
    assert gone == [younger]
    assert story.lives.keys() == (older,)


def test_of_two_who_are_one_person_the_younger_goes_at_once_and_later_when_proven():
    story = Story()
    (older,) = story.grown_up()
    (new,) = story.tick({older: 2}, [UNRIVALLED]).arrived
    apart = {older: np.zeros((17, 3)), new: np.ones((17, 3))}
    assert story.lives.part_doubles(story.now_ns, apart) == ()
    assert story.lives.part_doubles(story.now_ns, apart, {(older, new)}) == (new,)
    (proven,) = story.tick({older: 2}, [UNRIVALLED]).arrived
    apart[proven] = apart.pop(new)
    gone: list[tuple[int, ...]] = []
    for _ in range(22):
        story.tick({older: 2, proven: 2})
        gone.append(story.lives.part_doubles(story.now_ns, apart, {(older, proven)} if len(gone) >= 10 else ()))
    assert gone[:20] == [()] * 20
    assert gone[20:] == [(proven,), ()]


def test_whose_place_was_a_guess_goes_on_where_views_put_him():
    story = Story()
    (key,) = story.tick(arrivals=[LONE]).arrived
    assert story.tick({}, [Arrival(1, False, 0.1, reunited=key)]).arrived == (key,)
    assert story.lives[key].state is State.TENTATIVE
    assert story.tick({}, [Arrival(3, True, 0.1, reunited=key)]).arrived == (key,)
    assert story.lives[key].person_id == 1
    assert story.tick({}, [Arrival(3, True, 0.1, reunited=key)]).gone == ()
    assert story.lives[key].person_id == 1
    assert story.lives[key].n_missed == 0


def test_two_who_are_together_for_a_moment_or_unknown_stay_two():
    story = Story()
    keys = story.grown_up(2)
    place = np.zeros((17, 3))
    for tick in range(40):
        story.tick(dict.fromkeys(keys, 3))
        apart = 0.05 if tick % 8 else 0.5
        assert story.lives.part_doubles(story.now_ns, {keys[0]: place, keys[1]: place + apart}) == ()
        assert story.lives.part_doubles(story.now_ns, {keys[0]: place, keys[1]: place * nan}) == ()


def test_ids_are_never_given_twice():
    story = Story()
    (first,) = story.grown_up()
    person = story.lives[first].person_id
    story.lives.begin_anew()
    assert story.lives.keys() == ()
    (second,) = story.grown_up()
    assert second != first
    assert story.lives[second].person_id != person


@pytest.mark.parametrize(("crowd", "n_views"), [(2.0, 2), (2.0, 3), (40.0, 3), (40.0, 16)])
def test_the_more_strangers_the_better_must_views_agree(crowd, n_views):
    assert chance_misfit(2 * crowd, n_views) < chance_misfit(crowd, n_views)
    assert chance_misfit(1.0, n_views) == np.inf
    assert chance_misfit(crowd, 2) < chance_misfit(crowd, 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 2)), max_size=60))
def test_whatever_happens_states_and_ids_belong_together(ticks):
    story = Story()
    people: set[int] = set()
    for n_views, doubt, n_new in ticks:
        keys = story.lives.followed
        story.tick(dict.fromkeys(keys, n_views), [RIVALLED, LONE][:n_new], keys if doubt else ())
        shown = [story.lives[key].person_id or 0 for key in story.lives.keys(State.PRESENT)]
        assert 0 not in shown
        assert len(set(shown)) == len(shown)
        assert all(story.lives[key].person_id is None for key in story.lives.keys(State.TENTATIVE))
        people |= set(shown)
        assert sorted(people) == list(range(1, len(people) + 1))
