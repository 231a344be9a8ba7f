"""The virtual actor moves like a body: rigid bones, planted feet, nothing under the floor, no jerks, seamless loops."""

import numpy as np
import numpy.typing as npt
import pytest

from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS, RIGID_BONES, SYNTHETIC_JOINTS, Body, joints_at
from lifter.synthetic_motions import minimum_jerk

RATE_HZ = 240
BODIES = (Body(), Body.of_stature(1.25), Body.of_stature(1.95))


def of(joints_m: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
    return joints_m[:, SYNTHETIC_JOINTS.index(name)]


def one_loop(motion: str, body: Body | None = None) -> npt.NDArray[np.float64]:
    period_s = MOTIONS[motion].period_s
    return joints_at(MOTIONS[motion], np.arange(0, period_s, 1 / RATE_HZ), body)


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body.stature} m")
def test_bone_lengths_never_change(motion: str, body: Body) -> None:
    joints_m = one_loop(motion, body)
    for one, other in RIGID_BONES:
        lengths = np.linalg.norm(of(joints_m, one) - of(joints_m, other), axis=-1)
        assert np.ptp(lengths) < 1e-9, (one, other)


@pytest.mark.parametrize("motion", MOTIONS)
def test_left_and_right_bones_are_alike(motion: str) -> None:
    joints_m = one_loop(motion)

    def length_m(one: str, other: str) -> float:
        return float(np.linalg.norm(of(joints_m, one)[0] - of(joints_m, other)[0]))

    pairs = [(one, other) for one, other in RIGID_BONES if other.startswith("left")]
    assert len(pairs) >= 8
    for one, other in pairs:
        mirrored = one.replace("left", "right"), other.replace("left", "right")
        assert length_m(one, other) == pytest.approx(length_m(*mirrored), abs=1e-9)


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body.stature} m")
def test_nothing_goes_through_the_floor_and_a_foot_is_always_on_it(motion: str, body: Body) -> None:
    joints_m = one_loop(motion, body)
    assert joints_m[..., 2].min() > body.toe_height - 1e-9
    lower_toe = np.minimum(of(joints_m, "left_foot_index")[:, 2], of(joints_m, "right_foot_index")[:, 2])
    assert np.all(lower_toe < body.toe_height + 0.002)


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_foot_that_stands_does_not_slide(motion: str) -> None:
    joints_m = one_loop(motion)
    for side in ("left", "right"):
        toe = of(joints_m, f"{side}_foot_index")
        stands = toe[:, 2] < Body().toe_height + 0.002
        slide_m = np.linalg.norm(np.diff(toe[:, :2], axis=0), axis=-1)[stands[1:] & stands[:-1]]
        stances = np.count_nonzero(np.diff(stands.astype(int)) == 1) + 1
        assert slide_m.sum() / stances < 0.02, f"{side}: metres slid per stance"


@pytest.mark.parametrize("motion", MOTIONS)
def test_loop_is_seamless(motion: str) -> None:
    period_s = MOTIONS[motion].period_s
    step_s = 1e-4
    before, at, after = joints_at(MOTIONS[motion], np.array([period_s - step_s, period_s, period_s + step_s]))
    np.testing.assert_allclose(at, joints_at(MOTIONS[motion], 0.0)[0], atol=1e-9)
    np.testing.assert_allclose(at - before, after - at, atol=50 * step_s**2)  # velocity: 50 m/s² at most


@pytest.mark.parametrize("motion", MOTIONS)
def test_speeds_and_accelerations_are_human(motion: str) -> None:
    joints_m = one_loop(motion)
    speed = np.linalg.norm(np.diff(joints_m, axis=0), axis=-1) * RATE_HZ
    acceleration = np.linalg.norm(np.diff(joints_m, 2, axis=0), axis=-1) * RATE_HZ**2
    assert speed.max() < 4.6  # the toe of a walker's swinging foot is the fastest point
    assert speed[:, [SYNTHETIC_JOINTS.index(f"{side}_wrist") for side in ("left", "right")]].max() < 3.0
    assert acceleration.max() < 45.0


def test_walk_is_at_walking_speed() -> None:
    pelvis = of(one_loop("walk"), "pelvis")
    length_m = np.linalg.norm(np.diff(pelvis[:, :2], axis=0), axis=-1).sum()
    assert 0.8 < length_m / MOTIONS["walk"].period_s < 1.2


def test_demo_does_what_it_says() -> None:
    joints_m = one_loop("demo")
    pelvis, head = of(joints_m, "pelvis"), of(joints_m, "head")
    facing = np.unwrap(np.arctan2(*(of(joints_m, "nose") - head)[:, 1::-1].T))
    assert np.ptp(pelvis[:, 0]) > 0.8, "walks"
    assert np.ptp(facing) > 1.8 * np.pi, "turns all the way round"
    assert pelvis[:, 2].min() < 0.7 * pelvis[:, 2].max(), "crouches"
    assert np.max(of(joints_m, "left_wrist")[:, 2] - head[:, 2]) > 0.1, "reaches above its head"


def test_stature_scales_the_body() -> None:
    tall, small = (
        joints_at(MOTIONS["reach"], 0.0, Body.of_stature(1.9)),
        joints_at(MOTIONS["reach"], 0.0, Body.of_stature(1.5)),
    )
    np.testing.assert_allclose(of(tall, "head")[0, 2] / of(small, "head")[0, 2], 1.9 / 1.5, rtol=0.01)


def test_joints_are_named_as_the_detector_names_them() -> None:
    assert SYNTHETIC_JOINTS[:33] == MEDIAPIPE33.joints


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    u = np.array([-1.0, 0.0, 1e-4, 0.5, 1 - 1e-4, 1.0, 2.0])
    np.testing.assert_allclose(minimum_jerk(u), [0, 0, 0, 0.5, 1, 1, 1], atol=1e-10)
