"""What fusion is for, on the virtual actor with the shipped lifter: small twins of the table of benchmarks/fusion.py.

The figures of the benchmark are on captured motion; margins here are wide, so that they tell a broken stage from a
tuned one.
"""

from dataclasses import replace

import numpy as np
import pytest

from configs import schema
from lifter.runtime import load
from lifter.skeleton import MEDIAPIPE33
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import Origin
from tests.keypoints import MS, START_NS, keypoints, rig_of, stream, truth_m

LIMBS = MEDIAPIPE33.limb_indices()
NOISE_PX = 3.0
MIRROR = list(MEDIAPIPE33.mirror)
NOBODY = {"keypoints_px": np.zeros((0, 33, 2), np.float32), "confidence": np.zeros((0, 33), np.float32)}
WARM = 6  # ticks in which the first tracks begin


@pytest.fixture(scope="module")
def lifter():
    return load(skeleton=MEDIAPIPE33)


def fuse(rig, messages, lifter, settings=None):
    pipeline = FusionPipeline(rig, rig.names, settings or schema.Fusion(), MEDIAPIPE33, lifter=lifter)
    poses = [pose for message in messages for pose in pipeline.push(message)]
    return [pose for pose in poses + pipeline.finish() if pose.captured_ns >= START_NS + WARM * 33 * MS]


def off_m(poses, joints=LIMBS):
    """(T, J, 3) of the only person from the truth."""
    return np.array([pose.people[0].joints_m[joints] - truth_m(pose.captured_ns)[0, joints] for pose in poses])


def error_m(poses, joints=LIMBS):
    return float(np.linalg.norm(off_m(poses, joints), axis=-1).mean())


def changed(messages, change, seed=0):
    rng = np.random.default_rng(seed)
    return [change(message, rng) for message in messages]


def hide(share):
    """Joints are unseen in runs of ten frames, as hidden ones are."""
    hidden = {}

    def change(message, rng):
        key = message.source, message.seq // 10
        if key not in hidden:
            hidden[key] = rng.random(33) < share
        confidence = message.confidence.copy()
        confidence[:, hidden[key]] = 0
        return replace(message, confidence=confidence)

    return change


def move(share):
    def change(message, rng):
        wild = rng.random((1, 33)) < share
        angle, far = rng.uniform(0, 2 * np.pi, wild.sum()), rng.uniform(20, 200, wild.sum())
        keypoints_px = message.keypoints_px.copy()
        keypoints_px[wild] += np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32) * far[:, None]
        return replace(message, keypoints_px=keypoints_px.astype(np.float32))

    return change


@pytest.mark.parametrize("n_cameras", [2, 3, 4])
def test_with_a_third_of_all_joints_hidden_every_joint_is_told(n_cameras, lifter):
    rig = rig_of(n_cameras)
    poses = fuse(rig, changed(stream(rig, 2.0, noise_px=NOISE_PX), hide(0.3)), lifter)
    people = [pose.people[0] for pose in poses]
    assert np.mean([np.isfinite(person.joints_m[LIMBS]).all(axis=1) for person in people]) > 0.995
    seen_by_chance = 1 - 0.3**n_cameras  # face, hands and heels are no joints of the lifter's
    assert np.mean([np.isfinite(person.joints_m).all(axis=1) for person in people]) > seen_by_chance - 0.05
    n_views = np.array([[bin(views).count("1") for views in person.views[LIMBS]] for person in people])
    far_m = np.linalg.norm(off_m(poses), axis=-1)
    assert np.nanmean(far_m[n_views == 1]) < 0.075
    assert np.nanmean(far_m[n_views >= 2]) < 0.03


@pytest.mark.parametrize("n_cameras", [3, 4])
def test_a_tenth_of_wild_joints_costs_little(n_cameras, lifter):
    rig = rig_of(n_cameras)
    messages = stream(rig, 2.0, noise_px=NOISE_PX)
    clean_m = error_m(fuse(rig, messages, lifter))
    assert error_m(fuse(rig, changed(messages, move(0.1)), lifter)) < 1.6 * clean_m


def test_with_four_views_the_lifter_does_no_harm_and_smoothing_helps(lifter):
    rig = rig_of(4)
    messages = stream(rig, 2.0, noise_px=NOISE_PX)
    alone_m = error_m(fuse(rig, messages, None))
    unsmoothed = schema.Fusion(smoothing=schema.Smoothing(kind="none"))
    assert error_m(fuse(rig, messages, lifter)) < 1.1 * alone_m
    assert alone_m < 0.97 * error_m(fuse(rig, messages, None, unsmoothed))


@pytest.mark.parametrize("kept", [0, 2])
def test_one_view_for_a_second_and_all_again(kept, lifter):
    rig = rig_of(4)

    def leave_one(message, rng):
        alone = 1000 <= (message.captured_ns - START_NS) / MS < 2000 and message.source != rig.names[kept]
        return replace(message, **NOBODY) if alone else message

    poses = fuse(rig, changed(stream(rig, 3.0, noise_px=NOISE_PX), leave_one), lifter)
    assert {person.id for pose in poses for person in pose.people} == {1}
    assert all(len(pose.people) == 1 for pose in poses)
    t_ms = np.array([(pose.captured_ns - START_NS) / MS for pose in poses])
    off = off_m(poses)
    during, after = (t_ms > 1020) & (t_ms < 1980), t_ms > 2700
    far_m = np.linalg.norm(off, axis=-1)
    relative_m = np.linalg.norm(off - off.mean(axis=1, keepdims=True), axis=-1)
    assert far_m[during].mean() < 0.12
    assert relative_m[during].mean() < 0.08
    assert far_m[after].mean() < 0.03
    jumps_m = np.linalg.norm(np.diff(off, axis=0), axis=-1)  # beyond what the actor himself does
    assert jumps_m[t_ms[1:] > 1990].max() < 0.06
    lifted = [pose.people[0] for pose, alone in zip(poses, during, strict=True) if alone]
    assert all(set(person.origin.tolist()) <= {Origin.LIFTED, Origin.ABSENT} for person in lifted)
    sigma_m = np.array([person.sigma_m[LIMBS] for person in lifted])
    honesty = np.mean((far_m[during] ** 2 / 3) / sigma_m**2)
    assert honesty < 4.0


def test_left_and_right_mixed_up_in_every_fifth_frame_of_a_view_costs_little(lifter):
    rig = rig_of(3)

    def swap(message, rng):
        if message.source != rig.names[1] or message.seq % 5 != 2:
            return message
        return replace(message, keypoints_px=message.keypoints_px[:, MIRROR], confidence=message.confidence[:, MIRROR])

    messages = stream(rig, 2.5, noise_px=NOISE_PX)
    clean_m = error_m(fuse(rig, messages, lifter))
    poses = fuse(rig, changed(messages, swap), lifter)
    assert error_m(poses) < 1.15 * clean_m
    bit = 1 << 1
    assert np.mean([pose.people[0].views[LIMBS] & bit > 0 for pose in poses]) > 0.9  # undone, and not thrown away


def looking_elsewhere():
    """One of four cameras sees somebody else from half a second on: rig, its name, messages."""
    rig = rig_of(4)
    stray = rig.names[2]

    def change(message, rng):
        if message.source != stray or message.seq < 15:
            return message
        later_ns = message.captured_ns + 9_000 * MS  # another pose, elsewhere in the room
        other = keypoints(rig[stray], later_ns, message.seq, motion="reach")
        return replace(message, keypoints_px=other.keypoints_px + np.float32(120))

    return rig, stray, changed(stream(rig, 2.0, noise_px=NOISE_PX), change)


def test_a_camera_that_looks_at_somebody_else_is_left_out(lifter):
    rig, stray, messages = looking_elsewhere()
    poses = fuse(rig, messages, lifter)
    without = fuse(rig, [message for message in messages if message.source != stray or message.seq < 15], lifter)
    late = [pose for pose in poses if pose.captured_ns > START_NS + 800 * MS]
    assert np.mean([(pose.people[0].views & 0b100 > 0).any() for pose in late]) < 0.1
    assert {person.id for pose in poses for person in pose.people} == {1}
    assert error_m(late) < 1.15 * error_m([pose for pose in without if pose.captured_ns > START_NS + 800 * MS])


def test_a_camera_that_looks_at_somebody_else_is_named_with_a_reason(lifter):
    rig, stray, messages = looking_elsewhere()
    late = [pose for pose in fuse(rig, messages, lifter) if pose.captured_ns > START_NS + 800 * MS]
    assert np.mean([stray in pose.left_out for pose in late]) > 0.9
    assert all(why for pose in late for why in pose.left_out.values())


def test_cameras_out_of_phase_are_as_good_as_in_phase(lifter):
    rig = rig_of(4)
    in_phase_m = error_m(fuse(rig, stream(rig, 2.0, noise_px=NOISE_PX), lifter))
    out_of_phase_m = error_m(fuse(rig, stream(rig, 2.0, noise_px=NOISE_PX, phases=(0.0, 0.5, 0.25, -0.5)), lifter))
    assert out_of_phase_m < 1.3 * in_phase_m


def test_the_sigma_is_honest_with_four_views(lifter):
    rig = rig_of(4)
    poses = fuse(rig, stream(rig, 2.0, noise_px=NOISE_PX), lifter)
    sigma_m = np.array([pose.people[0].sigma_m[LIMBS] for pose in poses])
    honesty = ((off_m(poses) ** 2).mean(axis=-1) / sigma_m**2).mean()
    assert 0.3 < honesty < 3.0
