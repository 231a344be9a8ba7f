"""The 3D half of the live page: what is drawn of poses, cameras and pictures, and where."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.acting_people import Cast
from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from lifter.skeleton import MEDIAPIPE33, SKELETONS
from nodes.drawing.jpeg import decoded
from nodes.drawing.overlay import draw_people, scaled
from nodes.page.asks import Asks
from nodes.page.bodies import DIM, JOINT_RADIUS_M, Drawn, drawn, middle, placed, plan_of
from nodes.page.camera_pictures import picture_of
from nodes.page.eye_picture import straightening
from nodes.page.newest_keypoints import NewestKeypoints
from nodes.page.opening import open_page
from nodes.page.part import Page
from nodes.page.people_part import PeopleInRoom
from nodes.page.rig_part import RigInRoom, why_flat
from nodes.page.room import floor_of, focus_of, fov_of, frustum_of, overview, through, wxyz_of
from nodes.page.seen import Seen
from nodes.page.shapes import Mesh, along, ball, bone
from nodes.page.trails import LAST_S, Trails
from nodes.page.views import Views
from nodes.watching.words import BESIDE_RGB, Rgb
from nodes.wire.messages import Origin, Pose3D, Preview
from nodes.wire.topics import envelope
from tests import messages as sample
from tests.hub import free_ports
from tests.page_seen import acting

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]
SECOND_NS = 1_000_000_000
RED = Rgb(255, 0, 0)


def turned(wxyz: Floats, vector: Floats) -> Floats:
    """Vectors (N, 3) turned by quaternions (N, 4)."""
    w, u = wxyz[:, :1], wxyz[:, 1:]
    return vector + 2 * np.cross(u, np.cross(u, vector) + w * vector)


def at(pose: Pose3D, slots: int = 1, beside: bool = False) -> Drawn:
    n_joints = len(pose.people[0].joints_m)
    return drawn(pose, placed(pose), plan_of(SKELETONS.get(pose.skeleton), n_joints), slots, beside)


def test_bones_point_from_joint_to_joint() -> None:
    rng = np.random.default_rng(0)
    starts = rng.normal(size=(200, 3)).astype(np.float32)
    ends = rng.normal(size=(200, 3)).astype(np.float32)
    ends[0] = starts[0] - [0, 0, 1]  # straight down
    ends[1] = starts[1] + [0, 0, 1]
    wxyz, length = along(starts, ends)
    assert np.abs(turned(wxyz, np.tile([0.0, 0.0, 1.0], (200, 1))) * length[:, None] - (ends - starts)).max() < 1e-5


def test_bone_without_ends_has_no_length() -> None:
    nothing = np.full((1, 3), np.nan, np.float32)
    wxyz, length = along(nothing, np.zeros((1, 3), np.float32))
    assert length[0] == 0
    assert np.allclose(np.linalg.norm(wxyz, axis=-1), 1)


@pytest.mark.parametrize("mesh", [ball(), bone()], ids=["ball", "bone"])
def test_solids_show_their_outer_side(mesh: Mesh) -> None:
    vertices, faces = mesh.vertices, mesh.faces
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    away = corners.mean(axis=1) - [0, 0, vertices[:, 2].mean()]
    assert ((normals * away).sum(axis=-1) > 0).all()


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_skeleton_is_drawn_with_its_bones(name: str) -> None:
    n_joints = len(SKELETONS[name].joints)
    pose = sample.pose(skeleton=name, people=(sample.person(n_joints),))
    shown = at(pose)
    finite = np.isfinite(pose.people[0].joints_m).all(axis=-1)
    assert ((shown.radius_m > 0) == finite).all()
    assert len(shown.bones_m) in (len(SKELETONS[name].bones), len(SKELETONS[name].bones) + 1)  # and a neck


def test_skeleton_that_nobody_knows_is_drawn_as_dots() -> None:
    shown = at(sample.pose(skeleton="octopus", people=(sample.person(12),)))
    assert shown.radius_m.any()
    assert len(shown.bones_m) == 0


def test_joints_that_are_not_there_or_too_far_off_are_not_drawn() -> None:
    joints = np.tile(np.arange(17, dtype=np.float32)[:, None] * np.float32(0.1), 3)
    joints[3], joints[4], joints[5] = np.nan, np.inf, 1e9
    shown = at(sample.pose(skeleton="coco17", people=(sample.person(17, joints_m=joints),)))
    assert (shown.radius_m[3:6] == 0).all()
    assert (shown.radius_m[6:] > 0).all()
    for values in vars(shown).values():
        assert np.isfinite(values).all()
    bones = np.array(SKELETONS["coco17"].bones)
    lost = np.isin(bones, (3, 4, 5)).any(axis=-1)
    assert (shown.bones_scale[: len(bones), 2][lost] == 0).all()
    assert (shown.bones_scale[: len(bones), 2][~lost] > 0).all()


def test_unsure_joint_has_a_halo_and_a_guessed_one_dims_its_bones() -> None:
    origin = np.full(17, Origin.TRIANGULATED, np.uint8)
    sigma_m = np.full(17, 0.005, np.float32)
    origin[9], sigma_m[9], sigma_m[10], sigma_m[11] = Origin.PREDICTED, 0.1, np.nan, np.inf
    joints = np.random.default_rng(1).normal(size=(17, 3)).astype(np.float32)
    shown = at(
        sample.pose(skeleton="coco17", people=(sample.person(17, joints_m=joints, sigma_m=sigma_m, origin=origin),))
    )
    assert shown.halo_m[9] == pytest.approx(0.2)
    assert np.flatnonzero(shown.halo_m).tolist() == [9, 11]
    bones = SKELETONS["coco17"].bones
    to_wrist = next(index for index, ends in enumerate(bones) if 9 in ends)
    elsewhere = next(index for index, ends in enumerate(bones) if 9 not in ends)
    assert shown.bone_rgb[to_wrist].sum() == pytest.approx(DIM * shown.bone_rgb[elsewhere].sum(), abs=3)


def test_arrays_keep_their_size_with_fewer_people() -> None:
    one = sample.pose(skeleton="coco17", people=(sample.person(17),))
    shown = at(one, slots=4)
    assert shown.joints_m.shape == (4 * 17, 3)
    assert not shown.radius_m[17:].any()


def test_second_result_is_thin_and_of_one_colour() -> None:
    pose = sample.pose(skeleton="coco17", people=(sample.person(17),))
    assert at(pose, beside=True).radius_m.max() < JOINT_RADIUS_M / 2
    assert len(np.unique(at(pose, beside=True).joint_rgb, axis=0)) == 1
    assert min(BESIDE_RGB) > 200  # unlike anybody's


def test_people_relative_to_their_hips_stand_side_by_side() -> None:
    pose = sample.pose(skeleton="coco17", people=(sample.person(17), sample.person(17)), frame="root_relative")
    plan = plan_of(SKELETONS["coco17"], 17)
    one, other = (middle(joints, plan) for joints in placed(pose))
    assert one is not None
    assert other is not None
    assert np.linalg.norm(one - other) > 1


def test_trail_fades_and_ends_where_time_or_person_jumps() -> None:
    trails = Trails()
    for step in range(60):
        trails.feed(step * 100_000_000, {1: np.array([step * 0.1, 0, 1], np.float32)})
    points, colours = trails.lines(59 * 100_000_000, (0, 0, 0))
    assert len(points) == LAST_S * 10 - 1
    assert (points[..., 2] < 0.02).all()
    assert colours[0].sum() < colours[-1].sum()
    trails.feed(6 * SECOND_NS, {1: np.array([99, 0, 1], np.float32)})
    assert len(trails.lines(6 * SECOND_NS, (0, 0, 0))[0]) == 0
    trails.feed(0, {2: np.zeros(3, np.float32)})
    trails.feed(1, {2: np.zeros(3, np.float32)})
    assert len(trails.lines(1, (0, 0, 0))[0]) == 1


def test_cameras_of_a_ring_look_at_its_middle() -> None:
    rig = ring_rig(4, 4.0, 2.2, (1280, 720), 800.0)
    assert np.linalg.norm(focus_of(rig)[:2]) < 0.1
    eye = overview(rig)
    seen = [np.degrees(np.arctan2(*camera.T_world_cam[1::-1, 3])) for camera in rig.cameras]
    here = np.degrees(np.arctan2(eye.position_m[1], eye.position_m[0]))
    assert min(abs((one - here + 180) % 360 - 180) for one in seen) > 30  # no camera stands in the way
    assert floor_of(rig).size_m >= 8


@pytest.mark.parametrize("aspect", [0.5, 0.8, 1.2, 2.0])
@pytest.mark.parametrize(("count", "radius_m", "height_m"), [(2, 3.0, 2.2), (4, 4.0, 2.5), (16, 6.0, 3.0)])
def test_cameras_stand_so_far_from_the_edge_that_their_names_fit(count, radius_m, height_m, aspect) -> None:
    rig = ring_rig(count, radius_m, height_m, (1280, 720), 800.0)
    eye = overview(rig, aspect)
    ahead = eye.look_at_m - eye.position_m
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    for camera in rig.cameras:
        way = camera.T_world_cam[:3, 3] - eye.position_m
        assert abs(way @ right) / (way @ ahead) < 0.85 * np.tan(eye.fov_rad / 2) * aspect


@pytest.mark.parametrize("count", [1, 2, 16])
def test_any_rig_has_a_view(count: int) -> None:
    rig = ring_rig(max(count, 2), 3.0, 2.0, (640, 480), 500.0)
    rig = CameraRig(rig.cameras[:count])
    for aspect in (0.5, 1.5):
        eye = overview(rig, aspect)
        assert np.isfinite(eye.position_m).all()
        assert 2 < np.linalg.norm(eye.position_m - eye.look_at_m) < 60


def test_cameras_that_look_the_same_way_or_stand_far_off_make_no_endless_room() -> None:
    camera = ring_rig(2, 3.0, 2.0, (640, 480), 500.0).cameras[0]
    T = camera.T_cam_world.copy()
    T[:3, 3] += 1e6
    rig = CameraRig((camera, replace(camera, name="beside"), replace(camera, name="far", T_cam_world=T)))
    assert floor_of(rig).size_m <= 60
    assert np.isfinite(overview(rig).position_m).all()


def test_frustum_stands_as_its_camera() -> None:
    for camera in ring_rig(5, 3.0, 2.0, (640, 480), 500.0).cameras:
        shown = frustum_of(camera, 1.0)
        axis = turned(shown.wxyz[None], np.array([[0.0, 0.0, 1.0]]))[0]
        assert np.allclose(axis, camera.T_world_cam[:3, 2], atol=1e-9)
        corner = shown.position_m + shown.depth_m * axis
        assert np.allclose(camera.project(corner), (camera.K[0, 2], camera.K[1, 2]))


def test_quaternion_of_every_half_turn() -> None:
    for axis in np.eye(3):
        R = 2 * np.outer(axis, axis) - np.eye(3)
        assert np.allclose(np.abs(wxyz_of(R)[1:]), axis)


def test_straightened_picture_lies_behind_the_room() -> None:
    """A point of the room is seen where its picture is: with a lens that bends, and a middle that is off."""
    base = ring_rig(2, 3.0, 2.0, (640, 480), 500.0).cameras[0]
    K = base.K + np.array([[0, 0, 25.0], [0, 0, -15.0], [0, 0, 0]])
    camera = replace(base, K=K, dist=np.array([-0.2, 0.05, 0.001, -0.001]))
    x_px, y_px = straightening(camera, (320, 240), 2.5)
    eye = through(camera)
    height, width = x_px.shape
    point = np.array([0.3, 0.2, 1.1])
    p = camera.T_cam_world[:3, :3] @ point + camera.T_cam_world[:3, 3]
    focal = height / 2 / np.tan(eye.fov_rad / 2)
    u, v = width / 2 + focal * p[0] / p[2] - 0.5, height / 2 + focal * p[1] / p[2] - 0.5
    found = cv2.remap(
        np.dstack([x_px, y_px]), np.full((1, 1), u, np.float32), np.full((1, 1), v, np.float32), cv2.INTER_LINEAR
    )[0, 0]
    assert np.allclose(found, camera.resized((320, 240)).project(point), atol=0.05)
    assert x_px[0, 0] < 0  # the view is wider than the picture
    assert fov_of(camera) == pytest.approx(eye.fov_rad)


def test_overlay_draws_at_the_keypoints_whatever_they_are() -> None:
    picture = np.zeros((160, 160, 3), np.uint8)
    keypoints = np.full((2, 17, 2), np.nan, np.float32)
    keypoints[0, 5], keypoints[0, 7] = (40, 30), (40, 90)
    keypoints[1, 5], keypoints[1, 7] = (1e30, -1e30), (10, 10)
    draw_people(picture, keypoints, np.ones((2, 17), np.float32), SKELETONS["coco17"], (RED,))
    assert picture[60, 40, 0] > 200
    assert not picture[60, 40, 1:].any()
    assert not picture[:, 60:].any()
    draw_people(picture, np.empty((0, 17, 2), np.float32), np.empty((0, 17), np.float32), None, (RED,))
    draw_people(picture, np.full((1, 3, 2), 100, np.float32), np.ones((1, 3), np.float32), MEDIAPIPE33, (RED,))
    assert picture[100, 100].any()


def test_keypoints_follow_the_size_of_the_picture() -> None:
    corners = np.array([[-0.5, -0.5], [639.5, 479.5]], np.float32)
    assert np.allclose(scaled(corners, (640, 480), (320, 240)), [[-0.5, -0.5], [319.5, 239.5]])


def test_keypoints_are_decoded_when_somebody_looks() -> None:
    refused: list[str] = []
    newest = NewestKeypoints(refused.append)
    for step in range(40):
        newest.hear("left", envelope(sample.keypoints(captured_ns=SECOND_NS + step * 16_000_000)))
    newest.hear("left", b"keypoints/left\0garbage")
    found = newest.near("left", SECOND_NS + 38 * 16_000_000)
    assert found is not None
    assert found.captured_ns == SECOND_NS + 38 * 16_000_000
    assert newest.near("left", 0) is None
    assert newest.near("right", 0) is None
    last = newest.newest("left")
    assert last is not None
    assert last.captured_ns == SECOND_NS + 39 * 16_000_000
    assert len(refused) == 1


def test_poses_that_stopped_are_shown_only_while_they_are_meant_to_stand() -> None:
    def at(second: float) -> bool:
        seen.expire(round(second * SECOND_NS))
        return seen.pose is not None

    seen = Seen()
    seen.feed(sample.pose(), 0)
    assert at(0.5)
    assert not at(2)
    seen.feed(sample.pose(), 3 * SECOND_NS)
    seen.held = True
    assert at(10)
    seen.held = False
    seen.feed(sample.play_state(playing=False), 10 * SECOND_NS)
    assert at(11)
    assert not at(17)  # the player has gone, too


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    opened = open_page("127.0.0.1", free_ports(1)[0], Asks())
    yield opened
    opened.server.stop()


@pytest.mark.parametrize(("people", "cameras"), [(0, 0), (1, 1), (10, 16)])
def test_room_of_any_size_is_drawn(page: Page, people: int, cameras: int) -> None:
    page.server.scene.reset()
    seen = acting(Cast(people, cameras)) if cameras else Seen()
    room, bodies = RigInRoom(page), PeopleInRoom(page)
    for turn in range(3):
        room.show(seen, turn)
        bodies.show(seen, turn)
    scene = page.server.scene
    for name in seen.cameras:
        assert scene.get_handle_by_name(f"/cameras/{name}") is not None
    assert (scene.get_handle_by_name("/people/joints") is not None) == (people > 0)
    assert scene.get_handle_by_name("/floor") is not None


def test_cameras_without_calibration_hang_on_the_wall_and_say_why(page: Page) -> None:
    page.server.scene.reset()
    seen = acting(Cast(1, 3), calibrated=False)
    RigInRoom(page).show(seen, 0)
    for name in seen.cameras:
        assert page.server.scene.get_handle_by_name(f"/wall/{name}") is not None
        assert page.server.scene.get_handle_by_name(f"/cameras/{name}") is None
    assert "keypoints-only" in why_flat(seen)
    assert "Calibrate" in why_flat(seen)
    assert "One camera" in why_flat(acting(Cast(1, 1), calibrated=False))


def test_rooms_follow_the_configuration(page: Page) -> None:
    page.server.scene.reset()
    room = RigInRoom(page)
    seen = acting(Cast(1, 4))
    room.show(seen, 0)
    before = seen.cameras
    seen.feed(acting(Cast(1, 2)).about, 1)  # type: ignore[arg-type]
    room.show(seen, 1)
    gone = set(before) - set(seen.cameras)
    assert gone
    for name in gone:
        assert page.server.scene.get_handle_by_name(f"/cameras/{name}") is None


def test_people_are_drawn_again_with_another_skeleton_and_count(page: Page) -> None:
    page.server.scene.reset()
    seen, bodies = Seen(), PeopleInRoom(page)
    for turn, (name, joints, count) in enumerate(
        (("coco17", 17, 1), ("coco17", 17, 3), ("octopus", 5, 2), ("coco17", 17, 0))
    ):
        people = tuple(sample.person(joints, id=index) for index in range(count))
        seen.feed(sample.pose(skeleton=name, people=people), turn)
        bodies.show(seen, turn)
    balls = page.server.scene.get_handle_by_name("/people/joints")
    assert balls is not None
    assert not balls.visible


class Browser:
    """As far as a view knows of it."""

    def __init__(self, page: Page, aspect: float) -> None:
        self.gui, self.scene, self.atomic = page.server.gui, page.server.scene, page.server.atomic
        self.camera = SimpleNamespace(
            aspect=aspect, position=np.zeros(3), look_at=np.ones(3), fov=1.0, near=0.01, up_direction=np.eye(3)[2]
        )


def test_a_browser_that_fails_does_not_stop_the_views_of_others(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, sane, odd = Browser(page, 1.0), Browser(page, 1.5), Browser(page, float("nan"))
    del broken.camera.position
    monkeypatch.setattr(page.server, "get_clients", lambda: {0: broken, 1: sane, 2: odd})
    with pytest.raises(AttributeError):
        Views(page).show(acting(Cast(1, 4)), 0)
    for browser in (sane, odd):
        assert np.linalg.norm(browser.camera.position) > 3
        assert np.isfinite(browser.camera.position).all()


def test_the_room_is_framed_anew_when_a_picture_gets_another_shape(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(page, 1.8)
    monkeypatch.setattr(page.server, "get_clients", lambda: {0: browser})
    seen, views = acting(Cast(1, 4)), Views(page)
    views.show(seen, 0)
    before = browser.camera.position
    browser.camera.aspect = 0.9
    views.show(seen, SECOND_NS)
    assert np.linalg.norm(browser.camera.position) > np.linalg.norm(before)


def test_picture_of_a_camera_is_grey_when_old_and_nothing_when_broken() -> None:
    seen = acting(Cast(1, 2))
    camera = seen.cameras[0]
    fine, old = (picture_of(seen, camera, None, grey) for grey in (False, True))
    assert fine is not None
    assert old is not None
    assert np.ptp(old.astype(int), axis=-1).max() == 0 < np.ptp(fine.astype(int), axis=-1).max()
    assert old.mean() < fine.mean()
    for jpeg in (b"", b"no picture", b"\xff\xd8\xff"):
        broken: Preview = replace(seen.previews[camera], jpeg=jpeg)
        assert decoded(broken) is None
