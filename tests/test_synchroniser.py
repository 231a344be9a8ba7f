"""Ticks: interpolated to the instant, complete, in order, and never held up by a camera that is gone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import Synchroniser as Settings
from nodes.stages.synchroniser import Synchroniser, View, view_at
from tests.keypoints import MS, START_NS, keypoints, rig_of, stream

PERIOD_NS = round(1e9 / 30)


def ticks_of(messages, rig, **options):
    synchroniser = Synchroniser(rig.names, Settings(**{"rate_hz": 30.0, **options}))
    return [tick for message in messages for tick in synchroniser.push(message)]


def test_cameras_in_phase_give_their_own_frames_untouched():
    rig = rig_of(3)
    messages = stream(rig, seconds=1.0)
    ticks = ticks_of(messages, rig)[1:]  # the first tick comes with the first camera, before the others are known
    assert len(ticks) == 29
    for tick in ticks:
        assert set(tick.views) == set(rig.names)
        for name, view in tick.views.items():
            frame = next(m for m in messages if m.source == name and abs(m.captured_ns - tick.captured_ns) < MS)
            np.testing.assert_array_equal(view.keypoints_px, frame.keypoints_px)


def test_cameras_out_of_phase_are_interpolated_to_the_tick():
    rig = rig_of(3)
    ticks = ticks_of(stream(rig, seconds=1.0, phases=(0.0, 0.5, 0.25)), rig)[2:]
    assert len(ticks) >= 26
    for tick in ticks:
        for name, view in tick.views.items():
            exact = keypoints(rig[name], tick.captured_ns).keypoints_px
            # linear between frames 33 ms apart: a·dt²/8 with a < 30 m/s² of a foot that lands, at 900 px and 3 m
            np.testing.assert_allclose(view.keypoints_px, exact, atol=1.2)


def test_the_nearest_frame_would_be_an_order_of_magnitude_worse():
    rig = rig_of(2)
    messages = stream(rig, seconds=1.0, phases=(0.0, 0.5))
    tick = ticks_of(messages, rig)[15]
    name = rig.names[1]
    exact = keypoints(rig[name], tick.captured_ns).keypoints_px
    nearest = min((m for m in messages if m.source == name), key=lambda m: abs(m.captured_ns - tick.captured_ns))
    ours = np.abs(tick.views[name].keypoints_px - exact).max()
    assert np.abs(nearest.keypoints_px - exact).max() > 10 * ours


def test_a_dead_camera_costs_at_most_two_ticks_of_waiting():
    rig = rig_of(4)
    dead = rig.names[2]
    died_ns = START_NS + 1_000 * MS
    messages = [m for m in stream(rig, seconds=2.0) if m.source != dead or m.captured_ns < died_ns]
    synchroniser = Synchroniser(rig.names, Settings(rate_hz=30.0))
    emitted = [(m.published_ns, tick) for m in messages for tick in synchroniser.push(m)]
    captured = np.array([tick.captured_ns for _, tick in emitted])
    assert np.diff(captured).max() <= PERIOD_NS  # not one tick is missing
    waited_ns = np.diff([when for when, _ in emitted]).max()
    assert waited_ns <= 2 * PERIOD_NS + 4 * MS
    after = [tick for _, tick in emitted if tick.captured_ns > died_ns + 2 * PERIOD_NS]
    assert all(set(tick.views) == set(rig.names) - {dead} for tick in after)
    assert "before this tick" in after[0].left_out[dead]


def test_a_camera_that_comes_back_takes_part_again():
    rig = rig_of(3)
    gone = rig.names[0]
    away = range(START_NS + 500 * MS, START_NS + 1500 * MS)
    ticks = ticks_of([m for m in stream(rig, 2.5) if m.source != gone or m.captured_ns not in away], rig)
    back = [tick for tick in ticks if tick.captured_ns > START_NS + 1700 * MS]
    assert back
    assert all(gone in tick.views for tick in back)


@pytest.mark.parametrize("held_up_ms", [60, 120, 200])
def test_a_camera_that_comes_back_while_the_others_are_held_up_costs_no_tick(held_up_ms):
    """A detector that loads takes the processor from the others just when its own first frame is about to come."""
    rig = rig_of(4)
    gone = rig.names[3]
    away = range(START_NS + 700 * MS, START_NS + 3_300 * MS)
    messages = []
    for message in stream(rig, seconds=4.0):
        if message.source == gone and message.captured_ns not in away:
            messages.append(message)
        elif message.source != gone:
            held_up_ns = max(0, away.stop + 30 * MS + held_up_ms * MS - message.published_ns)
            is_held_up = away.stop - 40 * MS <= message.captured_ns
            messages.append(replace(message, published_ns=message.published_ns + is_held_up * held_up_ns))
    ticks = ticks_of(sorted(messages, key=lambda m: (m.published_ns, m.captured_ns)), rig)
    assert np.diff([tick.captured_ns for tick in ticks]).max() <= PERIOD_NS


def test_a_tick_that_nobody_sees_is_not_waited_for_beyond_the_deadline():
    """One camera comes back after an outage of all, the others never do."""
    rig = rig_of(3)
    died_ns, back_ns = START_NS + 500 * MS, START_NS + 700 * MS
    lone = [m for m in stream(rig.select(rig.names[:1]), seconds=2.0) if m.captured_ns >= back_ns]
    messages = [m for m in stream(rig, seconds=2.0) if m.captured_ns < died_ns] + lone
    synchroniser = Synchroniser(rig.names, Settings(rate_hz=30.0, deadline_ms=150.0, max_gap_ms=100.0))
    emitted = [(m.published_ns, tick) for m in messages for tick in synchroniser.push(m)]
    waited_ns = next(when for when, tick in emitted if tick.captured_ns > back_ns) - lone[0].published_ns
    assert 150 * MS < waited_ns <= 150 * MS + PERIOD_NS
    assert emitted[-1][1].captured_ns >= lone[-1].captured_ns - MS


def test_a_long_gap_is_not_interpolated_across():
    rig = rig_of(2)
    frames = [keypoints(rig.cameras[0], START_NS), keypoints(rig.cameras[0], START_NS + 400 * MS)]
    assert view_at(frames, START_NS + 200 * MS, 300 * MS) == "frames 400 ms apart"


def test_a_joint_that_one_of_the_two_frames_lacks_is_absent():
    rig = rig_of(2)
    first, second = (keypoints(rig.cameras[0], START_NS + dt * MS) for dt in (0, 33))
    second.confidence.flags.writeable = True
    second.confidence[0, 7] = 0.0
    second.keypoints_px[0, 7] = np.nan
    view = view_at([first, second], START_NS + 10 * MS, 300 * MS)
    assert isinstance(view, View)
    assert view.confidence[0, 7] == 0.0
    assert (np.delete(view.confidence[0], 7) == 1.0).all()


def test_recordings_wait_for_every_camera_until_it_ends():
    rig = rig_of(2)
    first, second = (stream(rig.select((name,)), seconds=1.0) for name in rig.names)
    synchroniser = Synchroniser(rig.names, Settings(rate_hz=30.0, deadline_ms=None))
    assert [tick for m in first for tick in synchroniser.push(m)] == []
    ticks = [tick for m in second[:20] for tick in synchroniser.push(m)]
    assert len(ticks) == 20
    assert all(len(tick.views) == 2 for tick in ticks)
    rest = synchroniser.end(rig.names[1])
    np.testing.assert_allclose(
        [tick.captured_ns - m.captured_ns for tick, m in zip(rest, first[20:], strict=True)], 0, atol=100
    )


@pytest.mark.parametrize(
    ("change_ns", "reason"),
    [(-10_000 * MS, "clock"), (10_000 * MS, "clock"), (0, "not newer"), (-200 * MS, "not newer")],
)
def test_a_frame_with_an_impossible_stamp_is_refused_and_counted(change_ns, reason):
    rig = rig_of(2)
    synchroniser = Synchroniser(rig.names, Settings(rate_hz=30.0))
    messages = stream(rig, seconds=1.0)
    for message in messages:
        synchroniser.push(message)
    wrong = keypoints(rig.cameras[0], messages[-1].captured_ns + change_ns)
    assert synchroniser.push(wrong) == []
    (refusal,) = synchroniser.inboxes[rig.names[0]].arrivals.rejected
    assert reason in refusal


def test_a_camera_whose_clock_jumps_disturbs_nobody_else():
    rig = rig_of(3)
    jumpy = rig.names[1]
    jump_ns = 30_000 * MS
    messages = []
    for message in stream(rig, seconds=3.0):
        jumped = message.source == jumpy and message.captured_ns > START_NS + 1000 * MS
        messages.append(keypoints(rig[jumpy], message.captured_ns + jump_ns) if jumped else message)
    ticks = ticks_of(messages, rig)
    captured = np.array([tick.captured_ns for tick in ticks])
    assert captured[-1] < START_NS + 3100 * MS
    assert np.diff(captured).max() <= PERIOD_NS
    assert all(len(tick.views) >= 2 for tick in ticks[1:])


def test_after_an_outage_of_all_the_grid_goes_on_where_the_frames_are():
    rig = rig_of(2)
    before = stream(rig, seconds=0.5)
    after = [keypoints(camera, START_NS + 60_000 * MS + k * PERIOD_NS, k) for k in range(15) for camera in rig.cameras]
    ticks = ticks_of(before + after, rig)
    assert len(ticks) < 40
    assert ticks[-1].captured_ns > START_NS + 60_300 * MS


@settings(max_examples=30, deadline=None)
@given(
    phases=st.tuples(*[st.floats(0, 0.99)] * 3),
    drops=st.sets(st.integers(0, 80), max_size=30),
    delays=st.tuples(*[st.floats(5, 120)] * 3),
)
def test_whatever_arrives_ticks_are_in_order_on_the_grid_and_never_twice(phases, drops, delays):
    rig = rig_of(3)
    messages = []
    for index, camera in enumerate(rig.cameras):
        for k in range(30):
            if index * 30 + k not in drops:
                captured_ns = START_NS + round((k + phases[index]) * PERIOD_NS)
                messages.append(keypoints(camera, captured_ns, k, delay_ms=delays[index]))
    messages.sort(key=lambda m: m.published_ns)
    captured = [tick.captured_ns for tick in ticks_of(messages, rig)]
    steps = np.diff(captured)
    assert (steps > 0).all()
    assert (steps % PERIOD_NS == 0).all()


def lagging(rig, slow, delay_ms, seconds):
    """The stream in the order of its sending, with one camera that sends delay_ms after capture."""
    messages = [
        keypoints(rig[slow], m.captured_ns, m.seq, delay_ms=delay_ms) if m.source == slow else m
        for m in stream(rig, seconds=seconds)
    ]
    return sorted(messages, key=lambda m: m.published_ns)


def test_a_camera_that_lags_more_than_the_deadline_delays_nobody_beyond_it():
    rig = rig_of(4)
    slow = rig.names[3]
    messages = lagging(rig, slow, delay_ms=1500, seconds=4.0)
    synchroniser = Synchroniser(rig.names, Settings(rate_hz=30.0, deadline_ms=250.0))
    emitted = [(m.published_ns, tick) for m in messages for tick in synchroniser.push(m)]
    late = [(when, tick) for when, tick in emitted if tick.captured_ns > START_NS + 2000 * MS]
    assert len(late) > 50
    assert max(when - tick.captured_ns for when, tick in late) < 320 * MS
    assert all(set(tick.left_out) == {slow} for _, tick in late)


def test_a_camera_that_lags_less_than_the_deadline_is_waited_for():
    rig = rig_of(3)
    slow = rig.names[2]
    messages = lagging(rig, slow, delay_ms=150, seconds=2.0)
    ticks = ticks_of(messages, rig)
    assert all(slow in tick.views for tick in ticks[10:])
