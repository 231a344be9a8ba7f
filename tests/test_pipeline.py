"""Fusion as a whole, on exact and noisy keypoints of the virtual actor: right, pure, and unmoved by what goes wrong."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from configs import schema
from lifter.runtime import load
from lifter.skeleton import MEDIAPIPE33
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import CameraHealth, Origin, encode
from tests.keypoints import MS, START_NS, keypoints, rig_of, stream, truth_m

UNSMOOTHED = schema.Fusion(smoothing=schema.Smoothing(kind="none"))
LIMBS = MEDIAPIPE33.limb_indices()
NOBODY = {"keypoints_px": np.zeros((0, 33, 2), np.float32), "confidence": np.zeros((0, 33), np.float32)}
EXACT_M = 2e-3  # exact keypoints and no smoothing: what is left is the pull of bone lengths and expectation


@pytest.fixture(scope="module")
def lifter():
    return load(skeleton=MEDIAPIPE33)


def between(message, start_ms, stop_ms):
    return start_ms <= (message.captured_ns - START_NS) / MS < stop_ms


def fuse(rig, messages, settings=UNSMOOTHED, cameras=None, **options):
    pipeline = FusionPipeline(rig, cameras or rig.names, settings, MEDIAPIPE33, **options)
    return pipeline, [pose for message in messages for pose in pipeline.push(message)]


def errors_m(poses):
    return np.stack(
        [
            np.linalg.norm(pose.people[0].joints_m - truth_m(pose.captured_ns)[0], axis=1)
            for pose in poses
            if pose.people
        ]
    )


def test_exact_keypoints_give_exact_joints():
    rig = rig_of(4)
    _, poses = fuse(rig, stream(rig))
    assert len(poses) == 60
    assert errors_m(poses).max() < EXACT_M
    last = poses[-1]
    assert (last.people[0].origin == Origin.TRIANGULATED).all()
    assert (last.people[0].views == 0b1111).all()
    assert last.valid
    assert last.left_out == {}
    assert last.cameras == rig.names


def test_the_same_messages_give_the_same_bytes():
    rig = rig_of(4)
    messages = stream(rig, noise_px=3.0, phases=(0, 0.3, 0.6, 0.1))
    first, second = (fuse(rig, messages, schema.Fusion())[1] for _ in range(2))
    assert [encode(pose) for pose in first] == [encode(pose) for pose in second]


def test_the_order_of_the_cameras_does_not_matter():
    rig = rig_of(4)
    other = CameraRig(tuple(reversed(rig.cameras)))
    messages = stream(rig, noise_px=3.0)
    poses, reversed_poses = fuse(rig, messages)[1], fuse(other, messages)[1]
    np.testing.assert_allclose(errors_m(poses), errors_m(reversed_poses), atol=1e-6)


def test_one_camera_of_four_gone_and_the_pose_says_so():
    rig = rig_of(4)
    messages = [m for m in stream(rig, noise_px=2.0) if m.source != "left" or m.captured_ns < START_NS + 1000 * MS]
    _, poses = fuse(rig, messages)
    late = [pose for pose in poses if pose.captured_ns > START_NS + 1200 * MS]
    assert late
    bit = 1 << rig.names.index("left")
    for pose in late:
        assert not (pose.people[0].views & bit).any()
        assert list(pose.left_out) == ["left"]
    assert np.nanmean(errors_m(late)) < 0.03


def only_the_first(rig, after_ms, **options):
    return [m for m in stream(rig, **options) if m.source == rig.names[0] or between(m, -1000, after_ms)]


def test_with_one_camera_left_the_person_stays_and_the_pose_says_what_it_rests_on():
    rig = rig_of(2)
    _, poses = fuse(rig, only_the_first(rig, 800), schema.Fusion())
    before, after = poses[20].people[0], poses[-1].people[0]
    assert poses[-1].captured_ns > START_NS + 1800 * MS
    assert not poses[-1].valid
    assert list(poses[-1].left_out) == [rig.names[1]]
    assert after.id == before.id
    assert (after.origin == Origin.PREDICTED).all()
    assert (after.views == 0b1).all()
    assert np.nanmedian(after.sigma_m) > 2 * np.nanmedian(before.sigma_m)


def test_with_one_camera_left_the_lifter_takes_over_and_hands_back(lifter):
    rig = rig_of(4)
    messages = [m for m in stream(rig, 2.4, noise_px=2.0) if m.source == rig.names[0] or not between(m, 700, 1700)]
    _, poses = fuse(rig, messages, schema.Fusion(), lifter=lifter)
    origins = [set(pose.people[0].origin.tolist()) for pose in poses[3:]]
    assert origins[:15] == 15 * [{Origin.FUSED}]
    assert origins[22:45] == 23 * [{Origin.LIFTED}]
    assert origins[-10:] == 10 * [{Origin.FUSED}]
    assert {pose.people[0].id for pose in poses[3:]} == {1}
    assert errors_m(poses[3:]).mean(axis=1).max() < 0.1
    alone = [pose for pose in poses if pose.people and (pose.people[0].origin == Origin.LIFTED).all()]
    assert not any(pose.valid for pose in alone if len(pose.left_out) == 3)
    sigma_m = [float(np.median(pose.people[0].sigma_m)) for pose in poses[3:]]
    assert min(sigma_m[25:45]) > 2 * max(sigma_m[8:15])


def test_one_camera_and_no_lifter_invents_nobody():
    rig = rig_of(1)
    _, poses = fuse(rig, stream(rig), schema.Fusion())
    assert len(poses) == 60
    assert all(pose.people == () and not pose.valid for pose in poses)


def test_one_calibrated_camera_and_the_lifter_show_somebody_who_stays(lifter):
    rig = rig_of(1)
    _, poses = fuse(rig, stream(rig, noise_px=2.0), schema.Fusion(), lifter=lifter)
    people = [pose.people[0] for pose in poses if pose.people]
    assert len(people) >= 40
    assert {person.id for person in people} == {1}
    assert all((person.origin == Origin.LIFTED).all() for person in people)
    relative_m = [
        np.linalg.norm((joints - joints[LIMBS].mean(0)) - (truth - truth[LIMBS].mean(0)), axis=1)
        for pose in poses
        if pose.people
        for joints, truth in [(pose.people[0].joints_m, truth_m(pose.captured_ns)[0])]
    ]
    assert np.mean(relative_m) < 0.12


def test_who_is_seen_by_nobody_is_carried_on_for_a_short_while_marked_as_predicted():
    rig = rig_of(3)
    messages = [replace(m, **NOBODY) if between(m, 1000, 5000) else m for m in stream(rig)]
    _, poses = fuse(rig, messages, schema.Fusion())
    unseen = [pose for pose in poses if pose.captured_ns >= START_NS + 1000 * MS]
    carried_on = [pose for pose in unseen if pose.people]
    assert 2 <= len(carried_on) <= 9  # a quarter of a second at 30 Hz
    assert unseen[len(carried_on) :] == [pose for pose in unseen if not pose.people]
    for pose in carried_on:
        assert set(pose.people[0].origin.tolist()) <= {Origin.PREDICTED, Origin.ABSENT}  # too unsure by now
        assert (pose.people[0].views == 0).all()
        assert np.isnan(pose.people[0].reprojection_px).all()
    assert (carried_on[0].people[0].origin == Origin.PREDICTED).all()
    sigma_m = [float(pose.people[0].sigma_m[LIMBS[0]]) for pose in carried_on]
    assert sigma_m == sorted(sigma_m)


def test_a_person_keeps_the_id_over_a_short_absence_and_gets_a_new_one_after_a_long_one():
    rig = rig_of(3)

    def absent(message):
        return replace(message, **NOBODY) if between(message, 500, 1200) or between(message, 2000, 4500) else message

    _, poses = fuse(rig, [absent(m) for m in stream(rig, seconds=5.0)], schema.Fusion())
    ids = {round((pose.captured_ns - START_NS) / MS): pose.people[0].id for pose in poses if pose.people}
    assert {i for t, i in ids.items() if t < 2200} == {1}
    assert {i for t, i in ids.items() if t > 4600} == {2}
    assert [t for t in ids if 1300 < t < 2000]
    assert not [t for t in ids if 2300 < t < 4450]


def test_joints_that_only_the_detector_knows_are_triangulated_and_absent_where_nobody_sees_them():
    rig = rig_of(4)
    thumb = MEDIAPIPE33.index("left_thumb")
    messages = stream(rig, seconds=1.0)
    for message in messages:
        message.confidence[0, thumb] *= 1.0 if message.source in ("front", "right") else 0.0
        message.confidence[0, MEDIAPIPE33.index("nose")] = 0.0
    _, poses = fuse(rig, messages)
    person = poses[-1].people[0]
    assert errors_m(poses[1:])[:, thumb].max() < 0.01
    assert bin(person.views[thumb]).count("1") == 2
    nose = MEDIAPIPE33.index("nose")
    assert person.origin[nose] in (Origin.PREDICTED, Origin.ABSENT)
    assert person.views[nose] == 0
    assert not person.sigma_m[nose] < 10 * person.sigma_m[thumb]


def test_a_hallucinated_limb_in_one_view_is_out_voted():
    rig = rig_of(4)
    wrist = MEDIAPIPE33.index("left_wrist")
    messages = stream(rig)
    for message in messages:
        if message.source == "front":
            message.keypoints_px[0, wrist] += 80
    _, poses = fuse(rig, messages)
    assert errors_m(poses[1:]).max() < EXACT_M
    assert all(not pose.people[0].views[wrist] & 1 for pose in poses[1:])


def test_sigma_and_reprojection_follow_the_noise():
    rig = rig_of(4)
    small = fuse(rig, stream(rig, noise_px=2.0))[1][-1].people[0]
    large = fuse(rig, stream(rig, seconds=4.0, noise_px=8.0))[1][-1].people[0]
    assert np.nanmedian(large.sigma_m) > 2 * np.nanmedian(small.sigma_m)
    assert np.nanmedian(large.reprojection_px) > 2 * np.nanmedian(small.reprojection_px)


def test_the_stages_add_up():
    rig = rig_of(3)
    _, poses = fuse(rig, stream(rig, phases=(0.0, 0.4, 0.2)))
    for pose in poses:
        until_sent = sum(pose.stages_ns.values())
        assert set(pose.stages_ns) == {"interpolate", "queue", "detect"}
        assert 15 * MS < until_sent < 60 * MS
        assert pose.stages_ns["queue"] == 2 * MS


def test_cameras_that_are_not_configured_or_speak_another_skeleton_are_named_and_harm_nobody():
    rig = rig_of(4)
    messages = []
    for message in stream(rig):
        messages.append(replace(message, source="stranger"))
        wrong = message.source == "back" and message.captured_ns > START_NS
        messages.append(replace(message, skeleton="coco17") if wrong else message)
    pipeline, poses = fuse(rig, messages)
    assert errors_m(poses[1:]).max() < EXACT_M
    notes = pipeline.health(poses[-1].captured_ns).notes
    assert any("stranger" in note for note in notes)
    assert any("back" in note and "coco17" in note for note in notes)


def test_another_picture_size_of_the_same_shape_is_scaled():
    rig = rig_of(3)
    half = [camera.resized((640, 360)) for camera in rig.cameras]
    messages = [
        m if m.source == rig.names[0] else keypoints(half[rig.names.index(m.source)], m.captured_ns, m.seq)
        for m in stream(rig)
    ]
    _, poses = fuse(rig, messages)
    assert errors_m(poses[1:]).max() < EXACT_M


def test_another_shape_is_left_out_with_both_sizes_until_the_crop_is_told():
    rig = rig_of(3)
    camera = rig.cameras[1]
    K = camera.K.copy()
    K[0, 2] -= 100
    cropped = Camera(camera.name, (1080, 720), K, camera.dist, camera.T_cam_world)
    messages = [m if m.source != camera.name else keypoints(cropped, m.captured_ns, m.seq) for m in stream(rig)]
    pipeline, poses = fuse(rig, messages)
    assert "1080x720" in poses[-1].left_out[camera.name]
    assert "1280x720" in poses[-1].left_out[camera.name]
    assert not pipeline.health(poses[-1].captured_ns).cameras[camera.name].valid
    assert errors_m(poses[1:]).max() < 0.01  # of two cameras
    _, poses = fuse(rig, messages, crop_offset_px={camera.name: (100.0, 0.0)})
    assert poses[-1].left_out == {}
    assert errors_m(poses[1:]).max() < EXACT_M


def test_a_camera_that_is_not_calibrated_is_refused_by_name():
    rig = rig_of(3)
    with pytest.raises(CalibrationError, match="door"):
        FusionPipeline(rig, (*rig.names, "door"), UNSMOOTHED, MEDIAPIPE33)


def test_health_tells_alive_on_time_and_valid_apart():
    rig = rig_of(3)
    quiet = rig.names[2]
    messages = [m for m in stream(rig) if m.source != quiet or m.captured_ns < START_NS + 1000 * MS]
    pipeline, poses = fuse(rig, messages)
    now_ns = messages[-1].published_ns + 10 * MS
    health = pipeline.health(now_ns)
    assert health.cameras[rig.names[0]].alive
    assert health.cameras[rig.names[0]].on_time
    assert not health.cameras[quiet].alive
    assert "no frames for 1.0 s" in health.cameras[quiet].note
    assert any(note.startswith(f"{quiet}: no frames") for note in health.notes)
    assert (health.ticks, health.people) == (len(poses), 1)
    assert health.rate_hz == pytest.approx(30, rel=0.01)
    everybody_silent = pipeline.health(now_ns + 2000 * MS, idle_ns=2000 * MS)
    assert not any(camera.alive for camera in everybody_silent.cameras.values())


def test_an_ended_recording_is_not_called_dead():
    rig = rig_of(2)
    settings = schema.Fusion(synchroniser=schema.Synchroniser(deadline_ms=None))
    pipeline, poses = fuse(rig, stream(rig), settings)
    end = CameraHealth(captured_ns=0, published_ns=0, source=rig.names[0], seq=0, state="ended")
    assert pipeline.push(end) == []
    assert len(poses) == 60
    assert pipeline.health(START_NS + 9000 * MS).cameras[rig.names[0]].note == "its recording has ended"


def test_nan_keypoints_zero_confidence_and_wild_values_raise_nothing():
    rig = rig_of(3)
    messages = stream(rig, seconds=1.0)
    rng = np.random.default_rng(0)
    for index, message in enumerate(messages):
        message.confidence.flags.writeable = True
        kind = index % 5
        if kind == 0:
            message.keypoints_px[:] = np.nan
        elif kind == 1:
            message.confidence[:] = 0
        elif kind == 2:
            message.keypoints_px[:] = rng.normal(0, 1e12, message.keypoints_px.shape)
        elif kind == 3:
            message.confidence[:] = np.inf
    _, poses = fuse(rig, messages, schema.Fusion())
    for pose in poses:
        for person in pose.people:
            assert (np.isfinite(person.joints_m).all(axis=1) == np.isfinite(person.sigma_m)).all()


def test_a_camera_on_a_machine_with_another_clock_is_not_called_dead():
    rig = rig_of(3)
    pipeline, poses = fuse(rig, stream(rig))
    an_hour_ahead_ns = poses[-1].captured_ns + 3_600_000 * MS
    assert all(camera.alive for camera in pipeline.health(an_hour_ahead_ns, idle_ns=5 * MS).cameras.values())


def test_one_frame_of_another_shape_does_not_exclude_the_camera_for_ever():
    rig = rig_of(3)
    messages = stream(rig)
    odd = next(i for i, m in enumerate(messages) if m.source == rig.names[0] and m.seq == 20)
    messages[odd] = replace(messages[odd], size_wh=(640, 640))
    _, poses = fuse(rig, messages)
    assert any("640x640" in pose.left_out.get(rig.names[0], "") for pose in poses)
    assert poses[-1].left_out == {}
    assert (poses[-1].people[0].views == 0b111).all()


def test_a_pose_of_two_good_cameras_is_valid_though_a_third_was_unfit_and_died():
    rig = rig_of(3)
    unfit = rig.names[0]
    messages = [
        replace(m, size_wh=(640, 640)) if m.source == unfit else m
        for m in stream(rig)
        if m.source != unfit or m.captured_ns < START_NS + 1000 * MS
    ]
    _, poses = fuse(rig, messages)
    assert poses[-1].valid
    assert errors_m(poses[-5:]).max() < 0.02  # of two cameras


def test_one_message_of_another_skeleton_stops_nobody_and_is_forgotten_when_mended():
    rig = rig_of(3)
    messages = stream(rig)
    messages[0] = replace(messages[0], skeleton="coco17")
    pipeline, poses = fuse(rig, messages)
    assert len(poses) > 55
    assert not [note for note in pipeline.health(poses[-1].captured_ns).notes if "coco17" in note]


def test_after_the_clock_was_set_back_nobody_is_carried_on_from_the_future():
    rig = rig_of(3)
    before = stream(rig, seconds=1.0)
    after = []
    for message in stream(rig, seconds=2.0):
        hidden = message.confidence.copy()
        hidden[0, 5] = 0
        stamps = {"captured_ns": message.captured_ns - 10_000 * MS, "published_ns": message.published_ns - 10_000 * MS}
        after.append(replace(message, confidence=hidden, **stamps))
    _, poses = fuse(rig, before + after, schema.Fusion())
    late = [pose for pose in poses if pose.captured_ns < START_NS]
    assert len(late) > 40
    assert not any(pose.people[0].sigma_m[5] < 0.1 for pose in late if pose.people)  # the joint was known before
    assert {pose.people[0].id for pose in late if pose.people} == {2}


def test_foreign_cameras_cost_no_memory():
    rig = rig_of(2)
    pipeline, poses = fuse(rig, [replace(m, source=f"x{i}") for i, m in enumerate(stream(rig, seconds=8.0))])
    assert poses == []
    assert len(pipeline.health(START_NS).notes) < 40
