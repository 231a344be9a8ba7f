"""Laws that fusion keeps whatever it is sent: order and place do not matter, nothing raises, lies or teleports."""

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from calibration.rig import Camera, CameraRig
from configs import schema
from lifter.runtime import load
from lifter.skeleton import MEDIAPIPE33
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import Origin, Pose3D, decode, encode
from tests.keypoints import MS, START_NS, rig_of, stream, truth_m

TELEPORT_M = 1.0  # from tick to tick: 30 m/s
KNOWN_M = 0.2  # a joint that is told to be known worse, per axis, may turn out to be somewhere else
few = settings(derandomize=True, deadline=None, max_examples=6)
some = settings(few, max_examples=20, phases=(Phase.explicit, Phase.generate))  # shrinking takes minutes


@cache
def lifter():
    return load(skeleton=MEDIAPIPE33)


def fuse(rig, messages, *, lifts=True, kind="kalman"):
    options = schema.Fusion(smoothing=schema.Smoothing(kind=kind))
    pipeline = FusionPipeline(rig, rig.names, options, MEDIAPIPE33, lifter=lifter() if lifts else None)
    poses = [pose for message in messages for pose in pipeline.push(message)]
    pipeline.expected()
    pipeline.health(messages[-1].published_ns if messages else START_NS)
    return poses + pipeline.finish()


def with_faults(messages, seed):
    """Some joints unseen, some wild: so that the robust parts have their say, too."""
    rng = np.random.default_rng(seed)
    for message in messages:
        missing, wild = rng.random((2, 1, 33)) < [[[0.1]], [[0.03]]]
        message.confidence[missing] = 0
        message.keypoints_px[wild] += rng.normal(0, 80, (wild.sum(), 2)).astype(np.float32)
    return messages


def scene(n_cameras, seed, seconds=1.0):
    rig = rig_of(n_cameras)
    return rig, with_faults(stream(rig, seconds=seconds, noise_px=3.0), seed)


def people(poses):
    return [person for pose in poses for person in pose.people]


def assert_alike(poses, others, back=lambda joints_m: joints_m, atol=1e-3):
    assert len(poses) == len(others)
    assert [[p.id for p in pose.people] for pose in poses] == [[p.id for p in pose.people] for pose in others]
    for person, other in zip(people(poses), people(others), strict=True):
        np.testing.assert_array_equal(person.origin, other.origin)
        np.testing.assert_allclose(person.joints_m, back(other.joints_m), atol=atol)
        np.testing.assert_allclose(person.sigma_m, other.sigma_m, rtol=0.02, atol=1e-4)


@few
@given(n_cameras=st.integers(2, 6), seed=st.integers(0, 99), lifts=st.booleans(), data=st.data())
def test_the_order_of_the_cameras_does_not_matter(n_cameras, seed, lifts, data):
    rig, messages = scene(n_cameras, seed)
    order = data.draw(st.permutations(range(n_cameras)))
    other = CameraRig(tuple(rig.cameras[i] for i in order))
    assert_alike(fuse(rig, messages, lifts=lifts), fuse(other, messages, lifts=lifts))


def moved(rig, yaw, shift_m):
    """The rig turned about the vertical and carried elsewhere; and the way back for points."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    T = np.eye(4)
    T[:2, :2], T[:3, 3] = [[cos, -sin], [sin, cos]], shift_m
    cameras = [Camera(c.name, c.size_wh, c.K, c.dist, c.T_cam_world @ np.linalg.inv(T)) for c in rig.cameras]
    return CameraRig(tuple(cameras)), lambda joints_m: (joints_m - T[:3, 3]) @ T[:3, :3]


@few
@given(
    n_cameras=st.integers(1, 5),
    seed=st.integers(0, 99),
    yaw=st.floats(-3.1, 3.1),
    shift_m=st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(-1, 1)),
)
def test_a_rig_set_up_elsewhere_gives_the_same_elsewhere(n_cameras, seed, yaw, shift_m):
    rig, messages = scene(n_cameras, seed)
    other, back = moved(rig, yaw, shift_m)
    assert_alike(fuse(rig, messages), fuse(other, messages), back)


def assert_sound(poses, cameras):
    """What every message promises."""
    for pose in poses:
        assert len({person.id for person in pose.people}) == len(pose.people)
        assert set(pose.left_out) <= set(cameras)
        for person in pose.people:
            there = person.origin != Origin.ABSENT
            assert (np.isfinite(person.joints_m).all(axis=1) == there).all()
            assert (np.isnan(person.joints_m).all(axis=1) == ~there).all()
            assert (np.isfinite(person.sigma_m) == there).all()
            assert (person.sigma_m[there] > 0).all()
            assert (person.views[~there] == 0).all()
            assert (person.views < 1 << len(cameras)).all()
            assert not (person.reprojection_px < 0).any()
            assert (np.isfinite(person.reprojection_px[there]) == (person.views[there] > 0)).all()
        decode(Pose3D, encode(pose))
    assert [pose.captured_ns for pose in poses] == sorted({pose.captured_ns for pose in poses})


def assert_nobody_teleports(poses):
    before: dict[int, npt.NDArray[np.float32]] = {}
    for pose in poses:
        now = {p.id: np.where(p.sigma_m[:, None] < KNOWN_M, p.joints_m, np.nan) for p in pose.people}
        for person_id in now.keys() & before.keys():
            leap_m = np.linalg.norm(now[person_id] - before[person_id], axis=1)
            assert not (leap_m > TELEPORT_M).any(), f"person {person_id} leaps by {np.nanmax(leap_m):.1f} m"
        before = now


def crowd(rng, message, n_people):
    """The message with false people: joints anywhere, or a copy of the right one somewhere else."""
    size_px = np.array(message.size_wh)
    anywhere = rng.uniform(0, size_px, (n_people, 33, 2))
    if rng.random() < 0.5 and len(message.keypoints_px):
        anywhere = message.keypoints_px[:1] + rng.normal(0, 300, (n_people, 1, 2)) + rng.normal(0, 5, anywhere.shape)
    keypoints_px = np.concatenate([message.keypoints_px, anywhere]).astype(np.float32)
    confidence = np.concatenate([message.confidence, rng.random((n_people, 33))]).astype(np.float32)
    order = rng.permutation(len(confidence))
    return replace(message, keypoints_px=keypoints_px[order], confidence=confidence[order])


def nan_joints(rng, message):
    keypoints_px = message.keypoints_px.copy()
    keypoints_px[:, rng.random(33) < 0.5] = rng.choice([np.nan, np.inf, -np.inf])
    return replace(message, keypoints_px=keypoints_px)


def odd_confidence(rng, message):
    confidence = message.confidence.copy()
    confidence[:, rng.random(33) < 0.5] = rng.choice([np.nan, np.inf, -1.0, 7.0, 1e-30])
    return replace(message, confidence=confidence)


def wild(rng, message):
    keypoints_px = message.keypoints_px.copy()
    keypoints_px[:, rng.random(33) < 0.5] = rng.choice([1e30, -1e12, np.inf, np.nan, 1e4])
    return replace(message, keypoints_px=keypoints_px)


FAULTS = {
    "wild pixels": wild,
    "false people": lambda rng, m: crowd(rng, m, 40),
    "one more": lambda rng, m: crowd(rng, m, 1),
    "nobody": lambda rng, m: replace(m, keypoints_px=m.keypoints_px[:0], confidence=m.confidence[:0]),
    "NaN keypoints": lambda rng, m: replace(m, keypoints_px=np.full_like(m.keypoints_px, np.nan)),
    "zero confidence": lambda rng, m: replace(m, confidence=np.zeros_like(m.confidence)),
    "NaN joints": nan_joints,
    "odd confidence": odd_confidence,
    "all in one point": lambda rng, m: replace(m, keypoints_px=np.full_like(m.keypoints_px, 300.0)),
    "another size": lambda rng, m: replace(m, size_wh=(640, 640)),
    "mirrored": lambda rng, m: replace(m, keypoints_px=m.keypoints_px[:, list(MEDIAPIPE33.mirror)]),
}


def hostile(rig, seed, faults, share, *, duplicates=False, out_of_order=False, joins_ms=0, leaves_ms=9999):
    """The stream with faults in a share of its messages, in an order of its own, one camera there for a while only."""
    rng = np.random.default_rng(seed)
    messages = []
    for message in stream(rig, seconds=1.2, noise_px=3.0):
        t_ms = (message.captured_ns - START_NS) / MS
        if message.source == rig.names[-1] and not joins_ms <= t_ms < leaves_ms:
            continue
        if faults and rng.random() < share:
            message = FAULTS[faults[rng.integers(len(faults))]](rng, message)  # noqa: PLW2901
        messages += [message] * (1 + int(duplicates and rng.random() < 0.3))
    if out_of_order:
        late = np.arange(len(messages)) + rng.uniform(0, 8, len(messages)) * (rng.random(len(messages)) < 0.3)
        messages = [messages[i] for i in np.argsort(late)]
    return messages


@pytest.mark.slow
@some
@given(
    n_cameras=st.integers(1, 5),
    seed=st.integers(0, 999),
    faults=st.lists(st.sampled_from(sorted(FAULTS)), max_size=3, unique=True),
    share=st.sampled_from([0.05, 0.1, 0.3, 1.0]),
    duplicates=st.booleans(),
    out_of_order=st.booleans(),
    joins_ms=st.sampled_from([0, 400]),
    leaves_ms=st.sampled_from([700, 9999]),
    lifts=st.booleans(),
    kind=st.sampled_from(["kalman", "kalman", "one_euro", "none"]),
)
@example(4, 1, ["false people"], 1.0, False, False, 0, 9999, True, "kalman")
@example(3, 2, ["false people", "mirrored", "nobody"], 0.3, True, True, 400, 700, True, "kalman")
def test_whatever_comes_nothing_raises_lies_or_teleports(
    n_cameras, seed, faults, share, duplicates, out_of_order, joins_ms, leaves_ms, lifts, kind
):
    rig = rig_of(n_cameras)
    messages = hostile(
        rig, seed, faults, share,
        duplicates=duplicates, out_of_order=out_of_order, joins_ms=joins_ms, leaves_ms=leaves_ms,
    )  # fmt: skip
    poses = fuse(rig, messages, lifts=lifts, kind=kind)
    assert_sound(poses, rig.names)
    if (
        share < 0.5 and "all in one point" not in faults
    ):  # where nearly all is false, or agrees by design, so are people
        assert_nobody_teleports(poses)


def test_somebody_seen_well_is_found_among_forty_who_are_not_there():
    rig = rig_of(4)
    messages = hostile(rig, 5, ["false people"], 1.0)
    poses = fuse(rig, messages)
    errors_m = [
        min(float(np.nanmean(np.linalg.norm(p.joints_m - truth_m(pose.captured_ns)[0], axis=1))) for p in pose.people)
        for pose in poses[10:]
    ]
    assert np.median(errors_m) < 0.05


def test_duplicates_change_nothing():
    rig = rig_of(3)
    messages = stream(rig, seconds=1.0, noise_px=3.0)
    poses = fuse(rig, messages)
    others = fuse(rig, [message for message in messages for _ in range(3)])
    assert [encode(pose) for pose in poses] == [encode(pose) for pose in others]


def test_a_camera_that_joins_and_one_that_leaves_move_nobody():
    rig = rig_of(4)
    first, last = rig.names[0], rig.names[-1]
    messages = [
        message
        for message in stream(rig, seconds=3.0, noise_px=2.0)
        for t_ms in [(message.captured_ns - START_NS) / MS]
        if (message.source != last or t_ms >= 1000) and (message.source != first or t_ms < 2000)
    ]
    poses = fuse(rig, messages)[5:]
    assert {person.id for person in people(poses)} == {1}
    off_m = np.array([pose.people[0].joints_m - truth_m(pose.captured_ns)[0] for pose in poses])
    assert np.linalg.norm(np.diff(off_m, axis=0), axis=-1).max() < 0.06
    assert np.linalg.norm(off_m, axis=-1).mean() < 0.03
