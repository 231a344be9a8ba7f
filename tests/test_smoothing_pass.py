"""`reprocess --smooth` on recordings of actors whose truth is known: better than live, gaps filled, an id a person."""

import numpy as np
import pytest

from nodes.reprocess_sessions import Changes, reprocess_session
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Origin
from tests.crowd import Actor, crossing
from tests.hindsight_takes import FPS, START_NS, ids_of, poses_of, recorded, truth_m

CAST = crossing()
GAP_S = (1.0, 1.9)


def reprocessed(path, smooth=True):
    """The poses, and what the command says."""
    out = path.with_name(f"{path.stem}_{'smooth' if smooth else 'plain'}.mcap")
    said = reprocess_session(path, out, Changes(smooth=smooth, no_lifter=True), True, lambda _: None)
    return poses_of(out), said


@pytest.fixture(scope="module")
def with_gap(tmp_path_factory):
    """Two who cross, one of whom no camera sees for 0.9 s."""

    def away(camera, actor, t_s):
        return actor == 0 and GAP_S[0] < t_s < GAP_S[1]

    return recorded(tmp_path_factory.mktemp("take") / "gap.mcap", CAST, 4.0, away=away)


@pytest.fixture(scope="module")
def smooth(with_gap):
    return reprocessed(with_gap)


def in_gap(poses):
    t_s = np.array([pose.captured_ns - START_NS for pose in poses]) * 1e-9
    return (t_s > GAP_S[0]) & (t_s < GAP_S[1])


def acceleration_error(poses, number, actor):
    """Mean, m/s², of the person of an id."""
    joints_m = np.array([person.joints_m for pose in poses for person in pose.people if person.id == number])
    true_m = np.array([truth_m(CAST, pose)[actor] for pose in poses if any(p.id == number for p in pose.people)])
    return np.nanmean(np.linalg.norm(np.diff(joints_m - true_m, 2, axis=0), axis=-1)) * FPS**2


def test_errors_and_jitter_are_less_than_live(with_gap, smooth):
    plain, _ = reprocessed(with_gap, smooth=False)
    ids, live_m, _ = ids_of(CAST, plain)
    smooth_ids, smooth_m, _ = ids_of(CAST, smooth[0])
    assert np.nanmean(smooth_m[:, 1]) < 0.85 * np.nanmean(live_m[:, 1])
    numbers = ids[-1][1], smooth_ids[-1][1]
    assert acceleration_error(smooth[0], numbers[1], 1) < 0.6 * acceleration_error(plain, numbers[0], 1)


def test_a_gap_is_filled_from_both_sides_and_says_so(smooth):
    poses, said = smooth
    ids, error_m, others = ids_of(CAST, poses)
    assert np.isfinite(error_m).all()
    assert others == 0
    gap = in_gap(poses)
    assert error_m[gap, 0].max() < 0.5
    assert error_m[~gap, 0].max() < 0.05
    number = ids[0][0]
    filled = [p for pose, within in zip(poses, gap, strict=True) if within for p in pose.people if p.id == number]
    inner = filled[1:-1]  # an edge may still be seen
    assert all((p.origin == Origin.PREDICTED).all() and not p.views.any() for p in inner)
    sigma_m = np.array([p.sigma_m.mean() for p in filled])
    assert sigma_m[len(sigma_m) // 2] > 3 * max(sigma_m[0], sigma_m[-1])
    assert f"{sum(not p.views.any() for p in filled)} of 240 people filled in" in said
    assert "1 ids joined" in said


def test_one_person_has_one_id(smooth):
    ids, _, _ = ids_of(CAST, smooth[0])
    assert len(set(map(tuple, ids))) == 1
    assert ids[0][0] != ids[0][1]


def test_all_other_records_are_passed_on(with_gap, smooth):
    out = with_gap.with_name("gap_smooth.mcap")
    with SessionReader(with_gap) as before, SessionReader(out) as after:
        kinds = (Keypoints2D, CameraHealth)
        assert list(before.logged(*kinds)) == list(after.logged(*kinds))
        times_ns = [logged.log_ns for logged in after.logged()]
        assert times_ns == sorted(times_ns)
        assert after.counts["pose/fusion"] == 120
        assert any(True for _ in after.messages(FusionHealth))


def test_the_same_again(with_gap, smooth):
    again, _ = reprocessed(with_gap)
    for one, other in zip(smooth[0], again, strict=True):
        assert [p.id for p in one.people] == [p.id for p in other.people]
        for p, q in zip(one.people, other.people, strict=True):
            np.testing.assert_array_equal(p.joints_m, q.joints_m)


def test_whoever_is_seen_for_a_moment_only_was_nobody(tmp_path):
    cast = [CAST[0], Actor(place_m=(1.5, 1.5))]
    take = recorded(tmp_path / "ghost.mcap", cast, 3.0, away=lambda c, k, t: k == 1 and not 1.0 < t < 1.2)
    assert any(len(pose.people) > 1 for pose in reprocessed(take, smooth=False)[0])
    poses, said = reprocessed(take)
    assert all(len(pose.people) == 1 for pose in poses)
    assert "1 dropped" in said


def test_frames_that_came_too_late_live_are_used(tmp_path):
    late = recorded(tmp_path / "late.mcap", CAST[:1], 2.0, delay_ms=(20.0, 20.0, 900.0, 20.0))
    poses, _ = reprocessed(late)
    assert len(poses) == 60
    assert all("back" not in pose.left_out for pose in poses)
    assert np.mean([np.bitwise_and(pose.people[0].views, 4).any() for pose in poses]) > 0.95


def test_a_camera_that_falls_silent_is_not_waited_for(tmp_path):
    take = recorded(tmp_path / "silent.mcap", CAST[:1], 4.0, silent=lambda c, t: c == 1 and 1.0 < t < 3.0)
    poses, _ = reprocessed(take)
    assert len(poses) == 120
    without = [pose for pose in poses if "right" in pose.left_out]
    assert 55 < len(without) < 65
    _, error_m, _ = ids_of(CAST[:1], poses)
    assert error_m.max() < 0.03


def test_nobody_at_all(tmp_path):
    take = recorded(tmp_path / "empty.mcap", CAST[:1], 1.0, away=lambda *_: True)
    poses, said = reprocessed(take)
    assert len(poses) == 30
    assert not any(pose.people for pose in poses)
    assert "0 of 0 people" in said


def test_pictures_are_detected_again_first(with_gap):
    with pytest.raises(SessionError, match="--from-video first"):
        reprocess_session(with_gap, with_gap.with_name("x.mcap"), Changes(smooth=True, from_video=True), True, print)
