"""A camera that moves is named, timed, measured and put right; one that stands still is not."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.drift import room_of, turned
from benchmarks.drift_scenes import LOOKS_HZ, START_NS, Actor, bumped
from calibration.drift import MOVE, look_at, pose_after
from calibration.rig import CameraRig
from calibration.rig_file import load_rig, save_rig
from configs import schema
from lifter.skeleton import MEDIAPIPE33
from nodes.fusion import Corrected
from nodes.reprocess_sessions import Changes, reprocess_session
from nodes.sessions.about import about_of
from nodes.sessions.writer import new_session
from nodes.stages.pipeline import FusionPipeline
from nodes.stages.sides import sides_of
from nodes.watching.monitor import Monitor
from nodes.wire.messages import FusionHealth
from tests import messages as make
from tests.keypoints import MS, rig_of, truth_m
from tests.session_files import config_of

KNOWN_S = 60.0
SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def known_rooms():
    """Rooms that have been watched for a minute, by the number of cameras; never to be changed."""
    rooms = {n: room_of(n, 105.0, seed=3) for n in (3, 4)}
    for room in rooms.values():
        assert not any(names for _, names in room.run(KNOWN_S))
    return rooms


@pytest.fixture
def room(known_rooms):
    return copy.deepcopy(known_rooms[4])


def without_repair(room):
    room.watch._self_repair = False
    return room


def after_a_bump(room, *cameras, turn_deg=1.0, shift_m=(0.0, 0.0, 0.0)):
    """Where they really stand then; each turned about another axis of its picture."""
    rng = np.random.default_rng(1)
    rig = list(room.rig.cameras)
    for camera in cameras:
        rig[camera] = bumped(rig[camera], turned(turn_deg, rng), np.array(shift_m))
    return CameraRig(tuple(rig))


def first_named(found):
    return next(((t_s, names) for t_s, names in found if names), (None, frozenset()))


@pytest.mark.parametrize("number", range(MOVE))
def test_the_normal_equations_tell_a_small_move_of_one_camera(number):
    rig = rig_of(4)
    rng = np.random.default_rng(number)
    points_m, velocity_m_s = rng.uniform(-0.8, 0.8, (20, 3)) + np.array([0, 0, 1]), rng.normal(size=(20, 3))
    move = np.zeros((4, MOVE))
    move[1, number] = 1e-4
    cameras = list(rig.cameras)
    cameras[1] = replace(cameras[1], T_cam_world=pose_after(cameras[1].T_cam_world, move[1]))
    rays = np.stack([camera.undistort(camera.project(points_m)) for camera in cameras], axis=1)
    late_m = points_m + velocity_m_s * move[1, -1]
    rays[:, 1] = cameras[1].undistort(cameras[1].project(late_m))
    sums = look_at(np.stack([c.T_cam_world[:3] for c in rig.cameras]), rays, np.ones((20, 4)), velocity_m_s)
    assert np.allclose(np.tensordot(sums.H, move, 2), sums.g, atol=1e-3 * np.abs(sums.g).max())
    assert sums.after(move).disagreement < 1e-4 * sums.disagreement


@pytest.mark.parametrize("n_cameras", [3, 4])
def test_one_degree_is_named_within_five_seconds_with_its_time_and_size(known_rooms, n_cameras):
    room = without_repair(copy.deepcopy(known_rooms[n_cameras]))
    t_s, names = first_named(room.run(KNOWN_S + 5.0, after_a_bump(room, 1)))
    name = room.rig.names[1]
    assert names == {name}
    moved = room.watch.moved[name]
    assert abs((moved.at_ns - START_NS) / SECOND_NS - KNOWN_S) <= 0.4
    assert np.degrees(moved.turn) == pytest.approx(1.0, abs=0.5)
    assert moved.way_m < 0.04
    assert room.watch.wrong == {name}
    assert room.watch.notes[name].startswith("moved by ")
    assert t_s - KNOWN_S <= 5.0


def test_self_repair_puts_it_right_and_uses_it_again(room):
    really = after_a_bump(room, 2, turn_deg=2.0)
    name = room.rig.names[2]
    should = bumped(room.believed.calibrated[name], turned(2.0, np.random.default_rng(1)), np.zeros(3))
    room.run(KNOWN_S + 30.0, really)
    moved = room.watch.moved[name]
    assert moved.repaired
    assert room.watch.wrong == frozenset()
    assert room.watch.repairs >= 1
    assert moved.off_px > 20.0
    assert moved.left_px < 3.0
    there = room.actor.joints_m[room.looked - 50 : room.looked]
    off_px = np.linalg.norm(room.believed.calibrated[name].project(there) - should.project(there), axis=-1)
    assert np.median(off_px) < 6.0  # of 31
    assert "estimated anew" in moved.told
    for other in set(room.rig.names) - {name}:
        assert other not in room.watch.moved


def test_who_is_put_back_is_forgiven(room):
    room = without_repair(room)
    assert first_named(room.run(KNOWN_S + 10.0, after_a_bump(room, 0, turn_deg=1.5)))[1]
    room.run(KNOWN_S + 25.0)
    assert room.watch.moved == {}
    assert room.watch.notes == {}


def test_a_bump_while_nobody_is_there_is_found_when_somebody_comes(room):
    room = without_repair(room)
    room.looked = round(90.0 * LOOKS_HZ)
    t_s, names = first_named(room.run(98.0, after_a_bump(room, 1, turn_deg=1.5)))
    movement = room.watch.moved[room.rig.names[1]].movement
    assert names == {room.rig.names[1]}
    assert t_s < 96.0
    assert (movement.before_ns - START_NS) / SECOND_NS < KNOWN_S < 89 < (movement.after_ns - START_NS) / SECOND_NS


def test_two_at_once_are_both_named_of_four(room):
    room = without_repair(room)
    room.run(KNOWN_S + 8.0, after_a_bump(room, 0, 1, turn_deg=2.0))
    assert set(room.watch.moved) == set(room.rig.names[:2])
    assert len(room.watch.wrong) <= 2  # two stay


def test_a_swap_of_sides_a_late_clock_and_a_bystander_are_no_moves(room):
    room = without_repair(room)
    mirror = sides_of(MEDIAPIPE33).mirror
    other = Actor(120.0, np.random.default_rng(5)).joints_m + np.array([1.0, 0.6, 0.0])

    def swapped(px, joints_m, looks):
        return np.concatenate([px[:1, :, mirror], px[1:]])

    def late(px, joints_m, looks):
        before_m = joints_m - 0.08 * room.actor.velocity_m_s[looks]
        return px + np.eye(4)[1][:, None, None, None] * (room.rig.project(before_m) - room.rig.project(joints_m))

    def bystander(px, joints_m, looks):
        return np.concatenate([px[:3], room.rig.cameras[3].project(other[looks])[None]])

    for change in (swapped, late, bystander):
        watched = copy.deepcopy(room)
        watched.run(KNOWN_S + 8.0, change=change)
        assert watched.watch.moved == {}, change.__name__


def test_of_two_cameras_nobody_can_tell_which():
    room = room_of(2, 90.0, seed=1, repairs=True)
    assert not any(names for _, names in room.run(KNOWN_S))
    room.run(KNOWN_S + 8.0, after_a_bump(room, 1, turn_deg=2.0))
    assert room.watch.wrong == frozenset()
    assert room.watch.repairs == 0
    assert not any(moved.repaired for moved in room.watch.moved.values())


SETTINGS = schema.Fusion(lift=False, drift={"self_repair": True, "learn_s": 8.0}, synchroniser={"rate_hz": 10.0})


@pytest.fixture(scope="module")
def bumped_stream():
    """A rig, and 32 s of its cameras' messages; after 20 s one is turned by 3°."""
    rig, rng = rig_of(4), np.random.default_rng(0)
    captured_ns = START_NS + 100 * MS * np.arange(320)
    joints_m = truth_m(captured_ns)
    views = []
    for c, camera in enumerate(rig.cameras):
        after = bumped(camera, np.array([0.0, 3.0 * (c == 1), 0.0]), np.zeros(3))
        views.append(np.concatenate([camera.project(joints_m[:200]), after.project(joints_m[200:])]))
    views_px = np.array(views) + rng.normal(0.0, 2.0, (4, 320, 33, 2))
    messages = [
        make.keypoints(
            source=name,
            seq=k,
            captured_ns=int(captured_ns[k]),
            published_ns=int(captured_ns[k]) + 20 * MS,
            skeleton=MEDIAPIPE33.name,
            size_wh=(1280, 720),
            keypoints_px=views_px[c, k, None].astype(np.float32),
            confidence=np.ones((1, 33), np.float32),
        )
        for k in range(320)
        for c, name in enumerate(rig.names)
    ]
    return rig, messages


def test_fusion_leaves_it_out_repairs_it_and_says_so(bumped_stream):
    rig, messages = bumped_stream
    pipeline = FusionPipeline(rig, rig.names, SETTINGS, MEDIAPIPE33)
    poses = [pose for message in messages for pose in pipeline.push(message)]
    name = rig.names[1]
    out = [pose.captured_ns for pose in poses if pose.left_out.get(name, "").startswith("moved by")]
    assert 20.0 < (out[0] - START_NS) / SECOND_NS < 25.0
    assert name not in poses[-1].left_out
    assert pipeline.repairs >= 1
    told = pipeline.health(poses[-1].captured_ns).cameras[name]
    assert (told.repaired, told.valid) == (True, True)
    assert abs(told.moved_deg - 3.0) < 0.6
    assert abs((told.moved_ns - START_NS) / SECOND_NS - 20.0) < 1.0


def test_a_recording_of_a_repair_is_fused_again_byte_for_byte(bumped_stream, tmp_path):
    rig, messages = bumped_stream
    save_rig(rig, tmp_path / "rig.toml")
    config = config_of(rig.names, fusion=SETTINGS.model_dump())
    pipeline = FusionPipeline(load_rig(tmp_path / "rig.toml"), rig.names, config.fusion, MEDIAPIPE33)
    about = about_of(config, tmp_path / "rig.toml")
    with new_session(tmp_path / "s.mcap", about, force=True, at_ns=START_NS) as writer:
        for message in messages:
            at_ns = message.published_ns
            poses = pipeline.push(message)
            writer.write(message, at_ns)
            for said in (*poses, *([pipeline.health(at_ns)] if message.seq % 10 == 0 else [])):
                writer.write(replace(said, published_ns=at_ns), at_ns)
    assert pipeline.repairs >= 1
    told = reprocess_session(tmp_path / "s.mcap", tmp_path / "again.mcap", Changes(), False, lambda done: None)
    assert "poses are identical to those that were live" in told
    assert "differ" not in told


def test_the_corrected_calibration_is_kept_beside_the_users_file(tmp_path):
    rig = rig_of(4)
    save_rig(rig, tmp_path / "rig.toml")
    before = (tmp_path / "rig.toml").read_bytes()
    used = rig.select(rig.names[:3])
    corrected = CameraRig((bumped(used.cameras[0], np.array([1.0, 0, 0]), np.zeros(3)), *used.cameras[1:]))
    keeper = Corrected(tmp_path / "rig.toml")
    told = keeper.save(corrected, 1, START_NS)
    (kept,) = set(tmp_path.iterdir()) - {tmp_path / "rig.toml"}
    assert str(kept) in told
    assert kept.name.startswith("rig.repaired-")
    assert kept.suffix == ".toml"
    assert (tmp_path / "rig.toml").read_bytes() == before
    again = load_rig(kept)
    assert again.names == rig.names
    assert np.allclose(again.cameras[0].T_cam_world, corrected.cameras[0].T_cam_world, atol=1e-12)
    assert np.allclose(again.cameras[3].T_cam_world, rig.cameras[3].T_cam_world, atol=1e-12)


def test_the_table_says_which_when_and_by_how_much():
    rig = rig_of(2)
    pipeline = FusionPipeline(rig, rig.names, schema.Fusion(), MEDIAPIPE33)
    health = pipeline.health(START_NS)
    moved = replace(health.cameras["cam_0"], moved_ns=START_NS, moved_deg=1.14, moved_mm=4.4, repaired=True)
    monitor = Monitor(rig.names)
    monitor.feed(replace(health, cameras={**health.cameras, "cam_0": moved}), 0)
    (line,) = [note for note in monitor.status(0).notes if "moved at" in note]
    assert line.startswith("camera cam_0 moved at ")
    assert line.endswith(" by 1.1° and 4 mm, and was put right")
    assert isinstance(health, FusionHealth)
    assert monitor.moved() == {"cam_0": True}
