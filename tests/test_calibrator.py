"""The calibrator: what it makes of requests and of what cameras tell, good and bad. The solver runs in one test."""

import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.calibrate_scenes import BOARD, Film, projected
from calibration import rigid
from calibration.board import CharucoBoard, load_board, save_board, text_of_board
from calibration.instants import together
from calibration.rig import CameraRig
from calibration.rig_file import load_rig, save_rig
from calibration.synthetic import ring_rig
from configs.schema import Calibrating, Config
from lifter.skeleton import COCO17, MEDIAPIPE33, Skeleton
from nodes.calibrating.corners_file import load_corners
from nodes.calibrating.live_take import MOST_LOOKS, LiveTake
from nodes.calibrating.sitting import DEFAULT_BOARD, Sitting
from nodes.calibrating.solving import Solved
from nodes.calibrating.take_folder import TakeFolder
from nodes.commands import calibrate_board
from nodes.sessions.about import about_of
from nodes.wire.messages import Origin, Person3D, Pose3D
from nodes.wire.requests import LOOK_PERIOD_NS, BoardSeen, CalibrationRequest
from nodes.wire.topics import envelope

S = 1_000_000_000
BEGIN_NS = 1_700_000_000 * S
CAMERAS = ("cam_0", "cam_1")
TOML = text_of_board(BOARD)


def request(action: str, **fields) -> CalibrationRequest:
    return CalibrationRequest(captured_ns=0, published_ns=0, source="viewer", seq=0, action=action, **fields)


def rig() -> CameraRig:
    return CameraRig(ring_rig(6, 2.0, 1.5, (1280, 720), 900.0).cameras[:2])


def words(seconds: float = 20.0) -> list[BoardSeen]:
    """What two cameras tell of a carried board, in the order in which it comes; 0.2 px of noise."""
    seen = projected(rig(), Film(seconds, 4.0), 0.2)
    return [word(name, t, seen.corners_px[c, t]) for t in range(seen.frame.shape[1]) for c, name in enumerate(CAMERAS)]


def word(camera: str, number: int, corners_px, size_wh=(1280, 720)) -> BoardSeen:
    return BoardSeen(
        captured_ns=BEGIN_NS + number * 2 * LOOK_PERIOD_NS,
        published_ns=0,
        source=camera,
        seq=number,
        size_wh=size_wh,
        corners_px=np.asarray(corners_px, np.float32),
        frame_id=number,
    )


@pytest.fixture
def settings(tmp_path) -> Calibrating:
    save_board(BOARD, tmp_path / "board.toml")
    return Calibrating(board=tmp_path / "board.toml", folder=tmp_path / "made")


@pytest.fixture
def sitting(settings) -> Sitting:
    return Sitting(CAMERAS, settings, 0)


def hear_all(sitting: Sitting, told: list[BoardSeen], now_ns: int = 0) -> int:
    for each in told:
        now_ns += LOOK_PERIOD_NS
        sitting.hear(each, now_ns)
        sitting.turn(now_ns)
    sitting.turn(now_ns + 2 * S)
    return now_ns + 2 * S


def state_of(sitting: Sitting, now_ns: int = 0):
    state = sitting.state(now_ns)
    envelope(state)  # it can be sent
    return state


def test_the_usual_board_is_the_one_that_calibrate_board_makes() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    calibrate_board.add(parser.add_subparsers())
    usual = parser.parse_args(["board", "--out", "x.pdf"])
    assert (
        CharucoBoard(
            usual.columns,
            usual.rows,
            usual.square_mm / 1000,
            0.75 * usual.square_mm / 1000,
            usual.dictionary,
            two_sided=False,
        )
        == DEFAULT_BOARD
    )


def test_a_take_from_nothing_to_what_is_missing(sitting) -> None:
    assert state_of(sitting).state == "idle"
    assert state_of(sitting).board_toml == TOML, "the page shows the configuration's board"
    assert not sitting.is_busy
    sitting.hear(request("look"), 0)
    state = state_of(sitting)
    assert (state.state, state.board_toml) == ("looking", TOML)
    assert state.todo[0].startswith("show the board to `cam_0`, `cam_1`")
    now_ns = hear_all(sitting, words(12.0))
    state = state_of(sitting, now_ns)
    for name, other in (CAMERAS, CAMERAS[::-1]):
        assert state.cameras[name].useful > 5
        assert state.cameras[name].covered.shape == (4, 6)
        assert state.cameras[name].covered.any()
        assert state.cameras[name].together[other] > 3
    sitting.hear(request("look"), now_ns)
    assert state_of(sitting, now_ns).cameras["cam_0"].useful == state.cameras["cam_0"].useful, "asked twice"
    sitting.hear(request("stop"), now_ns)
    assert state_of(sitting, now_ns).state == "seen"
    before = state_of(sitting, now_ns).cameras["cam_0"].useful
    hear_all(sitting, [word("cam_0", 10_000, words(1.0)[0].corners_px)], now_ns)
    assert state_of(sitting, now_ns).cameras["cam_0"].useful == before, "what comes late is not counted"
    sitting.hear(request("discard"), now_ns)
    assert (state_of(sitting).state, state_of(sitting).cameras) == ("idle", {})


def test_words_of_one_moment_may_come_in_any_order_and_late() -> None:
    told = words(8.0)
    counts = []
    for late in (told, [each for name in CAMERAS for each in told if each.source == name][::1]):
        take = LiveTake(CAMERAS, BOARD, 0)
        for each in late:
            take.take(each, 0)
        take.settle(3 * S)
        counts.append(take.coverage(3 * S)["cam_0"].together.get("cam_1", 0))
    assert counts[0] == counts[1] > 0


def test_foreign_and_broken_words_are_passed_over(sitting) -> None:
    sitting.hear(request("look"), 0)
    good = words(1.0)[0]
    bad = [
        replace(good, source="stranger"),
        replace(good, corners_px=np.zeros((3, 2), np.float32)),
        replace(good, corners_px=np.full((24, 2), 1e30, np.float32)),
        replace(good, corners_px=np.full((24, 2), np.nan, np.float32)),
        replace(good, corners_px=np.full((24, 2), -np.inf, np.float32)),
    ]
    for number, each in enumerate(bad):
        sitting.hear(replace(each, captured_ns=BEGIN_NS + number), 0)
    sitting.turn(5 * S)
    assert not any(each.useful for each in state_of(sitting, 5 * S).cameras.values())
    sitting.hear(good, 5 * S)
    sitting.hear(replace(good, captured_ns=good.captured_ns - S), 5 * S)
    sitting.hear(replace(good, captured_ns=good.captured_ns + S, size_wh=(640, 360)), 5 * S)
    sitting.turn(7 * S)
    assert state_of(sitting, 7 * S).cameras["cam_0"].useful <= 1
    assert "begin anew" in state_of(sitting, 7 * S).cameras["cam_0"].note


def test_cameras_that_say_nothing_are_named(sitting) -> None:
    sitting.hear(request("look"), 0)
    sitting.hear(words(1.0)[0], S)
    state = state_of(sitting, 10 * S)
    assert state.cameras["cam_1"].note == "it says nothing: does this camera run?"
    assert state.cameras["cam_0"].note == "it has fallen silent"
    sitting.turn(10 * S)
    assert state_of(sitting, 10 * S).cameras["cam_0"].in_sight == 0


def test_it_ends_by_itself_before_memory_does(sitting, monkeypatch) -> None:
    monkeypatch.setattr("nodes.calibrating.live_take.MOST_LOOKS", 20)
    assert MOST_LOOKS * LOOK_PERIOD_NS > 600 * S
    sitting.hear(request("look"), 0)
    now_ns = hear_all(sitting, words(20.0))
    assert state_of(sitting, now_ns).state == "seen"
    assert "enough was seen" in state_of(sitting, now_ns).note


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("garbage [", "cannot be read"),
        ("columns = 5", "lacks 'square_m'"),
        (TOML.replace("columns = 5", "columns = 1"), "not possible"),
        (TOML.replace("columns = 5", "columns = inf"), "board"),
        (TOML.replace("DICT_4X4_1000", "DICT_NONE"), "no dictionary"),
        (TOML.replace("DICT_4X4_1000", "ArucoDetector"), "no dictionary"),
    ],
)
def test_boards_that_cannot_be_are_refused(sitting, toml: str, told: str) -> None:
    sitting.hear(request("look", board_toml=toml), 0)
    assert state_of(sitting).state == "idle"
    assert told in state_of(sitting).note


def test_a_configured_board_that_is_not_there_is_told(tmp_path) -> None:
    sitting = Sitting(CAMERAS, Calibrating(board=tmp_path / "none.toml", folder=tmp_path), 0)
    assert "none.toml" in state_of(sitting).note
    sitting.hear(request("look"), 0)
    assert (state_of(sitting).state, "none.toml" in state_of(sitting).note) == ("idle", True)
    save_board(BOARD, tmp_path / "none.toml")
    sitting.hear(request("look"), 0)
    assert state_of(sitting).state == "looking"


@pytest.mark.parametrize("action", ["solve", "use", "stop", "discard", "floor_board", "floor_person"])
def test_what_cannot_be_done_yet_is_said(sitting, action: str) -> None:
    sitting.hear(request(action), 0)
    assert sitting.turn(S) == []
    assert state_of(sitting).state == "idle"
    assert bool(state_of(sitting).note) == (action not in {"stop", "discard"})


def test_one_camera_alone_is_not_solved(sitting) -> None:
    sitting.hear(request("look"), 0)
    hear_all(sitting, [each for each in words(3.0) if each.source == "cam_0"])
    sitting.hear(request("solve"), 0)
    assert "only cam_0 has seen the board" in state_of(sitting).note
    assert state_of(sitting).state == "looking"


def until_solved(sitting: Sitting, patience_s: float = 120.0):
    deadline_s = time.monotonic() + patience_s
    while state_of(sitting).state == "solving":
        assert time.monotonic() < deadline_s
        sitting.turn(0)
        time.sleep(0.05)
    return state_of(sitting)


class StandIn:
    """A solver that is done when it is told so; the real one is tried by test_page_calibration."""

    def __init__(self, place: TakeFolder) -> None:
        self.place = place
        self.solved: Solved | None = None

    def doing(self) -> tuple[str, float]:
        return "lenses", 0.5

    def result(self) -> Solved | None:
        return self.solved


def test_solved_and_used(sitting, monkeypatch) -> None:
    monkeypatch.setattr("nodes.calibrating.sitting.Solving", StandIn)
    sitting.hear(request("look"), 0)
    now_ns = hear_all(sitting, words(8.0))
    sitting.hear(request("solve"), now_ns)
    sitting.turn(now_ns)
    state = state_of(sitting)
    assert (state.state, state.doing, state.share) == ("solving", "lenses", 0.5)
    for action in ("look", "solve", "floor_board"):
        sitting.hear(request(action), now_ns)
        assert "wait for it, or stop it first" in state_of(sitting).note
    place = sitting._solving.place
    seen = load_corners(place.corners)
    assert [each.camera for each in seen] == list(CAMERAS)
    assert load_board(place.board) == BOARD
    assert together(seen).seen.any(-1).all(0).any(), "what the solver reads is what was seen"
    path = place.calibration()
    save_rig(rig(), path)
    sitting._solving.solved = Solved("usable", "usable: 0.4 px median", "", path, place.report / "report.html")
    sitting.turn(now_ns)
    state = state_of(sitting)
    assert (state.state, state.verdict, state.headline) == ("solved", "usable", "usable: 0.4 px median")
    assert state.calibration == str(path)
    sitting.hear(request("use"), 0)
    (ask,) = sitting.turn(0)
    assert ask.calibration == path.name
    sitting.hear(request("look"), 0)
    assert state_of(sitting).state == "looking", "more can be shown, for a better one"
    assert state_of(sitting).cameras["cam_0"].useful > 0
    assert place.calibration() != path, "which does not take the place of the first"


def test_too_little_is_said_in_the_words_of_the_command(sitting) -> None:
    sitting.hear(request("look"), 0)
    hear_all(sitting, words(1.0))
    sitting.hear(request("solve"), 0)
    if state_of(sitting).state == "solving":
        state = until_solved(sitting)
        assert state.state == "failed"
        assert state.verdict in {"", "redo"}
        assert len(state.note) > 20
        assert "Traceback" not in state.note
        assert state.calibration == ""
    sitting.hear(request("look"), 0)
    assert state_of(sitting).state == "looking", "and it goes on"


def test_a_solver_that_is_killed_or_given_up(sitting) -> None:
    sitting.hear(request("look"), 0)
    hear_all(sitting, words(12.0))
    sitting.hear(request("solve"), 0)
    assert sitting._solving is not None
    sitting._solving._process.kill()
    state = until_solved(sitting)
    assert (state.state, state.note) == ("failed", "it was ended by SIGKILL")
    sitting.hear(request("solve"), 0)
    process = sitting._solving._process
    sitting.hear(request("stop"), 0)
    assert process.poll() is not None
    assert state_of(sitting).state == "seen"
    assert "given up" in state_of(sitting).note
    sitting.hear(request("solve"), 0)
    process = sitting._solving._process
    sitting.close()
    assert process.poll() is not None, "nothing is left behind"


def test_what_was_seen_outlives_the_process(sitting, settings) -> None:
    sitting.hear(request("look"), 0)
    now_ns = hear_all(sitting, words(12.0))
    before = state_of(sitting, now_ns)
    assert list(settings.folder.resolve().glob("calibration-*/corners.npz")), (
        "written every few seconds, not at the end"
    )
    sitting.close()
    again = Sitting(CAMERAS, settings, 0)
    after = state_of(again)
    assert after.state == "looking"
    assert "still here" in after.note
    for name in CAMERAS:
        assert after.cameras[name].useful == before.cameras[name].useful
        assert after.cameras[name].together == before.cameras[name].together
        np.testing.assert_array_equal(after.cameras[name].covered, before.cameras[name].covered)
    again.hear(request("discard"), 0)
    assert state_of(Sitting(CAMERAS, settings, 0)).state == "idle", "what was put aside stays there"


def test_what_is_kept_may_be_broken(settings) -> None:
    folder = settings.folder / "calibration-1"
    folder.mkdir(parents=True)
    for text in ("", "{", "[]", '{"state": "looking"}', '{"state": "looking", "first_ns": 1}'):
        (folder / "take.json").write_text(text)
        assert state_of(Sitting(CAMERAS, settings, 0)).state == "idle"


def test_a_folder_that_cannot_be_written(settings, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    sitting = Sitting(CAMERAS, settings.model_copy(update={"folder": tmp_path / "file" / "in"}), 0)
    sitting.hear(request("look"), 0)
    hear_all(sitting, words(8.0))
    assert "cannot be kept" in state_of(sitting).note
    assert state_of(sitting).state == "looking"
    sitting.hear(request("solve"), 0)
    assert state_of(sitting).state == "looking"
    assert "file" in state_of(sitting).note


def test_a_full_take_that_cannot_be_kept_is_told_and_not_lost(settings, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("nodes.calibrating.live_take.MOST_LOOKS", 20)
    (tmp_path / "file").write_text("")
    sitting = Sitting(CAMERAS, settings.model_copy(update={"folder": tmp_path / "file" / "in"}), 0)
    sitting.hear(request("look"), 0)
    now_ns = hear_all(sitting, words(20.0))
    state = state_of(sitting, now_ns)
    assert (state.state, "cannot be kept on the disk" in state.note) == ("seen", True)
    assert state.cameras["cam_0"].useful > 0


# -------------------------------------------------------------------------------------------------------------- floor


def about(with_rig: bool = True):
    config = Config.model_validate(
        {"cameras": {name: {"source": "device", "device": 0} for name in CAMERAS}, "keypoints_only": True}
    )
    return about_of(config, rig() if with_rig else None)


def lying(number: int, x: float = 0.3, y: float = 0.2, turn: float = 0.4):
    """Words of a board that lies at x, y on a floor 0.25 m above z = 0."""
    R = rigid.rotation_from_rotvec((0.0, 0.0, turn)) @ np.diag([1.0, -1.0, -1.0])
    T = rigid.from_rotation(R, np.array([x, y, 0.25]) - R @ [BOARD.size_m[0] / 2, BOARD.size_m[1] / 2, 0.0])
    px = rig().project(rigid.transform(T, BOARD.corners_m()))
    rng = np.random.default_rng(number)
    return [word(name, number, px[c] + rng.normal(0, 0.1, px[c].shape)) for c, name in enumerate(CAMERAS)]


def test_the_floor_is_where_the_board_lies(sitting, settings) -> None:
    sitting.hear(about(), 0)
    sitting.hear(request("floor_board"), 0)
    assert state_of(sitting).state == "looking", "cameras look for it now"
    assert state_of(sitting).doing == "looks where the board lies"
    for number in range(12):
        for each in lying(number):
            sitting.hear(each, number * LOOK_PERIOD_NS)
        assert sitting.turn(number * LOOK_PERIOD_NS) == []
    (ask,) = sitting.turn(5 * S)
    assert state_of(sitting).state == "idle"
    new, old = load_rig(settings.folder.resolve() / ask.calibration), rig()
    for name in CAMERAS:
        assert new[name].T_world_cam[2, 3] == pytest.approx(old[name].T_world_cam[2, 3] - 0.25, abs=0.005)
    origin_old = old["cam_0"].T_world_cam @ new["cam_0"].T_cam_world @ [0, 0, 0, 1]
    np.testing.assert_allclose(origin_old[:3], [0.3, 0.2, 0.25], atol=0.01)


def test_a_floor_without_a_board_or_with_one_that_moves(sitting) -> None:
    sitting.hear(about(), 0)
    sitting.hear(request("floor_board"), 0)
    assert sitting.turn(9 * S) == []
    assert "no camera sees the board" in state_of(sitting).note
    sitting.hear(request("floor_board"), 10 * S)
    for number in range(8):
        for each in lying(number, x=0.05 * number):
            sitting.hear(each, 10 * S + number * LOOK_PERIOD_NS)
        sitting.turn(10 * S + number * LOOK_PERIOD_NS)
    assert sitting.turn(20 * S) == []
    assert "the board moves" in state_of(sitting).note


def test_a_floor_that_is_being_set_is_stopped_and_nothing_is_solved_meanwhile(sitting) -> None:
    sitting.hear(about(), 0)
    sitting.hear(request("look"), 0)
    now_ns = hear_all(sitting, words(8.0))
    sitting.hear(request("stop"), now_ns)
    sitting.hear(request("floor_board"), now_ns)
    sitting.hear(request("solve"), now_ns)
    assert "the floor is just being set" in state_of(sitting, now_ns).note
    assert state_of(sitting, now_ns).state == "looking", "and cameras look on"
    sitting.hear(request("stop"), now_ns)
    state = state_of(sitting, now_ns)
    assert (state.state, state.note) == ("seen", "the floor was not set: it was stopped")
    assert sitting.turn(now_ns + 20 * S) == []
    assert not sitting.is_busy


def test_without_a_calibration_there_is_no_floor(sitting) -> None:
    sitting.hear(about(with_rig=False), 0)
    for action in ("floor_board", "floor_person"):
        sitting.hear(request(action), 0)
        assert "there is no calibration yet" in state_of(sitting).note
        assert not sitting.is_busy
    sitting.hear(replace(about(), rig_text="["), 0)
    sitting.hear(request("floor_board"), 0)
    assert "cannot be read" in state_of(sitting).note


def person(skeleton: Skeleton, at=(1.0, -0.5), facing: float = 0.6, floor: float = 0.1, ident: int = 3) -> Person3D:
    """Upright at a place, looking to an angle, ankles 9 cm above the floor."""
    left = np.array([-np.sin(facing), np.cos(facing), 0.0])
    heights = {"hip": 0.9, "shoulder": 1.4, "ankle": 0.055 * 1.7, "heel": 0.025 * 1.7}
    joints = np.full((len(skeleton.joints), 3), np.nan)
    for i, name in enumerate(skeleton.joints):
        side, _, part = name.partition("_")
        if part in heights and side in {"left", "right"}:
            joints[i] = (
                [*at, floor] + 0.12 * (1 if side == "left" else -1) * left + heights[part] * np.array([0, 0, 1.0])
            )
    known = np.isfinite(joints[:, 0])
    return Person3D(
        id=ident,
        joints_m=joints.astype(np.float32),
        sigma_m=np.where(known, 0.01, np.nan).astype(np.float32),
        reprojection_px=np.where(known, 1.0, np.nan).astype(np.float32),
        views=np.where(known, 3, 0).astype(np.uint32),
        origin=np.where(known, Origin.TRIANGULATED, Origin.ABSENT).astype(np.uint8),
    )


def pose(number: int, *people: Person3D, skeleton: Skeleton = MEDIAPIPE33, frame: str = "world") -> Pose3D:
    return Pose3D(
        captured_ns=BEGIN_NS + number,
        published_ns=0,
        source="fusion",
        seq=number,
        skeleton=skeleton.name,
        people=people,
        cameras=CAMERAS,
        valid=True,
        frame=frame,
    )


@pytest.mark.parametrize("skeleton", [MEDIAPIPE33, COCO17])
def test_the_floor_is_below_a_person(sitting, settings, skeleton) -> None:
    sitting.hear(about(), 0)
    sitting.hear(request("floor_person"), 0)
    assert sitting.wants_poses
    assert state_of(sitting).state == "idle", "no camera need look for a board"
    for number in range(20):
        sitting.hear(pose(number, person(skeleton), skeleton=skeleton), 0)
    (ask,) = sitting.turn(3 * S)
    assert not sitting.wants_poses
    new, old = load_rig(settings.folder.resolve() / ask.calibration), rig()
    T_old_new = old["cam_0"].T_world_cam @ new["cam_0"].T_cam_world
    np.testing.assert_allclose(T_old_new[:3, 3], [1.0, -0.5, 0.1], atol=1e-4)
    np.testing.assert_allclose(T_old_new[:3, 0], [np.cos(0.6), np.sin(0.6), 0], atol=1e-4)
    np.testing.assert_allclose(T_old_new[:3, 2], [0, 0, 1], atol=1e-6)


def walking(number: int) -> Person3D:
    return person(MEDIAPIPE33, at=(0.1 * number, 0))


@pytest.mark.parametrize(
    ("poses", "who", "told"),
    [
        ([], -1, "nobody is seen"),
        ([pose(n) for n in range(20)], -1, "nobody is seen"),
        ([pose(n, person(MEDIAPIPE33), person(MEDIAPIPE33, ident=4)) for n in range(20)], -1, "2 people are seen"),
        ([pose(n, person(MEDIAPIPE33)) for n in range(20)], 9, "person 9 is hardly seen"),
        ([pose(n, walking(n)) for n in range(20)], -1, "stand still"),
        ([pose(n, person(MEDIAPIPE33), frame="root_relative") for n in range(20)], -1, "knows no floor"),
        ([pose(n, person(MEDIAPIPE33), skeleton=replace(MEDIAPIPE33, name="odd")) for n in range(20)], -1, "'odd'"),
        ([pose(n, person(MEDIAPIPE33), skeleton=COCO17) for n in range(20)], -1, "33 joints came"),
        (
            [pose(n, replace(person(MEDIAPIPE33), origin=np.full(33, Origin.LIFTED, np.uint8))) for n in range(20)],
            -1,
            "no foot is seen",
        ),
    ],
)
def test_people_who_tell_no_floor(sitting, poses, who: int, told: str) -> None:
    sitting.hear(about(), 0)
    sitting.hear(request("floor_person", person=who), 0)
    for each in poses:
        sitting.hear(each, 0)
    assert sitting.turn(3 * S) == []
    assert told in state_of(sitting).note
    assert not sitting.is_busy


def test_a_verdict_is_kept_until_the_next(sitting, tmp_path) -> None:
    """A file that was taken away meanwhile cannot be used."""
    sitting._solved = Solved("good", "good: 1 px", "", tmp_path / "gone.toml", None)
    sitting.hear(request("use"), 0)
    assert sitting.turn(0) == []
    assert "make one first" in state_of(sitting).note
