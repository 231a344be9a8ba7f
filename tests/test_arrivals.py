"""How long a camera is waited for, and whose clock is believed."""

from nodes.stages.arrivals import Arrivals, BusClock

MS = 1_000_000
S = 1000 * MS
DEADLINE = 250 * MS


def test_a_camera_that_never_spoke_is_not_waited_for():
    assert not Arrivals().is_due(5 * S, DEADLINE)


def test_a_steady_camera_is_given_up_after_about_two_frames():
    arrivals = Arrivals()
    for k in range(60):
        arrivals.arrived(k * 33 * MS)
    last = 59 * 33 * MS
    assert arrivals.is_due(last + 50 * MS, DEADLINE)  # 33 + 20 ms of patience at the least
    assert not arrivals.is_due(last + 66 * MS, DEADLINE)


def test_a_jittery_camera_gets_more_patience_but_never_more_than_the_deadline():
    steady, jittery = Arrivals(), Arrivals()
    for k in range(60):
        steady.arrived(k * 33 * MS)
        jittery.arrived(k * 33 * MS + (k % 2) * 25 * MS)
    wait = 100 * MS
    assert not steady.is_due(59 * 33 * MS + wait, DEADLINE)
    assert jittery.is_due(59 * 33 * MS + 25 * MS + wait, DEADLINE)
    assert not jittery.is_due(59 * 33 * MS + 25 * MS + DEADLINE + MS, DEADLINE)


def test_an_outage_does_not_become_the_rhythm():
    arrivals = Arrivals()
    for k in range(60):
        arrivals.arrived(k * 33 * MS)
    arrivals.arrived(60 * S)
    for k in range(30):
        arrivals.arrived(60 * S + (k + 1) * 33 * MS)
    assert arrivals.interval_ns is not None
    assert arrivals.interval_ns < 60 * MS


def test_a_clock_that_jumps_ahead_is_not_believed_while_others_speak():
    clock = BusClock()
    assert clock.believes("a", 10 * S)
    for k in range(100):
        assert not clock.believes("b", 20 * S + k * 33 * MS)
        assert clock.believes("a", 10 * S + k * 33 * MS)
    assert clock.now_ns < 14 * S


def test_two_cameras_that_agree_are_believed_at_once_after_a_pause():
    clock = BusClock()
    clock.believes("a", 10 * S)
    assert not clock.believes("a", 3600 * S)
    assert clock.believes("b", 3600 * S + MS)
    assert (clock.now_ns, clock.restarts) == (3600 * S + MS, 1)


def test_a_lonely_camera_is_believed_after_ten_frames_also_when_its_clock_was_set_back():
    clock = BusClock()
    clock.believes("a", 100 * S)
    believed = [clock.believes("a", 10 * S + k * MS) for k in range(10)]
    assert believed == [False] * 9 + [True]
    assert clock.now_ns == 10 * S + 9 * MS


def test_half_a_second_ahead_of_the_others_is_not_believed():
    clock = BusClock()
    for k in range(30):
        assert clock.believes("a", 10 * S + k * 33 * MS)
        assert not clock.believes("b", 10 * S + k * 33 * MS + 500 * MS)


def test_a_short_pause_of_all_is_bridged_and_no_new_beginning():
    clock = BusClock()
    clock.believes("a", 10 * S)
    assert not clock.believes("a", 11 * S)
    assert clock.believes("b", 11 * S)
    assert clock.restarts == 0
