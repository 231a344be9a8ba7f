import re
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from nodes.calibrating.check_board import check_board
from nodes.calibrating.report_text import text_of
from tests.board_views import BOARD, board_seen, rig_of

NOISE_PX = 0.4


def test_a_true_rig_is_good():
    rig = rig_of()
    report = check_board(rig, BOARD, board_seen(rig, noise_px=NOISE_PX), "")
    assert report.judgement.verdict == "good"
    assert text_of(report).startswith("good: 0.37 px median")


def test_a_turned_camera_is_named_and_no_other():
    rig = rig_of()
    T_new_old = rigid.from_rotation(rigid.rotation_from_rotvec((0.0, np.radians(1.0), 0.0)), (0.0, 0.0, 0.0))
    bumped = replace(rig.cameras[2], T_cam_world=T_new_old @ rig.cameras[2].T_cam_world)
    wrong = CameraRig((*rig.cameras[:2], bumped, rig.cameras[3]))
    report = check_board(wrong, BOARD, board_seen(rig, noise_px=NOISE_PX), "")
    assert report.judgement.verdict == "redo"
    assert [name for name, told in report.judgement.cameras.items() if told.verdict == "redo"] == ["back"]


def test_exchanged_cameras_are_named():
    rig = rig_of()
    seen = board_seen(rig, noise_px=NOISE_PX)
    seen.corners_px[[1, 3]] = seen.corners_px[[3, 1]]
    text = text_of(check_board(rig, BOARD, seen, ""))
    assert text.startswith("redo")
    assert "right and left are exchanged" in text
    assert "exchange their names" in text
    assert text.count("  - ") == 2  # one reason, one remedy


def test_a_board_of_another_size_is_told():
    rig = rig_of()
    seen = board_seen(rig, noise_px=NOISE_PX)
    report = check_board(rig, CharucoBoard(4, 5, 0.040, 0.030), seen, "")
    assert report.judgement.verdict == "redo"
    assert "54.0" in report.judgement.whole.reasons[0]
    assert "instead of 40.00" in report.judgement.whole.reasons[0]


def test_a_recording_of_half_the_size_is_scaled():
    rig = rig_of()
    seen = board_seen(rig, noise_px=0.2)
    half = replace(
        seen, corners_px=(seen.corners_px + 0.5) / 2 - 0.5, sizes_wh=tuple((640, 360) for _ in seen.sizes_wh)
    )
    assert check_board(rig, BOARD, half, "").judgement.verdict == "good"


def test_pictures_of_another_shape_are_refused():
    rig = rig_of()
    seen = replace(board_seen(rig), sizes_wh=((640, 480), *([(1280, 720)] * 3)))
    with pytest.raises(CalibrationError, match="camera 'front' delivers 640x480 but was calibrated at 1280x720"):
        check_board(rig, BOARD, seen, "")


def test_cameras_of_other_names_are_refused_with_the_way_to_rename_them():
    seen = replace(board_seen(rig_of()), cameras=("a", "b", "c", "d"))
    with pytest.raises(CalibrationError, match=r"of front, right, back, left, the recording of a, b, c, d: .*--names"):
        check_board(rig_of(), BOARD, seen, "")


def test_names_that_differ_in_a_sign_are_the_same():
    seen = replace(board_seen(rig_of()), cameras=("Front", "right_", "back", "left"))
    report = check_board(rig_of(), BOARD, seen, "")
    assert list(report.cameras) == ["Front", "right_", "back", "left"]
    assert report.judgement.verdict == "good"


def test_a_camera_that_is_not_in_the_recording_is_noted():
    rig = rig_of()
    report = check_board(rig, BOARD, board_seen(rig.select(("front", "right", "left"))), "")
    assert list(report.cameras) == ["front", "right", "left"]
    assert "not checked: back" in report.notes[0]


def test_a_board_seen_by_one_camera_at_a_time_cannot_be_judged():
    rig = rig_of()
    seen = board_seen(rig)
    for c in range(4):
        seen.corners_px[c, np.arange(40) % 4 != c] = np.nan
    with pytest.raises(CalibrationError, match="cannot be judged: the board was seen by two cameras together at 0"):
        check_board(rig, BOARD, seen, "")


def test_a_late_camera_is_told_from_a_wrong_one():
    rig = rig_of()
    seen = carried(rig, late_s=(0.0, 0.06, 0.0, 0.0))
    report = check_board(rig, BOARD, seen, "")
    assert report.judgement.verdict == "good"
    assert re.search(r"right [+-](5|6|7)\d ms", report.notes[0])
    assert report.held_out is not None
    assert report.compared["frames taken as simultaneous"].held_out.px_p50 > 2 * report.held_out.px_p50


def carried(rig: CameraRig, late_s: tuple[float, ...]) -> BoardSightings:
    """A board on a smooth way; the cameras' frames were taken later than they say."""
    at_s = np.arange(60) / 10.0
    seen = board_seen(rig, instants=60)
    corners_px = np.stack(
        [
            camera.project(np.stack([rigid.transform(on_its_way(t + late), BOARD.corners_m()) for t in at_s]))
            for camera, late in zip(rig.cameras, late_s, strict=True)
        ]
    )
    noise_px = np.random.default_rng(0).normal(0.0, 0.2, corners_px.shape)
    return replace(seen, captured_s=np.broadcast_to(at_s, seen.captured_s.shape), corners_px=corners_px + noise_px)


def on_its_way(t_s: float) -> npt.NDArray[np.float64]:
    """T_world_board."""
    place = (0.5 * np.sin(1.1 * t_s), 0.4 * np.cos(0.9 * t_s), 1.0 + 0.2 * np.sin(0.7 * t_s))
    return rigid.from_rotation(rigid.rotation_from_rotvec((1.2, 0.4 * np.sin(t_s), 0.3 * np.cos(t_s))), place)
