"""The restart rule: pure, so every case is one line."""

import pytest

from nodes.system.restart import Action, ProcessState, frozen, next_action, wait_ns

S = 1_000_000_000
MS = 1_000_000


def crashed(times: int, *, exit_code: int = -9, lived_ns: int = S) -> ProcessState:
    state, now_ns = ProcessState(), 0
    for _ in range(times):
        state = state.started(now_ns).exited(exit_code, now_ns + lived_ns)
        now_ns += lived_ns
    return state


def test_a_process_that_never_ran_is_started():
    assert next_action(ProcessState(), 0) is Action.START


def test_a_living_process_is_left_alone():
    assert next_action(ProcessState().started(0), 100 * S) is Action.NOTHING


def test_a_crash_waits_a_fifth_of_a_second_and_then_starts():
    state = crashed(1)
    assert next_action(state, S + 199 * MS) is Action.WAIT
    assert next_action(state, S + 200 * MS) is Action.START


def test_waits_double_up_to_five_seconds():
    assert [wait_ns(crashes) // MS for crashes in range(1, 8)] == [200, 400, 800, 1600, 3200, 5000, 5000]
    assert wait_ns(10**9) == 5 * S


def test_crashes_in_a_row_wait_longer():
    state = crashed(4)
    assert state.exited_ns == 4 * S
    assert next_action(state, 4 * S + 1599 * MS) is Action.WAIT
    assert next_action(state, 4 * S + 1600 * MS) is Action.START


@pytest.mark.parametrize(("lived_ns", "crashes"), [(10 * S, 1), (10 * S - 1, 6)])
def test_ten_seconds_of_life_forgive(lived_ns, crashes):
    state = crashed(5).started(50 * S).exited(1, 50 * S + lived_ns)
    assert state.crashes == crashes


def test_a_mistake_of_the_user_is_not_repeated():
    assert next_action(crashed(1, exit_code=2), 1000 * S) is Action.GIVE_UP


def test_interrupt_signal_is_no_user_mistake():
    assert next_action(crashed(1, exit_code=-2), 1000 * S) is Action.START


def test_work_done_is_final_only_with_exit_code_zero():
    done = ProcessState(work_done=True).started(0)
    assert next_action(done.exited(0, S), 1000 * S) is Action.DONE
    assert next_action(done.exited(-9, S), 1000 * S) is Action.START


def test_a_clean_exit_with_work_left_is_started_again():
    assert next_action(crashed(1, exit_code=0), 1000 * S) is Action.START


def test_what_is_not_wanted_is_stopped_and_stays_stopped():
    assert next_action(ProcessState(wanted=False).started(0), S) is Action.STOP
    assert next_action(ProcessState(wanted=False), S) is Action.NOTHING
    assert next_action(ProcessState(wanted=False).started(0).exited(-9, S), 1000 * S) is Action.NOTHING


def test_a_restarted_process_is_alive_again():
    state = crashed(3).started(10 * S)
    assert state.alive
    assert state.exit_code is None


def test_a_mute_process_is_frozen_after_ten_seconds():
    assert frozen({"left": 0, "fusion": 5 * S}, "hub", 10 * S) == []
    assert frozen({"left": 0, "fusion": 5 * S}, "hub", 10 * S + 1) == ["left"]


def test_when_all_are_mute_the_hub_is_frozen():
    assert frozen({"left": 0, "right": 0, "fusion": 0}, "hub", 11 * S) == ["hub"]
    assert frozen({}, "hub", 11 * S) == []
