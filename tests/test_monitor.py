"""The monitor, fed with messages by hand: no sockets, no clock."""

import math
from typing import Any

import numpy as np
import pytest

from nodes.watching.camera_figures import CameraFigures, CameraStatus
from nodes.watching.monitor import Monitor
from nodes.wire.messages import CameraHealth, CameraInput, FusionHealth, Person3D, Pose3D, Session
from tests import messages as make

S = 1_000_000_000
MS = 1_000_000
EPOCH_NS = 1_700_000_000 * S


def health(source: str = "left", seq: int = 0, state: str = "streaming", **fields: Any) -> CameraHealth:
    return CameraHealth(captured_ns=EPOCH_NS, published_ns=EPOCH_NS, source=source, seq=seq, state=state, **fields)


def fusion_health(source: str = "fusion", **fields: Any) -> FusionHealth:
    standard: dict[str, Any] = {
        "cameras": {},
        "ticks": 1,
        "rate_hz": 20.0,
        "people": 1,
        "reprojection_px_p50": 3.0,
        "fused_until_ns": EPOCH_NS,
    }
    return FusionHealth(captured_ns=EPOCH_NS, published_ns=EPOCH_NS, source=source, seq=0, **(standard | fields))


def person(reprojection_px: float = 2.0) -> Person3D:
    return Person3D(
        id=1,
        joints_m=np.zeros((33, 3), np.float32),
        sigma_m=np.zeros(33, np.float32),
        reprojection_px=np.full(33, reprojection_px, np.float32),
        views=np.zeros(33, np.uint32),
        origin=np.ones(33, np.uint8),
    )


def pose(
    t_ns: int = 0,
    latency_ms: int = 100,
    people: tuple[Person3D, ...] = (),
    left_out: dict[str, str] | None = None,
    stages_ns: dict[str, int] | None = None,
    valid: bool = True,
    source: str = "fusion",
) -> Pose3D:
    return Pose3D(
        captured_ns=EPOCH_NS + t_ns,
        published_ns=EPOCH_NS + t_ns + latency_ms * MS,
        source=source,
        seq=0,
        skeleton="mediapipe33",
        people=people,
        cameras=("left", "right"),
        valid=valid,
        left_out=left_out or {},
        stages_ns=stages_ns or {},
    )


@pytest.fixture
def monitor():
    return Monitor(("left", "right"))


def line(monitor: Monitor, name: str, now_ns: int) -> CameraStatus:
    return next(camera for camera in monitor.status(now_ns).cameras if camera.name == name)


def test_before_anything_came_everything_is_starting(monitor):
    status = monitor.status(0)
    assert [camera.state for camera in status.cameras] == ["starting", "starting"]
    assert status.fusion_state == "starting"
    assert status.ticks == 0
    assert math.isnan(status.latency_p50_ms)
    assert not monitor.fusion_heard
    assert not monitor.cameras_prepared()


def test_cameras_are_prepared_once_all_are_past_their_start(monitor):
    monitor.feed(health("left", state="ready"), 0)
    assert not monitor.cameras_prepared()
    monitor.feed(health("right", state="starting"), 0)
    assert not monitor.cameras_prepared()
    monitor.feed(health("right", seq=1, state="reconnecting"), 0)  # unplugged: the others do not wait for it
    assert monitor.cameras_prepared()


def test_waiting_for_fusion_alone_is_explained(monitor):
    monitor.feed(health("left", state="ready"), 0)
    assert monitor.status(0).notes == ()
    monitor.feed(health("right", state="ready"), 0)
    assert "compiles its kernels" in monitor.status(0).notes[0]
    monitor.feed(fusion_health(), 0)
    assert monitor.fusion_heard
    assert monitor.status(0).notes == ()


def test_a_camera_line_tells_what_the_camera_says_of_itself(monitor):
    monitor.feed(health(fps=7.5, frames=70, dropped=3, detect_ms_p50=120.0, note="640x480 in place of 1280x720"), 0)
    camera = line(monitor, "left", S)
    assert (camera.state, camera.fps, camera.frames, camera.dropped) == ("streaming", 7.5, 70, 3)
    assert (camera.detect_ms, camera.note) == (120.0, "640x480 in place of 1280x720")


def test_a_mute_camera_is_silent_and_an_ended_one_is_not(monitor):
    monitor.feed(health("left", fps=10.0), 0)
    monitor.feed(health("right", state="ended"), 0)
    assert line(monitor, "left", S).state == "streaming"
    assert line(monitor, "left", 3 * S).state == "silent"
    assert line(monitor, "left", 3 * S).note == "no word from it for 3 s"
    assert math.isnan(line(monitor, "left", 3 * S).fps)
    assert line(monitor, "right", 3 * S).state == "ended"
    assert monitor.ended_cameras() == {"right"}


def test_a_word_that_is_said_again_while_a_recording_stands_counts_once(monitor):
    for _ in range(3):
        monitor.feed(health(seq=5, frames=100), 0)
    assert monitor.status(0).cameras[0].frames == 100


def test_counts_go_on_over_a_restart_of_the_camera(monitor):
    monitor.feed(health(seq=0, frames=50, dropped=5), 0)
    monitor.feed(health(seq=9, frames=100, dropped=10), 5 * S)
    monitor.feed(health(seq=0, frames=0, dropped=0, state="starting"), 8 * S)
    monitor.feed(health(seq=4, frames=20, dropped=1), 10 * S)
    camera = monitor.cameras["left"]
    assert (camera.frames, camera.dropped) == (120, 11)
    assert camera.fps == pytest.approx(7.0)  # (120 - 50) frames in 10 s, the break included


def camera_input(note: str, alive: bool = True, valid: bool = True) -> CameraInput:
    return CameraInput(alive=alive, on_time=False, valid=valid, age_ms=90.0, skew_ms=41.0, frames=9, late=2, note=note)


@pytest.mark.parametrize(("alive", "valid", "told"), [(False, True, True), (True, False, True), (True, True, False)])
def test_fusion_is_heard_about_a_camera_that_is_dead_or_wrong_and_not_about_a_late_frame(monitor, alive, valid, told):
    monitor.feed(health("left"), 0)
    monitor.feed(fusion_health(cameras={"left": camera_input("what is wrong", alive, valid)}), 0)
    assert line(monitor, "left", S).skew_ms == 41.0
    assert line(monitor, "left", S).note == ("what is wrong" if told else "")


def test_before_its_first_frame_a_camera_is_not_blamed_for_having_none(monitor):
    monitor.feed(health("left", state="ready"), 0)
    monitor.feed(fusion_health(cameras={"left": camera_input("no frames yet", alive=False)}), 0)
    assert line(monitor, "left", S).note == ""


def test_a_camera_that_most_poses_did_without_is_told_and_a_single_late_frame_is_not(monitor):
    monitor.feed(health("left"), 0)
    for _ in range(20):
        monitor.feed(pose(), 0)
    monitor.feed(pose(left_out={"left": "last frame 60 ms before this tick"}), 0)
    assert line(monitor, "left", S).note == ""
    for _ in range(20):
        monitor.feed(pose(left_out={"left": "stale"}), 0)
    assert line(monitor, "left", S).note == "left out: stale"


def test_a_process_that_crashed_is_told_at_once(monitor):
    monitor.feed(health("left", fps=10.0), 0)
    monitor.feed(fusion_health(), 0)
    status = monitor.status(0, restarting=["left", "fusion"])
    assert (status.cameras[0].state, status.fusion_state) == ("restarting", "restarting")
    assert status.cameras[0].note == "its process has ended; it starts again by itself"
    assert math.isnan(status.cameras[0].fps)
    assert status.cameras[1].state == "starting"


def test_rate_latency_and_reprojection_are_those_of_the_last_seconds(monitor):
    for tick in range(200):  # 10 s at 20 Hz; the first half is slow and bad
        slow = tick < 90
        t_ns = tick * 50 * MS
        monitor.feed(pose(t_ns, 900 if slow else 100, (person(90.0 if slow else 3.0),)), t_ns)
    status = monitor.status(199 * 50 * MS)
    assert status.rate_hz == pytest.approx(20.0)
    assert (status.latency_p50_ms, status.latency_p95_ms) == (100.0, 100.0)
    assert status.reprojection_px == pytest.approx(3.0)
    assert (status.people, status.ticks) == (1, 200)


def test_figures_of_the_whole_run(monitor):
    for tick in range(5):
        monitor.feed(
            pose(tick * 50 * MS, people=(person(),) * (tick % 3), stages_ns={"fuse": 2 * MS}, valid=tick > 0), tick * S
        )
    monitor.feed(pose(300 * MS), 5 * S)
    poses = monitor.poses
    assert (poses.ticks, poses.valid_ticks, poses.occupied_ticks) == (6, 5, 3)
    assert (poses.people_total, poses.people_most) == (4, 2)
    assert poses.rate_hz == pytest.approx(1.0)
    assert poses.longest_gap_ns == 100 * MS
    assert poses.latency_ms["fuse"].percentile(50) == pytest.approx(2.0)
    assert poses.latency_ms["total"].percentile(50) == pytest.approx(100.0)
    assert poses.reprojection_px.count == 4 * 33


def test_nobody_in_the_pose_is_no_reprojection_error(monitor):
    monitor.feed(pose(), 0)
    assert math.isnan(monitor.status(0).reprojection_px)
    assert monitor.status(0).people == 0


def test_a_silent_fusion_is_told(monitor):
    monitor.feed(fusion_health(), 0)
    assert monitor.status(S).fusion_state == "running"
    assert monitor.status(3 * S).fusion_state == "silent"


def test_notes_tell_what_fusion_says_and_what_was_dropped(monitor):
    monitor.feed(fusion_health(notes=("2 cameras are too few",), undecodable=3), 0)
    assert monitor.status(0).notes == (
        "2 cameras are too few",
        "3 messages on the bus were broken or not ours; they were dropped",
    )


def test_strangers_on_the_bus_are_passed_over(monitor):
    monitor.feed(health("garage"), 0)
    assert [camera.name for camera in monitor.status(0).cameras] == ["left", "right"]
    assert monitor.last_heard_ns == {}


def test_session_is_taken_note_of(monitor):
    monitor.feed(Session(captured_ns=0, published_ns=0, source="run_system", seq=0, start_ns=EPOCH_NS), 0)
    assert monitor.session_start_ns == EPOCH_NS


def test_last_word_is_the_last_pose_or_camera_health(monitor):
    assert monitor.last_word_ns() == 0
    monitor.feed(health("left", state="ended"), 2 * S)
    monitor.feed(fusion_health(), 9 * S)  # fusion goes on talking after the last camera
    assert monitor.last_word_ns() == 2 * S
    monitor.feed(pose(), 3 * S)
    assert monitor.last_word_ns() == 3 * S


def test_a_camera_whose_source_was_tried_in_vain_is_not_waited_for(monitor):
    monitor.feed(health("left", state="ready"), 0)
    monitor.feed(health("right", state="starting"), 0)
    assert not monitor.cameras_prepared()
    monitor.feed(health("right", seq=1, state="starting", note="/dev/video2 is not there"), 0)
    assert monitor.cameras_prepared()
    assert line(monitor, "right", 0).note == "/dev/video2 is not there"


def test_poses_and_health_of_strangers_are_not_ours(monitor):
    monitor.feed(pose(source="somebody", people=(person(),)), 0)
    monitor.feed(fusion_health(source="somebody", notes=("look here",)), 0)
    assert monitor.poses.ticks == 0
    assert not monitor.fusion_heard
    assert "fusion" not in monitor.last_heard_ns
    assert monitor.status(0).people == 0


def test_stages_that_nobody_knows_take_no_memory(monitor):
    known = {"interpolate": MS, "queue": 2 * MS, "detect": 3 * MS, "send": 4 * MS, "fuse": 5 * MS}
    for tick in range(3):
        monitor.feed(pose(tick * S, stages_ns={**known, f"made up {tick}": MS}), tick * S)
    assert set(monitor.poses.latency_ms) == {"total", *known}
    assert monitor.poses.latency_ms["send"].percentile(50) == 4.0


def test_a_camera_that_is_started_by_hand_is_shown_and_not_waited_for():
    monitor = Monitor(("left", "right"), by_hand={"right"})
    monitor.feed(health("left", state="ready"), 0)
    assert monitor.cameras_prepared()
    assert monitor.expected_cameras() == {"left"}
    assert line(monitor, "right", 0).state == "awaited"
    assert "by hand" in line(monitor, "right", 0).note
    monitor.feed(health("right", fps=10.0), S)
    assert line(monitor, "right", S).state == "streaming"
    assert line(monitor, "right", 5 * S).state == "silent"
    assert "by hand" in line(monitor, "right", 5 * S).note


def test_where_all_cameras_are_started_by_hand_the_run_ends_with_them():
    assert Monitor(("left", "right"), by_hand=("left", "right")).expected_cameras() == {"left", "right"}


def test_the_rate_of_a_recording_does_not_count_the_time_after_its_end():
    figures = CameraFigures("front")
    for k in range(11):
        figures.feed(health("front", k, frames=10 * (k + 1)), k * S)
    for k in range(11, 31):
        figures.feed(health("front", k, "ended", frames=110), k * S)
    assert figures.fps == pytest.approx(100 / 11)


def test_a_recorder_that_died_recording_is_told_once_and_only_when_its_next_life_is_idle(monitor):
    def say(**changes) -> None:
        monitor.feed(make.recorder_health(**changes), 0)

    say(seq=1, state="idle")
    say(seq=9, state="recording", path="takes/walk.mcap")
    assert monitor.take_cut_recording() is None
    say(seq=1, state="idle", path="")
    cut = monitor.take_cut_recording()
    assert cut is not None
    assert cut.path == "takes/walk.mcap"
    assert monitor.take_cut_recording() is None
    say(seq=8, state="recording")
    say(seq=9, state="stopped")
    say(seq=1, state="idle")  # it had been stopped: nothing is begun again
    assert monitor.take_cut_recording() is None
    say(seq=8, state="recording")
    say(seq=1, state="starting")  # told by its command line to go on
    assert monitor.take_cut_recording() is None


def test_what_is_recorded_stands_in_the_status(monitor):
    monitor.feed(make.recorder_health(captured_ns=make.START_NS + 12_000_000_000, video=False), 0)
    assert monitor.status(0).recording == "recording takes/walk.mcap  12 s  0.6 MB"
    assert monitor.status(0).notes == ("recording: 2 messages were lost",)
    monitor.feed(make.recorder_health(state="stopped", note=""), 0)
    assert monitor.status(0).recording == ""
