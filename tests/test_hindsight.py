"""The mathematics of smoothing with hindsight, each part by itself."""

from dataclasses import replace

import numpy as np
import pytest

from nodes.hindsight import smoother
from nodes.hindsight.both import Pair, known_of, pairs_of
from nodes.hindsight.identities import Survey
from nodes.hindsight.smoother import smooth
from nodes.hindsight.smoother_kernel import smooth_paths
from nodes.hindsight.spool import Spool
from nodes.hindsight.time_order import by_capture, mirrored, with_silences
from nodes.wire.messages import CameraHealth, Keypoints2D, Origin, Person3D
from tests import messages as make

PERIOD_NS = 33_333_333
SECOND_NS = 1_000_000_000


def times(n):
    return np.arange(n) * PERIOD_NS


def swing(n, hz=1.0):
    """(n, 1, 3) a hand that swings by 0.3 m."""
    t_s = times(n) * 1e-9
    return np.stack([0.3 * np.sin(2 * np.pi * hz * t_s), 0.1 * t_s, np.ones(n)], axis=-1)[:, None]


def person(number=1, at_m=0.0, sigma_m=0.01, views=3, origin=Origin.FUSED):
    x = np.random.default_rng(0).normal(0, 0.3, (17, 3))
    return Person3D(
        id=number,
        joints_m=(x + at_m).astype(np.float32),
        sigma_m=np.full(17, sigma_m, np.float32),
        reprojection_px=np.ones(17, np.float32),
        views=np.full(17, views, np.uint32),
        origin=np.full(17, origin, np.uint8),
    )


def by_textbook(F, Q, measured, variance, noise2, start2):
    """One axis of one joint: all states at once, from the whole joint distribution of states and measurements."""
    n = len(measured)
    P0 = np.diag([1e2, 9.0, start2])
    size = 3 * n
    A, S = np.eye(size), np.zeros((size, size))
    S[:3, :3] = P0
    for t in range(1, n):
        A[3 * t : 3 * t + 3] = F[t] @ A[3 * t - 3 : 3 * t]
        A[3 * t : 3 * t + 3, 3 * t : 3 * t + 3] = np.eye(3)
        S[3 * t : 3 * t + 3, 3 * t : 3 * t + 3] = noise2[t] * Q[t]
    C = A @ S @ A.T
    seen = np.flatnonzero(np.isfinite(measured))
    of = 3 * seen
    gain = C[:, of] @ np.linalg.inv(C[np.ix_(of, of)] + np.diag(variance[seen]))
    mean, covariance = gain @ measured[seen], C - gain @ C[of]
    return mean[::3], np.diag(covariance)[::3]


def test_the_smoother_is_the_exact_one():
    rng = np.random.default_rng(1)
    n = 20
    measured = rng.normal(0, 0.1, (n, 1, 3))
    measured[[4, 5, 12], 0] = np.nan
    variance, noise2 = rng.uniform(1e-4, 1e-3, (n, 1)), rng.uniform(10, 100, (n, 1))
    F, Q = smoother._steps(np.diff(times(n), prepend=0) * 1e-9)
    path, path_variance = smooth_paths(measured, variance, F, Q, noise2, noise2[0])
    for axis in range(3):
        exact, exact_variance = by_textbook(F, Q, measured[:, 0, axis], variance[:, 0], noise2[:, 0], noise2[0, 0])
        np.testing.assert_allclose(path[:, 0, axis], exact, atol=1e-6)
        np.testing.assert_allclose(path_variance[:, 0], exact_variance, rtol=1e-4)


def test_noise_goes_and_motion_stays():
    rng = np.random.default_rng(2)
    true_m = swing(300)
    path, sigma_m = smooth(times(300), true_m + rng.normal(0, 0.01, true_m.shape), np.full((300, 1), 0.01))
    assert np.sqrt(((path - true_m) ** 2).mean()) < 0.006
    lag = [np.abs(np.roll(path, -k, axis=0) - true_m)[5:-5].mean() for k in (-1, 0, 1)]
    assert lag[1] == min(lag)
    assert sigma_m.max() < 0.02


def test_a_gap_follows_the_motion_and_is_least_sure_in_its_middle():
    true_m = swing(90, hz=0.7)
    known = true_m.copy()
    known[40:55] = np.nan
    sigma_m = np.where(np.isfinite(known).all(-1), 0.005, np.nan)
    path, told_m = smooth(times(90), known, sigma_m)
    assert np.linalg.norm(path - true_m, axis=-1).max() < 0.045
    assert told_m[40:55].argmax() in (6, 7, 8)
    assert told_m[47] > 3 * told_m[30]
    straight = known[39] + np.linspace(0, 1, 17)[1:-1, None, None] * (known[55] - known[39])
    assert np.abs(path[40:55] - true_m[40:55]).max() < 0.5 * np.abs(straight - true_m[40:55]).max()


def test_nothing_is_made_up_before_the_first_and_after_the_last():
    joints_m = swing(30).repeat(2, axis=1)
    joints_m[:10, 0] = joints_m[20:, 0] = np.nan
    joints_m[:, 1] = np.nan
    path, sigma_m = smooth(times(30), joints_m, np.full((30, 2), 0.01))
    assert np.isfinite(path[10:20, 0]).all()
    assert np.isnan(path[:10, 0]).all()
    assert np.isnan(path[20:, 0]).all()
    assert np.isnan(path[:, 1]).all()
    assert np.isnan(sigma_m[:, 1]).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_short_takes(n):
    path, _ = smooth(times(n), swing(n), np.full((n, 1), 0.01))
    np.testing.assert_allclose(path, swing(n), atol=0.01)


def test_two_estimates_weigh_by_what_they_know():
    sure, unsure = person(sigma_m=0.01), person(at_m=0.1, sigma_m=0.03, views=4, origin=Origin.LIFTED)
    known = known_of((sure, unsure))
    np.testing.assert_allclose(known.joints_m, sure.joints_m + 0.01, atol=1e-6)
    np.testing.assert_allclose(known.sigma_m, 0.01 * np.sqrt(0.9), rtol=1e-6)
    np.testing.assert_allclose(known.alike_m, 0.008, rtol=1e-6)
    assert (known.views == 7).all()
    assert (known.origin == Origin.FUSED).all()


def test_a_joint_that_one_pass_lacks_is_the_others():
    lacking = person()
    lacking.joints_m[3], lacking.sigma_m[3], lacking.origin[3] = np.nan, np.nan, Origin.ABSENT
    known = known_of((lacking, person(at_m=0.2)))
    np.testing.assert_allclose(known.joints_m[3], person(at_m=0.2).joints_m[3], atol=1e-6)
    assert known.origin[3] == Origin.FUSED
    both = known_of((lacking, lacking))
    assert np.isnan(both.joints_m[3]).all()
    assert both.origin[3] == Origin.ABSENT


def test_people_are_paired_by_where_they_are():
    ahead = [person(1, 0.0), person(2, 1.0), person(3, 5.0)]
    back = [person(7, 1.05), person(8, 0.05), person(9, -4.0)]
    found = {(p.forward and p.forward.id, p.backward and p.backward.id) for p in pairs_of(ahead, back)}
    assert found == {(1, 8), (2, 7), (3, None), (None, 9)}


def survey(*rows):
    """Of (number, from tick, to tick, x at tick 0, m per tick) of both passes; first of the forward ones."""
    looked = Survey()
    for tick in range(300):
        people = [
            {
                number: replace(
                    person(number), joints_m=person().joints_m + np.array([x + speed * tick, 0, 0], np.float32)
                )
                for number, begin, end, x, speed in side
                if begin <= tick < end
            }
            for side in rows
        ]
        looked.take(tick * PERIOD_NS, pairs_of(list(people[0].values()), list(people[1].values())))
    return looked.identities()


def test_ids_are_joined_through_the_other_pass():
    found = survey([(1, 0, 100, 0, 0), (2, 103, 300, 0, 0)], [(5, 0, 300, 0, 0)])
    assert set(found.id_of.values()) == {1}
    assert found.joined == 1


def test_two_people_stay_two_although_a_pass_mixes_them_up():
    found = survey(
        [(1, 0, 300, 0, 0), (2, 0, 300, 2, 0)],
        [(5, 0, 150, 0, 0), (6, 0, 150, 2, 0), (7, 150, 300, 2, 0), (8, 150, 300, 0, 0)],
    )
    assert found.id_of["f", 1] != found.id_of["f", 2]
    assert found.id_of["b", 5] == found.id_of["b", 8] == found.id_of["f", 1]


def test_whoever_goes_on_where_somebody_was_lost_is_the_same():
    found = survey([(1, 0, 100, 0, 0.03), (2, 130, 300, 0, 0.03)], [(6, 0, 100, 0, 0.03), (5, 130, 300, 0, 0.03)])
    assert set(found.id_of.values()) == {1}


def test_whoever_turns_up_elsewhere_or_could_be_two_is_somebody_else():
    elsewhere = survey([(1, 0, 100, 0, 0), (2, 130, 300, 2.5, 0)], [])
    assert len(set(elsewhere.id_of.values())) == 2
    doubtful = survey([(1, 0, 100, 0, 0), (2, 130, 300, 0.3, 0), (3, 130, 300, -0.3, 0)], [])
    assert len(set(doubtful.id_of.values())) == 3


def test_a_moments_ghost_has_no_id():
    found = survey([(1, 0, 300, 0, 0), (2, 50, 55, 3, 0)], [(5, 0, 300, 0, 0)])
    assert ("f", 2) not in found.id_of
    assert found.ghosts == 1
    assert found.of(Pair(person(2), None)) == ()


def frame(source, tick, late_ns=0):
    captured_ns = 10 * SECOND_NS + tick * PERIOD_NS
    message = make.keypoints(source, seq=tick, captured_ns=captured_ns, published_ns=captured_ns + late_ns)
    return message, captured_ns + late_ns


def test_frames_are_put_in_the_order_of_capture():
    logged = sorted(
        [frame("left", k) for k in range(50)] + [frame("right", k, SECOND_NS) for k in range(50)], key=lambda x: x[1]
    )
    ordered = list(by_capture(logged))
    captured = [message.captured_ns for message, _ in ordered]
    assert captured == sorted(captured)
    assert len(captured) == 100
    known_at = [log_ns for _, log_ns in ordered]
    assert known_at == sorted(known_at)


def test_silences_are_said_before_anybody_waits_for_long():
    frames = [frame("left", k) for k in range(60)] + [frame("right", k) for k in range(60) if not 20 < k < 40]
    events = [each for each, _ in with_silences(by_capture(frames), ("left", "right", "back"), 300_000_000)]
    ended = [each.source for each in events if isinstance(each, CameraHealth)]
    assert ended == ["back", "right"]
    at = next(i for i, each in enumerate(events) if isinstance(each, CameraHealth) and each.source == "right")
    before = [each for each in events[:at] if isinstance(each, Keypoints2D)]
    assert before[-1].captured_ns - frame("right", 20)[0].captured_ns <= 300_000_000


def test_a_mirrored_message_runs_backward():
    message = make.keypoints(asked_ids=(-1, 3))
    pivot_ns = 2 * message.captured_ns
    again = mirrored(replace(message, captured_ns=message.captured_ns - 5), pivot_ns)
    assert again.captured_ns == message.captured_ns + 5
    assert again.published_ns - again.captured_ns == message.published_ns - message.captured_ns + 5
    assert again.asked_ids[0] == -1
    assert again.asked_ids[1] > 3


def test_what_is_put_aside_is_read_in_any_order(tmp_path):
    with Spool(Keypoints2D, tmp_path) as spool:
        for k in range(10):
            spool.append(make.keypoints(seq=k, captured_ns=make.START_NS + k), k)
        assert [spool[k].seq for k in (7, 0, 9, 3)] == [7, 0, 9, 3]
        spool.append(make.keypoints(seq=10), 10)
        assert [message.seq for _, message in spool.timed()] == list(range(11))
        assert list(spool.captured_ns[:3]) == [make.START_NS, make.START_NS + 1, make.START_NS + 2]
    assert not list(tmp_path.iterdir())
