"""How many people there are where the calibration is poor, cameras are out of step, and one of them begins alone."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from calibration import rigid
from calibration.rig import Camera, CameraRig
from calibration.synthetic import ring_rig
from configs import schema
from lifter.runtime import load
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS
from nodes.fusing import pipeline_for
from nodes.importing.imported import Given
from nodes.importing.opening import open_import
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import Keypoints2D
from tests.crowd import Actor, crossing

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
START_NS = 1_800_000_000_000_000_000
LIMBS = MEDIAPIPE33.limb_indices()
FPS = 30.0
OFF_RAD, OFF_M = np.radians(0.7), 0.02  # of each camera: 12 px of reprojection error before 900 px of focal length
ADULT = Actor(MOTIONS["walk"])
CHILD = Actor(MOTIONS["walk"], 1.0)  # whom a lift takes for an adult far away
SEATED = Actor(MOTIONS["reach"])
TILTED = rigid.rotation_from_rotvec([1.4, 0.3, 0.0])  # a world whose z axis is not up: lifts are wrong, too


@cache
def lifter():
    return load(skeleton=MEDIAPIPE33)


def unit(rng):
    direction = rng.normal(size=3)
    return direction / np.linalg.norm(direction)


def disturbed(rig, rng, R_told_world):
    """The rig as it is told: each camera turned and moved a little, the world turned."""
    T_told_world = np.eye(4)
    T_told_world[:3, :3] = R_told_world
    cameras = []
    for camera in rig.cameras:
        T_off = np.eye(4)
        T_off[:3, :3], T_off[:3, 3] = rigid.rotation_from_rotvec(OFF_RAD * unit(rng)), OFF_M * unit(rng)
        T_cam_told = T_off @ camera.T_cam_world @ rigid.inverse(T_told_world)
        cameras.append(Camera(camera.name, camera.size_wh, camera.K, camera.dist, T_cam_told))
    return CameraRig(tuple(cameras))


def message(camera, seq, captured_ns, keypoints_px, order):
    """What the detector would send: who is in the picture with eight joints or more."""
    inside = ((keypoints_px > 0) & (keypoints_px < camera.size_wh)).all(-1)
    order = order[inside[order].sum(-1) >= 8]
    return Keypoints2D(
        captured_ns=captured_ns,
        published_ns=captured_ns + 20_000_000,
        source=camera.name,
        seq=seq,
        skeleton="mediapipe33",
        size_wh=camera.size_wh,
        keypoints_px=np.where(inside[..., None], keypoints_px, np.nan)[order].astype(np.float32),
        confidence=inside[order].astype(np.float32),
        stages_ns={"queue": 2_000_000},
    )


def scene(seed, people, n_cameras=4, radius_m=4.0, late_s=0.0, R_told_world=None, differs_m=0.0, seconds=3.0):
    """The rig as it is told, and the messages; one camera begins late_s before the others.

    differs_m: by how much a view puts joints elsewhere than the others do.
    """
    rng = np.random.default_rng(seed)
    rig = ring_rig(n_cameras, radius_m, 1.8, (1280, 720), 225.0 * min(radius_m, 4.0))
    told = disturbed(rig, rng, np.eye(3) if R_told_world is None else R_told_world)
    first, phases = rng.integers(n_cameras), rng.uniform(0.0, 1.0, n_cameras)
    messages = []
    for c, camera in enumerate(rig.cameras):
        t_s = (np.arange(round(seconds * FPS)) + phases[c]) / FPS
        t_s = t_s[t_s >= (0.0 if c == first else late_s)]
        joints_m = np.stack([actor.joints_m(t_s) for actor in people], axis=1)
        joints_m = joints_m + rng.normal(0.0, 1.0, (len(people), 33, 3)) * differs_m
        keypoints_px = camera.project(joints_m) + rng.normal(0.0, 3.0, (*joints_m.shape[:-1], 2))
        messages += [
            message(camera, k, START_NS + round(t * 1e9), keypoints_px[k], rng.permutation(len(people)))
            for k, t in enumerate(t_s)
        ]
    return told, sorted(messages, key=lambda each: (each.published_ns, each.source))


def fused(told, messages):
    pipeline = FusionPipeline(told, told.names, schema.Fusion(), MEDIAPIPE33, lifter=lifter())
    return [pose for each in messages for pose in pipeline.push(each)]


def share(poses, n_people):
    """Of the ticks, those that have so many people."""
    return float(np.mean([len(pose.people) == n_people for pose in poses]))


def ids(poses):
    return {person.id for pose in poses for person in pose.people}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("late_s", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("actor", [ADULT, CHILD], ids=["adult", "child"])
def test_one_person_who_walks_is_one_person(seed, late_s, actor):
    poses = fused(*scene(seed, [actor], late_s=late_s))
    assert share(poses, 1) > 0.88  # it takes ten ticks until somebody is shown whom one view alone sees
    assert ids(poses) == {1}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("late_s", [0.05, 1.0])
def test_who_sits_near_the_cameras_in_a_world_that_is_not_upright_is_one_person(seed, late_s):
    """A lift puts him a metre off, and views differ by more than the noise that is assumed."""
    poses = fused(*scene(seed, [SEATED], radius_m=1.5, late_s=late_s, R_told_world=TILTED, differs_m=0.02))
    assert share(poses, 1) > 0.88
    assert share(poses[len(poses) // 2 :], 1) == 1.0
    assert len(ids(poses)) <= 3


@pytest.mark.parametrize("n_cameras", [2, 4])
def test_who_was_thought_far_off_is_put_right_when_the_other_views_come(n_cameras):
    poses = fused(*scene(0, [CHILD], n_cameras, late_s=1.0))
    assert ids(poses) == {1}
    (last,) = poses[-1].people
    truth_m = CHILD.joints_m((poses[-1].captured_ns - START_NS) * 1e-9)[0]
    assert np.linalg.norm(last.joints_m - truth_m, axis=1)[LIMBS].mean() < 0.15


def whose(pose, actors):
    """Per actor the id of the person nearest to him."""
    truth_m = [actor.joints_m((pose.captured_ns - START_NS) * 1e-9)[0] for actor in actors]
    return [min(pose.people, key=lambda person: np.nanmean(abs(person.joints_m - m))).id for m in truth_m]


@pytest.mark.parametrize(("n_cameras", "late_s"), [(4, 0.05), (4, 1.0), (3, 1.0), (2, 0.05)])
@pytest.mark.parametrize("seed", range(4))
def test_two_who_cross_stay_two(seed, n_cameras, late_s):
    actors = crossing(0.6)
    poses = fused(*scene(seed, actors, n_cameras, late_s=late_s, seconds=4.0))
    assert share(poses, 2) > 0.9
    assert whose(poses[-1], actors) == whose(poses[40], actors)
    assert {person.id for person in poses[-1].people} == {1, 2}


@pytest.fixture(scope="module")
def seated():
    """One person before four webcams that are out of step, and calibrated to 12 px: the recording, its messages."""
    path = SHARED / "caliscope" / "caliscope_4cam_mediapipe.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    recording = open_import([path], Given())
    return recording, list(recording.messages)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("rate_hz", "dropped_ms"),
    [(20.0, 0), (25.0, 0), (30.37, 0), (60.0, 0), (None, 1.1), (None, 9), (None, 40), (None, 500)],
)
def test_one_person_before_webcams_is_one_person(seated, rate_hz, dropped_ms):
    recording, messages = seated
    config = recording.config
    if rate_hz:
        synchroniser = config.fusion.synchroniser.model_copy(update={"rate_hz": rate_hz})
        config = config.model_copy(update={"fusion": config.fusion.model_copy(update={"synchroniser": synchroniser})})
    pipeline = pipeline_for(config, recording.rig, recording.skeleton, lifter())
    from_ns = messages[0].captured_ns + dropped_ms * 1e6
    poses = [pose for each in messages if each.captured_ns >= from_ns for pose in pipeline.push(each)]
    assert np.mean([len(pose.people) for pose in poses]) == pytest.approx(1.0, abs=0.05)
