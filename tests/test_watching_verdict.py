"""The light and the words for cameras and for the whole: the worst first, in words for people."""

import math
from dataclasses import replace
from typing import Any

import pytest

from nodes.watching.camera_figures import CameraStatus
from nodes.watching.monitor import Monitor, Status
from nodes.watching.verdict import counted, named, of_camera, of_cameras, of_system, told_s
from nodes.watching.words import Level
from nodes.wire.requests import ProcessState
from tests import messages as make

NAN = math.nan
S = 1_000_000_000
WELL = make.camera_input(alive=True, on_time=True, valid=True, note="", reprojection_px=2.0)


def camera(name: str = "left", state: str = "streaming", **changes: Any) -> CameraStatus:
    content: dict[str, Any] = {
        **{"name": name, "state": state, "fps": 30.0, "frames": 90, "dropped": 0, "detect_ms": 30.0, "skew_ms": 1.0},
        **{"note": "", "missing_s": 0.03, "health": make.camera_health(), "input": WELL},
    }
    return CameraStatus(**{**content, **changes})


def status(*cameras: CameraStatus, **changes: Any) -> Status:
    content: dict[str, Any] = {
        **{"cameras": cameras, "fusion_state": "running", "ticks": 90, "rate_hz": 30.0, "latency_p50_ms": 118.0},
        **{"latency_p95_ms": 150.0, "reprojection_px": 2.0, "people": 1, "error_mm": NAN, "has_truth": False},
        "notes": (),
    }
    return Status(**{**content, **changes})


@pytest.mark.parametrize(
    ("seen", "level", "words"),
    [
        (camera(), Level.GOOD, ""),
        (camera(missing_s=0.9), Level.BAD, "no frames for 0.9 s"),
        (camera(missing_s=0.9, fps=2.0), Level.GOOD, ""),  # four frames of its own pace
        (camera(state="restarting"), Level.BAD, "its process has ended; it starts again by itself"),
        (camera(state="silent", note="no word from it for 3 s"), Level.BAD, "no word from it for 3 s"),
        (
            camera(state="reconnecting", missing_s=2.1, note="no such device"),
            Level.WARN,
            "no frames for 2.1 s, reconnecting: no such device",
        ),
        (camera(state="reconnecting", missing_s=NAN), Level.WARN, "reconnecting"),
        (camera(state="ready"), Level.CALM, "waits for the session's start"),
        (camera(state="ended"), Level.CALM, "its recording is over"),
        (camera(state="starting", note="its model loads"), Level.WARN, "its model loads"),
        (camera(input=replace(WELL, valid=False, note="moved by 3.0°")), Level.BAD, "moved by 3.0°"),
        (camera(note="asked for 1280x720, gives 640x480"), Level.WARN, "asked for 1280x720, gives 640x480"),
        (camera(state="a word of tomorrow"), Level.BAD, "a word of tomorrow"),
        (camera(health=None, input=None, missing_s=NAN, fps=NAN), Level.GOOD, ""),
    ],
)
def test_a_camera_has_a_light_and_words(seen, level, words):
    verdict = of_camera(seen)
    assert (verdict.level, verdict.words) == (level, words)


def test_keypoints_far_off_what_was_fused_ask_whether_it_was_moved():
    verdict = of_camera(camera(input=replace(WELL, reprojection_px=14.0)))  # of a picture 640 wide
    assert verdict.level is Level.WARN
    assert "14 px off" in verdict.words


def test_a_recording_that_stands_still_is_no_trouble():
    assert of_camera(camera(missing_s=60.0), standing=True).level is Level.CALM
    assert of_camera(camera(state="restarting"), standing=True).level is Level.BAD


def test_all_is_well_is_said_with_figures():
    found = of_system(status(camera(), camera("right"), camera("back"), camera("front")))
    assert found.words == "All is well: 4 cameras, 1 person, 30 poses a second, 118 ms behind"
    assert found.level is Level.GOOD
    assert "nobody in view" in of_system(status(camera(), people=0)).words
    assert of_system(status(camera(), latency_p50_ms=NAN)).words.endswith("30 poses a second")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (status(camera(missing_s=2.1), camera("right")), "left: no frames for 2.1 s. 1 of 2 cameras goes on"),
        (
            status(camera(state="restarting"), camera("right", "restarting")),
            "both cameras: their processes have ended; they start again by themselves. No camera is left",
        ),
        (
            status(camera(state="starting"), camera("right", "starting"), fusion_state="starting"),
            "both cameras: are starting",
        ),
        (status(camera(), fusion_state="starting"), "fusion is starting"),
        (
            status(camera(missing_s=2.1), camera("right", note="left out: late"), camera("back", note="hot")),
            "left: no frames for 2.1 s. 2 of 3 cameras go on",
        ),
        (status(camera(note="hot"), camera("right", note="hot"), camera("back")), "left: hot (and right)"),
        (status(camera(state="ended"), camera("right", "ended")), "All recordings are over"),
        (status(camera(state="ready")), "Waits for the session's start"),
        (
            status(camera(), latency_p50_ms=812.0),
            "What you see is 812 ms old: this machine has more to do than it can take",
        ),
        (status(camera(), fusion_state="off"), "All is well: 1 camera, no fusion: 2D alone"),
        (
            status(camera(missing_s=9.0), fusion_state="restarting"),
            "fusion: its process has ended; it starts again by itself",
        ),
        (
            status(camera(note="left out: late"), camera("right", note="left out: early"), camera("back")),
            "left and right: left out: late",
        ),
    ],
)
def test_the_worst_is_said_first(seen, words):
    assert of_system(seen).words == words


def test_a_system_without_cameras_is_no_fault():
    assert of_system(status()).level is Level.GOOD


def test_names_and_numbers_for_people():
    assert named(["left"], 4) == "left"
    assert named(["left", "right"], 4) == "left and right"
    assert named(["a", "b", "c"], 4) == "a, b and c"
    assert named(list("abcd"), 4) == "all 4 cameras"
    assert named(list("abcd"), 16) == "4 cameras"
    assert counted(1, "camera") == "1 camera"
    assert counted(1234, "message") == "1,234 messages"
    assert [told_s(s) for s in (0.72, 12.3, 200.0, NAN)] == ["0.7 s", "12 s", "3 min", "-"]


def test_a_camera_without_frames_is_found_out_though_its_health_goes_on():
    monitor = Monitor(("left",))
    monitor.feed(make.camera_health(), 0)
    monitor.feed(make.keypoints(), 0)
    assert of_camera(monitor.status(S // 2).cameras[0]).words != "no frames for 0.5 s"
    monitor.feed(make.camera_health(seq=8), S)
    assert of_camera(monitor.status(S).cameras[0]).words == "no frames for 1.0 s"


def test_without_its_health_a_camera_that_sends_frames_is_not_silent():
    monitor = Monitor(("left",))
    monitor.feed(make.camera_health(), 0)
    monitor.feed(make.keypoints(), 4 * S)
    assert monitor.status(4 * S).cameras[0].state == "streaming"
    assert monitor.status(8 * S).cameras[0].state == "silent"


def played(monitor: Monitor, now_ns: int, **changes: Any) -> None:
    content = {**{"playing": True, "speed": 1.0, "fuses": True, "note": "", "shift_ns": 5}, **changes}
    monitor.feed(make.play_state(**content), now_ns)


def test_what_a_recording_that_is_played_does_is_known_to_whoever_asks_for_the_status():
    monitor = Monitor(("left",))
    monitor.feed(make.camera_health(note=""), 0)
    monitor.feed(make.fusion_health(cameras={}, notes=()), 0)
    played(monitor, 0)
    assert of_system(monitor.status(S // 10)).words.startswith("walk.mcap plays: 1 camera, nobody in view")
    played(monitor, 20 * S, playing=False)
    stands = monitor.status(21 * S)
    assert stands.standing
    assert of_system(stands).words == "walk.mcap stands at 12.5 of 60.0 s"
    assert of_cameras(stands)["left"].kind == "paused"
    played(monitor, 21 * S)
    again = of_system(monitor.status(21 * S + S // 2))
    assert again.words.startswith("walk.mcap plays"), "its cameras have a moment to be heard"
    assert not monitor.status(26 * S).standing
    assert monitor.status(26 * S).play is None, "a player that says nothing is gone"
    assert of_system(monitor.status(26 * S)).level is Level.BAD


def test_the_poses_of_a_recording_need_no_fusion():
    monitor = Monitor(("left",))
    played(monitor, 0, fuses=False)
    assert monitor.status(S).fusion_state == "running"
    assert monitor.status(4 * S).fusion_state == "starting", "the player has gone"


def test_somebody_else_on_the_bus_is_no_player():
    monitor = Monitor(("left",))
    played(monitor, 0, source="stranger", playing=False)
    assert monitor.status(0).play is None
    assert not monitor.status(0).standing


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({}, ""),
        ({"fuses": False}, "played as they were recorded"),
        ({"shift_ns": 0}, "of another day"),
        ({"speed": 0.5}, "not played at its own pace"),
        ({"timely": False}, "was stopped meanwhile"),
    ],
)
def test_a_latency_is_told_only_where_the_stamps_tell_one(state, why):
    monitor = Monitor(("left",))
    monitor.feed(make.pose(), 0)
    played(monitor, 0, **state)
    told, later = monitor.status(S), monitor.status(4 * S)
    assert why in told.no_latency
    assert bool(told.no_latency) is bool(why) is math.isnan(told.latency_p50_ms)
    assert later.no_latency == "", "when the player has gone"


def test_stamps_of_another_clock_tell_no_latency():
    monitor = Monitor(("left",))
    monitor.feed(make.pose(published_ns=make.START_NS - 5 * S), 0)
    assert "not of this machine's clock" in monitor.status(0).no_latency
    assert math.isnan(monitor.status(0).latency_p50_ms)


def test_what_is_said_of_the_processes_counts_while_it_is_fresh():
    monitor = Monitor(("left",))
    monitor.feed(make.fusion_health(cameras={}), 0)
    crashed = {name: ProcessState(state="restarting", restarts=1) for name in ("left", "fusion")}
    monitor.feed(make.system_state(processes=crashed), 0)
    assert [monitor.status(S).fusion_state, monitor.status(S).cameras[0].state] == ["restarting", "restarting"]
    assert monitor.status(2 * S + 1).fusion_state == "running"
    monitor.feed(make.system_state(processes={"fusion": ProcessState(state="waiting")}), S)
    assert monitor.status(S).fusion_state == "starting"


def test_a_system_without_cameras_is_not_said_to_wait_for_fusion():
    assert Monitor(()).status(0).notes == ()
