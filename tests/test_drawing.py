"""Rooms, cameras' tiles and whole sheets as pictures: what stands where, and what is left out."""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration import rigid
from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from lifter.skeleton import COCO17, MEDIAPIPE33, SKELETONS
from nodes.drawing.eye import DIRECTIONS, EyeError, eye_at, eye_named, seen_of
from nodes.drawing.jpeg import decoded, size_of
from nodes.drawing.layout import Box, lay_out
from nodes.drawing.overlay import DOT_SHARE, draw_people
from nodes.drawing.room import Body, Room, project
from nodes.drawing.shape import dots_alone, shape_of
from nodes.drawing.strokes import GROUND, blank
from nodes.drawing.text import shortened, text, width_of, wrapped
from nodes.drawing.tile import NOBODY, colours_of, draw_tile
from nodes.stills.moment import CameraMoment, Moment
from nodes.stills.sheet import Sheet, Style
from nodes.watching.verdict import ALL_WELL, Verdict
from nodes.watching.words import BESIDE_RGB, LEVEL_RGB, ORIGIN_RGB, Level, Rgb, person_rgb
from nodes.wire.messages import Origin, Person3D
from tests import messages as make
from tests.crowd import Actor

WH = (640, 480)
STANDING_M = Actor().joints_m(0.4)[0]
NO_RIG_EYE = eye_at(np.array([4.0, 0.0, 1.5]), np.array([0.0, 0.0, 0.9]), WH)


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(4, 3.5, 2.2, (640, 480), 600.0)


def body(joints_m=STANDING_M, person=1, skeleton=MEDIAPIPE33, origin=Origin.TRIANGULATED, **other) -> Body:
    n_joints = len(joints_m)
    return Body(
        person,
        np.asarray(joints_m, float),
        shape_of(skeleton) if len(skeleton.joints) == n_joints else dots_alone(n_joints),
        np.full(n_joints, origin, np.uint8),
        np.full(n_joints, 0.01, np.float32),
        **other,
    )


def shifted(x_m: float, y_m: float, z_m: float):
    return STANDING_M + np.array([x_m, y_m, z_m])


def is_like(picture, rgb, tolerance=12):
    """(H, W) where the picture has a colour."""
    return np.abs(picture.astype(int) - rgb).max(axis=-1) <= tolerance


def changed(room, *bodies):
    return (room.picture(bodies) != room.picture([])).any(axis=2)


class TestRoom:
    def test_a_joint_lands_where_its_projection_says(self):
        room = Room(None, NO_RIG_EYE)
        lone = Body(3, np.array([[0.3, -0.4, 1.2]]), dots_alone(1), np.array([Origin.LIFTED]), np.array([0.01]))
        rows, columns = np.nonzero(is_like(room.picture([lone]), ORIGIN_RGB[Origin.LIFTED]))
        expected_px = NO_RIG_EYE.project(lone.joints_m)[0]
        assert np.hypot(columns.mean() - expected_px[0], rows.mean() - expected_px[1]) < 0.7

    def test_bones_lie_between_their_joints(self):
        room = Room(None, NO_RIG_EYE)
        where = changed(room, body())
        joints_px = project(NO_RIG_EYE, STANDING_M)
        for parent, child in MEDIAPIPE33.bones:
            for share in (0.1, 0.5, 0.9):
                x, y = np.rint(joints_px[parent] + share * (joints_px[child] - joints_px[parent])).astype(int)
                assert where[y, x], (parent, child)

    @pytest.mark.parametrize("origin", [Origin.TRIANGULATED, Origin.FUSED, Origin.LIFTED, Origin.PREDICTED])
    def test_joints_have_the_colour_of_their_origin(self, origin):
        picture = Room(None, NO_RIG_EYE).picture([body(origin=origin)])
        assert is_like(picture, ORIGIN_RGB[origin], 4).sum() > 100

    def test_people_have_colours_of_their_own(self):
        picture = Room(None, NO_RIG_EYE).picture([body(person=1), body(shifted(0, 0.9, 0), person=2)])
        columns = [np.nonzero(is_like(picture, person_rgb(person), 50))[1] for person in (1, 2)]
        assert abs(np.median(columns[1]) - np.median(columns[0])) > 60

    def test_who_is_near_hides_who_is_far(self):
        behind, before = body(shifted(-0.6, -0, -0), person=1), body(shifted(0.6, 0, 0), person=2)
        room = Room(None, NO_RIG_EYE)
        one, other = room.picture([behind, before]), room.picture([before, behind])
        assert (one == other)[:, :, :].mean() > 0.995  # whoever is drawn first
        front_px = project(NO_RIG_EYE, before.joints_m[[23]])[0].astype(int)
        around = one[front_px[1] + 12, front_px[0] - 8 : front_px[0] + 9]
        assert is_like(around, person_rgb(2), 90).any()

    def test_a_less_sure_joint_is_larger(self):
        room = Room(None, NO_RIG_EYE)
        sure, unsure = (replace(body(), sigma_m=np.full(33, sigma_m, np.float32)) for sigma_m in (0.01, 0.06))
        seen = [is_like(room.picture([each]), ORIGIN_RGB[Origin.TRIANGULATED], 4).sum() for each in (sure, unsure)]
        assert seen[1] > 2 * seen[0]

    def test_nothing_is_drawn_of_what_is_not_there(self):
        room = Room(None, NO_RIG_EYE)
        assert not changed(room, body(np.full((33, 3), np.nan))).any()
        assert not changed(room, body(np.full((33, 3), np.inf))).any()
        assert not changed(room, body(np.empty((0, 3)), skeleton=COCO17)).any()
        assert not changed(room, body(shifted(9.0, 0, 0))).any()  # behind the eye

    def test_a_joint_that_is_nan_costs_its_bones_alone(self):
        partly_m = STANDING_M.copy()
        partly_m[15] = np.nan
        where = changed(Room(None, NO_RIG_EYE), body(partly_m))
        assert where.sum() > 0.7 * changed(Room(None, NO_RIG_EYE), body()).sum()

    @pytest.mark.parametrize("away_m", [[0, 5000.0, 0], [-5000.0, 0, 0], [3.9, 0, 0], [3.2, 0.1, -0.5]])
    def test_who_is_far_outside_or_very_near_breaks_nothing(self, away_m):
        Room(None, NO_RIG_EYE).picture([body(shifted(*away_m), origin=Origin.PREDICTED), body()])

    def test_people_cast_a_shadow_below_them(self, rig):
        eye = eye_named("corner", rig, WH)
        room = Room(rig, eye)
        up_m = body(shifted(0, 0, 0.8))
        x, y = np.rint(project(eye, STANDING_M[23:25].mean(axis=0) * [1, 1, 0])).astype(int)
        assert room.picture([up_m])[y - 2 : y + 3, x - 2 : x + 3].mean() < 0.8 * np.mean(GROUND)

    @pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
    def test_every_skeleton_has_bones_or_a_head(self, skeleton):
        shape = shape_of(skeleton)
        assert len(shape.bones) >= 10
        assert shape.head
        assert all(joint < len(skeleton.joints) for bone in shape.bones for joint in bone[:2])

    def test_a_skeleton_that_nobody_knows_is_dots(self):
        points_m = np.random.default_rng(0).uniform([-0.3, -0.3, 0.2], [0.3, 0.3, 1.7], (21, 3))
        picture = Room(None, NO_RIG_EYE).picture([body(points_m)])
        assert is_like(picture, ORIGIN_RGB[Origin.TRIANGULATED]).sum() > 21 * 8

    def test_a_second_result_is_thin_and_white(self):
        room = Room(None, NO_RIG_EYE)
        beside = body(shifted(0, 0.6, 0), is_beside=True)
        assert is_like(room.picture([beside]), BESIDE_RGB).sum() > 200
        assert changed(room, beside).sum() < 0.5 * changed(room, body()).sum()

    def test_ten_people_and_sixteen_cameras(self):
        rig = ring_rig(16, 5.0, 2.5, (1280, 720), 900.0)
        bodies = [body(shifted(0, y, 0), person=i) for i, y in enumerate(np.linspace(-3, 3, 10))]
        picture = Room(rig, eye_named("front", rig, WH)).picture(bodies)
        assert sum(is_like(picture, person_rgb(i), 60).sum() > 30 for i in range(8)) == 8


class TestEye:
    @pytest.mark.parametrize("words", [*sorted(set(DIRECTIONS) - {"near"})])
    @pytest.mark.parametrize("size_wh", [(640, 480), (300, 600), (1200, 300)])
    def test_a_direction_sees_all_cameras_and_the_middle(self, rig, words, size_wh):
        seen_px = eye_named(words, rig, size_wh).project(seen_of(rig))
        assert np.isfinite(seen_px).all()
        assert ((seen_px >= 0) & (seen_px < size_wh)).all()
        assert np.max((seen_px.max(axis=0) - seen_px.min(axis=0)) / size_wh) > 0.75  # and as near as it can

    def test_where_the_eye_stands(self, rig):
        front, top = (eye_named(words, rig, WH).T_world_cam[:3, 3] for words in ("front", "top"))
        assert front[0] > 3
        assert abs(front[1]) < 1
        assert top[2] > 5

    def test_no_camera_stands_between_the_corner_and_the_people(self, rig):
        eye = eye_named("corner", rig, WH)
        hips_px = eye.project(np.array([0.0, 0.0, 0.95]))
        places_px = eye.project(np.array([camera.T_world_cam[:3, 3] for camera in rig.cameras]))
        assert np.abs(places_px[:, 0] - hips_px[0]).min() > 40

    def test_near_is_nearer(self, rig):
        far, near = (np.linalg.norm(eye_named(words, rig, WH).T_world_cam[:3, 3]) for words in ("corner", "near"))
        assert near < 0.8 * far

    def test_through_a_camera(self, rig):
        eye = eye_named("camera:right", rig, (1280, 960))
        point_m = np.array([0.2, 0.1, 1.0])
        assert eye.project(point_m) == pytest.approx(2 * (rig["right"].project(point_m) + 0.5) - 0.5)
        assert not (Room(rig, eye).picture([]) == 255).all()

    def test_a_place(self, rig):
        assert eye_named("-3, 2,1.5", rig, WH).T_world_cam[:3, 3] == pytest.approx([-3, 2, 1.5])

    def test_circling_keeps_the_distance(self, rig):
        places = [eye_named("corner", rig, WH, turned).T_world_cam[:3, 3] for turned in (0.0, 90.0, 200.0)]
        assert np.ptp([np.hypot(*place[:2]) for place in places]) < 0.8
        assert rigid.rotation_from_rotvec([0, 0, np.pi / 2])[:2, :2] @ places[0][:2] == pytest.approx(
            places[1][:2], abs=0.8
        )

    @pytest.mark.parametrize("words", ["", "nowhere", "1,2", "1,2,nan", "1,2,3,4", "camera:attic", "a,b,c"])
    def test_what_is_no_eye_is_refused_with_those_that_are(self, rig, words):
        with pytest.raises(EyeError, match=r"camera:front.*x,y,z"):
            eye_named(words, rig, WH)

    def test_straight_down_and_at_the_target_itself(self, rig):
        eye_named("0,0,9", rig, WH)
        with pytest.raises(EyeError, match="cannot look"):
            eye_at(np.ones(3), np.ones(3), WH)

    @pytest.mark.parametrize("n_cameras", [1, 2])
    def test_few_cameras(self, n_cameras):
        rig = ring_rig(n_cameras, 3.0, 2.0, (640, 480), 600.0)
        assert np.isfinite(eye_named("corner", rig, WH).project(np.array([0.0, 0.0, 1.0]))).all()
        alike = CameraRig(tuple(replace(rig.cameras[0], name=f"c{i}") for i in range(n_cameras)))
        assert np.isfinite(eye_named("corner", alike, WH).project(np.array([0.0, 0.0, 1.0]))).all()


class TestLayout:
    @pytest.mark.parametrize("size_wh", [(1600, 900), (780, 452), (390, 844), (161, 160), (2000, 300)])
    @pytest.mark.parametrize("n_cameras", [0, 1, 2, 3, 4, 6, 9, 16])
    @pytest.mark.parametrize("room", [True, False])
    def test_everything_is_inside_and_nothing_overlaps(self, size_wh, n_cameras, room):
        layout = lay_out(size_wh, n_cameras, 4 / 3, room, footer_lines=0)
        boxes = [layout.header, *layout.cameras, *([layout.room] if layout.room else [])]
        assert len(layout.cameras) == n_cameras
        for box in boxes:
            assert min(box.left, box.top) >= 0
            assert box.left + box.width <= size_wh[0]
            assert box.top + box.height <= size_wh[1]
        assert not any(_overlap(one, other) for one, other in itertools.combinations(boxes, 2))

    def test_a_wide_sheet_shows_four_cameras_and_the_room_large(self):
        layout = lay_out((1600, 900), 4, 4 / 3)
        assert layout.room is not None
        assert layout.room.width * layout.room.height > 0.35 * 1600 * 900
        assert sum(box.width * box.height for box in layout.cameras) > 0.25 * 1600 * 900

    def test_the_footer_has_room_for_its_lines(self):
        layout = lay_out((1600, 900), 4, 4 / 3, footer_lines=5)
        assert layout.footer is not None
        assert layout.room is not None
        assert layout.footer.height >= 5 * 22
        assert layout.room.top + layout.room.height <= layout.footer.top


def _overlap(one: Box, other: Box) -> bool:
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    return across > 0 and down > 0


class TestText:
    def test_words_stand_where_they_should(self):
        canvas = blank((300, 60))
        width = text(canvas, "joints 33", (150, 30), 20, align="middle")
        rows, columns = np.nonzero((canvas != GROUND).any(axis=2))
        assert columns.min() == pytest.approx(150 - width / 2, abs=3)
        assert columns.max() == pytest.approx(150 + width / 2, abs=3)
        assert rows.min() >= 18
        assert rows.max() <= 42

    @pytest.mark.parametrize("words", ["", " ", "Kamera ß é", "摄像头", "a\nb", "\x00"])
    def test_any_letters(self, words):
        text(blank((100, 40)), words, (5, 20), 16, rim=True)

    def test_beside_the_picture_is_no_mistake(self):
        canvas = blank((50, 20))
        for at in ((-500, 10), (500, 10), (10, -500), (10, 500)):
            text(canvas, "words", at, 14, rim=True)
        assert (canvas == GROUND).all()

    def test_too_long_is_shortened_and_wrapped(self):
        words = "its process has ended; it starts again by itself"
        short = shortened(words, 15, 120)
        assert short.endswith("…")
        assert width_of(short, 15) <= 120
        assert shortened("ok", 15, 120) == "ok"
        assert shortened(words, 15, 1) == ""
        lines = wrapped(words, 15, 150, 2)
        assert len(lines) == 2
        assert all(width_of(each, 15) <= 150 for each in lines)


class TestTile:
    def test_keypoints_are_drawn_where_they_were_seen(self, rig):
        seen = _seen(rig, "front", [STANDING_M])
        canvas = _tile(keypoints=seen, colours=[Rgb(255, 0, 0)])
        hip_px = (rig["front"].project(STANDING_M[23]) + 0.5) / 2
        knee_px = (rig["front"].project(STANDING_M[25]) + 0.5) / 2
        x, y = np.rint((hip_px + knee_px) / 2).astype(int)
        assert is_like(canvas[y - 1 : y + 2, x - 1 : x + 2], (255, 0, 0), 60).any()

    def test_a_camera_in_trouble_is_grey_red_framed_and_says_why(self):
        colourful = np.full((240, 320, 3), (200, 40, 40), np.uint8)
        good = _tile(picture=colourful)
        bad = _tile(picture=colourful, verdict=Verdict(Level.BAD, "no frames", "no frames for 2.1 s"))
        assert is_like(good, (200, 40, 40)).mean() > 0.9
        assert is_like(bad, (200, 40, 40)).sum() == 0
        assert is_like(bad[0], LEVEL_RGB[Level.BAD], 3).all()
        assert (bad != _tile(picture=colourful, verdict=Verdict(Level.BAD, "no frames", ""))).any()

    def test_without_a_picture_it_says_why(self):
        assert (_tile(instead="pictures are off") != _tile()).sum() > 100

    def test_people_have_the_colours_of_the_room(self, rig):
        places = [STANDING_M, shifted(0, 1.0, 0)]
        pose = make.pose(people=tuple(_person(i + 4, joints_m) for i, joints_m in enumerate(places)))
        stranger = shifted(0, -1.2, 0)
        seen = _seen(rig, "front", [places[1], stranger, places[0]])
        assert colours_of(seen, pose.people, rig["front"]) == [person_rgb(5), NOBODY, person_rgb(4)]
        assert colours_of(None, pose.people, rig["front"]) == []
        assert colours_of(seen, (), None) == [NOBODY] * 3
        halved = replace(seen, size_wh=(320, 240), keypoints_px=seen.keypoints_px / 2)
        assert colours_of(halved, pose.people, rig["front"])[0] == person_rgb(5)


class TestSheet:
    @pytest.mark.parametrize("only", ["", "room", "cameras"])
    def test_every_part_is_there(self, rig, only):
        pose = make.pose(people=(_person(1, STANDING_M),), skeleton="mediapipe33")
        cameras = tuple(CameraMoment(name, keypoints=_seen(rig, name, [STANDING_M])) for name in rig.names)
        sheet = Sheet(Style((800, 450), only=only), rig, 4)
        empty = sheet.picture(Moment(tuple(CameraMoment(name) for name in rig.names)))
        full = sheet.picture(Moment(cameras, pose, clock="0:01.0"))
        assert full.shape == (450, 800, 3)
        places = [*sheet.layout.cameras, *([sheet.layout.room] if sheet.layout.room else [])]
        assert len(places) == {"": 5, "room": 1, "cameras": 4}[only]
        for place in places:
            part = np.s_[place.top : place.top + place.height, place.left : place.left + place.width]
            assert (full[part] != empty[part]).any()

    def test_relative_to_the_hips_people_stand_side_by_side(self):
        people = tuple(_person(i, STANDING_M - STANDING_M[23:25].mean(axis=0)) for i in (1, 2))
        pose = make.pose(people=people, frame="root_relative", skeleton="mediapipe33")
        picture = Sheet(Style((800, 450), only="room"), None, 0).picture(Moment((), pose))[:400]  # above the legend
        columns = [np.median(np.nonzero(is_like(picture, person_rgb(i), 50))[1]) for i in (1, 2)]
        assert abs(columns[1] - columns[0]) > 40

    def test_nothing_at_all(self):
        assert Sheet(Style((400, 300)), None, 0).picture(Moment(())).shape == (300, 400, 3)


def _tile(picture=None, keypoints=None, colours=(), verdict=ALL_WELL, instead=""):
    return draw_tile((320, 240), "front", picture, keypoints, MEDIAPIPE33, colours, verdict, instead, 1.0)


def _seen(rig, camera, people):
    keypoints_px = np.array([rig[camera].project(joints_m) for joints_m in people], np.float32)
    return make.keypoints(
        source=camera, size_wh=(640, 480), keypoints_px=keypoints_px, confidence=np.ones(keypoints_px.shape[:2], "f4")
    )


def _person(person, joints_m):
    return Person3D(
        id=person,
        joints_m=joints_m.astype(np.float32),
        sigma_m=np.full(33, 0.01, np.float32),
        reprojection_px=np.ones(33, np.float32),
        views=np.full(33, 3, np.uint32),
        origin=np.full(33, Origin.TRIANGULATED, np.uint8),
    )


class TestPreviews:
    """What comes over the bus is decoded only when its own header says what the message says."""

    def test_a_preview_comes_back_as_it_was(self):
        shown = decoded(make.preview(size_wh=(64, 48), jpeg=jpeg_of(64, 48)))
        assert shown is not None
        assert shown.shape == (48, 64, 3)
        assert is_like(shown, Rgb(200, 100, 50), 4).all()

    @pytest.mark.parametrize("progressive", [0, 1])
    def test_one_of_another_size_than_it_says_is_not_decoded(self, progressive, monkeypatch):
        monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
        large = jpeg_of(3000, 2000, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
        assert size_of(large) == (3000, 2000)
        assert decoded(make.preview(size_wh=(320, 240), jpeg=large)) is None
        assert decoded(make.preview(size_wh=(3000, 2000), jpeg=large)) is None, "six megapixels"

    def test_every_cut_and_every_broken_head_is_none_or_the_size(self):
        whole = jpeg_of(64, 48)
        assert {size_of(whole[:end]) for end in range(len(whole))} == {None, (64, 48)}
        rng = np.random.default_rng(3)
        for _ in range(300):
            broken = bytearray(whole)
            broken[int(rng.integers(2, 200))] = int(rng.integers(256))
            shown = decoded(make.preview(size_wh=(64, 48), jpeg=bytes(broken)))
            assert shown is None or shown.shape == (48, 64, 3)

    @pytest.mark.parametrize(
        "head",
        [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x00" + bytes(90), b"\x89PNG\r\n", b"\xff\xd8\xff\xc0\x00\x11\x08"],
    )
    def test_what_is_no_jpeg_has_no_size(self, head):
        assert size_of(head) is None


def jpeg_of(width: int, height: int, *options: int) -> bytes:
    _, coded = cv2.imencode(".jpg", np.full((height, width, 3), (50, 100, 200), np.uint8), options)
    return coded.tobytes()


class TestOverlay:
    @pytest.mark.parametrize("height", [280, 560])
    def test_dots_are_round(self, height):
        picture = np.zeros((height, 100, 3), np.uint8)
        ends_px = np.array([[[50.3, 20.6], [50.3, height - 20.4]]], "f4")
        draw_people(picture, ends_px, np.ones((1, 2), "f4"), None, [Rgb(0, 0, 0)])
        dot = picture[:40, :, 1] / 255
        width_px = dot.sum(axis=1).max()
        assert width_px == pytest.approx(2 * DOT_SHARE * height / 140, rel=0.15)
        assert dot.sum() / width_px**2 == pytest.approx(np.pi / 4, rel=0.08), "of a diamond it is a half"

    def test_ten_people_in_a_small_tile_keep_their_colours(self, rig):
        seen_by = rig.cameras[0].resized((120, 90))
        places = [shifted((n % 3 - 1) * 1.0, (n // 3 - 1.2) * 0.8, 0.0) for n in range(10)]
        keypoints_px = np.stack([seen_by.project(place) for place in places]).astype(np.float32)
        lone, crowd = np.zeros((2, 90, 120, 3), np.uint8)
        colours = [person_rgb(n) for n in range(10)]
        draw_people(lone, keypoints_px[:1], np.ones((1, 33), "f4"), MEDIAPIPE33, colours)
        draw_people(crowd, keypoints_px, np.ones((10, 33), "f4"), MEDIAPIPE33, colours)
        assert is_like(crowd, (255, 255, 255), 60).mean() < 0.01
        assert not is_like(lone, (255, 255, 255), 60).any()
        for colour in colours[:8]:
            assert is_like(crowd, colour, 70).sum() > 3
