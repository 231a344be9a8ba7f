"""What fusion tells the cameras to look at: circles that hold the person, where and when the camera sees it."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.rig import Camera, CameraRig
from calibration.synthetic import ring_rig
from lifter.skeleton import BODY17, MEDIAPIPE33, SKELETONS
from nodes.detect.regions import STALE_NS, regions_at
from nodes.stages.expectation import expect
from nodes.wire.messages import Expected
from nodes.wire.topics import envelope
from tests import messages as make
from tests.keypoints import MS, START_NS, rig_of, truth_m

RIG = rig_of(4)


def standing_m(x_m=0.0):
    """(33, 3): the virtual actor, x_m from the middle."""
    joints_m = truth_m(START_NS)[0]
    return joints_m - [*joints_m[:, :2].mean(axis=0), 0.0] + [x_m, 0.0, 0.0]


def told(joints_m, velocity_m_s=None, sigma_m=None, rig=RIG, ids=None, skeleton=MEDIAPIPE33) -> Expected:
    joints_m = np.asarray(joints_m, dtype=np.float64)
    still = np.zeros_like(joints_m) if velocity_m_s is None else velocity_m_s
    sigma_m = np.full(joints_m.shape[:2], 0.001) if sigma_m is None else sigma_m
    return expect(START_NS, range(len(joints_m)) if ids is None else ids, joints_m, still, sigma_m, rig, skeleton)


def test_every_camera_is_told_a_circle_that_just_holds_the_body():
    joints_m = standing_m()
    message = told([joints_m], ids=[7])
    assert message.captured_ns == START_NS
    assert tuple(message.cameras) == RIG.names
    for camera in RIG.cameras:
        view = message.cameras[camera.name]
        assert view.ids.tolist() == [7]
        assert view.size_wh == camera.size_wh
        px = camera.project(joints_m)
        hips_px = px[[MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]].mean(axis=0)
        x, y, radius, angle = view.circles[0]
        assert (x, y) == pytest.approx(hips_px, abs=0.01)
        farthest_px = np.linalg.norm(px - hips_px, axis=1).max()
        assert farthest_px - 0.01 < radius < farthest_px + 1.0, "and a millimetre of uncertainty"
        assert abs(angle) < 0.2, "the actor stands upright"


def test_the_message_can_be_sent_for_everybody_and_for_nobody():
    envelope(replace(told([standing_m(), standing_m(1.0)]), published_ns=START_NS))
    message = told(np.empty((0, 33, 3)))
    envelope(replace(message, published_ns=START_NS))
    assert [len(view.ids) for view in message.cameras.values()] == [0, 0, 0, 0]
    assert [view.circles.shape for view in message.cameras.values()] == [(0, 4)] * 4


def test_a_leaning_spine_turns_the_circle_clockwise():
    """A camera on the y axis looks along -y with x to the left or right; the sign is checked against the pixels."""
    joints_m = standing_m()
    leaning_m = joints_m.copy()
    hips = joints_m[[23, 24]].mean(axis=0)
    turn = np.deg2rad(40)
    R = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    leaning_m = (joints_m - hips) @ R.T + hips
    for camera in RIG.cameras:
        px = camera.project(leaning_m)
        spine = px[[11, 12]].mean(axis=0) - px[[23, 24]].mean(axis=0)
        angle = told([leaning_m]).cameras[camera.name].circles[0, 3]
        assert np.array([np.sin(angle), -np.cos(angle)]) == pytest.approx(spine / np.linalg.norm(spine), abs=1e-5)


def test_the_velocity_in_the_picture_is_that_of_the_hips():
    joints_m, velocity_m_s = standing_m(), np.tile([1.0, 0.5, 0.0], (33, 1))
    message = told([joints_m], velocity_m_s[None])
    for camera in RIG.cameras:
        later = told([joints_m + 0.05 * velocity_m_s]).cameras[camera.name].circles[0]
        now, speed = message.cameras[camera.name].circles[0], message.cameras[camera.name].velocity_px_s[0]
        assert now[:2] + 0.05 * speed == pytest.approx(later[:2], abs=0.5)


def test_who_is_not_in_the_picture_or_behind_the_camera_is_not_looked_for():
    camera = RIG.cameras[0]
    eye_m, ahead = camera.T_world_cam[:3, 3], camera.T_world_cam[:3, 2]
    aside = np.cross(ahead, [0, 0, 1.0])
    centre_m = standing_m().mean(axis=0)
    places = {"seen": eye_m + 3 * ahead, "behind": eye_m - 3 * ahead, "in the lens": eye_m}
    places |= {"aside": eye_m + 3 * ahead + 5 * aside, "at the border": eye_m + 3 * ahead + 2.1 * aside}
    message = told([standing_m() - centre_m + place for place in places.values()])
    named = [list(places)[k] for k in message.cameras[camera.name].ids]
    assert named == ["seen", "at the border"]
    at_the_border = message.cameras[camera.name].circles[1]
    assert at_the_border[0] + at_the_border[2] > camera.size_wh[0], "the circle stays whole: the model crops it so"


def test_a_lens_that_folds_back_shows_nobody_from_outside():
    """k1 = -0.3 maps what is 60 degrees off the axis into the picture again."""
    lens = Camera("lens", (1280, 720), RIG.cameras[0].K, np.array([-0.3, 0, 0, 0]), RIG.cameras[0].T_cam_world)
    eye_m, ahead = lens.T_world_cam[:3, 3], lens.T_world_cam[:3, 2]
    aside = np.cross(ahead, [0, 0, 1.0])
    joints_m = (standing_m() - standing_m().mean(axis=0)) * 0.1 + eye_m + 3 * ahead + 1.8 * 3 * aside
    px = lens.project(joints_m)
    assert ((px > 0) & (px < lens.size_wh)).all(), "without the guard it would be looked for"
    assert len(told([joints_m], rig=CameraRig((lens,))).cameras["lens"].ids) == 0


def test_the_nearest_person_comes_first():
    camera = RIG.cameras[0]
    away = camera.T_world_cam[:3, 2] * [1, 1, 0]
    message = told([standing_m() + 0.5 * away, standing_m() - 0.5 * away, standing_m()], ids=[7, 8, 9])
    assert message.cameras[camera.name].ids.tolist() == [8, 9, 7]
    assert message.cameras[RIG.names[2]].ids.tolist() == [7, 9, 8], "the camera opposite"


def test_an_uncertain_place_is_looked_for_in_a_larger_circle_within_reason():
    joints_m = standing_m()[None]
    radii = [told(joints_m, sigma_m=np.full((1, 33), s)).cameras[RIG.names[0]].circles[0, 2] for s in (0.001, 0.1, 9.0)]
    assert radii[0] < radii[1] < radii[2] <= 1.31 * radii[0]


def test_joints_that_are_not_known_do_not_count():
    joints_m = standing_m()[None].copy()
    joints_m[0, :11] = np.nan
    sigma_m = np.full((1, 33), 0.001)
    sigma_m[0, :11] = np.inf
    for known in (joints_m, np.where(np.arange(33)[:, None] == 23, np.nan, joints_m)):
        view = told(known, sigma_m=sigma_m).cameras[RIG.names[0]]
        assert len(view.ids) == 1
        assert np.isfinite(view.circles).all()
    nobody = told(np.full((1, 33, 3), np.nan), sigma_m=np.full((1, 33), np.nan))
    assert [len(view.ids) for view in nobody.cameras.values()] == [0, 0, 0, 0]


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_every_skeleton_has_what_a_circle_needs(skeleton):
    everywhere = np.random.default_rng(0).normal([0, 0, 1], 0.3, (2, len(skeleton.joints), 3))
    message = told(everywhere, skeleton=skeleton)
    assert [len(view.ids) for view in message.cameras.values()] == [2] * 4


def test_the_middle_and_the_spine_are_the_same_in_the_lifters_skeleton():
    joints_m = truth_m(START_NS)[0]
    names = {**dict(zip(MEDIAPIPE33.joints, joints_m, strict=True))}
    shared = np.array([names.get(joint, np.full(3, np.nan)) for joint in BODY17.joints])
    for one, other in zip(
        told([joints_m]).cameras.values(), told([shared], skeleton=BODY17).cameras.values(), strict=True
    ):
        assert one.circles[0, [0, 1, 3]] == pytest.approx(other.circles[0, [0, 1, 3]], abs=0.01)


def test_ten_people_and_sixteen_cameras_are_told_in_one_go():
    rig = ring_rig(16, 6.0, 2.0, (1280, 720), 900.0)
    people = np.stack([standing_m(0.3 * k - 1.5) for k in range(10)])
    message = told(people, rig=rig)
    assert all(len(view.ids) == 10 for view in message.cameras.values())


def test_a_camera_carries_the_circle_on_to_its_own_frame():
    message = make.expected()
    view = message.cameras["left"]
    regions = regions_at(message, "left", message.captured_ns + 250 * MS, (640, 480))
    assert regions is not None
    assert regions.ids.tolist() == [12, 13]
    assert regions.circles[:, :2] == pytest.approx(view.circles[:, :2] + view.velocity_px_s / 4)
    assert regions.circles[:, 2:] == pytest.approx(view.circles[:, 2:])
    nobody = regions_at(message, "right", message.captured_ns, (640, 480))
    assert nobody is not None, "nobody is expected: that is another thing than silence"
    assert nobody.circles.shape == (0, 4)


def test_silence_another_camera_and_another_size_say_nothing():
    message = make.expected()
    assert regions_at(None, "left", message.captured_ns, (640, 480)) is None
    assert regions_at(message, "back", message.captured_ns, (640, 480)) is None
    assert regions_at(message, "left", message.captured_ns, (1280, 960)) is None
    assert regions_at(message, "left", message.captured_ns + STALE_NS + 1, (640, 480)) is None
    assert regions_at(message, "left", message.captured_ns - STALE_NS - 1, (640, 480)) is None


def test_what_a_stranger_on_the_network_makes_up_does_no_harm():
    circles = np.array([(np.nan, 0, 9, 0), (1, 2, -5, 0), (1e30, 1e30, 1e30, 1e30)], dtype=np.float32)
    speed = np.zeros((3, 2), dtype=np.float32)
    bad = make.expected_view(ids=np.arange(3), circles=circles, velocity_px_s=speed)
    message = make.expected(cameras={"bad": bad})
    regions = regions_at(message, "bad", message.captured_ns, (640, 480))
    assert regions is not None
    assert len(regions.circles) == 0, "too far off and too large for this picture, too"
